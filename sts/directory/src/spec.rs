//! What the configuration says of a directory.

use std::path::PathBuf;
use std::time::Duration;

use sts_types::{AccountId, DirectoryName};

use crate::dn::Dn;
use crate::filter::UserFilter;
use crate::group_ref::GroupRef;
use crate::login::Login;
use crate::server_url::ServerUrl;

/// One directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectorySpec {
    /// Its name in the configuration.
    pub name: DirectoryName,
    /// Its servers, at least one. They are tried in turn.
    pub urls: Vec<ServerUrl>,
    /// PEM certificates of the authorities that may sign the servers'. `None` for the system's.
    pub ca_file: Option<PathBuf>,
    /// The account that searches.
    pub bind: BindSpec,
    /// The entry that accounts and groups are below.
    pub base: Dn,
    /// How accounts and groups are found.
    pub kind: DirectoryKind,
    /// The time between two refreshes, at least a second.
    pub refresh: Duration,
    /// The age up to which a membership counts.
    pub max_age: Duration,
}

/// The account that searches a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindSpec {
    /// Its distinguished name. Active Directory also takes a userPrincipalName.
    pub dn: String,
    /// The file with its password, read anew for each bind.
    pub password_file: PathBuf,
}

/// How accounts and groups are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryKind {
    /// Active Directory or Samba.
    ActiveDirectory,
    /// Any other LDAP directory.
    Ldap {
        /// The filter that finds an account by its login.
        user_filter: UserFilter,
        /// The attribute of accounts and groups that names the groups they are in, `memberOf` by
        /// default.
        group_attribute: String,
    },
}

/// A service account with its login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedLogin {
    /// The service account. It has one login.
    pub account: AccountId,
    /// The directory.
    pub directory: DirectoryName,
    /// Its login there.
    pub login: Login,
}

/// A group that gives a team.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LinkedGroup {
    /// The directory.
    pub directory: DirectoryName,
    /// The group there.
    pub group: GroupRef,
}

/// Everything that the configuration and the managed objects say of directories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectoriesSpec {
    /// The directories, each name once.
    pub directories: Vec<DirectorySpec>,
    /// The logins, each account once.
    pub logins: Vec<LinkedLogin>,
    /// The groups.
    pub groups: Vec<LinkedGroup>,
}
