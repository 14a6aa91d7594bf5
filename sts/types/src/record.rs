//! The record of a minted token. `sts-token` makes it and `sts-store` keeps it.

use crate::{
    AccountId, Actor, ApiName, Audience, Digest256, Jti, KeyThumbprint, Kid, Proof, RequestId, ScopeSet, TeamName,
    UnixTime,
};

/// The record of one minted token. It never contains the token.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TokenRecord {
    /// Our `jti`.
    pub jti: Jti,
    /// SHA-256 of the minted token.
    pub token_digest: Digest256,
    /// The account's id.
    pub account: AccountId,
    /// What it was minted on.
    pub proof: Proof,
    /// Who acts for the account, if somebody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Box<Actor>>,
    /// The groups that the ID token at its root named, with the teams they gave. Tokens that come from it
    /// can have no others of this kind, and these only while the configuration says the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named_groups: Vec<NamedGroup>,
    /// The key that the token is bound to, if it is bound to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmation: Option<KeyThumbprint>,
    /// The API's name.
    pub api: ApiName,
    /// Our `aud`.
    pub audience: Audience,
    /// Our `scope`.
    pub scope: ScopeSet,
    /// The copied claims, by name.
    pub claims: serde_json::Map<String, serde_json::Value>,
    /// Our `kid`.
    pub kid: Kid,
    /// Generation of the snapshot that granted it.
    pub generation: String,
    /// Index of the token within its status window (given by `exp`), if there are status lists.
    pub status_index: Option<u64>,
    /// Our `iat`.
    pub iat: UnixTime,
    /// The millisecond within `iat`.
    pub iat_millis: u16,
    /// Our `exp`.
    pub exp: UnixTime,
    /// How many revocation rules existed when the store recorded this. The store sets it; records
    /// of earlier versions have none. Rules without `before` use it instead of a time, because the
    /// servers' clocks may differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preceding_rules: Option<u64>,
    /// The request that minted it.
    pub request_id: RequestId,
}

/// A group that an ID token named, and a team that it gave.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NamedGroup {
    /// The team.
    pub team: TeamName,
    /// The claim, as the configuration has it: a name or pointer.
    pub claim: String,
    /// The group.
    pub value: String,
}

impl TokenRecord {
    /// The tokens of ours that this one depends on: those that it came from, and those by which its
    /// actors proved who they are. Revoking any of them ends this token.
    pub fn ancestors(&self) -> impl Iterator<Item = &Jti> {
        let actors = self.actor.iter().flat_map(|actor| actor.chain());
        self.proof.ancestors().chain(actors.flat_map(|actor| actor.proof.ancestors()))
    }
}

/// A one-use claim on a subject token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayClaim {
    /// Digest of issuer entry, issuer and `jti`, or the signing input without a `jti`. For
    /// `once_per_account` also of the account.
    pub key: Digest256,
    /// When the claim may be forgotten: `exp` of the subject token, plus leeway and margin.
    pub until: UnixTime,
}
