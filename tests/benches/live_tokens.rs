//! So many live tokens in each store: what they take, and what it takes to list an account's, to revoke by a rule, and to look at all
//! of them for the status lists; with an issue and a look-up alone, and beside such a look.
//!
//! `cargo bench -p sts-store-redis --bench live_tokens` prints a table. `STS_LIVE_TOKENS` is how many, `STS_LIVE_TOKENS_REDIS` how many in
//! Redis where memory is short. What came of millions is in LIVE_TOKENS.md.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark measures real time, prints what it found, and ends when it fails"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sts_store::contract::{AlertLog, ManualClock, START, TestSeal, record, revocation, rule};
use sts_store::{Entry, Ledger, Listing, Revocation, TokenRecord};
use sts_store_embedded::EmbeddedLedger;
use sts_store_redis::{Node, RedisLedger, RedisParts, RedisSpec, ShardCount, Topology};
use sts_testkit::RedisServer;
use sts_types::{AccountId, Jti, Seal};
use tokio::runtime::Runtime;

/// Accounts that have the tokens, as many each.
const ACCOUNTS: u64 = 1000;
/// Issues that are under way at once while the store is filled.
const FILLING: u64 = 2000;
/// Seconds that a token lives.
const LIFE: u64 = 900;
/// One of so many tokens is dead when the store is swept.
const DEAD: u64 = 100;
/// How often what is quick is measured.
const SAMPLES: u64 = 200;

fn main() {
    let many = |name: &str| std::env::var(name).ok().and_then(|count| count.parse::<u64>().ok());
    let tokens = many("STS_LIVE_TOKENS").unwrap_or(100_000);
    let in_redis = many("STS_LIVE_TOKENS_REDIS").unwrap_or(tokens);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let columns = [
        if tokens > 0 { embedded(&runtime, &directory, tokens) } else { Rows::default() },
        if in_redis > 0 { redis(&runtime, &directory, in_redis) } else { Rows::default() },
    ];
    println!("\n| | embedded | Redis |\n|---|---|---|");
    let rows = columns.iter().map(|column| column.0.len()).max().unwrap_or(0);
    for at in 0..rows {
        let cell = |column: &Rows| column.0.get(at).map_or_else(|| "-".to_owned(), |(_, value)| value.clone());
        let name = columns.iter().find_map(|column| column.0.get(at)).map_or("", |(name, _)| name);
        let [embedded, redis] = columns.each_ref().map(cell);
        println!("| {name} | {embedded} | {redis} |");
    }
}

/// What was measured so far; each is told on standard error at once, for a run of many minutes.
#[derive(Default)]
struct Rows(Vec<(&'static str, String)>);

impl Rows {
    fn push(&mut self, (name, value): (&'static str, String)) {
        eprintln!("{name}: {value}");
        self.0.push((name, value));
    }
}

fn embedded(runtime: &Runtime, directory: &tempfile::TempDir, tokens: u64) -> Rows {
    let path = directory.path().join("ledger.redb");
    let open = || {
        let clock = Arc::new(ManualClock::default());
        EmbeddedLedger::open(&path, Arc::new(TestSeal(1)), clock, Arc::new(AlertLog::default())).unwrap()
    };
    let before = resident();
    let ledger = open();
    let filled = runtime.block_on(fill(&ledger, tokens));
    let memory = resident().saturating_sub(before);
    let size = std::fs::metadata(&path).unwrap().len();
    let told = format!("{}, and a file of {}", each(memory, tokens), each(size, tokens));
    let mut rows = measure(runtime, &ledger, tokens, filled, told);
    drop(ledger);
    let (took, ledger) = timed(open);
    drop(ledger);
    rows.push(("opening it again", shown(took)));
    std::fs::remove_file(&path).unwrap();
    rows
}

fn redis(runtime: &Runtime, directory: &tempfile::TempDir, tokens: u64) -> Rows {
    let server = RedisServer::start();
    let spec = RedisSpec {
        topology: Topology::Single(Node { host: "127.0.0.1".to_owned(), port: server.port() }),
        database: 0,
        tls: None,
        username: None,
        password_file: None,
        prefix: "sts:".to_owned(),
        timeout: Duration::from_secs(20),
        wait_replicas: 0,
        shards: ShardCount::ONE,
    };
    let parts = RedisParts {
        seal: Arc::new(TestSeal(1)),
        clock: Arc::new(ManualClock::default()),
        entropy: Arc::new(Zeros),
        alerts: Arc::new(AlertLog::default()),
        runtime: runtime.handle().clone(),
        watermark: directory.path().join("mark.json"),
    };
    let ledger = RedisLedger::open(spec, parts).unwrap();
    let used = || -> u64 {
        let info = server.command(&["INFO", "memory"]);
        let line = info.text().lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().trim().to_owned();
        line.parse().unwrap()
    };
    let before = used();
    let filled = runtime.block_on(fill(&ledger, tokens));
    let told = format!("{} in Redis", each(used() - before, tokens));
    measure(runtime, &ledger, tokens, filled, told)
}

/// Every measure, in the order of the table.
fn measure<L: Ledger>(runtime: &Runtime, ledger: &L, tokens: u64, filled: Duration, memory: String) -> Rows {
    let issued = AtomicU64::new(tokens);
    let issue = async || {
        let number = issued.fetch_add(1, Ordering::Relaxed);
        ledger.issue(token(number, tokens), vec![]).await.unwrap();
    };
    let look_up = async || {
        let jti = jti(issued.load(Ordering::Relaxed) / 2);
        let (entry, rules) = futures_util::future::join(ledger.look_up(jti), ledger.rules()).await;
        assert!(entry.unwrap().is_some() && rules.is_ok());
    };
    let page = async |account: Option<u64>, after: Option<u64>| {
        let account = account.map(account_id);
        let page = ledger.list(Listing { account, after: after.map(jti), limit: 100 }).await.unwrap();
        assert_eq!(page.len(), 100);
    };
    let each_account = |number: u64| number * 7919 % ACCOUNTS;
    let mut rows = Rows::default();
    rows.push(("tokens", grouped(tokens)));
    rows.push(("memory", memory));
    rows.push(("filling it", shown(filled)));
    runtime.block_on(async {
        rows.push(("a page of 100 of one account", samples(async |n| page(Some(each_account(n)), None).await).await));
        rows.push(("the first page of 100 of all", samples(async |_| page(None, None).await).await));
        rows.push(("a page of 100 in the midst of all", samples(async |_| page(None, Some(tokens / 2)).await).await));
        rows.push(("an issue", samples(async |_| issue().await).await));
        rows.push(("a look-up, with the rules", samples(async |_| look_up().await).await));

        let by_rule = async |n: u64| {
            ledger.last_end().await.unwrap();
            let of_account = rule(&format!("account-{}", each_account(n)), START.plus(1000));
            ledger.revoke(Revocation { before: Some(START.plus(1)), ..of_account }).await.unwrap();
        };
        rows.push(("revoking an account's tokens by a rule", samples_of(20, by_rule).await));
        let alone = async |n: u64| drop(ledger.revoke(revocation(jti(n).as_str(), "leaked")).await.unwrap());
        rows.push(("revoking one token", samples_of(20, alone).await));
        rows.push(("an issue, with 20 rules in force", samples(async |_| issue().await).await));
        rows.push(("a look-up, with 20 rules in force", samples(async |_| look_up().await).await));

        let began = Instant::now();
        let looked = scan(ledger, Some(account_id(7))).await;
        rows.push((
            "looking at all tokens of one account",
            format!("{} for {}", shown(began.elapsed()), grouped(looked)),
        ));
        let began = Instant::now();
        let (done, mut beside_issue, mut beside_look_up) = (AtomicBool::new(false), Vec::new(), Vec::new());
        let beside = async {
            while !done.load(Ordering::Relaxed) {
                beside_issue.push(took(&issue).await);
                beside_look_up.push(took(&look_up).await);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let all = async {
            let looked = scan(ledger, None).await;
            done.store(true, Ordering::Relaxed);
            looked
        };
        let (looked, ()) = futures_util::future::join(all, beside).await;
        rows.push((
            "looking at all tokens, as for the status lists",
            format!("{} for {}", shown(began.elapsed()), grouped(looked)),
        ));
        rows.push(("an issue beside that", quantiles(beside_issue)));
        rows.push(("a look-up beside that", quantiles(beside_look_up)));

        let began = Instant::now();
        let swept = ledger.sweep(START.plus(100)).await.unwrap();
        rows.push((
            "sweeping what is dead",
            format!("{} for {}", shown(began.elapsed()), grouped(u64::try_from(swept).unwrap())),
        ));
    });
    rows
}

/// Every live record once, in pages as the service asks for them.
async fn scan<L: Ledger>(ledger: &L, account: Option<AccountId>) -> u64 {
    let (mut after, mut looked) = (None, 0);
    loop {
        let page = ledger.list(Listing { account: account.clone(), after, limit: 1000 }).await.unwrap();
        looked += u64::try_from(page.len()).unwrap();
        match page.into_iter().next_back() {
            Some(Entry { record, .. }) => after = Some(record.jti),
            None => return looked,
        }
    }
}

async fn fill<L: Ledger>(ledger: &L, tokens: u64) -> Duration {
    let began = Instant::now();
    for first in (0..tokens).step_by(usize::try_from(FILLING).unwrap()) {
        let some = first..tokens.min(first + FILLING);
        let issued = join_all(some.map(|number| ledger.issue(token(number, tokens), vec![]))).await;
        assert!(issued.iter().all(Result::is_ok));
        if first % 1_000_000 == 0 {
            eprintln!("{first} of {tokens} after {:?}", began.elapsed());
        }
    }
    began.elapsed()
}

/// The token of that number: all were minted one after the other within a quarter of an hour, which is how long they live.
fn token(number: u64, tokens: u64) -> TokenRecord {
    let jti = jti(number);
    let millis = number.min(tokens) * LIFE * 1000 / tokens;
    let life = if number.is_multiple_of(DEAD) && number < tokens { 30 } else { LIFE.cast_signed() };
    TokenRecord {
        status_index: Some(number),
        iat: START.plus((millis / 1000).cast_signed() - LIFE.cast_signed()),
        iat_millis: u16::try_from(millis % 1000).unwrap(),
        exp: START.plus(life),
        ..record(jti.as_str(), account_id(number % ACCOUNTS).as_str())
    }
}

fn account_id(number: u64) -> AccountId {
    AccountId::new(&format!("account-{number}")).unwrap()
}

/// As random as ours, and the same in every run.
fn jti(number: u64) -> Jti {
    let code = TestSeal(0).seal(&[&number.to_be_bytes()]);
    Jti::new(&code.iter().take(14).map(|byte| format!("{byte:02x}")).collect::<String>()).unwrap()
}

struct Zeros;

impl sts_types::Entropy for Zeros {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

async fn took(work: &impl AsyncFn()) -> Duration {
    let began = Instant::now();
    work().await;
    began.elapsed()
}

async fn samples(work: impl AsyncFn(u64)) -> String {
    samples_of(SAMPLES, work).await
}

async fn samples_of(count: u64, work: impl AsyncFn(u64)) -> String {
    let mut times = Vec::new();
    for number in 0..count {
        times.push(took(&async || work(number).await).await);
    }
    quantiles(times)
}

/// Median and the 99th of a hundred.
fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: usize| times.get(times.len().saturating_sub(1) * share / 100).copied().unwrap_or_default();
    format!("{} (99 %: {})", shown(at(50)), shown(at(99)))
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let began = Instant::now();
    let outcome = work();
    (began.elapsed(), outcome)
}

fn shown(time: Duration) -> String {
    match time.as_micros() {
        0..10_000 => format!("{} us", time.as_micros()),
        10_000..10_000_000 => format!("{} ms", time.as_millis()),
        _ => format!("{} s", time.as_secs()),
    }
}

fn each(bytes: u64, tokens: u64) -> String {
    format!("{} MiB ({} bytes each)", grouped(bytes >> 20), grouped(bytes / tokens))
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

/// What this process has in memory, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}
