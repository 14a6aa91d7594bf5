use serde_json::{Value, json};

use crate::Method;
use crate::testing::{Browser, FakeApi, REQUEST_ID, hostile};

const ALL: &str = "/service-accounts/octo/identities";
const ONE: &str = "/service-accounts/octo/identities/main%20branch";
const NEW: &str = "/console/service-accounts/octo/new-identity";
const PAGE: &str = "/console/service-accounts/octo/identities/main%20branch";

fn identity() -> Value {
    let text = hostile();
    json!({ "name": "main branch", "issuer": "github", "github": { "repository": text, "environment": text },
        "claims": { (text.clone()): text }, "audience": [text], "replay": "once" })
}

fn presets() -> Value {
    let text = hostile();
    let member = |name: &str| json!({ "name": name, "claim": name });
    json!({ "presets": [
            { "name": "github-actions", "title": text, "key": "github", "sample": {}, "issuers": ["github"],
              "members": [member("repository"), member("environment"), member("sha")] },
            { "name": "gitlab", "title": "GitLab", "key": "gitlab", "sample": {}, "issuers": ["gitlab"],
              "members": [member("project_path")] },
        ], "without": [text] })
}

fn admissions() -> Value {
    let text = hostile();
    let condition = |holds: bool| json!({ "on": text, "expected": text, "actual": text, "holds": holds, "hint": text });
    let token = |kind: &str, admitted: bool| json!({ "kind": kind, "name": text, "subject": text, "admitted": admitted, "conditions": [condition(admitted)] });
    json!({ "items": [token("sample", true), token("attack", false), token("attack", true), token("recent", true)] })
}

fn problem(pointer: &str) -> Value {
    let text = hostile();
    json!({ "detail": text, "request_id": REQUEST_ID, "findings":
        [{ "severity": "unsafe", "pointer": pointer, "message": text, "help": text, "witness": text }] })
}

fn api_of(source: &str) -> FakeApi {
    let account = json!({ "kind": "service-accounts", "name": "octo", "spec": {}, "source": source, "revision": 7 });
    FakeApi::default()
        .on(Method::Get, "/presets", 200, presets())
        .on(Method::Get, "/config", 200, json!({ "issuer": "https://sts.example" }))
        .on(
            Method::Get,
            "/issuers/github",
            200,
            json!({ "kind": "issuers", "name": "github", "spec": {}, "source": "file" }),
        )
        .on(Method::Get, "/service-accounts/octo", 200, account)
        .on(Method::Get, ONE, 200, identity())
        .on(Method::Get, "/tokens", 200, json!({ "tokens": [], "next": null }))
}

fn api() -> FakeApi {
    api_of("managed").on(Method::Post, "/admissions", 200, admissions())
}

#[actix_web::test]
async fn every_page_of_an_identity_escapes_what_strangers_wrote() {
    let dry_run = json!({ "findings": [], "effect": { "newly_allowed": [], "newly_denied": [] } });
    let browser = Browser::admin(api().on(Method::Delete, ONE, 200, dry_run)).await;
    for path in [NEW, PAGE, &format!("{PAGE}/delete")] {
        let page = browser.get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        page.assert_sound();
    }
    let text = hostile();
    for action in ["fields", "check"] {
        let fields = [
            ("issuer", "github"),
            ("name", &*text),
            ("github.repository", &text),
            ("claims", &text),
            ("action", action),
        ];
        let page = browser.post(NEW, &fields).await;
        assert_eq!(page.status, 200, "{}", page.body);
        page.assert_sound();
    }
}

#[actix_web::test]
async fn the_fields_are_those_of_the_issuers_platform() {
    let browser = Browser::admin(api()).await;
    let page = browser.post(NEW, &[("issuer", "gitlab"), ("name", "x"), ("action", "fields")]).await.body;
    assert!(page.contains("id=\"gitlab.project_path\"") && !page.contains("id=\"github.repository\""), "{page}");
    assert!(page.contains(">Project path"), "{page}");
    assert!(page.contains("value=\"x\""), "what was typed stays");
}

#[actix_web::test]
async fn who_gets_in_is_what_the_api_judges_of_the_draft() {
    let browser = Browser::admin(api()).await;
    let fields = [("issuer", "github"), ("name", "main"), ("github.repository", "o/r"), ("action", "check")];
    let page = browser.post(NEW, &fields).await;
    let draft = json!({ "name": "main", "issuer": "github", "github": { "repository": "o/r" } });
    let asked = &browser.changes()[0];
    assert_eq!((asked.target.as_str(), &asked.body), ("/admissions", &json!({ "account": "octo", "identity": draft })));
    assert!(page.body.contains("3 of 4 tokens get in, 1 of others."), "{}", page.body);
}

#[actix_web::test]
async fn a_refused_draft_shows_its_finding_at_the_field_with_a_strangers_subject() {
    let api = api_of("managed").on(Method::Post, "/admissions", 422, problem("/identity/github/repository"));
    let page = Browser::admin(api).await;
    let page = page.post(NEW, &[("issuer", "github"), ("github.repository", "*"), ("action", "check")]).await;
    assert_eq!(page.status, 200);
    page.assert_sound();
    let field = page.body.split("<input id=\"github.repository\"").nth(1).unwrap();
    assert!(field.split('>').next().unwrap().contains("aria-invalid"));
    assert!(page.body.contains("It would accept"));
}

#[actix_web::test]
async fn an_identity_is_created_as_it_was_typed_and_a_refusal_keeps_it() {
    let browser = Browser::admin(api().on(Method::Post, ALL, 201, json!({ "name": "main branch" }))).await;
    let fields = [
        ("issuer", "github"),
        ("name", "main branch"),
        ("github.repository", "o/r"),
        ("claims", "repository_owner_id: \"65\"\r\nrun_attempt: 1"),
        ("scopes", "a:b c"),
    ];
    let answer = browser.post(NEW, &fields).await;
    assert_eq!((answer.status, answer.location.as_str()), (303, PAGE), "{}", answer.body);
    let expected = json!({ "name": "main branch", "issuer": "github", "github": { "repository": "o/r" },
        "claims": { "repository_owner_id": "65", "run_attempt": 1 }, "scopes": ["a:b", "c"] });
    assert_eq!(browser.changes()[0].body, expected);

    let browser = Browser::admin(api().on(Method::Post, ALL, 422, problem("/subject"))).await;
    let page = browser.post(NEW, &fields).await;
    assert_eq!(page.status, 422);
    assert!(page.body.contains("href=\"#subject\"") && page.body.contains("value=\"o/r\""));
}

#[actix_web::test]
async fn a_change_is_of_the_state_that_was_shown_and_keeps_the_rest() {
    let answered = json!({ "name": "main branch" });
    let browser = Browser::admin(api().on(Method::Put, ONE, 200, answered)).await;
    let fields = [
        ("etag", "\"a\""),
        ("issuer", "github"),
        ("before.issuer", "github"),
        ("name", "main branch"),
        ("before.name", "main branch"),
        ("ttl", "5m"),
    ];
    let answer = browser.post(PAGE, &fields).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let sent = &browser.changes()[0];
    let mut expected = identity();
    expected["ttl"] = json!("5m");
    assert_eq!((sent.if_match.as_deref(), &sent.body), (Some("\"a\""), &expected));
}

#[actix_web::test]
async fn a_change_by_somebody_else_is_shown_beside_ones_own() {
    let browser = Browser::admin(api().on(Method::Put, ONE, 412, problem("/x"))).await;
    let fields = [
        ("etag", "\"a\""),
        ("issuer", "github"),
        ("before.github.environment", "old"),
        ("github.environment", "mine"),
        ("before.ttl", "1m"),
        ("ttl", "1m"),
    ];
    let page = browser.post(PAGE, &fields).await;
    assert_eq!(page.status, 412);
    page.assert_sound();
    assert!(page.body.contains("Changed meanwhile.") && page.body.contains("value=\"mine\""));
}

#[actix_web::test]
async fn an_identity_of_a_file_is_shown_and_has_no_form() {
    let api = api_of("file").on(Method::Post, "/admissions", 200, admissions());
    let page = Browser::admin(api).await.get(PAGE).await.body;
    assert!(!page.contains("Save identity") && page.contains("Who gets in") && page.contains("id=\"snippet\""));
    let page = Browser::reader(self::api()).await.get(PAGE).await.body;
    assert!(!page.contains("Save identity"));
}

#[actix_web::test]
async fn a_change_of_an_identity_of_several_issuers_keeps_them_all() {
    let mut several = identity();
    several["issuer"] = json!(["github", "gone"]);
    let api = api_of("managed").on(Method::Post, "/admissions", 200, admissions()).on(
        Method::Put,
        ONE,
        200,
        json!({ "name": "main branch" }),
    );
    let browser = Browser::admin(api.instead_of(Method::Get, ONE, 200, several.clone())).await;
    let page = browser.get(PAGE).await;
    let list = "[&#34;github&#34;,&#34;gone&#34;]";
    assert!(page.body.contains(&format!("<option value=\"{list}\" selected>github, gone</option>")), "{}", page.body);
    assert!(page.body.contains("id=\"github.repository\""), "the fields are those of the platform");
    // What a browser sends of a form that nobody touched.
    let sent = page.sent();
    let as_sent = |issuer: Option<&'static str>| {
        let field = |(name, value): &(String, String)| {
            let value = issuer.filter(|_| name == "issuer").map_or_else(|| value.clone(), str::to_owned);
            (name.clone(), value)
        };
        sent.iter().map(field).collect::<Vec<_>>()
    };
    let answer = browser.post_owned(PAGE, &as_sent(None)).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(browser.changes().last().unwrap().body, several);
    // Another value is written.
    browser.post_owned(PAGE, &as_sent(Some("gitlab"))).await;
    assert_eq!(browser.changes().last().unwrap().body["issuer"], json!("gitlab"));
}
