//! Signing, as whatever holds a private key does it.

use crate::{Algorithm, base64url};
use serde_json::{Value, json};
use sts_types::Kid;

/// Something that signs with one private key under one algorithm: a key in memory ([`SigningKey`](crate::SigningKey)), or a device
/// that never gives its key away.
pub trait Signer: Send + Sync + 'static {
    /// The one algorithm.
    fn algorithm(&self) -> Algorithm;

    /// The key's RFC 7638 thumbprint, which is its `kid`.
    fn kid(&self) -> &Kid;

    /// The public JWK as our key set publishes it: the members of its type, `use`, `alg`, `kid`, and never a private member
    /// (requirement J-15).
    fn public_jwk(&self) -> &Value;

    /// The signature over `signing_input`, in the form of a JWS.
    ///
    /// # Errors
    /// [`SignError`] when the key, or what holds it, fails.
    fn sign(&self, signing_input: &[u8]) -> Result<Vec<u8>, SignError>;
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
pub fn sign_compact(signer: &dyn Signer, typ: &str, payload: &[u8]) -> Result<String, SignError> {
    let header = json!({ "alg": signer.algorithm().name(), "kid": signer.kid(), "typ": typ }).to_string();
    let mut token = format!("{}.{}", base64url(header.as_bytes()), base64url(payload));
    let signature = signer.sign(token.as_bytes())?;
    token.push('.');
    token.push_str(&base64url(&signature));
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CompactJws, SigningKey};

    #[test]
    fn at1_the_header_names_algorithm_key_and_type_and_nothing_else() {
        for algorithm in [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA] {
            let key = SigningKey::generate(algorithm).unwrap();
            let token = sign_compact(&key, "at+jwt", b"{\"sub\":\"a\"}").unwrap();
            let jws = CompactJws::parse(&token).unwrap();
            assert_eq!(jws.verify(&key.verifying_key()), Ok(()));
            assert_eq!(jws.payload(), b"{\"sub\":\"a\"}");
            let header = crate::decode_base64url(token.split('.').next().unwrap()).unwrap();
            let header: Value = serde_json::from_slice(&header).unwrap();
            assert_eq!(header, json!({ "alg": algorithm.name(), "kid": key.kid(), "typ": "at+jwt" }));
        }
    }
}
