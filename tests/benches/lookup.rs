//! Looking up a key that is cached, as every exchange does: `cargo bench -p jwks-cache`.

#![expect(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a benchmark runs on real time, and one that cannot prepare its case has nothing to measure"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use divan::{Bencher, black_box};
use jwks_cache::{CacheAnswer, EntrySpec, Environment, JwksCache, KeySource, NetworkRule};
use serde_json::json;
use sts_jose::{OsEntropy, Signer as _, SigningKey};
use sts_types::{Algorithm, Clock, EntryName, Issuer, Kid};

fn main() {
    divan::main();
}

struct SystemClock(Instant);

impl Clock for SystemClock {
    fn now_millis(&self) -> u64 {
        1_790_000_000_000
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// As many entries of one issuer, each with four keys.
fn cache(entries: usize) -> JwksCache {
    let spec = |number: usize| EntrySpec {
        name: name(number),
        issuer: Issuer::new("https://kubernetes.default.svc").expect("an issuer"),
        source: KeySource::Inline(json!({ "keys": (0..4).map(|key| jwk(number, key)).collect::<Vec<_>>() })),
        algorithms: vec![Algorithm::ES256],
        max_stale: Duration::from_secs(86_400),
        refresh_cooldown: Duration::from_secs(30),
        kid_reuse: false,
        network: NetworkRule::default(),
        ca_file: None,
        bearer_token_file: None,
        proxy: None,
    };
    let environment = Environment {
        clock: Arc::new(SystemClock(Instant::now())),
        entropy: Arc::new(OsEntropy),
        state_dir: None,
        resolver: None,
        user_agent: "bench".to_owned(),
        ignored_proxies: Vec::new(),
        observer: None,
    };
    JwksCache::new((0..entries).map(spec).collect::<Vec<_>>(), environment).expect("a cache")
}

fn name(number: usize) -> EntryName {
    EntryName::new(&format!("entry-{number}")).expect("a name")
}

fn jwk(entry: usize, key: usize) -> serde_json::Value {
    let mut jwk = SigningKey::generate(Algorithm::ES256).expect("a key").public_jwk().clone();
    if let Some(members) = jwk.as_object_mut() {
        members.insert("kid".to_owned(), format!("{entry}-{key}").into());
    }
    jwk
}

/// A key that is there, of one entry alone and of one among others of its issuer; 1 and 2 threads on one cache.
#[divan::bench(args = [1, 10], threads = [1, 2])]
fn hit(bencher: Bencher<'_, '_>, entries: usize) {
    let (cache, name, kid) = (cache(entries), name(0), Kid::new("0-2").expect("a kid"));
    let look_up = || cache.find_cached(black_box(&name), Some(black_box(&kid)), Algorithm::ES256);
    assert!(matches!(look_up(), CacheAnswer::Hit(_)));
    bencher.bench(look_up);
}

/// A kid that is not there.
#[divan::bench]
fn miss(bencher: Bencher<'_, '_>) {
    let (cache, name, kid) = (cache(1), name(0), Kid::new("elsewhere").expect("a kid"));
    let look_up = || cache.find_cached(black_box(&name), Some(black_box(&kid)), Algorithm::ES256);
    assert!(matches!(look_up(), CacheAnswer::Miss));
    bencher.bench(look_up);
}
