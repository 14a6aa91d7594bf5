//! How long the console's pages take with 10,000 managed accounts and 100,000 live tokens. A page should answer within 50 ms.
//!
//! `cargo bench -p sts --bench console` prints a table for each store. Figures to look at, not assertions.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bench measures real time, prints it, and has nobody to report a failure to"
)]

mod connection;

use std::time::{Duration, Instant};

use connection::{Connection, percentile};
use serde_json::{Value, json};
use sts_testkit::{Algorithm, Config, Forge, Key, RedisServer, Request, Server, Site, Sts, WebClient, now};

const STS: Sts = Sts(env!("CARGO_BIN_EXE_sts"));
const ISSUER: &str = "https://token.actions.githubusercontent.com";
const ACCOUNTS: usize = 10_000;
const TOKENS: usize = 100_000;
/// Accounts that the tokens belong to.
const HOLDERS: usize = 100;
const REFUSALS: usize = 2_000;
const SAMPLES: usize = 50;
/// Connections that fill the store.
const FILLING: usize = 16;

const PAGES: &[&str] = &[
    "/console/",
    "/console/service-accounts",
    "/console/service-accounts?q=a99",
    "/console/service-accounts/a7",
    "/console/service-accounts/a7/new-identity?issuer=github",
    "/console/teams",
    "/console/apis",
    "/console/issuers",
    "/console/issuers/github",
    "/console/tokens",
    "/console/tokens?account=a7",
    "/console/denials",
    "/console/audit",
    "/console/signing-keys",
];

fn main() {
    let key = Key::new(Algorithm::ES256, "known");
    let config = Config::new()
        .with("limits/failures_per_second", 0)
        .with("issuers/github", json!({ "issuer": ISSUER, "preset": "github-actions", "jwks": Key::set(&[&key]) }))
        .with("apis/deploy", json!({ "audience": "https://deploy.example.com", "scopes": ["read"] }))
        .with("teams/deployers", json!({ "grants": { "deploy": ["read"] } }));

    println!("embedded store");
    measure(&Server::start_in(STS, Site::with(&config)), &key);

    println!("Redis");
    let redis = RedisServer::with("maxmemory-policy noeviction");
    measure(&Server::start_in(STS, Site::with(&config.with("store", json!(redis.url())))), &key);
}

fn measure(server: &Server, key: &Key) {
    let began = Instant::now();
    let objects: Vec<Value> = (0..ACCOUNTS)
        .map(|number| json!({ "kind": "service-accounts", "name": format!("a{number}"), "spec": account(number) }))
        .collect();
    let applied = server.send_admin(Request::post_json("/admin/v1/apply", &json!({ "objects": objects })));
    assert_eq!(applied.status, 200, "{}", applied.text());
    exchange_all(server, key, "refs/heads/main", TOKENS, 200);
    exchange_all(server, key, "refs/heads/other", REFUSALS, 400);
    println!("  {ACCOUNTS} accounts, {TOKENS} live tokens, {REFUSALS} refusals in {:?}", began.elapsed());

    let mut person = WebClient::signed_in(server);
    for page in PAGES {
        let mut status = 0;
        let mut took: Vec<Duration> = (0..SAMPLES)
            .map(|_| {
                let began = Instant::now();
                status = person.get(page).status;
                began.elapsed()
            })
            .collect();
        let first = took[0];
        let [median, most] = [50, 100].map(|percent| percentile(&mut took, percent));
        println!("  {page}: {status}, median {median:?}, longest {most:?}, first {first:?}");
    }
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

/// Sends `count` exchanges of jobs on the branch `git_ref`, and expects that status of each.
fn exchange_all(server: &Server, key: &Key, git_ref: &str, count: usize, status: u16) {
    let tokens: Vec<String> = (0..HOLDERS).map(|number| token(key, number, git_ref)).collect();
    let share = count / FILLING;
    std::thread::scope(|scope| {
        for _ in 0..FILLING {
            scope.spawn(|| {
                let mut connection = Connection::to(server.public());
                for token in tokens.iter().cycle().take(share) {
                    assert_eq!(connection.exchange(token), status);
                }
            });
        }
    });
}

fn token(key: &Key, number: usize, git_ref: &str) -> String {
    let claims = json!({
        "iss": ISSUER, "aud": Config::ISSUER, "sub": format!("repo:octo-org/r{number}:ref:{git_ref}"), "jti": "j",
        "iat": now(), "exp": now() + 3600, "repository": format!("octo-org/r{number}"),
        "repository_id": number.to_string(), "repository_owner_id": "65", "repository_owner": "octo-org",
        "ref": git_ref, "event_name": "push",
    });
    Forge::new(key, &claims).sign()
}
