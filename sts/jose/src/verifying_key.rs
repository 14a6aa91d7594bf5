//! A public key, parsed and bound to one algorithm.

use std::sync::Arc;

use crate::{Algorithm, UnusableKeyError, base64url, thumbprint::thumbprint};
use aws_lc_rs::signature::{self, EcdsaVerificationAlgorithm, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents};
use serde_json::{Value, json};
use sts_types::{Kid, UnixTime};

/// A public key that verifies signatures of exactly one algorithm (RFC 8725 section 3.1). Only
/// [`parse_jwk`](crate::parse_jwk) makes one, so it is parsed once.
#[derive(Clone)]
pub struct VerifyingKey {
    algorithm: Algorithm,
    kid: Option<Kid>,
    key: ParsedPublicKey,
    /// Length of every signature by this key, in octets.
    signature_length: usize,
    members: PublicMembers,
    thumbprint: String,
}

/// The signature does not verify. The reason is withheld: it would only help an attacker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

impl VerifyingKey {
    /// The key's `kid`, if it has one.
    #[must_use]
    pub fn kid(&self) -> Option<&Kid> {
        self.kid.as_ref()
    }

    /// The one algorithm that this key verifies.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The RFC 7638 thumbprint: SHA-256 in base64url. Every encoding of the same key has the same
    /// thumbprint.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Verifies `signature` over `signing_input`.
    ///
    /// The length must be exact: the modulus for RSA, `r || s` at full width for ECDSA (RFC 7518
    /// section 3.4, which rules out DER), 64 octets for Ed25519. A PSS salt must be as long as the
    /// hash (RFC 7518 section 3.5). ECDSA requires `0 < r, s < n`, and Ed25519 requires `S < L`.
    ///
    /// # Errors
    /// [`BadSignature`], without a reason.
    pub fn verify(&self, signing_input: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        if signature.len() != self.signature_length {
            return Err(BadSignature);
        }
        self.key.verify_sig(signing_input, signature).map_err(|_| BadSignature)
    }

    /// The public JWK: the members of the key type, `use`, `alg`, and `kid` if there is one.
    #[must_use]
    pub fn public_jwk(&self) -> Value {
        let mut jwk = match &self.members {
            PublicMembers::Rsa { n, e } => json!({ "kty": "RSA", "n": n, "e": e }),
            PublicMembers::Ec { crv, x, y } => json!({ "kty": "EC", "crv": crv, "x": x, "y": y }),
            PublicMembers::Ed25519 { x } => json!({ "kty": "OKP", "crv": "Ed25519", "x": x }),
        };
        if let Value::Object(members) = &mut jwk {
            members.insert("use".to_owned(), "sig".into());
            members.insert("alg".to_owned(), self.algorithm.name().into());
            if let Some(kid) = &self.kid {
                members.insert("kid".to_owned(), kid.as_str().into());
            }
        }
        jwk
    }

    /// The same key with this `kid`.
    pub(crate) fn named(self, kid: Kid) -> Self {
        Self { kid: Some(kid), ..self }
    }

    /// An RSA key. `n` and `e` have no leading zeros and are within the limits.
    pub(crate) fn rsa(algorithm: Algorithm, kid: Option<Kid>, n: &[u8], e: &[u8]) -> Result<Self, UnusableKeyError> {
        let parameters = rsa_parameters(algorithm).ok_or(UnusableKeyError::AlgorithmMismatch)?;
        let key = RsaPublicKeyComponents { n, e }
            .to_parsed_public_key(parameters)
            .map_err(|_| UnusableKeyError::WeakModulus)?;
        let members = PublicMembers::Rsa { n: base64url(n), e: base64url(e) };
        Ok(Self::assemble(algorithm, kid, key, n.len(), members))
    }

    /// An EC key. The coordinates have the curve's full width. Fails if they are not a point on the
    /// curve.
    pub(crate) fn ec(algorithm: Algorithm, kid: Option<Kid>, x: &[u8], y: &[u8]) -> Result<Self, UnusableKeyError> {
        let (crv, parameters) = ec_parameters(algorithm).ok_or(UnusableKeyError::AlgorithmMismatch)?;
        // SEC 1 section 2.3.3, uncompressed point.
        let point = [&[0x04], x, y].concat();
        let key = ParsedPublicKey::new(parameters, &point).map_err(|_| UnusableKeyError::OffCurve)?;
        let members = PublicMembers::Ec { crv, x: base64url(x), y: base64url(y) };
        Ok(Self::assemble(algorithm, kid, key, x.len() + y.len(), members))
    }

    /// An Ed25519 key of 32 octets that are canonical and not of small order. Whether they are a
    /// point at all shows at the first verification: otherwise nothing verifies.
    pub(crate) fn ed25519(kid: Option<Kid>, x: &[u8]) -> Result<Self, UnusableKeyError> {
        let key = ParsedPublicKey::new(&signature::ED25519, x).map_err(|_| UnusableKeyError::OffCurve)?;
        Ok(Self::assemble(Algorithm::EdDSA, kid, key, 64, PublicMembers::Ed25519 { x: base64url(x) }))
    }

    fn assemble(
        algorithm: Algorithm,
        kid: Option<Kid>,
        key: ParsedPublicKey,
        signature_length: usize,
        members: PublicMembers,
    ) -> Self {
        let thumbprint = members.thumbprint();
        Self { algorithm, kid, key, signature_length, members, thumbprint }
    }
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}

/// The required members of the JWK, in canonical base64url.
#[derive(Clone)]
enum PublicMembers {
    Rsa { n: String, e: String },
    Ec { crv: &'static str, x: String, y: String },
    Ed25519 { x: String },
}

impl PublicMembers {
    fn thumbprint(&self) -> String {
        match self {
            Self::Rsa { n, e } => thumbprint(&[("e", e), ("kty", "RSA"), ("n", n)]),
            Self::Ec { crv, x, y } => thumbprint(&[("crv", crv), ("kty", "EC"), ("x", x), ("y", y)]),
            Self::Ed25519 { x } => thumbprint(&[("crv", "Ed25519"), ("kty", "OKP"), ("x", x)]),
        }
    }
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    // The PSS parameters of aws-lc default to a salt as long as the digest. Verification then
    // accepts no other length.
    Some(match algorithm {
        Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
        Algorithm::ES256 | Algorithm::ES384 | Algorithm::ES512 | Algorithm::EdDSA => return None,
    })
}

fn ec_parameters(algorithm: Algorithm) -> Option<(&'static str, &'static EcdsaVerificationAlgorithm)> {
    Some(match algorithm {
        Algorithm::ES256 => ("P-256", &signature::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => ("P-384", &signature::ECDSA_P384_SHA384_FIXED),
        Algorithm::ES512 => ("P-521", &signature::ECDSA_P521_SHA512_FIXED),
        Algorithm::RS256
        | Algorithm::RS384
        | Algorithm::RS512
        | Algorithm::PS256
        | Algorithm::PS384
        | Algorithm::PS512
        | Algorithm::EdDSA => return None,
    })
}

/// Keys to verify with, by `kid`, that change with time: our own key set, or another issuer's.
pub trait VerifyingKeys {
    /// The key of that `kid` that is published at `now`.
    fn verifying_key(&self, kid: &Kid, now: UnixTime) -> Option<Arc<VerifyingKey>>;
}
