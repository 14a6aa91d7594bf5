//! `sts exchange` and `sts exec`: outputs, further attempts, a file that stays fresh, a command with a token.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use sts_testkit::{FakeIssuer, Finished, Key, Page, Server, Site, until};

use crate::support::*;

fn url(server: &Server) -> String {
    format!("http://{}", server.public())
}

/// The client with a good ID token in its environment.
fn client(server: &Server, more: &[&str], environment: &[(&str, &str)]) -> Finished {
    let (url, subject) = (url(server), token("svc:octo"));
    let arguments = [&["exchange", "--url", &url], more].concat();
    let environment = [&[("STS_ID_TOKEN", subject.as_str())], environment].concat();
    STS.run_in(server.site().root(), &arguments, &environment)
}

fn is_active(server: &Server, access: &str) -> bool {
    server.introspect("deploy", DEPLOY_SECRET, access)["active"] == true
}

#[test]
fn for_a_github_job_the_token_is_masked_before_it_is_set_for_later_steps() {
    let server = Server::start_in(STS, world_site(&world()));
    server.site().write("github.env", "EARLIER=1\n");
    let finished = client(&server, &["--output", "github-env"], &[("GITHUB_ENV", "github.env")]).ended(0);
    let masked = finished.stdout.trim().strip_prefix("::add-mask::").unwrap();
    let lines = std::fs::read_to_string(server.site().path("github.env")).unwrap();
    let mut lines = lines.lines();
    assert_eq!(lines.next(), Some("EARLIER=1"));
    let delimiter = lines.next().unwrap().strip_prefix("STS_ACCESS_TOKEN<<").unwrap();
    assert_eq!((lines.next(), lines.next(), lines.next()), (Some(masked), Some(delimiter), None));
    assert!(is_active(&server, masked));
    let refused = client(&server, &["--output", "github-env"], &[]).ended(2);
    assert!(refused.stderr.contains("GITHUB_ENV") && !refused.stdout.contains("ey"));
}

/// The command with `input` as its standard input.
fn run_with_input(command: &mut Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// The client as a credential helper: `asked` is its standard input.
fn ask_helper(server: &Server, output: &str, operation: &str, asked: &str) -> Output {
    let (url, subject) = (url(server), token("svc:octo"));
    let arguments = ["exchange", "--url", &url, "--account", "octo", "--output", output, operation];
    run_with_input(STS.command(server.site().root()).args(arguments).env("STS_ID_TOKEN", subject), asked)
}

fn helper(server: &Server, output: &str, operation: &str, asked: &str) -> String {
    let output = ask_helper(server, output, operation, asked);
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_credential_helper_gives_no_token_to_a_server_without_tls() {
    let server = &*WORLD;
    for (output, asked) in [
        ("git", "protocol=http\nhost=git.example.com\n\n"),
        ("docker", "http://registry.example.com\n"),
        ("docker", "HTTP://registry.example.com\n"),
    ] {
        let refused = ask_helper(server, output, "get", asked);
        let stderr = String::from_utf8(refused.stderr).unwrap();
        assert!(refused.status.code() == Some(2) && refused.stdout.is_empty(), "{output}: {stderr}");
        assert!(stderr.contains("https only"), "{stderr}");
    }
}

#[test]
fn it_is_a_credential_helper_for_docker_and_git() {
    let server = Server::start_in(STS, world_site(&world()));
    let docker: Value = serde_json::from_str(&helper(&server, "docker", "get", "registry.example.com\n")).unwrap();
    assert_eq!((&docker["ServerURL"], &docker["Username"]), (&json!("registry.example.com"), &json!("octo")));
    assert!(is_active(&server, docker["Secret"].as_str().unwrap()));
    let git = helper(&server, "git", "get", "protocol=https\nhost=git.example.com\n\n");
    let member = |name: &str| git.lines().find_map(|line| line.strip_prefix(&format!("{name}="))).unwrap().to_owned();
    assert_eq!(member("username"), "octo");
    assert!(is_active(&server, &member("password")));
    assert!(member("password_expiry_utc").parse::<i64>().unwrap() > sts_testkit::now());
    for operation in ["store", "erase"] {
        assert_eq!(helper(&server, "git", operation, "password=x\n"), "", "there is nothing to keep");
    }
    client(&server, &["get"], &[]).ended(2);
}

/// A server that answers `/token` with these pages, each in turn.
fn in_turn(first: Page, then: Value) -> FakeIssuer {
    let fake = FakeIssuer::start(&Key::set(&[]));
    fake.page_once("/token", first);
    fake.page("/token", Page::Json(then));
    fake
}

#[test]
fn what_may_pass_is_tried_again_and_what_is_refused_is_not() {
    let granted = json!({ "access_token": "a.b.c", "token_type": "Bearer", "expires_in": 60 });
    let ask = |url: &str| {
        let arguments = ["exchange", "--url", url, "--timeout", "20"];
        STS.run_in(Site::new().root(), &arguments, &[("STS_ID_TOKEN", "x.y.z")])
    };
    let busy = Page::Raw(
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            .to_vec(),
    );
    let broken_off = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"access_token\": \"a.".to_vec();
    for first in [busy, Page::status("502 Bad Gateway"), Page::Raw(Vec::new()), Page::Raw(broken_off)] {
        let fake = in_turn(first, granted.clone());
        assert_eq!(ask(&fake.url()).ended(0).stdout, "a.b.c\n");
        assert_eq!(fake.asked("/token"), 2);
    }
    let body = json!({ "error": "invalid_request", "reason": "token_expired", "error_description": "it has expired", "request_id": "01J" });
    let body = body.to_string();
    let head = format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let fake = in_turn(Page::Raw(format!("{head}{body}").into_bytes()), granted);
    let refused = ask(&fake.url()).ended(1);
    assert!(refused.stderr.contains("token_expired") && refused.stderr.contains("01J"), "{}", refused.stderr);
    assert_eq!(fake.asked("/token"), 1);
}

#[test]
fn an_id_token_from_standard_input_serves_each_attempt_and_no_use_that_needs_more_of_them() {
    let granted = json!({ "access_token": "a.b.c", "token_type": "Bearer", "expires_in": 60 });
    let fake = in_turn(Page::status("503 Service Unavailable"), granted);
    let (site, url) = (Site::new(), fake.url());
    let arguments = ["exchange", "--url", &url, "--token-file", "-"];
    let output = run_with_input(STS.command(site.root()).args(arguments), "x.y.z\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "a.b.c\n");
    let requests = fake.requests("/token");
    assert_eq!(requests.len(), 2);
    assert!(requests.iter().all(|request| request.contains("subject_token=x.y.z")), "{requests:?}");
    for more in [&["exchange", "--watch", "file"][..], &["exchange", "--output", "git", "get"], &["exec"]] {
        let command = ["--url", &url, "--token-file", "-", "--", "true"];
        let command = if more == ["exec"] { &command[..] } else { &command[..4] };
        let refused = run_with_input(STS.command(site.root()).args(more).args(command), "x.y.z\n");
        assert_eq!(refused.status.code(), Some(2), "{more:?}");
        assert!(String::from_utf8(refused.stderr).unwrap().contains("`--token-file -`"), "{more:?}");
    }
    assert_eq!(fake.asked("/token"), 2);
}

#[test]
fn a_token_that_cannot_be_printed_is_a_failure_and_one_that_cannot_be_masked_is_not_set() {
    let server = &*WORLD;
    let (url, subject, site) = (url(server), token("svc:octo"), Site::new());
    site.write("github.env", "EARLIER=1\n");
    for output in ["token", "json", "env", "exec-credential", "github-env"] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let failed = STS
            .command(site.root())
            .args(["exchange", "--url", &url, "--account", "octo", "--output", output])
            .envs([("STS_ID_TOKEN", subject.as_str()), ("GITHUB_ENV", "github.env")])
            .stdout(full)
            .output()
            .unwrap();
        let stderr = String::from_utf8(failed.stderr).unwrap();
        assert!(failed.status.code() == Some(1) && stderr.contains("No space left"), "{output}: {stderr}");
        assert!(!stderr.contains("ey"), "{stderr}");
    }
    assert_eq!(std::fs::read_to_string(site.path("github.env")).unwrap(), "EARLIER=1\n");
}

#[test]
fn a_refusal_of_policy_names_the_command_that_finds_its_cause() {
    let server = Server::start_in(STS, world_site(&world()));
    let url = url(&server);
    let arguments = ["exchange", "--url", &url, "--account", "octo"];
    let refused = STS.run_in(server.site().root(), &arguments, &[("STS_ID_TOKEN", &token("svc:nobody"))]).ended(1);
    let request_id = refused.stderr.split("--denial ").nth(1).unwrap().split('`').next().unwrap().to_owned();
    assert!(refused.stderr.contains(&format!("sts explain --denial {request_id}")), "{}", refused.stderr);
    server.cli(&["explain", "--denial", &request_id]).ended(1);
}

/// A running command, killed when dropped.
struct Running(Child);

impl Running {
    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(server: &Server, arguments: &[&str]) -> Running {
    // As many uses as it takes.
    server.site().write("id.token", token("svc:octo"));
    Running(STS.command(server.site().root()).args(arguments).stdout(Stdio::piped()).spawn().unwrap())
}

#[test]
fn a_watched_file_is_private_and_replaced_before_its_token_expires_over_a_restart_of_the_server() {
    let mut server = Server::start_in(STS, world_site(&world()));
    let fake = FakeIssuer::start(&Key::set(&[]));
    let granted = |token: &str| Page::Json(json!({ "access_token": token, "expires_in": 1 }));
    for token in ["one", "two"] {
        fake.page_once("/token", granted(token));
    }
    fake.page("/token", Page::status("400 Bad Request"));
    let url = fake.url();
    let mut watching =
        start(&server, &["exchange", "--url", &url, "--token-file", "id.token", "--watch", "access.token"]);
    let file = server.site().path("access.token");
    let content = || std::fs::read_to_string(&file).unwrap_or_default();
    until("the first token is there", || !content().is_empty());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    until("a refresh fails", || fake.asked("/token") > 2);
    assert_eq!(content(), "two", "the first was replaced, and what is there stays");
    watching.signal("TERM");
    assert!(watching.0.wait().unwrap().success());

    let url = self::url(&server);
    let _watching = start(&server, &["exchange", "--url", &url, "--token-file", "id.token", "--watch", "access.token"]);
    until("a token of the server is there", || content().starts_with("ey"));
    assert!(is_active(&server, &content()));
    server = server.crash_and_restart();
    assert!(is_active(&server, &content()));
}

#[test]
fn a_command_has_the_token_and_a_file_of_it_and_the_token_ends_with_it() {
    let server = Server::start_in(STS, world_site(&world()));
    let (url, subject) = (url(&server), token("svc:octo"));
    let run = |script: &str| {
        let arguments = ["exec", "--url", &url, "--account", "octo", "--", "sh", "-c", script];
        STS.run_in(server.site().root(), &arguments, &[("STS_ID_TOKEN", &subject)])
    };
    let script = "cat $STS_ACCESS_TOKEN_FILE; echo; echo $STS_ACCESS_TOKEN; stat -c %a $STS_ACCESS_TOKEN_FILE; \
                  echo $STS_ACCESS_TOKEN_FILE; exit 7";
    let finished = run(script).ended(7);
    let lines: Vec<&str> = finished.stdout.lines().collect();
    assert_eq!(lines[0], lines[1]);
    assert_eq!(lines[2], "600");
    assert!(lines[0].starts_with("ey") && !is_active(&server, lines[0]), "it was revoked");
    assert!(!std::path::Path::new(lines[3]).exists());
    assert!(run("kill -TERM $$").ended(128 + 15).stdout.is_empty());
    run("true").ended(0);
    let missing = ["exec", "--url", &url, "--", "no-such-command"];
    let missing = STS.run_in(server.site().root(), &missing, &[("STS_ID_TOKEN", &subject)]).ended(2);
    assert!(missing.stderr.contains("no-such-command"), "{}", missing.stderr);
    let refused = ["exec", "--url", &url, "--", "touch", "ran"];
    STS.run_in(server.site().root(), &refused, &[("STS_ID_TOKEN", &token("svc:nobody"))]).ended(1);
    assert!(!server.site().path("ran").exists(), "without a token the command does not run");
}

#[test]
fn signals_reach_the_command_and_its_token_is_revoked_all_the_same() {
    let server = Server::start_in(STS, world_site(&world()));
    let url = url(&server);
    let script = "trap 'echo got it > signalled; exit 3' USR1; printenv STS_ACCESS_TOKEN > access.copy; while :; do sleep 0.05; done";
    let mut running = start(&server, &["exec", "--url", &url, "--token-file", "id.token", "--", "sh", "-c", script]);
    let copy = server.site().path("access.copy");
    until("the command runs", || std::fs::read_to_string(&copy).is_ok_and(|copy| copy.ends_with('\n')));
    let access = std::fs::read_to_string(&copy).unwrap().trim().to_owned();
    assert!(is_active(&server, &access));
    running.signal("USR1");
    assert_eq!(running.0.wait().unwrap().code(), Some(3));
    assert!(server.site().path("signalled").exists() && !is_active(&server, &access));
}

/// A server that grants `tokens` in turn and revokes every token.
fn granting(tokens: &[&str], expires_in: u32) -> FakeIssuer {
    let fake = FakeIssuer::start(&Key::set(&[]));
    for token in tokens {
        fake.page_once("/token", Page::Json(json!({ "access_token": token, "expires_in": expires_in })));
    }
    fake.page("/revoke", Page::Json(json!({})));
    fake
}

#[test]
fn a_signal_before_the_command_runs_ends_it_and_the_token_that_was_asked_for_is_revoked() {
    let fake = granting(&["only"], 60);
    let (site, url) = (Site::new(), fake.url());
    fake.hold();
    let mut command = STS.command(site.root());
    command.args(["exec", "--url", &url, "--", "touch", "ran"]).env("STS_ID_TOKEN", "x.y.z");
    let mut running = Running(command.spawn().unwrap());
    until("a token is asked for", || fake.asked("/token") == 1);
    running.signal("TERM");
    fake.release();
    assert_eq!(running.0.wait().unwrap().code(), Some(128 + 15));
    assert!(!site.path("ran").exists());
    let revoked = fake.requests("/revoke");
    assert!(revoked.len() == 1 && revoked[0].ends_with("token=only"), "{revoked:?}");
}

#[test]
fn at_the_end_the_token_that_lives_longest_is_revoked_first() {
    let fake = granting(&["one", "two"], 6);
    let (site, url) = (Site::new(), fake.url());
    let script = "while [ \"$(cat $STS_ACCESS_TOKEN_FILE)\" != two ]; do sleep 0.05; done";
    let arguments = ["exec", "--url", &url, "--", "sh", "-c", script];
    STS.run_in(site.root(), &arguments, &[("STS_ID_TOKEN", "x.y.z")]).ended(0);
    let revoked = fake.requests("/revoke");
    assert!(revoked[0].ends_with("token=two"), "{revoked:?}");
    // On a slow machine the first may have expired.
    assert!(revoked.get(1).is_none_or(|request| request.ends_with("token=one")), "{revoked:?}");
}
