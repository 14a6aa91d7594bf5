//! The value with the sealed signing keys.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails is to end")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sts_store_redis::{RedisSigningKeys, RedisSpec};
use sts_testkit::{RedisReply, RedisServer};
use support::{Store, under_acl};

fn keys(spec: RedisSpec) -> RedisSigningKeys {
    RedisSigningKeys::new(spec).unwrap()
}

#[test]
fn a_value_is_replaced_only_while_it_is_the_expected_one() {
    let store = Store::new(RedisServer::start());
    let keys = keys(store.spec());
    assert_eq!(keys.name(), "sts:{sts}:keys");
    assert_eq!(keys.read(), Ok(None));
    assert_eq!(keys.replace(Some(b"a"), b"b"), Ok(false), "there is none");
    assert_eq!(keys.replace(None, b"a"), Ok(true));
    assert_eq!(keys.replace(None, b"b"), Ok(false), "there is one");
    assert_eq!(keys.read(), Ok(Some(b"a".to_vec())));
    assert_eq!(keys.replace(Some(b"b"), b"c"), Ok(false));
    let binary: Vec<u8> = (0..=255).collect();
    assert_eq!(keys.replace(Some(b"a"), &binary), Ok(true));
    assert_eq!(keys.read(), Ok(Some(binary)));
}

#[test]
fn of_many_that_replace_a_value_at_once_one_does() {
    let store = Store::new(RedisServer::start());
    let wins = AtomicUsize::new(0);
    for round in 0_u8..5 {
        let expected = round.checked_sub(1).map(|before| [before]);
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let replaced = keys(store.spec()).replace(expected.as_ref().map(|value| &value[..]), &[round]);
                    wins.fetch_add(usize::from(replaced.unwrap()), Ordering::Relaxed);
                });
            }
        });
        assert_eq!(wins.load(Ordering::Relaxed), usize::from(round) + 1);
    }
}

#[test]
fn the_user_of_our_acl_may_read_and_replace_the_value() {
    let store = Store::new(under_acl());
    let keys = keys(store.spec_of_user());
    assert_eq!(keys.replace(None, b"a"), Ok(true));
    assert_eq!(keys.read(), Ok(Some(b"a".to_vec())));
}

#[test]
fn what_redis_says_and_its_silence_are_errors_and_never_no_value() {
    let mut store = Store::new(RedisServer::start());
    let keys = keys(RedisSpec { timeout: Duration::from_millis(50), ..store.spec() });
    assert_eq!(keys.replace(None, b"a"), Ok(true));
    store.server.command(&["DEL", keys.name()]);
    store.server.command(&["RPUSH", keys.name(), "x"]);
    assert!(keys.read().unwrap_err().contains("WRONGTYPE"));
    assert!(keys.replace(None, b"a").unwrap_err().contains("WRONGTYPE"));
    assert_eq!(store.server.command(&["LLEN", keys.name()]), RedisReply::Text("1".to_owned()));
    store.server.signal("STOP");
    assert!(keys.read().is_err());
    store.server.signal("CONT");
    store.server.kill();
    assert!(keys.read().is_err());
}

/// Called from within a runtime, as the server does at its start.
#[tokio::test(flavor = "current_thread")]
async fn it_blocks_within_a_runtime() {
    let store = Store::new(RedisServer::start());
    let keys = keys(store.spec());
    assert_eq!(keys.replace(None, b"a"), Ok(true));
    assert_eq!(keys.read(), Ok(Some(b"a".to_vec())));
}
