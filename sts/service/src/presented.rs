//! What a refused token claims about itself. Most onboarding problems show here.

use serde_json::{Map, Value};
use sts_audit::PresentedToken;
use sts_claims::ClaimSet;
use sts_token::ObservedClaims;

use crate::redact::redacted;

/// The most values of `aud` to show.
const MAX_AUDIENCES: usize = 8;
/// The longest `alg` or `typ` to show, in octets. A longer one is no registered name, and may be a
/// secret in the wrong place.
const MAX_NAME: usize = 24;

/// Reads a refused token. `claims` are given if they were verified. `None` if it is no JWS at all.
pub(crate) fn presented_token(token: &str, claims: Option<&ObservedClaims>) -> Option<PresentedToken> {
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
    Some(PresentedToken {
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
