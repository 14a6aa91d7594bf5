//! The contract of [`RefusalStore`], one function per promise.

use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;

use serde_json::json;
use sts_types::{Clock as _, RequestId};

use super::{ManualClock, START};
use crate::{ListedRefusal, REFUSAL_KEPT, RefusalPayload, RefusalShare, RefusalStore, StoredRefusal};

/// A fresh, empty store of refusals and its clock.
pub struct RefusalRig {
    /// The store.
    pub refusals: Arc<dyn RefusalStore>,
    /// Its clock, at [`START`].
    pub clock: Arc<ManualClock>,
    /// Anything that must live as long as the store: a directory, a server.
    pub keep: Box<dyn Any + Send>,
}

impl std::fmt::Debug for RefusalRig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RefusalRig").finish_non_exhaustive()
    }
}

/// Runs the whole contract on the store that `$make` makes (`async fn() -> RefusalRig`).
#[macro_export]
macro_rules! refusal_contract_tests {
    ($make:path) => {
        $crate::behaviours! { $make:
            fld42_a_refusal_is_found_by_its_request_and_listed_newest_first
            fld42_a_refusal_is_forgotten_after_a_day
            a_list_names_what_the_caller_knows_and_reads_the_rest
        }
    };
}

/// Runs the tests of a store of refusals that is one whole. Shards divide its capacity.
#[macro_export]
macro_rules! refusal_capacity_tests {
    ($make:path) => {
        $crate::behaviours! { $make:
            fld42_no_flood_pushes_out_what_others_have
        }
    };
}

/// A refusal of request `number` for `share`, this many milliseconds after [`START`].
pub fn refusal(number: u32, share: u64, millis: u64) -> StoredRefusal {
    StoredRefusal {
        request_id: request_id(number),
        time_millis: START.as_secs().unsigned_abs() * 1000 + millis,
        share: RefusalShare { is_small: false, number: share },
        payload: RefusalPayload::of(&json!({ "number": number, "text": "\u{e9}\"\\\n" })).unwrap(),
    }
}

fn request_id(number: u32) -> RequestId {
    RequestId::new(&format!("01J{number:023}")).unwrap()
}

async fn found(rig: &RefusalRig, number: u32) -> Option<StoredRefusal> {
    rig.refusals.find(request_id(number)).await.unwrap()
}

/// The latest refusals, all of which are read.
async fn latest(rig: &RefusalRig, limit: usize) -> Vec<StoredRefusal> {
    let listed = rig.refusals.latest(limit, Arc::default()).await.unwrap();
    let count = listed.len();
    let read = |listed| match listed {
        ListedRefusal::Read(refusal) => Some(refusal),
        ListedRefusal::Known { .. } => None,
    };
    let read: Vec<StoredRefusal> = listed.into_iter().filter_map(read).collect();
    assert_eq!(read.len(), count, "one was not read");
    read
}

/// A refusal comes back whole, and an unknown one is not found.
pub async fn fld42_a_refusal_is_found_by_its_request_and_listed_newest_first(rig: &RefusalRig) {
    assert_eq!(latest(rig, 10).await, []);
    assert_eq!(found(rig, 1).await, None);
    rig.refusals.remember(vec![refusal(1, 7, 1), refusal(3, 8, 3)]).await.unwrap();
    rig.refusals.remember(vec![refusal(2, 7, 2)]).await.unwrap();
    assert_eq!(found(rig, 2).await, Some(refusal(2, 7, 2)));
    assert_eq!(found(rig, 4).await, None);
    let all = latest(rig, 10).await;
    assert_eq!(all, [refusal(3, 8, 3), refusal(2, 7, 2), refusal(1, 7, 1)]);
    assert_eq!(latest(rig, 2).await, all[..2]);
    assert_eq!(latest(rig, 0).await, []);
}

/// What the caller knows is named in its place. It is in no list that it would not be in.
pub async fn a_list_names_what_the_caller_knows_and_reads_the_rest(rig: &RefusalRig) {
    rig.refusals.remember(vec![refusal(1, 7, 0), refusal(2, 7, 5_000), refusal(3, 7, 6_000)]).await.unwrap();
    let known: Arc<HashSet<_>> = Arc::new([1, 2, 4].map(request_id).into());
    let listed = rig.refusals.latest(10, Arc::clone(&known)).await.unwrap();
    let named = |number, millis| {
        let StoredRefusal { request_id, time_millis, .. } = refusal(number, 7, millis);
        ListedRefusal::Known { request_id, time_millis }
    };
    assert_eq!(listed, [ListedRefusal::Read(refusal(3, 7, 6_000)), named(2, 5_000), named(1, 0)]);
    assert_eq!(rig.refusals.latest(2, Arc::clone(&known)).await.unwrap(), listed[..2]);
    rig.clock.advance(REFUSAL_KEPT.unsigned_abs() + 1);
    rig.refusals.forget(rig.clock.now()).await.unwrap();
    assert_eq!(rig.refusals.latest(10, known).await.unwrap(), listed[..2], "the oldest is forgotten");
}

/// It is remembered for a whole day and no longer.
pub async fn fld42_a_refusal_is_forgotten_after_a_day(rig: &RefusalRig) {
    rig.refusals.remember(vec![refusal(1, 7, 0), refusal(2, 7, 5_000)]).await.unwrap();
    rig.clock.advance(REFUSAL_KEPT.unsigned_abs());
    rig.refusals.forget(rig.clock.now()).await.unwrap();
    assert!(found(rig, 1).await.is_some());
    rig.clock.advance(1);
    assert_eq!(found(rig, 1).await, None, "before it is swept, too");
    assert_eq!(latest(rig, 10).await, [refusal(2, 7, 5_000)]);
    rig.refusals.forget(rig.clock.now()).await.unwrap();
    rig.clock.set_back(1);
    assert_eq!(found(rig, 1).await, None, "gone for good");
    assert!(found(rig, 2).await.is_some());
}

/// A full store drops the oldest of the largest share, and strangers have a small space of their
/// own.
pub async fn fld42_no_flood_pushes_out_what_others_have(rig: &RefusalRig) {
    rig.refusals.remember((0..20).map(|number| refusal(number, u64::from(number % 2), 0)).collect()).await.unwrap();
    for batch in 1..=20 {
        let flood = (0..256).map(|number| refusal(1000 * batch + number, 99, u64::from(batch)));
        rig.refusals.remember(flood.collect()).await.unwrap();
        let strangers = (0..64).map(|number| {
            let share = RefusalShare { is_small: true, number: 5 };
            StoredRefusal { share, ..refusal(100_000 + 1000 * batch + number, 0, u64::from(batch)) }
        });
        rig.refusals.remember(strangers.collect()).await.unwrap();
    }
    rig.refusals.forget(rig.clock.now()).await.unwrap();
    let kept = latest(rig, 10_000).await;
    let of =
        |share: u64, is_small| kept.iter().filter(|own| own.share == RefusalShare { is_small, number: share }).count();
    assert_eq!((of(0, false), of(1, false), of(99, false), of(5, true)), (10, 10, 4096 - 20, 256));
    assert!(found(rig, 20_255).await.is_some(), "the newest of the flood");
    assert_eq!(found(rig, 1000).await, None, "the oldest of it");
}
