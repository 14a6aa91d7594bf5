//! What an attacker can measure, and what he can cost others: medians of the policy's refusals by cause, and the latency of
//! honest callers while somebody floods the server with tokens that look valid until their signature is checked.
//!
//! Both are held to their bounds (the bench fails past them): medians within 2 %, the 99th percentile within twice its value at
//! rest. A machine that does something else at the same time spoils a measurement, so each may be repeated.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench measures real time, prints it, and fails by panicking"
)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sts_testkit::{Algorithm, Config, Forge, Key, Request, Server, Sts, exchange_request, now, timed};

const STS: Sts = Sts(env!("CARGO_BIN_EXE_sts"));
const ISSUER: &str = "https://issuer.example";
/// Requests for each figure.
const COUNT: usize = 600;
/// How often a bound may be missed before it is held to be broken.
const ATTEMPTS: usize = 5;
/// The most that the medians of refusals may differ by.
const MEDIANS: f64 = 0.02;
/// The most that a flood may multiply the 99th percentile of honest callers by.
const SLOWDOWN: f64 = 2.0;
/// Forged tokens a second, twenty times what one source is heard with; sent at their times, however late answers are.
const FLOOD: u32 = 1_000;
/// Connections that flood at once.
const FLOODERS: u32 = 8;
/// Accounts beside those that are asked for, so that the policy is one of a real installation.
const OTHERS: usize = 1_000;

fn main() {
    let key = Key::new(Algorithm::RS256, "k");
    let server = Server::start(STS, &config(&key));
    within("medians of refusals", MEDIANS, || refusals(&server, &key));
    // One source is soon not heard any more; a thousand of them, each heard, are the attacker that no limit stops.
    within("a flood from one source", SLOWDOWN, || flood(&server, &key, |_| "203.0.113.66".to_owned()));
    within("a flood from everywhere", SLOWDOWN, || {
        flood(&server, &key, |at| format!("10.{}.{}.66", at / 256 % 256, at % 256))
    });
}

/// Measures until `bound` is met.
fn within(what: &str, bound: f64, measure: impl Fn() -> f64) {
    let met = (0..ATTEMPTS).any(|_| measure() <= bound);
    assert!(met, "{what}: over {bound} each time");
}

fn config(key: &Key) -> Config {
    let identity = |subject: &str| json!([{ "name": "main", "issuer": "ci", "subject": subject }]);
    let others = (0..OTHERS).map(|at| format!("other-{at}"));
    let config = others.fold(Config::new(), |config, name| {
        let account = json!({ "grants": { "deploy": [] }, "identities": identity(&name) });
        config.with(&format!("service_accounts/{name}"), account)
    });
    config
        .with("behind_tls_proxy", json!(["127.0.0.0/8"]))
        .with("limits", json!({ "failures_per_second": 50, "failure_burst": 500 }))
        .with("issuers/ci", json!({ "issuer": ISSUER, "jwks": Key::set(&[key]) }))
        .with("apis/deploy", json!({ "audience": "https://deploy.example.com" }))
        .with("service_accounts/octo", json!({ "grants": { "deploy": [] }, "identities": identity("octo") }))
        .with("service_accounts/other", json!({ "grants": { "deploy": [] }, "identities": identity("other") }))
        .with(
            "service_accounts/over",
            json!({
                "not_after": "2020-01-01T00:00:00Z",
                "grants": { "deploy": [] },
                "identities": identity("octo"),
            }),
        )
        .with(
            "service_accounts/off",
            json!({ "enabled": false, "grants": { "deploy": [] }, "identities": identity("off") }),
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

/// By how much the medians differ of the causes of one answer to one kind of request, each asked by turns so that all of them see
/// the same machine.
fn refusals(server: &Server, key: &Key) -> f64 {
    let [own, strange, off, over] = ["octo", "nobody", "off", "over"].map(|subject| token(key, subject).sign());
    // An account is named.
    let named = compare(
        server,
        &[
            ("no such account", &own, &[("audience", "nobody")]),
            ("no identity matched", &own, &[("audience", "other")]),
            ("the account is disabled", &off, &[("audience", "off")]),
            ("the account is over", &over, &[("audience", "over")]),
            (
                "another's account, with an unknown target",
                &own,
                &[("audience", "other"), ("resource", "https://x.example")],
            ),
        ],
    );
    // All of them are searched.
    let searched = compare(
        server,
        &[
            ("no account matched", &strange, &[]),
            ("a disabled account matched", &off, &[]),
            ("an account matched that is over", &over, &[]),
        ],
    );
    named.max(searched)
}

/// What a refusal is for, the token, and what is asked for with it.
type Cause<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

fn compare(server: &Server, causes: &[Cause<'_>]) -> f64 {
    let mut times: Vec<Vec<Duration>> = causes.iter().map(|_| Vec::with_capacity(COUNT)).collect();
    for round in 0..COUNT {
        for turn in 0..causes.len() {
            let at = (round + turn) % causes.len();
            let (Some((_, token, asked)), Some(times)) = (causes.get(at), times.get_mut(at)) else { continue };
            // Another source each time: the limit on refusals is not what is measured.
            let request = from(&format!("192.0.2.{}", round % 250), token, asked);
            let (answer, time) = timed(|| server.send(&request));
            assert_eq!(answer.json().get("reason").and_then(Value::as_str), Some("not_authorized"));
            times.push(time);
        }
    }
    let medians: Vec<Duration> = times.iter_mut().map(|times| percentile(times, 50)).collect();
    for ((cause, ..), median) in causes.iter().zip(&medians) {
        println!("refused, {cause}: median {median:?}");
    }
    let (least, most) = (medians.iter().min().unwrap(), medians.iter().max().unwrap());
    let differ = most.as_secs_f64() / least.as_secs_f64() - 1.0;
    println!("the medians differ by {:.2} %", differ * 100.0);
    differ
}

/// What a flood multiplies the 99th percentile by; `source` is where its tokens seem to come from. Rest is measured before it and
/// after it, and the slower of the two counts: a machine that became slow meanwhile did not become so by the flood.
fn flood(server: &Server, key: &Key, source: impl Fn(usize) -> String + Sync) -> f64 {
    let forged = token(key, "octo").sign_with(|input| key.sign(&[input, b"x"].concat()));
    let before = honest(server, key);
    let (done, sent, heard) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let began = Instant::now();
    let beside = std::thread::scope(|scope| {
        for flooder in 0..FLOODERS {
            let (done, sent, heard, forged, source) = (&done, &sent, &heard, &forged, &source);
            scope.spawn(move || {
                let mut due = began + Duration::from_secs(1) / FLOOD * flooder;
                while !done.load(Ordering::Relaxed) {
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    due += Duration::from_secs(1) / FLOOD * FLOODERS;
                    let answer = server.send(&from(&source(sent.fetch_add(1, Ordering::Relaxed)), forged, &[]));
                    assert!([400, 429].contains(&answer.status));
                    heard.fetch_add(usize::from(answer.status == 400), Ordering::Relaxed);
                }
            });
        }
        let beside = honest(server, key);
        done.store(true, Ordering::Relaxed);
        beside
    });
    let (took, sent, heard) = (began.elapsed().as_secs_f64(), sent.into_inner(), heard.into_inner());
    let after = honest(server, key);
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let rate = sent as f64 / took;
    println!(
        "granted, quiet: p50 {:?}, p99 {:?}; p50 {:?}, p99 {:?} afterwards",
        before[0], before[1], after[0], after[1]
    );
    println!(
        "granted, beside {rate:.0} forged a second ({heard} of {sent} verified): p50 {:?}, p99 {:?}",
        beside[0], beside[1]
    );
    beside[1].as_secs_f64() / before[1].max(after[1]).as_secs_f64()
}

/// Median and 99th percentile of an honest caller's exchanges, a hundred a second.
fn honest(server: &Server, key: &Key) -> [Duration; 2] {
    let began = Instant::now();
    let mut times: Vec<Duration> = (0..u32::try_from(COUNT).unwrap())
        .map(|at| {
            let request = from("198.51.100.7", &token(key, "octo").sign(), &[]);
            std::thread::sleep((began + Duration::from_millis(10) * at).saturating_duration_since(Instant::now()));
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
