//! Audit files that somebody cuts, removes or owns, and sinks that break.

use crate::support::*;
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt as _;
use sts_testkit::{Config, Finished, Request, Server, Site, free_address, send, until};

fn with_file() -> Config {
    world().with("audit", json!({ "file": { "path": "audit.log" } }))
}

fn verify(site: &Site, arguments: &[&str]) -> Finished {
    STS.run(site.root(), &[&["audit", "verify"], arguments].concat())
}

#[test]
fn c162_a_file_that_is_removed_or_emptied_under_its_server_says_so_when_it_is_verified() {
    type Change = fn(&Site);
    let changes: [(&str, &str, Change); 2] = [
        ("missing", "removed", |site| std::fs::remove_file(site.path("audit.log")).unwrap()),
        ("truncated", "cut to nothing", |site| std::fs::write(site.path("audit.log"), b"").unwrap()),
    ];
    for (cause, words, change) in changes {
        let server = Server::start_in(STS, world_site(&with_file()));
        let decided = |server: &Server| {
            let answer = server.exchange(&token("svc:octo"), &[]);
            let id = answer.header("x-request-id").unwrap().to_owned();
            until("the decision", || {
                std::fs::read_to_string(server.site().path("audit.log")).is_ok_and(|text| text.contains(&id))
            });
        };
        decided(&server);
        change(server.site());
        decided(&server);
        let jwks = server.jwks().to_string();
        let (_, site) = server.terminate();
        std::fs::write(site.path("jwks.json"), jwks).unwrap();
        let text = String::from_utf8(site.read("audit.log")).unwrap();
        let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!((&first["event"], &first["cause"]), (&json!("audit_file_begun"), &json!(cause)), "{first}");
        crate::audit::is_by_schema(&first);
        let told = verify(&site, &["audit.log", "--jwks", "jwks.json"]).ended(1);
        let lost = format!("another program has {words} the file before");
        assert!(told.stdout.contains(&lost) && told.stdout.contains("are missing"), "{}", told.text());
        // The first lines had no checkpoint, and one behind the gap proves nothing of them.
        assert!(told.stdout.contains("a known key signed line"), "{}", told.text());
        assert!(!told.stdout.contains("signed the chain up to"), "{}", told.text());
    }
}

/// An audit file of one line, which an attacker sealed.
fn sealed(mut event: Value) -> String {
    event["seq"] = json!(1);
    event["prev"] = json!("0".repeat(64));
    let members = event.as_object().unwrap().iter();
    let (chain, others): (Vec<_>, Vec<_>) = members.partition(|(name, _)| ["seq", "prev"].contains(&name.as_str()));
    let members = others.iter().chain(chain.iter().rev()).map(|(name, value)| format!("{name:?}:{value}"));
    let text = format!("{{{}", members.collect::<Vec<_>>().join(","));
    let digest = sts_jose::sha256(text.as_bytes());
    let hash: String = digest.0.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{text},\"hash\":\"{hash}\"}}\n")
}

#[test]
fn what_an_audit_file_says_reaches_no_terminal_as_it_is() {
    let server = Server::start_in(STS, world_site(&with_file()));
    let _ = server.exchange(&token("svc:octo"), &[]);
    let (_, site) = server.terminate();
    let hostile = "\u{1b}[2J\u{9b}31m\u{202e}\nsound: 9 lines";
    let begun = |detail: &str| sealed(json!({ "event": "audit_file_begun", "cause": "replaced", "detail": detail }));
    site.write("a.log", begun("plain"));
    site.write("b.log", begun(hostile));
    let told = verify(&site, &["a.log", "b.log"]).ended(1);
    assert!(told.stdout.contains("another chain begins here: \\u001b[2J"), "{}", told.text());
    let written = String::from_utf8(site.read("audit.log")).unwrap();
    let decision = written.lines().find(|line| line.contains("\"event\":\"decision\"")).unwrap();
    let mut decision: Value = serde_json::from_str(decision).unwrap();
    decision["cause"] = json!(hostile);
    decision["scope"] = json!(hostile);
    site.write("event.json", decision.to_string());
    let explained = STS.run(site.root(), &["explain", "--audit", "event.json", "--config", "sts.yaml"]);
    assert!(explained.stdout.contains("because: \\u001b[2J"), "{}", explained.text());
    for told in [told, explained] {
        let text = told.text();
        assert!(!text.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{text:?}");
        assert!(!told.stdout.lines().any(|line| line.starts_with("sound:")), "{text}");
    }
}

#[test]
fn lines_of_a_crash_whose_checkpoint_came_later_are_noted() {
    let server = Server::start_in(STS, world_site(&with_file()));
    let answer = server.exchange(&token("svc:octo"), &[]);
    let id = answer.header("x-request-id").unwrap().to_owned();
    until("the decision", || String::from_utf8(server.site().read("audit.log")).unwrap().contains(&id));
    let server = server.crash_and_restart();
    let jwks = server.jwks().to_string();
    let (_, site) = server.terminate();
    site.write("jwks.json", jwks);
    let told = verify(&site, &["audit.log", "--jwks", "jwks.json"]).ended(0);
    assert!(told.stdout.contains("note: lines 1 to "), "{}", told.text());
    assert!(told.stdout.contains("had no checkpoint when the server ended, by a crash or a kill"), "{}", told.text());
    let json = verify(&site, &["audit.log", "--json"]).ended(0).json();
    assert_eq!((&json["resumed"][0]["first"], json["resumed"].as_array().unwrap().len()), (&json!(1), 1), "{json}");
}

#[test]
fn files_that_begin_within_the_chain_are_sound_and_the_earlier_ones_are_missed() {
    let config = world().with("audit", json!({ "file": { "path": "audit.log", "max_size": "4KiB" } }));
    let server = Server::start_in(STS, world_site(&config));
    until("a full file", || {
        let _ = server.exchange(&token("svc:octo"), &[]);
        server.site().path("audit.log.1").exists()
    });
    let (_, site) = server.terminate();
    let told = verify(&site, &["audit.log"]).ended(0);
    assert!(told.stdout.contains("are in earlier files, which are not given here"), "{}", told.text());
    for path in [".", "/dev/null"] {
        let told = verify(&site, &[path]).ended(2);
        assert!(told.stderr.contains("not a regular file"), "{}", told.text());
    }
}

/// A command that root runs must leave a file that the server of another user can write.
#[test]
fn a_file_that_a_command_creates_belongs_to_the_owner_of_its_folder_and_a_command_without_events_creates_none() {
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let config = world().with("audit", json!({ "file": { "path": "trail/audit.log" } }));
    let site = world_site(&config);
    std::fs::create_dir(site.path("trail")).unwrap();
    let (_, site) = Server::start_in(STS, site).terminate();
    std::fs::remove_file(site.path("trail/audit.log")).unwrap();
    if is_root {
        std::os::unix::fs::chown(site.path("trail"), Some(12_345), Some(12_345)).unwrap();
    }
    STS.run(site.root(), &["tokens", "list", "--config", "sts.yaml"]).ended(0);
    assert!(!site.path("trail/audit.log").exists(), "a list leaves no event");
    let revoke = ["tokens", "revoke", "--account", "octo", "--reason", "drill", "--config", "sts.yaml"];
    STS.run(site.root(), &revoke).ended(0);
    let metadata = std::fs::metadata(site.path("trail/audit.log")).unwrap();
    let folder = std::fs::metadata(site.path("trail")).unwrap();
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o777), (folder.uid(), folder.gid(), 0o600));
}

#[test]
fn a_command_without_a_configuration_that_loads_says_that_it_leaves_no_event() {
    let (_, site) = Server::start_in(STS, world_site(&with_file())).terminate();
    let text = String::from_utf8(site.read("sts.yaml")).unwrap();
    site.replace("sts.yaml", text.replacen('{', "{\"nonsense\":1,", 1));
    let revoke = ["tokens", "revoke", "--account", "octo", "--reason", "drill", "--force", "--config", "sts.yaml"];
    let told = STS.run(site.root(), &revoke).ended(0);
    assert!(told.stderr.contains("no audit trail gets an event of this command"), "{}", told.text());
}

#[test]
fn a_sink_that_is_broken_is_named_by_readiness_and_by_the_health_check_when_it_is_the_cause() {
    let config = || {
        let config = world().with("audit", json!({ "file": { "path": "no/folder/audit.log" } }));
        config.with("admin/listen", free_address().to_string())
    };
    let healthcheck = |server: &Server| STS.run(server.site().root(), &["healthcheck", "--config", "sts.yaml"]);
    let server = Server::start_in(STS, world_site(&config()));
    let audit = || send(server.admin(), &Request::get("/readyz")).json()["audit"].as_str().unwrap().to_owned();
    until("the fault", || audit().starts_with("audit_file takes no events: "));
    assert!(audit().contains("no/folder/audit.log"), "{}", audit());
    healthcheck(&server).ended(0);

    // With `audit.required` and a standard output that is closed, nothing takes events.
    let config = config().with("audit/required", true);
    let server = Server::start_under(STS, world_site(&config), "exec >/dev/full");
    until("the fault", || send(server.admin(), &Request::get("/readyz")).status == 503);
    let told = healthcheck(&server).ended(1);
    assert!(told.stderr.contains("audit: `audit.required` is set, and no sink takes events"), "{}", told.text());
    assert!(told.stderr.contains("no/folder/audit.log"), "{}", told.text());
}
