//! The issuer entries as the key cache judges them, so that a bad key file is found by a check and at its place.

use std::sync::Arc;
use std::time::Duration;

use jwks_cache::{EntryError, EntrySpec, Environment, JwksCache, KeySource, Specs};
use sts_jose::KeySet;
use sts_types::{CheckCode, Clock, Entropy, EntryName};

/// What is wrong with the entries' URLs and key sets. Nothing is dialled, and no state is read or written.
pub(crate) fn check(specs: Specs) -> Vec<EntryError> {
    let environment = Environment {
        clock: Arc::new(StoppedClock),
        entropy: Arc::new(StoppedClock),
        state_dir: None,
        resolver: None,
        user_agent: String::new(),
        ignored_proxies: Vec::new(),
    };
    JwksCache::new(specs, environment).err().unwrap_or_default()
}

/// Keys that are in the static key sets of two of `entries`, which have the trust domain `domain`: by
/// them nothing tells whose token without `iss` it is. Entries of one issuer are judged by the cache.
pub(crate) fn shared_in_domain(domain: &str, entries: &[&EntrySpec]) -> Vec<EntryError> {
    let sets: Vec<(&EntrySpec, Vec<String>)> = entries.iter().map(|entry| (*entry, thumbprints(entry))).collect();
    let mut errors = Vec::new();
    for (at, (entry, own)) in sets.iter().enumerate() {
        let others = sets.iter().take(at).filter(|(other, _)| other.issuer != entry.issuer);
        let shared = others.filter_map(|(other, keys)| Some((&other.name, own.iter().find(|own| keys.contains(own))?)));
        for (other, thumbprint) in shared {
            errors.push(shared_key(&entry.name, other, domain, thumbprint));
        }
    }
    errors
}

fn shared_key(entry: &EntryName, other: &EntryName, domain: &str, thumbprint: &str) -> EntryError {
    EntryError {
        code: CheckCode::SharedKey,
        entry: entry.clone(),
        key: None,
        message: format!(
            "it holds a key of `{other}`, which has the same trust domain `{domain}` (thumbprint {thumbprint})"
        ),
        help: "entries of one trust domain are told apart by their keys; leave that key out of one of them".to_owned(),
    }
}

/// The thumbprints of an entry's static keys. A set that cannot be read has none, and is reported elsewhere.
fn thumbprints(entry: &EntrySpec) -> Vec<String> {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    let set = match &entry.source {
        KeySource::Inline(jwks) => KeySet::from_value(jwks, &entry.algorithms).ok(),
        KeySource::File(path) => std::fs::read(path).ok().and_then(|document| {
            let document = document.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&document);
            KeySet::parse(document, &entry.algorithms).ok()
        }),
        KeySource::Discovery | KeySource::Url(_) => None,
    };
    set.map(|set| set.keys.iter().map(|key| key.thumbprint().to_owned()).collect()).unwrap_or_default()
}

/// Neither time nor chance has a part in a check.
struct StoppedClock;

impl Clock for StoppedClock {
    fn now_millis(&self) -> u64 {
        0
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

impl Entropy for StoppedClock {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}
