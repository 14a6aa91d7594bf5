//! Key sets in files and in the configuration.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod support;

use std::path::Path;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use jwks_cache::{EntrySpec, JwksCache, KeySource, LookupError};
use serde_json::{Value, json};
use sts_types::Algorithm;
use support::{FakeIssuer, Outside, find, has, jwk, jwks, name, spec};

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

fn file_entry(entry: &str, path: &Path) -> EntrySpec {
    spec(entry, ISSUER, KeySource::File(path.to_owned()))
}

fn inline_entry(entry: &str, keys: impl IntoIterator<Item = Value>) -> EntrySpec {
    spec(entry, ISSUER, KeySource::Inline(jwks(keys)))
}

/// Writes a file with a time of its own, as the next version of a file has.
fn write(path: &Path, version: u64, content: &str) {
    std::fs::write(path, content).unwrap();
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + version);
    std::fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
}

fn messages(specs: impl IntoIterator<Item = EntrySpec>) -> Vec<String> {
    let errors =
        JwksCache::new(specs.into_iter().collect::<Vec<_>>(), Outside::new().environment).err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn static_keys_are_there_at_once_without_a_runtime() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("staging.jwks.json");
    write(&path, 0, &jwks([jwk("f")]).to_string());
    let cache = Outside::new().cache([file_entry("file", &path), inline_entry("inline", [jwk("i")])]);
    assert!(has(&cache, "file", "f") && has(&cache, "inline", "i"));
    // What the configuration says is all there is: nobody is asked.
    let unknown = find(&cache, "inline", "x").now_or_never().unwrap();
    assert_eq!(unknown.unwrap_err(), LookupError::Unknown);
    let status = cache.status();
    assert!(status.iter().all(|entry| entry.ready && entry.stale_until.is_none() && entry.fresh_until.is_none()));
}

#[test]
fn c106_a_bad_key_file_is_a_configuration_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    let mut private = jwk("p");
    private["d"] = "AAAA".into();
    for (content, want) in [
        (String::new(), "JSON"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA".to_owned(), "JSON"),
        ("{\"keys\":[]}".to_owned(), "empty"),
        (json!({"keys":[{"kty":"new"}]}).to_string(), "no usable key"),
        (jwks([private.clone()]).to_string(), "private"),
        (jwks([jwk("good"), private]).to_string(), "private"),
        (jwks([json!({"kty":"oct","k":"AAAA"})]).to_string(), "private"),
        (format!("{}{}", jwks([jwk("good")]), " ".repeat(256 * 1024)), "larger than"),
    ] {
        write(&path, 0, &content);
        let messages = messages([file_entry("a", &path)]);
        assert_eq!(messages.len(), 1, "{want}");
        assert!(messages[0].contains(want) && messages[0].contains("keys.json"), "{}", messages[0]);
    }
    assert!(messages([file_entry("a", &dir.path().join("missing.json"))])[0].contains("missing.json"));
    assert!(messages([file_entry("a", dir.path())])[0].contains("regular file"));
    let inline = messages([inline_entry("a", [json!({"kty":"oct","k":"AAAA"})])]);
    assert!(inline[0].contains("private"), "{}", inline[0]);
}

#[tokio::test]
async fn c106_a_file_rotated_in_place_is_read_and_a_bad_one_keeps_the_old_keys() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    write(&path, 0, &jwks([jwk("k0")]).to_string());
    let outside = Outside::new();
    let cache = outside.cache([file_entry("a", &path)]);
    let poll = async || {
        outside.clock.advance(Duration::from_secs(31));
        cache.refresh_due().await;
    };
    write(&path, 1, "{\"keys\":[");
    poll().await;
    assert!(has(&cache, "a", "k0"));
    let status = &cache.status()[0];
    assert!(status.last_error.as_ref().unwrap().message.contains("keys.json"));
    // Looked at again, but not read again: the error stays and is counted once.
    poll().await;
    assert_eq!(cache.status()[0].fetches.failed["key_set"], 1);
    assert!(cache.status()[0].last_error.is_some());

    std::fs::remove_file(&path).unwrap();
    poll().await;
    assert!(has(&cache, "a", "k0"));

    write(&path, 2, &jwks([jwk("k2")]).to_string());
    poll().await;
    assert!(has(&cache, "a", "k2") && !has(&cache, "a", "k0"));
    assert_eq!(cache.status()[0].last_error, None);
}

#[cfg(unix)]
#[tokio::test]
async fn c106_a_swapped_symbolic_link_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    for version in [1, 2] {
        write(&dir.path().join(format!("v{version}.json")), version, &jwks([jwk(&format!("k{version}"))]).to_string());
    }
    let link = dir.path().join("keys.json");
    std::os::unix::fs::symlink("v1.json", &link).unwrap();
    let outside = Outside::new();
    let cache = outside.cache([file_entry("a", &link)]);
    assert!(has(&cache, "a", "k1"));
    std::os::unix::fs::symlink("v2.json", dir.path().join("next")).unwrap();
    std::fs::rename(dir.path().join("next"), &link).unwrap();
    cache.refresh_due().await;
    assert!(has(&cache, "a", "k2") && !has(&cache, "a", "k1"));
}

#[tokio::test]
async fn c106_a_file_swapped_for_one_of_the_same_time_and_length_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    write(&path, 0, &jwks([jwk("a")]).to_string());
    let outside = Outside::new();
    let cache = outside.cache([file_entry("f", &path)]);
    let next = dir.path().join("next.json");
    write(&next, 0, &jwks([jwk("b")]).to_string());
    let facts = |path: &Path| std::fs::metadata(path).map(|file| (file.len(), file.modified().unwrap())).unwrap();
    assert_eq!(facts(&path), facts(&next));
    std::fs::rename(next, &path).unwrap();
    outside.clock.advance(Duration::from_secs(2));
    cache.refresh_due().await;
    assert!(has(&cache, "f", "b") && !has(&cache, "f", "a"));
}

#[tokio::test]
async fn an_unknown_kid_has_the_file_read_and_never_more_than_that() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    write(&path, 0, &jwks([jwk("k0")]).to_string());
    let cache = Outside::new().cache([file_entry("file", &path), inline_entry("inline", [jwk("i")])]);
    write(&path, 0, &jwks([jwk("k1")]).to_string());
    assert!(find(&cache, "file", "k1").await.is_ok());
    assert!(matches!(find(&cache, "file", "k2").await, Err(LookupError::Unavailable { .. })));
    assert_eq!(find(&cache, "inline", "k2").await.unwrap_err(), LookupError::Unknown);
    assert_eq!(find(&cache, "inline", "k3").await.unwrap_err(), LookupError::Unknown);
    assert!(!cache.refresh(&name("inline")).await.unwrap().changed);
}

#[test]
fn one_static_key_in_two_entries_of_an_issuer_is_refused() {
    let (one, two) = (jwk("k1"), jwk("k2"));
    let other_issuer = spec("c", "https://other.example", KeySource::Inline(jwks([one.clone()])));
    assert!(messages([inline_entry("a", [one.clone()]), inline_entry("b", [two.clone()]), other_issuer]).is_empty());
    // The same key under another kid is the same key.
    let mut renamed = one.clone();
    renamed["kid"] = "other".into();
    let messages = messages([inline_entry("a", [one]), inline_entry("b", [two, renamed])]);
    assert_eq!(messages.len(), 1);
    assert!(messages[0].contains("`a`") && messages[0].contains("`b`"), "{}", messages[0]);
}

#[test]
fn entries_of_one_issuer_need_keys_of_their_own() {
    let discovery = |entry| spec(entry, ISSUER, KeySource::Discovery);
    let url = |entry| spec(entry, ISSUER, KeySource::Url("https://keys.example/".to_owned()));
    assert_eq!(messages([discovery("a"), discovery("b")]).len(), 2);
    assert_eq!(messages([discovery("a"), inline_entry("b", [jwk("k")])]).len(), 1);
    assert_eq!(messages([url("a"), url("b")]).len(), 2);
    assert_eq!(messages([url("a"), inline_entry("b", [jwk("k")])]).len(), 0);
}

#[tokio::test]
async fn a_key_that_two_entries_of_an_issuer_come_to_share_is_used_for_neither() {
    let shared = jwk("shared");
    let fetched = FakeIssuer::start([jwk("own"), shared.clone()]).await;
    let mut by_url = fetched.by_url("fetched");
    by_url.issuer = sts_types::Issuer::new(ISSUER).unwrap();
    let cache = Outside::new().cache([by_url, inline_entry("static", [shared.clone(), jwk("i")])]);
    // As long as nobody knows, it is the static entry's.
    assert!(has(&cache, "static", "shared"));
    assert!(find(&cache, "fetched", "own").await.is_ok());
    for entry in ["fetched", "static"] {
        assert!(!has(&cache, entry, "shared"));
        assert_eq!(find(&cache, entry, "shared").await.unwrap_err(), LookupError::Unknown);
    }
    assert!(has(&cache, "static", "i") && has(&cache, "fetched", "own"));
    assert_eq!(fetched.key_fetches(), 1);
    let status = cache.status();
    assert_eq!(status[0].keys[1].shared_with, [name("static")]);
    assert_eq!(status[1].keys[0].shared_with, [name("fetched")]);
    assert!(status[0].keys[0].shared_with.is_empty());
    // Without a kid the others are left.
    let found = cache.find(&name("static"), None, sts_types::Algorithm::ES256).await.unwrap();
    assert_eq!(support::kids(&found), ["i"]);
    // It is used again when one of them gives it up.
    fetched.publish([jwk("own")]);
    assert!(cache.refresh(&name("fetched")).await.is_ok());
    assert!(has(&cache, "static", "shared"));
}

#[tokio::test]
async fn a_reload_keeps_the_state_of_entries_that_did_not_change() {
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let other = FakeIssuer::start([jwk("k2")]).await;
    let outside = Outside::new();
    let cache = outside.cache([issuer.discovered("a"), other.discovered("b")]);
    cache.refresh_due().await;
    let mut changed = other.discovered("b");
    changed.max_stale = Duration::from_secs(60);
    let reloaded = cache.with_entries(vec![issuer.discovered("a"), changed, inline_entry("c", [jwk("i")])]).unwrap();
    assert!(has(&reloaded, "a", "k1") && !has(&reloaded, "b", "k2") && has(&reloaded, "c", "i"));
    assert!(has(&cache, "b", "k2") && !has(&cache, "c", "i"));
    assert!(find(&reloaded, "b", "k2").await.is_ok());
    assert_eq!((issuer.key_fetches(), other.key_fetches()), (1, 2));
    // State is shared both ways while both live.
    issuer.publish([jwk("k3")]);
    assert!(reloaded.refresh(&name("a")).await.is_ok());
    assert!(has(&cache, "a", "k3"));
    // An entry that is gone is gone.
    let smaller = reloaded.with_entries(vec![issuer.discovered("a")]).unwrap();
    assert!(!has(&smaller, "b", "k2"));
    assert_eq!(smaller.status().len(), 1);
}

#[tokio::test]
async fn c106_a_reload_reads_files_again_and_is_refused_whole_when_one_is_bad() {
    let dir = tempfile::tempdir().unwrap();
    let (good, bad) = (dir.path().join("good.json"), dir.path().join("bad.json"));
    write(&good, 0, &jwks([jwk("g0")]).to_string());
    write(&bad, 0, &jwks([jwk("b0")]).to_string());
    let cache = Outside::new().cache([file_entry("good", &good), file_entry("bad", &bad)]);
    write(&good, 1, &jwks([jwk("g1")]).to_string());
    write(&bad, 1, "{}");
    let entries = || vec![file_entry("good", &good), file_entry("bad", &bad)];
    let errors = cache.with_entries(entries()).unwrap_err();
    assert_eq!(errors.iter().map(|error| error.entry.as_str()).collect::<Vec<_>>(), ["bad"]);
    assert!(has(&cache, "good", "g0") && has(&cache, "bad", "b0"));
    write(&bad, 2, &jwks([jwk("b2")]).to_string());
    let reloaded = cache.with_entries(entries()).unwrap();
    assert!(has(&reloaded, "good", "g1") && has(&reloaded, "bad", "b2"));
}

#[tokio::test]
async fn fld32_keys_without_a_kid_in_a_file_or_inline_are_tried_for_any_kid() {
    let unnamed = |mut jwk: serde_json::Value| {
        jwk.as_object_mut().unwrap().remove("kid");
        jwk
    };
    let set = support::jwks([jwk("named"), unnamed(jwk("x")), unnamed(support::jwk_of(Algorithm::EdDSA, "x"))]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    // Some editors begin a file with a byte order mark.
    std::fs::write(&path, format!("\u{feff}{set}")).unwrap();
    let issuer = support::FakeIssuer::start(set["keys"].as_array().unwrap().clone()).await;
    let cache = Outside::new().cache([
        spec("file", "https://a.example", KeySource::File(path)),
        spec("inline", "https://b.example", KeySource::Inline(set.clone())),
        issuer.by_url("url"),
    ]);
    let kids = async |entry: &str, kid: Option<&str>, algorithm| {
        let kid = kid.map(support::kid);
        let found = cache.find(&name(entry), kid.as_ref(), algorithm).await;
        found.map(|keys| keys.iter().map(|key| key.kid().map(|kid| kid.as_str().to_owned())).collect::<Vec<_>>())
    };
    let some = || Some("named".to_owned());
    for entry in ["file", "inline"] {
        assert_eq!(kids(entry, Some("named"), Algorithm::ES256).await, Ok(vec![some(), None]));
        assert_eq!(kids(entry, Some("other"), Algorithm::ES256).await, Ok(vec![None]));
        assert_eq!(kids(entry, Some("other"), Algorithm::EdDSA).await, Ok(vec![None]));
        assert_eq!(kids(entry, None, Algorithm::ES256).await, Ok(vec![some(), None]));
        assert_eq!(kids(entry, Some("other"), Algorithm::RS256).await, Err(LookupError::Unknown));
    }
    assert_eq!(kids("url", Some("named"), Algorithm::ES256).await, Ok(vec![some()]));
    assert_eq!(kids("url", Some("other"), Algorithm::ES256).await, Err(LookupError::Unknown));
    assert_eq!(kids("url", None, Algorithm::ES256).await, Ok(vec![some(), None]));
}
