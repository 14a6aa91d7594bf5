//! Objects in the store, changed through the admin API: their whole life, conditions on changes, dry
//! runs, files that win, and what a second server sees.

use crate::redis::shared_world;
use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Config, Key, RedisServer, Request, Response, Server, Site, until};

const ACCOUNTS: &str = "/admin/v1/service-accounts";
const TEAMS: &str = "/admin/v1/teams";

/// A request with a body and, for a change, the tag of the state that it is of.
fn ask(server: &Server, method: &str, target: &str, body: Option<&Value>, if_match: Option<&str>) -> Response {
    let mut request = Request::new(method, target);
    if let Some(body) = body {
        let media = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        request = request.body(media, body.to_string());
    }
    if let Some(tag) = if_match {
        request = request.header("If-Match", tag);
    }
    server.send_admin(request)
}

fn get(server: &Server, target: &str) -> Response {
    ask(server, "GET", target, None, None)
}

fn create(server: &Server, kind: &str, name: &str, spec: Value) -> Response {
    ask(server, "POST", &format!("/admin/v1/{kind}"), Some(&json!({ "name": name, "spec": spec })), None)
}

fn etag(response: &Response) -> String {
    response.header("etag").unwrap_or_else(|| panic!("no ETag: {}", response.text())).to_owned()
}

/// An account that exchanges tokens of `plain` for its own subject.
fn account(subject: &str) -> Value {
    json!({ "display_name": "A bot", "teams": ["deployers"], "identities": [identity("plain", subject)] })
}

fn is_granted(server: &Server, subject: &str, account: &str) -> bool {
    server.exchange(&token(subject), &[("audience", account)]).status == 200
}

fn active(server: &Server, access: &str) -> bool {
    server.introspect("deploy", DEPLOY_SECRET, access)["active"] == true
}

fn lives(server: &Server) {
    // Created, and in force before the answer.
    let created = create(server, "service-accounts", "bot", account("svc:bot"));
    assert_eq!(created.status, 201, "{}", created.text());
    assert_eq!(created.header("location"), Some("/admin/v1/service-accounts/bot"));
    let object = created.json();
    assert_eq!(
        (&object["kind"], &object["name"], &object["source"], &object["created_by"]),
        (&json!("service-accounts"), &json!("bot"), &json!("managed"), &json!("admin token"))
    );
    assert!(object["revision"].is_u64() && object["created_at"].is_i64() && object["updated_at"].is_i64(), "{object}");
    assert_eq!(object["spec"], account("svc:bot"));
    let access = server.token(&token("svc:bot"), &[("audience", "bot")]);
    assert!(active(server, &access));
    refused(&create(server, "service-accounts", "bot", json!({})), 409, "invalid_request", "object_exists");

    // Read.
    let shown = get(server, &format!("{ACCOUNTS}/bot"));
    assert_eq!((shown.status, etag(&shown), shown.json()), (200, etag(&created), object.clone()));
    let listed = get(server, &format!("{ACCOUNTS}?source=managed")).json();
    assert_eq!(listed, json!({ "items": [object], "next": null }));
    for (query, count) in [
        ("team=deployers&source=managed", 1),
        ("team=nobodys", 0),
        ("issuer=plain&q=BOT", 1),
        ("q=a%20BOT", 1),
        ("enabled=false&source=managed", 0),
    ] {
        let listed = get(server, &format!("{ACCOUNTS}?{query}")).json();
        assert_eq!(listed["items"].as_array().unwrap().len(), count, "{query}: {listed}");
    }

    // Changed. The tag of an earlier state fits no more.
    let target = format!("{ACCOUNTS}/bot");
    let disable = json!({ "spec": { "enabled": false } });
    refused(&ask(server, "PATCH", &target, Some(&disable), None), 428, "invalid_request", "precondition_required");
    let stale = ask(server, "PATCH", &target, Some(&disable), Some("\"0\""));
    refused(&stale, 412, "invalid_request", "precondition_failed");
    let disabled = ask(server, "PATCH", &target, Some(&disable), Some(&etag(&created)));
    assert_eq!(disabled.status, 200, "{}", disabled.text());
    assert_eq!(disabled.json()["spec"]["enabled"], false);
    assert_ne!(etag(&disabled), etag(&created));
    assert!(!active(server, &access), "a disabled account's tokens are inactive at once");
    assert!(!is_granted(server, "svc:bot", "bot"));
    let again = ask(server, "PATCH", &target, Some(&disable), Some(&etag(&created)));
    refused(&again, 412, "invalid_request", "precondition_failed");
    // What GET answers can be put, with one thing changed.
    let mut whole = get(server, &target).json();
    whole["spec"]["enabled"] = json!(true);
    let put = ask(server, "PUT", &target, Some(&whole), Some(&etag(&disabled)));
    assert_eq!(put.status, 200, "{}", put.text());
    assert!(active(server, &access), "it is enabled again");

    // Deleted.
    refused(&ask(server, "DELETE", &target, None, None), 428, "invalid_request", "precondition_required");
    assert_eq!(ask(server, "DELETE", &target, None, Some(&etag(&put))).status, 204);
    assert!(!active(server, &access) && !is_granted(server, "svc:bot", "bot"));
    refused(&get(server, &target), 404, "invalid_request", "not_found");
    let gone = ask(server, "DELETE", &target, None, Some(&etag(&put)));
    refused(&gone, 404, "invalid_request", "not_found");
}

#[test]
fn a_service_account_lives_through_the_api_in_the_embedded_store() {
    lives(&Server::start_in(STS, world_site(&world())));
}

#[test]
fn a_service_account_lives_through_the_api_in_redis() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    lives(&Server::start_in(STS, world_site(&shared_world(&redis, &keys))));
}

#[test]
fn an_identity_lives_through_the_api_with_a_tag_of_its_own() {
    let server = Server::start_in(STS, world_site(&world()));
    create(&server, "service-accounts", "bot", account("svc:bot"));
    let all = format!("{ACCOUNTS}/bot/identities");
    let second = json!({ "name": "second one", "issuer": "plain", "subject": "svc:second" });
    let created = ask(&server, "POST", &all, Some(&second), None);
    assert_eq!((created.status, created.json()), (201, second.clone()), "{}", created.text());
    assert!(is_granted(&server, "svc:second", "bot"));
    refused(&ask(&server, "POST", &all, Some(&second), None), 409, "invalid_request", "object_exists");
    let names: Vec<Value> =
        get(&server, &all).json()["items"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, [json!("plain"), json!("second one")]);
    let paged = get(&server, &format!("{all}?limit=1")).json();
    assert_eq!((paged["items"].as_array().unwrap().len(), &paged["next"]), (1, &json!("plain")));

    let one = format!("{all}/second%20one");
    let shown = get(&server, &one);
    assert_eq!(etag(&shown), etag(&created));
    // A change of another identity leaves the tag as it is.
    let first = format!("{all}/plain");
    let tag = etag(&get(&server, &first));
    let patched = ask(&server, "PATCH", &first, Some(&json!({ "ttl": "5m" })), Some(&tag));
    assert_eq!((patched.status, &patched.json()["ttl"]), (200, &json!("5m")), "{}", patched.text());
    assert_eq!(etag(&get(&server, &one)), etag(&created));
    refused(
        &ask(&server, "PATCH", &first, Some(&json!({ "ttl": "6m" })), Some(&tag)),
        412,
        "invalid_request",
        "precondition_failed",
    );
    let put = ask(
        &server,
        "PUT",
        &one,
        Some(&json!({ "name": "second one", "issuer": "plain", "subject": "svc:third" })),
        Some(&etag(&created)),
    );
    assert_eq!(put.status, 200, "{}", put.text());
    assert!(is_granted(&server, "svc:third", "bot") && !is_granted(&server, "svc:second", "bot"));
    refused(&ask(&server, "DELETE", &one, None, None), 428, "invalid_request", "precondition_required");
    assert_eq!(ask(&server, "DELETE", &one, None, Some(&etag(&put))).status, 204);
    assert!(!is_granted(&server, "svc:third", "bot"));
    refused(&get(&server, &one), 404, "invalid_request", "not_found");
}

#[test]
fn of_many_changes_of_one_state_exactly_one_is_made() {
    let server = Server::start_in(STS, world_site(&world()));
    let created = create(&server, "teams", "readers", json!({ "grants": { "deploy": ["releases:read"] } }));
    assert_eq!(created.status, 201, "{}", created.text());
    let (target, tag) = (format!("{TEAMS}/readers"), etag(&created));
    let statuses: Vec<u16> = std::thread::scope(|threads| {
        let (server, target, tag) = (&server, &target, &tag);
        let change = move |number: usize| {
            let patch = json!({ "spec": { "display_name": format!("Readers {number}") } });
            ask(server, "PATCH", target, Some(&patch), Some(tag)).status
        };
        let running: Vec<_> = (0..8).map(|number| threads.spawn(move || change(number))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 412)), "{statuses:?}");
}

#[test]
fn what_a_load_would_refuse_is_refused_with_a_pointer_and_nothing_is_changed() {
    let server = Server::start_in(STS, world_site(&world()));
    for (name, spec, pointer, code) in [
        ("bot", json!({ "teams": ["deployres"] }), "/spec/teams/0", "unknown-name"),
        ("bot", json!({ "colour": "red" }), "/spec/colour", "unknown-key"),
        ("bot", json!({ "ttl": 7 }), "/spec/ttl", ""),
        ("Not A Name", json!({}), "/name", ""),
    ] {
        let response = create(&server, "service-accounts", name, spec);
        refused(&response, 422, "invalid_request", "invalid_object");
        let body = response.json();
        let found = body["findings"].as_array().unwrap();
        assert!(
            found.iter().any(|finding| finding["pointer"] == pointer && finding["severity"] == "error"),
            "{pointer}: {body}"
        );
        assert!(code.is_empty() || found.iter().any(|finding| finding["code"].is_string()), "{body}");
        assert_eq!(get(&server, &format!("{ACCOUNTS}/bot")).status, 404);
    }
    // Faults of form do not hide those of the rules.
    let both = json!({ "ttl": 7, "teams": ["deployres"], "identities": [identity("plian", "svc:x")] });
    let body = create(&server, "service-accounts", "bot", both).json();
    let pointers: Vec<&str> =
        body["findings"].as_array().unwrap().iter().filter_map(|finding| finding["pointer"].as_str()).collect();
    assert_eq!(pointers, ["/spec/ttl", "/spec/teams/0", "/spec/identities/0/issuer"], "{body}");
}

#[test]
fn c061_a_pattern_that_lets_strangers_in_is_refused_with_the_text_of_one() {
    let github = json!({ "issuer": "https://token.actions.githubusercontent.com", "jwks": Key::set(&[&KEYS.other]) });
    let server = Server::start_in(STS, world_site(&world().with("issuers/github", github)));
    for (identity, pointer, witness) in [
        (
            json!({ "name": "x", "issuer": "github", "subject": "repo:acme*/app:ref:refs/heads/main" }),
            "/spec/identities/0/subject",
            "repo:acmex/app:ref:refs/heads/main",
        ),
        (
            json!({ "name": "x", "issuer": "github", "claims": { "repository": "acme*/app" } }),
            "/spec/identities/0",
            "acmex/app",
        ),
    ] {
        let spec = json!({ "teams": ["deployers"], "identities": [identity] });
        let response = create(&server, "service-accounts", "bot", spec);
        refused(&response, 422, "invalid_request", "invalid_object");
        let body = response.json();
        let finding = body["findings"].as_array().unwrap().iter().find(|finding| finding["severity"] == "unsafe");
        let finding = finding.unwrap_or_else(|| panic!("{body}"));
        assert_eq!((&finding["pointer"], &finding["witness"]), (&json!(pointer), &json!(witness)), "{body}");
    }
}

#[test]
fn a_dry_run_changes_nothing_and_tells_the_effect_on_recent_requests() {
    let server = Server::start_in(STS, world_site(&world()));
    let old = create(&server, "service-accounts", "old", account("svc:old"));
    assert!(is_granted(&server, "svc:old", "old") && is_granted(&server, "svc:old", "old"));
    let refused_exchange = server.exchange(&token("svc:newcomer"), &[("audience", "bot")]);
    assert_eq!(refused_exchange.status, 400);
    let request_id = refused_exchange.json()["request_id"].clone();
    until("the refusal to be remembered", || {
        get(&server, &format!("/admin/v1/denials/{}", request_id.as_str().unwrap())).status == 200
    });
    let new = json!({ "name": "bot", "spec": account("svc:newcomer") });
    let response = ask(&server, "POST", &format!("{ACCOUNTS}?dry_run=true"), Some(&new), None);
    assert_eq!(response.status, 200, "{}", response.text());
    let body = response.json();
    assert!(body["findings"].is_array() && body["effect"]["newly_denied"] == json!([]), "{body}");
    let allowed = &body["effect"]["newly_allowed"];
    assert_eq!(allowed.as_array().map(Vec::len), Some(1), "{body}");
    let request = format!("request {} of plain subject svc:newcomer", request_id.as_str().unwrap());
    assert_eq!((&allowed[0]["request"], &allowed[0]["before"]), (&json!(request), &json!("refused: not_authorized")));
    let off = json!({ "spec": { "enabled": false } });
    let off = ask(&server, "PATCH", &format!("{ACCOUNTS}/old?dry_run=true"), Some(&off), Some(&etag(&old))).json();
    let denied = &off["effect"]["newly_denied"];
    // Two requests of one workload are one case.
    assert_eq!((denied.as_array().map(Vec::len), &denied[0]["after"]), (Some(1), &json!("refused: not_authorized")));
    assert!(denied[0]["request"].as_str().unwrap().ends_with("of plain subject svc:old"), "{off}");
    let same = json!({ "spec": { "display_name": "Another" } });
    let same = ask(&server, "PATCH", &format!("{ACCOUNTS}/old?dry_run=true"), Some(&same), Some(&etag(&old))).json();
    assert_eq!(same["effect"], json!({ "newly_allowed": [], "newly_denied": [] }));
    assert_eq!(get(&server, &format!("{ACCOUNTS}/bot")).status, 404);
    assert!(!is_granted(&server, "svc:newcomer", "bot"));
    let misspelt = ask(&server, "POST", &format!("{ACCOUNTS}?dryrun=true"), Some(&new), None);
    refused(&misspelt, 400, "invalid_request", "request_malformed");
    assert_eq!(get(&server, &format!("{ACCOUNTS}/bot")).status, 404);
}

#[test]
fn an_object_of_a_file_is_shown_and_is_read_only() {
    let server = Server::start_in(STS, world_site(&world()));
    let target = format!("{ACCOUNTS}/octo");
    let shown = get(&server, &target);
    let object = shown.json();
    assert_eq!((&object["source"], &object["spec"]["id"]), (&json!("file"), &json!(OCTO_ID)));
    assert_eq!(object["spec"]["identities"].as_array().unwrap().len(), 4);
    let file = server.site().read("sts.yaml");
    let line = object["line"].as_u64().unwrap() as usize;
    let named = String::from_utf8(file).unwrap().lines().nth(line - 1).unwrap().trim().to_owned();
    assert!(named.starts_with("octo:") || named.starts_with("\"octo\":"), "{line}: {named}");
    let place = format!("sts.yaml:{line}");
    assert!(format!("{}:{line}", object["file"].as_str().unwrap()).ends_with(&place), "{object}");
    let told = server.cli(&["get", "service-accounts", "octo"]);
    assert!(told.stdout.contains(&place), "{}", told.stdout);
    let page = sts_testkit::WebClient::signed_in(&server).get("/console/service-accounts/octo").text();
    assert!(page.contains(&format!("{place}</bdi>")), "{page}");
    let tag = etag(&shown);
    for (method, body) in [
        ("PUT", Some(json!({ "spec": {} }))),
        ("PATCH", Some(json!({ "spec": { "enabled": false } }))),
        ("DELETE", None),
    ] {
        let response = ask(&server, method, &target, body.as_ref(), Some(&tag));
        refused(&response, 409, "invalid_request", "declared_by_file");
        assert!(response.json()["detail"].as_str().unwrap().contains("sts.yaml"), "{}", response.text());
    }
    // What says the same as the file creates nothing either: no copy waits for the file to go.
    for spec in [json!({}), object["spec"].clone()] {
        let taken = create(&server, "service-accounts", "octo", spec);
        refused(&taken, 409, "invalid_request", "declared_by_file");
    }
    assert_eq!(get(&server, &format!("{ACCOUNTS}/octo?source=managed")).status, 404);
}

#[test]
fn kinds_that_are_not_listed_are_not_changed_and_none_turns_changes_off() {
    let server = Server::start_in(STS, world_site(&world()));
    let api = json!({ "audience": "https://new.example.com" });
    refused(&create(&server, "apis", "new", api.clone()), 403, "access_denied", "kind_not_managed");
    let issuer = json!({ "issuer": "https://new.example", "jwks": { "keys": [] } });
    refused(&create(&server, "issuers", "new", issuer), 403, "access_denied", "kind_not_managed");
    assert_eq!(get(&server, "/admin/v1/apis").json()["items"].as_array().unwrap().len(), 3);
    let off = Server::start_in(STS, world_site(&world().with("manage/kinds", json!([]))));
    refused(&create(&off, "teams", "new", json!({})), 403, "access_denied", "kind_not_managed");
    let all = Server::start_in(STS, world_site(&world().with("manage/kinds", json!(["apis", "teams"]))));
    assert_eq!(create(&all, "apis", "new", api).status, 201);
    let grants = json!({ "grants": { "new": [] } });
    assert_eq!(create(&all, "teams", "new-team", grants).status, 201);
}

#[test]
fn a_reader_reads_and_does_not_change_and_a_token_of_ours_makes_nothing_that_outlives_it() {
    let server = Server::start_in(STS, world_site(&world()));
    let with = |access: &str, request: Request| sts_testkit::send(server.admin(), &request.bearer(access));
    let new = |name: &str, spec: Value| Request::post_json(ACCOUNTS, &json!({ "name": name, "spec": spec }));
    let reader = server.token(&token("svc:reader"), &[]);
    assert_eq!(with(&reader, Request::get(ACCOUNTS)).status, 200);
    refused(&with(&reader, new("bot", json!({}))), 403, "insufficient_scope", "insufficient_scope");
    let root = server.token(&token("svc:root"), &[("scope", "sts:admin")]);
    let created = with(&root, new("bot", account("svc:bot")));
    assert_eq!((created.status, &created.json()["created_by"]), (201, &json!("root")), "{}", created.text());
    for spec in [
        json!({ "grants": { "sts": ["sts:read"] } }),
        json!({ "grants": { "sts": ["sts:admin"] }, "identities": [identity("plain", "svc:evil")] }),
    ] {
        let response = with(&root, new("evil", spec));
        refused(&response, 403, "access_denied", "interactive_required");
    }
    let team = Request::post_json(TEAMS, &json!({ "name": "evil", "spec": { "grants": { "sts": ["sts:admin"] } } }));
    refused(&with(&root, team), 403, "access_denied", "interactive_required");
    assert_eq!(
        create(&server, "service-accounts", "auditor", json!({ "grants": { "sts": ["sts:read"] } })).status,
        201
    );
    // An identity of an account that holds them.
    let added = Request::post_json(&format!("{ACCOUNTS}/auditor/identities"), &identity("plain", "svc:evil"));
    refused(&with(&root, added), 403, "access_denied", "interactive_required");
}

#[test]
fn a_file_that_declares_a_managed_name_wins_and_the_managed_object_is_back_when_it_goes() {
    let server = Server::start_in(STS, world_site(&world()));
    assert_eq!(create(&server, "service-accounts", "bot", account("svc:bot")).status, 201);
    let before = get(&server, &format!("{ACCOUNTS}/bot")).json();
    server.site().replace("sts.yaml", world().with("service_accounts/bot", account("svc:other")).text());
    server.signal("HUP");
    until("the file to be in force", || is_granted(&server, "svc:other", "bot"));
    assert!(!is_granted(&server, "svc:bot", "bot"));
    assert_eq!(get(&server, &format!("{ACCOUNTS}/bot")).json()["source"], "file");
    let shadowed = get(&server, &format!("{ACCOUNTS}/bot?source=managed"));
    assert_eq!(shadowed.json()["not_in_force"], "shadowed", "{}", shadowed.text());
    server.site().replace("sts.yaml", world().text());
    server.signal("HUP");
    until("the managed object to be in force", || is_granted(&server, "svc:bot", "bot"));
    assert_eq!(get(&server, &format!("{ACCOUNTS}/bot")).json(), before);
}

#[test]
fn a_managed_object_that_no_longer_compiles_refuses_a_reload_and_is_set_aside_at_a_start() {
    let server = Server::start_in(STS, world_site(&world()));
    assert_eq!(create(&server, "service-accounts", "bot", account("svc:bot")).status, 201);
    let access = server.token(&token("svc:bot"), &[("audience", "bot")]);
    // The team that it is in goes away with those of the files.
    let mut without = Config::new();
    for part in ["issuers/plain", "apis/deploy"] {
        let value: Value = serde_json::from_str(&world().text()).unwrap();
        without = without.with(part, value.pointer(&format!("/{part}")).unwrap().clone());
    }
    server.site().replace("sts.yaml", without.text());
    server.signal("HUP");
    server.lines().wait("the reload to be refused", |line| {
        (line.contains("not reloaded") && line.contains("service-accounts/bot")).then_some(())
    });
    assert!(active(&server, &access));
    let (_, site) = server.terminate();
    let server = Server::start_in(STS, site);
    assert!(!active(&server, &access), "what is set aside has no active tokens");
    let object = get(&server, &format!("{ACCOUNTS}/bot")).json();
    assert_eq!(object["not_in_force"], "set_aside", "{object}");
    assert!(!object["findings"].as_array().unwrap().is_empty(), "{object}");
    // A change that compiles brings it back.
    let shown = get(&server, &format!("{ACCOUNTS}/bot"));
    let patch = json!({ "spec": { "teams": null, "grants": { "deploy": ["releases:read"] } } });
    let changed = ask(&server, "PATCH", &format!("{ACCOUNTS}/bot"), Some(&patch), Some(&etag(&shown)));
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert!(is_granted(&server, "svc:bot", "bot"));
}

#[test]
fn objects_are_there_after_a_crash_whole() {
    let mut server = Server::start_in(STS, world_site(&world()));
    for round in 0..3 {
        let admin = server.admin();
        let token_of_admin = server.admin_token();
        let writer = std::thread::spawn(move || {
            let mut done = Vec::new();
            for number in 0..200 {
                let name = format!("bot-{round}-{number}");
                let body = json!({ "name": name, "spec": account(&format!("svc:{name}")) });
                let request = Request::post_json(ACCOUNTS, &body).bearer(&token_of_admin);
                match sts_testkit::try_send(admin, &request) {
                    Some(response) if response.status == 201 => done.push(name),
                    _ => break,
                }
            }
            done
        });
        until("some objects to be there", || get(&server, &format!("{ACCOUNTS}/bot-{round}-3")).status == 200);
        let site = server.kill();
        let done = writer.join().unwrap();
        server = Server::start_in(STS, site);
        for name in &done {
            let object = get(&server, &format!("{ACCOUNTS}/{name}")).json();
            assert_eq!(object["spec"], account(&format!("svc:{name}")), "{name}");
        }
        let last = done.last().unwrap();
        assert!(is_granted(&server, &format!("svc:{last}"), last));
    }
}

#[test]
fn a_second_server_on_the_same_redis_has_a_change_in_force_within_a_second() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let config = shared_world(&redis, &keys);
    let one = Server::start_in(STS, world_site(&config));
    let two = Server::start_in(STS, world_site(&config));
    let created = create(&one, "service-accounts", "bot", account("svc:bot"));
    assert_eq!(created.status, 201, "{}", created.text());
    let access = one.token(&token("svc:bot"), &[("audience", "bot")]);
    until("the other server to know the account", || is_granted(&two, "svc:bot", "bot"));
    let disable = json!({ "spec": { "enabled": false } });
    let disabled = ask(&two, "PATCH", &format!("{ACCOUNTS}/bot"), Some(&disable), Some(&etag(&created)));
    assert_eq!(disabled.status, 200, "{}", disabled.text());
    assert!(!active(&two, &access));
    until("the first server to know that it is disabled", || !active(&one, &access));
    let stale = ask(&one, "PATCH", &format!("{ACCOUNTS}/bot"), Some(&disable), Some(&etag(&created)));
    refused(&stale, 412, "invalid_request", "precondition_failed");
}

#[test]
fn a_question_is_decided_with_its_trace_and_with_a_draft_of_an_identity() {
    let server = Server::start_in(STS, world_site(&world()));
    let evaluate = |body: Value| ask(&server, "POST", "/admin/v1/evaluate", Some(&body), None);
    let asked = evaluate(json!({ "claims": claims("svc:octo"), "account": "octo", "audience": "deploy" }));
    assert_eq!((asked.status, &asked.json()["verdict"]), (200, &json!("granted")), "{}", asked.text());
    assert!(asked.json()["decision"].is_object());
    let unknown = json!({ "claims": claims("svc:nobody"), "account": "octo" });
    assert_eq!(evaluate(unknown.clone()).json()["verdict"], "refused");
    let mut drafted = unknown;
    drafted["identity"] = json!({ "name": "draft", "issuer": "plain", "subject": "svc:nobody" });
    assert_eq!(evaluate(drafted.clone()).json()["verdict"], "granted", "{}", evaluate(drafted.clone()).text());
    drafted["identity"]["issuer"] = json!("plian");
    refused(&evaluate(drafted), 422, "invalid_request", "invalid_object");
    assert!(!is_granted(&server, "svc:nobody", "octo"), "a draft is not in force");
    refused(&evaluate(json!({})), 400, "invalid_request", "request_malformed");
    assert_eq!(get(&server, "/admin/v1/tokens").json()["tokens"], json!([]), "nothing is minted");
}

#[test]
fn the_effective_configuration_and_the_health_are_told_without_secrets() {
    let server = Server::start_in(STS, world_site(&world()));
    let response = get(&server, "/admin/v1/config");
    let config = response.json();
    assert_eq!((&config["issuer"], &config["tokens"]["ttl"]), (&json!(US), &json!("15m")), "{config}");
    assert!(config["generation"].as_str().is_some_and(|generation| generation.len() == 16), "{config}");
    assert!(config["sources"].is_object() && config["service_accounts"]["octo"].is_object(), "{config}");
    for secret in [DEPLOY_SECRET, BILLING_SECRET, &server.admin_token()] {
        assert!(!response.text().contains(secret));
    }
    let health = get(&server, "/admin/v1/health").json();
    assert_eq!((&health["ready"], &health["store"]), (&json!(true), &json!("ok")), "{health}");
}

#[test]
fn rv04_a_managed_api_hears_of_the_store_and_not_of_its_secret_while_nobody_could_read_it() {
    let redis = RedisServer::start();
    let keys = Site::new();
    let config =
        shared_world(&redis, &keys).with("store/timeout", "500ms").with("manage/kinds", json!(["apis", "teams"]));
    let server = Server::start_in(STS, world_site(&config));
    let spec = json!({ "audience": "https://new.example.com", "scopes": ["read"], "introspection_secret_file": "deploy.secret" });
    assert_eq!(create(&server, "apis", "new", spec).status, 201);
    let ask = || Request::post_form("/introspect", &[("token", "x")]).basic("new", DEPLOY_SECRET);
    assert_eq!(server.send(&ask()).status, 200);
    redis.signal("STOP");
    let server = server.crash_and_restart();
    refused(&server.send(&ask()), 503, "temporarily_unavailable", "store_unavailable");
    redis.signal("CONT");
    until("the objects are read", || server.send(&ask()).status == 200);
    let wrong = Request::post_form("/introspect", &[("token", "x")]).basic("new", "wrong");
    assert_eq!(server.send(&wrong).status, 401);
}
