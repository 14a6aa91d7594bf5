//! The latest refusals in memory. A look-up reads them first, and they wait here until the store
//! has them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use sts_store::{Capacity, ListedRefusal, RefusalShare, StoredRefusal, surplus};
use sts_types::RequestId;
use tokio::sync::Notify;

/// The capacity of the memory.
const HELD: Capacity = Capacity { full: 1024, small: 128 };
/// How far the memory may exceed its capacity before the surplus is removed.
const SLACK: usize = 64;

/// A bounded memory, shared fairly: who floods it evicts only his own refusals, which no general
/// cache can promise. Its lock is held for a push or a scan, never over I/O.
#[derive(Default)]
pub(crate) struct Refusals {
    held: Mutex<VecDeque<HeldRefusal>>,
    /// Signalled for each refusal that is not stored yet.
    arrived: Notify,
    /// Refusals that were removed before the store had them.
    dropped: AtomicU64,
}

struct HeldRefusal {
    refusal: StoredRefusal,
    is_stored: bool,
}

impl Refusals {
    pub(crate) fn remember(&self, refusal: StoredRefusal) {
        let mut held = self.lock();
        held.push_back(HeldRefusal { refusal, is_stored: false });
        if held.len() > HELD.full + SLACK
            || held.iter().filter(|held| held.refusal.share.is_small).count() > HELD.small + SLACK
        {
            let rows = held.iter().map(|held| (held.refusal.share, held.refusal.request_id.clone()));
            let removed: HashSet<RequestId> = surplus(rows.collect::<Vec<_>>(), HELD).into_iter().collect();
            let lost = held.iter().filter(|held| !held.is_stored && removed.contains(&held.refusal.request_id)).count();
            self.dropped.fetch_add(lost as u64, Ordering::Relaxed);
            held.retain(|held| !removed.contains(&held.refusal.request_id));
        }
        drop(held);
        self.arrived.notify_one();
    }

    pub(crate) fn find(&self, request_id: &RequestId) -> Option<StoredRefusal> {
        self.lock().iter().rev().find(|held| held.refusal.request_id == *request_id).map(|held| held.refusal.clone())
    }

    /// All refusals in memory, oldest first. Those of `known` requests are named only.
    pub(crate) fn all(&self, known: &HashSet<RequestId>) -> Vec<ListedRefusal> {
        let listed = |held: &HeldRefusal| match known.get(&held.refusal.request_id) {
            Some(request_id) => {
                ListedRefusal::Known { request_id: request_id.clone(), time_millis: held.refusal.time_millis }
            }
            None => ListedRefusal::Read(held.refusal.clone()),
        };
        self.lock().iter().map(listed).collect()
    }

    /// Up to `count` refusals that the store does not have yet, taken from each share in turn.
    pub(crate) fn unstored(&self, count: usize) -> Vec<StoredRefusal> {
        let held = self.lock();
        let mut counts: HashMap<RefusalShare, usize> = HashMap::new();
        let mut waiting: Vec<(usize, &StoredRefusal)> = held
            .iter()
            .filter(|held| !held.is_stored)
            .map(|held| {
                let position = counts.entry(held.refusal.share).or_default();
                *position += 1;
                (*position, &held.refusal)
            })
            .collect();
        waiting.sort_by_key(|(position, _)| *position);
        waiting.into_iter().take(count).map(|(_, refusal)| refusal.clone()).collect()
    }

    /// Marks these refusals as stored.
    pub(crate) fn stored(&self, request_ids: &HashSet<RequestId>) {
        for held in self.lock().iter_mut().filter(|held| request_ids.contains(&held.refusal.request_id)) {
            held.is_stored = true;
        }
    }

    /// Waits until there is a refusal that the store does not have.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// How many refusals were removed before the store had them.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<HeldRefusal>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(number: usize, share: u64, is_small: bool) -> StoredRefusal {
        StoredRefusal {
            request_id: RequestId::new(&format!("01J{number:023}")).unwrap(),
            time_millis: number as u64,
            share: RefusalShare { is_small, number: share },
            payload: sts_store::RefusalPayload::of(&()).unwrap(),
        }
    }

    #[test]
    fn fld42_a_flood_leaves_what_others_have_and_the_store_gets_each_share_in_turn() {
        let refusals = Refusals::default();
        refusals.remember(refusal(0, 1, false));
        (1..5000).for_each(|number| refusals.remember(refusal(number, 2, false)));
        (5000..9000).for_each(|number| refusals.remember(refusal(number, 3, true)));
        assert!(refusals.find(&refusal(0, 1, false).request_id).is_some());
        assert!(refusals.find(&refusal(4999, 2, false).request_id).is_some(), "the newest of the flood");
        assert!(refusals.all(&HashSet::new()).len() <= HELD.full + HELD.small + 2 * SLACK);
        assert!(refusals.dropped() > 0);
        let first: Vec<u64> = refusals.unstored(3).iter().map(|refusal| refusal.share.number).collect();
        assert_eq!(first.iter().collect::<HashSet<_>>().len(), 3, "{first:?}");
        let stored: HashSet<RequestId> = refusals.unstored(3).into_iter().map(|refusal| refusal.request_id).collect();
        refusals.stored(&stored);
        assert!(refusals.unstored(10_000).iter().all(|refusal| !stored.contains(&refusal.request_id)));
    }
}
