//! The history of an entry's keys.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a panic is how a test fails")]

mod support;

use std::path::Path;
use std::time::Duration;

use jwks_cache::{HistoryError, InForce, JwksCache, KeyHistory, KeySource, SeenFrom};
use serde_json::Value;
use sts_types::{Clock as _, UnixTime};
use support::{FakeIssuer, KEYS, Outside, Reply, find, has, jwk, jwks, name, spec};

fn outside(dir: &Path) -> Outside {
    Outside::with_state_dir(Some(dir.to_owned()))
}

async fn history(cache: &JwksCache) -> KeyHistory {
    cache.history(&name("a")).await.unwrap()
}

/// The kids of each event, with their kind of source.
fn told(history: &KeyHistory) -> Vec<(String, Vec<String>)> {
    let told = history.events.iter().map(|event| {
        let event = serde_json::to_value(event).unwrap();
        let kids =
            event["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect();
        (event["source"].as_str().unwrap().to_owned(), kids)
    });
    told.collect()
}

fn event(source: &str, kids: &[&str]) -> (String, Vec<String>) {
    (source.to_owned(), kids.iter().map(|kid| (*kid).to_owned()).collect())
}

fn kids_at(history: &KeyHistory, time: UnixTime) -> Vec<String> {
    match history.at(time) {
        InForce::Set(event) => {
            event.keys.iter().filter_map(|key| Some(key.kid.as_ref()?.as_str().to_owned())).collect()
        }
        InForce::Lapsed(_) => vec!["lapsed".to_owned()],
        InForce::NotRecorded => vec!["not recorded".to_owned()],
    }
}

#[tokio::test]
async fn it_tells_which_keys_were_trusted_when() {
    let dir = tempfile::tempdir().unwrap();
    let outside = outside(dir.path());
    let (k1, k2) = (jwk("k1"), jwk("k2"));
    let issuer = FakeIssuer::start([k2.clone(), k1.clone()]).await;
    let cache = outside.cache([issuer.by_url("a")]);
    let start = outside.clock.now();
    outside.clock.advance(Duration::from_secs(10));
    assert!(find(&cache, "a", "k1").await.is_ok());
    outside.clock.advance(Duration::from_secs(10));
    issuer.publish([k1, k2.clone()]);
    cache.refresh(&name("a")).await.unwrap();
    outside.clock.advance(Duration::from_secs(10));
    issuer.publish([k2]);
    cache.refresh(&name("a")).await.unwrap();

    let history = history(&cache).await;
    assert_eq!(told(&history), [event("url", &["k1", "k2"]), event("url", &["k2"])]);
    assert_eq!(history.events[0].source, SeenFrom::Url(format!("{}{KEYS}", issuer.url)));
    assert_eq!(history.events[0].issuer.as_str(), "https://issuer.example");
    assert_eq!((history.lapsed_at, history.unreadable), (None, 0));
    let status = &cache.status()[0];
    assert_eq!(history.events[1].keys[0].thumbprint, status.keys[0].thumbprint);
    assert_eq!(kids_at(&history, start.plus(9)), ["not recorded"]);
    assert_eq!(kids_at(&history, start.plus(29)), ["k1", "k2"]);
    assert_eq!(kids_at(&history, start.plus(30)), ["k2"]);
}

#[tokio::test]
async fn a_set_that_lapsed_is_not_told_as_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let outside = outside(dir.path());
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let cache = outside.cache([issuer.by_url("a")]);
    let start = outside.clock.now();
    cache.refresh_due().await;
    let day = 24 * 3600;
    outside.clock.advance(Duration::from_secs(day + 100));
    let end = start.plus(i64::try_from(day).unwrap());
    let lapsed = history(&cache).await;
    assert_eq!(lapsed.lapsed_at, Some(end));
    assert_eq!((kids_at(&lapsed, end.plus(-1)), kids_at(&lapsed, end)), (vec!["k1".into()], vec!["lapsed".into()]));
    // The same set again: it is trusted anew, and was not in between.
    cache.refresh_due().await;
    let again = history(&cache).await;
    assert_eq!(told(&again), [event("url", &["k1"]), event("url", &["k1"])]);
    assert_eq!(
        (kids_at(&again, end.plus(99)), kids_at(&again, end.plus(100))),
        (vec!["lapsed".into()], vec!["k1".into()])
    );
}

#[tokio::test]
async fn it_survives_restarts_which_add_nothing_when_nothing_changed() {
    let dir = tempfile::tempdir().unwrap();
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    for _ in 0..3 {
        outside(dir.path()).cache([issuer.discovered("a")]).refresh_due().await;
    }
    issuer.publish([jwk("k2")]);
    let cache = outside(dir.path()).cache([issuer.discovered("a")]);
    cache.refresh_due().await;
    assert_eq!(told(&history(&cache).await), [event("discovery", &["k1"]), event("discovery", &["k2"])]);

    // Without the log, the copy on disk is what is known.
    std::fs::remove_dir_all(dir.path().join("history")).unwrap();
    issuer.reply(KEYS, Reply::status(500));
    let cache = outside(dir.path()).cache([issuer.discovered("a")]);
    cache.refresh_due().await;
    assert_eq!(told(&history(&cache).await), [event("disk", &["k2"])]);
}

#[tokio::test]
async fn static_keys_and_changes_of_the_configuration_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let outside = outside(dir.path());
    let inline = |key: &Value| spec("a", "https://issuer.example", KeySource::Inline(jwks([key.clone()])));
    let (k1, k2) = (jwk("k1"), jwk("k2"));
    let cache = outside.cache([inline(&k1)]);
    assert_eq!(told(&history(&cache).await), [event("inline", &["k1"])]);
    assert!(!dir.path().join("history").exists(), "nothing is written before it is served");
    cache.refresh_due().await;
    outside.clock.advance(Duration::from_secs(10));
    let file = dir.path().join("keys.json");
    std::fs::write(&file, jwks([k1, k2]).to_string()).unwrap();
    let cache = cache.with_entries(vec![spec("a", "https://issuer.example", KeySource::File(file.clone()))]).unwrap();
    cache.refresh_due().await;
    let told_of_both = history(&cache).await;
    assert_eq!(told(&told_of_both), [event("inline", &["k1"]), event("file", &["k1", "k2"])]);
    assert_eq!(told_of_both.events[1].source, SeenFrom::File(file.to_str().unwrap().to_owned()));
    // A name that is gone keeps its log; one that never was has none.
    let cache = cache.with_entries(Vec::new()).unwrap();
    assert_eq!(history(&cache).await.events, told_of_both.events);
    assert!(matches!(cache.history(&name("b")).await, Err(HistoryError::UnknownEntry)));
}

#[tokio::test]
async fn the_log_of_an_entry_that_was_pointed_elsewhere_ends_its_old_keys_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let outside = outside(dir.path());
    let (one, two) = (FakeIssuer::start([jwk("k1")]).await, FakeIssuer::start([jwk("k2")]).await);
    let cache = outside.cache([one.by_url("a")]);
    cache.refresh_due().await;
    outside.clock.advance(Duration::from_secs(10));
    let changed = outside.clock.now();
    let cache = cache.with_entries(vec![two.by_url("a")]).unwrap();
    outside.clock.advance(Duration::from_secs(10));
    assert_eq!(kids_at(&history(&cache).await, changed), ["lapsed"]);
    cache.refresh_due().await;
    let history = history(&cache).await;
    assert_eq!(kids_at(&history, changed.plus(-1)), ["k1"]);
    assert_eq!(kids_at(&history, changed), ["lapsed"]);
    assert_eq!(kids_at(&history, changed.plus(10)), ["k2"]);
}

#[tokio::test]
async fn a_log_that_cannot_be_written_or_read_harms_no_lookup() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("history"), "").unwrap();
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let cache = outside(dir.path()).cache([issuer.by_url("a")]);
    assert!(find(&cache, "a", "k1").await.is_ok());
    cache.refresh_due().await;
    assert!(has(&cache, "a", "k1"));
    assert!(matches!(cache.history(&name("a")).await, Err(HistoryError::Unreadable(_))));

    let cache = Outside::new().cache([issuer.by_url("a")]);
    cache.refresh_due().await;
    assert!(history(&cache).await.events.is_empty(), "without a state directory there is no log");
}

#[tokio::test]
async fn the_place_that_discovery_named_is_told_even_where_the_keys_are_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let keys = jwks([jwk("k2")]);
    let cache = outside(dir.path()).cache([issuer.discovered("a")]);
    for (path, query) in [(KEYS, ""), (KEYS, ""), ("/moved", "?token=secret"), ("/moved", "")] {
        issuer.reply(path, Reply::json(&keys));
        issuer.discovers(&issuer.url, &format!("{}{path}{query}", issuer.url));
        cache.refresh(&name("a")).await.unwrap();
    }
    let places: Vec<_> = history(&cache).await.events.into_iter().map(|event| event.source).collect();
    let place = |path: &str| SeenFrom::Discovery(Some(format!("{}{path}", issuer.url)));
    assert_eq!(places, [place(KEYS), place("/moved")]);
}
