//! The published status lists, served to verifiers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use sts_token::StatusBits;
use sts_types::{AccountId, StatusListId, StatusWindow, TokenRecord, UnixTime};
use tokio::sync::{Notify, watch};

use super::StatusLists;
use crate::reason::{Reason, RefusedError};

/// How long a request waits for a list that another process may have started a moment ago.
const PATIENCE: Duration = Duration::from_secs(2);
/// Passes after which a missing list does not exist. The first pass may have started too early to
/// see it.
const MAX_PASSES: usize = 2;
/// `Retry-After` when the lists cannot be brought up to date.
const RETRY: Duration = Duration::from_secs(5);

/// A signed status list.
pub struct StatusList {
    /// The list as a JWT.
    pub jwt: String,
    /// The entity tag, including quotes.
    pub etag: String,
    pub(super) signed: UnixTime,
    pub(super) expires: UnixTime,
    /// `None` if every token is valid.
    pub(super) bits: Option<StatusBits>,
}

impl std::fmt::Debug for StatusList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatusList")
            .field("etag", &self.etag)
            .field("signed", &self.signed)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// The published lists, and the events that the background task waits for.
pub(crate) struct PublishedLists {
    pub(super) lists: ArcSwap<HashMap<StatusListId, Arc<StatusList>>>,
    /// Indexes of tokens that were revoked one by one. They stay in the lists, even if an older
    /// scan of the records did not see the revocation.
    revoked_alone: Mutex<BTreeMap<StatusWindow, BTreeSet<u64>>>,
    /// The accounts with tokens that may have come from a revoked one, and when to look for them.
    families: Mutex<BTreeMap<AccountId, UnixTime>>,
    /// Asks for a pass at once.
    pub(super) requested: Notify,
    /// Number of passes that published every list.
    pub(super) passes: watch::Sender<u64>,
    pub(super) view: Mutex<StatusListsView>,
}

/// State of the status lists, for operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusListsView {
    /// Number of lists.
    pub lists: usize,
    /// Number of tokens in them that are no longer valid.
    pub invalid: usize,
    /// Monotonic time of the last update.
    pub updated: Option<Duration>,
    /// Duration of the last scan of all records.
    pub scan: Duration,
}

impl Default for PublishedLists {
    fn default() -> Self {
        Self {
            lists: ArcSwap::default(),
            revoked_alone: Mutex::default(),
            families: Mutex::default(),
            requested: Notify::new(),
            passes: watch::Sender::new(0),
            view: Mutex::default(),
        }
    }
}

impl PublishedLists {
    /// Marks the token of `record` as revoked and asks for a pass now.
    pub(crate) fn revoked(&self, record: &TokenRecord) {
        self.note(record);
        self.requested.notify_one();
    }

    /// Marks the token of `record` as revoked. The next pass publishes it.
    pub(super) fn note(&self, record: &TokenRecord) {
        if let Some(index) = record.status_index {
            self.revoked_alone().entry(StatusWindow::of(record.exp)).or_default().insert(index);
            self.look_for_family(record.account.clone(), UnixTime::from_secs(0));
        }
    }

    /// Has the account's records scanned at `at` or later, for tokens that came from a revoked one.
    pub(super) fn look_for_family(&self, account: AccountId, at: UnixTime) {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = families.entry(account).or_insert(at);
        *earliest = at.min(*earliest);
    }

    /// The accounts whose records are to be scanned now.
    pub(super) fn families_due(&self, now: UnixTime) -> Vec<(AccountId, UnixTime)> {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let due: Vec<_> =
            families.iter().filter(|(_, at)| **at <= now).map(|(account, at)| (account.clone(), *at)).collect();
        for (account, _) in &due {
            families.remove(account);
        }
        due
    }

    /// Asks for a pass now, because there is a new revocation rule.
    pub(crate) fn rule_made(&self) {
        self.requested.notify_one();
    }

    pub(super) fn revoked_alone(&self) -> MutexGuard<'_, BTreeMap<StatusWindow, BTreeSet<u64>>> {
        self.revoked_alone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn list(&self, id: StatusListId) -> Option<Arc<StatusList>> {
        self.lists.load().get(&id).map(Arc::clone)
    }
}

impl StatusLists {
    /// The list with that name. `None` if there is no such list, or all of its tokens have expired.
    ///
    /// # Errors
    /// `store_unavailable` if the lists were not brought up to date for so long that the last one
    /// has expired.
    pub(crate) async fn status_list(&self, name: &str) -> Result<Option<Arc<StatusList>>, RefusedError> {
        let Ok(id) = name.parse::<StatusListId>() else { return Ok(None) };
        let found = match self.published.list(id) {
            Some(list) => Some(list),
            // A window that has ended gets no new list, so do not wait for one.
            None if id.window.end() < self.clock.now() => None,
            None => self.awaited_list(id).await?,
        };
        if found.as_ref().is_some_and(|list| list.expires <= self.clock.now()) {
            return Err(out_of_date());
        }
        Ok(found)
    }

    /// The state of the status lists.
    pub(crate) fn status_lists(&self) -> StatusListsView {
        *self.published.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a list that the next passes may publish.
    async fn awaited_list(&self, id: StatusListId) -> Result<Option<Arc<StatusList>>, RefusedError> {
        let mut passes = self.published.passes.subscribe();
        let wait = async {
            for _ in 0..MAX_PASSES {
                self.published.requested.notify_one();
                // Never fails: the sender lives as long as this service.
                let _ = passes.changed().await;
                if let Some(list) = self.published.list(id) {
                    return Some(list);
                }
            }
            None
        };
        tokio::time::timeout(PATIENCE, wait).await.map_err(|_| out_of_date())
    }
}

fn out_of_date() -> RefusedError {
    const UNDONE: &str = "the store does not answer right now; the status list could not be brought up to date";
    RefusedError { detail: Some(UNDONE.into()), ..RefusedError::for_now(Reason::StoreUnavailable, RETRY) }
}
