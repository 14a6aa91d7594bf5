//! What is known of memberships, for decisions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sts_types::{AccountId, DirectoryName, UnixTime};

use crate::group_ref::GroupRef;
use crate::login::Login;

/// How far a stored time may be ahead of the clock. A time beyond that is not trusted.
const MAX_CLOCK_SKEW: i64 = 60;

/// All memberships at one moment. It never changes; a refresh makes another.
#[derive(Debug, Default)]
pub struct Memberships {
    pub(crate) accounts: HashMap<AccountId, Arc<Membership>>,
    pub(crate) groups: HashMap<(DirectoryName, GroupRef), GroupState>,
}

/// What a directory says of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The directory.
    pub directory: DirectoryName,
    /// The account's login there.
    pub login: Login,
    /// When the directory said so. `None` if it never did.
    pub fetched_at: Option<UnixTime>,
    /// The age up to which this counts.
    pub max_age: Duration,
    /// What it said.
    pub state: MembershipState,
    /// The keys of the groups in `state`, made once for all decisions.
    pub(crate) group_keys: Arc<[Arc<str>]>,
}

/// What a directory says of one login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MembershipState {
    /// It is an account in these of the configured groups. Nested groups and the primary group
    /// count.
    Member(Vec<GroupRef>),
    /// The account is disabled.
    Disabled,
    /// The account has expired.
    Expired,
    /// The account is locked.
    Locked,
    /// No entry has this login.
    NotFound,
    /// Several entries have this login.
    Ambiguous,
    /// The account is in more groups than sts follows.
    TooManyGroups,
    /// The bind account does not see whether the account is disabled.
    Unreadable,
    /// The directory has not answered yet.
    Never,
}

/// Why an account has no groups at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoMembershipError {
    /// Its data is too old.
    #[error("the directory `{directory}` last answered {age} s ago, and memberships count for {max_age} s")]
    Stale {
        /// The directory.
        directory: DirectoryName,
        /// The age of the data in seconds.
        age: i64,
        /// The age up to which it counts, in seconds.
        max_age: u64,
    },
    /// The directory has never answered for this login.
    #[error("the directory `{directory}` has not answered for `{login}` yet")]
    Never {
        /// The directory.
        directory: DirectoryName,
        /// The login.
        login: Login,
    },
    /// The directory says that the account must not be used, or that there is none.
    #[error("the directory `{directory}` says of `{login}`: {says}")]
    Unusable {
        /// The directory.
        directory: DirectoryName,
        /// The login.
        login: Login,
        /// What it says, in words.
        says: &'static str,
    },
}

/// What is known of a configured group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupState {
    /// The directory has not answered yet.
    #[default]
    Never,
    /// It is there, and it is the group that was there first.
    Found,
    /// No group has this name. It gives nothing.
    NotFound,
    /// Another group has the name now. It gives nothing until a reload confirms it.
    Replaced,
    /// The entry has neither SID nor UUID, so a group made anew could not be told from it. It
    /// gives nothing.
    NoIdentity,
}

impl Memberships {
    /// What is known of an account; `None` if it has no login in a directory.
    #[must_use]
    pub fn of(&self, account: &AccountId) -> Option<&Membership> {
        self.accounts.get(account).map(|membership| &**membership)
    }

    /// All accounts with a login in a directory.
    pub fn iter(&self) -> impl Iterator<Item = (&AccountId, &Membership)> {
        self.accounts.iter().map(|(account, membership)| (account, &**membership))
    }

    /// What is known of a configured group.
    #[must_use]
    pub fn group(&self, directory: &DirectoryName, group: &GroupRef) -> GroupState {
        self.groups.get(&(directory.clone(), group.clone())).copied().unwrap_or_default()
    }
}

impl Membership {
    /// The configured groups that the account is in at `now`.
    ///
    /// # Errors
    /// [`NoMembershipError`] if it has none because the data is too old or the account unusable.
    pub fn groups(&self, now: UnixTime) -> Result<&[GroupRef], NoMembershipError> {
        let directory = || self.directory.clone();
        let never = || NoMembershipError::Never { directory: directory(), login: self.login.clone() };
        let age = self.age(now).ok_or_else(never)?;
        let max_age = self.max_age.as_secs();
        if age < -MAX_CLOCK_SKEW || age > i64::try_from(max_age).unwrap_or(i64::MAX) {
            return Err(NoMembershipError::Stale { directory: directory(), age, max_age });
        }
        match &self.state {
            MembershipState::Member(groups) => Ok(groups),
            MembershipState::Never => Err(never()),
            other => Err(NoMembershipError::Unusable {
                directory: directory(),
                login: self.login.clone(),
                says: other.in_words(),
            }),
        }
    }

    /// As [`Membership::groups`], by their [keys](GroupRef::key). Cheap to call.
    ///
    /// # Errors
    /// As [`Membership::groups`].
    pub fn group_keys(&self, now: UnixTime) -> Result<Arc<[Arc<str>]>, NoMembershipError> {
        self.groups(now).map(|_| Arc::clone(&self.group_keys))
    }

    /// Seconds since the directory said so.
    #[must_use]
    pub fn age(&self, now: UnixTime) -> Option<i64> {
        self.fetched_at.map(|fetched_at| now.since(fetched_at))
    }
}

impl MembershipState {
    /// The state in words, for a person.
    #[must_use]
    pub const fn in_words(&self) -> &'static str {
        match self {
            Self::Member(_) => "the account is there and usable",
            Self::Disabled => "the account is disabled",
            Self::Expired => "the account has expired",
            Self::Locked => "the account is locked",
            Self::NotFound => "no entry has this login",
            Self::Ambiguous => "several entries have this login",
            Self::TooManyGroups => "the account is in more groups than sts follows",
            Self::Unreadable => "the bind account cannot read the account's userAccountControl",
            Self::Never => "the directory has not answered yet",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership(fetched_at: Option<i64>, state: MembershipState) -> Membership {
        Membership {
            directory: DirectoryName::new("corp").unwrap(),
            login: Login::parse("build").unwrap(),
            fetched_at: fetched_at.map(UnixTime::from_secs),
            max_age: Duration::from_secs(3600),
            state,
            group_keys: Arc::default(),
        }
    }

    #[test]
    fn a_membership_counts_up_to_its_age_and_not_a_second_longer() {
        let groups = vec![GroupRef::parse("CN=a,DC=b").unwrap()];
        let fresh = membership(Some(1000), MembershipState::Member(groups.clone()));
        assert_eq!(fresh.groups(UnixTime::from_secs(4600)), Ok(&groups[..]));
        let stale = fresh.groups(UnixTime::from_secs(4601)).unwrap_err();
        assert_eq!(
            stale.to_string(),
            "the directory `corp` last answered 3601 s ago, and memberships count for 3600 s"
        );
        // A clock that was set back does not make it count for longer.
        assert_eq!(fresh.groups(UnixTime::from_secs(940)), Ok(&groups[..]));
        assert!(matches!(fresh.groups(UnixTime::from_secs(939)), Err(NoMembershipError::Stale { .. })));
    }

    #[test]
    fn no_other_state_gives_groups() {
        for state in [
            MembershipState::Disabled,
            MembershipState::Expired,
            MembershipState::Locked,
            MembershipState::NotFound,
            MembershipState::Ambiguous,
            MembershipState::TooManyGroups,
            MembershipState::Unreadable,
            MembershipState::Never,
        ] {
            let words = state.in_words();
            let error = membership(Some(1000), state).groups(UnixTime::from_secs(1000)).unwrap_err();
            assert!(error.to_string().contains("`corp`"), "{words}: {error}");
        }
        let never = membership(None, MembershipState::Never).groups(UnixTime::from_secs(0)).unwrap_err();
        assert_eq!(never.to_string(), "the directory `corp` has not answered for `build` yet");
    }
}
