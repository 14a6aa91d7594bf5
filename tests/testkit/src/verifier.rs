//! An independent service that verifies our tokens offline, with `jsonwebtoken` on our published
//! key set and none of our code.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::Value;
use sts_jose::decode_base64url;

/// A verified access token.
#[derive(Clone, Debug)]
pub struct OwnToken {
    /// The JOSE header.
    pub header: Value,
    /// The claims.
    pub claims: Value,
}

/// Verifies signature, `iss`, `aud` and `exp` of `token` with the key set `jwks`.
///
/// # Errors
/// The library's error, as text.
pub fn verify_offline(token: &str, jwks: &Value, issuer: &str, audience: &str) -> Result<OwnToken, String> {
    let set: JwkSet = serde_json::from_value(jwks.clone()).map_err(|error| error.to_string())?;
    let header = decode_header(token).map_err(|error| error.to_string())?;
    let kid = header.kid.as_deref().ok_or("no kid")?;
    let jwk = set.find(kid).ok_or("no key of that kid")?;
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
    let key = DecodingKey::from_jwk(jwk).map_err(|error| error.to_string())?;
    let claims = decode::<Value>(token, &key, &validation).map_err(|error| error.to_string())?.claims;
    let header = decode_base64url(token.split('.').next().unwrap_or_default()).ok_or("no base64url")?;
    Ok(OwnToken { header: serde_json::from_slice(&header).map_err(|error| error.to_string())?, claims })
}
