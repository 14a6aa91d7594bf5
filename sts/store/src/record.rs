//! What the ledger holds: plain data, versioned where it is encoded.

use sts_types::{AccountId, Jti, UnixTime};

pub use sts_types::{ReplayClaim, TokenRecord};

/// The outcome of [`crate::Ledger::issue`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issued {
    /// The record, and the claim if there was one, are durable.
    Recorded,
    /// The claim was taken already; nothing was written.
    Replayed,
}

/// What a revocation covers.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationScope {
    /// One token.
    Token(Jti),
    /// Every token that all the given fields fit.
    Rule(RevocationRule),
}

/// A rule over the records' fields: all that are given must match; at least one is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RevocationRule {
    /// The account's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The identity's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// The issuer entry's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// A pattern on the subject token's `sub`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The `kid` that verified the subject token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer_kid: Option<String>,
    /// Our `kid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The snapshot generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<String>,
    /// Patterns on copied claims, by name.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub claim: std::collections::BTreeMap<String, String>,
}

/// Who made a revocation of which that cannot be read.
pub(crate) const UNREADABLE: &str = "unknown";

/// No token can live longer, in seconds: its lifetime has 32 bits.
const LONGEST_LIFE: i64 = u32::MAX as i64;

/// A revocation, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Revocation {
    /// What it covers.
    pub scope: RevocationScope,
    /// It covers tokens issued before this moment; for one token it is not read.
    pub before: UnixTime,
    /// The millisecond within `before`.
    pub before_millis: u16,
    /// When it was made.
    pub at: UnixTime,
    /// Who made it: `token holder`, `admin token`, or an account's id.
    pub by: String,
    /// Why, as given.
    pub reason: Option<String>,
    /// When the last token it can cover is dead, and it may be forgotten.
    pub until: UnixTime,
}

impl Revocation {
    /// What stands for the revocation of `jti` when it is there and cannot be read: it lasts longer than any token lives.
    pub(crate) fn in_place_of_a_broken_one(jti: Jti, now: UnixTime, by: &str) -> Self {
        Self {
            scope: RevocationScope::Token(jti),
            before: now,
            before_millis: 0,
            at: now,
            by: by.to_owned(),
            reason: Some("the revocation could not be read".to_owned()),
            until: now.plus(LONGEST_LIFE),
        }
    }

    /// Whether `record` was issued before the moment up to which this revocation reaches.
    #[must_use]
    pub fn reaches(&self, record: &TokenRecord) -> bool {
        (record.iat, record.iat_millis) < (self.before, self.before_millis)
    }
}

/// A record with its own revocation, if it was revoked by jti. Rules are judged by the caller over [`crate::Ledger::rules`].
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The record.
    pub record: TokenRecord,
    /// The revocation of this very token.
    pub revoked: Option<Revocation>,
}

/// Which records to list: all that are given must match; newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Only this account's (id).
    pub account: Option<AccountId>,
    /// Go on after this jti, the last of the page before.
    pub after: Option<Jti>,
    /// The most records to answer.
    pub limit: usize,
}
