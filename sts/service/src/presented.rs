//! What a refused token claims about itself. Most onboarding problems show here.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};
use sts_claims::ClaimSet;
use sts_token::ObservedClaims;

use crate::redact::redacted;

/// The most values of `aud` to show.
const MAX_AUDIENCES: usize = 8;
/// The longest `alg` or `typ` to show, in octets. A longer one is no registered name, and may be a
/// secret in the wrong place.
const MAX_NAME: usize = 24;

/// The header and registered claims of a refused token. Texts are bounded and redacted. Missing
/// members and members of a wrong type are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresentedToken {
    /// Whether a key of a trusted issuer verified it. If not, anybody may have written it.
    pub verified: bool,
    /// `iss`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// The first values of `aud`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aud: Vec<String>,
    /// `kid` of the header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// `alg` of the header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// `typ` of the header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typ: Option<String>,
    /// `exp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<Number>,
    /// `nbf`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<Number>,
    /// `iat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat: Option<Number>,
}

impl PresentedToken {
    /// Reads a refused token. `claims` are given if they were verified. `None` if it is no JWS at
    /// all.
    pub(crate) fn of(token: &str, claims: Option<&ObservedClaims>) -> Option<Self> {
        let mut parts = token.split('.');
        let (header, payload) = (parts.next()?, parts.next()?);
        let header: Map<String, Value> = serde_json::from_slice(&sts_jose::decode_base64url(header)?).ok()?;
        let unverified;
        let shown = match claims {
            Some(claims) => claims.claims(),
            None => {
                unverified = ClaimSet::parse(&sts_jose::decode_base64url(payload)?).unwrap_or_default();
                &unverified
            }
        };
        let text = |name: &str| header.get(name).and_then(Value::as_str);
        let name = |member: &str| text(member).filter(|name| name.len() <= MAX_NAME).map(redacted);
        let moment = |name: &str| shown.get(name).and_then(sts_claims::Json::as_number).cloned();
        let audiences = shown.get("aud").into_iter().flat_map(sts_claims::Json::elements);
        Some(Self {
            verified: claims.is_some(),
            iss: shown.text("iss").map(redacted),
            aud: audiences.filter_map(sts_claims::Json::as_str).take(MAX_AUDIENCES).map(redacted).collect(),
            kid: text("kid").map(redacted),
            alg: name("alg"),
            typ: name("typ"),
            exp: moment("exp"),
            nbf: moment("nbf"),
            iat: moment("iat"),
        })
    }
}
