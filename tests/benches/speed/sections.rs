//! The tables, each of one question.

use std::path::PathBuf;

use serde_json::json;
use sts_testkit::{Algorithm, Key, RedisServer};

use crate::bare::Bare;
use crate::instructions::Connection;
use crate::load::{self, Load};
use crate::process::{OTHER_CORES, SERVER_CORE};
use crate::report::{Report, thousands, times, us};
use crate::subject::{Cores, Measured, Row, Store, Subject, measure, with_tls};
use crate::world::{IDENTITIES_OF_AN_ACCOUNT, World, access_token, introspection, with_issuers};

/// Measures, and writes its tables.
type Section = fn(&World, &mut Report);

/// Every section, by name, in order.
pub(crate) const ALL: [(&str, Section); 12] = [
    ("exchange", exchange),
    ("shared-cores", shared_cores),
    ("new-connections", new_connections),
    ("policy", policy),
    ("endpoints", endpoints),
    ("refusals", refusals),
    ("signing", signing),
    ("connections", connections),
    ("workers", workers),
    ("cluster", cluster),
    ("memory", memory),
    ("peers", peers),
];

/// Fresh tokens: more than any memory of verified ones holds.
const FRESH: usize = 30_000;

fn fresh(world: &World) -> PathBuf {
    world.exchanges("fresh", FRESH, &[], |number| world.token(number).sign())
}

fn named(world: &World) -> PathBuf {
    world.exchanges("named", FRESH, &[("audience", "octo-deploy")], |number| world.token(number).sign())
}

/// As a projected token that is presented again and again.
fn repeated(world: &World) -> PathBuf {
    world.exchanges("repeated", 50, &[("audience", "octo-deploy")], |number| world.token(FRESH + number).sign())
}

fn exchange(world: &World, report: &mut Report) {
    let (nothing, bare) = (Subject::bare(world, Bare::Nothing), Subject::bare(world, Bare::Crypto));
    let [none, embedded, redis] =
        [Store::None, Store::Embedded, Store::Redis].map(|store| Subject::sts(store, world.config(), 10));
    let (fresh, named, repeated) = (fresh(world), named(world), repeated(world));
    let of = |bodies: &PathBuf| Load::exchanges(bodies.clone());
    let rows = measure(&[
        Row::new("bare", &bare, of(&named)),
        Row::new("the stack alone, no cryptography", &nothing, of(&named)),
        Row::new("sts, no store", &none, of(&named)),
        Row::new("sts, embedded store", &embedded, of(&named)),
        Row::new("sts, Redis", &redis, of(&named)),
        Row::new("sts, Redis, account found by search", &redis, of(&fresh)),
        Row::new("sts, Redis, the same tokens again", &redis, of(&repeated)),
    ]);
    report.section(
        "One exchange",
        "64 connections. An exchange has its decision event written and its metrics counted; with a store its record is durable \
         (embedded) or acknowledged (Redis) before the answer.",
    );
    table(report, &rows);
}

/// Server, load generator and Redis share the cores, as in a small container.
fn shared_cores(world: &World, report: &mut Report) {
    let [bare, bare_redis] = [Bare::Crypto, Bare::Redis].map(|bare| Subject::bare(world, bare));
    let [none, embedded, redis] =
        [Store::None, Store::Embedded, Store::Redis].map(|store| Subject::sts(store, world.config(), 10));
    let subjects = [
        ("bare", &bare),
        ("bare, one value set in Redis", &bare_redis),
        ("sts, no store", &none),
        ("sts, embedded store", &embedded),
        ("sts, Redis", &redis),
    ];
    let load = Load { connections: 32, ..Load::exchanges(named(world)) };
    let rows = subjects.map(|(name, subject)| Row::new(name, subject, load.clone()).on(Cores::SHARED).traced());
    report.section(
        "On shared cores",
        "32 connections; server, load generator and Redis share two cores. System calls are the server's for a request, counted by strace \
         in another run, in which everything is slower.",
    );
    let measured = measure(&rows);
    let cells = measured.iter().map(|row| {
        let run = &row.run;
        vec![
            row.name.clone(),
            us(run.cpu_us * (1.0 - run.in_kernel)),
            us(run.cpu_us * run.in_kernel),
            times(row.times_cpu_of(&measured[0]), 1.0),
            row.system_calls.map_or(String::new(), |calls| times(calls, 1.0)),
            thousands(run.per_second),
            us(run.p50),
            us(run.p99),
        ]
    });
    let head = ["", "user time", "system time", "ratio of both", "system calls", "requests/s", "p50", "p99"];
    report.table(&head, &cells.collect::<Vec<_>>());

    let paced = subjects
        .map(|(name, subject)| Row::new(name, subject, Load { pace: Some(0.8), ..load.clone() }).on(Cores::SHARED));
    report.section(
        "On shared cores, at 80 % load",
        "The same, at 80 % of what the server answered in the seconds before.",
    );
    latencies(report, &measure(&paced));
}

/// A job calls once, over a connection that it makes for that.
fn new_connections(world: &World, report: &mut Report) {
    let nginx = Subject::nginx(world);
    let [none, redis] = [Store::None, Store::Redis].map(|store| Subject::sts(store, with_tls(world.config()), 10));
    let load = Load { connections: 32, new_connections: true, ..Load::exchanges(named(world)) };
    let rows = [("nginx, an empty answer", &nginx), ("sts, no store", &none), ("sts, Redis", &redis)]
        .map(|(name, subject)| Row::new(name, subject, load.clone()).on(Cores::SHARED).traced());
    report.section(
        "Over new TLS connections",
        "32 callers, each request over a TLS 1.3 connection of its own, by a certificate of ECDSA P-256; server, load generator and Redis \
         share two cores. Latencies begin when the connection is there.",
    );
    let measured = measure(&rows);
    let cells = measured.iter().map(|row| {
        let run = &row.run;
        vec![
            row.name.clone(),
            us(run.cpu_us),
            times(row.times_cpu_of(&measured[0]), 1.0),
            row.system_calls.map_or(String::new(), |calls| times(calls, 1.0)),
            thousands(run.per_second),
            us(run.p50),
            us(run.p99),
        ]
    });
    report.table(
        &["", "processor time", "ratio", "system calls", "requests/s", "p50", "p99"],
        &cells.collect::<Vec<_>>(),
    );
}

fn policy(world: &World, report: &mut Report) {
    let sizes = [10_u32, 1_000, 1_000_000].map(|size| (size, Subject::sts(Store::None, world.config(), size)));
    let issuers = Subject::sts(Store::None, with_issuers(world.config(), 50), 10);
    let (fresh, named) = (fresh(world), named(world));
    let of = |bodies: &PathBuf| Load::exchanges(bodies.clone());
    let mut rows = Vec::new();
    for (size, subject) in &sizes {
        rows.push(Row::new(format!("{} identities, account named", thousands(f64::from(*size))), subject, of(&named)));
        rows.push(Row::new(
            format!("{} identities, account searched", thousands(f64::from(*size))),
            subject,
            of(&fresh),
        ));
    }
    rows.push(Row::new("10 identities, 50 issuers", &issuers, of(&named)));
    // Under callgrind a million identities would take an hour to load.
    let rows = rows.into_iter().map(|row| if row.name.starts_with("1,000,000") { row.not_counted() } else { row });
    let rows = measure(&rows.collect::<Vec<_>>());
    report.section(
        "By the size of the policy",
        "Without a store, so that nothing hides the difference. Ratios are to the first row.",
    );
    table(report, &rows);
}

fn endpoints(world: &World, report: &mut Report) {
    let bare = Subject::bare(world, Bare::Crypto);
    let [embedded, redis] = [Store::Embedded, Store::Redis].map(|store| Subject::sts(store, world.config(), 10));
    let named = named(world);
    let of_embedded = introspections(world, "introspected-embedded", &embedded);
    let of_redis = introspections(world, "introspected-redis", &redis);
    let introspect = |bodies: PathBuf| Load { path: "/introspect", ..Load::exchanges(bodies) };
    let keys = Load { path: "/.well-known/jwks.json", bodies: None, ..Load::exchanges(named.clone()) };
    let rows = measure(&[
        Row::new("bare", &bare, Load::exchanges(named)),
        Row::new("introspection, embedded store", &embedded, introspect(of_embedded)),
        Row::new("introspection, Redis", &redis, introspect(of_redis)),
        Row::new("our key set", &embedded, keys).not_counted(),
    ]);
    report
        .section("Other endpoints", "64 connections; introspection of 2,000 live tokens by the API that they are for.");
    table(report, &rows);
}

/// Forms that introspect tokens that `subject` minted.
fn introspections(world: &World, name: &str, subject: &Subject) -> PathBuf {
    let source = std::fs::read_to_string(named(world)).unwrap();
    let server = subject.start();
    let mut connection = Connection::to(server.public);
    let tokens: Vec<String> = source
        .lines()
        .take(2_000)
        .map(|body| {
            let (status, answer) = connection.answer("/token", body, None);
            assert_eq!(status, 200);
            access_token(&serde_json::from_slice(&answer).unwrap())
        })
        .collect();
    world.bodies(name, tokens.len(), |number| introspection(&tokens[number]))
}

fn refusals(world: &World, report: &mut Report) {
    let bare = Subject::bare(world, Bare::Crypto);
    let none = Subject::sts(Store::None, world.config(), 10);
    let stranger = Key::new(Algorithm::RS256, "38826b17");
    let make = |name: &str, token: &(dyn Fn(usize) -> String + Sync)| world.exchanges(name, 2_000, &[], token);
    let garbage = make("garbage", &|number| format!("not.a.token{number}"));
    let unsigned = make("forged", &|number| world.token(number).sign_with(|input| stranger.sign(input)));
    let foreign = make("foreign", &|number| world.token(number).claim("iss", "https://issuer.example").sign());
    let expired = make("expired", &|number| world.token(number).claim("exp", sts_testkit::now() - 600).sign());
    let elsewhere = make("elsewhere", &|number| world.token(number).claim("aud", "https://elsewhere.example").sign());
    let nobody = make("nobody", &|number| world.token(number).claim("ref", "refs/heads/other").sign());
    let refused = |name: &str, bodies: PathBuf| Row::new(name, &none, Load::exchanges(bodies)).refused();
    let rows = measure(&[
        Row::new("bare", &bare, Load::exchanges(named(world))),
        refused("garbage (`token_malformed`)", garbage),
        refused("`issuer_unknown`", foreign),
        refused("`signature_invalid`", unsigned),
        refused("`token_expired`", expired),
        refused("`token_audience`", elsewhere),
        refused("`not_authorized`, leaves at the next 5 ms", nobody),
    ]);
    report.section("Refusals", "64 connections, no limit on refusals; each writes its decision event.");
    table(report, &rows);
}

fn signing(world: &World, report: &mut Report) {
    let with = |algorithm: &str| {
        let config = world.config().with("signing", json!({ "algorithms": [algorithm] }));
        Subject::sts(Store::None, config, 10)
    };
    let [es256, eddsa, rs256] = ["ES256", "EdDSA", "RS256"].map(with);
    let named = named(world);
    let rows = measure(&[
        Row::new("ES256", &es256, Load::exchanges(named.clone())),
        Row::new("EdDSA", &eddsa, Load::exchanges(named.clone())),
        Row::new("RS256", &rs256, Load::exchanges(named)),
    ]);
    report.section("By what we sign with", "Without a store; ratios are to the first row.");
    table(report, &rows);
}

fn connections(world: &World, report: &mut Report) {
    let bare = Subject::bare(world, Bare::Crypto);
    let [none, embedded, redis] =
        [Store::None, Store::Embedded, Store::Redis].map(|store| Subject::sts(store, world.config(), 10));
    let subjects =
        [("bare", &bare), ("sts, no store", &none), ("sts, embedded store", &embedded), ("sts, Redis", &redis)];
    let bodies = named(world);
    let mut rows = Vec::new();
    for connections in [1, 16, 64, 256] {
        for (name, subject) in subjects {
            let load = Load { connections, ..Load::exchanges(bodies.clone()) };
            rows.push(Row::new(format!("{connections} connections, {name}"), subject, load).not_counted());
        }
    }
    let measured = measure(&rows);
    report.section("By connections", "As many exchanges as are answered.");
    latencies(report, &measured);

    let paced = subjects.map(|(name, subject)| {
        Row::new(name, subject, Load { pace: Some(0.8), ..Load::exchanges(bodies.clone()) }).not_counted()
    });
    report.section(
        "At 80 % load",
        "64 connections that send at a pace of 80 % of what the server answered in the seconds before; of the rounds, the one in the middle \
         by p99/p50.",
    );
    latencies(report, &measure(&paced));
}

/// As many workers as cores, fewer, and more.
fn workers(world: &World, report: &mut Report) {
    const ONE: &str = SERVER_CORE;
    const TWO: &str = "0-1";
    let [none, redis] = [Store::None, Store::Redis].map(|store| Subject::sts(store, world.config(), 10));
    let bodies = named(world);
    let mut rows = Vec::new();
    for (workers, at_start, later) in [
        ("1 worker, 1 core", ONE, ONE),
        ("2 workers, 1 core", TWO, ONE),
        ("1 worker, 2 cores", ONE, TWO),
        ("2 workers, 2 cores", TWO, TWO),
    ] {
        for (name, subject) in [("no store", &none), ("Redis", &redis)] {
            let load = Load::exchanges(bodies.clone());
            rows.push(Row::new(format!("{workers}, {name}"), subject, load).on(Cores {
                at_start,
                later,
                others: OTHER_CORES,
            }));
        }
    }
    report.section(
        "By workers",
        "64 connections. A server takes as many workers as it has cores when it starts; here it was given others afterwards. The \
         load generator and Redis share the second.",
    );
    latencies(report, &measure(&rows));
}

/// What the nodes of a Cluster have of an exchange, beside one Redis.
fn cluster(world: &World, report: &mut Report) {
    /// Each with what it did so far: transactions, reads from its connections, and microseconds of a processor.
    fn done(subject: &Subject) -> Vec<[f64; 3]> {
        let of = |node: &RedisServer| {
            let stats = node.command(&["INFO", "commandstats"]);
            let calls = stats.text().lines().find_map(|line| line.strip_prefix("cmdstat_exec:calls="));
            let transactions = calls.map_or(0.0, |rest| rest.split(',').next().unwrap().parse().unwrap());
            let cpu = info(node, "cpu", "used_cpu_user:") + info(node, "cpu", "used_cpu_sys:");
            [transactions, info(node, "stats", "total_reads_processed:"), cpu * 1e6]
        };
        subject.redis().iter().map(of).collect()
    }
    let bodies = named(world);
    let mut rows = Vec::new();
    for (name, store) in [("one Redis", Store::Redis), ("a Cluster of three", Store::RedisCluster)] {
        let subject = Subject::sts(store, world.config(), 10);
        let process = subject.start();
        let load = Load { seconds: 10, ..Load::exchanges(bodies.clone()) };
        // Connections are made, and the server knows which node has which shard.
        load::run(&process, &Load { seconds: 1, ..load.clone() });
        let before = done(&subject);
        let run = load::run(&process, &load);
        let nodes: Vec<[f64; 3]> = done(&subject)
            .iter()
            .zip(&before)
            .map(|(after, before)| std::array::from_fn(|at| after[at] - before[at]))
            .collect();
        for (at, [transactions, reads, cpu]) in nodes.iter().enumerate() {
            rows.push(vec![
                if nodes.len() > 1 { format!("{name}, node {}", at + 1) } else { name.to_owned() },
                us(run.cpu_us),
                format!("{:.1} %", 100.0 * transactions / run.requests),
                times(*reads, *transactions),
                us(cpu / transactions),
            ]);
        }
    }
    report.section(
        "On a Redis Cluster",
        "64 connections; the server has one core, all nodes and the load generator the other. Each exchange is one transaction on one node, \
         whose commands come together: a node reads at most once for it, and less often where several come at once.",
    );
    report.table(&["", "server's time for an exchange", "exchanges", "reads for each", "node's time for each"], &rows);
}

/// Start and memory, with 1,000 accounts.
fn memory(world: &World, report: &mut Report) {
    const MILLION: f64 = 1e6;
    let config = || world.config().with("tokens", json!({ "ttl": "1h", "max_ttl": "1h" }));
    let subjects = [("embedded store", Store::Embedded), ("Redis", Store::Redis)];
    let bodies = named(world);
    let start = |subject: &Subject| {
        // The first start makes keys and store.
        drop(subject.start());
        let mut starts: Vec<_> = (0..11).map(|_| subject.start().ready_after).collect();
        starts.sort();
        let process = subject.start();
        let idle = process.idle_mib();
        (process, format!("{:.0} ms", starts[starts.len() / 2].as_secs_f64() * 1000.0), format!("{idle:.1} MiB"))
    };
    let unused = |name: &str, accounts: u32| {
        let (_, ready, idle) = start(&Subject::sts_with(Store::Embedded, config(), accounts, 1));
        let nothing = String::new;
        vec![name.to_owned(), ready, idle, nothing(), nothing(), nothing()]
    };
    let mut rows =
        vec![unused("embedded store, 1 account", 0), unused("embedded store, 1,000 accounts of one identity", 1_000)];
    rows.extend(subjects.map(|(name, store)| {
        let subject = Subject::sts(store, config(), 1_000 * IDENTITIES_OF_AN_ACCOUNT);
        let (process, ready, idle) = start(&subject);
        let mut exchanged = 0.0;
        while exchanged < MILLION {
            let run = load::run(&process, &Load { seconds: 10, ..Load::exchanges(bodies.clone()) });
            exchanged += run.requests;
        }
        let afterwards = process.idle_mib();
        let of_a_token = match subject.redis().first() {
            Some(redis) => format!(
                "{:.0} B of Redis' memory, {} of its processor time",
                info(redis, "memory", "used_memory:") / exchanged,
                us((info(redis, "cpu", "used_cpu_user:") + info(redis, "cpu", "used_cpu_sys:")) * 1e6 / exchanged),
            ),
            None => format!("{:.0} B of the file", subject.stored_bytes().unwrap_or(0) as f64 / exchanged),
        };
        vec![
            format!("{name}, 1,000 accounts of ten identities"),
            ready,
            idle,
            format!("{afterwards:.1} MiB"),
            thousands(exchanged),
            of_a_token,
        ]
    }));
    report.section("Start and memory", "Keys present. Every token that was minted is alive at the end.");
    report
        .table(&["", "start to ready", "idle", "after the exchanges", "exchanges, tokens alive", "an exchange"], &rows);
}

/// A number that Redis tells of itself.
fn info(redis: &RedisServer, section: &str, name: &str) -> f64 {
    let told = redis.command(&["INFO", section]);
    told.text().lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse().unwrap()
}

/// Loads the server with everything that it usually does, and ends it gently, so that it tells a profiler.
pub(crate) fn train(world: &World) {
    let garbage = world.exchanges("garbage", 2_000, &[], |number| format!("not.a.token{number}"));
    let nobody =
        world.exchanges("nobody", 2_000, &[], |number| world.token(number).claim("ref", "refs/heads/other").sign());
    for store in [Store::Embedded, Store::Redis] {
        let subject = Subject::sts(store, world.config(), 1_000);
        let introspected =
            introspections(world, if store == Store::Redis { "of-redis" } else { "of-embedded" }, &subject);
        let server = subject.start();
        for bodies in [named(world), fresh(world), repeated(world)] {
            load::run(&server, &Load { seconds: 3, ..Load::exchanges(bodies) });
        }
        load::run(&server, &Load { path: "/introspect", ..Load::exchanges(introspected) });
        for bodies in [garbage.clone(), nobody.clone()] {
            load::run(&server, &Load { granted: false, seconds: 1, ..Load::exchanges(bodies) });
        }
        server.end();
    }
}

/// Others that do the same.
fn peers(world: &World, report: &mut Report) {
    let sts = Subject::sts(Store::None, world.config(), 10);
    let embedded = Subject::sts(Store::Embedded, world.config(), 10);
    let [node, python] = ["node", "python"].map(|name| Subject::peer(world, name));
    let bodies = world.exchanges("peers", FRESH, &[("client_id", "octo-deploy")], |number| world.token(number).sign());
    let row = |name: &str, subject| {
        // A runtime that compiles as it goes is slow at first: longer rounds, of which the middle one is past that.
        Row::new(name, subject, Load { seconds: 2, ..Load::exchanges(bodies.clone()) }).not_counted()
    };
    let subjects = [
        row("sts, no store", &sts),
        row("sts, embedded store", &embedded),
        row("oidc-provider 9.13 on Node.js 24, in memory", &node),
        row("Starlette, uvicorn and joserfc on Python 3.11, in memory", &python),
    ];
    report.section(
        "Beside others",
        "The same tokens to a token-exchange grant of npm's oidc-provider and to a service in Python, each as an experienced user of it \
         would write it (tests/benches/peers), records in memory. Ratios are to the first row.",
    );
    table(report, &measure(&subjects));
}

/// Time and instructions, as ratios to the first row.
fn table(report: &mut Report, rows: &[Measured]) {
    let (first, rest) = (&rows[0], rows);
    let cells = rest.iter().map(|row| {
        let run = &row.run;
        let instructions = row.instructions.map_or("".to_owned(), |count| format!("{:.1} k", count / 1000.0));
        let ratio = row.instructions.zip(first.instructions).map_or(String::new(), |(own, base)| times(own, base));
        vec![
            row.name.clone(),
            instructions,
            ratio,
            us(run.cpu_us),
            times(row.times_cpu_of(first), 1.0),
            thousands(run.per_second),
            us(run.p50),
            us(run.p99),
            us(run.p999),
        ]
    });
    let head = ["", "instructions", "ratio", "processor time", "ratio", "requests/s", "p50", "p99", "p99.9"];
    report.table(&head, &cells.collect::<Vec<_>>());
}

fn latencies(report: &mut Report, rows: &[Measured]) {
    let cells = rows.iter().map(|Measured { name, run, .. }| {
        vec![
            name.clone(),
            thousands(run.per_second),
            us(run.cpu_us),
            us(run.p50),
            us(run.p99),
            us(run.p999),
            times(run.tail(), 1.0),
        ]
    });
    report.table(&["", "requests/s", "processor time", "p50", "p99", "p99.9", "p99/p50"], &cells.collect::<Vec<_>>());
}
