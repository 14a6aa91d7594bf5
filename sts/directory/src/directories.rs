//! All directories of a server: their refresh in the background, and what they said last.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use moka::sync::Cache;
use sts_types::{Clock, DirectoryName, Entropy, Seal, UnixTime};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::failure::{DirectoryError, FailureCause};
use crate::group_ref::GroupRef;
use crate::kept::{Kept, KeptGroup, KeptLogin};
use crate::known::{KnownDirectory, KnownGroup};
use crate::login::Login;
use crate::membership::{GroupState, Membership, MembershipState, Memberships};
use crate::refresh::{Outcome, Request, refresh};
use crate::spec::{DirectoriesSpec, DirectorySpec, LinkedGroup, LinkedLogin};

/// The most logins in memory.
const MAX_CACHED: u64 = 1_000_000;
/// How long a login stays in memory that no account has any more.
const MAX_IDLE: Duration = Duration::from_secs(7 * 24 * 3600);
/// The longest that the task sleeps.
const MAX_WAIT: Duration = Duration::from_secs(3600);

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
#[derive(Clone)]
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
    cache: Cache<(Arc<str>, Login), Arc<Fetched>>,
    memberships: ArcSwap<Memberships>,
    /// Wakes the task that refreshes.
    changed: Notify,
    refreshes: watch::Sender<u64>,
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
            cache: Cache::builder().max_capacity(MAX_CACHED).time_to_idle(MAX_IDLE).build(),
            memberships: ArcSwap::default(),
            changed: Notify::new(),
            refreshes: watch::Sender::new(0),
        };
        directories.reconfigure(spec);
        Arc::new(directories)
    }

    /// Refreshes in the background until `shutdown`.
    pub async fn run(self: Arc<Self>, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut running = JoinSet::new();
        loop {
            let wait = self.start_due(&mut running);
            tokio::select! {
                () = &mut shutdown => return,
                () = self.changed.notified() => {}
                Some(joined) = running.join_next() => match joined {
                    Ok(outcome) => self.finish(outcome).await,
                    // Attempts run in tasks of their own, so this is no server's doing.
                    Err(error) => self.restart_all(&error),
                },
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// What the directories said last. Lock-free.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Memberships> {
        self.memberships.load_full()
    }

    /// Counts refreshes that ended, well or not. Its receiver learns of each.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.refreshes.subscribe()
    }

    /// Puts another configuration in force. What is known of logins and groups that stay is kept;
    /// new ones are asked for at once. Blocks on the folder for a new directory.
    pub fn reconfigure(&self, spec: DirectoriesSpec) {
        let now = self.environment.clock.monotonic();
        let mut state = self.state();
        let former = std::mem::replace(&mut state.spec, spec);
        let mut known = std::mem::take(&mut state.known);
        let State { spec, known: by_name } = &mut *state;
        for directory in &spec.directories {
            let scope = scope(directory);
            let kept = known.remove(&directory.name).filter(|known| *known.scope == *scope);
            let mut of = kept.unwrap_or_else(|| self.recall(directory, scope.into()));
            let is_same = former.directories.contains(directory);
            if !is_same {
                of.server = 0;
            }
            if !is_same || asks_more(spec, &former, &directory.name) {
                of.schedule.hurry(now);
            }
            by_name.insert(directory.name.clone(), of);
        }
        self.publish(&state);
        drop(state);
        self.changed.notify_one();
    }

    /// Accepts the groups that have the configured names now, as the refresh finds them that begins
    /// at once. For a reload that a person asked for. If that refresh fails, the next one accepts them, up
    /// to `max_age` later.
    pub fn confirm_groups(&self) {
        let now = self.environment.clock.monotonic();
        for known in self.state().known.values_mut() {
            known.confirmed_at = Some(now);
            known.schedule.hurry(now);
        }
        self.changed.notify_one();
    }

    /// Asks every directory at once.
    pub fn refresh_now(&self) {
        let now = self.environment.clock.monotonic();
        for known in self.state().known.values_mut() {
            known.schedule.hurry(now);
        }
        self.changed.notify_one();
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

    /// What was kept of a directory over a restart.
    fn recall(&self, directory: &DirectorySpec, scope: Arc<str>) -> KnownDirectory {
        let read = self.environment.persistence.as_ref().map(|kept| kept.read(&directory.name, &scope));
        let kept = read.unwrap_or(Ok(None)).unwrap_or_else(|error| {
            let name = &directory.name;
            tracing::warn!(directory = %name, %error, "the kept memberships of a directory are not used; it is asked anew");
            None
        });
        let mut known = KnownDirectory { scope, ..KnownDirectory::default() };
        let Some(kept) = kept else { return known };
        known.last_success = kept.last_success;
        for group in kept.groups {
            known.groups.insert(group.group, KnownGroup { identity: Some(group.identity), state: group.state });
        }
        for login in kept.logins {
            let fetched = Fetched { state: login.state, at: login.at };
            self.cache.insert((Arc::clone(&known.scope), login.login), Arc::new(fetched));
        }
        known
    }

    /// Starts the refreshes that are due. Returns the time until the next is.
    fn start_due(&self, running: &mut JoinSet<Outcome>) -> Duration {
        let now = self.environment.clock.monotonic();
        let mut state = self.state();
        let State { spec, known } = &mut *state;
        let mut wait = MAX_WAIT;
        for directory in &spec.directories {
            let Some(known) = known.get_mut(&directory.name) else { continue };
            let schedule = &mut known.schedule;
            if schedule.is_running {
                continue;
            }
            if schedule.next_at > now {
                wait = wait.min(schedule.next_at.saturating_sub(now));
                continue;
            }
            schedule.is_running = true;
            schedule.started_at = Some(now);
            schedule.next_at = now + self.jittered(directory.refresh);
            let request = request(spec, directory, known, now);
            running.spawn(refresh(request, Arc::clone(&self.environment.clock)));
        }
        wait
    }

    /// Forgets which refreshes run. One ended without an outcome, and nothing tells which.
    fn restart_all(&self, error: &tokio::task::JoinError) {
        tracing::error!(%error, "the refresh of a directory ended without an outcome");
        self.state().known.values_mut().for_each(|known| known.schedule.is_running = false);
    }

    /// The interval, shorter by up to a tenth, so that replicas spread out.
    fn jittered(&self, interval: Duration) -> Duration {
        let mut octets = [0; 2];
        self.environment.entropy.fill(&mut octets);
        interval.saturating_sub(interval.mul_f64(f64::from(u16::from_be_bytes(octets)) / 655_350.0))
    }

    /// Puts the outcome of a refresh in force, and keeps it over a restart.
    async fn finish(&self, outcome: Outcome) {
        let name = outcome.request.spec.name.clone();
        let kept = self.accept(outcome);
        if let (Some(kept), Some(persistence)) = (kept, &self.environment.persistence) {
            let persistence = persistence.clone();
            let write = move || persistence.write(&name, &kept.0, &kept.1).map_err(|error| (name, error));
            if let Ok(Err((name, error))) = tokio::task::spawn_blocking(write).await {
                tracing::warn!(directory = %name, %error, "the memberships of a directory cannot be kept for a restart");
            }
        }
        self.refreshes.send_modify(|count| *count += 1);
    }

    /// Puts the outcome of a refresh in force. Returns what to keep.
    fn accept(&self, outcome: Outcome) -> Option<(Arc<str>, Kept)> {
        let mut state = self.state();
        let State { spec, known } = &mut *state;
        let name = &outcome.request.spec.name;
        let known = known.get_mut(name)?;
        known.schedule.is_running = false;
        known.searches += outcome.searches;
        for failure in &outcome.failures {
            *known.failures.entry(failure.cause).or_default() += 1;
        }
        // The answer to a question that nobody asks any more is no answer.
        let is_current = *scope(&outcome.request.spec) == *known.scope;
        let Some((answer, at, server)) = outcome.answer.filter(|_| is_current) else {
            if is_current {
                known.confirmed_at = known.confirmed_at.or(outcome.request.confirmed_at);
            }
            if let Some(failure) = outcome.failures.last() {
                known.fail(name, failure);
            }
            return None;
        };
        for failure in &outcome.failures {
            tracing::warn!(directory = %name, cause = failure.cause.name(), error = %failure, "a server of a directory failed, and another answered");
        }
        if known.last_failure.take().is_some() {
            tracing::info!(directory = %name, "the directory answers again");
        }
        known.server = server;
        known.last_success = Some(at);
        known.note_groups(name, answer.groups, outcome.request.confirmed_at.is_some());
        for (login, state) in answer.accounts {
            let state = known.without_refused(state);
            self.cache.insert((Arc::clone(&known.scope), login), Arc::new(Fetched { state, at }));
        }
        let kept = self.kept(spec, name, known);
        self.publish(&state);
        Some(kept)
    }

    fn kept(&self, spec: &DirectoriesSpec, name: &DirectoryName, known: &KnownDirectory) -> (Arc<str>, Kept) {
        let login = |link: &LinkedLogin| {
            let fetched = self.cache.get(&(Arc::clone(&known.scope), link.login.clone()))?;
            Some(KeptLogin { login: link.login.clone(), at: fetched.at, state: fetched.state.clone() })
        };
        let group = |(group, known): (&GroupRef, &KnownGroup)| {
            Some(KeptGroup { group: group.clone(), identity: known.identity.clone()?, state: known.state })
        };
        let logins = spec.logins.iter().filter(|link| link.directory == *name).filter_map(login).collect();
        let groups = known.groups.iter().filter_map(group).collect();
        (Arc::clone(&known.scope), Kept { last_success: known.last_success, logins, groups })
    }

    /// Makes the snapshot anew.
    fn publish(&self, state: &State) {
        let max_ages: HashMap<&DirectoryName, Duration> =
            state.spec.directories.iter().map(|directory| (&directory.name, directory.max_age)).collect();
        let group_state = |link: &LinkedGroup| {
            let group = state.known.get(&link.directory).and_then(|known| known.groups.get(&link.group));
            group.map(|group| group.state).unwrap_or_default()
        };
        let groups: HashMap<(DirectoryName, GroupRef), GroupState> = state
            .spec
            .groups
            .iter()
            .map(|link| ((link.directory.clone(), link.group.clone()), group_state(link)))
            .collect();
        let keys: HashMap<&GroupRef, Arc<str>> =
            state.spec.groups.iter().map(|link| (&link.group, link.group.key().into())).collect();
        let accounts = state.spec.logins.iter().map(|link| {
            let known = state.known.get(&link.directory);
            let fetched = known.and_then(|known| self.cache.get(&(Arc::clone(&known.scope), link.login.clone())));
            let counts =
                |group: &GroupRef| groups.get(&(link.directory.clone(), group.clone())) == Some(&GroupState::Found);
            let membership_state = match fetched.as_ref().map(|fetched| &fetched.state) {
                None => MembershipState::Never,
                Some(MembershipState::Member(groups)) => {
                    MembershipState::Member(groups.iter().filter(|group| counts(group)).cloned().collect())
                }
                Some(other) => other.clone(),
            };
            let group_keys = match &membership_state {
                MembershipState::Member(groups) => groups.iter().filter_map(|group| keys.get(group).cloned()).collect(),
                _ => Arc::default(),
            };
            let membership = Membership {
                directory: link.directory.clone(),
                login: link.login.clone(),
                fetched_at: fetched.as_ref().map(|fetched| fetched.at),
                max_age: max_ages.get(&link.directory).copied().unwrap_or_default(),
                state: membership_state,
                group_keys,
            };
            (link.account.clone(), Arc::new(membership))
        });
        let accounts = accounts.collect();
        self.memberships.store(Arc::new(Memberships { accounts, groups }));
    }
}

/// Whether `spec` has a login or group of a directory that the former configuration had not. The
/// cache may know of it, but from an earlier time.
fn asks_more(spec: &DirectoriesSpec, former: &DirectoriesSpec, name: &DirectoryName) -> bool {
    let logins: HashSet<&Login> =
        former.logins.iter().filter(|link| link.directory == *name).map(|link| &link.login).collect();
    let groups: HashSet<&LinkedGroup> = former.groups.iter().collect();
    spec.logins.iter().any(|link| link.directory == *name && !logins.contains(&link.login))
        || spec.groups.iter().any(|link| link.directory == *name && !groups.contains(link))
}

fn request(spec: &DirectoriesSpec, directory: &DirectorySpec, known: &mut KnownDirectory, now: Duration) -> Request {
    let logins: HashSet<Login> =
        spec.logins.iter().filter(|link| link.directory == directory.name).map(|link| link.login.clone()).collect();
    let groups: HashSet<GroupRef> =
        spec.groups.iter().filter(|link| link.directory == directory.name).map(|link| link.group.clone()).collect();
    Request {
        spec: directory.clone(),
        logins: logins.into_iter().collect(),
        groups: groups.into_iter().collect(),
        first_server: known.server,
        confirmed_at: known.confirmed_at.take().filter(|at| now.saturating_sub(*at) <= directory.max_age),
    }
}

/// What decides which entries a login and a group are: two directories with one scope are the same.
fn scope(directory: &DirectorySpec) -> String {
    format!("{}\n{}\n{:?}", directory.name, directory.base.key(), directory.kind)
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

#[cfg(test)]
mod tests {
    use sts_types::AccountId;

    use super::*;
    use crate::dialect::Identity;
    use crate::dn::Dn;
    use crate::lookup::{Answer, FoundGroup};
    use crate::{BindSpec, DirectoryKind};

    const MAX_AGE: Duration = Duration::from_secs(600);

    #[derive(Debug)]
    struct Fixed;
    impl Clock for Fixed {
        fn now_millis(&self) -> u64 {
            1_790_000_000_000
        }
        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
    }
    impl Entropy for Fixed {
        fn fill(&self, octets: &mut [u8]) {
            octets.fill(0);
        }
    }

    fn group() -> GroupRef {
        GroupRef::parse("CN=deployers,DC=corp").unwrap()
    }

    fn directories() -> Arc<Directories> {
        let name = DirectoryName::new("corp").unwrap();
        let directory = DirectorySpec {
            name: name.clone(),
            urls: Vec::new(),
            ca_file: None,
            bind: BindSpec { dn: "CN=sts".to_owned(), password_file: "secret".into() },
            base: Dn::parse("DC=corp").unwrap(),
            kind: DirectoryKind::ActiveDirectory,
            refresh: Duration::from_secs(60),
            max_age: MAX_AGE,
        };
        let login = Login::parse("build").unwrap();
        let spec = DirectoriesSpec {
            directories: vec![directory],
            logins: vec![LinkedLogin { account: AccountId::new("build").unwrap(), directory: name.clone(), login }],
            groups: vec![LinkedGroup { directory: name, group: group() }],
        };
        Directories::new(spec, Environment { clock: Arc::new(Fixed), entropy: Arc::new(Fixed), persistence: None })
    }

    impl Directories {
        /// A refresh that begins at `now`. The group that it finds has that id; without one, it fails.
        fn refresh_at(&self, now: Duration, id: Option<&str>) {
            let request = {
                let mut state = self.state();
                let State { spec, known } = &mut *state;
                let directory = spec.directories.first().unwrap().clone();
                request(spec, &directory, known.get_mut(&directory.name).unwrap(), now)
            };
            let answer = id.map(|id| Answer {
                accounts: vec![(Login::parse("build").unwrap(), MembershipState::Member(vec![group()]))],
                groups: HashMap::from([(group(), FoundGroup::Identity(Identity::of_sid(&id.parse().unwrap())))]),
            });
            let failures = if id.is_some() {
                Vec::new()
            } else {
                vec![DirectoryError::new(FailureCause::Connection, "refused".to_owned())]
            };
            let answer = answer.map(|answer| (answer, UnixTime::from_secs(1_790_000_000), 0));
            self.accept(Outcome { request, answer, failures, searches: 1 });
        }

        fn gives(&self) -> bool {
            let snapshot = self.snapshot();
            let membership = snapshot.of(&AccountId::new("build").unwrap()).unwrap();
            let now = UnixTime::from_secs(1_790_000_000);
            let keys = membership.group_keys(now).unwrap();
            assert_eq!(
                membership.groups(now).unwrap().iter().map(GroupRef::key).collect::<Vec<_>>(),
                keys.iter().map(|key| key.to_string()).collect::<Vec<_>>()
            );
            !keys.is_empty()
        }
    }

    #[test]
    fn a_refresh_that_fails_leaves_the_confirmation_to_the_next_one_up_to_max_age() {
        let at = Duration::from_secs;
        let asked = |asks: bool| {
            let directories = directories();
            directories.refresh_at(at(0), Some("S-1-5-21-1"));
            assert!(directories.gives());
            directories.refresh_at(at(0), Some("S-1-5-21-2"));
            assert!(!directories.gives(), "another group has the name");
            if asks {
                directories.confirm_groups();
            }
            directories.refresh_at(at(1), None);
            directories.refresh_at(at(60), None);
            directories
        };
        let confirmed = asked(true);
        confirmed.refresh_at(MAX_AGE, Some("S-1-5-21-2"));
        assert!(confirmed.gives());
        // Once is enough: the next group of that name is not confirmed.
        confirmed.refresh_at(MAX_AGE, Some("S-1-5-21-3"));
        assert!(!confirmed.gives());
        let late = asked(true);
        late.refresh_at(MAX_AGE + at(1), Some("S-1-5-21-2"));
        assert!(!late.gives());
        let unasked = asked(false);
        unasked.refresh_at(at(120), Some("S-1-5-21-2"));
        assert!(!unasked.gives());
    }
}
