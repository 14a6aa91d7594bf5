//! The types of a decision: the resolved request, the grant or refusal, and the trace that explains
//! it.

use std::sync::Arc;

use sts_claims::{ClaimPath, ClaimSet};
use sts_types::{
    AccountId, AccountName, ApiName, Audience, EntryName, IdentityName, Lifetime, NamedGroup, Origin, ScopeSet,
    TeamName, UnixTime,
};

use crate::external::GivenTeam;
use crate::membership::Memberships;
use crate::spec::Replay;

/// A verified token, as policy sees it. Policy trusts these values; verification is the caller's
/// duty.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The issuer entry whose key verified the token.
    pub entry: &'a EntryName,
    /// The token's claims.
    pub claims: &'a ClaimSet,
    /// The time of the decision.
    pub now: UnixTime,
    /// What directories say of the accounts.
    pub memberships: &'a dyn Memberships,
}

/// Account, target and scope of a request with every name resolved. [`crate::RuleSet::resolve`]
/// makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requested {
    /// The account.
    pub account: RequestedAccount,
    /// The API.
    pub target: RequestedTarget,
    /// The requested scopes that some API declares, without `ignore_scopes`. `None` if there are
    /// none.
    pub scopes: Option<ScopeSet>,
    /// Whether the request has a scope that no API declares, or that is not even a valid scope.
    /// Once an identity has matched, this is refused as `scope_not_granted`.
    pub unknown_scope: bool,
    /// `expires_in`.
    pub lifetime: Option<Lifetime>,
}

/// The account that a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestedAccount {
    /// The request names none, so every account is tried.
    Any,
    /// An existing account, by its index in the rule set.
    Known(usize),
    /// The name of no account. It matches none.
    Nobody,
}

/// The API that a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestedTarget {
    /// The request names none: the account's only or default API.
    Default,
    /// An existing API, by its index in the rule set.
    Api(usize),
    /// An unknown or malformed name, or more than one API. Refused once an identity has matched.
    Refused,
}

/// The request is invalid (`request_malformed`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The request names two different accounts.
    #[error("`audience` names more than one service account")]
    TwoAccounts,
}

/// The result of a decision.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The request is granted.
    Granted(Grant),
    /// The request is refused.
    Refused(Refusal),
}

/// The grant for one request.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The account of the identity that decided.
    pub account: Arc<GrantedAccount>,
    /// The teams that groups give the account now, beside its own.
    pub given_teams: Vec<GivenTeam>,
    /// The identity that decided. `None` for an API key.
    pub identity: Option<IdentityName>,
    /// The API's name.
    pub api: ApiName,
    /// `aud` of the token to mint.
    pub audience: Audience,
    /// `scope` of the token to mint.
    pub scopes: ScopeSet,
    /// The shortest of the requested lifetime, the `ttl` of identity and account (`tokens.ttl` if
    /// neither has one) and `tokens.max_ttl`.
    pub lifetime: Lifetime,
    /// How often the subject token may be used.
    pub replay: Replay,
    /// The claims of the subject token to copy to `federated.claims`.
    pub copy_claims: Arc<[ClaimPath]>,
    /// Whether the token must be bound to a key.
    pub requires_proof: bool,
}

impl Grant {
    /// `groups` of the minted token: the account's own teams, then those that groups give it.
    pub fn groups(&self) -> impl Iterator<Item = &TeamName> {
        self.account.teams.iter().chain(self.given_teams.iter().map(|given| &given.team))
    }

    /// The groups that the ID token named, with the teams they give. They stay with the tokens that come
    /// from this one.
    pub fn named_groups(&self) -> impl Iterator<Item = NamedGroup> + '_ {
        self.given_teams.iter().filter_map(GivenTeam::named_group)
    }
}

/// The account part of a grant.
#[derive(Clone, Debug)]
pub struct GrantedAccount {
    /// `sub` and `client_id` of the minted token.
    pub id: AccountId,
    /// The username.
    pub name: AccountName,
    /// Its own teams. Neither a directory nor a token changes them.
    pub teams: Vec<TeamName>,
}

/// Why nothing is granted. The first three give the caller the same answer (`not_authorized`), so
/// that strangers do not learn which accounts exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The named account does not exist.
    NoSuchAccount,
    /// The named account is disabled, or outside its `not_before` and `not_after`.
    AccountDisabled,
    /// No identity of the named account matches, or of any account if the request names none.
    NoIdentityMatched,
    /// The request names no account, and more than one grants it.
    AmbiguousAccount,
    /// An identity matches, but the API is unknown or not granted, or the request names more than
    /// one.
    TargetNotGranted,
    /// An identity matches, but the request names no API and the account has no default.
    TargetRequired,
    /// An identity matches and the API is granted, but not every requested scope.
    ScopeNotGranted,
}

impl Refusal {
    /// Whether no identity matched (`not_authorized`). The caller gets one answer for all causes.
    #[must_use]
    pub const fn is_policy(self) -> bool {
        matches!(self, Self::NoSuchAccount | Self::AccountDisabled | Self::NoIdentityMatched)
    }

    /// The stable `reason` code.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NoSuchAccount | Self::AccountDisabled | Self::NoIdentityMatched => "not_authorized",
            Self::AmbiguousAccount => "ambiguous_account",
            Self::TargetNotGranted => "target_not_granted",
            Self::TargetRequired => "target_required",
            Self::ScopeNotGranted => "scope_not_granted",
        }
    }
}

/// A decision with its trace, for `sts explain`, policy tests and the decision event of a refusal.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Decision {
    /// The outcome. Not serialized; the decision event has members of its own for it.
    #[serde(skip)]
    pub outcome: Outcome,
    /// The identities that were tried, at most 50. If none matched, the nearest miss comes first;
    /// otherwise they are in the order of the decision.
    pub trace: Vec<IdentityTrace>,
}

/// The trace of one identity.
#[derive(Clone, Debug, serde::Serialize)]
pub struct IdentityTrace {
    /// The username of its account.
    pub account: AccountName,
    /// Its name.
    pub identity: IdentityName,
    /// Position of the identity in the files.
    #[serde(skip)]
    pub origin: Origin,
    /// Every condition, in the order issuer, state, subject, audience, claims, events.
    pub conditions: Vec<ConditionTrace>,
    /// Whether all conditions hold.
    pub matched: bool,
    /// Whether the identity's grant covers the request. `None` if the identity did not match.
    pub covers: Option<bool>,
}

/// The trace of one condition.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ConditionTrace {
    /// What the condition is on: `issuer`, `enabled`, `not_before`, `not_after`, `subject`,
    /// `audience`, or the name or pointer of a claim.
    pub on: String,
    /// The accepted values, as text for people.
    pub expected: String,
    /// The token's value as JSON text, truncated if long. `None` if absent.
    pub actual: Option<String>,
    /// Whether the condition holds.
    pub holds: bool,
    /// How the value differs from an accepted one, if the difference is easy to overlook.
    pub hint: Option<String>,
    /// Whether the value is an accepted one in another spelling.
    #[serde(skip)]
    pub(crate) is_spelling: bool,
}
