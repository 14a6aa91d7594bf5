//! `sts audit tail --follow`.

use crate::support::*;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use sts_testkit::{Config, Lines, Server, free_address, until};

/// A server whose admin listener has the same address after a restart, as the configuration says.
fn start(config: Config) -> Server {
    Server::start_in(STS, world_site(&config.with("admin/listen", free_address().to_string())))
}

/// A follower, with its output piped.
fn follow(server: &Server, more: &[&str]) -> Child {
    let mut command = STS.command(server.site().root());
    command.args(["audit", "tail", "--follow", "--config", "sts.yaml"]).args(more);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn events_are_followed_over_new_files_and_a_restart_until_a_signal() {
    let server = start(world().with("audit", json!({ "file": { "path": "audit.log", "max_size": "4KiB" } })));
    let mut child = follow(&server, &["--json", "--type", "decision"]);
    let lines = Lines::default();
    lines.read(child.stdout.take().unwrap());
    let errors = Lines::default();
    errors.read(child.stderr.take().unwrap());
    let mut ids: Vec<String> = Vec::new();
    let exchange = |server: &Server| {
        let answer = server.exchange(&token("svc:octo"), &[]);
        answer.header("x-request-id").unwrap().to_owned()
    };
    for _ in 0..12 {
        ids.push(exchange(&server));
    }
    lines.wait("the last event", |line| line.contains(ids.last().unwrap()).then_some(()));
    assert!(server.site().path("audit.log.1").exists(), "no file was full");
    let server = server.crash_and_restart();
    ids.push(exchange(&server));
    lines.wait("an event after the restart", |line| line.contains(ids.last().unwrap()).then_some(()));
    let all = lines.all();
    let listed: Vec<Value> = all.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let listed: Vec<&str> = listed.iter().map(|event| event["request_id"].as_str().unwrap()).collect();
    assert_eq!(listed, ids, "each once, in order");
    // Not SIGINT: a shell has its background commands ignore that.
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(15));
}

#[test]
fn a_follower_whose_reader_goes_away_ends_quietly() {
    let server = start(world());
    let mut child = follow(&server, &[]);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(line.contains("configuration_loaded done server"), "{line}");
    drop(output);
    // No event comes, and it ends all the same.
    until("the end", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "");
}

#[test]
fn a_tail_that_finds_nothing_says_so_and_a_follower_needs_a_server() {
    let server = start(world());
    let none = server.cli(&["audit", "tail", "--object", "nobody"]).ended(0);
    assert!(none.stdout.contains("no audit event fits"), "{}", none.text());
    assert_eq!(server.cli(&["audit", "tail", "--object", "nobody", "--json"]).ended(0).json()["items"], json!([]));
    let (_, site) = server.terminate();
    let told = STS.run(site.root(), &["audit", "tail", "--follow", "--config", "sts.yaml"]).ended(1);
    assert!(told.stderr.starts_with("error: "), "{}", told.text());
}
