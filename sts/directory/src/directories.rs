//! All directories of a server: their refresh in the background, and what they said last.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use moka::sync::Cache;
use sts_types::{Clock, DirectoryName, Entropy, Seal, UnixTime};
use tokio::sync::Notify;

use crate::failure::{DirectoryError, FailureCause};
use crate::group_ref::GroupRef;
use crate::login::Login;
use crate::membership::{GroupState, Membership, MembershipState, Memberships};
use crate::spec::{DirectoriesSpec, LinkedGroup};

/// The most logins in memory.
const MAX_CACHED: u64 = 100_000;

/// What [`Directories`] need of the process.
pub struct Environment {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for jitter.
    pub entropy: Arc<dyn Entropy>,
    /// Where memberships are kept over a restart. `None` keeps none.
    pub persistence: Option<Persistence>,
}

/// A folder for memberships, one file a directory.
pub struct Persistence {
    /// An existing folder that is private to this process.
    pub folder: PathBuf,
    /// The seal on each file.
    pub seal: Arc<dyn Seal>,
}

/// The directories.
pub struct Directories {
    environment: Environment,
    state: Mutex<State>,
    /// What directories said of logins, those of accounts that are gone included: an account that
    /// comes back finds its own.
    cache: Cache<(DirectoryName, Login), Arc<Fetched>>,
    memberships: ArcSwap<Memberships>,
    /// Wakes the refresh of every directory.
    changed: Notify,
}

/// What a directory said of a login.
#[derive(Debug)]
struct Fetched {
    state: MembershipState,
    at: UnixTime,
}

#[derive(Default)]
struct State {
    spec: DirectoriesSpec,
    known: HashMap<DirectoryName, KnownDirectory>,
}

/// What is known of a directory, beside its accounts.
#[derive(Default)]
struct KnownDirectory {
    groups: HashMap<GroupRef, GroupState>,
    last_success: Option<UnixTime>,
    failures: BTreeMap<FailureCause, u64>,
    searches: u64,
    last_failure: Option<DirectoryError>,
}

/// How the refresh of one directory goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryStatus {
    /// The directory.
    pub name: DirectoryName,
    /// The last refresh that succeeded. It may be from before a restart.
    pub last_success: Option<UnixTime>,
    /// Failures by cause since the start: one for each server that failed in a refresh. Every cause
    /// is here, those without a failure too.
    pub failures: Vec<(FailureCause, u64)>,
    /// Searches since the start.
    pub searches: u64,
    /// The last failure, until a refresh succeeds.
    pub last_failure: Option<DirectoryError>,
}

impl Directories {
    /// Reads what was kept, and asks nobody. Blocks on the folder of `environment`.
    #[must_use]
    pub fn new(spec: DirectoriesSpec, environment: Environment) -> Arc<Self> {
        let directories = Self {
            environment,
            state: Mutex::default(),
            cache: Cache::new(MAX_CACHED),
            memberships: ArcSwap::default(),
            changed: Notify::new(),
        };
        directories.reconfigure(spec);
        Arc::new(directories)
    }

    /// Refreshes in the background until `shutdown`.
    pub async fn run(self: Arc<Self>, shutdown: impl Future<Output = ()> + Send) {
        shutdown.await;
    }

    /// What the directories said last. Lock-free.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Memberships> {
        self.memberships.load_full()
    }

    /// Puts another configuration in force. What is known of logins and groups that stay is kept;
    /// new ones are asked for at once.
    pub fn reconfigure(&self, spec: DirectoriesSpec) {
        let mut state = self.state();
        state.known.retain(|name, _| spec.directories.iter().any(|directory| directory.name == *name));
        state.spec = spec;
        self.publish(&state);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Accepts the groups that have the configured names now. For a reload that a person asked for.
    pub fn confirm_groups(&self) {
        for known in self.state().known.values_mut() {
            known.groups.clear();
        }
        self.changed.notify_waiters();
    }

    /// How each directory's refresh goes.
    #[must_use]
    pub fn status(&self) -> Vec<DirectoryStatus> {
        let state = self.state();
        let of = |name: &DirectoryName| {
            let known = state.known.get(name);
            let failures = |cause| known.and_then(|known| known.failures.get(&cause)).copied().unwrap_or(0);
            DirectoryStatus {
                name: name.clone(),
                last_success: known.and_then(|known| known.last_success),
                failures: FailureCause::ALL.iter().map(|cause| (*cause, failures(*cause))).collect(),
                searches: known.map_or(0, |known| known.searches),
                last_failure: known.and_then(|known| known.last_failure.clone()),
            }
        };
        state.spec.directories.iter().map(|directory| of(&directory.name)).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the snapshot anew.
    fn publish(&self, state: &State) {
        let max_age = |name: &DirectoryName| {
            let directory = state.spec.directories.iter().find(|directory| directory.name == *name);
            directory.map(|directory| directory.max_age).unwrap_or_default()
        };
        let accounts = state.spec.logins.iter().map(|link| {
            let fetched = self.cache.get(&(link.directory.clone(), link.login.clone()));
            let membership = Membership {
                directory: link.directory.clone(),
                login: link.login.clone(),
                fetched_at: fetched.as_ref().map(|fetched| fetched.at),
                max_age: max_age(&link.directory),
                state: fetched.map_or(MembershipState::Never, |fetched| fetched.state.clone()),
            };
            (link.account.clone(), Arc::new(membership))
        });
        let group_state = |link: &LinkedGroup| {
            state
                .known
                .get(&link.directory)
                .and_then(|known| known.groups.get(&link.group))
                .cloned()
                .unwrap_or_default()
        };
        let groups =
            state.spec.groups.iter().map(|link| ((link.directory.clone(), link.group.clone()), group_state(link)));
        self.memberships.store(Arc::new(Memberships { accounts: accounts.collect(), groups: groups.collect() }));
    }
}

impl std::fmt::Debug for Directories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directories").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment").field("persistence", &self.persistence).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Persistence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Persistence").field("folder", &self.folder).finish_non_exhaustive()
    }
}
