//! What a decision is made of: the request that is judged, the grant or refusal that comes out, and the trace of how.

use std::sync::Arc;

use sts_types::{
    AccountId, AccountName, ApiName, Audience, ClaimPath, ClaimSet, EntryName, IdentityName, Lifetime, Origin,
    ScopeSet, TeamName, UnixTime,
};

use crate::spec::Replay;

/// The evidence-free facts of one token, as policy sees them.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The issuer entry whose key verified it.
    pub entry: &'a EntryName,
    /// Its claims.
    pub claims: &'a ClaimSet,
    /// When it is judged.
    pub now: UnixTime,
}

/// Target and scope of a request, with every name resolved; made by [`crate::RuleSet::resolve`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requested {
    /// The account named, if one was.
    pub account: RequestedAccount,
    /// The API named, if one was.
    pub target: RequestedTarget,
    /// Scopes asked for, `ignore_scopes` already dropped; `None` when none was asked for.
    pub scopes: Option<ScopeSet>,
    /// Whether a scope was asked for that no API declares, or that no scope can be: refused as `scope_not_granted` once an
    /// identity has matched.
    pub unknown_scope: bool,
    /// `expires_in`.
    pub lifetime: Option<Lifetime>,
}

/// The account that a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestedAccount {
    /// None: the accounts are searched.
    Any,
    /// One that exists, by its index in the rule set.
    Known(usize),
    /// A name that nobody has; matches nobody.
    Nobody,
}

/// The API that a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestedTarget {
    /// None: the account's only or default API.
    Default,
    /// One that exists, by its index in the rule set.
    Api(usize),
    /// An unknown or malformed one, or more than one: refused once an identity has matched.
    Refused,
}

/// A request that cannot be judged (`request_malformed`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Two different accounts are named.
    #[error("`audience` names more than one service account")]
    TwoAccounts,
}

/// The answer of the engine: the one thing the hot path needs.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The token gets a grant.
    Granted(Grant),
    /// It does not.
    Refused(Refusal),
}

/// What an identity was granted for one request.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Its account.
    pub account: Arc<GrantedAccount>,
    /// The identity that decided.
    pub identity: IdentityName,
    /// The API's name.
    pub api: ApiName,
    /// The `aud` to mint.
    pub audience: Audience,
    /// The scopes to mint.
    pub scopes: ScopeSet,
    /// The smallest of requested, identity's, account's and `tokens.max_ttl`.
    pub lifetime: Lifetime,
    /// How often the subject token may be used.
    pub replay: Replay,
    /// The claims to copy under `federated.claims`, with the name to copy each by.
    pub copy_claims: Arc<[ClaimPath]>,
}

/// The account part of a grant.
#[derive(Clone, Debug)]
pub struct GrantedAccount {
    /// `sub` and `client_id`.
    pub id: AccountId,
    /// The username.
    pub name: AccountName,
    /// `groups`.
    pub teams: Vec<TeamName>,
}

/// Why nothing is granted; the first three are one answer to the caller (`not_authorized`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The account named does not exist.
    NoSuchAccount,
    /// The account named is disabled or outside its times.
    AccountDisabled,
    /// No identity of the account named, or of any account, matches.
    NoIdentityMatched,
    /// More than one account fits and none was named.
    AmbiguousAccount,
    /// An identity matches; the API is unknown, not granted, or more than one is named.
    TargetNotGranted,
    /// An identity matches; no API is named and the account has more than one and no `default_api`.
    TargetRequired,
    /// An identity matches and the API is granted, but not every scope asked for.
    ScopeNotGranted,
}

impl Refusal {
    /// Whether it is for want of an account with an identity that matches: one answer to the caller, whatever the cause.
    #[must_use]
    pub const fn is_policy(self) -> bool {
        matches!(self, Self::NoSuchAccount | Self::AccountDisabled | Self::NoIdentityMatched)
    }

    /// The stable `reason`.
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

/// A decision with its whole trace, for people: `explain`, policy tests, the decision event of a refusal.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Decision {
    /// The outcome, without what only minting needs.
    #[serde(skip)]
    pub outcome: Outcome,
    /// Every identity that was tried, nearest miss first when nothing matched, in the order tried otherwise; the 50 first
    /// of them when no account was named.
    pub trace: Vec<IdentityTrace>,
}

/// How one identity was judged.
#[derive(Clone, Debug, serde::Serialize)]
pub struct IdentityTrace {
    /// Its account's username.
    pub account: AccountName,
    /// Its name.
    pub identity: IdentityName,
    /// Where it was written.
    #[serde(skip)]
    pub origin: Origin,
    /// Every condition, in the order issuer, state, subject, audience, claims, events.
    pub conditions: Vec<ConditionTrace>,
    /// Whether all of them hold.
    pub matched: bool,
    /// Whether it matched and its grant covers what was asked; `None` when it did not match.
    pub covers: Option<bool>,
}

/// How one condition was judged.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ConditionTrace {
    /// What is judged: `issuer`, `enabled`, `subject`, `audience`, or the claim's name or pointer.
    pub on: String,
    /// What the rule wants, as text for people.
    pub expected: String,
    /// What the token has, as JSON text, bounded; `None` when absent.
    pub actual: Option<String>,
    /// Whether it holds.
    pub holds: bool,
    /// How the value differs from the one wanted, where that is easy to overlook.
    pub hint: Option<String>,
    /// Whether the value is the one wanted, written in another way.
    #[serde(skip)]
    pub(crate) is_spelling: bool,
}
