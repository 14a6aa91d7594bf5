//! Service accounts, identities, API keys, teams and APIs, managed by a person in the console.

use crate::support::*;
use serde_json::json;
use sts_testkit::{Key, Request, Response, Server, WebClient, hidden_field};

const LIST: &str = "/console/service-accounts";
const GITHUB: &str = "https://token.actions.githubusercontent.com";

fn server() -> Server {
    let github = json!({ "issuer": GITHUB, "jwks": Key::set(&[&KEYS.es256]) });
    Server::start_in(STS, world_site(&world().with("issuers/github", github)))
}

/// Sends the form of `page` back to it, with the tag that the page has.
fn submit(person: &mut WebClient, page: &str, fields: &[(&str, &str)]) -> Response {
    let etag = hidden_field(&person.get(page).text(), "etag").unwrap_or_default().replace("&#34;", "\"");
    let mut all = vec![("etag", &*etag)];
    all.extend_from_slice(fields);
    person.submit(page, page, &all)
}

fn assert_done(answer: &Response, path: &str) {
    assert_eq!((answer.status, answer.header("location")), (303, Some(path)), "{}", answer.text());
}

fn create(person: &mut WebClient, username: &str) {
    let fields = [("username", username), ("display_name", "A bot"), ("teams", "deployers")];
    let answer = submit(person, "/console/new/service-account", &fields);
    assert_done(&answer, &format!("{LIST}/{username}"));
}

#[test]
fn an_account_made_in_the_console_gets_tokens_by_the_identity_made_there() {
    let server = server();
    let mut person = WebClient::signed_in(&server);
    create(&mut person, "bot");
    let new = format!("{LIST}/bot/new-identity");
    let fields = [("issuer", "plain"), ("name", "main branch"), ("subject", "svc:bot"), ("scopes", "releases:read")];
    invalid(&server.exchange(&token("svc:bot"), &[]), "not_authorized");
    let checked = person.submit(&new, &new, &[&fields[..], &[("action", "check")]].concat());
    assert!(
        checked.status == 200 && checked.text().contains("2 of 5 tokens get in, 0 of others."),
        "{}",
        checked.text()
    );
    invalid(&server.exchange(&token("svc:bot"), &[]), "not_authorized");
    assert_done(&person.submit(&new, &new, &fields), &format!("{LIST}/bot/identities/main%20branch"));
    let minted = granted(&server.exchange(&token("svc:bot"), &[]));
    assert_eq!(minted["scope"], "releases:read");

    let page = person.get(&format!("{LIST}/bot")).text();
    for shown in ["main branch", "svc:bot", "deployments:create", "Granted", "A bot", "managed, revision"] {
        assert!(page.contains(shown), "{shown} is not on: {page}");
    }
    // Its recent token is tried on each change of the identity.
    let page = person.get(&format!("{LIST}/bot/identities/main%20branch")).text();
    assert!(page.contains("Recent tokens") && page.contains("svc:bot"), "{page}");
}

#[test]
fn a_disabled_account_gets_nothing_and_a_deleted_one_is_gone() {
    let server = server();
    let mut person = WebClient::signed_in(&server);
    create(&mut person, "bot");
    let new = format!("{LIST}/bot/new-identity");
    let answer = person.submit(&new, &new, &[("issuer", "plain"), ("name", "main"), ("subject", "svc:bot")]);
    assert_eq!(answer.status, 303, "{}", answer.text());
    granted(&server.exchange(&token("svc:bot"), &[]));

    let page = format!("{LIST}/bot");
    let etag = hidden_field(&person.get(&page).text(), "etag").unwrap().replace("&#34;", "\"");
    let disable = [("etag", &*etag), ("enabled", "false")];
    assert_done(&person.submit(&page, &format!("{page}/enabled"), &disable), &page);
    invalid(&server.exchange(&token("svc:bot"), &[]), "not_authorized");
    // The same button of an old page changes nothing.
    let stale = person.submit(&page, &format!("{page}/enabled"), &[("etag", &*etag), ("enabled", "true")]);
    assert_eq!(stale.status, 412, "{}", stale.text());
    assert!(stale.text().contains("The service account was not enabled."));

    let delete = format!("{page}/delete");
    assert!(person.get(&delete).text().contains("live token"));
    assert_eq!(submit(&mut person, &delete, &[("name", "other")]).status, 422);
    assert_done(&submit(&mut person, &delete, &[("name", "bot")]), LIST);
    assert_eq!(person.get(&page).status, 404);
}

#[test]
fn a_change_meanwhile_is_shown_and_not_overwritten() {
    let server = server();
    let mut person = WebClient::signed_in(&server);
    create(&mut person, "bot");
    let edit = format!("{LIST}/bot/edit");
    let open = person.get(&edit).text();
    let etag = hidden_field(&open, "etag").unwrap().replace("&#34;", "\"");
    let theirs = json!({ "spec": { "display_name": "Theirs" } }).to_string();
    let target = "/admin/v1/service-accounts/bot";
    let theirs = Request::new("PATCH", target).body("application/merge-patch+json", theirs).header("If-Match", &etag);
    assert_eq!(server.send_admin(theirs).status, 200);

    let mine = [
        ("etag", &*etag),
        ("before.display_name", "A bot"),
        ("display_name", "Mine"),
        ("before.teams", "deployers"),
        ("teams", "deployers"),
    ];
    let answer = person.submit(&edit, &edit, &mine);
    assert_eq!(answer.status, 412, "{}", answer.text());
    let page = answer.text();
    assert!(
        page.contains("value=\"Mine\"") && page.contains("Theirs") && page.contains("Changed meanwhile."),
        "{page}"
    );
    let display_name = || server.send_admin(Request::get(target)).json()["spec"]["display_name"].clone();
    assert_eq!(display_name(), "Theirs");
    let again = [
        ("before.display_name", "Theirs"),
        ("display_name", "Mine"),
        ("before.teams", "deployers"),
        ("teams", "deployers"),
    ];
    assert_done(&submit(&mut person, &edit, &again), &format!("{LIST}/bot"));
    assert_eq!(display_name(), "Mine");
}

#[test]
fn an_account_of_a_file_is_shown_with_its_file_and_has_no_form() {
    let server = server();
    let mut person = WebClient::signed_in(&server);
    let page = person.get(&format!("{LIST}/octo")).text();
    assert!(page.contains("sts.yaml") && page.contains("team "), "{page}");
    assert!(!page.contains("Disable service account") && !page.contains("/edit\""), "{page}");
    let edit = person.get(&format!("{LIST}/octo/edit"));
    assert_eq!((edit.status, edit.header("location")), (303, Some("/console/service-accounts/octo")));
    let forced = person.submit(&format!("{LIST}/octo"), &format!("{LIST}/octo/edit"), &[("display_name", "x")]);
    assert_eq!(forced.status, 409, "{}", forced.text());
}

#[test]
fn a_list_is_searched_and_has_pages() {
    let mut config = world();
    for index in 0..130 {
        let spec = json!({ "display_name": format!("Number {index}"), "teams": ["deployers"] });
        config = config.with(&format!("service_accounts/robot-{index:03}"), spec);
    }
    let server = Server::start_in(STS, world_site(&config));
    let mut person = WebClient::signed_in(&server);
    let first = person.get(&format!("{LIST}?q=robot&team=deployers")).text();
    assert!(first.contains("robot-000") && first.contains("robot-099") && !first.contains("robot-100"));
    let next = first.split("href=\"").filter_map(|rest| rest.split('"').next()).find(|href| href.contains("after="));
    let next = next.unwrap().replace("&#38;", "&").replace("&amp;", "&");
    let second = person.get(&next).text();
    assert!(second.contains("robot-100") && second.contains("robot-129") && !second.contains("robot-099"));
    assert!(person.get(&format!("{LIST}?q=nobody-has-this")).text().contains("Show all"));
}

#[test]
fn an_identity_that_strangers_meet_is_refused_beside_its_field_with_a_strangers_subject() {
    let server = server();
    let mut person = WebClient::signed_in(&server);
    create(&mut person, "bot");
    let new = format!("{LIST}/bot/new-identity");
    let wide = [("issuer", "github"), ("name", "wide"), ("subject", "repo:acme*")];
    for action in ["check", ""] {
        let answer = person.submit(&new, &new, &[&wide[..], &[("action", action)]].concat());
        let page = answer.text();
        assert_eq!(answer.status, if action.is_empty() { 422 } else { 200 }, "{page}");
        assert!(page.contains("aria-invalid=\"true\"") && page.contains("It would accept"), "{page}");
    }
    let right = [
        ("issuer", "github"),
        ("name", "main"),
        ("github.repository", "acme/app"),
        ("github.repository_id", "1"),
        ("github.ref", "refs/heads/main"),
        ("github.environment", "production"),
        ("action", "check"),
    ];
    let page = person.submit(&new, &new, &right).text();
    for shown in
        ["a pull request", "another branch", "the repository of another owner", ", 0 of others.", "id-token: write"]
    {
        assert!(page.contains(shown), "{shown} is not on: {page}");
    }
}

#[test]
fn an_api_key_is_shown_once_works_and_ends_when_it_is_revoked() {
    let server = server();
    let mut person = WebClient::signed_in(&server);
    create(&mut person, "bot");
    let new = format!("{LIST}/bot/new-api-key");
    let refused = person.submit(&new, &new, &[("name", "build"), ("ttl", "900d")]);
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("aria-invalid=\"true\"") || refused.text().contains("ttl"), "{}", refused.text());
    let shown = person.submit(&new, &new, &[("name", "build"), ("ttl", "1d"), ("scopes", "releases:read")]);
    assert_eq!((shown.status, shown.header("cache-control")), (200, Some("no-store")));
    let page = shown.text();
    let key = page.split("id=\"key\">").nth(1).and_then(|rest| rest.split('<').next()).unwrap();
    assert!(key.starts_with("sts_") && key.len() == 58, "{key}");
    let request = || {
        let form = [("grant_type", "client_credentials"), ("client_id", "bot"), ("client_secret", key)];
        server.send(&Request::post_form("/token", &form))
    };
    assert_eq!(granted(&request())["scope"], "releases:read");
    let account = person.get(&format!("{LIST}/bot")).text();
    assert!(account.contains("build") && !account.contains(key));
    let revoke = format!("{LIST}/bot/api-keys/{}/revoke", &key[4..16]);
    assert_done(&person.submit(&revoke, &revoke, &[]), &format!("{LIST}/bot"));
    assert_eq!(request().status, 401);
}

#[test]
fn teams_and_apis_are_made_changed_and_deleted_and_one_in_use_says_so() {
    let site = world_site(&world().with("manage/kinds", json!(["apis", "teams", "service_accounts"])));
    let server = Server::start_in(STS, site);
    let mut person = WebClient::signed_in(&server);
    let api = [("name", "store"), ("audience", "https://store.example"), ("scopes", "goods:read goods:write")];
    assert_done(&submit(&mut person, "/console/new/api", &api), "/console/apis/store");
    let team = [("name", "buyers"), ("grants", "store: goods:read")];
    assert_done(&submit(&mut person, "/console/new/team", &team), "/console/teams/buyers");
    let bot = [("username", "bot"), ("teams", "buyers")];
    assert_done(&submit(&mut person, "/console/new/service-account", &bot), "/console/service-accounts/bot");
    let wrong = submit(&mut person, "/console/new/team", &[("name", "none"), ("grants", "store: goods:burn")]);
    assert_eq!(wrong.status, 422);
    assert!(wrong.text().contains("href=\"#grants\""), "{}", wrong.text());

    let page = person.get("/console/teams/buyers/delete").text();
    assert!(page.contains("It cannot be deleted now.") && !page.contains("Delete team"), "{page}");
    let wider = [("before.grants", "store: goods:read"), ("grants", "store: goods:read goods:write")];
    assert_done(&submit(&mut person, "/console/teams/buyers/edit", &wider), "/console/teams/buyers");
    assert!(person.get("/console/service-accounts/bot").text().contains("goods:write"));
    assert_done(&submit(&mut person, "/console/service-accounts/bot/delete", &[("name", "bot")]), LIST);
    assert_done(&submit(&mut person, "/console/teams/buyers/delete", &[("name", "buyers")]), "/console/teams");
}

#[test]
fn what_a_form_did_is_said_once() {
    let server = server();
    let mut person = WebClient::signed_in(&server);
    let answer = submit(&mut person, "/console/new/service-account", &[("username", "bot")]);
    let notice = answer.headers.iter().find(|(_, value)| value.starts_with("__Host-sts-notice=")).unwrap();
    let pair = notice.1.split(';').next().unwrap().to_owned();
    let session = format!("__Host-sts-console={}; {pair}", person.session.clone().unwrap());
    let page = sts_testkit::send(server.admin(), &Request::get(&format!("{LIST}/bot")).header("Cookie", &session));
    assert!(page.text().contains("role=\"status\"") && page.text().contains("Created the service account bot."));
    let taken =
        page.headers.iter().any(|(_, value)| value.starts_with("__Host-sts-notice=;") && value.contains("Max-Age=0"));
    assert!(taken, "{page:?}");
}

#[test]
fn what_a_person_tries_in_a_form_is_no_refused_request_of_the_audit_trail() {
    let server = server();
    let mut person = WebClient::signed_in(&server);
    create(&mut person, "bot");
    let page = "/console/service-accounts/bot/new-identity";
    let broad = [("issuer", "github"), ("name", "all"), ("subject", "repo:*")];
    for action in ["check", "effect"] {
        let tried = submit(&mut person, page, &[&broad[..], &[("action", action)]].concat());
        assert!(tried.text().contains("subject"), "{}", tried.text());
    }
    let refused = submit(&mut person, page, &broad);
    assert_eq!(refused.status, 422, "{}", refused.text());
    let id = refused.header("x-request-id").unwrap();
    let of_event = |line: &str| line.contains("\"request_refused\"");
    server.lines().wait("the event", |line| (of_event(line) && line.contains(id)).then_some(()));
    let text = server.lines().text();
    assert_eq!(text.lines().filter(|line| of_event(line)).count(), 1, "{text}");
}
