//! An operator's request for a revocation.

use std::collections::BTreeMap;

use sts_types::UnixTime;

/// A revocation of one token, or by rule. All given fields must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevocationRequest {
    /// One token.
    pub jti: Option<String>,
    /// An account's id or username.
    pub account: Option<String>,
    /// An identity's name.
    pub identity: Option<String>,
    /// An issuer entry's name.
    pub issuer: Option<String>,
    /// A pattern on the subject token's `sub`.
    pub subject: Option<String>,
    /// An API key's id.
    pub api_key: Option<String>,
    /// The `kid` that verified the subject token.
    pub issuer_kid: Option<String>,
    /// Our `kid`.
    pub kid: Option<String>,
    /// A snapshot generation.
    pub generation: Option<String>,
    /// Patterns on copied claims, by name.
    pub claim: BTreeMap<String, String>,
    /// Tokens issued before this moment. When it is left out, every token recorded by now.
    pub before: Option<UnixTime>,
    /// The reason, stored with the revocation.
    pub reason: Option<String>,
    /// Takes names that neither the configuration nor a record has.
    pub force: bool,
    /// Counts the tokens that it would cover, and revokes nothing.
    pub dry_run: bool,
}
