use serde_json::{Value, json};

use crate::Method;
use crate::testing::{Browser, FakeApi, REQUEST_ID, hostile};

const LIST: &str = "/console/tokens";

fn token(state: &str) -> Value {
    let text = hostile();
    json!({
        "jti": "j1", "token_digest": "01".repeat(32), "account": "octo", "api": "deploy", "audience": "https://deploy.example",
        "scope": ["deployments:create"], "claims": { (text.clone()): text }, "kid": "k", "generation": text, "status_index": null,
        "iat": 1, "iat_millis": 0, "exp": 2, "request_id": REQUEST_ID, "state": state,
        "identity": "main", "entry": "github", "issuer": "https://i.example", "subject": "sub<b>", "subject_kid": null,
        "subject_jti_digest": null, "parent": "j0", "ancestors": [],
    })
}

fn revocation() -> Value {
    let text = hostile();
    json!({ "id": "r/1", "scope": { "rule": { "account": text, "claim": { (text.clone()): text } } }, "before": 1, "at": 4,
        "by": text, "reason": text, "until": 5 })
}

fn counted(covered: Value, at_least: bool) -> Value {
    json!({ "covered": covered, "at_least": at_least, "dry_run": true })
}

fn api() -> FakeApi {
    let mut revoked = token("revoked");
    revoked["revoked"] = revocation();
    FakeApi::default()
        .on(
            Method::Get,
            "/tokens",
            200,
            json!({ "tokens": [token("active"), revoked], "next": "j2", "notes": [hostile()] }),
        )
        .on(Method::Get, "/tokens/j1", 200, token("active"))
        .on(Method::Get, "/tokens/j2", 200, revoked)
        .on(Method::Get, "/revocation-rules", 200, json!({ "revocation_rules": [revocation()] }))
}

#[actix_web::test]
async fn every_page_of_tokens_escapes_what_strangers_wrote() {
    let browser = Browser::admin(api().on(Method::Post, "/revocations", 200, counted(json!(14), false))).await;
    let rule = format!(
        "/console/revoke-tokens?{}",
        url::form_urlencoded::Serializer::new(String::new()).append_pair("subject", &hostile()).finish()
    );
    for path in [LIST, &format!("{LIST}/j1"), &format!("{LIST}/j2"), "/console/revocation-rules", &rule] {
        let page = browser.get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        page.assert_sound();
    }
}

#[actix_web::test]
async fn a_list_has_the_live_tokens_unless_another_state_is_asked_for_and_keeps_its_filters() {
    let browser = Browser::admin(api()).await;
    let page = browser.get(&format!("{LIST}?account=octo&issuer=&api=")).await.body;
    assert!(page.contains("href=\"/console/tokens?account=octo&#38;state=active&#38;after=j2\""), "{page}");
    assert!(page.contains("href=\"/console/revoke-tokens?account=octo\">Revoke all that match"), "{page}");
    let page = browser.get(&format!("{LIST}?state=any&api=deploy")).await.body;
    assert!(page.contains("href=\"/console/tokens?api=deploy&#38;state=any&#38;after=j2\""), "{page}");
    assert!(!page.contains("Revoke all that match"), "no rule is about an API");
    for wrong in ["state=gone", "colour=red"] {
        assert_eq!(browser.get(&format!("{LIST}?{wrong}")).await.status, 400, "{wrong}");
    }
    let empty = FakeApi::default().on(Method::Get, "/tokens", 200, json!({ "tokens": [], "next": "j9" }));
    let page = Browser::admin(empty).await.get(LIST).await.body;
    assert!(page.contains("There are more to look at") && page.contains("after=j9"));
}

#[actix_web::test]
async fn one_token_is_revoked_with_a_reason() {
    let browser = Browser::admin(api().on(Method::Post, "/revocations", 200, counted(json!(1), false))).await;
    assert!(browser.get(&format!("{LIST}/j1")).await.body.contains("Revoke token"));
    assert!(!browser.get(&format!("{LIST}/j2")).await.body.contains("Revoke token"), "it is revoked already");
    let answer = browser.post(&format!("{LIST}/j1/revoke"), &[("reason", " leaked ")]).await;
    assert_eq!((answer.status, answer.location.as_str()), (303, "/console/tokens/j1"));
    assert_eq!(browser.changes()[0].body, json!({ "jti": "j1", "reason": "leaked" }));
    assert!(!Browser::reader(api()).await.get(&format!("{LIST}/j1")).await.body.contains("Revoke token"));
}

#[actix_web::test]
async fn a_rule_says_what_it_would_end_before_it_is_made() {
    for (covered, at_least, button) in [
        (json!(14), false, "Revoke 14 tokens"),
        (json!(1), false, "Revoke 1 token"),
        (json!(9), true, "Revoke at least 9 tokens"),
        (Value::Null, false, "Revoke tokens"),
    ] {
        let browser = Browser::admin(api().on(Method::Post, "/revocations", 200, counted(covered, at_least))).await;
        let page = browser.get("/console/revoke-tokens?account=octo&identity=").await.body;
        assert!(page.contains(&format!(">{button}</button>")), "{button}: {page}");
        assert_eq!(browser.changes()[0].body, json!({ "account": "octo", "dry_run": true }));
    }
    let browser = Browser::admin(api().on(Method::Post, "/revocations", 200, counted(json!(0), false))).await;
    let page = browser.get("/console/revoke-tokens?account=octo").await.body;
    assert!(page.contains("nothing to revoke") && !page.contains("class=\"danger\""), "{page}");
    let page = browser.get("/console/revoke-tokens").await.body;
    assert!(!page.contains("class=\"danger\""), "without a rule there is nothing to do");
    assert_eq!(Browser::reader(api()).await.get("/console/revoke-tokens?account=octo").await.status, 403);
}

#[actix_web::test]
async fn a_rule_is_made_and_taken_back() {
    let done = json!({ "revocation": revocation(), "covered": 14, "at_least": false, "dry_run": false });
    let undone = json!({ "undone": revocation(), "covered": 1, "at_least": false });
    let api =
        api().on(Method::Post, "/revocations", 200, done).on(Method::Delete, "/revocation-rules/r%2F1", 200, undone);
    let browser = Browser::admin(api).await;
    let fields = [("account", "octo"), ("subject", ""), ("reason", "incident")];
    let answer = browser.post("/console/revoke-tokens", &fields).await;
    assert_eq!((answer.status, answer.location.as_str()), (303, "/console/revocation-rules"));
    assert!(answer.notice.contains("Revoked+14+live+tokens"), "{}", answer.notice);
    assert_eq!(browser.changes()[0].body, json!({ "account": "octo", "reason": "incident" }));
    let answer = browser.post("/console/revocation-rules/r%2F1/undo", &[]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert!(answer.notice.contains("1+live+token."), "{}", answer.notice);
}

#[actix_web::test]
async fn a_rule_that_is_refused_says_why() {
    let refused = json!({ "detail": "there is no account `oct`", "request_id": REQUEST_ID, "findings": [] });
    let browser = Browser::admin(api().on(Method::Post, "/revocations", 404, refused)).await;
    for page in [
        browser.get("/console/revoke-tokens?account=oct").await,
        browser.post("/console/revoke-tokens", &[("account", "oct")]).await,
    ] {
        assert!(page.body.contains("there is no account `oct`") && page.body.contains(REQUEST_ID), "{}", page.body);
        assert!(page.body.contains("value=\"oct\"") && !page.body.contains("class=\"danger\""));
    }
}
