//! A policy of 100,000 service accounts: what checking, loading and reloading it takes, and what a reload costs the exchanges
//! that go on meanwhile.
//!
//! `cargo bench -p sts --bench scale` prints times, memory and latencies. Figures to look at, not assertions: machines are
//! noisy, and here both sides share one.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bench measures real time, prints it, and has nobody to report a failure to"
)]

mod connection;
mod traffic;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use connection::percentile;
use serde_json::json;
use sts_testkit::{Algorithm, Config, Forge, Key, Server, Site, Sts, now};
use traffic::traffic;

const STS: Sts = Sts(env!("CARGO_BIN_EXE_sts"));
const ISSUER: &str = "https://token.actions.githubusercontent.com";
const FILES: usize = 100;
const ACCOUNTS_OF_A_FILE: usize = 1_000;
const CALM: Duration = Duration::from_secs(5);
/// The allocator returns what has been free for a second.
const IDLE: Duration = Duration::from_secs(4);

fn main() {
    let key = Key::new(Algorithm::RS256, "known");
    let site = Site::with(
        &Config::new()
            .with("issuers/github", json!({ "issuer": ISSUER, "jwks": Key::set(&[&key]) }))
            .with("apis/deploy", json!({ "audience": "https://deploy.example.com", "scopes": ["read"] }))
            .with("accounts", "accounts-*.yaml"),
    );
    (0..FILES).for_each(|file| site.write(&format!("accounts-{file}.yaml"), accounts(file, "15m")));

    let began = Instant::now();
    let checked = STS.run(site.root(), &["check", "--config", "sts.yaml"]);
    println!("check of {} accounts: {:?}, exit code {:?}", FILES * ACCOUNTS_OF_A_FILE, began.elapsed(), checked.code);

    let began = Instant::now();
    let server = Server::start_in(STS, site);
    println!("start to ready: {:?}, {:.0} MB resident when idle", began.elapsed(), idle_mb(&server));

    let claims = json!({
        "iss": ISSUER, "aud": Config::ISSUER, "sub": "repo:octo-org/r77777:ref:refs/heads/main", "jti": "j", "iat": now(),
        "exp": now() + 3600, "repository": "octo-org/r77777", "repository_id": "77777", "repository_owner_id": "65",
        "repository_owner": "octo-org", "ref": "refs/heads/main", "event_name": "push",
    });
    let token = Forge::new(&key, &claims).sign();
    let mut calm = traffic(&server, &token, || std::thread::sleep(CALM));
    let mut took = Duration::ZERO;
    let mut during = traffic(&server, &token, || {
        server.site().replace("accounts-50.yaml", accounts(50, "10m"));
        let began = Instant::now();
        server.signal("HUP");
        server.lines().wait("the reload", |line| line.contains("was reloaded").then_some(()));
        took = began.elapsed();
    });
    println!("reload: {took:?}, {:.0} MB resident afterwards", idle_mb(&server));
    for (name, latencies) in [("before", &mut calm), ("during the reload", &mut during)] {
        let [median, high, most] = [50, 99, 100].map(|percent| percentile(latencies, percent));
        println!("exchanges {name}: {} of median {median:?}, p99 {high:?}, longest {most:?}", latencies.len());
    }
}

fn accounts(file: usize, ttl: &str) -> String {
    let mut text = String::from("service_accounts:\n");
    for account in file * ACCOUNTS_OF_A_FILE..(file + 1) * ACCOUNTS_OF_A_FILE {
        write!(
            text,
            "  a{account}:\n    display_name: Repository {account}\n    grants: {{ deploy: [read] }}\n    ttl: {ttl}\n    identities:\n\
             \x20     - name: main\n        issuer: github\n        github: {{ repository: octo-org/r{account}, \
             repository_id: {account}, ref: refs/heads/main }}\n"
        )
        .unwrap();
    }
    text
}

fn idle_mb(server: &Server) -> f64 {
    std::thread::sleep(IDLE);
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
