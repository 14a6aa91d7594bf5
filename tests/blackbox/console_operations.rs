//! What the console's pages of operations show and do: activity, refused requests, tokens, issuers, signing keys.

use crate::denial_drafts::{job, refusal, server};
use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Request, Response, Server, WebClient, hidden_field};

fn activity(server: &Server, query: &str) -> Value {
    let answer = server.send_admin(Request::get(&format!("/admin/v1/activity{query}")));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn activity_counts_what_was_granted_and_what_was_refused_by_reason() {
    let server = Server::start_in(STS, world_site(&world()));
    granted(&server.exchange(&token("svc:octo"), &[]));
    granted(&server.exchange(&token("svc:octo"), &[]));
    invalid(&server.exchange(&token("svc:nobody"), &[]), "not_authorized");
    for (query, length, seconds) in
        [("", 60, 60), ("?period=hour", 60, 60), ("?period=day", 24, 3600), ("?period=week", 168, 3600)]
    {
        let told = activity(&server, query);
        let intervals = told["intervals"].as_array().unwrap();
        assert_eq!((intervals.len(), told["interval"].as_u64()), (length, Some(seconds)), "{query}");
        let sum = |pointer: &str| {
            intervals.iter().map(|interval| interval.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)).sum::<u64>()
        };
        assert_eq!((sum("/granted"), sum("/refused/not_authorized"), sum("/abandoned")), (2, 1, 0), "{query}");
        let starts: Vec<u64> = intervals.iter().map(|interval| interval["start"].as_u64().unwrap()).collect();
        assert!(starts.windows(2).all(|pair| pair[1] - pair[0] == seconds), "{starts:?}");
        let since = told["counted_since"].as_u64().unwrap();
        assert!((starts[0]..=starts[length - 1] + seconds).contains(&since));
    }
    let wrong = server.send_admin(Request::get("/admin/v1/activity?period=year"));
    assert_eq!((wrong.status, wrong.json()["reason"].clone()), (400, json!("request_malformed")));
}

/// A text that a browser would run, and that HTML writes otherwise.
const HOSTILE: &str = "<script>alert('x')</script>\"&";

fn page(person: &mut WebClient, target: &str) -> String {
    let page = person.get(target);
    assert_eq!(page.status, 200, "{target}: {}", page.text());
    let text = page.text();
    assert!(!text.contains("<script>"), "{target}: {text}");
    text
}

/// The page that a form leads to, which says `notice` once.
fn follow(person: &mut WebClient, answer: &Response, notice: &str) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text());
    let cookies: Vec<_> = answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")).collect();
    assert!(cookies.iter().any(|(_, value)| value.contains(&notice.replace(' ', "+"))), "{notice}: {cookies:?}");
    let target = answer.header("location").unwrap().to_owned();
    page(person, &target)
}

#[test]
fn a_refused_request_is_found_by_its_cause_and_allowed_by_one_button() {
    let server = server();
    let mut person = WebClient::signed_in(&server);
    let staging = || job(json!({ "sub": "repo:octo-org/octo-repo:environment:staging", "environment": "staging" }));
    let named = [("audience", "deploy-bot")];
    let id = refusal(&server, &staging(), &named, "not_authorized");
    refusal(&server, &staging(), &named, "not_authorized");
    refusal(&server, &job(json!({ "iat": 1, "exp": 2 })), &named, "token_expired");

    let groups = page(&mut person, "/console/denials");
    assert!(groups.contains("not_authorized") && groups.contains("token_expired"), "{groups}");
    let each = page(&mut person, "/console/denials?view=each&reason=not_authorized&account=deploy-bot");
    assert_eq!(each.matches("<th scope=\"row\"").count(), 2, "{each}");
    let refused = page(&mut person, &format!("/console/denials/{id}"));
    for part in ["<details class=\"trace\" open>", "environment", "deploy-bot/production", "staging", ">Allow this</a>"]
    {
        assert!(refused.contains(part), "{part}: {refused}");
    }

    let allow = format!("/console/denials/{id}/allow");
    let draft = page(&mut person, &allow);
    assert!(draft.contains("Change identity") && draft.contains("1 newly allowed, 0 newly denied"), "{draft}");
    assert!(server.exchange(&staging(), &named).status == 400, "looking at it changes nothing");
    let field = |name: &str| unescaped(&hidden_field(&draft, name).unwrap());
    let fields: Vec<(&str, String)> = ["kind", "account", "document", "etag"].map(|name| (name, field(name))).into();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let made = person.submit(&allow, &allow, &fields);
    assert_eq!(made.status, 303, "{}", made.text());
    assert_eq!(made.header("location"), Some("/console/service-accounts/deploy-bot"));
    granted(&server.exchange(&staging(), &named));
    // A second press is of a state that is gone.
    let again = person.submit("/console/denials", &allow, &fields);
    assert_eq!(again.status, 412, "{}", again.text());
    let stranger = job(json!({ "sub": "repo:evil/x:environment:production", "repository": "evil/x",
        "repository_owner": "evil", "repository_owner_id": "666" }));
    let id = refusal(&server, &stranger, &named, "not_authorized");
    let told = page(&mut person, &format!("/console/denials/{id}"));
    assert!(told.contains("another owner") && !told.contains(">Allow this</a>"), "{told}");
}

/// Undoes what HTML writes for characters of its own.
fn unescaped(text: &str) -> String {
    let marks = [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")];
    marks.iter().fold(text.to_owned(), |text, (written, meant)| text.replace(written, meant))
}

#[test]
fn a_form_of_another_session_and_a_reader_change_nothing() {
    let server = server();
    let person = WebClient::signed_in(&server);
    for target in ["/console/revoke-tokens", "/console/signing-keys/rotate", "/console/issuers/github/refresh"] {
        let forged = person.form(target, &[("csrf", "another"), ("account", "octo")]);
        assert_eq!(person.clone().send(forged).status, 403, "{target}");
        assert_eq!(WebClient::new(server.admin()).send(person.form(target, &[])).status, 401, "{target}");
    }
    granted(&server.exchange(&token("svc:octo"), &[("audience", "octo")]));
}

#[test]
fn tokens_are_revoked_alone_and_by_a_rule_that_is_counted_first() {
    let server = Server::start_in(STS, world_site(&world()));
    let mut person = WebClient::signed_in(&server);
    let tokens: Vec<String> = (0..3).map(|_| server.token(&token("svc:octo"), &[("audience", "octo")])).collect();
    let other = server.token(&token("svc:bare"), &[]);
    let active = |access: &str| server.introspect("deploy", DEPLOY_SECRET, access)["active"] == true;
    let list = page(&mut person, "/console/tokens?account=octo&issuer=plain");
    assert_eq!(list.matches("<th scope=\"row\"").count(), 3, "{list}");
    let jti = list.split("href=\"/console/tokens/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let one = format!("/console/tokens/{jti}");
    assert!(page(&mut person, &one).contains("svc:octo"));
    let revoked = person.submit(&one, &format!("{one}/revoke"), &[("reason", HOSTILE)]);
    let told = follow(&mut person, &revoked, "Revoked the token.");
    assert!(told.contains("console user admin link") && told.contains("&#60;script&#62;"), "{told}");
    assert_eq!(tokens.iter().filter(|token| active(token)).count(), 2);

    let rule = page(&mut person, "/console/revoke-tokens?account=octo");
    assert!(rule.contains(">Revoke 2 tokens</button>"), "{rule}");
    let revoked = person.submit(
        "/console/revoke-tokens?account=octo",
        "/console/revoke-tokens",
        &[("account", "octo"), ("reason", HOSTILE)],
    );
    let rules = follow(&mut person, &revoked, "Revoked 2 live tokens");
    assert!(rules.contains("&#60;script&#62;"), "{rules}");
    assert!(tokens.iter().all(|token| !active(token)));
    let undo = rules
        .split("action=\"")
        .find_map(|rest| rest.split('"').next().filter(|target| target.ends_with("/undo")))
        .unwrap()
        .to_owned();
    let undone = person.submit("/console/revocation-rules", &undo, &[]);
    follow(&mut person, &undone, "It covered 2 live tokens");
    assert_eq!(tokens.iter().filter(|token| active(token)).count(), 2, "those of the rule are active again");
    let unknown = page(&mut person, "/console/revoke-tokens?account=nobody-there");
    assert!(unknown.contains("nobody-there") && !unknown.contains("class=\"danger\""), "{unknown}");
    assert!(!other.is_empty());
}

#[test]
fn issuers_and_signing_keys_have_pages_that_act() {
    let server = Server::start_in(STS, world_site(&world()));
    let mut person = WebClient::signed_in(&server);
    let list = page(&mut person, "/console/issuers");
    assert!(list.contains("/console/issuers/plain") && list.contains("/console/issuers/off"), "{list}");
    let plain = page(&mut person, "/console/issuers/plain");
    assert!(plain.contains(PLAIN) && plain.contains("Keys fresh") && plain.contains("History of its keys"), "{plain}");
    let refreshed = person.submit("/console/issuers/plain", "/console/issuers/plain/refresh", &[]);
    assert!(refreshed.status == 303 || refreshed.text().contains("not refreshed"), "{}", refreshed.text());
    assert_eq!(person.get("/console/issuers/nobody-there").status, 404);

    let rotated = person.submit("/console/signing-keys", "/console/signing-keys/rotate", &[]);
    let keys = follow(&mut person, &rotated, "Made ");
    assert!(keys.contains("Next") && keys.contains("Signing"), "{keys}");
    let access = server.token(&token("svc:octo"), &[("audience", "octo")]);
    let kid = header(&access)["kid"].as_str().unwrap().to_owned();
    let withdraw = format!("/console/signing-keys/{kid}/withdraw");
    assert!(page(&mut person, &withdraw).contains("live token"));
    assert_eq!(person.submit(&withdraw, &withdraw, &[("kid", "another")]).status, 422);
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
    let done = person.submit(&withdraw, &withdraw, &[("kid", &kid), ("reason", "stolen")]);
    follow(&mut person, &done, "Withdrew the key");
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], false);
}

fn header(token: &str) -> Value {
    serde_json::from_slice(&sts_testkit::decode_base64url(token.split('.').next().unwrap()).unwrap()).unwrap()
}

#[test]
fn the_overview_charts_what_was_exchanged_and_names_what_wants_attention() {
    let server = Server::start_in(STS, world_site(&world()));
    let mut person = WebClient::signed_in(&server);
    assert!(page(&mut person, "/console/").contains("Nothing wants attention"));
    granted(&server.exchange(&token("svc:octo"), &[]));
    invalid(&server.exchange(&token("svc:nobody"), &[]), "not_authorized");
    let overview = page(&mut person, "/console/");
    for title in ["Last hour", "Last day", "Last week"] {
        assert!(
            overview.contains(&format!("aria-label=\"{title}: 1 granted, 1 not_authorized.\"")),
            "{title}: {overview}"
        );
    }
    // A configuration that does not load leaves the older one in force.
    server.site().write("sts.yaml", "issuer: [");
    server.signal("HUP");
    sts_testkit::until("the overview to tell", || page(&mut person, "/console/").contains("The configuration"));
    let ready = server.send_admin(Request::get("/admin/v1/health")).json();
    assert!(ready["ready"] == true && ready["configuration"].as_str().unwrap().contains("older one"), "{ready}");
}
