//! When an issuer is asked, how often, and what callers hear meanwhile.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod support;

use std::time::Duration;

use futures_util::future::join_all;
use jwks_cache::{JwksCache, LookupError};
use sts_types::Algorithm;
use support::{FakeIssuer, KEYS, Outside, Reply, find, has, jwk, jwk_of, jwks, kid, kids, name, together};

const COOL_DOWN: Duration = Duration::from_secs(30);

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn unavailable(count: u64) -> LookupError {
    LookupError::Unavailable { retry_after: seconds(count) }
}

#[tokio::test]
async fn c099_a_new_kid_is_found_on_its_first_token_with_one_fetch() {
    let issuer = FakeIssuer::start([jwk("old")]).await;
    let outside = Outside::new();
    let cache = outside.cache([issuer.by_url("a")]);
    assert!(find(&cache, "a", "old").await.is_ok());
    issuer.publish([jwk("old"), jwk("new")]);
    // No time has passed: the first load begins no cool-down.
    assert_eq!(kids(&find(&cache, "a", "new").await.unwrap()), ["new"]);
    assert_eq!(issuer.key_fetches(), 2);
    assert!(find(&cache, "a", "old").await.is_ok());
    assert_eq!(issuer.key_fetches(), 2);
}

#[tokio::test]
async fn c101_a_thousand_unknown_kids_at_once_are_one_fetch() {
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let outside = Outside::new();
    let cache = outside.cache([issuer.by_url("a")]);
    assert!(find(&cache, "a", "k1").await.is_ok());
    issuer.hold();
    let tasks = together((0..1000).map(|number| {
        let cache = cache.clone();
        async move { find(&cache, "a", &format!("unknown-{number}")).await.unwrap_err() }
    }))
    .await;
    issuer.arrived(2).await;
    // Tokens with known kids are not held up by the fetch.
    assert!(has(&cache, "a", "k1"));
    assert!(find(&cache, "a", "k1").await.is_ok());
    issuer.release();
    for answer in join_all(tasks).await {
        assert_eq!(answer.unwrap(), LookupError::Unknown);
    }
    assert_eq!(issuer.key_fetches(), 2);

    // In the cool-down: what was looked up is known to be absent, what was not is not known.
    for number in 0..1000 {
        assert_eq!(find(&cache, "a", &format!("unknown-{number}")).await.unwrap_err(), LookupError::Unknown);
        assert_eq!(find(&cache, "a", &format!("later-{number}")).await.unwrap_err(), unavailable(30));
    }
    outside.clock.advance(seconds(29));
    assert_eq!(find(&cache, "a", "later-0").await.unwrap_err(), unavailable(1));
    assert_eq!(issuer.key_fetches(), 2);
    outside.clock.advance(seconds(1));
    assert_eq!(find(&cache, "a", "later-0").await.unwrap_err(), LookupError::Unknown);
    assert_eq!(issuer.key_fetches(), 3);
}

#[tokio::test]
async fn c101_what_is_remembered_of_unknown_kids_is_bounded() {
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let cache = Outside::new().cache([issuer.by_url("a")]);
    assert!(find(&cache, "a", "k1").await.is_ok());
    issuer.hold();
    let tasks = together((0..1100).map(|number| {
        let cache = cache.clone();
        async move { find(&cache, "a", &format!("u{number}")).await.unwrap_err() }
    }))
    .await;
    issuer.release();
    for answer in join_all(tasks).await {
        assert_eq!(answer.unwrap(), LookupError::Unknown);
    }
    let mut forgotten = 0;
    for number in 0..1100 {
        forgotten += usize::from(find(&cache, "a", &format!("u{number}")).await.unwrap_err() != LookupError::Unknown);
    }
    assert_eq!(forgotten, 1100 - 1024);
}

#[tokio::test]
async fn a_cold_entry_is_loaded_once_for_all_that_wait() {
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    issuer.hold();
    let cache = Outside::new().cache([issuer.discovered("a")]);
    let tasks = together((0..100).map(|number| {
        let cache = cache.clone();
        let text = if number % 2 == 0 { "k1" } else { "unknown" };
        async move { (text, find(&cache, "a", text).await.map(|_| ())) }
    }))
    .await;
    issuer.arrived(1).await;
    issuer.release();
    for answer in join_all(tasks).await {
        let (text, answer) = answer.unwrap();
        assert_eq!(answer, if text == "k1" { Ok(()) } else { Err(LookupError::Unknown) });
    }
    assert_eq!(issuer.requests(), 2);
}

#[tokio::test]
async fn a_caller_that_gives_up_cancels_nobody() {
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    issuer.hold();
    let cache = Outside::new().cache([issuer.discovered("a")]);
    let first = tokio::spawn({
        let cache = cache.clone();
        async move { find(&cache, "a", "k1").await.map(|_| ()) }
    });
    issuer.arrived(1).await;
    let mut second = together([{
        let cache = cache.clone();
        async move { find(&cache, "a", "k1").await.map(|_| ()) }
    }])
    .await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    issuer.release();
    assert_eq!(second.pop().unwrap().await.unwrap(), Ok(()));
    assert_eq!(issuer.requests(), 2);
}

#[test]
fn a_fetch_whose_runtime_died_is_not_waited_for() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let servers = runtime();
    let issuer = servers.block_on(FakeIssuer::start([jwk("k1")]));
    std::thread::scope(|scope| {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        scope.spawn(move || servers.block_on(stopped));
        let cache = Outside::new().cache([issuer.by_url("a")]);
        issuer.hold();
        let dying = runtime();
        dying.block_on(async {
            let cache = cache.clone();
            tokio::spawn(async move { find(&cache, "a", "k1").await });
            issuer.arrived(1).await;
        });
        drop(dying);
        issuer.release();
        assert!(runtime().block_on(find(&cache, "a", "k1")).is_ok());
        assert_eq!(issuer.key_fetches(), 2);
        stop.send(()).unwrap();
    });
}

#[tokio::test]
async fn an_unknown_kid_that_could_not_be_looked_up_is_unavailable_for_the_cool_down() {
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let outside = Outside::new();
    let cache = outside.cache([issuer.by_url("a")]);
    assert!(find(&cache, "a", "k1").await.is_ok());
    issuer.reply(KEYS, Reply::status(500));
    assert_eq!(find(&cache, "a", "new").await.unwrap_err(), unavailable(30));
    outside.clock.advance(seconds(10));
    issuer.publish([jwk("k1"), jwk("new")]);
    // The same kid and another: neither was looked up, nothing may be concluded.
    assert_eq!(find(&cache, "a", "new").await.unwrap_err(), unavailable(20));
    assert_eq!(find(&cache, "a", "other").await.unwrap_err(), unavailable(20));
    assert_eq!(issuer.key_fetches(), 2);
    assert!(find(&cache, "a", "k1").await.is_ok());
    outside.clock.advance(seconds(20));
    assert!(find(&cache, "a", "new").await.is_ok());
    assert_eq!(find(&cache, "a", "other").await.unwrap_err(), unavailable(30));
}

#[tokio::test]
async fn a_failed_load_pauses_5_10_20_30_30_seconds() {
    let issuer = FakeIssuer::start([]).await;
    issuer.reply(KEYS, Reply::status(500));
    let outside = Outside::new();
    let cache = outside.cache([issuer.by_url("a")]);
    for (round, pause) in [5, 10, 20, 30, 30].into_iter().enumerate() {
        assert_eq!(find(&cache, "a", "k1").await.unwrap_err(), unavailable(pause));
        outside.clock.advance(seconds(pause - 1));
        assert_eq!(find(&cache, "a", "k1").await.unwrap_err(), unavailable(1));
        assert_eq!(issuer.key_fetches(), round + 1);
        outside.clock.advance(seconds(1));
    }
    issuer.publish([jwk("k1")]);
    assert!(find(&cache, "a", "k1").await.is_ok());
    // A success makes the next failure the first again.
    issuer.reply(KEYS, Reply::status(500));
    outside.clock.advance(seconds(24 * 3600));
    assert_eq!(find(&cache, "a", "k1").await.unwrap_err(), unavailable(5));
}

#[tokio::test]
async fn c095_a_retry_after_of_the_issuer_is_honoured_up_to_a_minute() {
    for (asked, pause) in [("2", 5), ("50", 50), ("86400", 60)] {
        let issuer = FakeIssuer::start([]).await;
        issuer.reply(KEYS, Reply::status(429).with("Retry-After", asked));
        let cache = Outside::new().cache([issuer.by_url("a")]);
        assert_eq!(find(&cache, "a", "k1").await.unwrap_err(), unavailable(pause), "{asked}");
    }
}

#[tokio::test]
async fn c100_an_operators_refresh_ignores_the_cool_down_and_begins_none() {
    let issuer = FakeIssuer::start([jwk("good"), jwk("leaked")]).await;
    let cache = Outside::new().cache([issuer.by_url("a")]);
    assert_eq!(find(&cache, "a", "x").await.unwrap_err(), LookupError::Unknown);
    assert_eq!(find(&cache, "a", "x").await.unwrap_err(), LookupError::Unknown);
    assert_eq!(issuer.key_fetches(), 2);
    issuer.publish([jwk("good")]);
    let report = cache.refresh(&name("a")).await.unwrap();
    assert!(report.changed);
    assert_eq!((report.keys, report.fresh_for), (1, Some(seconds(300))));
    assert!(!has(&cache, "a", "leaked") && has(&cache, "a", "good"));
    assert!(!cache.refresh(&name("a")).await.unwrap().changed);
    assert_eq!(issuer.key_fetches(), 4);
}

#[tokio::test]
async fn c100_a_refresh_does_not_settle_for_a_fetch_that_began_before_it() {
    let issuer = FakeIssuer::start([jwk("leaked")]).await;
    let cache = Outside::new().cache([issuer.by_url("a")]);
    issuer.hold();
    let early = tokio::spawn({
        let cache = cache.clone();
        async move { find(&cache, "a", "leaked").await.map(|_| ()) }
    });
    issuer.arrived(1).await;
    let mut refresh = together([{
        let cache = cache.clone();
        async move { cache.refresh(&name("a")).await }
    }])
    .await;
    issuer.release();
    assert!(refresh.pop().unwrap().await.unwrap().is_ok());
    assert_eq!(early.await.unwrap(), Ok(()));
    assert_eq!(issuer.key_fetches(), 2);
}

#[tokio::test]
async fn c104_stale_keys_serve_until_max_stale_and_not_a_moment_longer() {
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let outside = Outside::new();
    let cache = outside.cache([issuer.by_url("a")]);
    assert!(find(&cache, "a", "k1").await.is_ok());
    issuer.reply(KEYS, Reply::status(502));
    for _ in 0..24 {
        outside.clock.advance(seconds(3600) - Duration::from_millis(1));
        cache.refresh_due().await;
        assert!(find(&cache, "a", "k1").await.is_ok());
        assert!(cache.cached(&name("a")).is_some());
    }
    let status = &cache.status()[0];
    assert!(status.ready && status.last_error.is_some());
    assert_eq!(status.stale_until, status.fetched_at.map(|at| at.plus(24 * 3600)));
    outside.clock.advance(Duration::from_millis(24));
    assert!(!has(&cache, "a", "k1"));
    assert!(cache.cached(&name("a")).is_none() && !cache.status()[0].ready);
    assert!(matches!(find(&cache, "a", "k1").await, Err(LookupError::Unavailable { .. })));
    // It comes back by itself when the issuer does.
    issuer.publish([jwk("k1")]);
    outside.clock.advance(COOL_DOWN);
    assert!(find(&cache, "a", "k1").await.is_ok());
    assert_eq!(cache.status()[0].last_error, None);
}

#[tokio::test]
async fn a_fresh_set_serves_even_where_max_stale_is_shorter() {
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let outside = Outside::new();
    let mut entry = issuer.by_url("a");
    entry.max_stale = Duration::ZERO;
    let cache = outside.cache([entry]);
    assert!(find(&cache, "a", "k1").await.is_ok());
    outside.clock.advance(seconds(299));
    assert!(has(&cache, "a", "k1"));
    outside.clock.advance(seconds(1));
    assert!(!has(&cache, "a", "k1"));
}

#[tokio::test]
async fn sets_are_refreshed_before_they_expire_and_not_much_before() {
    let issuer = FakeIssuer::start([]).await;
    issuer.reply(KEYS, Reply::json(&jwks([jwk("k1")])).with("Cache-Control", "max-age=1000"));
    let outside = Outside::new();
    let cache = outside.cache([issuer.by_url("a")]);
    cache.refresh_due().await;
    assert_eq!(issuer.key_fetches(), 1);
    issuer.publish([jwk("k2")]);
    outside.clock.advance(seconds(749));
    cache.refresh_due().await;
    assert_eq!(issuer.key_fetches(), 1);
    outside.clock.advance(seconds(151));
    cache.refresh_due().await;
    assert_eq!(issuer.key_fetches(), 2);
    // The new set replaces the old one whole.
    assert!(has(&cache, "a", "k2") && !has(&cache, "a", "k1"));
}

#[tokio::test]
async fn c103_a_slow_issuer_delays_no_other() {
    let slow = FakeIssuer::start([jwk("s")]).await;
    let quick = FakeIssuer::start([jwk("q")]).await;
    slow.hold();
    let cache = Outside::new().cache([slow.discovered("slow"), quick.discovered("quick")]);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let run = tokio::spawn({
        let cache = cache.clone();
        async move { cache.run(async { drop(stopped.await) }).await }
    });
    slow.arrived(1).await;
    quick.arrived(2).await;
    assert!(find(&cache, "quick", "q").await.is_ok());
    slow.release();
    assert!(find(&cache, "slow", "s").await.is_ok());
    assert_eq!((slow.requests(), quick.requests()), (2, 2));
    stop.send(()).unwrap();
    run.await.unwrap();
}

#[tokio::test]
async fn j14_without_a_kid_up_to_four_fitting_keys_are_candidates() {
    let issuer =
        FakeIssuer::start((0..6).map(|number| jwk(&format!("e{number}"))).chain([jwk_of(Algorithm::EdDSA, "d")])).await;
    let cache = Outside::new().cache([issuer.by_url("a")]);
    let found = async |algorithm| cache.find(&name("a"), None, algorithm).await;
    assert_eq!(kids(&found(Algorithm::ES256).await.unwrap()), ["e0", "e1", "e2", "e3"]);
    assert_eq!(kids(&found(Algorithm::EdDSA).await.unwrap()), ["d"]);
    assert_eq!(found(Algorithm::RS256).await.unwrap_err(), LookupError::Unknown);
}

#[tokio::test]
async fn c098_of_a_repeated_kid_the_keys_that_fit_are_candidates() {
    let mut nameless = jwk("");
    nameless.as_object_mut().unwrap().remove("kid");
    let issuer = FakeIssuer::start([jwk("k"), jwk_of(Algorithm::EdDSA, "k"), jwk("k"), nameless]).await;
    let cache = Outside::new().cache([issuer.by_url("a")]);
    assert_eq!(kids(&find(&cache, "a", "k").await.unwrap()), ["k", "k"]);
    let eddsa = cache.find(&name("a"), Some(&kid("k")), Algorithm::EdDSA).await.unwrap();
    assert_eq!(eddsa.iter().map(|key| key.algorithm()).collect::<Vec<_>>(), [Algorithm::EdDSA]);
    assert_eq!(cache.find(&name("a"), None, Algorithm::ES256).await.unwrap().len(), 3);
}

/// Reports a failed signature under the kid `k`.
async fn failed(cache: &JwksCache) -> bool {
    cache.signature_failed(&name("a"), Some(&kid("k")), Algorithm::ES256).await.is_some()
}

#[tokio::test]
async fn c098_a_bad_signature_asks_nobody_unless_kids_are_reused() {
    let issuer = FakeIssuer::start([jwk("k")]).await;
    let cache = Outside::new().cache([issuer.by_url("a")]);
    assert!(find(&cache, "a", "k").await.is_ok());
    issuer.publish([jwk("k")]);
    assert!(!failed(&cache).await);
    assert_eq!(issuer.key_fetches(), 1);
}

#[tokio::test]
async fn c098_a_reused_kid_is_looked_up_once_per_cool_down() {
    let issuer = FakeIssuer::start([jwk("k")]).await;
    let outside = Outside::new();
    let mut entry = issuer.by_url("a");
    entry.kid_reuse = true;
    let cache = outside.cache([entry]);
    let old = find(&cache, "a", "k").await.unwrap();
    // Nothing new: a forged token.
    assert!(!failed(&cache).await);
    assert_eq!(issuer.key_fetches(), 2);
    issuer.publish([jwk("k")]);
    outside.clock.advance(seconds(10));
    assert!(!failed(&cache).await);
    assert_eq!(issuer.key_fetches(), 2);
    outside.clock.advance(seconds(20));
    issuer.hold();
    let reports = together((0..50).map(|_| {
        let cache = cache.clone();
        async move { failed(&cache).await }
    }))
    .await;
    issuer.arrived(3).await;
    issuer.release();
    for report in join_all(reports).await {
        assert!(report.unwrap());
    }
    assert_eq!(issuer.key_fetches(), 3);
    let new = find(&cache, "a", "k").await.unwrap();
    assert_ne!(old[0].thumbprint(), new[0].thumbprint());
    // One that looked at the old set and comes late still gets the new one; later nobody does.
    assert!(failed(&cache).await);
    outside.clock.advance(seconds(6));
    assert!(!failed(&cache).await);
    assert_eq!(issuer.key_fetches(), 3);
}
