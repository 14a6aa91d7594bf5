//! What a directory said, kept over a restart: one sealed file a directory.

use std::path::PathBuf;
use std::str::FromStr as _;

use sts_types::{DirectoryName, Durability, SecretOwner, UnixTime, read_secret_file, replace_file};

use crate::dialect::Identity;
use crate::directories::Persistence;
use crate::dn::Dn;
use crate::group_ref::GroupRef;
use crate::login::Login;
use crate::membership::{GroupState, MembershipState};
use crate::sid::Sid;

/// A limit for such a file. A thousand accounts take a tenth of a megabyte.
const MAX_BYTES: u64 = 256 << 20;
/// The first part of what is sealed, so that no other file of ours can stand here.
const PURPOSE: &[u8] = b"sts directory memberships 1\0";

/// What is kept of a directory.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) last_success: Option<UnixTime>,
    pub(crate) logins: Vec<KeptLogin>,
    pub(crate) groups: Vec<KeptGroup>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeptLogin {
    pub(crate) login: Login,
    pub(crate) at: UnixTime,
    pub(crate) state: MembershipState,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeptGroup {
    pub(crate) group: GroupRef,
    pub(crate) identity: Identity,
    pub(crate) state: GroupState,
}

/// The file: a seal, and the text that it is over.
#[derive(serde::Serialize, serde::Deserialize)]
struct Sealed {
    seal: String,
    body: String,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Body {
    /// Base and kind. What was said under others does not count.
    scope: String,
    last_success: Option<UnixTime>,
    logins: Vec<LoginRow>,
    groups: Vec<GroupRow>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct LoginRow {
    login: String,
    at: UnixTime,
    state: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct GroupRow {
    group: String,
    identity: Identity,
    state: String,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeptError {
    #[error(transparent)]
    File(#[from] sts_types::SecretFileError),
    #[error("it is not sealed with this server's key, or was changed")]
    Seal,
    #[error("it is of another version")]
    Form,
}

impl Persistence {
    /// Reads what was kept under `scope`. Nothing if there is none, or it is of another scope.
    pub(crate) fn read(&self, name: &DirectoryName, scope: &str) -> Result<Option<Kept>, KeptError> {
        let file = match read_secret_file(&self.path(name), SecretOwner::Ours, MAX_BYTES) {
            Err(error) if error.is_missing() => return Ok(None),
            other => other?,
        };
        let sealed: Sealed = serde_json::from_slice(&file.bytes).map_err(|_| KeptError::Seal)?;
        let code = sts_types::from_hex::<32>(&sealed.seal).ok_or(KeptError::Seal)?;
        if !self.seal.verify(&[PURPOSE, name.as_str().as_bytes(), b"\0", sealed.body.as_bytes()], &code) {
            return Err(KeptError::Seal);
        }
        let body: Body = serde_json::from_str(&sealed.body).map_err(|_| KeptError::Form)?;
        if body.scope != scope {
            return Ok(None);
        }
        body.into_kept().map(Some).ok_or(KeptError::Form)
    }

    /// Writes what is known. A crash leaves the former file or this one.
    pub(crate) fn write(&self, name: &DirectoryName, scope: &str, kept: &Kept) -> std::io::Result<()> {
        let body = serde_json::to_string(&Body::of(scope, kept))?;
        let code = self.seal.seal(&[PURPOSE, name.as_str().as_bytes(), b"\0", body.as_bytes()]);
        let text = serde_json::to_vec(&Sealed { seal: sts_types::hex(&code), body })?;
        // What a crash of the machine undoes is asked for again.
        replace_file(&self.path(name), &text, Durability::Volatile)
    }

    fn path(&self, name: &DirectoryName) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }
}

impl Body {
    fn of(scope: &str, kept: &Kept) -> Self {
        let logins = kept.logins.iter().map(|login| LoginRow {
            login: login.login.as_str().to_owned(),
            at: login.at,
            state: state_name(&login.state).to_owned(),
            groups: match &login.state {
                MembershipState::Member(groups) => groups.iter().map(ToString::to_string).collect(),
                _ => Vec::new(),
            },
        });
        let groups = kept.groups.iter().map(|group| GroupRow {
            group: group.group.to_string(),
            identity: group.identity.clone(),
            state: group_state_name(group.state).to_owned(),
        });
        Self {
            scope: scope.to_owned(),
            last_success: kept.last_success,
            logins: logins.collect(),
            groups: groups.collect(),
        }
    }

    fn into_kept(self) -> Option<Kept> {
        let login = |row: LoginRow| {
            let groups: Option<Vec<GroupRef>> = row.groups.iter().map(|text| group_ref(text)).collect();
            let state = match row.state.as_str() {
                "member" => MembershipState::Member(groups?),
                name => STATES.iter().find(|state| state_name(state) == name)?.clone(),
            };
            Some(KeptLogin { login: Login::parse(&row.login).ok()?, at: row.at, state })
        };
        let group = |row: GroupRow| {
            let state = GROUP_STATES.into_iter().find(|state| group_state_name(*state) == row.state)?;
            Some(KeptGroup { group: group_ref(&row.group)?, identity: row.identity, state })
        };
        Some(Kept {
            last_success: self.last_success,
            logins: self.logins.into_iter().map(login).collect::<Option<_>>()?,
            groups: self.groups.into_iter().map(group).collect::<Option<_>>()?,
        })
    }
}

/// The states that have no groups.
const STATES: [MembershipState; 7] = [
    MembershipState::Disabled,
    MembershipState::Expired,
    MembershipState::Locked,
    MembershipState::NotFound,
    MembershipState::Ambiguous,
    MembershipState::TooManyGroups,
    MembershipState::Unreadable,
];

const GROUP_STATES: [GroupState; 5] =
    [GroupState::Never, GroupState::Found, GroupState::NotFound, GroupState::Replaced, GroupState::NoIdentity];

const fn state_name(state: &MembershipState) -> &'static str {
    match state {
        MembershipState::Member(_) => "member",
        MembershipState::Disabled => "disabled",
        MembershipState::Expired => "expired",
        MembershipState::Locked => "locked",
        MembershipState::NotFound => "not_found",
        MembershipState::Ambiguous => "ambiguous",
        MembershipState::TooManyGroups => "too_many_groups",
        MembershipState::Unreadable => "unreadable",
        MembershipState::Never => "never",
    }
}

const fn group_state_name(state: GroupState) -> &'static str {
    match state {
        GroupState::Never => "never",
        GroupState::Found => "found",
        GroupState::NotFound => "not_found",
        GroupState::Replaced => "replaced",
        GroupState::NoIdentity => "no_identity",
    }
}

fn group_ref(text: &str) -> Option<GroupRef> {
    match Sid::from_str(text) {
        Ok(sid) => Some(GroupRef::Sid(sid)),
        Err(_) => Dn::parse(text).ok().map(GroupRef::Name),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// A seal that anybody could forge: the sum of all octets.
    struct Sum(u8);

    impl sts_types::Seal for Sum {
        fn seal(&self, parts: &[&[u8]]) -> [u8; 32] {
            let octets = parts.iter().flat_map(|part| part.iter());
            [octets.fold(self.0, |sum, octet| sum.wrapping_mul(31).wrapping_add(*octet)); 32]
        }

        fn verify(&self, parts: &[&[u8]], code: &[u8]) -> bool {
            self.seal(parts) == code
        }
    }

    fn kept() -> Kept {
        let group = |text: &str| GroupRef::parse(text).unwrap();
        let member = MembershipState::Member(vec![group(r"CN=a\,b,DC=c"), group("S-1-5-32-545")]);
        let login = |(index, state)| KeptLogin {
            login: Login::parse(&format!("p{index}")).unwrap(),
            at: UnixTime::from_secs(1_790_000_000),
            state,
        };
        let identity = Identity::of_sid(&"S-1-5-32-545".parse().unwrap());
        let known = |state| KeptGroup { group: group("CN=a,DC=c"), identity: identity.clone(), state };
        Kept {
            last_success: Some(UnixTime::from_secs(1_790_000_001)),
            logins: STATES.into_iter().chain([member]).enumerate().map(login).collect(),
            groups: GROUP_STATES.into_iter().map(known).collect(),
        }
    }

    #[test]
    fn what_was_written_is_read_back_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let persistence = |key| Persistence { folder: folder.path().to_owned(), seal: Arc::new(Sum(key)) };
        let [corp, other] = ["corp", "other"].map(|name| DirectoryName::new(name).unwrap());
        let ours = persistence(1);
        assert!(ours.read(&corp, "scope").unwrap().is_none());
        ours.write(&corp, "scope", &kept()).unwrap();
        assert_eq!(ours.read(&corp, "scope").unwrap(), Some(kept()));
        assert_eq!(ours.read(&corp, "another").unwrap(), None);
        assert!(matches!(persistence(2).read(&corp, "scope"), Err(KeptError::Seal)));
        // The file of one directory under the name of another.
        std::fs::copy(folder.path().join("corp.json"), folder.path().join("other.json")).unwrap();
        assert!(matches!(ours.read(&other, "scope"), Err(KeptError::Seal)));
        for text in ["", "{}", "{\"seal\":\"00\",\"body\":\"{}\"}", "[]"] {
            std::fs::write(folder.path().join("corp.json"), text).unwrap();
            assert!(matches!(ours.read(&corp, "scope"), Err(KeptError::Seal)), "{text}");
        }
        std::fs::set_permissions(folder.path().join("corp.json"), std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .unwrap();
        assert!(matches!(ours.read(&corp, "scope"), Err(KeptError::File(_))));
    }
}
