//! Teams that groups give: groups of a real directory, and groups that a token names.

use crate::grants_support::payload;
use crate::redis::shared_world;
use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Config, Exposition, RedisServer, Request, Samba, Server, Site, Slapd, WebClient, send, until};

/// A directory server, or the end of the test where it cannot run.
macro_rules! directory {
    ($start:expr) => {
        match $start {
            Ok(server) => server,
            Err(missing) => return println!("{missing}"),
        }
    };
}

/// `svc-build` is in `deployers`, by way of `builders`; `svc-other` is in neither.
fn people() -> String {
    let builders = Slapd::group_dn("builders");
    [
        Slapd::user("svc-build", ""),
        Slapd::user("svc-other", ""),
        Slapd::group("builders", &[&Slapd::user_dn("svc-build")]),
        Slapd::group("deployers", &[&builders, Slapd::BIND_DN]),
    ]
    .concat()
}

/// `build` and `other` are linked to the directory. Both have the team `readers` anyway, and `deployers`
/// by the group.
fn linked(config: Config, slapd: &Slapd) -> Config {
    let account = |login: &str, subject: &str| {
        json!({
            "teams": ["readers"],
            "external_login": { "directory": "people", "name": login },
            "identities": [identity("plain", subject)],
        })
    };
    config
        .with(
            "directories/people",
            json!({
                "url": slapd.url(),
                "ca_file": slapd.ca_file(),
                "bind": { "dn": Slapd::BIND_DN, "password_file": slapd.password_file() },
                "base": Slapd::BASE,
                "kind": "ldap",
                "user_filter": "(uid={name})",
                "refresh": "1s",
            }),
        )
        .with("teams/readers", json!({ "grants": { "deploy": ["releases:read"] } }))
        .with(
            "teams/operators",
            json!({
                "grants": { "deploy": ["deployments:create"] },
                "external_groups": [{ "directory": "people", "group": Slapd::group_dn("deployers") }],
            }),
        )
        .with("service_accounts/build", account("SVC-Build", "svc:build"))
        .with("service_accounts/other", account("svc-other", "svc:other"))
}

fn start(slapd: &Slapd) -> Server {
    Server::start_in(STS, world_site(&linked(world(), slapd)))
}

/// The groups and scopes of a fresh token.
fn groups_and_scopes(server: &Server, subject: &str) -> (Value, Value) {
    let claims = payload(&server.token(&token(subject), &[("audience", DEPLOY)]));
    (claims["groups"].clone(), claims["scope"].clone())
}

fn has_team(server: &Server, subject: &str) -> bool {
    groups_and_scopes(server, subject) == (json!(["readers", "operators"]), json!("deployments:create releases:read"))
}

fn lacks_team(server: &Server, subject: &str) -> bool {
    groups_and_scopes(server, subject) == (json!(["readers"]), json!("releases:read"))
}

/// What the server would answer to a request for `deployments:create`, and why.
fn evaluate(server: &Server, subject: &str) -> Value {
    let body = json!({ "claims": claims(subject), "audience": DEPLOY, "scope": "deployments:create" });
    let request = Request::new("POST", "/admin/v1/evaluate").body("application/json", body.to_string());
    server.send_admin(request).json()
}

fn summary(server: &Server, subject: &str) -> String {
    evaluate(server, subject)["summary"].as_str().unwrap().to_owned()
}

fn health(server: &Server) -> Value {
    send(server.admin(), &Request::get("/readyz")).json()
}

fn sample(server: &Server, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let text = send(server.admin(), &Request::get("/metrics")).text();
    Exposition::parse(&text).value(name, labels)
}

/// What the admin API says of the teams that groups give.
fn group_teams(server: &Server, account: &str) -> Value {
    server.send_admin(Request::get(&format!("/admin/v1/service-accounts/{account}/group-teams"))).json()
}

#[test]
fn a_directory_gives_a_team_to_the_members_of_a_group_and_to_nobody_else() {
    let slapd = directory!(Slapd::start(&people()));
    let server = start(&slapd);
    until("the team", || has_team(&server, "svc:build"));
    assert!(lacks_team(&server, "svc:other"));
    let given = group_teams(&server, "build");
    assert_eq!((&given["directory"][0]["team"], &given["token"]), (&json!("operators"), &json!([])), "{given}");
    assert_eq!(given["directory"][0]["group"], json!(Slapd::group_dn("deployers")));
    assert_eq!(group_teams(&server, "other")["directory"], json!([]));
    let page = WebClient::signed_in(&server).get("/console/service-accounts/build").text();
    assert!(page.contains("SVC-Build in the directory people"), "{page}");
    assert!(page.contains("operators</bdi></a> by a group of its directory"), "{page}");
    // A token lives on; what comes from it is judged by the membership of that moment.
    let access = server.token(&token("svc:build"), &[("audience", DEPLOY)]);
    slapd.apply(&Slapd::membership("builders", "add", &Slapd::user_dn("svc-other")));
    until("the team of the other", || has_team(&server, "svc:other"));
    slapd.apply(&Slapd::membership("builders", "delete", &Slapd::user_dn("svc-build")));
    until("the end of the team", || lacks_team(&server, "svc:build"));
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
    let own = [("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"), ("audience", DEPLOY)];
    assert_eq!(payload(&server.token(&access, &own))["scope"], "releases:read");
    let events = || {
        let page = server.send_admin(Request::get("/admin/v1/audit?type=directory_changed")).json();
        page["items"].as_array().unwrap().clone()
    };
    let of = |account: &str, member: &str| {
        events().into_iter().find(|event| event["account"] == account && event[member] == json!(["operators"]))
    };
    until("the event of the end", || of("build", "lost").is_some());
    for (account, member) in [("build", "gained"), ("other", "gained")] {
        let event = of(account, member).unwrap_or_else(|| panic!("{account}: {:?}", events()));
        assert_eq!(
            (&event["directory"], &event["object"]),
            (&json!("people"), &json!(format!("service-accounts/{account}")))
        );
    }
}

#[test]
fn explain_says_where_a_team_comes_from_and_what_keeps_it_away() {
    let mut slapd = directory!(Slapd::start(&people()));
    let server = start(&slapd);
    until("the team", || has_team(&server, "svc:build"));
    let given = evaluate(&server, "svc:build")["grant"]["given_teams"][0].clone();
    assert_eq!(
        (&given["team"], &given["from"], &given["directory"], &given["group"]),
        (&json!("operators"), &json!("directory"), &json!("people"), &json!(Slapd::group_dn("deployers")))
    );
    assert!(given["age_seconds"].as_u64().unwrap() < 600, "{given}");
    let line = summary(&server, "svc:other");
    let wanted = format!(
        "team `operators` would grant it, but the directory `people` does not list the login `svc-other` in `{}`",
        Slapd::group_dn("deployers")
    );
    assert!(line.starts_with("refused: scope_not_granted: ") && line.contains(&wanted), "{line}");

    // A group that is made anew under the old name gives nothing until a reload confirms it.
    slapd.apply(&format!("dn: {}\nchangetype: delete\n\n", Slapd::group_dn("deployers")));
    until("the end of the group", || summary(&server, "svc:build").contains("has no group"));
    slapd.apply(&Slapd::group("deployers", &[&Slapd::user_dn("svc-build")]));
    until("the new group", || summary(&server, "svc:build").contains("has another group by the name"));
    assert!(lacks_team(&server, "svc:build"));
    slapd.stop();
    let server = server.crash_and_restart();
    slapd.restart();
    until("the new group after a restart", || summary(&server, "svc:build").contains("has another group by the name"));
    server.signal("HUP");
    until("the confirmed group", || has_team(&server, "svc:build"));
}

#[test]
fn a_directory_that_is_away_delays_nothing_and_its_word_ends_with_its_age() {
    let mut slapd = directory!(Slapd::start(&people()));
    let config = linked(world(), &slapd).with("directories/people/max_age", "3s");
    slapd.stop();
    let server = Server::start_in(STS, world_site(&config));
    assert_eq!(health(&server)["ready"], true);
    assert!(lacks_team(&server, "svc:build"));
    assert!(summary(&server, "svc:build").contains("the directory `people` has not answered for `SVC-Build` yet"));
    assert_eq!(sample(&server, "sts_directory_memberships_age_seconds", &[("directory", "people")]), None);
    slapd.restart();
    until("the team", || has_team(&server, "svc:build"));
    let age = sample(&server, "sts_directory_memberships_age_seconds", &[("directory", "people")]);
    assert!(age.is_some_and(|age| age < 60.0), "{age:?}");
    assert_eq!(health(&server)["directories"][0]["status"], "ok");

    slapd.stop();
    until("the end of its word", || lacks_team(&server, "svc:build"));
    let line = summary(&server, "svc:build");
    assert!(
        line.contains("the directory `people` last answered") && line.contains("memberships count for 3 s"),
        "{line}"
    );
    assert_eq!(health(&server)["ready"], true);
    let status = || health(&server)["directories"][0]["status"].as_str().unwrap_or_default().to_owned();
    until("the failure in the detail of readiness", || status().contains("ldaps://127.0.0.1"));
    let failures = [("directory", "people"), ("cause", "connection")];
    until("the failures", || {
        sample(&server, "sts_directory_refresh_failures_total", &failures).is_some_and(|count| count > 0.0)
    });
    let lost = || directory_events(&server, "build").into_iter().find(|event| event["lost"] == json!(["operators"]));
    until("the event of the loss", || lost().is_some());
    assert!(lost().unwrap()["cause"].as_str().unwrap().contains("memberships count for 3 s"), "{:?}", lost());
    slapd.restart();
    until("the team again", || has_team(&server, "svc:build"));
    let events = || directory_events(&server, "directories/people");
    // An event is recorded after the refresh that it tells of.
    until("the four events", || events().len() == 4);
    let events = events();
    let reachable: Vec<&Value> = events.iter().map(|event| &event["reachable"]).collect();
    assert_eq!(reachable, [&json!(false), &json!(true), &json!(false), &json!(true)], "{events:?}");
    assert!(events[2]["cause"].as_str().unwrap().contains("ldaps://127.0.0.1"), "{events:?}");
}

/// The changes of what directories say of `object`, the first one first.
fn directory_events(server: &Server, object: &str) -> Vec<Value> {
    let path = format!("/admin/v1/audit?type=directory_changed&object={object}");
    let page = server.send_admin(Request::get(&path)).json();
    page["items"].as_array().unwrap().iter().rev().cloned().collect()
}

#[test]
fn memberships_are_kept_over_a_restart() {
    let mut slapd = directory!(Slapd::start(&people()));
    let server = start(&slapd);
    until("the team", || has_team(&server, "svc:build"));
    until("the kept file", || server.site().path("data/directories/people.json").exists());
    slapd.stop();
    let server = server.crash_and_restart();
    assert!(has_team(&server, "svc:build"));
}

#[test]
fn the_same_answer_after_a_stop_longer_than_max_age_is_no_change() {
    let slapd = directory!(Slapd::start(&people()));
    let config = linked(world(), &slapd).with("directories/people/max_age", "3s");
    let server = Server::start_in(STS, world_site(&config));
    until("the team", || has_team(&server, "svc:build"));
    let kept = server.site().path("data/directories/people.json");
    until("the kept file", || kept.exists());
    let site = server.kill();
    let kept = site.path("data/directories/people.json");
    // The server is down meanwhile, so this age is that of what it finds at its start.
    let age = || std::fs::metadata(&kept).unwrap().modified().unwrap().elapsed().unwrap_or_default();
    until("an age at which it no longer counts", || age() > std::time::Duration::from_secs(4));
    let server = Server::start_in(STS, site);
    until("the team again", || has_team(&server, "svc:build"));
    // A group of this kind has a member.
    slapd.apply(&Slapd::membership("builders", "add", &Slapd::user_dn("svc-other")));
    slapd.apply(&Slapd::membership("builders", "delete", &Slapd::user_dn("svc-build")));
    until("the event of the end", || !directory_events(&server, "build").is_empty());
    assert_eq!(
        directory_events(&server, "build")[0]["lost"],
        json!(["operators"]),
        "{:?}",
        directory_events(&server, "build")
    );
}

#[test]
fn a_managed_account_is_linked_to_a_directory_at_every_replica() {
    let slapd = directory!(Slapd::start(&people()));
    let (redis, keys) = (RedisServer::start(), Site::new());
    let config = linked(shared_world(&redis, &keys), &slapd).without("service_accounts/other");
    let [one, two] = std::array::from_fn(|_| Server::start_in(STS, world_site(&config)));
    let spec = json!({
        "teams": ["readers"],
        "external_login": { "directory": "people", "name": "svc-other" },
        "identities": [identity("plain", "svc:other")],
    });
    let create = |spec: &Value| {
        let body = json!({ "name": "other", "spec": spec }).to_string();
        one.send_admin(Request::new("POST", "/admin/v1/service-accounts").body("application/json", body))
    };
    let mut taken = spec.clone();
    taken["external_login"]["name"] = json!("svc-BUILD");
    let answer = create(&taken);
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert_eq!(answer.json()["findings"][0]["pointer"], "/spec/external_login/name", "{}", answer.text());
    assert!(answer.text().contains("belongs to service account `build`"), "{}", answer.text());
    assert_eq!(create(&spec).status, 201);
    slapd.apply(&Slapd::membership("builders", "add", &Slapd::user_dn("svc-other")));
    for server in [&one, &two] {
        until("the account", || server.exchange(&token("svc:other"), &[]).status == 200);
        until("the team", || has_team(server, "svc:other"));
    }
}

#[test]
fn a_token_of_ours_cannot_give_itself_power_by_a_group() {
    let slapd = directory!(Slapd::start(&people()));
    let config = linked(world(), &slapd).with(
        "teams/keepers",
        json!({
            "grants": { "sts": ["sts:admin"] },
            "external_groups": [{ "directory": "people", "group": Slapd::group_dn("deployers") }],
        }),
    );
    let server = Server::start_in(STS, world_site(&config));
    let admin = server.token(&token("svc:root"), &[("scope", "sts:admin")]);
    let spec = |login: Option<&str>| {
        let mut spec = json!({ "teams": ["readers"], "identities": [identity("plain", "svc:mine")] });
        if let Some(login) = login {
            spec["external_login"] = json!({ "directory": "people", "name": login });
        }
        json!({ "name": "mine", "spec": spec }).to_string()
    };
    let create = |body: String| {
        let request = Request::new("POST", "/admin/v1/service-accounts").body("application/json", body);
        send(server.admin(), &request.header("Authorization", &format!("Bearer {admin}")))
    };
    refused(&create(spec(Some("svc-new"))), 403, "access_denied", "interactive_required");
    assert_eq!(create(spec(None)).status, 201);
}

#[test]
fn a_group_that_a_token_names_gives_its_team_to_that_token_alone() {
    let config = |group: &str| {
        world()
            .with("teams/readers", json!({ "grants": { "deploy": ["releases:read"] } }))
            .with(
                "teams/operators",
                json!({
                    "grants": { "deploy": ["deployments:create"], "bare": [] },
                    "external_groups": [{ "issuer": "plain", "claim": "groups", "value": group }],
                }),
            )
            .with(
                "service_accounts/build",
                json!({ "teams": ["readers"], "identities": [identity("plain", "svc:build")] }),
            )
    };
    let server = Server::start_in(STS, world_site(&config("operators")));
    let named = |groups: Value| forge("svc:build").claim("groups", groups).sign();
    let named_group = json!({ "team": "operators", "issuer": "plain", "claim": "groups", "value": "operators" });
    assert_eq!(group_teams(&server, "build"), json!({ "directory": [], "token": [named_group] }));
    let listed = |query: &str| server.send_admin(Request::get(&format!("/admin/v1/{query}")));
    let teams = |query: &str| {
        let page = listed(&format!("teams?{query}")).json();
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|team| team["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(teams("account=build"), ["operators", "readers"], "its own, and that of a group");
    assert_eq!(teams("account=build&limit=1"), ["operators"]);
    assert_eq!(teams("account=build&after=operators"), ["readers"]);
    assert_eq!(teams("account=build&source=managed"), [""; 0]);
    assert_eq!(teams("account=nobody"), [""; 0]);
    for kind in ["apis", "issuers", "service-accounts"] {
        assert_eq!(listed(&format!("{kind}?account=build")).status, 400, "{kind}");
    }
    let unknown = server.send_admin(Request::get("/admin/v1/service-accounts/nobody/group-teams"));
    assert_eq!(unknown.status, 404, "{}", unknown.text());
    let to_deploy = [("audience", DEPLOY)];
    let with = server.token(&named(json!(["staff", "operators"])), &to_deploy);
    assert_eq!(payload(&with)["groups"], json!(["readers", "operators"]));
    assert_eq!(payload(&with)["scope"], "deployments:create releases:read");
    for groups in [json!([]), json!("Operators"), json!({ "operators": true }), json!([["operators"]])] {
        let claims = payload(&server.token(&named(groups.clone()), &to_deploy));
        assert_eq!((&claims["groups"], &claims["scope"]), (&json!(["readers"]), &json!("releases:read")), "{groups}");
    }
    // What comes from the token keeps the team; what comes from another does not get it.
    let own = [("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"), ("audience", BARE)];
    let child = payload(&server.token(&with, &own));
    assert_eq!(child["groups"], json!(["readers", "operators"]));
    let without = server.token(&named(json!([])), &to_deploy);
    refused(&server.exchange(&without, &own), 400, "invalid_target", "target_not_granted");

    // A token never gets more than the configuration gives for its group now.
    let child = server.token(&with, &own);
    server.site().replace("sts.yaml", config("admins").text());
    until("the reload", || reason_of(&server.exchange(&with, &own)) == "target_not_granted");
    assert_eq!(reason_of(&server.exchange(&child, &own)), "target_not_granted");
    granted(&server.exchange(&named(json!(["admins"])), &[("audience", BARE)]));
}

#[test]
fn doctor_tries_each_server_group_and_login_and_says_how_to_cure_what_is_wrong() {
    let slapd = directory!(Slapd::start(&people()));
    let site = world_site(&linked(world(), &slapd));
    let doctor = |config: Config, code: i32| {
        site.write("sts.yaml", config.text());
        STS.run(site.root(), &["doctor", "--json"]).ended(code).json()
    };
    let well = doctor(linked(world(), &slapd), 0);
    let rows = well["checks"].as_array().unwrap().iter().filter(|row| row["check"] == "directory people");
    let kinds: Vec<&str> = rows.map(|row| row["subject"].as_str().unwrap().split(' ').next().unwrap()).collect();
    let of = |kind: &str| kinds.iter().filter(|found| **found == kind).count();
    assert_eq!((of("server"), of("group"), of("login"), kinds.len()), (1, 1, 2, 4), "{well}");
    let group = "teams/operators/external_groups";
    let nobody = json!([{ "directory": "people", "group": Slapd::group_dn("nobody") }]);
    for (path, value, subject, cure) in [
        ("directories/people/url", json!("ldaps://127.0.0.1:1"), "server", "check the host and port"),
        ("directories/people/ca_file", json!(null), "server", "name in `ca_file` the authority"),
        ("directories/people/bind/dn", json!("cn=nobody,dc=example,dc=org"), "server", "check `bind.dn`"),
        ("directories/people/base", json!("dc=org"), "server", "correct `base`"),
        (group, nobody, "group", "correct the group's distinguished name"),
        ("service_accounts/build/external_login/name", json!("nobody"), "login", "correct `external_login.name`"),
    ] {
        let config = match value {
            Value::Null => linked(world(), &slapd).without(path),
            value => linked(world(), &slapd).with(path, value),
        };
        let told = doctor(config, 1);
        let faults: Vec<&Value> = told["checks"].as_array().unwrap().iter().filter(|row| row["ok"] == false).collect();
        let is_told = |row: &&Value| {
            row["subject"].as_str().unwrap().starts_with(subject) && row["cure"].as_str().unwrap().contains(cure)
        };
        assert!(!faults.is_empty() && faults.iter().all(is_told), "{path}: {told}");
    }
    let broken = doctor(linked(world(), &slapd).with("directories/people/kind", "none"), 1);
    assert!(broken["checks"][0]["cure"].as_str().unwrap().contains("sts check"), "{broken}");
    site.write("sts.yaml", linked(world(), &slapd).text());
    let table = STS.run(site.root(), &["doctor"]).ended(0).text();
    assert!(table.contains("directory people") && table.contains("login `SVC-Build`"), "{table}");
}

#[test]
fn active_directory_gives_teams_to_enabled_accounts() {
    let ldif = [Samba::user("svc-build", ""), Samba::group("Deployers", &[&Samba::user_dn("svc-build")])].concat();
    let samba = directory!(Samba::start(&ldif));
    let config = world()
        .with(
            "directories/corp",
            json!({
                "url": [samba.url()],
                "ca_file": samba.ca_file(),
                "bind": { "dn": Samba::BIND_DN, "password_file": samba.password_file() },
                "base": Samba::BASE,
                "kind": "active_directory",
                "refresh": "1s",
            }),
        )
        .with("teams/readers", json!({ "grants": { "deploy": ["releases:read"] } }))
        .with(
            "teams/operators",
            json!({
                "grants": { "deploy": ["deployments:create"] },
                "external_groups": [{ "directory": "corp", "group": samba.sid(&Samba::group_dn("Deployers")) }],
            }),
        )
        .with(
            "service_accounts/build",
            json!({
                "teams": ["readers"],
                "external_login": { "directory": "corp", "name": "svc-build@corp.example.com" },
                "identities": [identity("plain", "svc:build")],
            }),
        );
    let server = Server::start_in(STS, world_site(&config));
    until("the team", || has_team(&server, "svc:build"));
    let state = |flags: u32| {
        let dn = Samba::user_dn("svc-build");
        format!("dn: {dn}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: {flags}\n-\n\n")
    };
    samba.apply(&state(546));
    until("the end of a disabled account's team", || lacks_team(&server, "svc:build"));
    assert!(summary(&server, "svc:build").contains("the account is disabled"), "{}", summary(&server, "svc:build"));
    samba.apply(&state(544));
    until("the team again", || has_team(&server, "svc:build"));
}
