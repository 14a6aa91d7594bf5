//! Reload: on SIGHUP and on file change, all or nothing.

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
        (with_newcomer().with("issuers/fetched", json!({ "issuer": "http://issuer.example" })).text(), "http"),
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
fn the_memory_that_loads_needed_is_given_back() {
    const ACCOUNTS: usize = 500;
    const IDENTITIES: usize = 10;
    // The rules take 5 MiB of it. A load needs several times that, and three of them would not fit.
    const MORE_THAN_WITHOUT: usize = 16 << 10;
    let accounts = |display_name: &str| {
        let named = |number: usize| {
            let subject = format!("svc:many-{number}");
            json!({ "name": format!("i{number}"), "issuer": "plain", "subject": subject, "claims": { "number": subject } })
        };
        let account = |account: usize| {
            let identities: Vec<_> = (0..IDENTITIES).map(|own| named(account * IDENTITIES + own)).collect();
            let account_spec =
                json!({ "display_name": display_name, "teams": ["deployers"], "identities": identities });
            (format!("many-{account}"), account_spec)
        };
        json!({ "service_accounts": (0..ACCOUNTS).map(account).collect::<serde_json::Map<_, _>>() }).to_string()
    };
    let without = anonymous_kib(&Server::start_in(STS, world_site(&world())));
    let site = world_site(&world().with("accounts", "accounts.yaml"));
    site.write("accounts.yaml", accounts("first"));
    let server = Server::start_in(STS, site);
    until("what the start needed", || anonymous_kib(&server) < without + MORE_THAN_WITHOUT);
    for (number, display_name) in (1..).zip(["second", "third", "fourth"]) {
        server.site().replace("accounts.yaml", accounts(display_name));
        server.signal("HUP");
        let reloads = || server.lines().all().iter().filter(|line| line.contains("was reloaded")).count();
        until("the reload", || reloads() >= number);
    }
    until("what the reloads needed", || anonymous_kib(&server) < without + MORE_THAN_WITHOUT);
}

/// Resident memory that is of no file.
fn anonymous_kib(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
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
    for (member, wanted) in [("added", "newcomer"), ("removed", "two"), ("changed", "octo")] {
        assert_eq!(line[member], json!([wanted]), "{line}");
    }
}

/// Files in the form of a Kubernetes ConfigMap: links through `..data`, which one rename replaces.
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

/// Writes a log beside the configuration, without a pause, until it is dropped.
struct Noise(std::sync::Arc<std::sync::atomic::AtomicBool>, Option<std::thread::JoinHandle<()>>);

impl Noise {
    fn in_site(site: &Site, make: impl Fn(&std::path::Path, u64) + Send + 'static) -> Self {
        let (stop, root) = (std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)), site.root().to_owned());
        let own = std::sync::Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for turn in 0.. {
                if own.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
                make(&root, turn);
                std::thread::park_timeout(std::time::Duration::from_millis(1));
            }
        });
        Self(stop, Some(thread))
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        self.1.take().unwrap().join().unwrap();
    }
}

#[test]
fn fld10_a_change_is_in_force_within_two_seconds_and_a_sighup_at_once_whatever_else_is_written_there() {
    let server = Server::start_in(STS, world_site(&world()));
    let append = |root: &std::path::Path, turn: u64| {
        use std::io::Write as _;
        let mut log = std::fs::OpenOptions::new().create(true).append(true).open(root.join("app.log")).unwrap();
        writeln!(log, "{turn}").unwrap();
    };
    let rename = |root: &std::path::Path, turn: u64| {
        std::fs::write(root.join("a.tmp"), turn.to_string()).unwrap();
        std::fs::rename(root.join("a.tmp"), root.join(format!("b{}.tmp", turn % 7))).unwrap();
    };
    for noise in [Noise::in_site(server.site(), append), Noise::in_site(server.site(), rename)] {
        for signal in [false, true] {
            for (config, expected) in [(with_newcomer(), true), (world(), false)] {
                let ((), took) = sts_testkit::timed(|| {
                    server.site().replace("sts.yaml", config.text());
                    if signal {
                        server.signal("HUP");
                    }
                    until("the reload", || is_granted(&server, "svc:newcomer") == expected);
                });
                // The test machine is busy, so the limit is generous. Without the fix it never
                // ends.
                assert!(took < std::time::Duration::from_secs(10), "{took:?}");
            }
        }
        drop(noise);
    }
}

#[test]
fn fld10_what_a_link_leads_to_is_looked_at_where_nobody_watches() {
    let site = world_site(&world());
    site.write("far/away/sts.yaml", world().text());
    std::fs::remove_file(site.path("sts.yaml")).unwrap();
    symlink("far/away/sts.yaml", site.path("sts.yaml")).unwrap();
    let server = Server::start_in(STS, site);
    assert!(!is_granted(&server, "svc:newcomer"));
    server.site().replace("far/away/sts.yaml", with_newcomer().text());
    until("the reload", || is_granted(&server, "svc:newcomer"));
}

#[test]
fn fld49_a_reload_tells_all_that_changed() {
    let server = Server::start_in(STS, world_site(&world()));
    let changed = world()
        .with("issuers/new", json!({ "issuer": "https://new.example", "jwks": Key::set(&[&KEYS.rs256]) }))
        .without("issuers/off")
        .with("service_accounts/octo/identities", json!([identity("plain", "svc:octo")]))
        .with("apis/billing/display_name", "Billing")
        .with("teams/readers", json!({ "grants": { "deploy": ["releases:read"] } }))
        .with("limits/connections", 5000);
    server.site().replace("sts.yaml", changed.text());
    let reloaded = |server: &Server, index: usize| -> serde_json::Value {
        let mut seen = 0;
        let line = server.lines().wait("the reload", |line| {
            seen += usize::from(line.contains("configuration was reloaded"));
            (seen > index).then(|| line.to_owned())
        });
        serde_json::from_str(&line).unwrap()
    };
    let line = reloaded(&server, 0);
    assert_eq!(line["issuers"], json!({ "added": ["new"], "removed": ["off"] }), "{line}");
    assert_eq!(line["apis"], json!({ "changed": ["billing"] }), "{line}");
    assert_eq!(line["teams"], json!({ "added": ["readers"] }), "{line}");
    assert_eq!(line["settings"], json!({ "changed": ["limits"] }), "{line}");
    assert_eq!(line["changed"], json!(["octo"]), "{line}");
    server
        .lines()
        .wait("a word on the restart", |line| (line.contains("restart") && line.contains("limits")).then_some(()));
    server.site().replace("deploy.secret", "another secret, that is long enough");
    let line = reloaded(&server, 1);
    assert!(line["files"]["changed"][0].as_str().unwrap().ends_with("deploy.secret"), "{line}");
    assert!(!line.to_string().contains("long enough"));
    let introspected = Request::post_form("/introspect", &[("token", "x")]);
    let status = |secret: &str| server.send(&introspected.clone().basic("deploy", secret)).status;
    assert_eq!((status("another secret, that is long enough"), status(DEPLOY_SECRET)), (200, 401));
}

#[test]
fn fld49_a_sighup_without_a_change_and_files_that_are_well_again_say_so() {
    let server = Server::start_in(STS, world_site(&world()));
    server.signal("HUP");
    server.lines().wait("no change", |line| line.contains("nothing has changed").then_some(()));
    server.site().replace("sts.yaml", "issuer: [");
    server.lines().wait("the refusal", |line| line.contains("not reloaded").then_some(()));
    server.site().replace("sts.yaml", world().text());
    server.lines().wait("the recovery", |line| line.contains("well again").then_some(()));
}

#[test]
fn fld49_a_file_that_was_missing_is_taken_up_when_it_comes_wherever_that_is() {
    let server = Server::start_in(STS, world_site(&world()));
    let config = with_newcomer().with("apis/bare/introspection_secret_file", "elsewhere/bare.other");
    server.site().replace("sts.yaml", config.text());
    server.lines().wait("the refusal", |line| line.contains("not reloaded").then_some(()));
    server.site().write("elsewhere/bare.other", "a secret that is long enough");
    until("the reload", || is_granted(&server, "svc:newcomer"));
}

#[test]
fn fld10_callers_that_are_slow_hold_up_no_reload_and_are_judged_by_the_rules_in_force_when_they_are_done() {
    use std::io::{Read as _, Write as _};
    let server = Server::start_in(STS, world_site(&world()));
    let access = server.token(&token("svc:octo"), &[]);
    let without_octo = world().with("service_accounts/octo/enabled", false);
    // The body lacks its last byte until after the reloads.
    let body = sts_testkit::form(&[("token", &access)]);
    let open = |path: &str| {
        let mut stream = std::net::TcpStream::connect(server.public()).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic {}\r\nContent-Type: \
             application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            sts_testkit::basic("deploy", DEPLOY_SECRET),
            body.len()
        );
        stream.write_all(format!("{head}{}", &body[..body.len() - 1]).as_bytes()).unwrap();
        stream
    };
    let mut slow = open("/introspect");
    let ((), took) = sts_testkit::timed(|| {
        for (config, expected) in [(with_newcomer(), true), (world(), false), (with_newcomer(), true)] {
            server.site().replace("sts.yaml", config.text());
            server.signal("HUP");
            until("the reload", || is_granted(&server, "svc:newcomer") == expected);
        }
        server.site().replace("sts.yaml", without_octo.text());
        server.signal("HUP");
        until("the last reload", || !is_granted(&server, "svc:octo"));
    });
    // A body may take ten seconds, and none of the reloads waits for it.
    assert!(took < std::time::Duration::from_secs(8), "{took:?}");
    slow.write_all(&body.as_bytes()[body.len() - 1..]).unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("{\"active\":false}"), "{answer}");
}
