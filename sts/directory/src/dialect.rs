//! The attributes that the two kinds of directories use.

use sts_types::UnixTime;

use crate::filter::Filter;
use crate::login::{AdLogin, Login};
use crate::membership::MembershipState;
use crate::session::Entry;
use crate::sid::Sid;
use crate::spec::DirectoryKind;

/// What a directory never gives to another entry, also after this one is gone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Identity(String);

impl Identity {
    pub(crate) fn of_sid(sid: &Sid) -> Self {
        Self(sid.to_string())
    }
}

const ACCOUNT_DISABLED: i64 = 0x2;
const ACCOUNT_LOCKED: i64 = 0x10;
/// Seconds from 1601, where Active Directory's times begin, to 1970.
const EPOCH_OF_1601: i64 = 11_644_473_600;

impl DirectoryKind {
    /// The attribute that names the groups an entry is in.
    pub(crate) fn group_attribute(&self) -> &str {
        match self {
            Self::ActiveDirectory => "memberOf",
            Self::Ldap { group_attribute, .. } => group_attribute,
        }
    }

    /// The attribute that has an entry's own name, for filters.
    pub(crate) const fn name_attribute(&self) -> &'static str {
        match self {
            Self::ActiveDirectory => "distinguishedName",
            // RFC 5020
            Self::Ldap { .. } => "entryDN",
        }
    }

    /// What to ask of a group.
    pub(crate) fn group_attributes(&self) -> Vec<String> {
        let identity: &[&str] = match self {
            Self::ActiveDirectory => &["objectSid"],
            Self::Ldap { .. } => &["entryUUID", "nsUniqueId"],
        };
        identity.iter().copied().chain([self.group_attribute()]).map(str::to_owned).collect()
    }

    /// What to ask of accounts that `filters` find.
    pub(crate) fn account_attributes<'f>(&self, filters: impl Iterator<Item = &'f Filter>) -> Vec<String> {
        let state: &[&str] = match self {
            Self::ActiveDirectory => &[
                "objectSid",
                "primaryGroupID",
                "userAccountControl",
                "msDS-User-Account-Control-Computed",
                "accountExpires",
            ],
            Self::Ldap { .. } => &["nsAccountLock", "pwdAccountLockedTime", "loginDisabled", "shadowExpire"],
        };
        let mut names = state.to_vec();
        names.push(self.group_attribute());
        let mut compared = Vec::new();
        filters.for_each(|filter| filter.attributes(&mut compared));
        names.extend(compared);
        names.sort_unstable();
        names.dedup_by(|one, other| one.eq_ignore_ascii_case(other));
        names.into_iter().map(str::to_owned).collect()
    }

    /// The filter that finds a login. `None` if no account here can have it.
    pub(crate) fn filter(&self, login: &Login) -> Option<Filter> {
        match self {
            Self::ActiveDirectory => {
                let (name, value) = match login.in_active_directory().ok()? {
                    AdLogin::UserPrincipalName => ("userPrincipalName", login.as_str().as_bytes().to_vec()),
                    AdLogin::AccountName => ("sAMAccountName", login.as_str().as_bytes().to_vec()),
                    AdLogin::Sid(sid) => ("objectSid", sid.to_bytes()),
                };
                // Groups have a sAMAccountName and a SID, too.
                let is_user = Filter::Other("objectClass=user".to_owned());
                Some(Filter::And(vec![is_user, Filter::Equal(name.to_owned(), value)]))
            }
            Self::Ldap { user_filter, .. } => Some(user_filter.with(login.as_str())),
        }
    }

    /// The identity of a group.
    pub(crate) fn identity(&self, group: &Entry) -> Option<Identity> {
        match self {
            Self::ActiveDirectory => sid(group).map(|sid| Identity::of_sid(&sid)),
            Self::Ldap { .. } => {
                let id = group.text("entryUUID").or_else(|| group.text("nsUniqueId"))?;
                Some(Identity(format!("uuid:{}", id.to_ascii_lowercase())))
            }
        }
    }

    /// The SID of an account's primary group, which is not among its groups.
    pub(crate) fn primary_group(&self, account: &Entry) -> Option<Sid> {
        match self {
            Self::ActiveDirectory => Some(sid(account)?.sibling(account.text("primaryGroupID")?.parse().ok()?)),
            Self::Ldap { .. } => None,
        }
    }

    /// Why the account must not be used, if so.
    pub(crate) fn refusal(&self, account: &Entry, now: UnixTime) -> Option<MembershipState> {
        match self {
            Self::ActiveDirectory => active_directory_refusal(account, now),
            Self::Ldap { .. } => ldap_refusal(account, now),
        }
    }
}

fn sid(entry: &Entry) -> Option<Sid> {
    Sid::from_bytes(entry.first("objectSid")?)
}

fn active_directory_refusal(account: &Entry, now: UnixTime) -> Option<MembershipState> {
    let number = |name| account.text(name).and_then(|text| text.parse::<i64>().ok());
    let Some(control) = number("userAccountControl") else {
        return Some(MembershipState::Unreadable);
    };
    // `lockoutTime` stays after the lock ends; the computed flags do not.
    let computed = number("msDS-User-Account-Control-Computed").unwrap_or(0);
    let is_expired = number("accountExpires").is_some_and(|expires| {
        !matches!(expires, 0 | i64::MAX) && expires / 10_000_000 - EPOCH_OF_1601 <= now.as_secs()
    });
    if control & ACCOUNT_DISABLED != 0 {
        return Some(MembershipState::Disabled);
    }
    if is_expired {
        return Some(MembershipState::Expired);
    }
    if (control | computed) & ACCOUNT_LOCKED != 0 { Some(MembershipState::Locked) } else { None }
}

/// 389 Directory Server and FreeIPA have `nsAccountLock`, eDirectory `loginDisabled`, OpenLDAP's
/// password policy `pwdAccountLockedTime`, RFC 2307 accounts `shadowExpire` in days.
fn ldap_refusal(account: &Entry, now: UnixTime) -> Option<MembershipState> {
    let is_true = |name| account.text(name).is_some_and(|text| text.eq_ignore_ascii_case("true"));
    if is_true("nsAccountLock") || is_true("loginDisabled") {
        return Some(MembershipState::Disabled);
    }
    let days = account.text("shadowExpire").and_then(|text| text.parse::<i64>().ok());
    if days.is_some_and(|days| days >= 0 && now.as_secs() / 86_400 >= days) {
        return Some(MembershipState::Expired);
    }
    account.first("pwdAccountLockedTime").map(|_| MembershipState::Locked)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);

    fn refusal(kind: &DirectoryKind, attributes: &[(&str, &str)]) -> Option<MembershipState> {
        kind.refusal(&Entry::with(attributes), NOW)
    }

    #[test]
    fn active_directory_says_whether_an_account_may_be_used() {
        let ad = |attributes: &[(&str, &str)]| refusal(&DirectoryKind::ActiveDirectory, attributes);
        // 100 ns since 1601.
        let at = |seconds: i64| ((seconds + EPOCH_OF_1601) * 10_000_000).to_string();
        let (now, later) = (at(NOW.as_secs()), at(NOW.as_secs() + 1));
        let (uac, computed) = ("userAccountControl", "msDS-User-Account-Control-Computed");
        assert_eq!(ad(&[(uac, "512")]), None);
        assert_eq!(ad(&[(uac, "514")]), Some(MembershipState::Disabled));
        assert_eq!(ad(&[(uac, "512"), ("accountExpires", "0")]), None);
        assert_eq!(ad(&[(uac, "512"), ("accountExpires", "9223372036854775807")]), None);
        assert_eq!(ad(&[(uac, "512"), ("accountExpires", &later)]), None);
        assert_eq!(ad(&[(uac, "512"), ("accountExpires", &now)]), Some(MembershipState::Expired));
        assert_eq!(ad(&[(uac, "512"), (computed, "16")]), Some(MembershipState::Locked));
        // The password has expired; the account is no less a member.
        assert_eq!(ad(&[(uac, "512"), (computed, "8388608")]), None);
        for unreadable in [&[][..], &[(uac, "")], &[(uac, "x")]] {
            assert_eq!(ad(unreadable), Some(MembershipState::Unreadable));
        }
    }

    #[test]
    fn other_directories_say_so_in_their_own_attributes() {
        let kind = DirectoryKind::Ldap {
            user_filter: crate::UserFilter::parse("(uid={name})").unwrap(),
            group_attribute: "memberOf".to_owned(),
        };
        let day = NOW.as_secs() / 86_400;
        for (name, value, expected) in [
            ("nsAccountLock", "TRUE", Some(MembershipState::Disabled)),
            ("nsAccountLock", "false", None),
            ("loginDisabled", "true", Some(MembershipState::Disabled)),
            ("shadowExpire", day.to_string().as_str(), Some(MembershipState::Expired)),
            ("shadowExpire", (day + 1).to_string().as_str(), None),
            ("shadowExpire", "-1", None),
            ("pwdAccountLockedTime", "20260101000000Z", Some(MembershipState::Locked)),
        ] {
            assert_eq!(refusal(&kind, &[(name, value)]), expected, "{name} {value}");
        }
    }
}
