use serde_json::{Value, json};

use crate::Method;
use crate::testing::{Browser, FakeApi, REQUEST_ID, hostile};

const LIST: &str = "/console/service-accounts";
const PAGE: &str = "/console/service-accounts/octo";

fn account(source: Value) -> Value {
    let text = hostile();
    let mut object = json!({
        "kind": "service-accounts", "name": "octo",
        "spec": { "display_name": text, "description": text, "teams": [text, "deployers"], "grants": { (text.clone()): [text] },
            "ttl": text, "external_login": { "directory": text, "name": text }, "identities": [{ "name": text, "issuer": text, "subject": text, "claims": { (text.clone()): text } }, {}] },
    });
    object.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
    object
}

fn managed() -> Value {
    account(json!({ "source": "managed", "revision": 7, "updated_at": 1, "updated_by": hostile() }))
}

fn problem(detail: &str, pointer: &str) -> Value {
    let text = hostile();
    json!({
        "detail": detail, "request_id": REQUEST_ID,
        "findings": [{ "severity": "unsafe", "pointer": pointer, "message": text, "help": text, "witness": text }],
    })
}

fn dry_run() -> Value {
    let verdict = json!({ "request": hostile(), "before": hostile(), "after": hostile() });
    json!({ "findings": [], "effect": { "newly_allowed": [verdict], "newly_denied": [verdict] } })
}

fn team(name: &str, api: &str, scope: &str) -> Value {
    json!({ "kind": "teams", "name": name, "source": "file", "file": "a.yaml", "spec": { "grants": { (api): [scope] } } })
}

fn group_teams() -> Value {
    let text = hostile();
    json!({
        "directory": [{ "team": "operators", "directory": "corp", "group": text, "age_seconds": 42 }],
        "token": [{ "team": "readers", "issuer": "keycloak", "claim": "groups", "value": text }],
        "fault": text,
    })
}

/// An API with one account.
fn api(object: Value) -> FakeApi {
    let text = hostile();
    let key = json!({
        "id": "0123456789aB", "account": text, "name": text, "allow_from": [text], "scopes": [text], "state": "active",
        "created_at": 1, "created_by": text, "expires_at": 1_800_000_000, "last_used_at": 2, "last_used_from": text,
    });
    let denial = json!({
        "request_id": REQUEST_ID, "time": 1, "summary": text, "reason": text, "cause": text, "told": text,
        "generation": "g", "subject": text,
    });
    let token = json!({
        "jti": "j1", "token_digest": "01".repeat(32), "account": "octo", "api": "deploy", "audience": "https://deploy.example",
        "scope": ["deployments:create"], "claims": {}, "kid": "k", "generation": "g", "status_index": null, "iat": 1,
        "iat_millis": 0, "exp": 2, "request_id": REQUEST_ID, "state": "active",
        "identity": "main", "entry": "github", "issuer": "https://i.example", "subject": text, "subject_kid": null,
        "subject_jti_digest": null,
    });
    let teams = [
        team("deployers", "deploy", "deployments:create"),
        team("operators", "logs", "read"),
        team("readers", "metrics", "read"),
    ];
    FakeApi::default()
        .on(Method::Get, "/service-accounts", 200, json!({ "items": [object], "next": text }))
        .on(Method::Get, "/service-accounts/octo", 200, object)
        .on(Method::Get, "/service-accounts/octo/api-keys", 200, json!({ "items": [key], "next": null }))
        .on(Method::Get, "/teams?account=octo&limit=1000", 200, json!({ "items": teams, "next": null }))
        .on(Method::Get, "/service-accounts/octo/group-teams", 200, group_teams())
        .on(Method::Get, "/denials", 200, json!({ "items": [denial], "next": null }))
        .on(Method::Get, "/tokens", 200, json!({ "tokens": [token], "next": null }))
        .on(Method::Delete, "/service-accounts/octo?dry_run=true", 200, dry_run())
}

#[actix_web::test]
async fn c152_every_page_of_accounts_escapes_what_strangers_wrote() {
    let browser = Browser::admin(api(managed())).await;
    for path in [LIST, PAGE, "/console/new/service-account", &format!("{PAGE}/edit"), &format!("{PAGE}/delete")] {
        let page = browser.get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        page.assert_sound();
    }
    let form = browser.post("/console/new/service-account", &[("username", &hostile()), ("teams", &hostile())]).await;
    assert_eq!(form.status, 404, "the fake has no such answer");
    form.assert_sound();
}

#[actix_web::test]
async fn an_account_shows_who_gives_each_grant() {
    let page = Browser::admin(api(managed())).await.get(PAGE).await.body;
    let row = page.split("<tr>").find(|row| row.contains("deployments:create")).unwrap();
    assert!(row.contains("<bdi>deploy</bdi>") && row.contains("href=\"/console/teams/deployers\""), "{row}");
    assert!(page.contains("itself"));
    let row = |api: &str| page.split("<tr>").find(|row| row.contains(&format!("<bdi>{api}</bdi>"))).unwrap();
    assert!(row("logs").contains("<bdi>operators</bdi></a> by a group of its directory"), "{}", row("logs"));
    assert!(row("metrics").contains("<bdi>readers</bdi></a> if its token names the group"), "{}", row("metrics"));
    for part in
        ["of the directory corp, as it was 42 s ago", "a token of keycloak that has", "Its directory gives it no team"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(page.contains("<dt>External login</dt>") && page.contains(" in the directory "));
    assert!(page.contains("identity 2"), "an identity without a name has the one that the API gives it");
}

#[actix_web::test]
async fn an_account_of_a_file_shows_its_place_and_cannot_be_changed() {
    let file = account(json!({ "source": "file", "file": "accounts/octo.yaml", "line": 12 }));
    let page = Browser::admin(api(file)).await.get(PAGE).await.body;
    assert!(page.contains("accounts/octo.yaml:12"));
    assert!(!page.contains("Disable service account") && !page.contains("/edit\"") && !page.contains("/delete\""));
    let page = Browser::admin(api(managed())).await.get(PAGE).await.body;
    assert!(page.contains("Disable service account") && page.contains("revision 7"));
}

#[actix_web::test]
async fn a_reader_gets_no_form_of_a_change() {
    let browser = Browser::reader(api(managed())).await;
    let page = browser.get(PAGE).await.body;
    assert!(!page.contains("Disable service account") && !page.contains("/edit\"") && !page.contains("/delete\""));
    assert!(!browser.get(LIST).await.body.contains("New service account"));
    for path in ["/console/new/service-account", &format!("{PAGE}/edit"), &format!("{PAGE}/delete")] {
        assert_eq!(browser.get(path).await.status, 403, "{path}");
    }
}

#[actix_web::test]
async fn a_new_account_is_what_the_form_says() {
    let api = api(managed()).on(Method::Post, "/service-accounts", 201, managed());
    let browser = Browser::admin(api).await;
    let fields =
        [("username", " octo "), ("display_name", "Octo"), ("description", ""), ("teams", "deployers, readers,")];
    let answer = browser.post("/console/new/service-account", &fields).await;
    assert_eq!((answer.status, answer.location.as_str()), (303, PAGE), "{}", answer.body);
    assert!(answer.notice.starts_with("__Host-sts-notice=Created+the+service+account+octo."), "{}", answer.notice);
    let expected = json!({ "name": "octo", "spec": { "display_name": "Octo", "teams": ["deployers", "readers"] } });
    assert_eq!(browser.changes().last().unwrap().body, expected);
}

#[actix_web::test]
async fn a_finding_stands_at_its_field_and_in_the_summary_and_keeps_what_was_typed() {
    let refused = problem("2 errors", "/spec/teams/0");
    let browser = Browser::admin(api(managed()).on(Method::Post, "/service-accounts", 422, refused)).await;
    let page = browser.post("/console/new/service-account", &[("username", "octo"), ("teams", "no-such")]).await;
    assert_eq!(page.status, 422);
    page.assert_sound();
    assert!(page.body.contains("<a href=\"#teams\">"));
    let teams = page.body.split("<input id=\"teams\"").nth(1).unwrap().split('>').next().unwrap();
    assert!(teams.contains("aria-invalid") && teams.contains("value=\"no-such\""), "{teams}");
    assert!(page.body.contains(&format!("Request <code>{REQUEST_ID}</code>")));
}

#[actix_web::test]
async fn a_change_by_somebody_else_is_shown_and_not_overwritten() {
    let mut theirs = managed();
    theirs["revision"] = json!(8);
    theirs["spec"]["display_name"] = json!("theirs");
    theirs["spec"]["description"] = json!("also theirs");
    let api = api(theirs).on(Method::Patch, "/service-accounts/octo", 412, problem("somebody else", "/x"));
    let browser = Browser::admin(api).await;
    let fields = [
        ("etag", "\"7\""),
        ("before.display_name", "old"),
        ("display_name", "mine"),
        ("before.description", "old"),
        ("description", "old"),
    ];
    let page = browser.post(&format!("{PAGE}/edit"), &fields).await;
    assert_eq!(page.status, 412);
    page.assert_sound();
    let sent = &browser.changes()[0];
    assert_eq!((sent.if_match.as_deref(), &sent.body), (Some("\"7\""), &json!({ "spec": { "display_name": "mine" } })));
    assert!(page.body.contains("value=\"mine\"") && page.body.contains("<bdi class=\"mono\">theirs</bdi>"));
    assert!(page.body.contains("value=\"also theirs\""), "a field that was not touched follows");
    assert!(page.body.contains("name=\"etag\" value=\"&#34;8&#34;\""), "the next try is against what is shown");
}

#[actix_web::test]
async fn the_effect_of_a_change_is_shown_before_it_is_made() {
    let browser = Browser::admin(api(managed()).on(Method::Patch, "/service-accounts/octo", 200, dry_run())).await;
    let fields = [("etag", "\"7\""), ("before.teams", "a"), ("teams", ""), ("action", "check")];
    let page = browser.post(&format!("{PAGE}/edit"), &fields).await;
    page.assert_sound();
    assert_eq!(browser.changes()[0].target, "/service-accounts/octo?dry_run=true");
    assert!(page.body.contains("1 newly allowed, 1 newly denied"));
}

#[actix_web::test]
async fn an_account_is_disabled_by_its_tag() {
    let browser = Browser::admin(api(managed()).on(Method::Patch, "/service-accounts/octo", 200, managed())).await;
    let answer = browser.post(&format!("{PAGE}/enabled"), &[("etag", "\"7\""), ("enabled", "false")]).await;
    assert_eq!((answer.status, answer.location.as_str()), (303, PAGE));
    let sent = &browser.changes()[0];
    assert_eq!((sent.if_match.as_deref(), &sent.body), (Some("\"7\""), &json!({ "spec": { "enabled": false } })));
    let refused = api(managed()).on(Method::Patch, "/service-accounts/octo", 412, problem("somebody else", "/x"));
    let page = Browser::admin(refused).await.post(&format!("{PAGE}/enabled"), &[("enabled", "false")]).await;
    assert_eq!(page.status, 412);
    assert!(page.body.contains("The service account was not disabled.") && page.body.contains(REQUEST_ID));
}

#[actix_web::test]
async fn an_account_is_deleted_once_its_name_is_typed() {
    let browser = Browser::admin(api(managed()).on(Method::Delete, "/service-accounts/octo", 204, Value::Null)).await;
    let page = browser.get(&format!("{PAGE}/delete")).await;
    assert!(page.body.contains("<strong>1 live token</strong> and <strong>1 API key</strong>"), "{}", page.body);
    let wrong = browser.post(&format!("{PAGE}/delete"), &[("name", "oct"), ("etag", "\"7\"")]).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.body.contains("Nothing was deleted"));
    let answer = browser.post(&format!("{PAGE}/delete"), &[("name", "octo"), ("etag", "\"7\"")]).await;
    assert_eq!((answer.status, answer.location.as_str()), (303, LIST));
    let sent = browser.changes();
    let deletions: Vec<_> = sent.iter().filter(|sent| sent.target == "/service-accounts/octo").collect();
    assert_eq!((deletions.len(), deletions[0].if_match.as_deref()), (1, Some("\"7\"")));
}

#[actix_web::test]
async fn an_object_that_others_need_cannot_be_deleted_and_the_page_says_why() {
    let refused = problem("a team names it", "/x");
    let api = FakeApi::default().on(Method::Delete, "/service-accounts/octo?dry_run=true", 422, refused);
    let object = managed();
    let api = api
        .on(Method::Get, "/service-accounts/octo", 200, object)
        .on(Method::Get, "/tokens", 200, json!({ "tokens": [], "next": null }))
        .on(Method::Get, "/service-accounts/octo/api-keys", 200, json!({ "items": [], "next": null }));
    let page = Browser::admin(api).await.get(&format!("{PAGE}/delete")).await;
    page.assert_sound();
    assert!(page.body.contains("a team names it") && !page.body.contains("Delete service account"));
}

#[actix_web::test]
async fn a_list_says_what_would_be_there_and_what_filter_hides_it() {
    let empty = || FakeApi::default().on(Method::Get, "/service-accounts", 200, json!({ "items": [], "next": null }));
    let page = Browser::admin(empty()).await.get(LIST).await.body;
    assert!(page.contains("Create the first one"));
    let page = Browser::admin(empty()).await.get(&format!("{LIST}?q=x&team=&issuer=")).await.body;
    assert!(page.contains("Show all"));
}

#[actix_web::test]
async fn a_next_page_keeps_the_filter() {
    let list = json!({ "items": [managed()], "next": "a&b" });
    let browser = Browser::admin(FakeApi::default().on(Method::Get, "/service-accounts", 200, list)).await;
    let page = browser.get(&format!("{LIST}?team=deployers&after=a")).await.body;
    assert!(page.contains("href=\"/console/service-accounts?team=deployers&#38;after=a%26b\""), "{page}");
    assert!(page.contains("href=\"/console/service-accounts?team=deployers\">First page"), "{page}");
    assert_eq!(browser.get(&format!("{LIST}?colour=red")).await.status, 400);
}

#[actix_web::test]
async fn an_error_of_a_session_keeps_the_navigation_and_has_the_request_id() {
    let page = Browser::admin(FakeApi::default()).await.get(PAGE).await;
    assert_eq!(page.status, 404);
    assert!(page.body.contains("aria-label=\"Console\"") && page.body.contains(REQUEST_ID));
}

fn created_key() -> Value {
    let text = hostile();
    json!({
        "id": "0123456789aB", "account": "octo", "name": text, "allow_from": [], "state": "active", "created_at": 1,
        "created_by": text, "expires_at": 1_800_000_000, "last_used_at": null, "last_used_from": null, "key": "sts_the_secret",
    })
}

#[actix_web::test]
async fn a_key_is_shown_once_on_the_answer_to_its_form() {
    let browser =
        Browser::admin(api(managed()).on(Method::Post, "/service-accounts/octo/api-keys", 201, created_key())).await;
    let form = browser.get(&format!("{PAGE}/new-api-key")).await;
    form.assert_sound();
    let fields = [("name", "build"), ("ttl", "30d"), ("scopes", "a:b c"), ("allow_from", "10.0.0.0/8, 192.0.2.1")];
    let page = browser.post(&format!("{PAGE}/new-api-key"), &fields).await;
    assert_eq!(page.status, 200);
    page.assert_sound();
    assert_eq!(page.body.matches("sts_the_secret").count(), 1);
    assert!(page.body.contains("I have stored it"));
    let expected =
        json!({ "name": "build", "ttl": "30d", "scopes": ["a:b", "c"], "allow_from": ["10.0.0.0/8", "192.0.2.1"] });
    assert_eq!(browser.changes()[0].body, expected);
    assert!(!browser.get(PAGE).await.body.contains("sts_the_secret"));
}

#[actix_web::test]
async fn a_refused_key_says_why_at_its_field() {
    let refused = problem("too long", "/ttl");
    let browser =
        Browser::admin(api(managed()).on(Method::Post, "/service-accounts/octo/api-keys", 422, refused)).await;
    let page = browser.post(&format!("{PAGE}/new-api-key"), &[("name", "n"), ("ttl", "9999d")]).await;
    assert_eq!(page.status, 422);
    page.assert_sound();
    assert!(page.body.contains("href=\"#ttl\"") && page.body.contains("value=\"9999d\""));
}

#[actix_web::test]
async fn a_key_is_revoked_after_a_question() {
    let path = format!("{PAGE}/api-keys/0123456789aB/revoke");
    let browser = Browser::admin(api(managed()).on(
        Method::Delete,
        "/service-accounts/octo/api-keys/0123456789aB",
        204,
        Value::Null,
    ))
    .await;
    let page = browser.get(&path).await;
    assert_eq!(page.status, 200, "{}", page.body);
    page.assert_sound();
    let answer = browser.post(&path, &[]).await;
    assert_eq!((answer.status, answer.location.as_str()), (303, PAGE));
    assert_eq!(browser.changes().last().unwrap().method, Method::Delete);
    assert_eq!(browser.get(&format!("{PAGE}/api-keys/zzzzzzzzzzzz/revoke")).await.status, 404);
}
