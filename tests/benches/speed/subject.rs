//! What is measured beside what: servers, each with a load, in turn.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use sts_testkit::{Config, Key, RedisCluster, RedisServer, Site, basic, free_address};

use crate::bare::Bare;
use crate::instructions;
use crate::load::{self, Load, Run};
use crate::process::{OTHER_CORES, Process, SERVER_CORE, SHARED_CORES};
use crate::world::{IDENTITIES_OF_AN_ACCOUNT, ISSUER, SECRET, World, site, text};

/// Where the server keeps its records.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    None,
    Embedded,
    Redis,
    /// A Cluster of three nodes, with as many shards as it has by default.
    RedisCluster,
}

/// A server that can be started.
pub(crate) enum Subject {
    Bare {
        bare: Bare,
        jwk: String,
        directory: PathBuf,
        /// None or one.
        redis: Vec<RedisServer>,
    },
    Sts {
        store: Store,
        site: Box<Site>,
        /// The nodes, of which a Cluster has several.
        redis: Vec<RedisServer>,
    },
    Peer {
        run: PathBuf,
        directory: PathBuf,
        keys: PathBuf,
    },
    /// nginx that answers 200 over TLS.
    Nginx {
        directory: PathBuf,
    },
}

/// What a server must be told before it is called over TLS.
pub(crate) fn with_tls(config: Config) -> Config {
    config.with("tls", serde_json::json!({ "cert_file": "tls.crt", "key_file": "tls.key" }))
}

impl Subject {
    pub(crate) fn bare(world: &World, bare: Bare) -> Self {
        let redis = (bare == Bare::Redis).then(redis).into_iter().collect();
        Self::Bare { bare, jwk: world.key.jwk().to_string(), directory: world.directory.path().to_owned(), redis }
    }

    pub(crate) fn nginx(world: &World) -> Self {
        let directory = world.path("nginx");
        std::fs::create_dir_all(&directory).unwrap();
        certificate(&directory);
        Self::Nginx { directory }
    }

    /// The built binary on that configuration, with so many identities, ten of an account.
    pub(crate) fn sts(store: Store, config: Config, identities: u32) -> Self {
        let others = identities.div_ceil(IDENTITIES_OF_AN_ACCOUNT).saturating_sub(1);
        Self::sts_with(store, config, others, IDENTITIES_OF_AN_ACCOUNT)
    }

    /// The same with so many accounts, of so many identities each, beside the one that the tokens are for.
    pub(crate) fn sts_with(store: Store, config: Config, accounts: u32, identities: u32) -> Self {
        let redis = match store {
            Store::None | Store::Embedded => Vec::new(),
            Store::Redis => vec![redis()],
            Store::RedisCluster => RedisCluster::start().nodes,
        };
        let config = match redis.as_slice() {
            [] => config,
            // A deadline would end what runs under callgrind.
            [redis] => config.with("store", serde_json::json!({ "url": redis.url(), "timeout": "10s" })),
            [node, ..] => {
                config.with("store", serde_json::json!({ "url": format!("redis-cluster://{}", node.address()) }))
            }
        };
        let site = site(&config, accounts as usize, identities as usize);
        certificate(site.root());
        Self::Sts { store, site: Box::new(site), redis }
    }

    /// Another server of the same kind; what it needs is installed once.
    pub(crate) fn peer(world: &World, name: &str) -> Self {
        let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/benches/peers").join(name).join("run");
        let cache = crate::option("XDG_CACHE_HOME")
            .map_or_else(|| PathBuf::from(crate::option("HOME").unwrap()).join(".cache"), PathBuf::from);
        let directory = cache.join("sts-ci/peers").join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let keys = world.path("issuer.jwks.json");
        std::fs::write(&keys, Key::set(&[&world.key]).to_string()).unwrap();
        Self::Peer { run, directory, keys }
    }

    /// Starts it on the core of its own.
    pub(crate) fn start(&self) -> Process {
        self.start_on(Cores::OWN)
    }

    /// Starts it on those cores.
    fn start_on(&self, cores: Cores) -> Process {
        for redis in self.redis() {
            keep_on(redis, cores.others);
        }
        let process = self.start_by(&["taskset", "-c", cores.at_start]);
        if cores.later != cores.at_start {
            process.keep_on(cores.later);
        }
        process
    }

    /// Starts it behind a command.
    pub(crate) fn start_by(&self, prefix: &[&str]) -> Process {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let log = std::env::temp_dir().join(format!(
            "sts-speed-{}-{}.log",
            std::process::id(),
            STARTED.fetch_add(1, Ordering::Relaxed)
        ));
        let this = std::env::current_exe().unwrap();
        match self {
            Self::Bare { bare, jwk, directory, redis } => {
                let url = redis.first().map(RedisServer::url);
                let command = [text(&this), "--bare", bare.name(), jwk].into_iter().chain(url.as_deref());
                Process::start_by(prefix, &command.collect::<Vec<_>>(), directory, &log)
            }
            Self::Nginx { directory } => {
                let address = free_address().to_string();
                std::fs::write(directory.join("nginx.conf"), nginx_conf(&address)).unwrap();
                let command = "nginx -p . -c nginx.conf -e stderr & until curl -skf https://\"$0\" >/dev/null; do :; done; echo ready; wait";
                let path = format!("{}:/usr/sbin", crate::option("PATH").unwrap());
                let environment = [("PATH", path.as_str())];
                Process::start_on(&address, prefix, &["sh", "-c", command, &address], directory, &environment, &log)
            }
            Self::Sts { store: Store::None, site, .. } => {
                Process::start_by(prefix, &[text(&this), "--no-store", "sts.yaml"], site.root(), &log)
            }
            Self::Peer { run, directory, keys } => {
                let port = free_address().port().to_string();
                let environment = [
                    ("PEER_DIR", text(directory)),
                    ("PORT", port.as_str()),
                    ("ISSUER", ISSUER),
                    ("AUDIENCE", Config::ISSUER),
                    ("JWKS_FILE", text(keys)),
                ];
                Process::start_on(&format!("127.0.0.1:{port}"), prefix, &[text(run)], directory, &environment, &log)
            }
            Self::Sts { site, .. } => {
                let built = crate::option("SERVER").unwrap_or_else(|| env!("CARGO_BIN_EXE_sts").to_owned());
                Process::start_by(prefix, &[&built, "serve", "--config", "sts.yaml"], site.root(), &log)
            }
        }
    }

    /// The Redis that it uses: the nodes of it, or none.
    pub(crate) fn redis(&self) -> &[RedisServer] {
        match self {
            Self::Sts { redis, .. } | Self::Bare { redis, .. } => redis,
            Self::Peer { .. } | Self::Nginx { .. } => &[],
        }
    }

    /// The size of the embedded store's file.
    pub(crate) fn stored_bytes(&self) -> Option<u64> {
        match self {
            Self::Sts { site, .. } => std::fs::metadata(site.path("data/sts.redb")).ok().map(|file| file.len()),
            Self::Bare { .. } | Self::Peer { .. } | Self::Nginx { .. } => None,
        }
    }
}

/// A Redis that keeps what it is given.
fn redis() -> RedisServer {
    RedisServer::with("appendonly yes\nappendfsync everysec\n")
}

/// A certificate for loopback and its key, as `tls.crt` and `tls.key`.
fn certificate(directory: &Path) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let names = ["localhost".to_owned(), "sts.example.com".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    let path = directory.join("tls.key");
    std::fs::write(&path, key.serialize_pem()).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    std::fs::write(directory.join("tls.crt"), made.pem()).unwrap();
}

/// As many workers as cores, no logs, and no session taken up again.
fn nginx_conf(address: &str) -> String {
    format!(
        "daemon off;\npid nginx.pid;\nworker_processes auto;\nevents {{}}\nhttp {{\n access_log off;\n client_body_temp_path body;\n \
         server {{\n  listen {address} ssl;\n  ssl_certificate tls.crt;\n  ssl_certificate_key tls.key;\n  ssl_session_cache off;\n  \
         ssl_session_tickets off;\n  location / {{ return 200; }}\n }}\n}}\n"
    )
}

/// Keeps Redis on these cores.
fn keep_on(redis: &RedisServer, cores: &str) {
    let info = redis.command(&["INFO", "server"]);
    let pid = info.text().lines().find_map(|line| line.strip_prefix("process_id:")).unwrap().trim().to_owned();
    let done = Command::new("taskset").args(["-acp", cores, &pid]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// The cores of a server. It has as many workers as cores when it starts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cores {
    pub(crate) at_start: &'static str,
    pub(crate) later: &'static str,
    /// Those of its Redis and of the load generator.
    pub(crate) others: &'static str,
}

impl Cores {
    pub(crate) const OWN: Self = Self { at_start: SERVER_CORE, later: SERVER_CORE, others: OTHER_CORES };
    /// Server, Redis and load generator on the same two.
    pub(crate) const SHARED: Self = Self { at_start: SHARED_CORES, later: SHARED_CORES, others: SHARED_CORES };
}

/// One line of a table.
pub(crate) struct Row<'a> {
    pub(crate) name: String,
    pub(crate) subject: &'a Subject,
    pub(crate) load: Load,
    pub(crate) cores: Cores,
    /// Whether instructions are counted too.
    pub(crate) counted: bool,
    /// Whether system calls are counted too.
    pub(crate) traced: bool,
    /// The status of every answer.
    pub(crate) status: u16,
}

impl<'a> Row<'a> {
    pub(crate) fn new(name: impl Into<String>, subject: &'a Subject, load: Load) -> Self {
        Self { name: name.into(), subject, load, cores: Cores::OWN, counted: true, traced: false, status: 200 }
    }

    pub(crate) fn not_counted(self) -> Self {
        Self { counted: false, ..self }
    }

    /// One whose server has other cores.
    pub(crate) fn on(self, cores: Cores) -> Self {
        let load = Load { cores: cores.others, ..self.load };
        Self { cores, load, ..self }.not_counted()
    }

    pub(crate) fn traced(self) -> Self {
        Self { traced: true, ..self }
    }

    /// One whose answers are refusals.
    pub(crate) fn refused(self) -> Self {
        let load = Load { granted: false, ..self.load };
        Self { status: 400, load, ..self }
    }
}

/// What a row came to.
pub(crate) struct Measured {
    pub(crate) name: String,
    /// The round in the middle.
    pub(crate) run: Run,
    /// All rounds.
    pub(crate) runs: Vec<Run>,
    pub(crate) instructions: Option<f64>,
    /// System calls for a request.
    pub(crate) system_calls: Option<f64>,
}

impl Measured {
    /// How much more processor time a request takes than one of `base`: the ratio in the middle of those of the rounds, in each of which
    /// both were loaded one after the other.
    pub(crate) fn times_cpu_of(&self, base: &Self) -> f64 {
        let ratios: Vec<f64> = self.runs.iter().zip(&base.runs).map(|(own, base)| own.cpu_us / base.cpu_us).collect();
        load::median(&ratios, |ratio| *ratio)
    }
}

/// Loads all rows in turn, in many short rounds: a machine that others use changes its speed every few seconds.
pub(crate) fn measure(rows: &[Row<'_>]) -> Vec<Measured> {
    let rounds = crate::option("ROUNDS").map_or(9, |rounds| rounds.parse().unwrap());
    let seconds = crate::option("SECONDS").map(|seconds| seconds.parse().unwrap());
    // Rows of one subject on the same cores are of one process.
    let mut processes: Vec<(&Row<'_>, Process)> = Vec::new();
    let same = |a: &Row<'_>, b: &Row<'_>| std::ptr::eq(a.subject, b.subject) && a.cores == b.cores;
    for row in rows {
        if !processes.iter().any(|(other, _)| same(other, row)) {
            processes.push((row, row.subject.start_on(row.cores)));
        }
    }
    let mut runs: Vec<Vec<Run>> = rows.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (row, runs) in rows.iter().zip(&mut runs) {
            let (_, process) = processes.iter().find(|(other, _)| same(other, row)).unwrap();
            let load = Load { seconds: seconds.unwrap_or(row.load.seconds), ..row.load.clone() };
            runs.push(load::run(process, &load));
        }
    }
    let calls: Vec<_> = rows
        .iter()
        .map(|row| {
            let (_, process) = processes.iter().find(|(other, _)| same(other, row))?;
            let (calls, run) = row.traced.then(|| process.system_calls(|| load::run(process, &row.load)))?;
            Some(calls / run.requests)
        })
        .collect();
    drop(processes);
    rows.iter()
        .zip(runs)
        .zip(calls)
        .map(|((row, runs), system_calls)| Measured {
            name: row.name.clone(),
            run: load::median(&runs, if row.load.pace.is_some() { Run::tail } else { |run: &Run| run.cpu_us }),
            runs,
            instructions: row.counted.then(|| count(row)),
            system_calls,
        })
        .collect()
}

fn count(row: &Row<'_>) -> f64 {
    let authorization = (row.load.path == "/introspect").then(|| format!("Basic {}", basic("deploy", SECRET)));
    let bodies = row.load.bodies.as_ref().unwrap();
    let start = |prefix: &[&str]| row.subject.start_by(prefix);
    instructions::of(start, row.load.path, bodies, authorization.as_deref(), row.status)
}
