//! Load by wrk, on the cores that the server does not have; what it saw, and what it cost the server.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use sts_testkit::basic;

use crate::process::{OTHER_CORES, Process, Ticks};
use crate::world::{SECRET, text};

/// What is sent.
#[derive(Clone)]
pub(crate) struct Load {
    /// `/token`, `/introspect`, ...
    pub(crate) path: &'static str,
    /// One body a line; none for a GET.
    pub(crate) bodies: Option<PathBuf>,
    pub(crate) connections: usize,
    pub(crate) seconds: u64,
    /// The share of what the server answers a second just before, at whose pace requests are sent; as many as are answered when there
    /// is none.
    pub(crate) pace: Option<f64>,
    /// Whether the answers must be granted, or must be refused.
    pub(crate) granted: bool,
    /// Whether each request is sent over a new TLS connection.
    pub(crate) new_connections: bool,
    /// The cores of the load generator.
    pub(crate) cores: &'static str,
}

impl Load {
    pub(crate) fn exchanges(bodies: PathBuf) -> Self {
        Self {
            path: "/token",
            bodies: Some(bodies),
            connections: 64,
            seconds: 1,
            pace: None,
            granted: true,
            new_connections: false,
            cores: OTHER_CORES,
        }
    }
}

/// What wrk tells at its end.
#[derive(Clone, Debug, Deserialize)]
struct Told {
    requests: f64,
    requests_per_s: f64,
    errors: Errors,
    latency_us: Latency,
}

#[derive(Clone, Debug, Deserialize)]
struct Errors {
    status: f64,
    connect: f64,
    read: f64,
    write: f64,
    timeout: f64,
}

#[derive(Clone, Debug, Deserialize)]
struct Latency {
    p50: f64,
    p99: f64,
    p999: f64,
}

/// What one run came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Microseconds of the server's processor time for a request.
    pub(crate) cpu_us: f64,
    /// The share of it that was spent in the kernel.
    pub(crate) in_kernel: f64,
    pub(crate) per_second: f64,
    /// Latencies in microseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) requests: f64,
}

/// Loads the server.
pub(crate) fn run(process: &Process, load: &Load) -> Run {
    let rate = load.pace.map(|share| share * run(process, &Load { pace: None, ..load.clone() }).per_second);
    process.forget_log();
    let (before, ticks_before) = (process.cpu_nanos(), process.ticks());
    let told = wrk(process, load, rate);
    let (cpu, ticks) = (process.cpu_nanos() - before, process.ticks());
    let Ticks { user, system } =
        Ticks { user: ticks.user - ticks_before.user, system: ticks.system - ticks_before.system };
    let Errors { status: refused, connect, read, write, timeout } = told.errors;
    assert!(connect + read + write + timeout == 0.0, "{}: {told:?}", load.path);
    let as_expected = if load.granted { refused == 0.0 } else { refused >= told.requests };
    assert!(as_expected, "{} {:?}: {told:?}", load.path, load.bodies);
    Run {
        cpu_us: cpu as f64 / 1000.0 / told.requests,
        in_kernel: system / (user + system).max(1.0),
        per_second: told.requests_per_s,
        p50: told.latency_us.p50,
        p99: told.latency_us.p99,
        p999: told.latency_us.p999,
        requests: told.requests,
    }
}

fn wrk(process: &Process, load: &Load, rate: Option<f64>) -> Told {
    let mut command = Command::new("taskset");
    command.args(["-c", load.cores, "wrk", "--threads", "1", "--latency"]);
    command.args(["--connections", &load.connections.to_string(), "--duration", &format!("{}s", load.seconds)]);
    command.args(["--timeout", "10s", "--script"]);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/benches/load/exchange.lua"));
    let scheme = if load.new_connections { "https" } else { "http" };
    command.arg(format!("{scheme}://{}{}", process.public, load.path));
    if load.new_connections {
        command.env("CONNECTION", "close");
    }
    if let Some(bodies) = &load.bodies {
        command.env("BODIES", text(bodies));
    }
    if load.path == "/introspect" {
        command.env("AUTHORIZATION", format!("Basic {}", basic("deploy", SECRET)));
    }
    if let Some(rate) = rate {
        command.env("RATE", rate.to_string());
    }
    let output = command.output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let line = printed.lines().find(|line| line.starts_with('{'));
    let line = line.unwrap_or_else(|| panic!("wrk: {printed}{}", String::from_utf8_lossy(&output.stderr)));
    serde_json::from_str(line).unwrap()
}

impl Run {
    /// How much longer the slowest in a hundred take than most.
    pub(crate) fn tail(&self) -> f64 {
        self.p99 / self.p50
    }
}

/// The one in the middle, by what `key` tells of it.
pub(crate) fn median<T: Copy>(all: &[T], key: impl Fn(&T) -> f64) -> T {
    let mut all = all.to_vec();
    all.sort_by(|a, b| key(a).total_cmp(&key(b)));
    all[all.len() / 2]
}
