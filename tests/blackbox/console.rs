//! The way into the console, and what surrounds each of its pages.

use crate::redis::shared_world;
use crate::support::*;
use serde_json::json;
use sts_testkit::{
    RedisServer, Request, Response, Server, ShiftedClock, Site, WebClient, console_link, hidden_field, send,
};

const SESSION_IDLE: i64 = 30 * 60;
const SESSION_LONGEST: i64 = 8 * 60 * 60;

fn server() -> Server {
    Server::start_in(STS, world_site(&world()))
}

/// Whether the browser is signed in.
fn is_in(client: &mut WebClient) -> bool {
    let page = client.get("/console/");
    assert!(matches!(page.status, 200 | 401), "{} {}", page.status, page.text());
    page.status == 200
}

/// Every header of a page that a browser obeys.
fn assert_page_headers(page: &Response) {
    let header = |name: &str| page.header(name).unwrap_or_else(|| panic!("{name} is missing: {page:?}"));
    let policy = header("content-security-policy");
    for part in [
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.split("; ").any(|directive| directive == part), "{policy}");
    }
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("x-frame-options"), "DENY");
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("x-request-id").is_some());
    let text = page.text();
    assert!(!text.contains("<style") && !text.contains(" style=") && !text.contains(" onclick"), "{text}");
    assert!(!text.contains("<script>"), "{text}");
}

#[test]
fn a_link_opens_one_session_once_and_looking_at_it_uses_nothing_up() {
    let server = server();
    let link = console_link(&server);
    assert!(link.starts_with(&format!("http://{}/console/link?code=", server.admin())), "{link}");
    // A chat program looks first.
    let (_, target) = link.split_once("/console/").unwrap();
    for method in ["GET", "HEAD", "GET"] {
        let looked = send(server.admin(), &Request::new(method, &format!("/console/{target}")));
        assert_eq!((looked.status, looked.header("set-cookie")), (200, None));
    }
    let mut person = WebClient::new(server.admin());
    let opened = person.open_link(&link);
    assert_eq!((opened.status, opened.header("location")), (303, Some("/console/")));
    let cookie = opened.header("set-cookie").unwrap();
    for attribute in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict"] {
        assert!(cookie.starts_with("__Host-") && cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    assert!(is_in(&mut person));

    let mut stranger = WebClient::new(server.admin());
    let again = stranger.open_link(&link);
    assert_eq!((again.status, again.header("set-cookie")), (410, None));
    assert!(again.text().contains("sts console link"), "{}", again.text());
}

#[test]
fn a_link_works_for_a_minute_and_a_session_for_half_an_hour_idle_or_eight_hours_in_all() {
    let clock = ShiftedClock::new();
    let server = Server::start_under(STS, world_site(&world()), &clock.environment());
    let (late, in_time) = (console_link(&server), console_link(&server));
    clock.set(50);
    let mut person = WebClient::new(server.admin());
    assert_eq!(person.open_link(&in_time).status, 303);
    clock.set(62);
    assert_eq!(WebClient::new(server.admin()).open_link(&late).status, 410);

    let began = 50;
    let mut now = began;
    // Used again and again, it lives to its last hour.
    while now + 25 * 60 < began + SESSION_LONGEST {
        now += 25 * 60;
        clock.set(now);
        assert!(is_in(&mut person), "{now}");
    }
    clock.set(began + SESSION_LONGEST + 1);
    assert!(!is_in(&mut person), "however much it is used");

    let mut idle = WebClient::signed_in(&server);
    clock.set(began + SESSION_LONGEST + 1 + SESSION_IDLE + 61);
    assert!(!is_in(&mut idle));
}

#[test]
fn c156_a_session_is_ended_by_signing_out_and_its_cookie_opens_nothing_after() {
    let server = server();
    let mut person = WebClient::signed_in(&server);
    let mut copy = person.clone();
    let out = person.submit("/console/", "/console/sign-out", &[]);
    assert_eq!(out.status, 200);
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(person.session, None);
    assert!(!is_in(&mut copy), "the server has forgotten it, not only the browser");
}

#[test]
fn c156_a_session_that_a_stranger_planted_is_not_the_one_that_a_link_opens() {
    let server = server();
    let planted = WebClient::signed_in(&server);
    let mut victim = planted.clone();
    assert_eq!(victim.open_link(&console_link(&server)).status, 303);
    assert_ne!(victim.session, planted.session);
    assert!(is_in(&mut victim));
    assert!(!is_in(&mut planted.clone()), "the one before does not stay behind");
    // An id of nobody's session is not taken either.
    let mut invented = victim.clone();
    invented.session = Some("a".repeat(43));
    assert!(!is_in(&mut invented));
    assert_eq!(invented.open_link(&console_link(&server)).status, 303);
    assert_ne!(invented.session, Some("a".repeat(43)));
}

#[test]
fn c156_an_id_of_any_shape_but_ours_is_no_session_and_never_an_error() {
    let server = server();
    let own = WebClient::signed_in(&server).session.unwrap();
    let link = console_link(&server);
    let (_, code) = link.split_once("code=").unwrap();
    for id in [
        "",
        "a",
        &own[1..],
        &format!("{own}a"),
        &own.to_ascii_uppercase(),
        &"a".repeat(5_000),
        "%00",
        "..",
        code,
        &server.admin_token(),
    ] {
        let request = Request::get("/console/").header("Cookie", &format!("__Host-sts-console={id}"));
        assert_eq!(send(server.admin(), &request).status, 401, "{id}");
    }
    // Two cookies of the name: the first one counts, and it is none of ours.
    let two = format!("__Host-sts-console=a; __Host-sts-console={own}");
    assert_eq!(send(server.admin(), &Request::get("/console/").header("Cookie", &two)).status, 401);
}

#[test]
fn c155_every_answer_forbids_frames_sniffing_caching_and_foreign_content() {
    let server = server();
    let mut person = WebClient::signed_in(&server);
    assert_page_headers(&person.get("/console/"));
    assert_page_headers(&person.get("/console/nothing-here"));
    assert_page_headers(&person.get("/console/link?code=x"));
    let mut stranger = WebClient::new(server.admin());
    assert_page_headers(&stranger.get("/console/"));
    let forged = stranger.form("/console/sign-out", &[]);
    assert_page_headers(&stranger.send(forged));
}

#[test]
fn c155_assets_are_kept_under_the_digest_of_their_content_and_nowhere_else() {
    let server = server();
    let page = send(server.admin(), &Request::get("/console/link?code=x")).text();
    let mut paths = Vec::new();
    for (attribute, media) in [("href=\"", "text/css; charset=utf-8"), ("src=\"", "text/javascript; charset=utf-8")] {
        let (_, rest) = page.split_once(&format!("{attribute}/console/assets/")).expect("a page loads its assets");
        let path = format!("/console/assets/{}", rest.split('"').next().unwrap());
        let asset = send(server.admin(), &Request::get(&path));
        assert_eq!((asset.status, asset.header("content-type")), (200, Some(media)));
        assert!(asset.header("cache-control").unwrap().contains("immutable"));
        assert_eq!(asset.header("x-content-type-options"), Some("nosniff"));
        paths.push(path);
    }
    let other = paths[0].replace("console-", "console-0");
    for path in [other.as_str(), "/console/assets/console.css", "/console/assets/%2e%2e%2fCargo.toml"] {
        assert_eq!(send(server.admin(), &Request::get(path)).status, 404, "{path}");
    }
}

#[test]
fn c153_a_form_needs_its_session_its_token_and_its_own_site() {
    let server = server();
    let mut person = WebClient::signed_in(&server);
    let csrf = hidden_field(&person.get("/console/").text(), "csrf").unwrap();
    let other = hidden_field(&WebClient::signed_in(&server).get("/console/").text(), "csrf").unwrap();
    assert_ne!(csrf, other);
    let mut refused = |request: Request| {
        let answer = person.send(request);
        assert!((400..500).contains(&answer.status), "{} {}", answer.status, answer.text());
        assert!(is_in(&mut person), "nothing was done");
    };
    let of = |origin: &str, token: &str| {
        Request::post_form("/console/sign-out", &[("csrf", token)]).header("Origin", origin)
    };
    let own = format!("http://{}", server.admin());
    for token in ["", "x", &other, &csrf[1..], &csrf.to_ascii_uppercase()] {
        refused(of(&own, token));
    }
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1", &own.replace("http", "https")] {
        refused(of(origin, &csrf));
    }
    refused(Request::post_form("/console/sign-out", &[("csrf", &csrf)]).header("Sec-Fetch-Site", "cross-site"));
    refused(Request::post_form(&format!("/console/sign-out?csrf={csrf}"), &[]).header("Origin", &own));
    refused(Request::post_json("/console/sign-out", &json!({ "csrf": csrf })).header("Origin", &own));
    refused(
        Request::new("POST", "/console/sign-out").body("text/plain", format!("csrf={csrf}")).header("Origin", &own),
    );
    let answer = person.send(Request::get(&format!("/console/sign-out?csrf={csrf}")));
    assert!((400..500).contains(&answer.status) && is_in(&mut person), "a form is never sent by GET");
    // Without the session, its token is worth nothing.
    let mut stranger = WebClient::new(server.admin());
    assert_eq!(stranger.send(of(&own, &csrf)).status, 401);
    assert_eq!(person.send(of(&own, &csrf)).status, 200);
}

#[test]
fn br01_only_the_admin_token_makes_a_link_and_nothing_but_a_link_opens_a_session() {
    let server = server();
    let make = |request: Request| send(server.admin(), &request);
    let post = || Request::post_json("/admin/v1/console-links", &json!({}));
    assert_eq!(make(post()).status, 401);
    let root = server.token(&token("svc:root"), &[]);
    let refused = make(post().bearer(&root));
    assert_eq!((refused.status, &refused.json()["reason"]), (403, &json!("interactive_required")));
    let made = server.send_admin(post());
    assert!(made.status == 200 || made.status == 201, "{}", made.text());
    assert_eq!(made.header("cache-control"), Some("no-store"));

    // The console knows sessions alone.
    let own_token = server.token(&token("svc:octo"), &[]);
    for secret in [&root, &own_token, &token("svc:octo"), &server.admin_token()] {
        let bearer = Request::get("/console/").bearer(secret);
        assert_eq!(send(server.admin(), &bearer).status, 401);
        let cookie = Request::get("/console/").header("Cookie", &format!("__Host-sts-console={secret}"));
        assert_eq!(send(server.admin(), &cookie).status, 401);
        let mut person = WebClient::new(server.admin());
        let link = person.form("/console/link", &[("code", secret)]);
        assert_eq!(person.send(link).status, 410);
    }
    // A session is no bearer of the API, and the API takes no cookie.
    let session = WebClient::signed_in(&server).session.unwrap();
    let as_bearer = Request::get("/admin/v1/keys").bearer(&session);
    assert_eq!(send(server.admin(), &as_bearer).status, 401);
    let as_cookie = Request::get("/admin/v1/keys").header("Cookie", &format!("__Host-sts-console={session}"));
    assert_eq!(send(server.admin(), &as_cookie).status, 401);
    // The public listener has no console.
    for path in ["/console", "/console/", "/console/link?code=x"] {
        assert_eq!(server.send(&Request::get(path)).status, 404, "{path}");
    }
}

#[test]
fn c156_secrets_of_sessions_and_links_reach_neither_store_nor_log() {
    let server = server();
    let link = console_link(&server);
    let (_, code) = link.split_once("code=").unwrap();
    let mut person = WebClient::new(server.admin());
    assert_eq!(person.open_link(&link).status, 303);
    let csrf = hidden_field(&person.get("/console/").text(), "csrf").unwrap();
    let id = person.session.clone().unwrap();
    server.lines().wait("the sign-in", |line| line.contains("\"console_signed_in\"").then_some(()));
    let log = server.lines().text();
    let (_, site) = server.terminate();
    let store = site.read("data/sts.redb");
    let holds = |secret: &str| store.windows(secret.len()).any(|part| part == secret.as_bytes());
    assert!(!holds(&id) && !holds(code));
    for secret in [&*id, code, &csrf] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn replicas_share_sessions_and_links_work_once_among_them() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let config = shared_world(&redis, &keys);
    let [one, two]: [Server; 2] = std::array::from_fn(|_| Server::start_in(STS, world_site(&config)));
    let link = console_link(&one);
    let mut person = WebClient::new(two.admin());
    assert_eq!(person.open_link(&link).status, 303);
    assert_eq!(WebClient::new(one.admin()).open_link(&link).status, 410);
    assert!(is_in(&mut person) && is_in(&mut person.at(&one)));
    assert_eq!(person.at(&one).submit("/console/", "/console/sign-out", &[]).status, 200);
    assert!(!is_in(&mut person));
}

#[test]
fn without_the_store_a_page_says_so_and_the_session_goes_on_when_it_is_back() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let server = Server::start_in(STS, world_site(&shared_world(&redis, &keys).with("store/timeout", "1s")));
    let mut person = WebClient::signed_in(&server);
    redis.signal("STOP");
    let page = person.get("/console/");
    assert_eq!(page.status, 503);
    assert!(page.text().contains("The store did not answer"), "{}", page.text());
    assert_page_headers(&page);
    redis.signal("CONT");
    assert!(is_in(&mut person));
}

#[test]
fn a_browser_that_another_name_led_here_gets_no_page() {
    let server = server();
    let rebound = Request::get("/console/").header("Host", "evil.example");
    let answer = send(server.admin(), &rebound);
    assert!((400..500).contains(&answer.status), "{}", answer.status);
    assert!(!answer.text().contains("csrf"));
}

/// Puts another admin token in place of the one in force.
fn rotate_admin_token(server: &Server, token: &str) {
    server.site().replace("data/admin.token", format!("{token}\n"));
}

const OTHER_TOKEN: &str = "another-admin-token-0123456789abcdef";

#[test]
fn c156_another_admin_token_ends_the_links_and_sessions_that_the_one_before_made() {
    let server = server();
    let unused = console_link(&server);
    let mut person = WebClient::signed_in(&server);
    assert!(is_in(&mut person));
    rotate_admin_token(&server, OTHER_TOKEN);
    assert!(!is_in(&mut person));
    server.lines().wait("the event", |line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let why = "the admin token that made the link changed";
        (line["event"] == "console_signed_out" && line["why"] == why && line["actor"] == "admin link").then_some(())
    });
    assert_eq!(WebClient::new(server.admin()).open_link(&unused).status, 410);
    // The new one makes its own.
    let mut person = WebClient::signed_in(&server);
    assert!(is_in(&mut person));
    let server = server.crash_and_restart();
    let mut person = person.at(&server);
    assert!(is_in(&mut person), "a start with the same token ends nothing");
}

#[test]
fn c156_an_admin_token_that_cannot_be_read_ends_no_session() {
    let server = server();
    let unused = console_link(&server);
    let mut person = WebClient::signed_in(&server);
    let token = server.admin_token();
    for unreadable in ["short\n", ""] {
        server.site().replace("data/admin.token", unreadable);
        let page = person.get("/console/");
        assert!(page.status == 503 && page.text().contains("admin token"), "{} {}", page.status, page.text());
        assert_eq!(WebClient::new(server.admin()).open_link(&unused).status, 503);
    }
    rotate_admin_token(&server, &token);
    assert!(is_in(&mut person), "it goes on under the same token");
    assert_eq!(WebClient::new(server.admin()).open_link(&unused).status, 303, "the link was not used up");
}

#[test]
fn c156_a_replica_hears_that_the_admin_token_of_another_has_changed() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let config = shared_world(&redis, &keys);
    let [one, two]: [Server; 2] = std::array::from_fn(|_| Server::start_in(STS, world_site(&config)));
    let mut first = WebClient::signed_in(&one).at(&two);
    let mut other = WebClient::signed_in(&two);
    assert!(is_in(&mut first) && is_in(&mut other));
    rotate_admin_token(&one, OTHER_TOKEN);
    let mut next = WebClient::signed_in(&one).at(&two);
    assert!(!is_in(&mut first), "no token that is in force made its link");
    assert!(is_in(&mut next) && is_in(&mut other) && is_in(&mut other.at(&one)));
}
