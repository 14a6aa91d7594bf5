use serde_json::{Value, json};

use crate::Method;
use crate::testing::{Browser, FakeApi, REQUEST_ID, hostile};

const LIST: &str = "/console/issuers";
const PAGE: &str = "/console/issuers/github";

fn entry(state: &str, has_failed: bool) -> Value {
    let text = hostile();
    json!({
        "name": "github", "issuer": "https://issuer.example", "source": "discovery", "ready": true, "state": state, "usable": 1,
        "set_hash": "h", "keys": [{ "kid": text, "algorithm": "RS256", "thumbprint": text, "shared_with": [] }],
        "skipped": [{ "index": 1, "kid": null, "reason": "private", "message": text, "alarming": true }],
        "fetched_at": 1, "age": 2, "fresh_until": 3, "stale_until": 4, "next_refresh_at": 5,
        "last_fetch": { "at": 1, "outcome": "replaced" },
        "last_error": has_failed.then(|| json!({ "at": 1, "message": text })),
        "fetches": { "replaced": 1, "unchanged": 0, "failed": { "dns": 2 } }, "kids_reused": 0,
    })
}

fn object() -> Value {
    let text = hostile();
    json!({ "kind": "issuers", "name": "github", "spec": { "issuer": text, (text.clone()): [text] }, "source": "file", "file": text })
}

fn api(entry: Value) -> FakeApi {
    let text = hostile();
    let mut one = object();
    let members = one.as_object_mut().unwrap();
    let mut state = entry.as_object().unwrap().clone();
    state.insert("key_source".to_owned(), json!("discovery"));
    state.remove("source");
    members.extend(state);
    let event = json!({ "at": 1, "issuer": "https://issuer.example", "source": "url", "place": text,
        "keys": [{ "kid": text, "algorithm": "RS256", "thumbprint": "t" }, { "kid": null, "algorithm": "ES256", "thumbprint": "t" }] });
    let history = json!({ "name": "github", "events": [event], "lapsed_at": null, "unreadable": 0 });
    FakeApi::default()
        .on(
            Method::Get,
            "/issuers",
            200,
            json!({ "issuers": [entry], "families": [], "items": [object()], "next": "x" }),
        )
        .on(Method::Get, "/issuers/github", 200, one)
        .on(Method::Get, "/issuers/github/history", 200, history)
}

#[actix_web::test]
async fn every_page_of_issuers_escapes_what_strangers_wrote() {
    let browser = Browser::admin(api(entry("fresh", true))).await;
    for path in [LIST, PAGE] {
        let page = browser.get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        page.assert_sound();
    }
}

#[actix_web::test]
async fn a_state_is_told_in_words() {
    for (state, has_failed, word) in [
        ("fresh", false, "Keys fresh"),
        ("fresh", true, "Keys fresh, last fetch failed"),
        ("stale", true, "Keys stale"),
        ("expired", true, "Keys expired"),
        ("absent", true, "No keys"),
        ("absent", false, "Not fetched yet"),
    ] {
        let browser = Browser::admin(api(entry(state, has_failed))).await;
        for path in [LIST, PAGE] {
            let page = browser.get(path).await.body;
            assert!(page.contains(&format!("<span>{word}</span>")), "{word}: {page}");
        }
    }
}

#[actix_web::test]
async fn keys_are_refreshed_and_a_failure_says_why() {
    let refreshed = json!({ "keys": 2, "skipped": 1, "changed": true, "fresh_for": 60 });
    let browser =
        Browser::admin(api(entry("fresh", false)).on(Method::Post, "/issuers/github/refresh", 200, refreshed)).await;
    let answer = browser.post(&format!("{PAGE}/refresh"), &[]).await;
    assert_eq!((answer.status, answer.location.as_str()), (303, PAGE));
    assert!(answer.notice.contains("2+usable"), "{}", answer.notice);
    let refused = json!({ "detail": "the host has no address", "request_id": REQUEST_ID, "findings": [] });
    let browser =
        Browser::admin(api(entry("fresh", false)).on(Method::Post, "/issuers/github/refresh", 503, refused)).await;
    let page = browser.post(&format!("{PAGE}/refresh"), &[]).await;
    assert_eq!(page.status, 503);
    assert!(page.body.contains("the host has no address") && page.body.contains(REQUEST_ID));
    assert!(!Browser::reader(api(entry("fresh", false))).await.get(PAGE).await.body.contains("Refresh keys"));
}

#[actix_web::test]
async fn a_family_of_many_members_has_pages() {
    let members: Vec<Value> = (0..45)
        .rev()
        .map(|number| {
            let mut member = entry("fresh", false);
            member["issuer"] = json!(format!("https://r{number:02}.example"));
            member
        })
        .collect();
    let mut family = object();
    let more = json!({ "issuer_template": "https://{region}.example", "members": members, "turned_away": 0,
        "fetches": { "replaced": 0, "unchanged": 0, "failed": {} } });
    family.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let browser = Browser::admin(FakeApi::default().on(Method::Get, "/issuers/eks", 200, family)).await;
    let mut path = format!("{LIST}/eks");
    let mut seen = Vec::new();
    for shown in [20, 20, 5] {
        let page = browser.get(&path).await;
        page.assert_sound();
        assert!(page.body.contains("45 issuers of this family"), "{}", page.body);
        let headings = page.body.split("<h2 class=\"mono\"><bdi>").skip(1);
        let issuers: Vec<_> = headings.map(|rest| rest.split('<').next().unwrap().to_owned()).collect();
        assert_eq!(issuers.len(), shown);
        seen.extend(issuers);
        let next = page.body.split(">Next page<").next().unwrap().rsplit("href=\"").next().unwrap();
        // The test's browser encodes percent signs, as the listener does in paths.
        path = next.split('"').next().unwrap().replace("%3A", ":").replace("%2F", "/");
    }
    assert!(seen.is_sorted() && seen.len() == 45, "{seen:?}");
    assert!(!browser.get("/console/issuers/eks?after=https://r39.example").await.body.contains("Next page"));
}

#[actix_web::test]
async fn an_entry_that_is_not_in_force_and_a_family_have_pages() {
    let not_in_force = FakeApi::default().on(Method::Get, "/issuers/off", 200, object());
    let page = Browser::admin(not_in_force).await.get(&format!("{LIST}/off")).await;
    page.assert_sound();
    assert!(page.body.contains("not in force") && !page.body.contains("Refresh keys"));
    let mut family = object();
    family.as_object_mut().unwrap().extend(
        json!({ "issuer_template": "https://{region}.example", "members": [entry("stale", true)], "turned_away": 0,
            "fetches": { "replaced": 0, "unchanged": 0, "failed": {} } })
        .as_object()
        .unwrap()
        .clone(),
    );
    let page = Browser::admin(FakeApi::default().on(Method::Get, "/issuers/eks", 200, family))
        .await
        .get(&format!("{LIST}/eks"))
        .await;
    assert_eq!(page.status, 200, "{}", page.body);
    page.assert_sound();
    assert!(page.body.contains("Keys stale"));
}

fn managed() -> Value {
    let text = hostile();
    let spec = json!({ "issuer": "https://ci.example", "shared": true, "jwks": { "keys": [] }, "variables": { "region": [text] },
        "ca_file": "corp.pem" });
    json!({ "kind": "issuers", "name": "ci", "spec": spec, "source": "managed", "revision": 3, "updated_at": 1, "updated_by": text })
}

fn managed_api() -> FakeApi {
    let refused = json!({ "detail": hostile(), "request_id": REQUEST_ID, "findings":
        [{ "severity": "error", "pointer": "/spec/issuer", "message": hostile(), "help": null }] });
    FakeApi::default()
        .on(Method::Get, "/issuers", 200, json!({ "issuers": [], "families": [], "items": [managed()], "next": null }))
        .on(Method::Get, "/issuers/ci", 200, managed())
        .on(Method::Get, "/tokens", 200, json!({ "tokens": [], "next": null }))
        .on(Method::Delete, "/issuers/ci", 422, refused.clone())
        .on(Method::Patch, "/issuers/ci", 200, managed())
        .on(Method::Post, "/issuers", 422, refused)
}

#[actix_web::test]
async fn the_forms_of_issuers_escape_what_strangers_wrote() {
    let browser = Browser::admin(managed_api()).await;
    for path in
        [LIST, "/console/issuers/ci", "/console/issuers/ci/edit", "/console/issuers/ci/delete", "/console/new/issuer"]
    {
        let page = browser.get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        page.assert_sound();
    }
    let refused = browser.post("/console/new/issuer", &[("name", "ci"), ("issuer", &hostile())]).await;
    assert_eq!(refused.status, 422);
    refused.assert_sound();
    assert!(refused.body.contains("href=\"#issuer\"") && refused.body.contains("The issuer entry was not created."));
}

#[actix_web::test]
async fn a_change_of_an_issuer_has_only_what_was_typed_anew() {
    let browser = Browser::admin(managed_api()).await;
    let form = browser.get("/console/issuers/ci/edit").await.body;
    assert!(form.contains("<option value=\"true\" selected>Yes</option>"), "{form}");
    let before = [("before.issuer", "https://ci.example"), ("before.shared", "true"), ("before.jwks", "{\"keys\":[]}")];
    let typed =
        [("issuer", "https://ci.example"), ("shared", "false"), ("jwks", "{ \"keys\": [] }"), ("audience", "a b")];
    let answer = browser.post("/console/issuers/ci/edit", &[&before[..], &typed[..]].concat()).await;
    assert_eq!((answer.status, answer.location.as_str()), (303, "/console/issuers/ci"), "{}", answer.body);
    assert_eq!(browser.changes()[0].body, json!({ "spec": { "shared": false, "audience": ["a", "b"] } }));
}

#[actix_web::test]
async fn what_only_files_declare_has_no_form_and_says_why() {
    let browser = Browser::admin(managed_api().of_files()).await;
    let list = browser.get(LIST).await.body;
    assert!(!list.contains("/console/new/issuer") && list.contains("<code>manage.kinds</code>"), "{list}");
    assert!(!browser.get("/console/issuers/ci").await.body.contains("/edit\""));
    let reader = Browser::reader(managed_api().of_files()).await.get(LIST).await.body;
    assert!(!reader.contains("manage.kinds"), "a reader could not change them anyway");
}
