use serde_json::{Value, json};

use crate::Method;
use crate::testing::{Browser, FakeApi, REQUEST_ID, hostile};

const LIST: &str = "/console/denials";

fn page_path() -> String {
    format!("{LIST}/{REQUEST_ID}")
}

fn denial() -> Value {
    let text = hostile();
    let condition = |on: &str, holds: bool| json!({ "on": on, "expected": Value::from(format!("a{text}")).to_string(), "actual": Value::from(format!("b{text}")).to_string(), "holds": holds, "hint": text });
    let identity = json!({
        "account": text, "identity": text, "matched": false, "covers": null,
        "conditions": [condition("issuer", true), condition(&text, false)],
    });
    json!({
        "request_id": REQUEST_ID, "time": 1, "summary": format!("refused: {text}"), "reason": text, "cause": text, "told": text,
        "generation": "g", "fix": text, "subject": text, "account": text, "issuer_entry": text, "nearest_identity": text,
        "scope": text, "asked": [text], "text": text, "claim": text, "expected": text, "actual": text,
        "presented": { "verified": true, "iss": text, "aud": [text], "kid": text, "alg": text, "typ": text, "exp": 1.5, "iat": 2 },
        "origin": { "sub": text, (text.clone()): text, "n": 7 },
        "decision": { "trace": [identity.clone(), identity] },
    })
}

fn draft(kind: &str) -> Value {
    let text = hostile();
    json!({ "instead": null, "draft": {
        "kind": kind, "account": "octo", "identity": "main", "summary": text, "yaml": text, "notes": [text],
        "document": { "name": "main", "issuer": text, "claims": { (text.clone()): [text] } }, "etag": "\"7\"",
    } })
}

fn dry_run() -> Value {
    let verdict = json!({ "request": hostile(), "before": hostile(), "after": hostile() });
    json!({ "findings": [], "effect": { "newly_allowed": [verdict], "newly_denied": [] } })
}

fn api(draft: Value) -> FakeApi {
    let text = hostile();
    let group = json!({ "count": 3, "first": 1, "last": 2, "request_id": REQUEST_ID, "summary": text, "reason": text, "account": text });
    let groups = json!({ "items": [group], "next": null, "left_out": 2 });
    FakeApi::default()
        .on(Method::Get, "/denials?group_by=reason%2Caccount%2Cidentity%2Ccondition", 200, groups)
        .on(Method::Get, "/denials", 200, json!({ "items": [denial()], "next": REQUEST_ID }))
        .on(Method::Get, &format!("/denials/{REQUEST_ID}"), 200, denial())
        .on(Method::Get, &format!("/denials/{REQUEST_ID}/draft"), 200, draft)
        .on(Method::Post, "/service-accounts/octo/identities?dry_run=true", 200, dry_run())
        .on(Method::Put, "/service-accounts/octo/identities/main?dry_run=true", 200, dry_run())
}

#[actix_web::test]
async fn c152_every_page_of_denials_escapes_what_strangers_wrote() {
    for draft in [draft("add"), draft("change"), json!({ "draft": null, "instead": hostile() })] {
        let browser = Browser::admin(api(draft)).await;
        for path in [LIST, &format!("{LIST}?view=each"), &page_path(), &format!("{}/allow", page_path())] {
            let page = browser.get(path).await;
            assert_eq!(page.status, 200, "{path}: {}", page.body);
            page.assert_sound();
        }
    }
}

#[actix_web::test]
async fn a_trace_opens_the_nearest_identity_and_marks_where_the_texts_differ() {
    let page = Browser::admin(api(draft("add"))).await.get(&page_path()).await.body;
    assert_eq!(page.matches("<details class=\"trace\" open>").count(), 1);
    assert_eq!(page.matches("<details class=\"trace\"").count(), 2);
    assert!(page.contains("<mark>a</mark>") && page.contains("<mark>b</mark>"), "{page}");
    assert_eq!(page.matches("<tr class=\"fault\">").count(), 2, "the first that fails of each");
    assert!(page.contains(">Allow this</a>"));
    let page = Browser::admin(api(json!({ "draft": null, "instead": "do this" }))).await.get(&page_path()).await.body;
    assert!(page.contains("do this") && !page.contains(">Allow this</a>"));
}

#[actix_web::test]
async fn a_group_leads_to_its_requests_and_a_filter_stays_in_the_links() {
    let browser = Browser::admin(FakeApi::default().on(Method::Get, "/denials", 200, json!({
        "items": [{ "count": 3, "first": 1, "last": 2, "request_id": REQUEST_ID, "summary": "refused: x", "reason": "r", "account": "a b" }],
        "next": null, "left_out": 0,
    })))
    .await;
    let page = browser.get(&format!("{LIST}?issuer=git+hub&account=")).await.body;
    assert!(
        page.contains("href=\"/console/denials?view=each&#38;account=a+b&#38;issuer=git+hub&#38;reason=r\""),
        "{page}"
    );
    assert!(page.contains("href=\"/console/denials?view=each&#38;issuer=git+hub\""), "the other view: {page}");
    assert_eq!(browser.get(&format!("{LIST}?colour=red")).await.status, 400);
}

#[actix_web::test]
async fn an_empty_list_says_what_would_be_there() {
    let empty =
        || FakeApi::default().on(Method::Get, "/denials", 200, json!({ "items": [], "next": null, "left_out": 0 }));
    assert!(Browser::admin(empty()).await.get(LIST).await.body.contains("No request was refused"));
    assert!(Browser::admin(empty()).await.get(&format!("{LIST}?account=x")).await.body.contains("Show all"));
}

#[actix_web::test]
async fn the_button_makes_what_the_page_shows() {
    for (kind, method, target, etag) in [
        ("add", Method::Post, "/service-accounts/octo/identities", None),
        ("change", Method::Put, "/service-accounts/octo/identities/main", Some("\"7\"")),
    ] {
        let api = api(draft(kind)).on(method, target, 200, json!({ "name": "main" }));
        let browser = Browser::admin(api).await;
        let page = browser.get(&format!("{}/allow", page_path())).await;
        assert!(page.body.contains("1 newly allowed, 0 newly denied"), "{}", page.body);
        let tried = browser.changes().remove(0);
        assert_eq!((tried.method, tried.if_match.as_deref()), (method, etag));
        let document = json!({ "name": "main", "issuer": "github" }).to_string();
        let fields =
            [("kind", kind), ("account", "octo"), ("name", "new name"), ("etag", "\"7\""), ("document", &document)];
        let answer = browser.post(&format!("{}/allow", page_path()), &fields).await;
        assert_eq!(
            (answer.status, answer.location.as_str()),
            (303, "/console/service-accounts/octo"),
            "{}",
            answer.body
        );
        let made = browser.changes().pop().unwrap();
        assert_eq!((made.method, made.target.as_str(), made.if_match.as_deref()), (method, target, etag));
        let name = if kind == "add" { "new name" } else { "main" };
        assert_eq!(made.body, json!({ "name": name, "issuer": "github" }), "the name of a new identity can be chosen");
    }
}

#[actix_web::test]
async fn a_change_that_is_refused_says_why_and_can_be_tried_again() {
    let text = hostile();
    let refused = json!({ "detail": "somebody else changed it", "request_id": REQUEST_ID, "findings": [
        { "severity": "error", "pointer": "/name", "message": text, "help": text }] });
    let api = api(draft("add")).on(Method::Post, "/service-accounts/octo/identities", 422, refused);
    let browser = Browser::admin(api).await;
    let fields = [("kind", "add"), ("account", "octo"), ("name", "typed"), ("document", "{}")];
    let page = browser.post(&format!("{}/allow", page_path()), &fields).await;
    assert_eq!(page.status, 422);
    page.assert_sound();
    assert!(page.body.contains("<a href=\"#name\">") && page.body.contains("value=\"typed\""), "{}", page.body);
    assert!(page.body.contains("somebody else changed it") && page.body.contains(REQUEST_ID));
}

#[actix_web::test]
async fn a_file_s_account_and_a_reader_get_no_button() {
    let mut of_file = draft("add");
    of_file["draft"]["file"] = json!(hostile());
    let page = Browser::admin(api(of_file)).await.get(&format!("{}/allow", page_path())).await;
    page.assert_sound();
    assert!(!page.body.contains("Add identity") && page.body.contains("id=\"yaml\""));
    let page = Browser::reader(api(draft("add"))).await.get(&format!("{}/allow", page_path())).await.body;
    assert!(!page.contains("Add identity"));
}
