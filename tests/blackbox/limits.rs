//! The limit on refused requests, against callers that send in parallel, hang up, or use many
//! addresses.

use crate::support::*;
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use sts_testkit::{Request, Server, exchange_request, form, until};

const BURST: usize = 20;

/// A server behind a proxy, so that a test can choose its address, with this burst and one refusal
/// per second.
fn limited() -> Server {
    let limits = json!({ "failures_per_second": 1, "failure_burst": BURST });
    Server::start_in(STS, world_site(&world().with("limits", limits).with("behind_tls_proxy", json!(["127.0.0.1"]))))
}

/// A POST whose head was handled and whose body lacks its last byte.
struct HeldBack {
    stream: TcpStream,
    last: Vec<u8>,
}

impl HeldBack {
    fn open(server: SocketAddr, source: &str, path: &str, headers: &str, body: &str) -> Self {
        let mut stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: {source}\r\n{headers}\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let (first, last) = body.as_bytes().split_at(body.len() - 1);
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(first).unwrap();
        Self { stream, last: last.to_owned() }
    }

    /// Sends the last byte and reads the status. `None` if the server has hung up.
    fn finish(mut self) -> Option<u16> {
        let _ = self.stream.write_all(&self.last);
        let mut answer = Vec::new();
        let _ = self.stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).get(9..12)?.parse().ok()
    }
}

fn junk_exchange() -> String {
    form(&[
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("subject_token", "x.y.z"),
    ])
}

#[test]
fn f4_requests_in_parallel_that_are_held_back_and_finished_at_once_do_not_pass_the_limit() {
    let server = limited();
    let basic = format!("Authorization: Basic {}\r\n", sts_testkit::basic("deploy", "wrong"));
    let right = format!("Authorization: Basic {}\r\n", sts_testkit::basic("deploy", DEPLOY_SECRET));
    for (at, (path, headers, body)) in [
        ("/token", String::new(), junk_exchange()),
        ("/revoke", String::new(), "token=junk".to_owned()),
        ("/revoke", basic.clone(), "token=junk".to_owned()),
        ("/introspect", basic, "token=junk".to_owned()),
        ("/introspect", right, "token=junk".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        let source = format!("203.0.113.{at}");
        let (statuses, took) = sts_testkit::timed(|| {
            let held: Vec<HeldBack> =
                (0..300).map(|_| HeldBack::open(server.public(), &source, path, &headers, &body)).collect();
            held.into_iter().map(HeldBack::finish).collect::<Vec<_>>()
        });
        let judged = statuses.iter().flatten().filter(|status| **status != 429).count();
        let filled_again = usize::try_from(took.as_secs()).unwrap() + 1;
        assert!((1..=BURST + filled_again).contains(&judged), "{path}: {judged} in {took:?}");
        assert!(statuses.contains(&Some(429)), "{path}");
        // Other callers are not delayed.
        let other = exchange_request(&token("svc:octo"), &[]).header("X-Forwarded-For", "198.51.100.1");
        granted(&server.send(&other));
    }
}

#[test]
fn f4_who_hangs_up_has_spent_his_level() {
    let server = limited();
    let honest = exchange_request(&token("svc:octo"), &[]);
    let from = |source: &str| server.send(&honest.clone().header("X-Forwarded-For", source));
    for (at, path) in ["/token", "/revoke", "/introspect"].into_iter().enumerate() {
        let source = format!("203.0.113.{at}");
        // On a slow machine the bucket may fill meanwhile, so try again.
        until("the limit", || {
            for _ in 0..BURST {
                let mut held =
                    HeldBack::open(server.public(), &source, path, "Expect: 100-continue\r\n", &junk_exchange());
                // The server has read its head.
                let _ = held.stream.read(&mut [0; 12]);
            }
            let answer = from(&source);
            answer.status == 429 && answer.json()["reason"] == "rate_limited" && answer.header("retry-after").is_some()
        });
    }
    granted(&from("198.51.100.1"));
}

#[test]
fn f4_what_is_granted_or_ours_gives_its_level_back_and_what_is_not_ours_does_not() {
    let server = limited();
    let access = server.token(&token("svc:octo"), &[]);
    let other = server.token(&token("svc:two"), &[("audience", "billing")]);
    let send_from = |at: usize, request: &Request| {
        server.send(&request.clone().header("X-Forwarded-For", &format!("198.51.100.{at}"))).status
    };
    let introspect =
        |token: &str| Request::post_form("/introspect", &[("token", token)]).basic("deploy", DEPLOY_SECRET);
    let revoke = |token: &str| Request::post_form("/revoke", &[("token", token)]);
    let ours = [
        exchange_request(&token("svc:octo"), &[]),
        introspect(&access),
        // Active, and not for this API.
        introspect(&other),
        revoke(&access),
        // Revoked already.
        introspect(&access),
    ];
    for (at, request) in ours.iter().enumerate() {
        for _ in 0..3 * BURST {
            assert_eq!(send_from(at, request), 200, "{request:?}");
        }
    }
    let forged = format!("{}x", &access[..access.len() - 1]);
    let foreign =
        [revoke("junk"), revoke(&forged), revoke(&token("svc:octo")), introspect("junk"), introspect(&forged)];
    for (at, request) in foreign.iter().enumerate() {
        let statuses: Vec<u16> = (0..3 * BURST).map(|_| send_from(100 + at, request)).collect();
        assert_eq!(statuses[0], 200, "{request:?}");
        assert!(statuses.contains(&429), "{request:?}");
    }
}
