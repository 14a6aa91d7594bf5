//! Signing with a private key, in memory or on a device.

use std::future::Future;
use std::pin::Pin;

use crate::{Algorithm, Sha256, SigningKey, VerifyingKey, base64url};
use base64_simd::URL_SAFE_NO_PAD;
use serde_json::Value;
use sts_types::{Digest256, Kid};

/// Signs with one private key and one algorithm. Implemented by a key in memory
/// ([`SigningKey`]), or by a device that never reveals its key.
///
/// No method blocks. A device that needs milliseconds hands the work to a thread of its own and
/// returns [`Signing::Pending`].
pub trait Signer: Send + Sync + 'static {
    /// The key's one algorithm.
    fn algorithm(&self) -> Algorithm;

    /// The key's RFC 7638 thumbprint, used as its `kid`.
    fn kid(&self) -> &Kid;

    /// The public half, with its `kid`.
    fn verifying_key(&self) -> VerifyingKey;

    /// The public JWK as the key set publishes it: the members of its key type, `use`, `alg` and
    /// `kid`. Never a private member.
    fn public_jwk(&self) -> &Value;

    /// The signature over `input`, in JWS form (RFC 7518 section 3). Dropping a pending signature
    /// abandons it.
    fn sign<'a>(&'a self, input: SigningInput<'a>) -> Signing<'a, Vec<u8>>;

    /// Whether the key can sign now. A key in memory always can. A device is asked.
    fn check(&self) -> Signing<'_, ()> {
        Signing::Done(Ok(()))
    }
}

/// The JWS signing input (RFC 7515 section 2), and its SHA-256, so that an algorithm that signs a
/// digest does not hash the input again.
#[derive(Clone, Copy)]
pub struct SigningInput<'a> {
    bytes: &'a [u8],
    /// Has hashed exactly `bytes`.
    digested: &'a Sha256,
}

impl std::fmt::Debug for SigningInput<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningInput").field("length", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl<'a> SigningInput<'a> {
    /// The octets to sign.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Their SHA-256.
    #[must_use]
    pub fn sha256(&self) -> Digest256 {
        self.digested.clone().finish()
    }

    pub(crate) const fn digested(&self) -> &'a Sha256 {
        self.digested
    }
}

/// The outcome of a signer's work, or the wait for it.
pub enum Signing<'a, T> {
    /// Done. A key in memory answers this way, without an allocation.
    Done(Result<T, SignError>),
    /// A device is at work. The future needs no runtime of a particular kind.
    Pending(Pin<Box<dyn Future<Output = Result<T, SignError>> + Send + 'a>>),
}

impl<T> std::fmt::Debug for Signing<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Done(Ok(_)) => "Done(Ok(..))",
            Self::Done(Err(_)) => "Done(Err(..))",
            Self::Pending(_) => "Pending(..)",
        })
    }
}

impl<T> Signing<'_, T> {
    /// Waits for the outcome.
    ///
    /// # Errors
    /// [`SignError`] if the key or its device fails.
    pub async fn outcome(self) -> Result<T, SignError> {
        match self {
            Self::Done(outcome) => outcome,
            Self::Pending(pending) => pending.await,
        }
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
    /// The device that holds the key is gone, or did not answer in time.
    #[error("the device that holds the signing key does not answer")]
    Unavailable,
}

/// Signs `payload` with a key in memory, as a compact JWS (RFC 7515 section 7.1) with the header
/// `{"alg","kid","typ"}`.
///
/// # Errors
/// See [`SigningKey::sign_now`].
pub fn sign_compact(key: &SigningKey, typ: &'static str, payload: &[u8]) -> Result<String, SignError> {
    let token = signing_input(key, typ, payload);
    let signature = key.sign_now(token.as_bytes())?;
    Ok(signed(token, &signature))
}

/// Like [`sign_compact`] for any signer, and also returns the token's digest. Signing has hashed
/// most of the token already.
///
/// # Errors
/// [`SignError`] if the key or its device fails.
pub async fn sign_compact_digested(
    signer: &dyn Signer,
    typ: &'static str,
    payload: &[u8],
) -> Result<SignedCompact, SignError> {
    let token = signing_input(signer, typ, payload);
    let mut digested = Sha256::new();
    digested.update(token.as_bytes());
    let signature = signer.sign(SigningInput { bytes: token.as_bytes(), digested: &digested }).outcome().await?;
    let length = token.len();
    let jwt = signed(token, &signature);
    digested.update(jwt.as_bytes().get(length..).unwrap_or_default());
    Ok(SignedCompact { jwt, digest: digested.finish() })
}

/// Encodes header and payload. No header value needs escaping: they are an algorithm name, a
/// thumbprint and a constant.
fn signing_input(signer: &dyn Signer, typ: &'static str, payload: &[u8]) -> String {
    let header = format!(r#"{{"alg":"{}","kid":"{}","typ":"{typ}"}}"#, signer.algorithm().name(), signer.kid());
    let base64_len = |length: usize| URL_SAFE_NO_PAD.encoded_length(length);
    // 86 characters for an ES256 or EdDSA signature, plus two dots. RS256 reallocates once, which
    // costs little beside the signature.
    let mut token = String::with_capacity(base64_len(header.len()) + base64_len(payload.len()) + 88);
    URL_SAFE_NO_PAD.encode_append(header, &mut token);
    token.push('.');
    URL_SAFE_NO_PAD.encode_append(payload, &mut token);
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
    use crate::{CompactJws, sha256};
    use futures_util::FutureExt as _;
    use serde_json::json;

    #[test]
    fn at1_the_header_names_algorithm_key_and_type_and_nothing_else() {
        for algorithm in [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA] {
            let key = SigningKey::generate(algorithm).unwrap();
            let token = sign_compact(&key, "at+jwt", b"{\"sub\":\"a\"}").unwrap();
            let jws = CompactJws::parse(&token).unwrap();
            assert_eq!(jws.verify(&key.verifying_key()), Ok(()));
            assert_eq!(jws.payload(), b"{\"sub\":\"a\"}");
            let digested = sign_compact_digested(&key, "at+jwt", b"{\"sub\":\"a\"}");
            let digested = digested.now_or_never().expect("a key in memory signs at once").unwrap();
            assert_eq!(digested.digest, sha256(digested.jwt.as_bytes()));
            assert_eq!(CompactJws::parse(&digested.jwt).unwrap().verify(&key.verifying_key()), Ok(()));
            assert_eq!(digested.jwt.rsplit_once('.').unwrap().0, token.rsplit_once('.').unwrap().0);
            let header = crate::decode_base64url(token.split('.').next().unwrap()).unwrap();
            let header: Value = serde_json::from_slice(&header).unwrap();
            assert_eq!(header, json!({ "alg": algorithm.name(), "kid": key.kid(), "typ": "at+jwt" }));
        }
    }
}
