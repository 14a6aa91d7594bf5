//! A hundred thousand managed accounts: what a change of one takes, when a second server has it in force, and what it costs the
//! exchanges that go on meanwhile.
//!
//! `cargo bench -p sts --bench managed` prints times, memory and latencies. Figures to look at, not assertions: machines are
//! noisy, and here all sides share one.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bench measures real time, prints it, and has nobody to report a failure to"
)]

mod connection;
mod traffic;

use std::time::{Duration, Instant};

use connection::percentile;
use serde_json::{Value, json};
use sts_testkit::{Algorithm, Config, Forge, Key, RedisServer, Request, Response, Server, Site, Sts, now};
use traffic::traffic;

const STS: Sts = Sts(env!("CARGO_BIN_EXE_sts"));
const ISSUER: &str = "https://token.actions.githubusercontent.com";
const ACCOUNTS: usize = 100_000;
/// Accounts in one request. All of them would exceed the limit of a body.
const BATCH: usize = 50_000;
const WRITES: usize = 10;
/// From one write to the next.
const PAUSE: Duration = Duration::from_millis(500);

fn main() {
    let key = Key::new(Algorithm::RS256, "known");
    let config = Config::new()
        .with("issuers/github", json!({ "issuer": ISSUER, "jwks": Key::set(&[&key]) }))
        .with("apis/deploy", json!({ "audience": "https://deploy.example.com", "scopes": ["read"] }))
        .with("teams/deployers", json!({ "grants": { "deploy": ["read"] } }));
    let token = token(&key);

    println!("embedded store");
    let server = Server::start_in(STS, Site::with(&config));
    fill(&server);
    measure(&server, &token);
    drop(server);

    println!("Redis, two servers");
    let redis = RedisServer::with("maxmemory-policy noeviction");
    let keys = Site::new();
    let shared = config.with("store", json!(redis.url())).with("signing/keys_dir", json!(keys.root().join("keys")));
    let [first, second] = [(); 2].map(|()| Server::start_in(STS, Site::with(&shared)));
    fill(&first);
    measure(&first, &token);
    follow(&first, &second);
    let site = second.kill();
    let began = Instant::now();
    let second = Server::start_in(STS, site);
    println!("  start to ready: {:?}, {:.0} MB resident", began.elapsed(), resident_mb(&second));
}

fn token(key: &Key) -> String {
    let claims = json!({
        "iss": ISSUER, "aud": Config::ISSUER, "sub": "repo:octo-org/r77777:ref:refs/heads/main", "jti": "j", "iat": now(),
        "exp": now() + 3600, "repository": "octo-org/r77777", "repository_id": "77777", "repository_owner_id": "65",
        "repository_owner": "octo-org", "ref": "refs/heads/main", "event_name": "push",
    });
    Forge::new(key, &claims).sign()
}

fn account(number: usize) -> Value {
    json!({
        "display_name": format!("Repository {number}"),
        "teams": ["deployers"],
        "identities": [{
            "name": "main",
            "issuer": "github",
            "github": { "repository": format!("octo-org/r{number}"), "repository_id": number, "ref": "refs/heads/main" },
        }],
    })
}

fn fill(server: &Server) {
    let began = Instant::now();
    for first in (0..ACCOUNTS).step_by(BATCH) {
        let objects: Vec<Value> = (first..first + BATCH)
            .map(|number| json!({ "kind": "service-accounts", "name": format!("a{number}"), "spec": account(number) }))
            .collect();
        let response = server.send_admin(Request::post_json("/admin/v1/apply", &json!({ "objects": objects })));
        assert_eq!(response.status, 200, "{}", response.text());
    }
    println!("  {ACCOUNTS} accounts applied: {:?}, {:.0} MB resident", began.elapsed(), resident_mb(server));
}

/// Changes one account, and says how long that took.
fn write(server: &Server, number: usize, text: &str) -> Duration {
    let target = format!("/admin/v1/service-accounts/a{number}");
    let shown = server.send_admin(Request::get(&target));
    let patch = json!({ "spec": { "display_name": text } }).to_string();
    let request = Request::new("PATCH", &target)
        .body("application/merge-patch+json", patch)
        .header("If-Match", shown.header("etag").unwrap());
    let began = Instant::now();
    let response: Response = server.send_admin(request);
    let took = began.elapsed();
    assert_eq!(response.status, 200, "{}", response.text());
    took
}

fn measure(server: &Server, token: &str) {
    let mut alone: Vec<Duration> = (0..WRITES).map(|number| write(server, number, "alone")).collect();
    let mut calm = traffic(server, token, || std::thread::sleep(PAUSE * u32::try_from(WRITES).unwrap()));
    let mut busy = Vec::new();
    let mut during = traffic(server, token, || {
        for number in 0..WRITES {
            busy.push(write(server, number, "busy"));
            std::thread::sleep(PAUSE);
        }
    });
    for (name, took) in [("alone", &mut alone), ("among exchanges", &mut busy)] {
        println!("  a change {name}: median {:?}, longest {:?}", percentile(took, 50), percentile(took, 100));
    }
    for (name, latencies) in [("before", &mut calm), ("during the changes", &mut during)] {
        let [median, high, most] = [50, 99, 100].map(|percent| percentile(latencies, percent));
        println!("  exchanges {name}: {} of median {median:?}, p99 {high:?}, longest {most:?}", latencies.len());
    }
    println!("  {:.0} MB resident afterwards", resident_mb(server));
}

/// When `second` has in force what `first` has answered.
fn follow(first: &Server, second: &Server) {
    let mut lags: Vec<Duration> = (0..WRITES)
        .map(|number| {
            let text = format!("followed {number}");
            write(first, number, &text);
            let began = Instant::now();
            let target = format!("/admin/v1/service-accounts/a{number}");
            while second.send_admin(Request::get(&target)).json()["spec"]["display_name"] != text.as_str() {
                std::thread::sleep(Duration::from_millis(5));
            }
            began.elapsed()
        })
        .collect();
    println!(
        "  in force at the second: median {:?}, longest {:?}",
        percentile(&mut lags, 50),
        percentile(&mut lags, 100)
    );
}

fn resident_mb(server: &Server) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
