//! What the ledger holds: plain data, versioned where it is encoded.

use sts_types::{
    AccountId, ApiName, Audience, Digest256, EntryName, IdentityName, Issuer, Jti, Kid, RequestId, ScopeSet, Subject, UnixTime,
};

/// The record of one minted token (DESIGN section 6). It never holds a token.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TokenRecord {
    /// Our `jti`.
    pub jti: Jti,
    /// SHA-256 of the minted token.
    pub token_digest: Digest256,
    /// The account's id.
    pub account: AccountId,
    /// The identity that decided.
    pub identity: IdentityName,
    /// The issuer entry whose key verified the subject token.
    pub entry: EntryName,
    /// The subject token's `iss`.
    pub issuer: Issuer,
    /// The subject token's `sub`.
    pub subject: Subject,
    /// The `kid` that verified the subject token, when the key has one.
    pub subject_kid: Option<Kid>,
    /// Digest of the subject token's `jti`, when it has one.
    pub subject_jti_digest: Option<Digest256>,
    /// The API's name.
    pub api: ApiName,
    /// Our `aud`.
    pub audience: Audience,
    /// Our `scope`.
    pub scope: ScopeSet,
    /// The claims that were copied, by name.
    pub claims: serde_json::Map<String, serde_json::Value>,
    /// Our `kid`.
    pub kid: Kid,
    /// The snapshot under which it was granted.
    pub generation: String,
    /// Index in the status list, when there is one.
    pub status_index: Option<u64>,
    /// Our `iat`.
    pub iat: UnixTime,
    /// Our `exp`.
    pub exp: UnixTime,
    /// The request that minted it.
    pub request_id: RequestId,
}

/// A one-use claim on a subject token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayClaim {
    /// Digest of issuer entry and jti, or of the signing input where there is no jti; of the account too for `once_per_account`.
    pub key: Digest256,
    /// When the claim may be forgotten: the subject token's `exp` + leeway + margin.
    pub until: UnixTime,
}

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

/// A revocation, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Revocation {
    /// What it covers.
    pub scope: RevocationScope,
    /// It covers tokens issued before this moment (`iat` <= `before` - 1, or `iat` < `before`); for one token it is not read.
    pub before: UnixTime,
    /// When it was made.
    pub at: UnixTime,
    /// Who made it: `token holder`, `admin token`, or an account's id.
    pub by: String,
    /// Why, as given.
    pub reason: Option<String>,
    /// When the last token it can cover is dead, and it may be forgotten.
    pub until: UnixTime,
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
