//! Idle connections, and the shutdown of a server: readiness fails first, then comes the drain,
//! then the end.

use crate::support::*;
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use sts_testkit::{Request, Server, exchange_request, send, try_send, until};

/// A connection that stays open between requests.
struct KeptAlive(TcpStream);

impl KeptAlive {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(stream)
    }

    /// The head of the answer to a request without a body.
    fn ask(&mut self, path: &str) -> String {
        self.0.write_all(format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap().to_lowercase()
    }

    /// Waits, and returns whether the server has closed the connection in order.
    fn is_closed(&mut self) -> bool {
        self.0.read(&mut [0]).is_ok_and(|count| count == 0)
    }
}

fn is_unready(server: &Server) -> bool {
    try_send(server.public(), &Request::get("/readyz")).is_some_and(|answer| answer.status == 503)
}

#[test]
fn fld17_an_idle_connection_is_kept_for_limits_keep_alive() {
    let server = Server::start_in(STS, world_site(&world().with("limits/keep_alive", "1s")));
    for address in [server.public(), server.admin()] {
        let mut kept = KeptAlive::open(address);
        assert!(kept.ask("/healthz").starts_with("http/1.1 200"));
        assert!(kept.ask("/healthz").starts_with("http/1.1 200"), "not at once");
        let (is_closed, took) = sts_testkit::timed(|| kept.is_closed());
        assert!(is_closed && took < Duration::from_secs(25), "{took:?}");
    }
    for (value, code) in [("75s", 0), ("1h", 0), ("0s", 2), ("2h", 2), ("75", 2)] {
        let site = world_site(&world().with("limits/keep_alive", value));
        STS.run(site.root(), &["check", "--config", "sts.yaml"]).ended(code);
    }
}

#[test]
fn fld24_while_it_drains_requests_are_served_and_their_connections_closed() {
    let server = Server::start_in(STS, world_site(&world().with("shutdown", json!({ "drain": "10m" }))));
    let listeners = [server.public(), server.admin()];
    let mut idle = listeners.map(KeptAlive::open);
    for kept in &mut idle {
        let head = kept.ask("/healthz");
        assert!(!head.contains("connection: close"), "{head}");
    }
    server.signal("TERM");
    until("the end of readiness", || is_unready(&server));
    // Connections that were open before the drain, and new ones.
    let mut new = listeners.map(KeptAlive::open);
    for kept in idle.iter_mut().chain(&mut new) {
        let head = kept.ask("/healthz");
        assert!(head.starts_with("http/1.1 200") && head.contains("connection: close"), "{head}");
        assert!(kept.is_closed());
    }
    let answer = send(server.public(), &exchange_request(&token("svc:octo"), &[]));
    granted(&answer);
    assert_eq!(send(server.admin(), &Request::get("/readyz")).status, 503);
    let (code, took) = sts_testkit::timed(|| {
        server.signal("TERM");
        let (code, _site) = server.wait();
        code
    });
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(60), "{took:?}: a second signal ends it at once");
}

#[test]
fn fld24_after_the_drain_the_rest_is_ended() {
    let server = Server::start_in(STS, world_site(&world().with("shutdown", json!({ "drain": "1s" }))));
    let mut idle = KeptAlive::open(server.public());
    idle.ask("/healthz");
    let mut unfinished = KeptAlive::open(server.public());
    let head = "POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\ng";
    unfinished.0.write_all(head.as_bytes()).unwrap();
    let (code, took) = sts_testkit::timed(|| {
        server.signal("TERM");
        let (code, _site) = server.wait();
        code
    });
    assert_eq!(code, Some(0));
    // Shorter than the deadline of a body.
    assert!((Duration::from_secs(1)..Duration::from_secs(9)).contains(&took), "{took:?}");
    assert!(idle.is_closed());
}

#[test]
fn fld24_the_drain_is_10_s_unless_it_is_set_and_an_hour_at_most() {
    for (value, code) in [("0s", 0), ("10s", 0), ("1h", 0), ("2h", 2), ("10", 2)] {
        let site = world_site(&world().with("shutdown/drain", value));
        STS.run(site.root(), &["check", "--config", "sts.yaml"]).ended(code);
    }
    let at_once = Server::start_in(STS, world_site(&world().with("shutdown/drain", "0s")));
    at_once.signal("TERM");
    assert_eq!(at_once.wait().0, Some(0));
}
