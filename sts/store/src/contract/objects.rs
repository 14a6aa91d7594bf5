//! The contract of [`ObjectStore`], one function per promise.

use std::any::Any;
use std::sync::Arc;

use serde_json::json;
use sts_types::{ApiKeyId, Jti, UnixTime};

use super::{ManualClock, START, record, revocation, rule};
use crate::{
    Committed, KeyUse, Ledger, ManagedObject, ObjectChange, ObjectChanges, ObjectKey, ObjectKind, ObjectStore, UseKey,
};

/// A fresh, empty store of objects with its ledger and clock.
pub struct ObjectRig {
    /// The objects.
    pub objects: Arc<dyn ObjectStore>,
    /// The ledger of the same store.
    pub ledger: Arc<dyn Ledger>,
    /// Its clock, at [`START`].
    pub clock: Arc<ManualClock>,
    /// Anything that must live as long as the store: a directory, a server.
    pub keep: Box<dyn Any + Send>,
}

impl std::fmt::Debug for ObjectRig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectRig").finish_non_exhaustive()
    }
}

/// Runs the whole contract on the store that `$make` makes (`async fn() -> ObjectRig`).
#[macro_export]
macro_rules! object_contract_tests {
    ($make:path) => {
        $crate::behaviours! { $make:
            a_new_store_has_no_objects
            an_object_is_read_as_it_was_written
            objects_come_in_the_order_of_their_keys
            a_commit_sets_the_revision_of_each_object
            a_commit_at_another_sequence_writes_nothing
            of_many_commits_at_one_sequence_exactly_one_is_done
            a_commit_without_changes_leaves_the_sequence
            of_several_changes_of_one_object_the_last_one_counts
            an_object_that_is_made_again_has_another_revision
            removing_what_is_not_there_is_no_error
            changes_are_those_since_a_sequence
            changes_of_a_sequence_that_is_not_there_cannot_be_told
            more_changes_than_a_store_keeps_are_told_whole_or_not_at_all
            readers_see_whole_commits_only
            objects_and_revocations_do_not_meet
            of_the_uses_of_a_key_the_latest_stays
            of_the_uses_of_an_account_the_latest_stays_and_old_ones_are_forgotten
        }
    };
}

/// An object of this name, whose spec holds `note`.
pub fn object(kind: ObjectKind, name: &str, note: &str) -> ManagedObject {
    ManagedObject {
        key: object_key(kind, name),
        spec: json!({ "note": note }),
        revision: 0,
        created_at: START,
        created_by: "admin token".to_owned(),
        updated_at: START.plus(7),
        updated_by: "ops".to_owned(),
    }
}

/// The key of an object.
pub fn object_key(kind: ObjectKind, name: &str) -> ObjectKey {
    ObjectKey { kind, name: name.to_owned() }
}

fn team(name: &str, note: &str) -> ManagedObject {
    object(ObjectKind::Teams, name, note)
}

fn put(object: ManagedObject) -> ObjectChange {
    ObjectChange::Put(object)
}

fn delete(name: &str) -> ObjectChange {
    ObjectChange::Delete(object_key(ObjectKind::Teams, name))
}

/// Sequence 0, and no change since.
pub async fn a_new_store_has_no_objects(rig: &ObjectRig) {
    assert_eq!(rig.objects.objects().await.unwrap(), crate::ManagedObjects::default());
    assert_eq!(rig.since(0).await, Some(ObjectChanges::default()));
    assert_eq!(rig.objects.uses().await.unwrap(), []);
}

/// Every kind, any name, and foreign text in any depth.
pub async fn an_object_is_read_as_it_was_written(rig: &ObjectRig) {
    let spec = json!({
        "text": "\u{e9}\"\\\n\u{202e}", "number": -1.5, "large": u64::MAX, "none": null, "list": [[], {}, [{"a": true}]],
        "long": "x".repeat(60_000),
    });
    let names = ["a", "A", "a:b", "a/b", "{a}", "*", "\u{e9}", "e\u{301}", "", "0"];
    let mut written = Vec::new();
    for kind in ObjectKind::ALL {
        for name in names {
            written.push(ManagedObject { spec: spec.clone(), ..object(kind, name, "") });
        }
    }
    let revision = rig.put(written.clone()).await;
    written.sort_by(|a, b| a.key.cmp(&b.key));
    written.iter_mut().for_each(|object| object.revision = revision);
    let stored = rig.objects.objects().await.unwrap();
    assert_eq!(stored.sequence, revision);
    assert_eq!(stored.objects, written);
    assert_eq!(rig.since(0).await.unwrap().changes, written.into_iter().map(put).collect::<Vec<_>>());
}

/// Whatever the order in which they were written.
pub async fn objects_come_in_the_order_of_their_keys(rig: &ObjectRig) {
    for (kind, name) in [
        (ObjectKind::ApiKeys, "a"),
        (ObjectKind::Teams, "b"),
        (ObjectKind::Teams, "a"),
        (ObjectKind::Issuers, "z"),
        (ObjectKind::Teams, "a-b"),
    ] {
        rig.put(vec![object(kind, name, "")]).await;
    }
    let stored = rig.objects.objects().await.unwrap().objects;
    let keys: Vec<_> = stored.iter().map(|object| (object.key.kind, object.key.name.as_str())).collect();
    let wanted = [
        (ObjectKind::Issuers, "z"),
        (ObjectKind::Teams, "a"),
        (ObjectKind::Teams, "a-b"),
        (ObjectKind::Teams, "b"),
        (ObjectKind::ApiKeys, "a"),
    ];
    assert_eq!(keys, wanted);
}

/// Whatever revision the caller gave. Other objects keep theirs.
pub async fn a_commit_sets_the_revision_of_each_object(rig: &ObjectRig) {
    let first = rig.put(vec![ManagedObject { revision: 99, ..team("a", "1") }, team("b", "1")]).await;
    let second = rig.put(vec![ManagedObject { revision: first, ..team("b", "2") }, team("c", "1")]).await;
    assert!(second > first);
    assert_eq!(rig.revisions().await, [("a".to_owned(), first), ("b".to_owned(), second), ("c".to_owned(), second)]);
}

/// It names the current sequence.
pub async fn a_commit_at_another_sequence_writes_nothing(rig: &ObjectRig) {
    let first = rig.put(vec![team("a", "1")]).await;
    let second = rig.put(vec![team("a", "2")]).await;
    let before = rig.objects.objects().await.unwrap();
    for at in [0, first, second + 1, u64::MAX] {
        let outcome = rig.objects.commit(at, vec![put(team("a", "3")), put(team("b", "3")), delete("a")]).await;
        assert_eq!(outcome.unwrap(), Committed::Stale(second), "{at}");
        assert_eq!(rig.objects.objects().await.unwrap(), before, "{at}");
    }
    assert_eq!(rig.since(second).await.unwrap().changes, []);
}

/// 50 at once, in several rounds: each round has one winner, whose objects are there whole.
pub async fn of_many_commits_at_one_sequence_exactly_one_is_done(rig: &ObjectRig) {
    for round in 0..4 {
        let at = rig.sequence().await;
        let commits = (0..50).map(|n| {
            let note = format!("{round}-{n}");
            rig.objects.commit(at, vec![put(team("a", &note)), put(team("b", &note)), put(team(&note, &note))])
        });
        let outcomes = futures_util::future::try_join_all(commits).await.unwrap();
        let done: Vec<_> = (0..50).filter(|n| matches!(outcomes[*n], Committed::Done(_))).collect();
        assert_eq!(done.len(), 1, "{outcomes:?}");
        let note = format!("{round}-{}", done[0]);
        let stored = rig.objects.objects().await.unwrap();
        assert_eq!(outcomes[done[0]], Committed::Done(stored.sequence));
        assert!(
            outcomes.iter().all(
                |outcome| matches!(outcome, Committed::Done(now) | Committed::Stale(now) if *now == stored.sequence)
            )
        );
        let of_winner: Vec<_> =
            stored.objects.iter().filter(|object| object.revision == stored.sequence).map(|o| &o.key.name).collect();
        assert_eq!(of_winner, [&note, "a", "b"]);
        assert_eq!(stored.objects.len(), 3 + round);
    }
}

/// It still says whether the sequence is the current one.
pub async fn a_commit_without_changes_leaves_the_sequence(rig: &ObjectRig) {
    assert_eq!(rig.objects.commit(0, vec![]).await.unwrap(), Committed::Done(0));
    let first = rig.put(vec![team("a", "1")]).await;
    assert_eq!(rig.objects.commit(first, vec![]).await.unwrap(), Committed::Done(first));
    assert_eq!(rig.objects.commit(0, vec![]).await.unwrap(), Committed::Stale(first));
    assert_eq!(rig.sequence().await, first);
}

/// In one commit, and over several.
pub async fn of_several_changes_of_one_object_the_last_one_counts(rig: &ObjectRig) {
    let changes = vec![
        put(team("a", "1")),
        put(team("b", "1")),
        put(team("a", "2")),
        delete("b"),
        delete("c"),
        put(team("c", "3")),
        put(team("c", "4")),
    ];
    let first = rig.commit(changes).await;
    let revised = |name: &str, note: &str, revision| ManagedObject { revision, ..team(name, note) };
    let wanted = [revised("a", "2", first), revised("c", "4", first)];
    assert_eq!(rig.objects.objects().await.unwrap().objects, wanted);
    let [a, c] = wanted;
    assert_eq!(rig.since(0).await.unwrap().changes, [put(a), delete("b"), put(c.clone())]);
    let second = rig.commit(vec![delete("a"), put(team("a", "5"))]).await;
    assert_eq!(rig.since(0).await.unwrap().changes, [put(revised("a", "5", second)), delete("b"), put(c)]);
}

/// So that nobody takes the new object for the one that he read.
pub async fn an_object_that_is_made_again_has_another_revision(rig: &ObjectRig) {
    let mut seen = Vec::new();
    for _ in 0..3 {
        let made = rig.put(vec![team("a", "1")]).await;
        let gone = rig.commit(vec![delete("a")]).await;
        assert_eq!(rig.revisions().await, []);
        assert!(gone > made);
        seen.push(made);
    }
    seen.push(rig.put(vec![team("a", "1")]).await);
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
}

/// It is a commit like any other.
pub async fn removing_what_is_not_there_is_no_error(rig: &ObjectRig) {
    let first = rig.put(vec![team("a", "1")]).await;
    let second = rig.commit(vec![delete("b"), put(team("c", "1"))]).await;
    let third = rig.commit(vec![ObjectChange::Delete(object_key(ObjectKind::Apis, "a"))]).await;
    assert!(first < second && second < third);
    assert_eq!(rig.revisions().await, [("a".to_owned(), first), ("c".to_owned(), second)]);
}

/// The last change of each object, in the order of the keys, and nothing older.
pub async fn changes_are_those_since_a_sequence(rig: &ObjectRig) {
    let first = rig.put(vec![team("b", "1"), team("a", "1"), team("d", "1")]).await;
    let second = rig.commit(vec![put(team("c", "2")), delete("a")]).await;
    let third = rig.commit(vec![put(team("b", "3")), delete("c")]).await;
    let revised = |name: &str, note: &str, revision| put(ManagedObject { revision, ..team(name, note) });
    let (b, d) = (revised("b", "3", third), revised("d", "1", first));
    for (sequence, changes) in [
        (third, vec![]),
        (second, vec![b.clone(), delete("c")]),
        (first, vec![delete("a"), b.clone(), delete("c")]),
        (0, vec![delete("a"), b, delete("c"), d]),
    ] {
        assert_eq!(rig.since(sequence).await, Some(ObjectChanges { sequence: third, changes }), "since {sequence}");
    }
}

/// For example after an operator accepted an older store. Nobody goes on with objects that are gone.
pub async fn changes_of_a_sequence_that_is_not_there_cannot_be_told(rig: &ObjectRig) {
    let first = rig.put(vec![team("a", "1")]).await;
    assert_eq!(rig.since(first + 1).await, None);
    assert_eq!(rig.since(u64::MAX).await, None);
}

/// A list of changes is never cut off.
pub async fn more_changes_than_a_store_keeps_are_told_whole_or_not_at_all(rig: &ObjectRig) {
    let name = |n: usize| format!("t{n:05}");
    let first = rig.put(vec![team("first", "1")]).await;
    let many = rig.put((0..5_000).map(|n| team(&name(n), &"x".repeat(900))).collect()).await;
    let last = rig.commit(vec![delete(&name(7)), put(team("last", "1"))]).await;
    let stored = rig.objects.objects().await.unwrap();
    assert_eq!((stored.sequence, stored.objects.len()), (last, 5_001));
    for sequence in [0, first, many, last] {
        let Some(told) = rig.since(sequence).await else { continue };
        let mut wanted: Vec<_> =
            stored.objects.iter().filter(|object| object.revision > sequence).cloned().map(put).collect();
        wanted.extend((sequence < last).then(|| delete(&name(7))));
        wanted.sort_by(|a, b| a.key().cmp(b.key()));
        assert_eq!(told.sequence, last);
        assert!(told.changes == wanted, "since {sequence}: {} of {}", told.changes.len(), wanted.len());
    }
    assert!(rig.since(last).await.is_some(), "one who is up to date reads nothing");
}

/// Each state that is read is that of some commit.
pub async fn readers_see_whole_commits_only(rig: &ObjectRig) {
    let first = rig.put(vec![team("a", "0"), team("b", "0")]).await;
    let write = async {
        for n in 1..30 {
            rig.put(vec![team("a", &n.to_string()), team("b", &n.to_string())]).await;
        }
    };
    let read = async {
        for _ in 0..30 {
            let stored = rig.objects.objects().await.unwrap();
            let [a, b] = &stored.objects[..] else { unreachable!("{stored:?}") };
            assert_eq!((&a.spec, a.revision, b.revision), (&b.spec, stored.sequence, stored.sequence));
            if let Some(told) = rig.since(first).await
                && let [ObjectChange::Put(a), ObjectChange::Put(b)] = &told.changes[..]
            {
                assert_eq!((&a.spec, a.revision, b.revision), (&b.spec, told.sequence, told.sequence));
            }
        }
    };
    futures_util::future::join(write, read).await;
}

/// Neither changes the other, and no sweep forgets an object.
pub async fn objects_and_revocations_do_not_meet(rig: &ObjectRig) {
    rig.ledger.issue(record("a", "octo"), vec![]).await.unwrap();
    rig.put(vec![team("a", "1")]).await;
    rig.ledger.revoke(revocation("a", "leaked")).await.unwrap();
    let made = rig.ledger.revoke(rule("octo", START.plus(1000))).await.unwrap();
    let sequence = rig.put(vec![team("b", "1")]).await;
    assert_eq!(*rig.ledger.rules().await.unwrap(), [made]);
    assert!(rig.ledger.look_up(Jti::new("a").unwrap()).await.unwrap().unwrap().revoked.is_some());
    let before = rig.objects.objects().await.unwrap();
    assert_eq!((before.sequence, before.objects.len()), (sequence, 2));
    rig.clock.advance(1_000_000);
    rig.ledger.sweep(START.plus(1_000_000)).await.unwrap();
    assert_eq!(*rig.ledger.rules().await.unwrap(), []);
    assert_eq!(rig.objects.objects().await.unwrap(), before);
    rig.ledger.ready().await.unwrap();
}

/// The last uses of accounts and identities: replicas tell of theirs in any order.
pub async fn of_the_uses_of_an_account_the_latest_stays_and_old_ones_are_forgotten(rig: &ObjectRig) {
    let key = |account: &str, identity: Option<&str>| UseKey {
        account: account.to_owned(),
        identity: identity.map(str::to_owned),
    };
    let (octo, main, other) = (key("octo", None), key("octo", Some("main \u{e9} branch")), key("other", Some("main")));
    let all = vec![octo.clone(), main.clone(), other.clone(), key("octo", Some("branch"))];
    assert_eq!(rig.objects.last_uses(vec![]).await.unwrap(), []);
    assert_eq!(rig.objects.last_uses(all.clone()).await.unwrap(), [None; 4]);
    let at = UnixTime::from_secs;
    rig.objects.record_last_uses(vec![], None).await.unwrap();
    let uses = vec![(octo.clone(), at(1_900_000_010)), (main.clone(), at(1_900_000_010)), (other, at(5))];
    rig.objects.record_last_uses(uses, None).await.unwrap();
    // Another server is slower to tell of an earlier use.
    rig.objects.record_last_uses(vec![(octo, at(1_900_000_009)), (main, at(1_900_000_011))], None).await.unwrap();
    let told = [Some(at(1_900_000_010)), Some(at(1_900_000_011)), Some(at(5)), None];
    assert_eq!(rig.objects.last_uses(all.clone()).await.unwrap(), told);
    rig.objects.record_last_uses(vec![], Some(at(6))).await.unwrap();
    assert_eq!(rig.objects.last_uses(all).await.unwrap(), [told[0], told[1], None, None]);
}

/// By the time of the use, whatever the order in which they are written.
pub async fn of_the_uses_of_a_key_the_latest_stays(rig: &ObjectRig) {
    let id = |n: u8| ApiKeyId::new(&format!("0123456789a{n}")).unwrap();
    let used = |seconds: i64, from: &str| KeyUse { at: START.plus(seconds), from: from.to_owned() };
    rig.objects.record_uses(vec![]).await.unwrap();
    rig.objects
        .record_uses(vec![
            (id(1), used(10, "192.0.2.1")),
            (id(2), used(5, "2001:db8::1")),
            (id(1), used(9, "192.0.2.2")),
        ])
        .await
        .unwrap();
    rig.objects.record_uses(vec![(id(1), used(8, "192.0.2.3")), (id(2), used(6, "192.0.2.4"))]).await.unwrap();
    let mut uses = rig.objects.uses().await.unwrap();
    uses.sort_by_key(|(_, used)| std::cmp::Reverse(used.at));
    assert_eq!(uses, [(id(1), used(10, "192.0.2.1")), (id(2), used(6, "192.0.2.4"))]);
    assert_eq!(rig.sequence().await, 0, "a use is no change of an object");
}

impl ObjectRig {
    /// Commits `changes` at the current sequence, and returns the new one.
    async fn commit(&self, changes: Vec<ObjectChange>) -> u64 {
        let at = self.sequence().await;
        let Committed::Done(sequence) = self.objects.commit(at, changes).await.unwrap() else {
            unreachable!("somebody else commits")
        };
        assert!(sequence > at);
        sequence
    }

    async fn put(&self, objects: Vec<ManagedObject>) -> u64 {
        self.commit(objects.into_iter().map(put).collect()).await
    }

    async fn sequence(&self) -> u64 {
        self.objects.objects().await.unwrap().sequence
    }

    async fn since(&self, sequence: u64) -> Option<ObjectChanges> {
        self.objects.changes_since(sequence).await.unwrap()
    }

    async fn revisions(&self) -> Vec<(String, u64)> {
        let stored = self.objects.objects().await.unwrap();
        stored.objects.into_iter().map(|object| (object.key.name, object.revision)).collect()
    }
}
