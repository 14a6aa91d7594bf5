//! The issuer entries as the key cache judges them, so that a bad key file is found by a check and at its place.

use std::sync::Arc;
use std::time::Duration;

use jwks_cache::{EntryError, Environment, JwksCache, Specs};
use sts_types::{Clock, Entropy};

/// What is wrong with the entries' URLs and key sets. Nothing is dialled, and no state is read or written.
pub(crate) fn check(specs: Specs) -> Vec<EntryError> {
    let environment = Environment {
        clock: Arc::new(Stopped),
        entropy: Arc::new(Stopped),
        state_dir: None,
        resolver: None,
        user_agent: String::new(),
        ignored_proxies: Vec::new(),
    };
    JwksCache::new(specs, environment).err().unwrap_or_default()
}

/// Neither time nor chance has a part in a check.
struct Stopped;

impl Clock for Stopped {
    fn now_millis(&self) -> u64 {
        0
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

impl Entropy for Stopped {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}
