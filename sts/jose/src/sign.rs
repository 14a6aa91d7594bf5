//! Signing with a private key, in memory or elsewhere.

use crate::{Algorithm, Sha256, base64url};
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;
use sts_types::{Digest256, Kid};

/// Signs with one private key and one algorithm. Implemented by a key in memory
/// ([`SigningKey`](crate::SigningKey)), or by a device that never reveals its key.
pub trait Signer: Send + Sync + 'static {
    /// The key's one algorithm.
    fn algorithm(&self) -> Algorithm;

    /// The key's RFC 7638 thumbprint, used as its `kid`.
    fn kid(&self) -> &Kid;

    /// The public JWK as the key set publishes it: the members of its key type, `use`, `alg` and
    /// `kid`. Never a private member.
    fn public_jwk(&self) -> &Value;

    /// The signature over `signing_input`, in JWS form.
    ///
    /// # Errors
    /// [`SignError`] if the key or its device fails.
    fn sign(&self, signing_input: &[u8]) -> Result<Vec<u8>, SignError>;

    /// Signs like [`sign`](Self::sign). `digested` has hashed exactly `signing_input`, so an
    /// algorithm that signs a SHA-256 digest need not hash it again.
    ///
    /// # Errors
    /// As for [`Signer::sign`].
    fn sign_digested(&self, signing_input: &[u8], digested: &Sha256) -> Result<Vec<u8>, SignError> {
        // A signer that needs the whole message, such as Ed25519, cannot use the digest.
        let _ = digested;
        self.sign(signing_input)
    }
}

/// A freshly signed JWS.
pub struct SignedCompact {
    /// The token.
    pub jwt: String,
    /// SHA-256 of the whole token.
    pub digest: Digest256,
}

impl std::fmt::Debug for SignedCompact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedCompact").field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// Signing or key generation failed. The cause is in the cryptographic library or the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The algorithm is not one of ES256, RS256 and EdDSA.
    #[error("tokens are not signed with this algorithm; ES256, RS256 and EdDSA are supported")]
    Algorithm,
    /// The operation itself failed.
    #[error("the signing operation failed")]
    Failed,
}

/// Signs `payload` as a compact JWS (RFC 7515 section 7.1) with the header `{"alg","kid","typ"}`.
///
/// # Errors
/// See [`Signer::sign`].
pub fn sign_compact(signer: &dyn Signer, typ: &'static str, payload: &[u8]) -> Result<String, SignError> {
    let token = signing_input(signer, typ, payload);
    let signature = signer.sign(token.as_bytes())?;
    Ok(signed(token, &signature))
}

/// Like [`sign_compact`], and also returns the token's digest. Signing has hashed most of the token
/// already.
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

/// Encodes header and payload. No header value needs escaping: they are an algorithm name, a
/// thumbprint and a constant.
fn signing_input(signer: &dyn Signer, typ: &'static str, payload: &[u8]) -> String {
    let header = format!(r#"{{"alg":"{}","kid":"{}","typ":"{typ}"}}"#, signer.algorithm().name(), signer.kid());
    let base64_len = |length: usize| BASE64URL_NOPAD.encode_len(length);
    // 86 characters for an ES256 or EdDSA signature, plus two dots. RS256 reallocates once, which
    // costs little beside the signature.
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
