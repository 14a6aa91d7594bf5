//! What is wrong with a directory's configuration, for a person who sets it up.

use std::fmt;

use sts_types::DirectoryName;

use crate::group_ref::GroupRef;
use crate::login::Login;
use crate::server_url::ServerUrl;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The directory.
    pub directory: DirectoryName,
    /// The server, group or login.
    pub subject: ProbeSubject,
    /// What was found, in words, or the fault with its cure.
    pub outcome: Result<String, ProbeFault>,
}

/// What was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeSubject {
    /// Connection, certificate, bind and base of a server.
    Server(ServerUrl),
    /// A configured group.
    Group(GroupRef),
    /// A configured login.
    Login(Login),
}

/// A fault and its cure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {cure}")]
pub struct ProbeFault {
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub cure: String,
}

impl fmt::Display for ProbeSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(url) => write!(f, "server `{url}`"),
            Self::Group(group) => write!(f, "group `{group}`"),
            Self::Login(login) => write!(f, "login `{login}`"),
        }
    }
}
