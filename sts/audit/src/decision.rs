//! The decision event: one for every exchange, granted or refused.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use crate::event::{ActorKind, Level};

/// The outcome of one exchange. It never contains a token.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DecisionEvent {
    /// `WARN` where a fault of the server, or of something that it depends on, kept the request from
    /// being judged.
    pub level: Level,
    /// Always `decision`.
    pub event: DecisionTag,
    /// The version of this format.
    pub version: u32,
    /// RFC 3339, UTC, milliseconds.
    pub time: String,
    /// The ULID that the caller was given, also in `X-Request-Id`.
    pub request_id: String,
    /// Always `caller`.
    pub actor_kind: ActorKind,
    /// `abandoned`: the caller hung up before there was an answer.
    pub outcome: Outcome,
    /// The stable reason. Absent if granted or abandoned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Which rule of that reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The grant. Absent if the request names none that exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<&'static str>,
    /// What a minted token was minted on: an ID token, an API key, or a token of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<ProofKind>,
    /// The id of the account that acts for `account`, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The issuer entry, once known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer_entry: Option<String>,
    /// The subject token's `sub`, once verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The account's username: the granted one, or the existing one that the request names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The identity that granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// The id of the API key that a token was minted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// `account/identity` that came nearest, when policy refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest_identity: Option<String>,
    /// Its first condition that the token does not meet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_condition: Option<FailedCondition>,
    /// Why it was refused, for the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What a refused token says about itself. Unless `verified` is true, anybody may have written
    /// it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presented: Option<PresentedToken>,
    /// SHA-256 of the presented ID token, or token of ours, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presented_sha256: Option<String>,
    /// The exchange that a one-use token was spent on, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earlier_use: Option<EarlierExchange>,
    /// The minted `aud`. If refused, the requested values of `audience` and `resource`, joined by
    /// spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// The minted `scope`. If refused, the requested one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The minted `jti`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// The key that signed the minted token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The generation of the rules that it ran under.
    pub generation: String,
    /// The caller's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// From arrival to decision, in microseconds.
    pub duration_us: u64,
    /// The part of each phase that the exchange reached, in microseconds.
    pub phases_us: PhaseMicros,
    /// The subject token's claims, with `log.claims: true`, once verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claims: Option<Map<String, Value>>,
}

/// Time spent in each phase that the exchange reached, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PhaseMicros {
    /// From arrival until the request's body was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive: Option<u64>,
    /// The request's shape, and the token's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parse: Option<u64>,
    /// The issuer's keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<u64>,
    /// The signature and the token's times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<u64>,
    /// The rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decide: Option<u64>,
    /// The new token's claims and signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mint: Option<u64>,
    /// Its record, until that was durable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
}

/// The type of a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the name says it")]
pub enum DecisionTag {
    #[default]
    Decision,
}

/// What a caller proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum ProofKind {
    Federated,
    ApiKey,
    Own,
}

/// The outcome of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A token was minted.
    Granted,
    /// The request, its token or the rules do not allow it.
    Refused,
    /// The exchange could not be decided.
    Unavailable,
    /// The caller hung up before there was an answer.
    Abandoned,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Granted, Self::Refused, Self::Unavailable, Self::Abandoned];

    /// The name in events and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Abandoned => "abandoned",
        }
    }
}

/// The exchange that used up a one-use token.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EarlierExchange {
    /// RFC 3339 in UTC, milliseconds.
    pub time: String,
    /// Its request.
    pub request_id: String,
}

/// A condition that a token did not meet.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FailedCondition {
    /// `subject`, `audience`, or the claim's name or pointer.
    pub on: String,
    /// What the rule wants.
    pub expected: String,
    /// What the token has. Absent if the claim is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
}

/// The header and registered claims of a refused token. Texts are bounded and redacted. Missing
/// members and members of a wrong type are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PresentedToken {
    /// Whether a key of a trusted issuer verified it. If not, anybody may have written it.
    pub verified: bool,
    /// Its `iss`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// The first values of its `aud`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aud: Vec<String>,
    /// The `kid` of its header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The `alg` of its header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// The `typ` of its header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typ: Option<String>,
    /// Its `exp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<Number>,
    /// Its `nbf`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<Number>,
    /// Its `iat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat: Option<Number>,
}
