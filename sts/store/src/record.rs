//! The data that the ledger holds. [`crate::backend::codec`] adds a version to each value.

use std::sync::Arc;

use sts_types::{AccountId, Digest256, Jti, RequestId, UnixTime};

use crate::sharded::shard_of;

pub use sts_types::{ReplayClaim, TokenRecord};

/// The outcome of [`crate::Ledger::issue`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Issued {
    /// The record and all claims are durable.
    Recorded,
    /// The first claim that was taken already. Nothing was written.
    Replayed(TakenClaim),
}

/// A replay claim that is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenClaim {
    /// The claim's key.
    pub key: Digest256,
    /// The exchange that took it. `None` for claims of earlier versions and for values that cannot
    /// be trusted.
    pub earlier_use: Option<EarlierUse>,
}

/// The request that used up a one-use token or proof.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct EarlierUse {
    /// When, in milliseconds since the epoch.
    pub at_millis: u64,
    /// Its request.
    pub request_id: RequestId,
}

impl EarlierUse {
    /// The exchange that minted the token of `record`.
    #[must_use]
    pub fn of(record: &TokenRecord) -> Self {
        let seconds = u64::try_from(record.iat.as_secs()).unwrap_or(0);
        let at_millis = seconds.saturating_mul(1000).saturating_add(record.iat_millis.into());
        Self { at_millis, request_id: record.request_id.clone() }
    }
}

/// Removes duplicate keys from `claims`, so that no issue is a replay of itself.
pub fn distinct(claims: Vec<ReplayClaim>) -> Vec<ReplayClaim> {
    if claims.len() < 2 {
        return claims;
    }
    let mut distinct: Vec<ReplayClaim> = Vec::with_capacity(claims.len());
    for claim in claims {
        match distinct.iter_mut().find(|known_claim| known_claim.key == claim.key) {
            Some(known_claim) => known_claim.until = known_claim.until.max(claim.until),
            None => distinct.push(claim),
        }
    }
    distinct
}

/// What a revocation covers.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationScope {
    /// One token.
    Token(Jti),
    /// Every token that matches the rule.
    Rule(RevocationRule),
}

/// A rule over the fields of a record. All given fields must match, and at least one is given.
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
    /// The id of an API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
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

/// The id of a rule. It follows from the rule's fields and its `before`, so the same rule always
/// gets the same id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct RuleId(String);

/// The text is not a [`RuleId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a rule's id is 32 lower-case hexadecimal digits")]
pub struct RuleIdError;

impl RuleId {
    /// Octets of an id.
    const LEN: usize = 16;

    /// The id for a keyed digest of the rule.
    pub fn from_code(code: [u8; 32]) -> Self {
        Self(sts_types::hex(code.get(..Self::LEN).unwrap_or_default()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RuleId {
    type Error = RuleIdError;

    fn try_from(text: String) -> Result<Self, RuleIdError> {
        let is_id = text.len() == 2 * Self::LEN && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_id { Ok(Self(text)) } else { Err(RuleIdError) }
    }
}

impl std::str::FromStr for RuleId {
    type Err = RuleIdError;

    fn from_str(text: &str) -> Result<Self, RuleIdError> {
        text.to_owned().try_into()
    }
}

impl std::fmt::Display for RuleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The author of a revocation that cannot be read.
pub const UNREADABLE: &str = "unknown";

/// The longest lifetime of a token, in seconds. A lifetime has 32 bits.
const LONGEST_LIFE: i64 = u32::MAX as i64;

/// A revocation as recorded.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Revocation {
    /// The rule's id, set by the ledger. A revocation of one token has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RuleId>,
    /// What it covers.
    pub scope: RevocationScope,
    /// If given, the rule covers the tokens whose `iat` is before this moment. Otherwise it covers
    /// every token that was recorded before the rule, whatever the clocks say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<UnixTime>,
    /// The millisecond within `before`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub before_millis: u16,
    /// The number of the rule among all that were ever made, from 1. The ledger sets it. Rules of
    /// earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<u64>,
    /// In a store of several shards: the number of the rule in each of them, since each counts for
    /// itself. `None` for a shard that does not have the rule. Empty in any other store.
    #[serde(skip)]
    pub shard_orders: Arc<[Option<u64>]>,
    /// When it was made.
    pub at: UnixTime,
    /// Who made it: `token holder`, `admin token`, or an account's id.
    pub by: String,
    /// The reason that was given.
    pub reason: Option<String>,
    /// When the last token that it can cover has expired. After that it may be forgotten.
    pub until: UnixTime,
}

impl Revocation {
    /// Replaces the unreadable revocation of `jti`. It lasts longer than any token lives.
    pub fn in_place_of_a_broken_one(jti: Jti, now: UnixTime, by: &str) -> Self {
        Self {
            id: None,
            scope: RevocationScope::Token(jti),
            before: None,
            before_millis: 0,
            order: None,
            shard_orders: Arc::default(),
            at: now,
            by: by.to_owned(),
            reason: Some("the revocation could not be read".to_owned()),
            until: now.plus(LONGEST_LIFE),
        }
    }

    /// Whether `record` is old enough for this rule. A rule that is not recorded yet covers every
    /// record. One that only some shards have covers the records of those.
    #[must_use]
    pub fn reaches(&self, record: &TokenRecord) -> bool {
        let order = if self.shard_orders.is_empty() {
            self.order
        } else {
            let shard = shard_of(&record.jti).and_then(|shard| self.shard_orders.get(usize::from(shard)));
            match shard {
                Some(None) => return false,
                Some(order) => *order,
                // No shard holds such a record. Nothing that is unclear is left out.
                None => Some(u64::MAX),
            }
        };
        match (self.before, order, record.preceding_rules) {
            (Some(before), ..) => (record.iat, record.iat_millis) < (before, self.before_millis),
            (None, Some(order), Some(preceding)) => preceding < order,
            // A record of an earlier version has no such number. Cover the whole second.
            (None, Some(_), None) => record.iat <= self.at,
            (None, None, _) => true,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u16) -> bool {
    *number == 0
}

/// A record, with its own revocation if it was revoked by jti. The caller evaluates the rules of
/// [`crate::Ledger::rules`].
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The record.
    pub record: TokenRecord,
    /// The revocation of this token itself.
    pub revoked: Option<Revocation>,
}

/// Which records to list, newest first. All given fields must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Only records of this account.
    pub account: Option<AccountId>,
    /// Only records after this jti, which was the last of the previous page.
    pub after: Option<Jti>,
    /// The most records to return.
    pub limit: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{START, record, rule};

    #[test]
    fn a_rule_reaches_what_was_there_when_it_was_made() {
        let made = |order: Option<u64>| Revocation { order, ..rule("octo", START.plus(1000)) };
        let issued = |seconds: i64, preceding_rules: Option<u64>| TokenRecord {
            iat: START.plus(seconds),
            preceding_rules,
            ..record("j", "octo")
        };
        // By the order of both, whatever the clocks say.
        assert!(made(Some(3)).reaches(&issued(9, Some(2))));
        assert!(!made(Some(3)).reaches(&issued(-9, Some(3))));
        // A record of an earlier version is judged by the whole second.
        assert!(made(Some(3)).reaches(&issued(-1, None)));
        assert!(made(Some(3)).reaches(&issued(0, None)));
        assert!(!made(Some(3)).reaches(&issued(1, None)));
        assert!(made(None).reaches(&issued(1, None)) && made(None).reaches(&issued(1, Some(7))));
    }

    #[test]
    fn a_rule_with_a_moment_covers_what_was_issued_before_its_millisecond() {
        let until = Revocation { before: Some(START), before_millis: 7, order: Some(1), ..rule("octo", START) };
        let issued = |seconds: i64, iat_millis: u16| TokenRecord {
            iat: START.plus(seconds),
            iat_millis,
            preceding_rules: Some(9),
            ..record("j", "octo")
        };
        assert!(until.reaches(&issued(0, 6)) && until.reaches(&issued(-1, 999)));
        assert!(!until.reaches(&issued(0, 7)) && !until.reaches(&issued(1, 0)));
    }

    #[test]
    fn a_rules_id_is_32_lower_case_hexadecimal_digits() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(id.parse::<RuleId>().unwrap().as_str(), id);
        for wrong in [&id[..31], &format!("{id}0"), &id.to_uppercase(), &id.replace('f', "g"), "", " "] {
            assert!(wrong.parse::<RuleId>().is_err(), "{wrong}");
        }
    }
}
