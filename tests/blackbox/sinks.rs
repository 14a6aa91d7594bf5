//! Standard output and standard error that nobody reads, or that are full, closed or gone. Nothing
//! waits for them, and the server reports lost lines.

use crate::support::*;
use serde_json::Value;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use sts_testkit::{Config, Request, Response, Site, exchange_request, free_address, send, timed, try_send, until};

/// A server on its own ports, whose streams a shell has redirected.
struct Apart {
    child: Child,
    site: Site,
    public: std::net::SocketAddr,
    admin: std::net::SocketAddr,
}

impl Apart {
    /// `redirections` are the shell's. Any other stream is a pipe that nobody reads.
    fn start(config: Config, redirections: &str) -> Self {
        let (public, admin) = (free_address(), free_address());
        let config = config.with("listen", public.to_string()).with("admin/listen", admin.to_string());
        let site = world_site(&config);
        let script = format!("exec \"$0\" serve --config sts.yaml {redirections}");
        let mut command = Command::new("sh");
        command.args(["-c", &script, STS.0]).current_dir(site.root()).env_clear().stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let apart = Self { child, site, public, admin };
        until("a server", || try_send(apart.admin, &Request::get("/healthz")).is_some());
        apart
    }

    fn exchange(&self) -> Response {
        send(self.public, &exchange_request(&token("svc:octo"), &[]))
    }

    fn sink(&self, name: &str) -> Value {
        let detail = send(self.admin, &Request::get("/readyz")).json();
        detail["sinks"].as_array().unwrap().iter().find(|sink| sink["name"] == name).unwrap().clone()
    }

    fn metric(&self, line: &str) -> bool {
        send(self.admin, &Request::get("/metrics")).text().lines().any(|own| own.starts_with(line))
    }

    /// Asserts that exchanges, probes and keys are served, and that SIGTERM ends the server in time
    /// with exit code 0.
    fn serves_and_ends(mut self) -> Site {
        for _ in 0..20 {
            assert_eq!(self.exchange().status, 200);
        }
        for path in ["/healthz", "/readyz", "/.well-known/jwks.json"] {
            let (answer, took) = timed(|| send(self.public, &Request::get(path)));
            assert_eq!(answer.status, 200, "{path}");
            assert!(took < Duration::from_secs(5), "{path}: {took:?}");
        }
        let pid = self.child.id().to_string();
        let (status, took) = timed(|| {
            for _ in 0..2 {
                Command::new("kill").args(["-TERM", &pid]).status().unwrap();
            }
            self.child.wait().unwrap()
        });
        assert_eq!((status.code(), status.signal()), (Some(0), None), "{status}");
        assert!(took < Duration::from_secs(10), "{took:?}");
        std::mem::take(&mut self.site)
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn fld11_a_standard_error_that_is_full_or_closed_ends_nothing_and_what_it_loses_is_told() {
    for redirections in ["2>/dev/full", "2>&-", ">/dev/full 2>&1"] {
        let server = Apart::start(world(), redirections);
        until(redirections, || server.sink("stderr")["lost"].as_u64().unwrap() > 0);
        assert_eq!(server.sink("stderr")["ok"], false, "{redirections}");
        assert!(server.sink("stderr")["error"].is_string());
        assert!(server.metric("sts_sink_up{sink=\"stderr\"} 0"));
        server.serves_and_ends();
    }
}

#[test]
fn fld11_readers_that_go_away_end_nothing() {
    let mut server = Apart::start(world(), "");
    drop((server.child.stdout.take(), server.child.stderr.take()));
    server.exchange();
    until("the loss", || {
        server.exchange();
        server.sink("stdout")["lost"].as_u64().unwrap() > 0
    });
    // The message of a panic or a reload cannot be written either.
    server.site.replace("sts.yaml", "issuer: [");
    Command::new("kill").args(["-HUP", &server.child.id().to_string()]).status().unwrap();
    until("the loss of a log line", || server.sink("stderr")["lost"].as_u64().unwrap() > 0);
    server.serves_and_ends();
}

#[test]
fn fld12_streams_that_nobody_reads_hold_nobody_up() {
    let config = world().with("log/level", "trace").with("log/claims", true);
    let server = Apart::start(config, "");
    // Far more than a pipe holds.
    let subject = forge("svc:octo").claim("filler", "x".repeat(8_000)).sign();
    for _ in 0..100 {
        let answer = send(server.public, &exchange_request(&subject, &[]));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    until("a queue", || server.sink("stdout")["waiting_bytes"].as_u64().unwrap() > 100_000);
    server.serves_and_ends();
}

#[test]
fn fld13_events_that_cannot_be_written_are_counted_and_told() {
    for redirections in [">/dev/full", ">&-"] {
        let server = Apart::start(world(), redirections);
        assert_eq!(server.exchange().status, 200);
        until(redirections, || server.sink("stdout")["lost"].as_u64().unwrap() > 0);
        assert_eq!(server.sink("stdout")["ok"], false);
        assert!(
            server.metric("sts_sink_up{sink=\"stdout\"} 0") && !server.metric("sts_sink_lost_total{sink=\"stdout\"} 0")
        );
        server.serves_and_ends();
    }
}

#[test]
fn fld13_with_audit_required_nothing_is_minted_that_no_sink_can_take() {
    for redirections in [">/dev/full", ">&-"] {
        let config = world().with("audit/required", true);
        let server = Apart::start(config, redirections);
        let mut last = server.exchange();
        until("the refusal", || {
            last = server.exchange();
            last.status == 503
        });
        refused(&last, 503, "temporarily_unavailable", "audit_unavailable");
        assert!(last.header("retry-after").is_some());
        // Nothing was recorded, and a one-use token is not spent.
        let token = String::from_utf8(server.site.read("data/admin.token")).unwrap();
        let count = || {
            let answer = send(server.admin, &Request::get("/admin/v1/tokens").bearer(token.trim()));
            answer.json()["tokens"].as_array().map(Vec::len)
        };
        let before = count();
        assert_eq!(server.exchange().status, 503);
        assert_eq!(count(), before);
        assert_eq!(send(server.public, &Request::get("/readyz")).status, 503);
        assert_eq!(send(server.public, &Request::get("/healthz")).status, 200);
        assert_eq!(send(server.admin, &Request::get("/readyz")).json()["ready"], false);
    }
}

#[test]
fn fld13_a_stream_that_takes_lines_again_is_used_again() {
    let mut server = Apart::start(world().with("audit/required", true).with("log/claims", true), "2>/dev/null");
    // Until the pipe and the queue are full.
    let subject = forge("svc:octo").claim("filler", "x".repeat(10_000)).sign();
    let exchange = || send(server.public, &exchange_request(&subject, &[])).status;
    let mut granted = 0;
    while exchange() == 200 {
        granted += 1;
        assert!(granted < 5_000, "the queue has no end");
    }
    assert_eq!(exchange(), 503);
    let mut output = server.child.stdout.take().unwrap();
    std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
    until("service", || send(server.public, &exchange_request(&token("svc:octo"), &[])).status == 200);
}

#[test]
fn fld50_events_and_logs_name_time_and_level_alike_and_hold_no_json_in_texts() {
    let server = sts_testkit::Server::start_in(STS, world_site(&world()));
    let access = server.token(&token("svc:octo"), &[]);
    assert_eq!(server.revoke(&access).status, 200);
    let rule = serde_json::json!({ "account": "octo", "reason": "x" });
    assert_eq!(server.send_admin(Request::post_json("/admin/v1/revocations", &rule)).status, 200);
    server.lines().wait("the revocation", |line| line.contains("\"revocation\"").then_some(()));
    let answer = server.exchange("x", &[]);
    let _ = server.lines().decision(answer.header("x-request-id").unwrap());
    for line in server.lines().all() {
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let members = line.as_object().unwrap();
        assert!(members["time"].as_str().unwrap().ends_with('Z'), "{line}");
        assert!(["INFO", "WARN", "ERROR"].contains(&members["level"].as_str().unwrap()), "{line}");
        assert!(members["event"].is_string() && !members.contains_key("timestamp"), "{line}");
        for text in members.values().filter_map(Value::as_str) {
            assert!(!text.starts_with(['{', '[']), "{line}");
        }
    }
}

#[test]
fn fld52_ready_is_said_when_it_is_so_and_no_error_of_a_feature_that_is_off() {
    // A Redis that does not run.
    let config = world().with("store", "redis://127.0.0.1:1");
    let server = sts_testkit::Server::start_in(STS, world_site(&config));
    server.lines().wait("the store's state", |line| line.contains("the store is not ready").then_some(()));
    assert_eq!(server.send(&Request::get("/readyz")).status, 503);
    assert!(
        !server.lines().all().iter().any(|line| line.contains("\"message\":\"ready\"")),
        "{}",
        server.lines().text()
    );
    assert!(!server.lines().text().contains("status list"), "{}", server.lines().text());
    let server = sts_testkit::Server::start_in(STS, world_site(&world()));
    server.lines().wait("ready", |line| line.contains("\"message\":\"ready\"").then_some(()));
    assert_eq!(server.send(&Request::get("/readyz")).status, 200);
}
