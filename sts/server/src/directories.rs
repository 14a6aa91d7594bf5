//! Directories: what the server asks them, and their answers as decisions see them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sts_audit::{Actor, DirectoryChanged};
use sts_config::Settings;
use sts_directory::{
    Directories, DirectoriesSpec, Environment, GroupRef, GroupState, LinkedGroup, LinkedLogin, Login, Persistence,
};
use sts_policy::{ExternalLogin, MemberOf, Memberships, NoMembership, RuleSet};
use sts_types::{AccountId, Clock, DirectoryName, Entropy, Seal, TeamName, UnixTime};

use crate::app_state::AppState;
use crate::start_error::StartError;

/// The folder of memberships in `data_dir`.
const FOLDER: &str = "directories";

/// Opens the directories of a server. Nobody is asked yet: what was kept over a restart counts.
pub(crate) fn open(
    settings: &Settings,
    rules: &RuleSet,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    seal: Arc<dyn Seal>,
) -> Result<Arc<Directories>, StartError> {
    let folder = settings.data_dir.join(FOLDER);
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder).map_err(|error| StartError::DataDir { path: folder.clone(), error })?;
    let environment = Environment { clock, entropy, persistence: Some(Persistence { folder, seal }) };
    Ok(Directories::new(spec(settings, rules), environment))
}

/// Everything that files and managed objects say of directories.
pub(crate) fn spec(settings: &Settings, rules: &RuleSet) -> DirectoriesSpec {
    if settings.directories.is_empty() {
        return DirectoriesSpec::default();
    }
    // Both were read once already, when they were decoded.
    let login = |(account, login): (&AccountId, &ExternalLogin)| {
        let (account, directory) = (account.clone(), login.directory.clone());
        Some(LinkedLogin { account, directory, login: Login::parse(&login.name).ok()? })
    };
    let group = |(directory, group): (&DirectoryName, &str)| {
        Some(LinkedGroup { directory: directory.clone(), group: GroupRef::parse(group).ok()? })
    };
    DirectoriesSpec {
        directories: settings.directories.clone(),
        logins: rules.external_logins().filter_map(login).collect(),
        groups: rules.directory_groups().filter_map(group).collect(),
    }
}

/// The answers of directories, as decisions see them. Lock-free.
#[derive(Debug)]
pub(crate) struct KnownMemberships(pub(crate) Arc<Directories>);

impl Memberships for KnownMemberships {
    fn of(&self, account: &AccountId, login: &ExternalLogin, now: UnixTime) -> Result<MemberOf, NoMembership> {
        MembershipsOf(&self.0.snapshot()).of(account, login, now)
    }

    fn group_fault(&self, directory: &DirectoryName, group: &str) -> Option<String> {
        MembershipsOf(&self.0.snapshot()).group_fault(directory, group)
    }
}

/// The answers of directories at one moment.
#[derive(Debug)]
struct MembershipsOf<'a>(&'a sts_directory::Memberships);

impl Memberships for MembershipsOf<'_> {
    fn of(&self, account: &AccountId, login: &ExternalLogin, now: UnixTime) -> Result<MemberOf, NoMembership> {
        // The rules may name another login than the directory was asked for.
        let is_of_login = |membership: &&sts_directory::Membership| {
            membership.directory == login.directory && membership.login.key() == &*login.key
        };
        let Some(membership) = self.0.of(account).filter(is_of_login) else {
            let (directory, name) = (&login.directory, &login.name);
            let cause = format!("the directory `{directory}` has not answered for `{name}` yet");
            return Err(NoMembership { cause, age: None });
        };
        let age = membership.age(now).map(|age| u64::try_from(age).unwrap_or(0));
        match membership.group_keys(now) {
            Ok(groups) => Ok(MemberOf { groups, age }),
            Err(error) => Err(NoMembership { cause: error.to_string(), age }),
        }
    }

    fn group_fault(&self, directory: &DirectoryName, group: &str) -> Option<String> {
        let parsed = GroupRef::parse(group).ok()?;
        Some(match self.0.group(directory, &parsed) {
            GroupState::Found => return None,
            GroupState::Never => format!("the directory `{directory}` has not answered for the group `{group}` yet"),
            GroupState::NotFound => format!("the directory `{directory}` has no group `{group}`"),
            GroupState::Replaced => format!(
                "the directory `{directory}` has another group by the name `{group}` than before: it gives nothing until a reload \
                 (SIGHUP) confirms it"
            ),
            GroupState::NoIdentity => format!(
                "the directory `{directory}` does not show the objectSid or entryUUID of the group `{group}`, so that one made anew \
                 could not be told from it"
            ),
        })
    }
}

/// Memberships as they are at `now`, for a token that is judged as of another time.
#[derive(Debug)]
pub(crate) struct MembershipsAt {
    pub(crate) memberships: Arc<dyn Memberships>,
    pub(crate) now: UnixTime,
}

impl Memberships for MembershipsAt {
    fn of(&self, account: &AccountId, login: &ExternalLogin, _: UnixTime) -> Result<MemberOf, NoMembership> {
        self.memberships.of(account, login, self.now)
    }

    fn group_fault(&self, directory: &DirectoryName, group: &str) -> Option<String> {
        self.memberships.group_fault(directory, group)
    }
}

/// Refreshes memberships for as long as the server runs.
pub(crate) async fn keep_memberships(state: Arc<AppState>) {
    Arc::clone(&state.directories).run(std::future::pending()).await;
}

/// Records each change of what directories say in the audit trail. Call it before
/// the first refresh: what was kept over a restart is then the state before, however old it is, and the same
/// answer after a long stop is no change.
pub(crate) fn record_directory_changes(state: Arc<AppState>) -> impl Future<Output = ()> {
    let mut refreshes = state.directories.subscribe();
    let mut before = Judged { memberships: state.directories.snapshot(), at: None };
    let mut failures = failures_of(&state.directories);
    async move {
        loop {
            let judged_at = before.at.unwrap_or_else(|| state.service.clock().now());
            tokio::select! {
                changed = refreshes.changed() => if changed.is_err() { return },
                // The word of a directory that is away ends by its age.
                () = next_end(&before.memberships, judged_at) => {}
            }
            let after = Judged { memberships: state.directories.snapshot(), at: Some(state.service.clock().now()) };
            // By the rules of this moment, so that another configuration is no change of a directory.
            let rules = Arc::clone(&state.service.snapshot().rules);
            let failures_now = failures_of(&state.directories);
            let health = changed_health(&failures, &failures_now);
            let now = after.at.unwrap_or(judged_at);
            for act in health.into_iter().chain(changed_teams(&rules, &before, &after, now)) {
                state.audit.record(&Actor::SERVER, act);
            }
            (before, failures) = (after, failures_now);
        }
    }
}

/// Waits from `now` until the next membership is too old to count.
async fn next_end(memberships: &sts_directory::Memberships, now: UnixTime) {
    let rest = |membership: &sts_directory::Membership| {
        let rest = i64::try_from(membership.max_age.as_secs()).ok()?.checked_sub(membership.age(now)?)?;
        u64::try_from(rest).ok()
    };
    match memberships.iter().filter_map(|(_, membership)| rest(membership)).min() {
        // It counts to the end of that second.
        Some(rest) => tokio::time::sleep(Duration::from_secs(rest + 1)).await,
        None => std::future::pending().await,
    }
}

/// What directories said.
struct Judged {
    memberships: Arc<sts_directory::Memberships>,
    /// When that is judged. `None` judges each membership as of the moment when it was fetched.
    at: Option<UnixTime>,
}

impl std::fmt::Debug for Judged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Judged").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Memberships for Judged {
    fn of(&self, account: &AccountId, login: &ExternalLogin, now: UnixTime) -> Result<MemberOf, NoMembership> {
        let fetched_at = || self.memberships.of(account).and_then(|membership| membership.fetched_at);
        let at = self.at.or_else(fetched_at).unwrap_or(now);
        MembershipsOf(&self.memberships).of(account, login, at)
    }

    fn group_fault(&self, directory: &DirectoryName, group: &str) -> Option<String> {
        MembershipsOf(&self.memberships).group_fault(directory, group)
    }
}

/// One event for each account whose teams changed.
fn changed_teams(rules: &RuleSet, before: &Judged, after: &Judged, now: UnixTime) -> Vec<DirectoryChanged> {
    let names = |teams: &BTreeSet<&TeamName>, others: &BTreeSet<&TeamName>| -> Vec<String> {
        teams.difference(others).map(|team| team.to_string()).collect()
    };
    let former = rules.directory_teams(before, now);
    let pairs = former.zip(rules.directory_teams(after, now)).filter(|(former, now)| former.teams != now.teams);
    pairs
        .map(|(former, now)| DirectoryChanged {
            object: format!("service-accounts/{}", now.account),
            directory: now.directory.to_string(),
            account: Some(now.account.to_string()),
            gained: names(&now.teams, &former.teams),
            lost: names(&former.teams, &now.teams),
            reachable: None,
            cause: now.withheld.map(|withheld| withheld.cause),
        })
        .collect()
}

/// The last failure of each directory, if its last refresh failed.
fn failures_of(directories: &Directories) -> BTreeMap<DirectoryName, Option<String>> {
    let status = directories.status().into_iter();
    status.map(|status| (status.name, status.last_failure.map(|failure| failure.to_string()))).collect()
}

/// One event for each directory whose refreshes began or ceased to fail.
fn changed_health(
    before: &BTreeMap<DirectoryName, Option<String>>,
    after: &BTreeMap<DirectoryName, Option<String>>,
) -> Vec<DirectoryChanged> {
    let changed = after.iter().filter(|&(name, failure)| {
        // A new directory is expected to answer.
        before.get(name).is_some_and(Option::is_some) != failure.is_some()
    });
    changed
        .map(|(name, failure)| DirectoryChanged {
            object: format!("directories/{name}"),
            directory: name.to_string(),
            reachable: Some(failure.is_none()),
            cause: failure.clone(),
            ..DirectoryChanged::default()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_changes_its_health_when_refreshes_begin_or_cease_to_fail() {
        let health = |entries: &[(&str, Option<&str>)]| {
            entries
                .iter()
                .map(|(name, failure)| (DirectoryName::new(name).unwrap(), failure.map(str::to_owned)))
                .collect::<BTreeMap<_, _>>()
        };
        let changes = |before, after| {
            let changes = changed_health(&health(before), &health(after)).into_iter();
            changes.map(|change| (change.directory, change.reachable, change.cause)).collect::<Vec<_>>()
        };
        let (well, away) = ([("a", None)], [("a", Some("refused"))]);
        assert_eq!(changes(&well, &away), [("a".to_owned(), Some(false), Some("refused".to_owned()))]);
        assert_eq!(changes(&away, &well), [("a".to_owned(), Some(true), None)]);
        assert_eq!(changes(&[], &away).len(), 1);
        for (before, after) in [(&well[..], &well[..]), (&away, &[("a", Some("timeout"))]), (&[], &well), (&away, &[])]
        {
            assert!(changes(before, after).is_empty(), "{before:?} {after:?}");
        }
    }
}
