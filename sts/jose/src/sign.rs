//! Signing, as whatever holds a private key does it.

use crate::{Algorithm, Sha256, base64url};
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;
use sts_types::{Digest256, Kid};

/// Something that signs with one private key under one algorithm: a key in memory ([`SigningKey`](crate::SigningKey)), or a device
/// that never gives its key away.
pub trait Signer: Send + Sync + 'static {
    /// The one algorithm.
    fn algorithm(&self) -> Algorithm;

    /// The key's RFC 7638 thumbprint, which is its `kid`.
    fn kid(&self) -> &Kid;

    /// The public JWK as our key set publishes it: the members of its type, `use`, `alg`, `kid`, and never a private member.
    fn public_jwk(&self) -> &Value;

    /// The signature over `signing_input`, in the form of a JWS.
    ///
    /// # Errors
    /// [`SignError`] when the key, or what holds it, fails.
    fn sign(&self, signing_input: &[u8]) -> Result<Vec<u8>, SignError>;

    /// The same, where `digested` was given exactly `signing_input`: whoever signs a SHA-256 digest need not take it again.
    ///
    /// # Errors
    /// As [`Signer::sign`].
    fn sign_digested(&self, signing_input: &[u8], digested: &Sha256) -> Result<Vec<u8>, SignError> {
        let _ = digested;
        self.sign(signing_input)
    }
}

/// A JWS that was just signed.
pub struct SignedCompact {
    /// The token.
    pub jwt: String,
    /// SHA-256 of the whole of it.
    pub digest: Digest256,
}

/// Signing failed, or key generation did; the cause lies in the cryptographic library or device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// Not an algorithm that is signed with here: ES256, RS256, EdDSA are.
    #[error("tokens are not signed with this algorithm; ES256, RS256 and EdDSA are supported")]
    Algorithm,
    /// The operation itself failed.
    #[error("the signing operation failed")]
    Failed,
}

/// Signs `payload` as a JWS in compact serialisation (RFC 7515 section 7.1) with the header `{"alg","kid","typ"}`.
///
/// # Errors
/// See [`Signer::sign`].
pub fn sign_compact(signer: &dyn Signer, typ: &'static str, payload: &[u8]) -> Result<String, SignError> {
    let token = signing_input(signer, typ, payload);
    let signature = signer.sign(token.as_bytes())?;
    Ok(signed(token, &signature))
}

/// As [`sign_compact`], with the digest of the token, most of which the signature needs anyway.
///
/// # Errors
/// See [`Signer::sign`].
pub fn sign_compact_digested(
    signer: &dyn Signer,
    typ: &'static str,
    payload: &[u8],
) -> Result<SignedCompact, SignError> {
    let token = signing_input(signer, typ, payload);
    let mut digested = Sha256::new();
    digested.update(token.as_bytes());
    let signature = signer.sign_digested(token.as_bytes(), &digested)?;
    let length = token.len();
    let jwt = signed(token, &signature);
    digested.update(jwt.as_bytes().get(length..).unwrap_or_default());
    Ok(SignedCompact { jwt, digest: digested.finish() })
}

/// Header and payload, encoded. None of what stands in the header needs escapes: a name of the closed list, a thumbprint, a constant.
fn signing_input(signer: &dyn Signer, typ: &'static str, payload: &[u8]) -> String {
    let header = format!(r#"{{"alg":"{}","kid":"{}","typ":"{typ}"}}"#, signer.algorithm().name(), signer.kid());
    let base64_len = |length: usize| BASE64URL_NOPAD.encode_len(length);
    // A signature of ES256 or EdDSA has 86 characters; one of RS256 makes this grow, which is nothing beside making it.
    let mut token = String::with_capacity(base64_len(header.len()) + base64_len(payload.len()) + 88);
    BASE64URL_NOPAD.encode_append(header.as_bytes(), &mut token);
    token.push('.');
    BASE64URL_NOPAD.encode_append(payload, &mut token);
    token
}

fn signed(mut token: String, signature: &[u8]) -> String {
    token.push('.');
    token.push_str(&base64url(signature));
    token
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CompactJws, SigningKey, sha256};
    use serde_json::json;

    #[test]
    fn at1_the_header_names_algorithm_key_and_type_and_nothing_else() {
        for algorithm in [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA] {
            let key = SigningKey::generate(algorithm).unwrap();
            let token = sign_compact(&key, "at+jwt", b"{\"sub\":\"a\"}").unwrap();
            let jws = CompactJws::parse(&token).unwrap();
            assert_eq!(jws.verify(&key.verifying_key()), Ok(()));
            assert_eq!(jws.payload(), b"{\"sub\":\"a\"}");
            let digested = sign_compact_digested(&key, "at+jwt", b"{\"sub\":\"a\"}").unwrap();
            assert_eq!(digested.digest, sha256(digested.jwt.as_bytes()));
            assert_eq!(CompactJws::parse(&digested.jwt).unwrap().verify(&key.verifying_key()), Ok(()));
            assert_eq!(digested.jwt.rsplit_once('.').unwrap().0, token.rsplit_once('.').unwrap().0);
            let header = crate::decode_base64url(token.split('.').next().unwrap()).unwrap();
            let header: Value = serde_json::from_slice(&header).unwrap();
            assert_eq!(header, json!({ "alg": algorithm.name(), "kid": key.kid(), "typ": "at+jwt" }));
        }
    }
}
