//! The last good sets on disk.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jwks_cache::{JwksCache, KeySource};
use support::{FakeIssuer, KEYS, Outside, Reply, find, has, jwk, name};

fn files(dir: &Path) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    listed.filter(|path| path.is_file()).collect()
}

/// A cache as after a restart `later`: its monotonic clock begins anew, wall time does not.
fn restarted(dir: &Path, later: Duration, entry: jwks_cache::EntrySpec) -> (Outside, JwksCache) {
    struct Shifted(std::sync::Arc<support::TestClock>, Duration);
    impl sts_types::Clock for Shifted {
        fn now_millis(&self) -> u64 {
            self.0.now_millis() + u64::try_from(self.1.as_millis()).unwrap()
        }
        fn monotonic(&self) -> Duration {
            self.0.monotonic()
        }
    }
    let mut outside = Outside::with_state_dir(Some(dir.to_owned()));
    outside.environment.clock = std::sync::Arc::new(Shifted(outside.clock.clone(), later));
    let cache = outside.cache([entry]);
    (outside, cache)
}

#[tokio::test]
async fn c104_the_last_good_set_serves_after_a_restart_while_the_issuer_is_down() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("issuer-keys");
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let outside = Outside::with_state_dir(Some(state.clone()));
    assert!(find(&outside.cache([issuer.discovered("a")]), "a", "k1").await.is_ok());

    issuer.reply(KEYS, Reply::status(500));
    let hour = Duration::from_secs(3600);
    let (outside, cache) = restarted(&state, 23 * hour, issuer.discovered("a"));
    assert!(has(&cache, "a", "k1"));
    assert!(find(&cache, "a", "k1").await.is_ok());
    let requests = issuer.requests();
    cache.refresh_due().await;
    assert!(issuer.requests() > requests, "a set from disk is refreshed at once");
    assert!(has(&cache, "a", "k1"));
    // The set's age counts from its fetch, not from the restart.
    outside.clock.advance(hour - Duration::from_secs(1));
    assert!(has(&cache, "a", "k1"));
    outside.clock.advance(Duration::from_secs(1));
    assert!(!has(&cache, "a", "k1"));

    let (_, cache) = restarted(&state, 24 * hour, issuer.discovered("a"));
    assert!(!has(&cache, "a", "k1"));
}

#[tokio::test]
async fn a_newer_set_replaces_the_one_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let cache = Outside::with_state_dir(Some(dir.path().to_owned())).cache([issuer.by_url("a")]);
    assert!(find(&cache, "a", "k1").await.is_ok());
    issuer.publish([jwk("k2")]);
    assert!(cache.refresh(&name("a")).await.is_ok());
    assert_eq!(files(dir.path()).len(), 1);
    let (_, cache) = restarted(dir.path(), Duration::ZERO, issuer.by_url("a"));
    assert!(has(&cache, "a", "k2") && !has(&cache, "a", "k1"));
}

#[cfg(unix)]
#[tokio::test]
async fn the_copy_is_its_owners_and_its_name_tells_nothing() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let cache = Outside::with_state_dir(Some(dir.path().to_owned())).cache([issuer.by_url("a")]);
    cache.refresh_due().await;
    let file = files(dir.path()).pop().unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let stem = file.file_stem().unwrap().to_str().unwrap();
    assert!(stem.len() == 64 && stem.bytes().all(|byte| byte.is_ascii_hexdigit()));
}

#[tokio::test]
async fn a_copy_of_another_source_issuer_or_time_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let outside = Outside::with_state_dir(Some(dir.path().to_owned()));
    outside.clock.advance(Duration::from_secs(100));
    let entry = issuer.by_url("a");
    assert!(find(&outside.cache([entry.clone()]), "a", "k1").await.is_ok());
    let taken = |later: u64, entry: &jwks_cache::EntrySpec| {
        has(&restarted(dir.path(), Duration::from_secs(later), entry.clone()).1, entry.name.as_str(), "k1")
    };
    assert!(taken(100, &entry));
    // Fetched in the future: the clock went back, and the set's age is anybody's guess.
    assert!(!taken(99, &entry));
    let mut other = entry.clone();
    other.source = KeySource::Url("https://keys.example/".to_owned());
    assert!(!taken(100, &other));
    other.source = KeySource::Discovery;
    assert!(!taken(100, &other));
    let mut other = entry.clone();
    other.issuer = sts_types::Issuer::new("https://other.example").unwrap();
    assert!(!taken(100, &other));
    let mut other = entry.clone();
    other.name = name("b");
    assert!(!taken(100, &other));
    // Nor when it is put where another's would lie.
    let mine = files(dir.path()).pop().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let cache = Outside::with_state_dir(Some(elsewhere.path().to_owned())).cache([other.clone()]);
    cache.refresh_due().await;
    std::fs::copy(mine, files(elsewhere.path()).pop().unwrap()).unwrap();
    assert!(!has(&restarted(elsewhere.path(), Duration::from_secs(100), other).1, "b", "k1"));
}

#[tokio::test]
async fn a_copy_with_any_byte_changed_or_cut_off_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let entry = issuer.by_url("a");
    let outside = Outside::with_state_dir(Some(dir.path().to_owned()));
    assert!(find(&outside.cache([entry.clone()]), "a", "k1").await.is_ok());
    let file = files(dir.path()).pop().unwrap();
    let good = std::fs::read(&file).unwrap();
    let taken = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        has(&restarted(dir.path(), Duration::ZERO, entry.clone()).1, "a", "k1")
    };
    assert!(taken(&good));
    for at in 0..good.len() {
        assert!(!taken(&good[..at]), "cut at {at}");
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(!taken(&bad), "changed at {at}");
    }
}

#[tokio::test]
async fn a_state_dir_that_cannot_be_written_harms_no_lookup() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let cache = Outside::with_state_dir(Some(blocked)).cache([issuer.by_url("a")]);
    assert!(find(&cache, "a", "k1").await.is_ok());
}
