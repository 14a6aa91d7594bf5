//! Reload: on SIGHUP and on file change, all or nothing (DESIGN section 4, corpus 147 and 148).

use crate::support::*;
use serde_json::json;
use std::os::unix::fs::symlink;
use sts_testkit::{Config, Key, Request, Server, Site, send, until};

fn is_granted(server: &Server, subject: &str) -> bool {
    server.exchange(&token(subject), &[]).status == 200
}

fn with_newcomer() -> Config {
    world().with(
        "service_accounts/newcomer",
        json!({ "teams": ["deployers"], "identities": [identity("plain", "svc:newcomer")] }),
    )
}

#[test]
fn a_change_of_a_file_is_in_force_without_a_restart() {
    let server = Server::start_in(STS, world_site(&world()));
    assert!(!is_granted(&server, "svc:newcomer"));
    server.site().replace("sts.yaml", with_newcomer().text());
    until("the reload", || is_granted(&server, "svc:newcomer"));
    server.site().write("sts.yaml", world().text());
    until("the reload back", || !is_granted(&server, "svc:newcomer"));
    assert!(is_granted(&server, "svc:octo"));
}

#[test]
fn sighup_reloads_too() {
    let server = Server::start_in(STS, world_site(&world()));
    server.site().replace("sts.yaml", with_newcomer().text());
    server.signal("HUP");
    until("the reload", || is_granted(&server, "svc:newcomer"));
}

#[test]
fn c147_on_any_error_the_old_snapshot_goes_on_and_log_and_metrics_say_so() {
    let server = Server::start_in(STS, world_site(&world()));
    let is_stale = || send(server.admin(), &Request::get("/metrics")).text().contains("\nsts_config_stale 1\n");
    assert!(!is_stale());
    let whole = with_newcomer().text();
    for (text, part) in [
        ("issuer: [".to_owned(), "sts.yaml"),
        (whole[..whole.len() / 2].to_owned(), "sts.yaml"),
        (with_newcomer().with("issuers/plain/issuer", "http://issuer.example").text(), "http"),
        (with_newcomer().with("service_accounts/newcomer/id", OCTO_ID).text(), OCTO_ID),
        (format!("{whole}\nx: &a [*a, *a]\n"), "sts.yaml"),
        (format!("{whole}\n#{}", "x".repeat(20 << 20)), "sts.yaml"),
        (with_newcomer().with("nonsense", 1).text(), "nonsense"),
        (with_newcomer().with("service_accounts/newcomer/teams", json!(["nobody"])).text(), "nobody"),
        (String::new(), "sts.yaml"),
        (with_newcomer().with("issuer", "https://other.example.com").text(), "issuer"),
        (
            with_newcomer().with("tests", json!([{
                "name": "fails", "token": { "preset": "github-actions" }, "account": "octo", "expect": { "account": "octo" },
            }])).text(),
            "fails",
        ),
    ] {
        let before = server.lines().all().len();
        server.site().replace("sts.yaml", &text);
        server.signal("HUP");
        let line = server.lines().wait("the refusal of the reload", |line| line.contains("not reloaded").then(|| line.to_owned()));
        until(part, || server.lines().all()[before..].iter().any(|line| line.contains("not reloaded") && line.contains(part)));
        assert!(line.contains("ERROR"), "{line}");
        until("the metric", is_stale);
        assert!(is_granted(&server, "svc:octo") && !is_granted(&server, "svc:newcomer"));
    }
    server.site().replace("sts.yaml", with_newcomer().text());
    server.signal("HUP");
    until("the good one", || is_granted(&server, "svc:newcomer"));
    until("the metric", || !is_stale());
}

#[test]
fn c080_c148_a_reload_that_disables_an_account_ends_its_tokens_and_records_tell_the_generation() {
    let server = Server::start_in(STS, world_site(&world()));
    let access = server.token(&token("svc:octo"), &[]);
    let generation = |server: &Server| {
        let response = server.exchange(&token("svc:two"), &[("audience", "deploy")]);
        server.lines().decision(response.header("x-request-id").unwrap())["generation"].clone()
    };
    let first = generation(&server);
    server.site().replace("sts.yaml", world().with("service_accounts/octo/enabled", false).text());
    until("the reload", || !is_granted(&server, "svc:octo"));
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access), json!({ "active": false }));
    assert_ne!(generation(&server), first);
    server.site().replace("sts.yaml", world().text());
    until("the reload back", || is_granted(&server, "svc:octo"));
    assert_eq!(generation(&server), first);
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
}

#[test]
fn an_account_file_beside_the_main_one_is_part_of_the_configuration() {
    let main = world().with("accounts", "accounts/*.yaml");
    let site = world_site(&main);
    let account = |subject: &str| {
        json!({ "service_accounts": { "beside": { "teams": ["deployers"], "identities": [identity("plain", subject)] } } }).to_string()
    };
    site.write("accounts/a.yaml", account("svc:first"));
    let server = Server::start_in(STS, site);
    assert!(is_granted(&server, "svc:first"));
    server.site().replace("accounts/a.yaml", account("svc:second"));
    until("the reload", || is_granted(&server, "svc:second") && !is_granted(&server, "svc:first"));
    server.site().write(
        "accounts/b.yaml",
        json!({ "service_accounts": { "third": { "teams": ["deployers"], "identities": [identity("plain", "svc:third")] } } }).to_string(),
    );
    until("a new file", || is_granted(&server, "svc:third"));
}

#[test]
fn a_reload_tells_which_accounts_it_adds_removes_and_changes() {
    let server = Server::start_in(STS, world_site(&world()));
    let changed =
        with_newcomer().without("service_accounts/two").with("service_accounts/octo/display_name", "Octo the second");
    server.site().replace("sts.yaml", changed.text());
    let line =
        server.lines().wait("the reload", |line| line.contains("configuration was reloaded").then(|| line.to_owned()));
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    for (member, wanted) in [("added", r#"["newcomer"]"#), ("removed", r#"["two"]"#), ("changed", r#"["octo"]"#)] {
        assert_eq!(line[member], wanted, "{line}");
    }
}

/// Files as Kubernetes mounts a ConfigMap: links through `..data`, which is replaced by one rename.
#[test]
fn a_config_map_that_is_swapped_is_reloaded_whole() {
    let site = Site::new();
    let mount = |site: &Site, version: &str, config: &Config| {
        site.write(&format!("{version}/sts.yaml"), config.text());
        site.write(&format!("{version}/deploy.secret"), DEPLOY_SECRET);
        site.write(&format!("{version}/billing.secret"), BILLING_SECRET);
        symlink(version, site.path("..data_tmp")).unwrap();
        std::fs::rename(site.path("..data_tmp"), site.path("..data")).unwrap();
    };
    mount(&site, "..first", &world());
    for name in ["sts.yaml", "deploy.secret", "billing.secret"] {
        symlink(format!("..data/{name}"), site.path(name)).unwrap();
    }
    let server = Server::start_in(STS, site);
    assert!(is_granted(&server, "svc:octo") && !is_granted(&server, "svc:newcomer"));
    mount(server.site(), "..second", &with_newcomer());
    until("the reload", || is_granted(&server, "svc:newcomer"));
    mount(server.site(), "..third", &world().with("nonsense", 1));
    server.lines().wait("the refusal", |line| line.contains("not reloaded").then_some(()));
    assert!(is_granted(&server, "svc:newcomer"), "the old one goes on");
}

#[test]
fn in03_a_reload_that_disables_or_removes_what_a_token_stands_on_ends_it_at_once_and_one_back_revives_it() {
    let server = Server::start_in(STS, world_site(&world()));
    let access = server.token(&token("svc:octo"), &[]);
    let active = || server.introspect("deploy", DEPLOY_SECRET, &access)["active"] == true;
    let identities = |identities: serde_json::Value| world().with("service_accounts/octo/identities", identities);
    for (what, change) in [
        ("the account is disabled", world().with("service_accounts/octo/enabled", false)),
        ("the account is gone", world().without("service_accounts/octo")),
        ("the identity is gone", identities(json!([identity("wide", "svc:octo")]))),
        (
            "the identity is disabled",
            identities(json!([{ "name": "plain", "issuer": "plain", "subject": "svc:octo", "enabled": false }])),
        ),
        ("the issuer entry is disabled", world().with("issuers/plain/enabled", false)),
        (
            "the issuer entry is gone",
            Config::new()
                .with("issuers/other", json!({ "issuer": "https://other.example", "jwks": Key::set(&[&KEYS.other]) }))
                .with(
                    "apis/deploy",
                    json!({
                        "audience": DEPLOY,
                        "scopes": ["deployments:create", "releases:read"],
                        "introspection_secret_file": "deploy.secret",
                    }),
                )
                .with(
                    "service_accounts/octo",
                    json!({
                        "id": OCTO_ID,
                        "grants": { "deploy": ["deployments:create", "releases:read"] },
                        "identities": [{ "name": "plain", "issuer": "other", "subject": "svc:octo" }],
                    }),
                ),
        ),
    ] {
        server.site().replace("sts.yaml", change.text());
        until(what, || !active());
        server.site().replace("sts.yaml", world().text());
        until("the reload back", active);
    }
}
