//! A store that is killed at any instant keeps everything that it acknowledged.
//!
//! The test runs itself again as a child. The child works on the store and prints what was
//! acknowledged. The parent kills it and checks the store.

#![expect(clippy::unwrap_used, reason = "a test that fails is to end")]

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use sts_store::contract::{
    AlertLog, ManualClock, START, TestSeal, claim, object, object_key, record, revocation, rule,
};
use sts_store::{
    Committed, EarlierUse, Issued, Ledger, ManagedObject, ObjectChange, ObjectKind, ObjectStore, ReplayClaim,
    RevocationScope, TokenRecord,
};
use sts_store_embedded::{EmbeddedLedger, OpenError};
use sts_types::{Digest256, Jti, Seal};

/// The variable with the path of the child's store.
const STORE: &str = "STS_STORE_CRASH_TEST";
/// The default number of kills.
const KILLS: usize = 24;
/// The variable for more kills: `make crash`.
const MORE_KILLS: &str = "STS_CRASH_KILLS";
/// The number of kills per store. Then a new store begins, so that checking it stays fast.
const KILLS_OF_A_STORE: usize = 50;
const WORKERS: usize = 8;

fn open(path: &Path) -> Result<EmbeddedLedger, OpenError> {
    EmbeddedLedger::open(path, Arc::new(TestSeal(1)), Arc::new(ManualClock::default()), Arc::new(AlertLog::default()))
}

#[tokio::test]
async fn c138_c140_killed_at_any_instant_it_keeps_all_that_it_acknowledged() {
    let kills = std::env::var_os(MORE_KILLS).map_or(KILLS, |kills| kills.to_str().unwrap().parse().unwrap());
    let mut counts = HashMap::<String, usize>::new();
    for first in (0..kills).step_by(KILLS_OF_A_STORE) {
        for line in survive(first..kills.min(first + KILLS_OF_A_STORE)).await {
            *counts.entry(line.split(' ').next().unwrap().to_owned()).or_default() += 1;
        }
    }
    println!("{kills} kills; acknowledged and kept: {counts:?}");
    for kind in ["issued", "revoked", "claimed", "rule", "object"] {
        assert!(counts[kind] > kills, "{kind}: {}", counts[kind]);
    }
}

/// Kills the work on one store again and again. Returns everything that was acknowledged and is
/// still there.
async fn survive(kills: Range<usize>) -> HashSet<String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.redb");
    let mut acknowledged = HashSet::new();
    for kill in kills {
        let mut said = HashSet::new();
        let mut child = spawn(&path);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The instant differs from kill to kill: some in the first commits, some during sweeps and
        // growth of the file.
        let wanted = (kill * 37) % 400;
        for _ in 0..wanted {
            let line = lines.next();
            assert!(line.is_some(), "the child ended by itself; what it says is above");
            note(&mut said, &line.unwrap().unwrap());
        }
        if kill % 10 == 9 {
            assert!(matches!(open(&path), Err(OpenError::Held { .. })), "two processes had the store open");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // Lines from before the kill may still be in the pipe. They were acknowledged, too.
        lines.map_while(Result::ok).for_each(|line| note(&mut said, &line));
        if path.exists() {
            check(&path, &said).await;
        }
        acknowledged.extend(said);
    }
    check(&path, &acknowledged).await;
    acknowledged
}

/// Opens the store as a restart would.
async fn check(path: &Path, acknowledged: &HashSet<String>) {
    let ledger = open(path).unwrap();
    let rules: HashSet<String> = ledger
        .rules()
        .await
        .unwrap()
        .iter()
        .filter_map(|rule| match &rule.scope {
            RevocationScope::Rule(rule) => rule.account.clone(),
            RevocationScope::Token(_) => None,
        })
        .collect();
    check_objects(&ledger, acknowledged).await;
    let mut claims = Vec::new();
    for line in acknowledged.iter().filter(|line| !line.starts_with("object ")) {
        let (kind, name) = line.split_once(' ').unwrap();
        let entry = ledger.look_up(Jti::new(name).unwrap()).await.unwrap();
        match kind {
            "issued" => assert!(entry.is_some(), "{line}"),
            "revoked" => assert!(entry.unwrap().revoked.is_some(), "{line}"),
            "claimed" => claims.push(ledger.issue(record("again", "octo"), vec![claim_of(name)])),
            "rule" => assert!(rules.contains(name), "{line}"),
            _ => unreachable!("{line}"),
        }
    }
    for again in futures_util::future::join_all(claims).await {
        let Issued::Replayed(taken) = again.unwrap() else { unreachable!("a claim is free again") };
        assert_eq!(taken.earlier_use, Some(EarlierUse::of(&record("any", "octo"))));
    }
}

/// Each object is whole, that of its last acknowledged commit or of a later one. Two objects that
/// were written together have one state.
async fn check_objects(ledger: &EmbeddedLedger, acknowledged: &HashSet<String>) {
    let stored = ledger.objects().await.unwrap();
    let last = acknowledged.iter().filter_map(|line| line.strip_prefix("object ")?.parse().ok()).max().unwrap_or(0);
    assert!(stored.sequence >= last, "{} of {last}", stored.sequence);
    let steady = |object: &&ManagedObject| !object.key.name.starts_with("passing");
    let pair: Vec<_> = stored.objects.iter().filter(steady).map(|object| (&object.spec, object.revision)).collect();
    if stored.sequence > 0 {
        assert!(matches!(pair[..], [a, b] if a == b && a.1 == stored.sequence), "{stored:?}");
        let passing = object_key(ObjectKind::Teams, &format!("passing {}", stored.sequence));
        assert!(stored.objects.iter().any(|object| object.key == passing), "{stored:?}");
        assert_eq!(stored.objects.len(), 3, "{stored:?}");
    }
}

fn note(said: &mut HashSet<String>, line: &str) {
    // The child's test harness prints its own lines. The kill may cut off the last line.
    if let Some(line) = line.strip_prefix("> ").and_then(|line| line.strip_suffix(" <")) {
        said.insert(line.to_owned());
    }
}

fn claim_of(name: &str) -> ReplayClaim {
    ReplayClaim { key: Digest256(TestSeal(0).seal(&[name.as_bytes()])), ..claim(0, START.plus(100_000)) }
}

fn spawn(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "works_until_it_is_killed", "--ignored", "--nocapture"])
        .env(STORE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The child.
#[tokio::test]
#[ignore = "it is run by the test above, and never ends by itself"]
async fn works_until_it_is_killed() {
    let Some(path) = std::env::var_os(STORE) else { return };
    let ledger = open(Path::new(&path)).unwrap();
    let workers = (0..WORKERS).map(|worker| work(&ledger, worker));
    futures_util::future::join(futures_util::future::join_all(workers), work_on_objects(&ledger)).await;
}

/// Replaces two objects in one commit, and a third one by another, again and again.
async fn work_on_objects(ledger: &EmbeddedLedger) {
    let mut at = ledger.objects().await.unwrap().sequence;
    loop {
        let (next, note) = (at + 1, "x".repeat(usize::try_from(at % 7).unwrap() * 1000));
        let put = |name: &str| ObjectChange::Put(object(ObjectKind::Teams, name, &note));
        let former = object_key(ObjectKind::Teams, &format!("passing {at}"));
        let changes = vec![put("a"), ObjectChange::Delete(former), put("b"), put(&format!("passing {next}"))];
        assert_eq!(ledger.commit(at, changes).await.unwrap(), Committed::Done(next));
        at = next;
        say("object", &at.to_string());
    }
}

/// Issues, claims, revokes and sweeps. Prints each as soon as it is acknowledged.
async fn work(ledger: &EmbeddedLedger, worker: usize) {
    let run = std::process::id();
    for n in 0.. {
        let name = format!("{run}-{worker}-{n}");
        match n % 8 {
            0..=3 => {
                ledger.issue(record(&name, "octo"), vec![]).await.unwrap();
                say("issued", &name);
            }
            4 => {
                assert_eq!(ledger.issue(record(&name, "octo"), vec![claim_of(&name)]).await.unwrap(), Issued::Recorded);
                say("claimed", &name);
            }
            5..=6 => {
                ledger.issue(record(&name, "octo"), vec![]).await.unwrap();
                ledger.revoke(revocation(&name, "leaked")).await.unwrap();
                say("revoked", &name);
            }
            _ => {
                let dead = TokenRecord { exp: START.plus(-1000), ..record(&name, "octo") };
                ledger.issue(dead, vec![]).await.unwrap();
                ledger.sweep(START).await.unwrap();
                // Rules are rare, because each one makes the store read all of them again.
                if worker == 0 {
                    ledger.revoke(rule(&name, START.plus(100_000))).await.unwrap();
                    say("rule", &name);
                }
            }
        }
    }
}

fn say(kind: &str, name: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "> {kind} {name} <").unwrap();
    out.flush().unwrap();
}
