//! What operators do with tokens, rules and keys, and what they are told: unknown names, counts,
//! work that was not done, configurations that do not load, and unreachable servers.

use crate::redis::shared_world;
use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Finished, RedisServer, Request, Response, Server, ShiftedClock, Site, free_address, now};

fn active(server: &Server, token: &str) -> bool {
    server.introspect("deploy", DEPLOY_SECRET, token)["active"] == true
}

fn revoke(server: &Server, arguments: &[&str]) -> Finished {
    let mut all = vec!["tokens", "revoke"];
    all.extend_from_slice(arguments);
    server.cli(&all)
}

fn revocation(server: &Server, body: Value) -> Response {
    server.send_admin(Request::post_json("/admin/v1/revocations", &body))
}

fn rules(server: &Server) -> Vec<Value> {
    let rules = server.cli(&["tokens", "rules", "list", "--json"]).ended(0).json();
    rules["revocation_rules"].as_array().unwrap().clone()
}

#[test]
fn fld40_a_name_that_nobody_has_is_an_error_with_the_nearest_one_and_revokes_nothing() {
    let server = Server::start_in(STS, world_site(&world()));
    let access = server.token(&token("svc:octo"), &[]);
    for (field, name, nearest) in [
        ("account", "ocot", "octo"),
        ("account", "two-by-defualt", "two-by-default"),
        ("issuer", "plian", "plain"),
        ("identity", "plan", "plain"),
        ("identity", "shortr", "shorter"),
    ] {
        let finished = revoke(&server, &[&format!("--{field}"), name]).ended(1);
        assert!(finished.stderr.contains(&format!("did you mean `{nearest}`?")), "{}", finished.stderr);
        assert!(finished.stderr.contains("nothing was revoked"), "{}", finished.stderr);
        let response = revocation(&server, json!({ field: name }));
        refused(&response, 404, "invalid_request", "not_found");
        let told = response.json()["error_description"].as_str().unwrap().to_owned();
        assert!(told.contains(&format!("`{nearest}`")), "{told}");
        // A dry run would end nothing either, for the same reason.
        revoke(&server, &[&format!("--{field}"), name, "--dry-run"]).ended(1);
    }
    // The identity must exist in that account.
    let finished = revoke(&server, &["--account", "octo", "--identity", "shorter"]).ended(1);
    assert!(finished.stderr.contains("`octo`") && finished.stderr.contains("`shorter`"), "{}", finished.stderr);
    revoke(&server, &["--account", "octo", "--issuer", "nobody-at-all"]).ended(1);
    revoke(&server, &["--account", "Not A Name"]).ended(1);
    assert!(rules(&server).is_empty());
    assert!(active(&server, &access));
    // A disabled account and a disabled entry exist.
    revoke(&server, &["--account", "disabled"]).ended(0);
    revoke(&server, &["--issuer", "off"]).ended(0);
    revoke(&server, &["--account", "not-yet-there", "--force"]).ended(0);
    assert_eq!(revocation(&server, json!({ "identity": "not there", "force": true })).status, 200);
    assert_eq!(rules(&server).len(), 4);
    assert!(active(&server, &access));
}

#[test]
fn fld40_an_api_key_that_nobody_has_is_an_error_and_a_whole_key_is_never_shown() {
    let server = Server::start_in(STS, world_site(&world()));
    let access = server.token(&token("svc:octo"), &[]);
    let refused = server.cli(&["tokens", "revoke", "--api-key", "0123456789aB"]).ended(1);
    for wanted in ["there is no API key `0123456789aB`", "nothing was revoked"] {
        assert!(refused.stderr.contains(wanted), "{wanted}: {}", refused.text());
    }
    for force in [&[][..], &["--force"]] {
        let whole = "sts_0123456789aBabcdefghijklmnopqrstuvwxyz0123456789abcdef";
        let refused = server.cli(&[&["tokens", "revoke", "--api-key", whole], force].concat()).ended(1);
        assert!(refused.stderr.contains("an API key's id is the 12 letters and digits"), "{}", refused.text());
        assert!(!refused.text().contains(whole) && !server.lines().text().contains(whole), "{}", refused.text());
    }
    let forced = server.cli(&["tokens", "revoke", "--api-key", "0123456789aB", "--force", "--json"]).ended(0).json();
    assert_eq!(forced["revocation"]["scope"], json!({ "rule": { "api_key": "0123456789aB" } }));
    assert_eq!(forced["covered"], 0);
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], true, "it is of an ID token");
    let listed = server.cli(&["tokens", "rules", "list"]).ended(0);
    assert!(listed.stdout.contains("api_key=0123456789aB"), "{}", listed.stdout);
}

#[test]
fn fld40_an_account_that_is_gone_from_the_configuration_is_revocable_by_its_records() {
    let server = Server::start_in(STS, world_site(&world()));
    let access = server.token(&token("svc:short"), &[]);
    let (_, site) = server.terminate();
    site.replace("sts.yaml", world().without("service_accounts/short").text());
    let server = Server::start_in(STS, site);
    let finished = revoke(&server, &["--account", "short", "--identity", "shorter", "--issuer", "plain"]).ended(0);
    assert!(finished.stdout.contains("1 live token"), "{}", finished.stdout);
    assert!(!active(&server, &access));
}

#[test]
fn fld40_every_answer_says_how_many_live_tokens_it_ends_and_a_dry_run_says_only_that() {
    let server = Server::start_in(STS, world_site(&world()));
    let tokens: Vec<String> = (0..3).map(|_| server.token(&token("svc:octo"), &[])).collect();
    let other = server.token(&token("svc:short"), &[]);
    let covered = |response: &Response| granted(response)["covered"].clone();
    assert_eq!(covered(&revocation(&server, json!({ "account": "octo", "dry_run": true }))), 3);
    let query = Request::post_json("/admin/v1/revocations?dry_run=true", &json!({ "issuer": "plain" }));
    assert_eq!(covered(&server.send_admin(query)), 4);
    let wrong = Request::post_json("/admin/v1/revocations?dryrun=true", &json!({ "issuer": "plain" }));
    assert_eq!(server.send_admin(wrong).status, 400, "a typo must not revoke");
    let finished = revoke(&server, &["--account", "octo", "--dry-run"]).ended(0);
    assert!(
        finished.stdout.contains("3 live tokens") && finished.stdout.contains("nothing was revoked"),
        "{finished:?}"
    );
    assert!(rules(&server).is_empty());
    assert!(tokens.iter().all(|token| active(&server, token)));
    // Tokens that a rule ended already are not counted again.
    assert_eq!(server.revoke(&tokens[0]).status, 200);
    assert_eq!(covered(&revocation(&server, json!({ "account": "octo" }))), 2);
    assert!(!tokens.iter().any(|token| active(&server, token)));
    let finished = revoke(&server, &["--account", "octo"]).ended(0);
    assert!(finished.stdout.contains("0 live tokens"), "{}", finished.stdout);
    assert_eq!(revoke(&server, &["--subject", "svc:short", "--json"]).ended(0).json()["covered"], 1);
    assert!(!active(&server, &other));
    let jti = server.cli(&["tokens", "list", "--account", "short", "--json"]).ended(0).json();
    let jti = jti["tokens"][0]["jti"].as_str().unwrap().to_owned();
    assert_eq!(revoke(&server, &["--jti", &jti, "--json"]).ended(0).json()["covered"], 0);
}

#[test]
fn fld41_a_rule_that_reaches_into_the_future_is_refused_with_both_times() {
    let server = Server::start_in(STS, world_site(&world()));
    let access = server.token(&token("svc:octo"), &[]);
    for before in ["2099-01-01T00:00:00Z", &(now() + 120).to_string()] {
        let finished = revoke(&server, &["--account", "octo", "--before", before]).ended(1);
        assert!(finished.stderr.contains("nothing was revoked"), "{}", finished.stderr);
        assert_eq!(finished.stderr.matches("T").count(), 2, "two times: {}", finished.stderr);
    }
    let response = revocation(&server, json!({ "account": "octo", "before": "2099-01-01T02:00:00+02:00" }));
    invalid(&response, "request_malformed");
    let told = response.json()["error_description"].as_str().unwrap().to_owned();
    assert!(told.contains("2099-01-01T00:00:00Z"), "{told}");
    assert!(rules(&server).is_empty());
    assert!(active(&server, &access));
    assert_eq!(revocation(&server, json!({ "account": "octo", "before": now() - 3600 })).status, 200);
    assert!(active(&server, &access), "it was issued later");
}

#[test]
fn fld41_a_rule_is_taken_back_and_its_tokens_are_active_again_unless_something_else_ends_them() {
    let server = Server::start_in(STS, world_site(&world()));
    let tokens = [server.token(&token("svc:octo"), &[]), server.token(&token("svc:octo"), &[])];
    revoke(&server, &["--account", "octo", "--reason", "a slip"]).ended(0);
    assert_eq!(server.revoke(&tokens[1]).status, 200);
    let all = rules(&server);
    let id = all[0]["id"].as_str().unwrap().to_owned();
    assert_eq!((all.len(), &all[0]["reason"]), (1, &json!("a slip")));
    let table = server.cli(&["tokens", "rules", "list"]).ended(0).stdout;
    assert!(table.contains(&id) && table.contains(OCTO_ID) && table.contains("a slip"), "{table}");
    let finished = server.cli(&["tokens", "rules", "undo", &id]).ended(0);
    assert!(finished.stdout.contains("1 live token"), "{}", finished.stdout);
    assert_eq!(tokens.each_ref().map(|token| active(&server, token)), [true, false]);
    for unknown in [id.as_str(), "nonsense"] {
        let finished = server.cli(&["tokens", "rules", "undo", unknown]).ended(1);
        assert!(finished.stderr.contains("rules list"), "{}", finished.stderr);
    }
    // By the admin API, and permanently.
    revoke(&server, &["--account", "octo"]).ended(0);
    let id = rules(&server)[0]["id"].as_str().unwrap().to_owned();
    let delete = |id: &str| server.send_admin(Request::new("DELETE", &format!("/admin/v1/revocation-rules/{id}")));
    assert!(!active(&server, &tokens[0]));
    assert_eq!(granted(&delete(&id))["undone"]["id"], id.as_str());
    assert_eq!(delete(&id).status, 404);
    let server = server.crash_and_restart();
    assert_eq!(tokens.each_ref().map(|token| active(&server, token)), [true, false]);
    let reader = server.token(&token("svc:reader"), &[]);
    let path = format!("/admin/v1/revocation-rules/{id}");
    assert_eq!(sts_testkit::send(server.admin(), &Request::new("DELETE", &path).bearer(&reader)).status, 403);
}

#[test]
fn f3_now_means_now_at_servers_whose_clocks_differ() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let config = shared_world(&redis, &keys);
    let ahead = ShiftedClock::new();
    ahead.set(20);
    let one = Server::start_in(STS, world_site(&config));
    let fast = Server::start_under(STS, world_site(&config), &ahead.environment());
    for (minting, revoking) in [(&fast, &one), (&one, &fast)] {
        let before = minting.token(&token("svc:octo"), &[]);
        let finished = revoke(revoking, &["--account", "octo"]).ended(0);
        assert!(finished.stdout.contains("1 live token"), "{}", finished.stdout);
        let after = minting.token(&token("svc:octo"), &[]);
        for server in [&one, &fast] {
            assert!(!active(server, &before), "it was recorded before the rule");
            assert!(active(server, &after), "it was recorded after the rule");
        }
        assert_eq!(minting.revoke(&after).status, 200);
    }
}

#[test]
fn f3_now_means_now_after_a_clock_was_set_back() {
    let clock = ShiftedClock::new();
    clock.set(40);
    let server = Server::start_under(STS, world_site(&world()), &clock.environment());
    let before = server.token(&token("svc:octo"), &[]);
    clock.set(-10);
    revoke(&server, &["--account", "octo"]).ended(0);
    let after = server.token(&token("svc:octo"), &[]);
    assert_eq!([&before, &after].map(|token| active(&server, token)), [false, true]);
    let server = server.crash_and_restart();
    assert_eq!([&before, &after].map(|token| active(&server, token)), [false, true]);
}

#[test]
fn fld44_what_failed_says_what_was_not_done() {
    let (mut redis, keys) = (RedisServer::start(), Site::new());
    let config = shared_world(&redis, &keys).with("store/timeout", "250ms");
    let server = Server::start_in(STS, world_site(&config));
    let access = server.token(&token("svc:octo"), &[]);
    let root = server.token(&token("svc:root"), &[]);
    redis.kill();
    let told = |response: &Response| {
        refused(response, 503, "temporarily_unavailable", "store_unavailable");
        response.json()["error_description"].as_str().unwrap().to_owned()
    };
    let exchange = told(&server.exchange(&token("svc:octo"), &[]));
    assert!(exchange.contains("nothing was minted"), "{exchange}");
    let introspect = Request::post_form("/introspect", &[("token", &access)]).basic("deploy", DEPLOY_SECRET);
    let id = "0123456789abcdef0123456789abcdef";
    let undo = Request::new("DELETE", &format!("/admin/v1/revocation-rules/{id}"));
    let admin = |path: &str| server.send_admin(Request::get(path));
    for (response, undone) in [
        (server.revoke(&access), "nothing was revoked"),
        (server.send(&introspect), "not known whether the token is active"),
        (revocation(&server, json!({ "account": "octo" })), "nothing was revoked"),
        (revocation(&server, json!({ "jti": "x" })), "nothing was revoked"),
        (revocation(&server, json!({ "account": "octo", "dry_run": true })), "nothing was counted"),
        (admin("/admin/v1/tokens"), "nothing was listed"),
        (admin("/admin/v1/tokens/x"), "not looked up"),
        (admin("/admin/v1/revocation-rules"), "nothing was listed"),
        (server.send_admin(undo), "no rule was taken back"),
        (server.send_admin(Request::post_json("/admin/v1/store/accept-epoch", &json!({}))), "not accepted"),
        (sts_testkit::send(server.admin(), &Request::get("/admin/v1/keys").bearer(&root)), "not looked up"),
    ] {
        let told = told(&response);
        assert!(told.contains(undone) && !told.contains("minted"), "{undone}: {told}");
    }
    for (arguments, undone) in [
        (["tokens", "revoke", "--account", "octo"].as_slice(), "nothing was revoked"),
        (&["tokens", "list"], "nothing was listed"),
        (&["tokens", "rules", "undo", id], "no rule was taken back"),
    ] {
        let finished = server.cli(arguments).ended(1);
        assert!(finished.stderr.contains(undone), "{}", finished.stderr);
    }
    // The keys are not in the store.
    server.cli(&["keys", "list"]).ended(0);
    drop(root);
}

#[test]
fn fld51_a_list_says_that_it_goes_on_and_how_and_is_filtered() {
    let server = Server::start_in(STS, world_site(&world()));
    for subject in ["svc:octo", "svc:octo", "svc:short", "svc:bare", "svc:octo"] {
        granted(&server.exchange(&token(subject), &[]));
    }
    granted(&server.exchange(&token_of("https://wide.example", "svc:octo"), &[]));
    revoke(&server, &["--account", "short"]).ended(0);
    let list = |arguments: &[&str]| {
        let mut all = vec!["tokens", "list", "--json"];
        all.extend_from_slice(arguments);
        server.cli(&all).ended(0).json()
    };
    let count = |arguments: &[&str]| list(arguments)["tokens"].as_array().unwrap().len();
    let (past, future) = ((now() - 1000).to_string(), (now() + 1000).to_string());
    for (arguments, expected) in [
        (&[][..], 6),
        (&["--account", "octo"], 4),
        (&["--issuer", "wide"], 1),
        (&["--issuer", "plain", "--account", "octo"], 3),
        (&["--subject", "svc:*"], 6),
        (&["--subject", "svc:o*"], 4),
        (&["--identity", "plain"], 4),
        (&["--identity", "shorter"], 1),
        (&["--api", "bare"], 1),
        (&["--state", "revoked"], 1),
        (&["--state", "active"], 5),
        (&["--issued-after", &past], 6),
        (&["--issued-after", &future], 0),
        (&["--issued-before", &past], 0),
        (&["--issued-before", &future, "--state", "active", "--api", "deploy"], 4),
        (&["--limit", "2"], 2),
        (&["--all"], 6),
    ] {
        assert_eq!(count(arguments), expected, "{arguments:?}");
    }
    // Page by page, each token once.
    let mut seen = Vec::new();
    let mut page = list(&["--limit", "2"]);
    loop {
        seen.extend(page["tokens"].as_array().unwrap().iter().map(|token| token["jti"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str().map(str::to_owned) else { break };
        page = list(&["--limit", "2", "--after", &next]);
    }
    let all = list(&["--all"]);
    let jtis: Vec<&str> =
        all["tokens"].as_array().unwrap().iter().map(|token| token["jti"].as_str().unwrap()).collect();
    assert_eq!((seen.len(), &seen[..]), (6, &jtis[..].iter().map(|jti| (*jti).to_owned()).collect::<Vec<_>>()[..]));
    assert!(all["next"].is_null());
    let filtered = server.send_admin(Request::get("/admin/v1/tokens?account=octo&limit=2")).json();
    assert!(filtered["next"].is_string() && filtered["tokens"].as_array().unwrap().len() == 2, "{filtered}");
    let text = server.cli(&["tokens", "list", "--limit", "2"]).ended(0).stdout;
    let next = seen[1].as_str();
    for part in ["there are more", "--all", "--limit", &format!("--after {next}")] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!server.cli(&["tokens", "list"]).ended(0).stdout.contains("there are more"));
    // An unknown name is an error, not an account without tokens.
    let text = server.cli(&["tokens", "list", "--account", "ocot"]).ended(0).stdout;
    assert!(text.contains("did you mean `octo`?"), "{text}");
    for wrong in ["state=dead", "issued_after=yesterday", "subject=a***", "subjekt=a"] {
        assert_eq!(server.send_admin(Request::get(&format!("/admin/v1/tokens?{wrong}"))).status, 400, "{wrong}");
    }
    let gone = granted(&server.send_admin(Request::get("/admin/v1/tokens?after=gone")));
    assert!(gone["forgotten"] == true && gone["notes"].to_string().contains("from the start"), "{gone}");
}

#[test]
fn fld22_a_configuration_that_does_not_load_is_no_obstacle_to_revoking() {
    let config = world().with("admin/listen", free_address().to_string()).with("accounts", "accounts.yaml");
    let site = world_site(&config);
    site.write("accounts.yaml", "service_accounts: {}\n");
    let server = Server::start_in(STS, site);
    let site = server.site();
    let list = ["tokens", "list", "--json", "--config", "sts.yaml"];
    let check = || STS.run(site.root(), &["check", "--config", "sts.yaml"]).code;
    let works = |what: &str| {
        assert_ne!(check(), Some(0), "{what}: this is to be a configuration that does not load");
        let access = server.token(&token("svc:octo"), &[]);
        for command in [["issuers", "list"], ["keys", "list"], ["tokens", "list"], ["store", "accept-epoch"]] {
            STS.run(site.root(), &[command[0], command[1], "--config", "sts.yaml"]).ended(0);
        }
        STS.run(site.root(), &["tokens", "revoke", "--account", "octo", "--config", "sts.yaml"]).ended(0);
        assert!(!active(&server, &access), "{what}");
    };
    site.replace("accounts.yaml", "service_accounts: [\n");
    works("an account file is broken");
    site.replace("accounts.yaml", "service_accounts: {}\n");
    std::fs::remove_file(site.path("deploy.secret")).unwrap();
    works("a secret is missing");
    site.write("deploy.secret", DEPLOY_SECRET);
    site.replace("sts.yaml", config.clone().with("nonsense", 1).with("tokens/ttl", "soon").text());
    works("a key is unknown and a value is wrong");
    site.replace("sts.yaml", format!("{}\n}} [", config.text()));
    works("the YAML is broken");
    site.replace("sts.yaml", config.text().replace("\"issuer\"", "issuer\" {"));
    works("the YAML is broken before");
    // If the address of the server is unknown, the command does not guess.
    site.replace("sts.yaml", config.clone().with("data_dir", "${NOT_SET}").text());
    let finished = STS.run(site.root(), &list).ended(2);
    assert!(finished.text().contains("NOT_SET") && finished.text().contains("--admin-url"), "{}", finished.text());
    // Without any configuration at all.
    std::fs::remove_file(site.path("sts.yaml")).unwrap();
    STS.run(site.root(), &list).ended(2);
    server.cli(&["tokens", "list"]).ended(0);
}

#[test]
fn fld15_what_root_does_beside_a_stopped_server_leaves_files_to_the_owner_of_their_folder() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    const OWNER: u32 = 12_345;
    let server = Server::start_in(STS, world_site(&world()));
    if std::fs::metadata(server.site().path("data")).unwrap().uid() != 0 {
        // Only root can change the owner of a file, so there is nothing to test.
        return;
    }
    let _ = server.token(&token("svc:octo"), &[]);
    let (_, site) = server.terminate();
    let every = |visit: &mut dyn FnMut(&std::path::Path)| {
        let mut folders = vec![site.path("data")];
        while let Some(folder) = folders.pop() {
            visit(&folder);
            for entry in std::fs::read_dir(&folder).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() { folders.push(entry.path()) } else { visit(&entry.path()) }
            }
        }
    };
    every(&mut |path| chown(path, Some(OWNER), Some(OWNER)).unwrap());
    let keys = std::fs::read_dir(site.path("data/keys")).unwrap().count();
    for command in [
        ["keys", "rotate"].as_slice(),
        &["tokens", "revoke", "--account", "octo"],
        &["tokens", "list"],
        &["issuers", "refresh", "plain"],
    ] {
        let mut arguments = command.to_vec();
        arguments.extend(["--config", "sts.yaml"]);
        assert_eq!(STS.run(site.root(), &arguments).ended(0).code, Some(0));
    }
    assert!(std::fs::read_dir(site.path("data/keys")).unwrap().count() > keys);
    every(&mut |path| assert_eq!(std::fs::symlink_metadata(path).unwrap().uid(), OWNER, "{}", path.display()));
}

#[test]
fn fld49_a_rotation_while_successors_wait_changes_nothing_and_says_so() {
    let server = Server::start_in(STS, world_site(&world().with("signing/algorithms", json!(["ES256", "EdDSA"]))));
    let first = server.cli(&["keys", "rotate"]).ended(0).stdout;
    assert!(first.contains("made the ES256 key") && first.contains("made the EdDSA key"), "{first}");
    let keys = server.cli(&["keys", "list", "--json"]).ended(0).json();
    let again = server.cli(&["keys", "rotate"]).ended(0).stdout;
    assert!(again.starts_with("nothing was changed") && again.contains("waits already"), "{again}");
    let answer = server.send_admin(Request::post_json("/admin/v1/keys/rotate", &json!({}))).json();
    assert_eq!((&answer["made"], &answer["keys"]), (&json!([]), &keys["keys"]));
}

#[test]
fn fld58_a_secret_where_a_path_is_expected_is_never_printed() {
    let site = world_site(&world());
    let jwt = token("svc:octo");
    let long = format!("eyJ{}", "a".repeat(5000));
    let base64 = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA";
    for secret in [jwt.as_str(), &long, base64, "hunter2-Is-No_Path", "{\"sub\":\"x\"}"] {
        for command in [
            &["explain", "--config", "sts.yaml", "--token", secret][..],
            &["explain", "--config", "sts.yaml", "--claims", secret],
            &["exchange", "--url", "https://127.0.0.1:9", "--token-file", secret],
            &["tokens", "list", "--admin-url", "http://127.0.0.1:9", "--admin-token-file", secret],
            &["exchange", "--url", secret, "--token-file", "x.token"],
            &["tokens", "list", "--config", secret],
            &[
                "keys",
                "list",
                "--admin-url",
                "https://127.0.0.1:9",
                "--admin-token-file",
                "x.token",
                "--ca-file",
                secret,
            ],
            &["serve", "--config", secret],
            &["check", "--config", secret],
            &["check", "--config", "sts.yaml", "--against", secret],
            &["check", "--config", "sts.yaml", "--against", "sts.yaml", "--replay", secret],
            &["explain", "--config", secret, "--claims", "-"],
        ] {
            let finished = STS.run(site.root(), command);
            assert_ne!(finished.code, Some(0), "{command:?}");
            assert!(!finished.text().contains(secret), "{}", finished.text());
        }
    }
    // An error about a token from a file or standard input says so.
    let finished = STS.run(site.root(), &["explain", "--config", "sts.yaml", "--token", &jwt]).ended(2);
    assert!(finished.stderr.contains("file") && finished.stderr.contains("`-`"), "{}", finished.stderr);
    // Without an option before it.
    let finished = STS.run(site.root(), &["explain", &jwt]).ended(2);
    assert!(!finished.text().contains(&jwt), "{}", finished.text());
    for (path, key) in [
        ("apis/deploy/introspection_secret_file", "introspection_secret_file"),
        ("tls/key_file", "key_file"),
        ("issuers/plain/ca_file", "ca_file"),
        ("accounts", "accounts"),
        ("data_dir", "data_dir"),
        ("signing/keys_dir", "keys_dir"),
    ] {
        for secret in [jwt.as_str(), base64] {
            let mut config = world().with(path, secret);
            if key == "key_file" {
                config = config.with("tls/cert_file", secret);
            }
            let site = world_site(&config);
            // A file with the name of the folder to create.
            if secret.len() < 200 {
                site.write(secret, "");
            }
            for command in [["check", "--config", "sts.yaml"], ["serve", "--config", "sts.yaml"]] {
                if command[0] == "serve" && (key == "ca_file" || key == "accounts") {
                    continue;
                }
                let finished = STS.run(site.root(), &command);
                assert!(!finished.text().contains(secret), "{key}: {}", finished.text());
            }
        }
    }
}

#[test]
fn fld47_a_server_that_cannot_be_reached_is_named_with_the_cause_and_what_to_do() {
    let site = world_site(&world());
    site.write("admin.token", "0123456789abcdef0123456789abcdef0123456789abcdef");
    std::fs::set_permissions(site.path("admin.token"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let ask = |url: &str| {
        let command =
            ["tokens", "revoke", "--account", "octo", "--admin-url", url, "--admin-token-file", "admin.token"];
        STS.run(site.root(), &command)
    };
    let plain = Server::start_in(STS, world_site(&world()));
    let https = format!("https://{}", plain.admin());
    let public = format!("http://{}", plain.public());
    let own = format!("http://{}", plain.admin());
    for (url, parts) in [
        ("http://127.0.0.1:9", &["refused", "sts serve", "nothing was revoked"][..]),
        ("https://sts.invalid:9", &["host name", "nothing was revoked"]),
        (&https, &["TLS", "--ca-file", "nothing was revoked"]),
        (&own, &["admin token", "--admin-token-file", "nothing was revoked"]),
        (&public, &["there is nothing"]),
    ] {
        let finished = ask(url).ended(1);
        assert!(finished.stderr.contains(url) || url == public, "{}", finished.stderr);
        for part in parts {
            assert!(finished.stderr.contains(part), "{part}: {}", finished.stderr);
        }
    }
    for url in ["http://sts.example.com", "nonsense", "ftp://127.0.0.1"] {
        assert!(ask(url).ended(2).stderr.contains("--admin-url"));
    }
}
