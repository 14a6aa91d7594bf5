//! Start to ready with keys present, and idle memory: the built binary, on a small configuration.
//!
//! `cargo bench -p sts --bench start` prints both. They are figures to look at, not assertions: machines are noisy.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bench measures real time, prints it, and has nobody to report a failure to"
)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const STARTS: usize = 20;

fn main() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = directory.path().join("sts.yaml");
    std::fs::write(&config, CONFIG).expect("a configuration");
    // The first start makes the keys.
    stop(start(&config).1);

    let mut times: Vec<Duration> = (0..STARTS)
        .map(|_| {
            let (time, server) = start(&config);
            stop(server);
            time
        })
        .collect();
    times.sort();
    let (_, server) = start(&config);
    let memory = resident_kib(server.id());
    stop(server);
    println!(
        "start to ready, keys present: median {:?}, slowest {:?} of {STARTS}",
        times[STARTS / 2],
        times[STARTS - 1]
    );
    println!("idle memory: {:.1} MB resident", memory as f64 / 1024.0);
}

/// Starts the server; answers the time until its log says that it is ready.
fn start(config: &Path) -> (Duration, Child) {
    let began = Instant::now();
    let mut server = Command::new(env!("CARGO_BIN_EXE_sts"))
        .args(["serve", "--config"])
        .arg(config)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server");
    let mut lines = BufReader::new(server.stderr.take().expect("its log")).lines();
    lines
        .find(|line| line.as_ref().is_ok_and(|line| line.contains("ready")))
        .expect("a server that is ready")
        .expect("a line");
    (began.elapsed(), server)
}

fn stop(mut server: Child) {
    server.kill().expect("a server to kill");
    server.wait().expect("a server that ended");
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process's status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its resident memory");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

const CONFIG: &str = r#"
issuer: https://sts.example.com
listen: 127.0.0.1:0
admin: { listen: "127.0.0.1:0" }
data_dir: data
signing: { algorithms: [ES256, RS256] }
issuers:
  github: { issuer: "https://token.actions.githubusercontent.com" }
apis:
  deploy: { audience: "https://deploy.example.com", scopes: ["deployments:create"] }
service_accounts:
  octo-deploy:
    grants: { deploy: ["deployments:create"] }
    identities:
      - { issuer: github, github: { repository_id: 74, repository_owner_id: 65 } }
"#;
