//! What an attacker can measure, and what he can cost others: medians of the policy's refusals by cause, and the latency of
//! honest callers while somebody floods the server with tokens that look valid until their signature is checked.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints what it measured, and fails by panicking"
)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sts_testkit::{Algorithm, Config, Forge, Key, Request, Server, Sts, exchange_request, now, timed};

const STS: Sts = Sts(env!("CARGO_BIN_EXE_sts"));
const ISSUER: &str = "https://issuer.example";
/// Requests for each figure.
const COUNT: usize = 400;
/// Connections that flood at once.
const FLOODERS: usize = 4;

fn main() {
    let key = Key::new(Algorithm::RS256, "k");
    let server = Server::start(STS, &config(&key));
    refusals(&server, &key);
    flood(&server, &key);
}

fn config(key: &Key) -> Config {
    let identity = |subject: &str| json!([{ "name": "main", "issuer": "ci", "subject": subject }]);
    Config::new()
        .with("behind_tls_proxy", json!(["127.0.0.0/8"]))
        .with("limits", json!({ "failures_per_second": 50, "failure_burst": 500 }))
        .with("issuers/ci", json!({ "issuer": ISSUER, "jwks": Key::set(&[key]) }))
        .with("apis/deploy", json!({ "audience": "https://deploy.example.com" }))
        .with("service_accounts/octo", json!({ "grants": { "deploy": [] }, "identities": identity("octo") }))
        .with("service_accounts/other", json!({ "grants": { "deploy": [] }, "identities": identity("other") }))
        .with(
            "service_accounts/off",
            json!({ "enabled": false, "grants": { "deploy": [] }, "identities": identity("octo") }),
        )
}

fn token<'a>(key: &'a Key, subject: &str) -> Forge<'a> {
    let now = now();
    let claims = json!({ "iss": ISSUER, "sub": subject, "aud": Config::ISSUER, "iat": now - 5, "exp": now + 600 });
    Forge::new(key, &claims)
}

fn from(source: &str, token: &str, parameters: &[(&str, &str)]) -> Request {
    exchange_request(token, parameters).header("X-Forwarded-For", source)
}

/// The causes of one answer, each asked by turns so that all of them see the same machine.
fn refusals(server: &Server, key: &Key) {
    let own = token(key, "octo").sign();
    let causes = [("no such account", "nobody"), ("no identity matched", "other"), ("the account is disabled", "off")];
    let mut times = causes.map(|_| Vec::with_capacity(COUNT));
    for round in 0..COUNT {
        for turn in 0..causes.len() {
            let at = (round + turn) % causes.len();
            let (Some((_, account)), Some(times)) = (causes.get(at), times.get_mut(at)) else { continue };
            // Another source each time: the limit on refusals is not what is measured.
            let request = from(&format!("192.0.2.{}", round % 250), &own, &[("audience", account)]);
            let (answer, time) = timed(|| server.send(&request));
            assert_eq!(answer.json().get("reason").and_then(Value::as_str), Some("not_authorized"));
            times.push(time);
        }
    }
    let medians = times.map(|mut times| percentile(&mut times, 50));
    for ((cause, _), median) in causes.iter().zip(medians) {
        println!("refused, {cause}: median {median:?}");
    }
    let (least, most) = (medians.iter().min().unwrap(), medians.iter().max().unwrap());
    println!("the medians differ by {:.2} %", (most.as_secs_f64() / least.as_secs_f64() - 1.0) * 100.0);
}

fn flood(server: &Server, key: &Key) {
    let forged = token(key, "octo").sign_with(|input| key.sign(&[input, b"x"].concat()));
    let quiet = honest(server, key);
    let (done, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let flooded = std::thread::scope(|scope| {
        for _ in 0..FLOODERS {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let answer = server.send(&from("203.0.113.66", &forged, &[]));
                    assert!([400, 429].contains(&answer.status));
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let flooded = honest(server, key);
        done.store(true, Ordering::Relaxed);
        flooded
    });
    println!("granted, quiet: p50 {:?}, p99 {:?}", quiet[0], quiet[1]);
    println!("granted, beside {} forged: p50 {:?}, p99 {:?}", sent.into_inner(), flooded[0], flooded[1]);
}

/// Median and 99th percentile of an honest caller's exchanges.
fn honest(server: &Server, key: &Key) -> [Duration; 2] {
    let mut times: Vec<Duration> = (0..COUNT)
        .map(|_| {
            let request = from("198.51.100.7", &token(key, "octo").sign(), &[]);
            let (answer, time) = timed(|| server.send(&request));
            assert_eq!(answer.status, 200, "{}", answer.text());
            time
        })
        .collect();
    [percentile(&mut times, 50), percentile(&mut times, 99)]
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times.get(times.len() * percent / 100).copied().unwrap()
}
