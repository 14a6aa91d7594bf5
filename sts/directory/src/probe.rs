//! What is wrong with a directory's configuration, for a person who sets it up.

use std::fmt;
use std::sync::Arc;

use sts_types::{DirectoryName, UnixTime};

use crate::failure::{DirectoryError, FailureCause};
use crate::group_ref::GroupRef;
use crate::login::Login;
use crate::lookup::{FoundGroup, look_up};
use crate::membership::MembershipState;
use crate::refresh::open;
use crate::server_url::ServerUrl;
use crate::session::{Deadlines, Session};
use crate::spec::{DirectoriesSpec, DirectoryKind, DirectorySpec};

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

/// Tries everything: each server with its certificate, the bind and the base, then each configured
/// group and login at the first server that works. Several deadlines long at most.
pub async fn probe(spec: &DirectoriesSpec, now: UnixTime) -> Vec<Probe> {
    let mut probes = Vec::new();
    for directory in &spec.directories {
        probe_directory(spec, directory, now, &mut probes).await;
    }
    probes
}

async fn probe_directory(spec: &DirectoriesSpec, directory: &DirectorySpec, now: UnixTime, probes: &mut Vec<Probe>) {
    let mut add = |subject, outcome| probes.push(Probe { directory: directory.name.clone(), subject, outcome });
    let mut working = None;
    for url in &directory.urls {
        let outcome = probe_server(directory, url).await.map_err(|error| fault(directory, &error));
        let outcome = outcome.map(|session| {
            working.get_or_insert(session);
            format!("it answers, and the bind account sees `{}`", directory.base)
        });
        add(ProbeSubject::Server(url.clone()), outcome);
    }
    let Some(mut session) = working else { return };
    let logins: Vec<Login> =
        spec.logins.iter().filter(|link| link.directory == directory.name).map(|link| link.login.clone()).collect();
    let groups: Vec<GroupRef> =
        spec.groups.iter().filter(|link| link.directory == directory.name).map(|link| link.group.clone()).collect();
    let asked = look_up(&mut session, directory, &logins, &groups, now);
    let deadline = Deadlines::of(directory).refresh;
    let answer = tokio::time::timeout(deadline, asked).await.unwrap_or_else(|_| {
        let what = format!("all searches together took over {} s", deadline.as_secs());
        Err(DirectoryError::new(FailureCause::Timeout, what))
    });
    match answer {
        // The server passed the first test and fails the second: that is a fault of the server's.
        Err(error) => {
            if let Some(url) = directory.urls.first() {
                add(ProbeSubject::Server(url.clone()), Err(fault(directory, &error)));
            }
        }
        Ok(answer) => {
            for group in groups {
                let outcome = group_outcome(answer.groups.get(&group), &directory.kind);
                add(ProbeSubject::Group(group), outcome);
            }
            for (login, state) in answer.accounts {
                add(ProbeSubject::Login(login), login_outcome(&state, &directory.kind));
            }
        }
    }
}

async fn probe_server(directory: &DirectorySpec, url: &ServerUrl) -> Result<Session, DirectoryError> {
    let mut session = open(directory, url, Arc::default()).await?;
    match session.read(directory.base.as_str(), &["objectClass".to_owned()], 100).await? {
        Some(_) => Ok(session),
        None => {
            let what = format!("the base `{}` does not exist, or the bind account does not see it", directory.base);
            Err(DirectoryError::new(FailureCause::Base, what))
        }
    }
}

fn fault(directory: &DirectorySpec, error: &DirectoryError) -> ProbeFault {
    let bind = &directory.bind;
    let cure = match error.cause {
        FailureCause::Connection => {
            "check the host and port in `url`, that the server runs, and that no firewall is in between".to_owned()
        }
        FailureCause::Timeout => {
            "check that the server is not overloaded, and that no firewall swallows packets".to_owned()
        }
        FailureCause::Tls => {
            "use in `url` the name that the certificate is for, and name in `ca_file` the authority that signed it"
                .to_owned()
        }
        FailureCause::Bind => format!(
            "check `bind.dn`, and that `{}` has the password of an enabled account: `ldapwhoami -x -H URL -D '{}' -y FILE`",
            bind.password_file.display(),
            bind.dn
        ),
        FailureCause::Base => "correct `base`, or let the bind account read below it".to_owned(),
        FailureCause::Search => {
            "let the bind account search below `base`; in `kind: ldap` check `user_filter`".to_owned()
        }
        FailureCause::Limit => "narrow `base`, or raise the server's limits for the bind account".to_owned(),
        FailureCause::Protocol => "check that an LDAP server listens at `url`".to_owned(),
        FailureCause::File => "correct the path, the content or the permissions of the file".to_owned(),
    };
    ProbeFault { what: error.message.clone(), cure }
}

fn group_outcome(found: Option<&FoundGroup>, kind: &DirectoryKind) -> Result<String, ProbeFault> {
    let fault = |what: &str, cure: &str| Err(ProbeFault { what: what.to_owned(), cure: cure.to_owned() });
    match (found, kind) {
        (Some(FoundGroup::Identity(_)), _) => Ok("it is there".to_owned()),
        (Some(FoundGroup::NoIdentity), DirectoryKind::ActiveDirectory) => {
            fault("the entry has no objectSid", "name a security group, and let the bind account read `objectSid`")
        }
        (Some(FoundGroup::NoIdentity), DirectoryKind::Ldap { .. }) => {
            fault("the entry has no entryUUID", "let the bind account read `entryUUID`, or use a server that has it")
        }
        _ => fault(
            "no group below `base` has this name, or the bind account does not see it",
            "correct the group's distinguished name or objectSid, or let the bind account read the group",
        ),
    }
}

fn login_outcome(state: &MembershipState, kind: &DirectoryKind) -> Result<String, ProbeFault> {
    let cure = match state {
        MembershipState::Member(groups) if groups.is_empty() => {
            return Ok("it is in none of the configured groups".to_owned());
        }
        MembershipState::Member(groups) => {
            let names: Vec<String> = groups.iter().map(|group| format!("`{group}`")).collect();
            return Ok(format!("it is in {}", names.join(" and ")));
        }
        MembershipState::Disabled => "enable the account in the directory, or remove `external_login`",
        MembershipState::Expired => "extend the account in the directory, or remove `external_login`",
        MembershipState::Locked => "unlock the account in the directory, and find out who tries its password",
        MembershipState::NotFound | MembershipState::Never => match kind {
            DirectoryKind::ActiveDirectory => {
                "correct `external_login.name`: the userPrincipalName, sAMAccountName or objectSid of an account below `base`"
            }
            DirectoryKind::Ldap { .. } => {
                "correct `external_login.name` or `user_filter`, or let the bind account see the entry"
            }
        },
        MembershipState::Ambiguous => "make the login unique in the directory, or narrow `base` or `user_filter`",
        MembershipState::TooManyGroups => "take the account out of groups: sts follows 5,000 of one account",
        MembershipState::Unreadable => "let the bind account read `userAccountControl`",
    };
    Err(ProbeFault { what: state.in_words().to_owned(), cure: cure.to_owned() })
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
