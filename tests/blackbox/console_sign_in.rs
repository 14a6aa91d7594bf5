//! Sign-in to the console at an OpenID provider, and what must not sign anybody in.

use crate::redis::shared_world;
use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{
    Config, OpenIdProvider, RedisServer, Request, Response, Server, ShiftedClock, Site, WebClient, base64url, form,
    hmac, send, until,
};

const CLIENT: &str = "sts console";
const SECRET: &str = "a secret: with+odd%41 &characters=in";

fn provider() -> OpenIdProvider {
    OpenIdProvider::start(CLIENT, Some(SECRET))
}

/// `base` with a console that admits the administrators and readers of `provider`.
fn with_console(base: Config, provider: &OpenIdProvider) -> Config {
    let console = json!({
        "issuer": provider.url(),
        "client_id": CLIENT,
        "client_secret_file": "client.secret",
        "admin": { "groups": "sts-admins" },
        "read": { "email": "*@example.com", "email_verified": true },
    });
    base.with("console", console)
}

fn site(config: &Config) -> Site {
    let site = world_site(config);
    site.write("client.secret", SECRET);
    site
}

fn server(provider: &OpenIdProvider) -> Server {
    Server::start_in(STS, site(&with_console(world(), provider)))
}

fn ada() -> Value {
    json!({ "sub": "ada-7", "email": "ada@example.com", "email_verified": true, "groups": ["staff", "sts-admins"] })
}

fn is_in(client: &mut WebClient) -> bool {
    client.get("/console/").status == 200
}

/// A page with that status that signs nobody in, and its text.
fn refused(client: &mut WebClient, answer: &Response, status: u16) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(client.session, None, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.text().contains(answer.header("x-request-id").unwrap()), "{}", answer.text());
    answer.text()
}

/// The log line of a refusal.
fn refusal(server: &Server, why: &str) -> Value {
    server.lines().wait(why, |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["event"] == "console_refused" && line["why"].as_str()?.contains(why)).then_some(line)
    })
}

#[test]
fn a_person_whom_the_conditions_admit_signs_in_at_the_provider() {
    let provider = provider();
    let server = server(&provider);
    let mut person = WebClient::new(server.admin());
    let location = person.begin_sign_in("/console/sign-in?to=%2Fconsole%2Fdenials%3Fa%3Db%26c");
    assert!(!location.contains("ada") && !location.contains(SECRET), "{location}");
    let back = provider.sign_in(&location, &ada());
    assert!(back.starts_with(&format!("http://{}/console/callback?", server.admin())), "{back}");

    let landed = person.arrive(&back);
    // A strict cookie does not survive a redirect from another site, so the answer is a page.
    assert_eq!(landed.status, 200, "{}", landed.text());
    assert!(landed.text().contains("content=\"0; url=/console/denials?a=b&#38;c\""), "{}", landed.text());
    let cookies: Vec<&str> = landed
        .headers
        .iter()
        .filter_map(|(name, value)| name.eq_ignore_ascii_case("set-cookie").then_some(value.as_str()))
        .collect();
    let session = cookies.iter().find(|cookie| cookie.starts_with("__Host-sts-console=")).unwrap();
    for attribute in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict"] {
        assert!(session.contains(attribute), "{session}");
    }
    assert_eq!(person.sign_in, None, "the sign-in is over");
    let page = person.get("/console/");
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.text().contains("ada@example.com (ada-7)"), "{}", page.text());

    let forms = provider.forms();
    assert_eq!((forms.len(), &*forms[0]["grant_type"]), (1, "authorization_code"));
    assert!(forms[0]["code_verifier"].len() >= 43 && !forms[0].contains_key("client_secret"), "{forms:?}");
    let line = server.lines().wait("the event", |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["event"] == "console_signed_in").then_some(line)
    });
    assert_eq!((&line["actor"], &line["rights"]), (&json!("ada@example.com (ada-7)"), &json!("admin")), "{line}");
    assert_eq!((&line["source"], &line["by"]), (&json!("127.0.0.1"), &json!("provider")), "{line}");

    let out = person.submit("/console/", "/console/sign-out", &[]);
    assert_eq!(out.status, 200);
    assert!(out.text().contains("href=\"/console/sign-in\""), "{}", out.text());
    assert!(!is_in(&mut person));
}

#[test]
fn a_reader_may_look_and_change_nothing() {
    let provider = provider();
    let server = server(&provider);
    let mut reader = WebClient::new(server.admin());
    let claims = json!({ "sub": "bob", "email": "bob@example.com", "email_verified": true });
    assert_eq!(reader.sign_in_at(&provider, &claims).status, 200);
    let line = server.lines().wait("the event", |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["event"] == "console_signed_in").then_some(line)
    });
    assert_eq!(line["rights"], "read");

    let no_key = "/console/service-accounts/octo/new-api-key";
    for (target, fields) in [
        ("/console/service-accounts/hunter2/new-identity", &[][..]),
        ("/console/tokens/1a2b3c4d/revoke", &[]),
        ("/console/service-accounts/octo/new-identity", &[("action", "check"), ("issuer", "github")]),
        ("/console/service-accounts/octo/new-identity", &[("action", "fields"), ("issuer", "github")]),
        ("/console/service-accounts/octo/new-identity", &[("action", "effect")]),
        ("/console/service-accounts/octo/identities/main", &[("action", "check")]),
        (no_key, &[]),
        (no_key, &[("name", "")]),
        ("/console/new/team", &[("action", "check")]),
        ("/console/signing-keys/rotate", &[]),
        ("/console/revoke-tokens", &[("action", "count")]),
    ] {
        let answer = reader.submit("/console/", target, fields);
        assert_eq!(answer.status, 403, "{target}: {}", answer.text());
        assert!(answer.text().contains("your session may look at everything and change nothing"), "{target}");
        let id = answer.header("x-request-id").unwrap().to_owned();
        let line = server.lines().wait(target, |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["event"] == "request_refused" && line["request_id"] == *id).then_some(line)
        });
        // A name that nobody has may be a secret.
        let path = target.replace("1a2b3c4d", "{jti}").replace("/main", "/{identity}").replace("hunter2", "{name}");
        assert_eq!(
            (&line["path"], &line["status"], &line["actor"]),
            (&json!(path), &json!(403), &json!("bob@example.com (bob)"))
        );
    }
    assert_eq!(reader.submit("/console/", "/console/sign-out", &[]).status, 200);
}

#[test]
fn who_is_not_signed_in_is_led_to_the_provider_and_back_to_the_page() {
    let provider = provider();
    let with = server(&provider);
    let page = WebClient::new(with.admin()).get("/console/?a=b");
    assert_eq!(page.status, 401);
    assert!(page.text().contains("href=\"/console/sign-in?to=%2Fconsole%2F%3Fa%3Db\""), "{}", page.text());
    assert!(page.text().contains("sts console link"), "{}", page.text());

    let without = Server::start_in(STS, world_site(&world()));
    let page = WebClient::new(without.admin()).get("/console/");
    assert!(!page.text().contains("/console/sign-in") && page.text().contains("sts console link"), "{}", page.text());
    let mut person = WebClient::new(without.admin());
    let page = person.get("/console/sign-in");
    assert!(refused(&mut person, &page, 404).contains("sts console link"));
}

#[test]
fn c152_a_person_whom_no_condition_admits_learns_which_condition_fails() {
    let provider = provider();
    let server = server(&provider);
    let mut person = WebClient::new(server.admin());
    let claims =
        json!({ "sub": "eve", "email": "eve@<b>evil</b>.example", "email_verified": true, "groups": ["<script>"] });
    let answer = person.sign_in_at(&provider, &claims);
    let page = refused(&mut person, &answer, 403);
    for text in ["eve@&#60;b&#62;evil&#60;/b&#62;.example (eve)", "&#60;script&#62;", "groups", "email"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    // Everybody with an account at the provider can come here.
    for condition in ["sts-admins", "*@example.com"] {
        assert!(!page.contains(condition), "{page}");
    }
    assert!(!page.contains("<script>") && !page.contains("<b>"), "{page}");
    let line = refusal(&server, "`admin` fails on groups (expected");
    let why = line["why"].as_str().unwrap();
    assert!(why.contains("sts-admins") && why.contains("*@example.com"), "{why}");
    assert_eq!(line["actor"], "eve@<b>evil</b>.example (eve)");
    assert_eq!(line["request_id"], answer.header("x-request-id").unwrap());
}

#[test]
fn an_id_token_that_is_not_ours_of_this_sign_in_signs_nobody_in() {
    let provider = provider();
    let server = server(&provider);
    let public = provider.jwks()["keys"][0].to_string();
    type Bend = Box<dyn Fn(sts_testkit::Forge<'_>) -> String + Send>;
    let cases: Vec<(&str, Bend)> = vec![
        ("algorithm", Box::new(|token| format!("{}.", token.header("alg", "none").input()))),
        (
            "algorithm",
            Box::new(move |token| {
                token.header("alg", "HS256").sign_with(|input| hmac("HS256", public.as_bytes(), input))
            }),
        ),
        ("signature", Box::new(|token| token.sign_with(|_| vec![7; 64]))),
        ("kid", Box::new(|token| token.header("kid", "another").sign())),
        ("`typ`", Box::new(|token| token.header("typ", "at+jwt").sign())),
        ("`typ`", Box::new(|token| token.header("typ", "logout+jwt").sign())),
        ("`iss`", Box::new(|token| token.claim("iss", "https://accounts.google.com").sign())),
        ("`iss`", Box::new(|token| token.claim("iss", json!(["https://accounts.google.com"])).sign())),
        ("`aud`", Box::new(|token| token.claim("aud", "another client").sign())),
        ("`aud`", Box::new(|token| token.claim("aud", US).sign())),
        ("`azp`", Box::new(|token| token.claim("aud", json!([CLIENT, "api"])).sign())),
        ("`azp`", Box::new(|token| token.claim("azp", "another client").sign())),
        ("`nonce`", Box::new(|token| token.claim("nonce", "another").sign())),
        ("`nonce`", Box::new(|token| token.no_claim("nonce").sign())),
        ("expired", Box::new(|token| token.claim("exp", 1).sign())),
        (
            "not valid yet",
            Box::new(|token| token.claim("iat", 32_503_680_000_i64).claim("exp", 32_503_680_001_i64).sign()),
        ),
        ("malformed", Box::new(|token| token.no_claim("exp").sign())),
        ("malformed", Box::new(|token| token.no_claim("sub").sign())),
        ("malformed", Box::new(|_| "not a token".to_owned())),
    ];
    for (why, bend) in cases {
        provider.bend(bend);
        let mut person = WebClient::new(server.admin());
        let answer = person.sign_in_at(&provider, &ada());
        let page = refused(&mut person, &answer, 502);
        assert!(page.contains("ID token was not accepted"), "{why}: {page}");
        let id = answer.header("x-request-id").unwrap().to_owned();
        let line = server.lines().wait(why, |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["event"] == "console_refused" && line["request_id"] == *id).then_some(line)
        });
        assert!(line["why"].as_str().unwrap().contains(why), "{why}: {line}");
    }
    provider.bend(|token| token.sign());
    assert_eq!(WebClient::new(server.admin()).sign_in_at(&provider, &ada()).status, 200);
}

#[test]
fn c156_an_answer_of_a_provider_opens_nothing_in_another_browser_nor_twice() {
    let provider = provider();
    let server = server(&provider);
    let mut attacker = WebClient::new(server.admin());
    let location = attacker.begin_sign_in("/console/sign-in");
    let back = provider.sign_in(&location, &ada());
    // The victim has begun a sign-in, too, or not.
    let mut victim = WebClient::new(server.admin());
    let answer = victim.arrive(&back);
    refused(&mut victim, &answer, 400);
    let _ = victim.begin_sign_in("/console/sign-in");
    let answer = victim.arrive(&back);
    assert!(refused(&mut victim, &answer, 400).contains("another browser"));
    assert_eq!(provider.forms().len(), 0, "no code was redeemed");
    // What others did with it does not spoil it for its own browser.
    assert_eq!(attacker.arrive(&back).status, 200);
    let mut again = attacker.clone();
    again.session = None;
    let answer = again.arrive(&back);
    refused(&mut again, &answer, 400);
    refusal(&server, "the sign-in is unknown here, or of another browser");
}

#[test]
fn c156_only_a_well_formed_answer_to_a_sign_in_that_began_is_taken() {
    let provider = provider();
    let server = server(&provider);
    let mut person = WebClient::new(server.admin());
    let location = person.begin_sign_in("/console/sign-in");
    let back = provider.sign_in(&location, &ada());
    let (_, query) = back.split_once('?').unwrap();
    let state = query.split('&').find_map(|pair| pair.strip_prefix("state=")).unwrap();
    for query in [
        String::new(),
        "code=code-1".to_owned(),
        format!("state={state}"),
        "code=code-1&state=".to_owned(),
        "code=code-1&state=a".to_owned(),
        format!("code=code-1&state={state}x"),
        format!("code=code-1&state={}", state.to_ascii_uppercase()),
        format!("code=code-1&state=a&state={state}"),
        format!("code=code-1&code=code-2&state={state}"),
        format!("code=code-1&error=access_denied&state={state}"),
        format!("code=code-1&state={}", "a".repeat(3000)),
        "code=%00&state=%ff".to_owned(),
    ] {
        let answer = person.arrive(&format!("/console/callback?{query}"));
        refused(&mut person, &answer, 400);
    }
    let posted = person.form("/console/callback", &[("code", "code-1"), ("state", state)]);
    let posted = person.send(posted);
    assert!((400..500).contains(&posted.status), "{}", posted.status);
    assert_eq!(person.arrive(&back).status, 200, "none of them was it");
}

#[test]
fn a_sign_in_waits_for_ten_minutes_and_tabs_do_not_disturb_each_other() {
    let provider = provider();
    let clock = ShiftedClock::new();
    let config = with_console(world(), &provider);
    let server = Server::start_under(STS, site(&config), &clock.environment());
    let mut person = WebClient::new(server.admin());
    let [late, first, second]: [String; 3] = std::array::from_fn(|_| person.begin_sign_in("/console/sign-in"));
    let cookie = person.sign_in.clone();
    let back = |location: &str| provider.sign_in(location, &ada());
    assert_eq!(person.arrive(&back(&second)).status, 200);
    person.sign_in.clone_from(&cookie);
    clock.set(30);
    assert_eq!(person.arrive(&back(&first)).status, 200);
    (person.sign_in, person.session) = (cookie, None);
    clock.set(601);
    let answer = person.arrive(&back(&late));
    assert!(refused(&mut person, &answer, 400).contains("ten minutes"));
}

#[test]
fn c156_a_session_that_the_browser_had_ends_when_another_begins() {
    let provider = provider();
    let server = server(&provider);
    let planted = WebClient::signed_in(&server);
    let mut person = planted.clone();
    assert_eq!(person.sign_in_at(&provider, &ada()).status, 200);
    assert_ne!(person.session, planted.session);
    assert!(is_in(&mut person));
    assert!(!is_in(&mut planted.clone()), "the one before does not stay behind");
}

#[test]
fn c154_after_sign_in_a_person_is_on_a_page_of_the_console_whatever_the_address_said() {
    let provider = provider();
    let server = server(&provider);
    for to in
        ["https://evil.example/", "//evil.example/console/", "/\\evil.example", "/admin/v1/keys", "javascript:alert(1)"]
    {
        let mut person = WebClient::new(server.admin());
        let location = person.begin_sign_in(&format!("/console/sign-in?{}", form(&[("to", to)])));
        let page = person.arrive(&provider.sign_in(&location, &ada()));
        assert_eq!(page.status, 200);
        assert!(page.text().contains("content=\"0; url=/console/\""), "{to}: {}", page.text());
        assert!(!page.text().contains("evil") && !location.contains("evil"), "{to}");
    }
}

#[test]
fn c154_the_provider_leads_back_to_the_host_where_it_began_and_to_no_invented_one() {
    let provider = provider();
    let server = server(&provider);
    let port = server.admin().port();
    let begin = |host: &str| send(server.admin(), &Request::get("/console/sign-in").header("Host", host));
    let begun = begin(&format!("localhost:{port}"));
    let back = form(&[("redirect_uri", &format!("http://localhost:{port}/console/callback"))]);
    assert!(begun.header("location").unwrap().contains(&back), "{begun:?}");
    for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example"] {
        let answer = begin(host);
        assert!((400..500).contains(&answer.status) && answer.header("location").is_none(), "{answer:?}");
    }
    let forwarded = Request::get("/console/sign-in").header("X-Forwarded-Host", "evil.example");
    let answer = send(server.admin(), &forwarded.header("Forwarded", "host=evil.example"));
    assert!(!answer.header("location").unwrap().contains("evil"), "{answer:?}");
}

#[test]
fn an_answer_of_another_provider_than_the_one_asked_is_refused() {
    let provider = provider();
    let server = server(&provider);
    let answer_with = |person: &mut WebClient, iss: &str| {
        let location = person.begin_sign_in("/console/sign-in");
        let back = provider.sign_in(&location, &ada());
        person.arrive(&format!("{back}&{}", form(&[("iss", iss)])))
    };
    let mut person = WebClient::new(server.admin());
    let answer = answer_with(&mut person, "https://evil.example");
    refused(&mut person, &answer, 400);
    assert_eq!(provider.forms().len(), 0, "the code went nowhere");
    assert_eq!(answer_with(&mut person, &provider.url()).status, 200);

    // A provider that always says who it is cannot be stood in for by one that does not.
    let other = self::provider();
    other.document("authorization_response_iss_parameter_supported", true);
    let server = self::server(&other);
    let mut person = WebClient::new(server.admin());
    let answer = person.sign_in_at(&other, &ada());
    refused(&mut person, &answer, 400);
}

#[test]
fn a_provider_that_declines_is_told_by_its_code_and_no_other_text_of_the_address() {
    let provider = provider();
    let server = server(&provider);
    for (error, says) in [
        ("access_denied", "(access_denied)"),
        ("temporarily_unavailable", "fault of its own"),
        ("<b>call 555-0100</b>", "no error code of the standards"),
    ] {
        let mut person = WebClient::new(server.admin());
        let location = person.begin_sign_in("/console/sign-in");
        let back = provider.sign_in(&location, &ada());
        let (_, state) = back.split_once("state=").unwrap();
        let query = form(&[("error", error), ("error_description", "call 555-0100"), ("state", state)]);
        let answer = person.arrive(&format!("/console/callback?{query}"));
        let page = refused(&mut person, &answer, 403);
        assert!(page.contains(says) && !page.contains("555") && page.contains("/console/sign-in"), "{page}");
    }
    refusal(&server, "the provider declined: access_denied");
}

#[test]
fn each_fault_of_the_token_endpoint_is_a_page_that_says_what_to_do() {
    let provider = provider();
    let server = server(&provider);
    for (status, body, expected, says) in [
        ("400 Bad Request", r#"{"error":"invalid_grant"}"#, 502, "used already"),
        ("401 Unauthorized", r#"{"error":"invalid_client"}"#, 502, "client_secret_file"),
        ("400 Bad Request", r#"{"error":"<script>"}"#, 502, "no error code of the standards"),
        ("500 Internal Server Error", "{}", 503, "cannot be reached"),
        ("302 Found", "<html>", 502, "cannot be used"),
        ("200 OK", "<html>not JSON</html>", 502, "cannot be used"),
        ("200 OK", "", 502, "cannot be used"),
        ("200 OK", r#"{"access_token":"a","token_type":"Bearer"}"#, 502, "cannot be used"),
        ("200 OK", r#"{"access_token":"a","token_type":"Bearer","id_token":7}"#, 502, "cannot be used"),
    ] {
        provider.answer_tokens(status, body);
        let mut person = WebClient::new(server.admin());
        let answer = person.sign_in_at(&provider, &ada());
        let page = refused(&mut person, &answer, expected);
        assert!(page.contains(says) && !page.contains("<script>"), "{status} {body}: {page}");
    }
    provider.answer_tokens("200 OK", &"x".repeat(300_000));
    let mut person = WebClient::new(server.admin());
    let answer = person.sign_in_at(&provider, &ada());
    refused(&mut person, &answer, 502);
}

#[test]
fn a_provider_that_is_away_silent_or_another_is_a_page_and_a_line_of_the_log() {
    let away = provider();
    let server_of = |provider: &OpenIdProvider| server(provider);
    let server = server_of(&away);
    drop(away);
    let mut person = WebClient::new(server.admin());
    let answer = person.get("/console/sign-in");
    assert!(refused(&mut person, &answer, 503).contains("sts console link"));
    refusal(&server, "refused");
    // The link opens the console meanwhile.
    assert!(is_in(&mut WebClient::signed_in(&server)));

    let other = provider();
    other.document("issuer", "https://accounts.google.com");
    let server = server_of(&other);
    let mut person = WebClient::new(server.admin());
    let answer = person.get("/console/sign-in");
    refused(&mut person, &answer, 502);
    refusal(&server, "accounts.google.com");

    let silent = provider();
    silent.fall_silent();
    let server = server_of(&silent);
    let mut person = WebClient::new(server.admin());
    let answer = person.get("/console/sign-in");
    refused(&mut person, &answer, 503);
    // Who tries again at once does not ask the provider again.
    let answer = person.get("/console/sign-in");
    refused(&mut person, &answer, 503);
    assert_eq!(silent.asked("/.well-known/openid-configuration"), 1);
}

#[test]
fn a_client_names_itself_as_the_provider_wants_it() {
    let in_form = provider();
    in_form.document("token_endpoint_auth_methods_supported", json!(["client_secret_post"]));
    let server_of = |provider: &OpenIdProvider| server(provider);
    assert_eq!(WebClient::new(server_of(&in_form).admin()).sign_in_at(&in_form, &ada()).status, 200);
    assert_eq!(in_form.forms()[0]["client_secret"], SECRET);

    let public = OpenIdProvider::start(CLIENT, None);
    let config = with_console(world(), &public).without("console/client_secret_file");
    let server = Server::start_in(STS, site(&config));
    assert_eq!(WebClient::new(server.admin()).sign_in_at(&public, &ada()).status, 200);
    assert_eq!(public.forms()[0]["client_id"], CLIENT);
}

#[test]
fn replicas_share_sign_ins() {
    let provider = provider();
    let (redis, keys) = (RedisServer::start(), Site::new());
    let config = with_console(shared_world(&redis, &keys), &provider);
    let [one, two]: [Server; 2] = std::array::from_fn(|_| Server::start_in(STS, site(&config)));
    let mut person = WebClient::new(one.admin());
    let location = person.begin_sign_in("/console/sign-in");
    let back = provider.sign_in(&location, &ada());
    let (mut at_two, mut at_one) = (person.at(&two), person.clone());
    assert_eq!(at_two.arrive(&back).status, 200);
    let answer = at_one.arrive(&back);
    refused(&mut at_one, &answer, 400);
    assert!(is_in(&mut at_two) && is_in(&mut at_two.at(&one)));
}

#[test]
fn other_conditions_end_the_sessions_of_those_who_signed_in_under_the_old_ones() {
    let provider = provider();
    let server = server(&provider);
    let mut person = WebClient::new(server.admin());
    assert_eq!(person.sign_in_at(&provider, &ada()).status, 200);
    let mut by_link = WebClient::signed_in(&server);
    // Another secret and other scopes end nothing.
    let config = with_console(world(), &provider).with("console/scopes", json!(["openid", "groups"]));
    server.site().replace("sts.yaml", config.text());
    server.lines().wait("the reload", |line| line.contains("the configuration was reloaded").then_some(()));
    assert!(is_in(&mut person));

    server.site().replace("sts.yaml", config.with("console/admin", json!({ "groups": "sts-owners" })).text());
    until("the session to end", || !is_in(&mut person));
    assert!(is_in(&mut by_link));
    let answer = person.sign_in_at(&provider, &json!({ "sub": "ada-7", "groups": ["sts-admins"] }));
    assert_eq!(answer.status, 403, "{}", answer.text());
    server.lines().wait("the event", |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["event"] == "console_signed_out" && line["why"] == "the `console` block changed").then_some(())
    });
}

#[test]
fn c157_no_token_of_a_service_account_is_a_persons() {
    let provider = provider();
    let conditions = json!({ "groups": { "any_of": ["sts-admins"], "none_of": ["robots"] } });
    let entry = json!({ "issuer": provider.url(), "allow_http": true });
    let robot = json!([{ "name": "robot", "issuer": "people", "claims": { "groups": "robots" } }]);
    let config = with_console(world(), &provider).with("console/admin", conditions).without("console/read");
    let config = config.with("issuers/people", entry).with("service_accounts/octo/identities", robot);
    let server = Server::start_in(STS, site(&config));
    let robot = json!({ "sub": "robot", "groups": ["robots", "sts-admins"] });
    let mut person = WebClient::new(server.admin());
    let answer = person.sign_in_at(&provider, &robot);
    refused(&mut person, &answer, 403);

    // No token stands for a code, and none for a state.
    let workload = token("svc:root");
    let own = server.token(&workload, &[]);
    for secret in [&workload, &own, &server.admin_token()] {
        let location = person.begin_sign_in("/console/sign-in");
        let back = provider.sign_in(&location, &ada());
        let (_, state) = back.split_once("state=").unwrap();
        let answer = person.arrive(&format!("/console/callback?code={secret}&state={state}"));
        refused(&mut person, &answer, 502);
        let answer = person.arrive(&format!("/console/callback?code=code-1&state={secret}"));
        refused(&mut person, &answer, 400);
    }
    // An ID token that was exchanged elsewhere is not for this client.
    let exchanged = workload.clone();
    provider.bend(move |_| exchanged.clone());
    let answer = person.sign_in_at(&provider, &ada());
    refused(&mut person, &answer, 502);
}

#[test]
fn a_console_that_a_service_account_could_enter_is_refused() {
    let provider = provider();
    let entry = json!({ "issuer": provider.url(), "allow_http": true });
    let config = with_console(world(), &provider).with("issuers/people", entry);
    let identities = json!([{ "name": "robot", "issuer": "people", "subject": "robot-*" }]);
    let site = site(&config.with("service_accounts/octo/identities", identities));
    let checked = STS.run(site.root(), &["check", "--config", "sts.yaml"]);
    assert_eq!(checked.code, Some(1), "{}", checked.text());
    assert!(checked.text().contains("console-overlap"), "{}", checked.text());
    let Err((_, ended)) = Server::try_start(STS, site) else { panic!("it serves") };
    assert_eq!(ended.code, Some(2), "{}", ended.text());
}

#[test]
fn c156_secrets_of_sign_ins_reach_neither_log_nor_page() {
    let provider = provider();
    let server = server(&provider);
    let mut person = WebClient::new(server.admin());
    let location = person.begin_sign_in("/console/sign-in");
    let browser = person.sign_in.clone().unwrap();
    let back = provider.sign_in(&location, &ada());
    let landed = person.arrive(&back);
    assert_eq!(landed.status, 200);
    server.lines().wait("the event", |line| line.contains("console_signed_in").then_some(()));
    let (log, page) = (server.lines().text(), landed.text());
    let verifier = provider.forms()[0]["code_verifier"].clone();
    let (_, state) = back.split_once("state=").unwrap();
    let session = person.session.clone().unwrap();
    for secret in [&*browser, &*verifier, state, &*session, SECRET, "code-1", "for the user info"] {
        assert!(!log.contains(secret) && !page.contains(secret), "{secret}");
    }
    assert!(!log.contains(&base64url(SECRET.as_bytes())));
}

#[test]
fn the_configuration_in_force_shows_the_console_without_its_secret() {
    let provider = provider();
    let server = server(&provider);
    let shown = server.send_admin(Request::get("/admin/v1/config"));
    assert_eq!(shown.status, 200, "{}", shown.text());
    let console = &shown.json()["console"];
    assert_eq!((&console["issuer"], &console["client_id"]), (&json!(provider.url()), &json!(CLIENT)), "{console}");
    assert_eq!(console["read"], json!({ "email": "*@example.com", "email_verified": true }), "{console}");
    assert!(console["client_secret_file"].as_str().unwrap().ends_with("client.secret"), "{console}");
    assert!(!shown.text().contains("odd%41"), "{}", shown.text());
}

#[test]
fn strangers_cannot_fill_the_store_with_sign_ins() {
    let provider = provider();
    let server = server(&provider);
    let begin = || send(server.admin(), &Request::get("/console/sign-in")).status;
    let statuses: Vec<u16> = (0..400).map(|_| begin()).collect();
    assert!(statuses.iter().all(|status| matches!(status, 303 | 429)), "{statuses:?}");
    assert!(statuses.contains(&429));
}

#[test]
fn c153_an_image_or_a_frame_of_another_site_begins_no_sign_in_and_uses_none_up() {
    let provider = provider();
    let server = server(&provider);
    let begin = |mode: &str, dest: &str| {
        let request = Request::get("/console/sign-in").header("Sec-Fetch-Site", "cross-site");
        send(server.admin(), &request.header("Sec-Fetch-Mode", mode).header("Sec-Fetch-Dest", dest))
    };
    for _ in 0..100 {
        for (mode, dest) in [("no-cors", "image"), ("navigate", "iframe"), ("cors", "empty")] {
            let refused = begin(mode, dest);
            assert_eq!((refused.status, refused.header("set-cookie")), (403, None), "{mode} {dest}");
        }
    }
    // A link to the page of sign-in may stand anywhere.
    assert_eq!(begin("navigate", "document").status, 303);
}

#[test]
fn a_provider_whose_page_of_sign_in_is_not_safe_is_not_used() {
    let provider = provider();
    for page in
        ["http://login.example.com/authorize", "ftp://127.0.0.1/", "https://user:secret@login.example.com/", "/x"]
    {
        provider.document("authorization_endpoint", page);
        let server = Server::start_in(STS, site(&with_console(world(), &provider)));
        let mut person = WebClient::new(server.admin());
        let answer = person.get("/console/sign-in");
        assert!(refused(&mut person, &answer, 502).contains("cannot be used"), "{page}");
        assert_eq!(answer.header("location"), None);
    }
}

#[test]
fn behind_a_proxy_that_ends_tls_the_console_knows_its_own_address() {
    let provider = provider();
    let config = with_console(world(), &provider)
        .with("behind_tls_proxy", json!(["127.0.0.1"]))
        .with("admin/hosts", json!(["sts-admin.example.com"]));
    let server = Server::start_in(STS, site(&config));
    let through = |request: Request| {
        let request = request.header("Host", "sts-admin.example.com").header("X-Forwarded-Proto", "https");
        request.header("X-Forwarded-For", "192.0.2.7")
    };
    let begun = send(server.admin(), &through(Request::get("/console/sign-in")));
    let back = form(&[("redirect_uri", "https://sts-admin.example.com/console/callback")]);
    assert!(begun.header("location").unwrap().contains(&back), "{begun:?}");

    let link = sts_testkit::console_link(&server);
    let (_, code) = link.split_once("code=").unwrap();
    let open = |origin: &str| {
        let post = Request::post_form("/console/link", &[("code", code)]).header("Origin", origin);
        send(server.admin(), &through(post)).status
    };
    assert_eq!(open("http://sts-admin.example.com"), 403);
    assert_eq!(open("https://sts-admin.example.com"), 303);
    let line = server.lines().wait("the event", |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["event"] == "console_signed_in").then_some(line)
    });
    assert_eq!(line["source"], "192.0.2.7");
}
