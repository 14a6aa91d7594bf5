//! The cache of verified tokens beside `moka`, an LFU cache with an admission filter, on mixed traffic: a job's projected token once a
//! minute, among 10,000 tokens a second that come once. What counts is how often the projected token is found, and what a look-up
//! costs: `cargo bench -p sts-token --bench token_cache` prints both.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::modulo_one,
    reason = "a bench measures real time, prints it, and ends when it fails"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use sts_jose::{SigningKey, sign_compact};
use sts_token::{TrustSpec, UnverifiedToken, VerifiedClaims, VerifiedTokenCache};
use sts_types::{Algorithm, EntryName, Issuer, UnixTime};

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
/// Tokens a second that come once.
const FRESH: usize = 10_000;
/// Seconds between two uses of a projected token.
const PERIOD: usize = 60;
/// Minutes of traffic.
const MINUTES: usize = 20;
/// Projected tokens, spread over the minute.
const PROJECTED: usize = 60;
/// Entries of `moka`: as many as our table has places.
const ENTRIES: u64 = 2048;
/// Timed look-ups.
const LOOKUPS: usize = 2_000_000;

/// A cache under test.
trait Cache {
    const NAME: &'static str;
    fn has(&self, token: &str) -> bool;
    fn granted(&self, token: &str, verified: &VerifiedClaims);
}

struct Table(VerifiedTokenCache);

impl Cache for Table {
    const NAME: &'static str = "the table";

    fn has(&self, token: &str) -> bool {
        self.0.find(token).is_some()
    }

    fn granted(&self, token: &str, verified: &VerifiedClaims) {
        self.0.remember(token, verified);
    }
}

/// The evidence is behind an `Arc` in the table, too.
struct Moka(moka::sync::Cache<Box<str>, Arc<()>>, Arc<()>);

impl Cache for Moka {
    const NAME: &'static str = "moka";

    fn has(&self, token: &str) -> bool {
        self.0.get(token).is_some()
    }

    fn granted(&self, token: &str, _: &VerifiedClaims) {
        self.0.insert(token.into(), Arc::clone(&self.1));
    }
}

fn main() {
    let (token, verified) = verified();
    println!(
        "| | projected tokens found | look-up that finds | look-up that does not | admission |\n|---|---:|---:|---:|---:|"
    );
    measure(&Table(VerifiedTokenCache::default()), &token, &verified);
    measure(&Moka(moka::sync::Cache::new(ENTRIES), Arc::default()), &token, &verified);
    // With what 64 times more entries hold of text alone: some 130 MiB.
    measure(&Moka(moka::sync::Cache::new(ENTRIES * 64), Arc::default()), &token, &verified);
}

fn measure<C: Cache>(cache: &C, token: &str, verified: &VerifiedClaims) {
    let (found, asked) = mixed_traffic(cache, token, verified);
    let projected = numbered(token, "p", 0);
    (0..3).for_each(|_| cache.granted(&projected, verified));
    let hit = nanos(|_| black_box(cache.has(&projected)));
    let fresh: Vec<String> = (0..4096).map(|number| numbered(token, "m", number)).collect();
    let miss = nanos(|number| black_box(cache.has(&fresh[number % fresh.len()])));
    let admission = nanos(|number| {
        cache.granted(&fresh[number % fresh.len()], verified);
        true
    });
    let percent = 100 * found / asked;
    println!("| {} | {percent} % of {asked} | {hit:.0} ns | {miss:.0} ns | {admission:.0} ns |", C::NAME);
}

/// How often a projected token was found, of how often it came after its first time.
fn mixed_traffic<C: Cache>(cache: &C, token: &str, verified: &VerifiedClaims) -> (usize, usize) {
    let (mut found, mut asked) = (0, 0);
    for second in 0..MINUTES * PERIOD {
        if second % (PERIOD / PROJECTED) == 0 {
            let projected = numbered(token, "p", second % PERIOD);
            let has = cache.has(&projected);
            if second >= PERIOD {
                asked += 1;
                found += usize::from(has);
            }
            if !has {
                cache.granted(&projected, verified);
            }
        }
        for number in 0..FRESH {
            let fresh = numbered(token, "f", second * FRESH + number);
            if !cache.has(&fresh) {
                cache.granted(&fresh, verified);
            }
        }
    }
    (found, asked)
}

/// Another token of the same length, whose end is its own.
fn numbered(token: &str, kind: &str, number: usize) -> String {
    format!("{}{kind}{number:042}", &token[..token.len() - 43])
}

fn nanos(mut step: impl FnMut(usize) -> bool) -> f64 {
    let start = Instant::now();
    for number in 0..LOOKUPS {
        step(number);
    }
    start.elapsed().as_secs_f64() * 1e9 / LOOKUPS as f64
}

fn verified() -> (String, VerifiedClaims) {
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let (iat, exp) = (NOW.as_secs(), NOW.as_secs() + 3600);
    let filler = "x".repeat(500);
    let claims = format!(
        r#"{{"iss":"https://issuer.example","sub":"s","aud":"a","iat":{iat},"exp":{exp},"jti":"1","filler":"{filler}"}}"#
    );
    let token = sign_compact(&key, "JWT", claims.as_bytes()).unwrap();
    let trust = TrustSpec {
        entry: EntryName::new("ci").unwrap(),
        issuers: Issuer::new("https://issuer.example").unwrap().into(),
        algorithms: vec![Algorithm::EdDSA],
        types: Vec::new(),
        leeway: 60,
        max_token_lifetime: 86_400,
        max_token_age: None,
        require_iat: true,
        trust_domain: None,
        enabled: true,
    };
    let candidates = [(Arc::new(trust), Arc::new(key.verifying_key()))];
    let Ok(signed) = UnverifiedToken::parse(&token).unwrap().check_signature(&candidates) else {
        panic!("our own signature is good")
    };
    let verified = signed.validate(NOW).unwrap();
    (token, verified)
}
