//! The lists that are published, for whoever asks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use sts_token::StatusBits;
use sts_types::{StatusListId, StatusWindow, TokenRecord, UnixTime};
use tokio::sync::{Notify, watch};

use crate::Service;
use crate::reason::{Reason, Refused};

/// How long it is waited for a list that another process may have begun a moment ago.
const PATIENCE: Duration = Duration::from_secs(2);
/// Rounds after which a list that is still not there does not exist: the first may have begun too early to see it.
const ROUNDS: usize = 2;
/// When to ask again for a list that could not be brought up to date.
const RETRY: Duration = Duration::from_secs(5);

/// A signed list.
pub struct StatusList {
    /// The JWS.
    pub jwt: String,
    /// Its entity tag, quotes included.
    pub etag: String,
    pub(super) signed: UnixTime,
    pub(super) expires: UnixTime,
    /// `None` when every token is valid.
    pub(super) bits: Option<StatusBits>,
}

/// What is published, and what the background is to hear of.
pub(crate) struct Board {
    pub(super) lists: ArcSwap<HashMap<StatusListId, Arc<StatusList>>>,
    /// Tokens that are known to be revoked, each alone: they stay in the lists, whatever a look at all records found that began
    /// earlier.
    revoked_alone: Mutex<BTreeMap<StatusWindow, BTreeSet<u64>>>,
    /// Asks for a round at once.
    pub(super) wanted: Notify,
    /// Rounds so far that have published every list there is.
    pub(super) rounds: watch::Sender<u64>,
    pub(super) view: Mutex<StatusListsView>,
}

/// How the lists are, for operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusListsView {
    /// How many there are.
    pub lists: usize,
    /// Tokens in them that are not valid any more.
    pub invalid: usize,
    /// Monotonic time at which they were last brought up to date.
    pub updated: Option<Duration>,
    /// How long the last look at all records took.
    pub scan: Duration,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            lists: ArcSwap::default(),
            revoked_alone: Mutex::default(),
            wanted: Notify::new(),
            rounds: watch::Sender::new(0),
            view: Mutex::default(),
        }
    }
}

impl Board {
    /// Has the token of `record` in its list as soon as that is signed anew.
    pub(crate) fn revoked(&self, record: &TokenRecord) {
        self.note(record);
        self.wanted.notify_one();
    }

    /// Has the token of `record` in its list with the next round.
    pub(super) fn note(&self, record: &TokenRecord) {
        if let Some(index) = record.status_index {
            self.revoked_alone().entry(StatusWindow::of(record.exp)).or_default().insert(index);
        }
    }

    /// Has the records looked at for a rule that was made.
    pub(crate) fn rule_made(&self) {
        self.wanted.notify_one();
    }

    pub(super) fn revoked_alone(&self) -> MutexGuard<'_, BTreeMap<StatusWindow, BTreeSet<u64>>> {
        self.revoked_alone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn list(&self, id: StatusListId) -> Option<Arc<StatusList>> {
        self.lists.load().get(&id).map(Arc::clone)
    }
}

impl Service {
    /// The list of that name.
    ///
    /// # Errors
    /// `not_found` when there is no such list, or all of its tokens are dead; `store_unavailable` when it could not be brought up to
    /// date for so long that the last one is not to be relied on.
    pub async fn status_list(&self, name: &str) -> Result<Arc<StatusList>, Refused> {
        let id: StatusListId = name.parse().map_err(|_| Reason::NotFound)?;
        let found = match self.board.list(id) {
            Some(list) => Some(list),
            None if id.window.end() < self.clock.now() => None,
            None => self.awaited_list(id).await?,
        };
        let list = found.ok_or(Reason::NotFound)?;
        if list.expires <= self.clock.now() {
            return Err(out_of_date());
        }
        Ok(list)
    }

    /// How the status lists are.
    #[must_use]
    pub fn status_lists(&self) -> StatusListsView {
        *self.board.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn awaited_list(&self, id: StatusListId) -> Result<Option<Arc<StatusList>>, Refused> {
        let mut rounds = self.board.rounds.subscribe();
        let look = async {
            for _ in 0..ROUNDS {
                self.board.wanted.notify_one();
                // The sender lives as long as the board.
                let _ = rounds.changed().await;
                if let Some(list) = self.board.list(id) {
                    return Some(list);
                }
            }
            None
        };
        tokio::time::timeout(PATIENCE, look).await.map_err(|_| out_of_date())
    }
}

fn out_of_date() -> Refused {
    const UNDONE: &str = "the store does not answer right now; the status list could not be brought up to date";
    Refused { detail: Some(UNDONE.into()), ..Refused::for_now(Reason::StoreUnavailable, RETRY) }
}
