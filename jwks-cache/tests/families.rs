//! Families of issuers: each member has keys of its own, and whoever makes members up gets nowhere.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jwks_cache::{
    CacheAnswer, Candidates, EntryRef, FamilySpec, HistoryError, JwksCache, LookupError, NetworkRule, Specs,
};
use serde_json::{Value, json};
use sts_types::{Algorithm, Issuer, IssuerTemplate, VariableSpec};
use support::{DISCOVERY, FakeIssuer, Outside, Reply, jwk, jwks, kid, kids, name, together};

const HOUR: Duration = Duration::from_secs(3600);

/// A family of which every member is on the fake's host: `{url}/c/{cluster}`.
fn family(entry: &str, form: &str, pattern: &str) -> FamilySpec {
    let variables = BTreeMap::from([("cluster".to_owned(), VariableSpec::Pattern(pattern.to_owned()))]);
    FamilySpec {
        name: name(entry),
        template: Arc::new(IssuerTemplate::new(form, &variables).unwrap()),
        algorithms: vec![Algorithm::ES256],
        max_stale: 24 * HOUR,
        refresh_cooldown: Duration::from_secs(30),
        kid_reuse: false,
        network: NetworkRule { allow_private_network: false, allow_http: true },
        ca_file: None,
        proxy: None,
        named: Vec::new(),
    }
}

fn clusters(fake: &FakeIssuer) -> FamilySpec {
    family("eks", &format!("{}/c/{{cluster}}", fake.url), "[a-z0-9]+")
}

fn cache(outside: &Outside, family: FamilySpec) -> JwksCache {
    let specs = Specs { entries: Vec::new(), families: vec![family] };
    JwksCache::new(specs, outside.environment.clone()).unwrap()
}

fn member(fake: &FakeIssuer, cluster: &str) -> Issuer {
    Issuer::new(&format!("{}/c/{cluster}", fake.url)).unwrap()
}

/// Lets the fake be that member, too.
fn publish(fake: &FakeIssuer, cluster: &str, keys: impl IntoIterator<Item = Value>) {
    let issuer = member(fake, cluster);
    fake.reply(
        &format!("/c/{cluster}{DISCOVERY}"),
        Reply::json(&json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") })),
    );
    fake.reply(&format!("/c/{cluster}/keys"), Reply::json(&jwks(keys)));
}

async fn find(cache: &JwksCache, issuer: &Issuer, text: &str) -> Result<Candidates, LookupError> {
    cache.find(EntryRef::of_issuer(&name("eks"), issuer), Some(&kid(text)), Algorithm::ES256).await
}

fn has(cache: &JwksCache, issuer: &Issuer, text: &str) -> bool {
    let found = cache.find_cached(EntryRef::of_issuer(&name("eks"), issuer), Some(&kid(text)), Algorithm::ES256);
    matches!(found, CacheAnswer::Hit(_))
}

/// A token of that member is verified.
fn verified(cache: &JwksCache, issuer: &Issuer) {
    cache.verified(EntryRef::of_issuer(&name("eks"), issuer));
}

#[tokio::test]
async fn each_member_has_the_keys_that_its_own_discovery_names_and_no_others() {
    let fake = FakeIssuer::start([]).await;
    publish(&fake, "one", [jwk("k1")]);
    publish(&fake, "two", [jwk("k2")]);
    let cache = cache(&Outside::new(), clusters(&fake));
    let (one, two) = (member(&fake, "one"), member(&fake, "two"));
    assert!(!has(&cache, &one, "k1") && fake.requests() == 0, "nothing is fetched before a token asks");
    assert_eq!(kids(&find(&cache, &one, "k1").await.unwrap()), ["k1"]);
    assert_eq!(kids(&find(&cache, &two, "k2").await.unwrap()), ["k2"]);
    assert!(has(&cache, &one, "k1") && !has(&cache, &one, "k2") && !has(&cache, &two, "k1"));
    assert_eq!(find(&cache, &two, "k1").await.unwrap_err(), LookupError::Unknown);
    let status = cache.families();
    assert_eq!(status[0].members.iter().map(|member| &member.issuer).collect::<Vec<_>>(), [&one, &two]);
    assert!(cache.status().is_empty());
}

#[tokio::test]
async fn c077_what_is_not_of_the_form_is_never_dialled() {
    let fake = FakeIssuer::start([jwk("k1")]).await;
    let cache = cache(&Outside::new(), clusters(&fake));
    for other in [
        fake.url.clone(),
        format!("{}/c/", fake.url),
        format!("{}/c/UPPER", fake.url),
        format!("{}/c/a/b", fake.url),
        format!("{}/c/..", fake.url),
        format!("{}/d/a", fake.url),
        "https://evil.example/c/a".to_owned(),
    ] {
        let other = Issuer::new(&other).unwrap();
        assert_eq!(find(&cache, &other, "k1").await.unwrap_err(), LookupError::Unknown, "{other}");
    }
    // Neither is a family itself an issuer.
    let unnamed = cache.find(&name("eks"), Some(&kid("k1")), Algorithm::ES256).await;
    assert_eq!(unnamed.unwrap_err(), LookupError::Unknown);
    assert_eq!(fake.requests(), 0);
    assert!(cache.families()[0].members.is_empty());
}

#[tokio::test]
async fn c087_a_member_whose_discovery_document_is_anothers_has_no_keys() {
    let fake = FakeIssuer::start([]).await;
    publish(&fake, "one", [jwk("k1")]);
    let of_one = json!({ "issuer": member(&fake, "one"), "jwks_uri": format!("{}/c/one/keys", fake.url) });
    fake.reply(&format!("/c/two{DISCOVERY}"), Reply::json(&of_one));
    let cache = cache(&Outside::new(), clusters(&fake));
    let answer = find(&cache, &member(&fake, "two"), "k1").await.unwrap_err();
    assert!(matches!(answer, LookupError::Unavailable { .. }));
    assert!(cache.families()[0].members[0].last_error.as_ref().unwrap().message.contains("issuer"));
}

#[tokio::test]
async fn c101_a_flood_of_made_up_members_costs_few_fetches_and_pushes_no_member_out() {
    let fake = FakeIssuer::start([]).await;
    publish(&fake, "real", [jwk("k1")]);
    let outside = Outside::new();
    let cache = cache(&outside, clusters(&fake));
    let real = member(&fake, "real");
    assert!(find(&cache, &real, "k1").await.is_ok());
    verified(&cache, &real);
    let before = fake.requests();
    fake.hold();
    let flood = together((0..500).map(|number| {
        let (cache, made_up) = (cache.clone(), member(&fake, &format!("x{number}")));
        async move { find(&cache, &made_up, "k1").await.unwrap_err() }
    }))
    .await;
    fake.arrived(before + 64).await;
    assert!(has(&cache, &real, "k1"), "a member with keys goes on meanwhile");
    fake.release();
    for answer in join_all(flood).await {
        assert!(matches!(answer.unwrap(), LookupError::Unavailable { .. }));
    }
    assert_eq!(fake.requests(), before + 64);
    let status = &cache.families()[0];
    assert_eq!((status.members.len(), status.turned_away), (65, 500 - 64));

    // In the pause after their failure nobody makes room; then the oldest does.
    assert!(matches!(find(&cache, &member(&fake, "late"), "k1").await, Err(LookupError::Unavailable { .. })));
    assert_eq!(fake.requests(), before + 64);
    outside.clock.advance(Duration::from_secs(31));
    publish(&fake, "late", [jwk("k9")]);
    assert!(find(&cache, &member(&fake, "late"), "k9").await.is_ok());
    assert!(has(&cache, &real, "k1"));
    assert_eq!(cache.families()[0].members.len(), 65);
}

#[tokio::test]
async fn c103_a_slow_member_delays_no_other() {
    let fake = FakeIssuer::start([]).await;
    let slow = FakeIssuer::start([]).await;
    publish(&fake, "fast", [jwk("k1")]);
    let outside = Outside::new();
    let two = family("slow", &format!("{}/c/{{cluster}}", slow.url), ".*");
    let specs = Specs { entries: Vec::new(), families: vec![clusters(&fake), two] };
    let cache = JwksCache::new(specs, outside.environment.clone()).unwrap();
    slow.hold();
    let waiting = {
        let (cache, issuer) = (cache.clone(), member(&slow, "a"));
        tokio::spawn(async move {
            cache.find(EntryRef::of_issuer(&name("slow"), &issuer), Some(&kid("k")), Algorithm::ES256).await
        })
    };
    slow.arrived(1).await;
    assert!(find(&cache, &member(&fake, "fast"), "k1").await.is_ok());
    assert!(!waiting.is_finished());
    slow.release();
    assert!(waiting.await.unwrap().is_err());
}

#[tokio::test]
async fn a_member_in_use_is_kept_fresh_and_one_that_nobody_asks_for_is_forgotten() {
    let fake = FakeIssuer::start([]).await;
    publish(&fake, "one", [jwk("k1")]);
    publish(&fake, "two", [jwk("k2")]);
    let dir = tempfile::tempdir().unwrap();
    let outside = Outside::with_state_dir(Some(dir.path().to_owned()));
    let cache = cache(&outside, clusters(&fake));
    let (one, two) = (member(&fake, "one"), member(&fake, "two"));
    assert!(find(&cache, &one, "k1").await.is_ok() && find(&cache, &two, "k2").await.is_ok());
    verified(&cache, &two);
    for _ in 0..3 {
        outside.clock.advance(HOUR / 2);
        assert!(has(&cache, &one, "k1"));
        verified(&cache, &one);
        let before = fake.requests();
        cache.refresh_due().await;
        assert!(fake.requests() > before, "a member in use is refreshed before it is asked for");
    }
    let status = &cache.families()[0];
    assert_eq!(status.members.iter().map(|member| &member.issuer).collect::<Vec<_>>(), [&one]);
    let before = fake.requests();
    outside.clock.advance(2 * HOUR);
    cache.refresh_due().await;
    assert_eq!(fake.requests(), before, "nobody asks for it");
    assert!(cache.families()[0].members.is_empty());

    // Its last good set is on disk, and serves while its issuer is down.
    fake.reply(&format!("/c/two{DISCOVERY}"), Reply::status(500));
    assert!(find(&cache, &two, "k2").await.is_ok());
}

#[tokio::test]
async fn c104_a_members_last_good_keys_survive_a_restart_while_its_issuer_is_down() {
    let fake = FakeIssuer::start([]).await;
    publish(&fake, "one", [jwk("k1")]);
    let dir = tempfile::tempdir().unwrap();
    let outside = Outside::with_state_dir(Some(dir.path().to_owned()));
    let one = member(&fake, "one");
    let first = cache(&outside, clusters(&fake));
    assert!(find(&first, &one, "k1").await.is_ok());
    verified(&first, &one);
    first.refresh_due().await;
    fake.reply(&format!("/c/one{DISCOVERY}"), Reply::status(500));
    fake.reply(&format!("/c/two{DISCOVERY}"), Reply::status(500));
    let restarted = cache(&outside, clusters(&fake));
    assert!(find(&restarted, &one, "k1").await.is_ok());
    assert!(find(&restarted, &member(&fake, "two"), "k1").await.is_err());
    outside.clock.advance(25 * HOUR);
    assert!(find(&cache(&outside, clusters(&fake)), &one, "k1").await.is_err(), "not past `max_stale`");
}

#[tokio::test]
async fn each_member_has_a_history_of_its_own() {
    let fake = FakeIssuer::start([]).await;
    publish(&fake, "one", [jwk("k1")]);
    publish(&fake, "two", [jwk("k2")]);
    let dir = tempfile::tempdir().unwrap();
    let outside = Outside::with_state_dir(Some(dir.path().to_owned()));
    let cache = cache(&outside, clusters(&fake));
    let (one, two) = (member(&fake, "one"), member(&fake, "two"));
    assert!(find(&cache, &one, "k1").await.is_ok() && find(&cache, &two, "k2").await.is_ok());
    verified(&cache, &one);
    verified(&cache, &two);
    publish(&fake, "one", [jwk("k3")]);
    let eks = name("eks");
    cache.refresh(EntryRef::of_issuer(&eks, &one)).await.unwrap();
    cache.refresh_due().await;
    let seen = |history: jwks_cache::KeyHistory| {
        let kids = history.events.iter().flat_map(|event| &event.keys).map(|key| key.kid.as_ref().unwrap().to_string());
        kids.collect::<Vec<_>>()
    };
    assert_eq!(seen(cache.history(EntryRef::of_issuer(&eks, &one)).await.unwrap()), ["k1", "k3"]);
    assert_eq!(seen(cache.history(EntryRef::of_issuer(&eks, &two)).await.unwrap()), ["k2"]);
    assert!(matches!(cache.history(&eks).await, Err(HistoryError::UnknownEntry)));
    // It is still there when the member is not.
    let after = support::Outside::with_state_dir(Some(dir.path().to_owned()));
    let again = JwksCache::new(Vec::new(), after.environment.clone()).unwrap();
    assert_eq!(seen(again.history(EntryRef::of_issuer(&eks, &one)).await.unwrap()), ["k1", "k3"]);
}

#[tokio::test]
async fn a_reload_keeps_the_members_of_an_unchanged_family() {
    let fake = FakeIssuer::start([]).await;
    publish(&fake, "one", [jwk("k1")]);
    let cache = cache(&Outside::new(), clusters(&fake));
    let one = member(&fake, "one");
    assert!(find(&cache, &one, "k1").await.is_ok());
    let same = cache.with_entries(Specs { entries: Vec::new(), families: vec![clusters(&fake)] }).unwrap();
    assert!(has(&same, &one, "k1"));
    let changed = FamilySpec { algorithms: vec![Algorithm::RS256], ..clusters(&fake) };
    let other = cache.with_entries(Specs { entries: Vec::new(), families: vec![changed] }).unwrap();
    assert!(!has(&other, &one, "k1"));
}

#[tokio::test]
async fn families_that_cannot_be_told_apart_or_reached_are_refused() {
    let said = |families: Vec<FamilySpec>| {
        let specs = Specs {
            entries: vec![support::spec("plain", "https://plain.example", jwks_cache::KeySource::Discovery)],
            families,
        };
        let errors = JwksCache::new(specs, Outside::new().environment).err().unwrap_or_default();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let of = |entry: &str, form: &str| family(entry, form, "[a-z]+");
    assert_eq!(said(vec![of("a", "https://e.example/{cluster}"), of("b", "https://f.example/{cluster}")]), "");
    for (families, wanted) in [
        (vec![of("a", "https://e.example/{cluster}"), of("b", "https://e.example/x{cluster}")], "that of `a`"),
        (vec![of("plain", "https://e.example/{cluster}")], "two entries have this name"),
        (vec![of("a", "http://e.example/{cluster}")], "loopback"),
        (vec![of("a", "https://169.254.169.254/{cluster}")], "not dialled"),
        (vec![FamilySpec { algorithms: Vec::new(), ..of("a", "https://e.example/{cluster}") }], "no algorithm"),
    ] {
        let said = said(families);
        assert!(said.contains(wanted), "wanted {wanted}, got {said}");
    }
}

/// Every member of `range` exists, and has keys.
fn publish_many(fake: &FakeIssuer, range: std::ops::Range<usize>) {
    let keys = [jwk("forged")];
    for number in range {
        publish(fake, &format!("x{number}"), keys.clone());
    }
}

#[tokio::test]
async fn f5_forged_tokens_of_real_members_push_out_no_proven_or_named_member_and_hinder_neither() {
    let fake = FakeIssuer::start([]).await;
    publish(&fake, "real", [jwk("k1")]);
    publish(&fake, "named", [jwk("n1")]);
    publish_many(&fake, 0..1100);
    let dir = tempfile::tempdir().unwrap();
    let outside = Outside::with_state_dir(Some(dir.path().to_owned()));
    let (real, named) = (member(&fake, "real"), member(&fake, "named"));
    let cache = cache(&outside, FamilySpec { named: vec![named.clone()], ..clusters(&fake) });
    assert!(find(&cache, &real, "k1").await.is_ok());
    verified(&cache, &real);
    cache.refresh_due().await;

    let before = fake.requests();
    let mut turned_away = 0;
    for minute in 0..2_u64 {
        outside.clock.advance(Duration::from_secs(60));
        for number in 0..1100 {
            let forged = member(&fake, &format!("x{number}"));
            // Its keys are there, and no token of it ever verifies.
            match find(&cache, &forged, "forged").await {
                Ok(_) => {}
                Err(LookupError::Unavailable { .. }) => turned_away += 1,
                Err(LookupError::Unknown) => panic!("{forged} has that key"),
            }
        }
        assert!(has(&cache, &real, "k1"), "minute {minute}");
        assert!(cache.families()[0].members.len() <= 64 + 2, "minute {minute}");
    }
    assert!(turned_away > 2 * 800, "{turned_away}");
    // Two requests for each of at most 128 members at once, and two members a second.
    let asked = fake.requests() - before;
    assert!(asked <= 2 * (128 + 2 * 120 + 5), "{asked}");

    // The proven member rotates its keys, and the named one is asked for the first time.
    publish(&fake, "real", [jwk("k2")]);
    assert!(find(&cache, &real, "k2").await.is_ok());
    assert!(find(&cache, &named, "n1").await.is_ok());
    verified(&cache, &named);
    cache.refresh_due().await;
    // What nobody proved leaves nothing on disk: of two members a copy and a history each.
    let copies = std::fs::read_dir(dir.path()).unwrap().filter(|file| file.as_ref().unwrap().path().is_file()).count();
    let histories = std::fs::read_dir(dir.path().join("history")).unwrap().count();
    assert_eq!((copies, histories), (2, 2));
}

#[tokio::test]
async fn f5_made_up_members_that_stall_hinder_neither_a_named_nor_a_proven_nor_a_restored_member() {
    let fake = FakeIssuer::start([]).await;
    for cluster in ["real", "named", "old"] {
        publish(&fake, cluster, [jwk("k1")]);
    }
    for number in 0..1500 {
        fake.reply(&format!("/c/x{number}{DISCOVERY}"), Reply::Stall(Vec::new()));
    }
    let dir = tempfile::tempdir().unwrap();
    let outside = Outside::with_state_dir(Some(dir.path().to_owned()));
    let (real, named, old) = (member(&fake, "real"), member(&fake, "named"), member(&fake, "old"));
    let spec = FamilySpec { named: vec![named.clone()], ..clusters(&fake) };
    let first = cache(&outside, spec.clone());
    assert!(find(&first, &old, "k1").await.is_ok());
    verified(&first, &old);
    first.refresh_due().await;
    let cache = cache(&outside, spec);
    assert!(find(&cache, &real, "k1").await.is_ok());
    verified(&cache, &real);
    let before = fake.requests();
    let _flood = together((0..1500).map(|number| {
        let (cache, made_up) = (cache.clone(), member(&fake, &format!("x{number}")));
        async move { find(&cache, &made_up, "k1").await }
    }))
    .await;
    fake.arrived(before + 64).await;
    assert!(has(&cache, &real, "k1"));
    assert!(find(&cache, &named, "k1").await.is_ok());
    assert!(find(&cache, &old, "k1").await.is_ok(), "it was proven before the restart");
    publish(&fake, "real", [jwk("k2")]);
    assert!(find(&cache, &real, "k2").await.is_ok());
    // Discovery and keys of the named one, of the restored one nothing, of the proven one's refresh both.
    assert_eq!(fake.requests(), before + 64 + 2 + 2);
}

#[tokio::test]
async fn f5_a_member_is_proven_by_a_verified_token_and_not_by_a_fetch() {
    let fake = FakeIssuer::start([]).await;
    publish(&fake, "one", [jwk("k1")]);
    let dir = tempfile::tempdir().unwrap();
    let outside = Outside::with_state_dir(Some(dir.path().to_owned()));
    let cache = cache(&outside, clusters(&fake));
    let one = member(&fake, "one");
    assert!(find(&cache, &one, "k1").await.is_ok());
    let before = fake.requests();
    outside.clock.advance(HOUR / 2);
    assert!(has(&cache, &one, "k1"));
    cache.refresh_due().await;
    assert_eq!(fake.requests(), before, "only a proven member is kept fresh");
    assert_eq!(std::fs::read_dir(dir.path()).map_or(0, Iterator::count), 0);
    verified(&cache, &one);
    cache.refresh_due().await;
    assert!(fake.requests() > before);
    assert!(std::fs::read_dir(dir.path()).unwrap().count() > 0);
}
