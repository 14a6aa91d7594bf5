//! A storm of unknown kids beside valid traffic, on the built binary: 32 connections exchange valid tokens at a steady pace, and
//! within a second 1,000 tokens come that each name a kid nobody has, while the issuer takes its time to answer.
//!
//! `cargo bench -p sts --bench storm` prints the valid traffic's latency before and during the storm, their ratio, and how often
//! the issuer was asked. Figures to look at, not assertions: machines are noisy, and here both sides share one.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bench measures real time, prints it, and has nobody to report a failure to"
)]

mod connection;
mod traffic;

use std::time::Duration;

use connection::{Connection, percentile};
use serde_json::json;
use sts_testkit::{Algorithm, Config, FakeIssuer, Forge, Key, Server, Sts, now};
use traffic::traffic;

const CALM: Duration = Duration::from_secs(5);
const UNKNOWN: usize = 1000;
/// The unknown kids come within this time; the issuer answers when it is over.
const STORM: Duration = Duration::from_secs(1);

fn main() {
    let key = Key::new(Algorithm::ES256, "known");
    let issuer = FakeIssuer::start(&Key::set(&[&key]));
    let config = Config::new()
        .with("limits", json!({ "failures_per_second": 0 }))
        .with("issuers/ci", json!({ "issuer": issuer.url(), "allow_http": true }))
        .with("apis/deploy", json!({ "audience": "https://deploy.example.com", "scopes": ["read"] }))
        .with(
            "service_accounts/octo",
            json!({
                "grants": { "deploy": ["read"] },
                "identities": [{ "name": "main", "issuer": "ci", "subject": "job:main" }],
            }),
        );
    let server = Server::start(Sts(env!("CARGO_BIN_EXE_sts")), &config);
    let claims = json!({
        "iss": issuer.url(), "aud": Config::ISSUER, "sub": "job:main", "jti": "j", "iat": now(), "exp": now() + 3600,
    });
    let valid = Forge::new(&key, &claims).sign();
    let unknown: Vec<String> = (0..UNKNOWN)
        .map(|number| Forge::new(&key, &claims).header("kid", format!("unknown-{number}")).sign())
        .collect();
    assert_eq!(Connection::to(server.public()).exchange(&valid), 200);

    let mut calm = traffic(&server, &valid, || std::thread::sleep(CALM));
    let fetches = issuer.fetches();
    issuer.hold();
    let mut refused = Vec::new();
    let mut storm = traffic(&server, &valid, || {
        std::thread::scope(|scope| {
            let callers: Vec<_> = unknown
                .iter()
                .map(|token| {
                    std::thread::sleep(STORM / u32::try_from(UNKNOWN).unwrap());
                    let address = server.public();
                    scope.spawn(move || Connection::to(address).exchange(token))
                })
                .collect();
            issuer.release();
            refused = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
        });
    });
    let (before, during) = (percentile(&mut calm, 99), percentile(&mut storm, 99));
    println!("valid exchanges before: {} of median {:?}, p99 {before:?}", calm.len(), percentile(&mut calm, 50));
    println!("valid exchanges during: {} of median {:?}, p99 {during:?}", storm.len(), percentile(&mut storm, 50));
    println!("p99 during / before: {:.2}", during.as_secs_f64() / before.as_secs_f64());
    let refusals = refused.iter().filter(|status| **status == 400).count();
    println!("{UNKNOWN} unknown kids: {refusals} answered 400, {} answered 503", UNKNOWN - refusals);
    println!("fetches that the issuer saw during: {}", issuer.fetches() - fetches);
}
