//! The history of an issuer's keys: `sts issuers history`, and the data behind it.

use crate::support::*;
use serde_json::{Value, json};
use std::path::PathBuf;
use sts_testkit::{Algorithm, Config, Key, Request, Server, Site, send};

/// A server whose entry `a` reads its keys from a file.
fn server(keys: &[&Key]) -> Server {
    let config = Config::new().with("issuers/a", json!({ "issuer": "https://a.example", "jwks_file": "keys.json" }));
    let site = Site::with(&config);
    site.write("keys.json", Key::set(keys).to_string());
    Server::start_in(STS, site)
}

fn publish(server: &Server, keys: &[&Key]) {
    server.site().replace("keys.json", Key::set(keys).to_string());
    let _ = server.cli(&["issuers", "refresh", "a"]).ended(0);
}

fn history(server: &Server, more: &[&str]) -> Value {
    server.cli(&[&["issuers", "history", "a", "--json"], more].concat()).ended(0).json()
}

fn kids(event: &Value) -> Vec<&str> {
    event["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect()
}

fn log_files(site: &Site) -> Vec<PathBuf> {
    let listing = std::fs::read_dir(site.path("data/issuers/history")).unwrap();
    listing.map(|file| file.unwrap().path()).collect()
}

#[test]
fn it_tells_which_keys_were_trusted_at_a_moment_and_afterwards_from_disk() {
    use std::os::unix::fs::PermissionsExt as _;
    let (one, two) = (Key::new(Algorithm::ES256, "one"), Key::new(Algorithm::EdDSA, "two"));
    let server = server(&[&one]);
    publish(&server, &[&one, &two]);
    publish(&server, &[&two]);
    publish(&server, &[&two]);
    let whole = history(&server, &[]);
    let events = whole["events"].as_array().unwrap();
    assert_eq!(events.iter().map(kids).collect::<Vec<_>>(), [vec!["one"], vec!["one", "two"], vec!["two"]], "{whole}");
    assert_eq!((&whole["name"], &whole["unreadable"], &whole["lapsed_at"]), (&json!("a"), &json!(0), &Value::Null));
    for event in events {
        assert_eq!((&event["issuer"], &event["source"]), (&json!("https://a.example"), &json!("file")));
        assert!(event["place"].as_str().unwrap().ends_with("keys.json"));
    }
    let shown = server.cli(&["issuers", "show", "a", "--json"]).ended(0).json();
    assert_eq!(events[2]["keys"][0]["thumbprint"], shown["keys"][0]["thumbprint"]);
    assert_eq!(events[2]["keys"][0]["algorithm"], "EdDSA");

    let (first, last) = (events[0]["at"].as_i64().unwrap(), events[2]["at"].as_i64().unwrap());
    let then = history(&server, &["--at", &last.to_string()]);
    assert_eq!((&then["state"], &then["at"], kids(&then["event"])), (&json!("in_force"), &json!(last), vec!["two"]));
    let before = history(&server, &["--at", &(first - 1).to_string()]);
    assert_eq!((&before["state"], &before["event"]), (&json!("not_recorded"), &Value::Null));
    assert_eq!(history(&server, &["--at", "2099-01-01T00:00:00Z"])["event"], then["event"]);

    let table = server.cli(&["issuers", "history", "a"]).ended(0).stdout;
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["SINCE", "KID", "ALGORITHM", "THUMBPRINT", "FROM"], "{table}");
    assert_eq!(rows[1..].iter().map(|row| row[1]).collect::<Vec<_>>(), ["one", "one", "two", "two"], "{table}");
    let early = server.cli(&["issuers", "history", "a", "--at", "2020-01-01T00:00:00Z"]).ended(0).stdout;
    assert_eq!(early.trim(), "the history does not reach back to 2020-01-01T00:00:00Z");

    // A server that ended properly has written everything. The command reads it without a server,
    // and a torn line hides no other.
    let (_, site) = server.terminate();
    let files = log_files(&site);
    assert_eq!(files.len(), 1);
    assert_eq!(std::fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777, 0o600);
    let mut content = std::fs::read_to_string(&files[0]).unwrap();
    assert_eq!(content.lines().count(), 3);
    content.push_str("{\"at\":17");
    std::fs::write(&files[0], &content).unwrap();
    let offline = STS.run(site.root(), &["issuers", "history", "a", "--json"]).ended(0).json();
    assert_eq!((&offline["events"], &offline["unreadable"]), (&whole["events"], &json!(1)));
    let table = STS.run(site.root(), &["issuers", "history", "a"]).ended(0).stdout;
    assert!(table.contains("1 lines of the log cannot be read"), "{table}");
    assert_eq!(std::fs::read_to_string(&files[0]).unwrap(), content, "looking writes nothing");
}

#[test]
fn a_kid_that_names_another_key_is_warned_of_once() {
    let [first, second] = [(); 2].map(|()| Key::new(Algorithm::ES256, "kept-kid"));
    let between = Key::new(Algorithm::ES256, "between");
    let server = server(&[&first]);
    publish(&server, &[&between]);
    publish(&server, &[&first]);
    let warnings = |server: &Server| {
        let lines = server.lines().all();
        lines.into_iter().filter(|line| line.contains("names another key")).collect::<Vec<_>>()
    };
    assert!(warnings(&server).is_empty(), "the same key came back");
    // The old key is in the log only.
    publish(&server, &[&between]);
    publish(&server, &[&second]);
    let warning =
        server.lines().wait("the warning", |line| line.contains("names another key").then(|| line.to_owned()));
    assert!(warning.contains("WARN") && warning.contains("kept-kid") && warning.contains("entry"), "{warning}");
    publish(&server, &[&between, &second]);
    assert_eq!(history(&server, &[])["events"].as_array().unwrap().len(), 6);
    let (_, site) = server.terminate();
    let server = Server::start_in(STS, site);
    publish(&server, &[&between, &second]);
    assert_eq!(history(&server, &[])["events"].as_array().unwrap().len(), 6);
    assert!(warnings(&server).is_empty(), "it was seen before the restart");
}

#[test]
fn a_history_is_for_readers_and_of_entries() {
    let reader = WORLD.token(&token("svc:reader"), &[]);
    let get = |target: &str, bearer: &str| send(WORLD.admin(), &Request::get(target).bearer(bearer));
    let path = "/admin/v1/issuers/plain/history";
    assert_eq!(send(WORLD.admin(), &Request::get(path)).status, 401);
    let answer = get(path, &reader);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["events"][0]["source"], "inline");
    assert_eq!(get(&format!("{path}?at=1"), &reader).json()["state"], "not_recorded");
    for (target, status) in [
        (format!("{path}?at=yesterday"), 400),
        (format!("{path}?since=1"), 400),
        ("/admin/v1/issuers/nobody/history".to_owned(), 404),
        ("/admin/v1/issuers/%2e%2e%2fx/history".to_owned(), 404),
    ] {
        assert_eq!(get(&target, &reader).status, status, "{target}");
    }
    let posted = send(WORLD.admin(), &Request::post_json(path, &json!({})).bearer(&WORLD.admin_token()));
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")));
    assert_eq!(WORLD.cli(&["issuers", "history", "nobody"]).code, Some(1));
    assert_eq!(WORLD.cli(&["issuers", "history", "plain", "--at", "yesterday"]).code, Some(2));
}
