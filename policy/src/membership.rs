//! What directories say of service accounts, as decisions see it.

use std::fmt;
use std::sync::Arc;

use sts_types::{AccountId, DirectoryName, UnixTime};

/// The login of a service account in a directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExternalLogin {
    /// The directory.
    pub directory: DirectoryName,
    /// The login as it is written.
    pub name: Arc<str>,
    /// The same for equal logins: letter case does not count.
    pub key: Arc<str>,
}

/// Memberships as they are known at the time of a decision. Nothing here waits for a directory.
pub trait Memberships: fmt::Debug + Send + Sync {
    /// The groups of an account by its login.
    ///
    /// # Errors
    /// [`NoMembership`] if it has none at all.
    fn of(&self, account: &AccountId, login: &ExternalLogin, now: UnixTime) -> Result<MemberOf, NoMembership>;

    /// Why a configured group gives nothing to anybody. `None` if nothing is wrong with it.
    fn group_fault(&self, directory: &DirectoryName, group: &str) -> Option<String>;
}

/// What a directory says of one login.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberOf {
    /// The keys of its groups, at least of the configured ones.
    pub groups: Arc<[Arc<str>]>,
    /// How old this is, in seconds. `None` if nobody was asked.
    pub age: Option<u64>,
}

/// Why an account has no groups at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoMembership {
    /// The cause as a clause that names the directory.
    pub cause: String,
    /// How old this is, in seconds, if the directory ever answered.
    pub age: Option<u64>,
}

/// No directory is asked. For decisions without a server.
#[derive(Clone, Copy, Debug)]
pub struct NoDirectory;

impl Memberships for NoDirectory {
    fn of(&self, _: &AccountId, login: &ExternalLogin, _: UnixTime) -> Result<MemberOf, NoMembership> {
        let cause = format!(
            "the directory `{}` is not asked here: only a running server knows its memberships",
            login.directory
        );
        Err(NoMembership { cause, age: None })
    }

    fn group_fault(&self, _: &DirectoryName, _: &str) -> Option<String> {
        None
    }
}

/// The groups of a policy test's token: the login of every account is in all of them.
#[derive(Debug)]
pub(crate) struct GroupsOfTest<'a>(pub(crate) &'a [Arc<str>]);

impl Memberships for GroupsOfTest<'_> {
    fn of(&self, _: &AccountId, _: &ExternalLogin, _: UnixTime) -> Result<MemberOf, NoMembership> {
        Ok(MemberOf { groups: self.0.into(), age: None })
    }

    fn group_fault(&self, _: &DirectoryName, _: &str) -> Option<String> {
        None
    }
}
