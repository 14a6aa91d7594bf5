//! The record of a minted token: what `sts-token` makes and `sts-store` keeps.

use crate::{
    AccountId, ApiName, Audience, Digest256, EntryName, IdentityName, Issuer, Jti, Kid, RequestId, ScopeSet, Subject,
    UnixTime,
};

/// The record of one minted token. It never holds the token.
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
    /// Index among the tokens of its status window (that of `exp`), when it has one.
    pub status_index: Option<u64>,
    /// Our `iat`.
    pub iat: UnixTime,
    /// The millisecond within `iat`.
    pub iat_millis: u16,
    /// Our `exp`.
    pub exp: UnixTime,
    /// Number of revocation rules that had been made when the store recorded this. The store sets it; records of earlier
    /// versions have none. A rule without `before` goes by it, because the servers' clocks may differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preceding_rules: Option<u64>,
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
