//! What a caller learns from the time of a refusal when it chooses the phase: it sends all but the last byte, waits, and measures
//! from the last byte to the answer. The medians of all causes may differ by 2 %, whatever the phase and the size of the account.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a bench measures real time, prints it, and fails by panicking"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sts_testkit::{Algorithm, Config, Forge, Key, Server, Sts, now};

const STS: Sts = Sts(env!("CARGO_BIN_EXE_sts"));
const ISSUER: &str = "https://issuer.example";
/// Requests for each cause and phase.
const COUNT: usize = 60;
/// How long the last byte is held back, in milliseconds.
const PHASES: [u64; 5] = [0, 1, 2, 3, 4];
/// The most that medians may differ by.
const MEDIANS: f64 = 0.02;
/// How often that may be missed on a machine that does something else at the same time.
const ATTEMPTS: usize = 5;
/// Accounts by their number of identities; none of them matches.
const ACCOUNTS: [(&str, usize); 3] = [("one", 1), ("sixty", 60), ("many", 10_000)];

fn main() {
    let key = Key::new(Algorithm::ES256, "k");
    let server = Server::start(STS, &config(&key));
    let met = (0..ATTEMPTS).any(|_| measure(&server, &key) <= MEDIANS);
    assert!(met, "the medians of causes differ by more than 2 % each time");
}

fn config(key: &Key) -> Config {
    let identities = |name: &str, count: usize| -> Value {
        (0..count)
            .map(|at| json!({ "name": format!("i{at}"), "issuer": "ci", "subject": format!("job:{name}:{at}:*") }))
            .collect()
    };
    let account = |name: &str, count| json!({ "grants": { "deploy": [] }, "identities": identities(name, count) });
    let mut off = account("off", 1);
    off["enabled"] = false.into();
    let config = Config::new()
        .with("limits", json!({ "failures_per_second": 0 }))
        .with("issuers/ci", json!({ "issuer": ISSUER, "jwks": Key::set(&[key]) }))
        .with("apis/deploy", json!({ "audience": "https://deploy.example.com" }))
        .with("service_accounts/off", off);
    ACCOUNTS
        .iter()
        .fold(config, |config, (name, count)| config.with(&format!("service_accounts/{name}"), account(name, *count)))
}

/// By how much the medians differ.
fn measure(server: &Server, key: &Key) -> f64 {
    let claims =
        json!({ "iss": ISSUER, "sub": "job:stranger", "aud": Config::ISSUER, "iat": now() - 5, "exp": now() + 600 });
    let token = Forge::new(key, &claims).sign();
    let causes = ["nobody", "off", "one", "sixty", "many"];
    let requests: Vec<Vec<u8>> = causes.iter().map(|account| request(&token, account)).collect();
    let mut connection = TcpStream::connect(server.public()).unwrap();
    connection.set_nodelay(true).unwrap();
    let mut times = vec![vec![Vec::with_capacity(COUNT); PHASES.len()]; causes.len()];
    for round in 0..COUNT {
        for (phase, held) in PHASES.into_iter().enumerate() {
            for turn in 0..causes.len() {
                let cause = (round + turn) % causes.len();
                times[cause][phase].push(time(&mut connection, &requests[cause], Duration::from_millis(held)));
            }
        }
    }
    let mut worst: f64 = 0.0;
    println!("| the last byte held back | {} | differ by |", causes.join(" | "));
    for (phase, held) in PHASES.into_iter().enumerate() {
        let medians: Vec<f64> = times.iter_mut().map(|of| median(&mut of[phase])).collect();
        let (least, most) =
            (medians.iter().copied().fold(f64::MAX, f64::min), medians.iter().copied().fold(0.0, f64::max));
        worst = worst.max(most / least - 1.0);
        let shown: Vec<String> = medians.iter().map(|median| format!("{:.3} ms", median * 1000.0)).collect();
        println!("| {held} ms | {} | {:.2} % |", shown.join(" | "), (most / least - 1.0) * 100.0);
    }
    worst
}

fn request(token: &str, account: &str) -> Vec<u8> {
    let body = sts_testkit::form(&[
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("subject_token", token),
        ("audience", account),
    ]);
    format!(
        "POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// From the last byte of the request to the first of the answer.
fn time(connection: &mut TcpStream, request: &[u8], held: Duration) -> f64 {
    let (last, rest) = request.split_last().unwrap();
    connection.write_all(rest).unwrap();
    std::thread::sleep(held);
    let began = Instant::now();
    connection.write_all(&[*last]).unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    let count = connection.read(&mut buffer).unwrap();
    let took = began.elapsed().as_secs_f64();
    answer.extend_from_slice(&buffer[..count]);
    while !answer.ends_with(b"}") {
        let count = connection.read(&mut buffer).unwrap();
        answer.extend_from_slice(&buffer[..count]);
    }
    assert!(String::from_utf8_lossy(&answer).contains("not_authorized"), "{}", String::from_utf8_lossy(&answer));
    took
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}
