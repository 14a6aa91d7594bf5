//! A private key in memory, parsed once.

use crate::{Algorithm, Sha256, SignError, Signer, Signing, SigningInput, VerifyingKey, base64url, parse_jwk};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};
use sts_types::Kid;
use zeroize::Zeroizing;

/// A private key for ES256, RS256 or EdDSA, parsed once. [`Debug`](std::fmt::Debug) shows only
/// algorithm and `kid`.
pub struct SigningKey {
    key: PrivateKey,
    pkcs8: Zeroizing<Vec<u8>>,
    kid: Kid,
    public: VerifyingKey,
    public_jwk: Value,
}

/// Why bytes are not a signing key. Never contains key material.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// The algorithm is not one of ES256, RS256 and EdDSA.
    #[error("tokens are not signed with this algorithm; ES256, RS256 and EdDSA are supported")]
    Algorithm,
    /// Not an unencrypted PKCS#8 document with a key for this algorithm.
    #[error("not an unencrypted PKCS#8 key for this algorithm")]
    Pkcs8,
    /// The public half violates a rule that our own verifiers apply.
    #[error("the key is not usable: {0}")]
    Unusable(#[from] crate::UnusableKeyError),
    /// The public half did not verify the key's own signature.
    #[error("the key does not verify what it signs")]
    SelfTest,
}

impl SigningKey {
    /// Generates a key from the operating system's randomness. RSA keys have 2,048 bits.
    ///
    /// # Errors
    /// [`SignError::Algorithm`] for algorithms other than ES256, RS256 and EdDSA.
    pub fn generate(algorithm: Algorithm) -> Result<Self, SignError> {
        let failed = |_| SignError::Failed;
        let key = match algorithm {
            Algorithm::ES256 => {
                PrivateKey::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?)
            }
            Algorithm::RS256 => PrivateKey::Rs256(RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?),
            Algorithm::EdDSA => PrivateKey::EdDsa(Ed25519KeyPair::generate().map_err(failed)?),
            _ => return Err(SignError::Algorithm),
        };
        Self::assemble(algorithm, key).map_err(|_| SignError::Failed)
    }

    /// Parses an unencrypted PKCS#8 document (RFC 5208) in DER. An RSA key may have 2,048 to 8,192
    /// bits.
    ///
    /// # Errors
    /// See [`SigningKeyError`].
    pub fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Result<Self, SigningKeyError> {
        let wrong = |_| SigningKeyError::Pkcs8;
        let key = match algorithm {
            Algorithm::ES256 => {
                PrivateKey::Es256(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der).map_err(wrong)?)
            }
            Algorithm::RS256 => PrivateKey::Rs256(RsaKeyPair::from_pkcs8(der).map_err(wrong)?),
            Algorithm::EdDSA => PrivateKey::EdDsa(Ed25519KeyPair::from_pkcs8(der).map_err(wrong)?),
            _ => return Err(SigningKeyError::Algorithm),
        };
        Self::assemble(algorithm, key)
    }

    /// The private key as an unencrypted PKCS#8 document (RFC 5208) in DER, for
    /// [`from_pkcs8`](Self::from_pkcs8).
    #[must_use]
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        self.pkcs8.clone()
    }

    /// The public half, with its `kid`.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        self.public.clone()
    }

    /// The signature over `message`, in JWS form.
    ///
    /// # Errors
    /// [`SignError::Failed`].
    pub fn sign_now(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.key.sign(message)
    }

    /// Derives the public half and the `kid`, and verifies one signature. A key that cannot work is
    /// found when it is loaded.
    fn assemble(algorithm: Algorithm, key: PrivateKey) -> Result<Self, SigningKeyError> {
        let pkcs8 = key.to_pkcs8().ok_or(SigningKeyError::Pkcs8)?;
        let public = parse_jwk(&key.public_members(), &[algorithm])?;
        let kid = Kid::new(public.thumbprint()).map_err(|_| SigningKeyError::SelfTest)?;
        let public = public.named(kid.clone());
        let signature = key.sign(SELF_TEST).map_err(|_| SigningKeyError::SelfTest)?;
        public.verify(SELF_TEST, &signature).map_err(|_| SigningKeyError::SelfTest)?;
        Ok(Self { key, pkcs8, kid, public_jwk: public.public_jwk(), public })
    }
}

/// The message of the self-test.
const SELF_TEST: &[u8] = b"sts signing key self-test";

impl Signer for SigningKey {
    fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    fn kid(&self) -> &Kid {
        &self.kid
    }

    fn public_jwk(&self) -> &Value {
        &self.public_jwk
    }

    fn verifying_key(&self) -> VerifyingKey {
        self.public.clone()
    }

    fn sign<'a>(&'a self, input: SigningInput<'a>) -> Signing<'a, Vec<u8>> {
        Signing::Done(self.key.sign_digested(input.bytes(), input.digested()))
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm())
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// Converts aws-lc's DER signature (RFC 3279 section 2.2.3) to the JWS form (RFC 7518 section 3.4):
/// R and S with 32 octets each. aws-lc's own conversion uses big numbers and takes a twentieth of
/// the time of signing.
fn jws_signature(der: &[u8]) -> Option<Vec<u8>> {
    let [0x30, length, numbers @ ..] = der else { return None };
    let mut signature = vec![0; 64];
    let (r, s) = signature.split_at_mut(32);
    let rest = integer(numbers, r)?;
    (usize::from(*length) == numbers.len() && integer(rest, s)?.is_empty()).then_some(signature)
}

/// Reads a positive DER INTEGER into `number`, big-endian, and returns the bytes after it.
fn integer<'a>(der: &'a [u8], number: &mut [u8]) -> Option<&'a [u8]> {
    let [0x02, length, rest @ ..] = der else { return None };
    let (octets, rest) = rest.split_at_checked(usize::from(*length))?;
    // DER puts a zero before a number whose first bit is set, so that it is not negative.
    let octets = octets.strip_prefix(&[0]).unwrap_or(octets);
    let start = number.len().checked_sub(octets.len())?;
    number.get_mut(start..)?.copy_from_slice(octets);
    Some(rest)
}

enum PrivateKey {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

impl PrivateKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        // For ECDSA, aws-lc uses its own generator and ignores this one.
        let random = SystemRandom::new();
        match self {
            Self::Es256(key) => {
                key.sign(&random, message).and_then(|der| jws_signature(der.as_ref()).ok_or(Unspecified))
            }
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map(|()| signature)
            }
            Self::EdDsa(key) => key.try_sign(message).map(|signature| signature.as_ref().to_vec()),
        }
        .map_err(|_| SignError::Failed)
    }

    /// ECDSA and RSA sign a digest. Ed25519 needs the message itself (RFC 8032 section 5.1.6).
    fn sign_digested(&self, message: &[u8], digested: &Sha256) -> Result<Vec<u8>, SignError> {
        let digest = || digested.clone().finish_to_sign();
        match self {
            Self::Es256(key) => {
                key.sign_digest(&digest()).and_then(|der| jws_signature(der.as_ref()).ok_or(Unspecified))
            }
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign_digest(&RSA_PKCS1_SHA256, &digest(), &mut signature).map(|()| signature)
            }
            Self::EdDsa(_) => return self.sign(message),
        }
        .map_err(|_| SignError::Failed)
    }

    fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        let der = match self {
            Self::Es256(key) => key.to_pkcs8v1().ok()?.as_ref().to_vec(),
            Self::Rs256(key) => AsDer::<Pkcs8V1Der<'_>>::as_der(key).ok()?.as_ref().to_vec(),
            Self::EdDsa(key) => key.to_pkcs8v1().ok()?.as_ref().to_vec(),
        };
        Some(Zeroizing::new(der))
    }

    /// The required members of the public JWK (RFC 7638 section 3.2).
    fn public_members(&self) -> Value {
        match self {
            Self::Es256(key) => {
                // SEC 1 section 2.3.3, uncompressed point: 0x04, then both coordinates.
                let point = key.public_key().as_ref();
                let (x, y) = point.get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
                json!({ "kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y) })
            }
            Self::Rs256(key) => {
                let n = base64url(key.public_key().modulus().big_endian_without_leading_zero());
                let e = base64url(key.public_key().exponent().big_endian_without_leading_zero());
                json!({ "kty": "RSA", "n": n, "e": e })
            }
            Self::EdDsa(key) => json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(key.public_key().as_ref()) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNED_WITH: [Algorithm; 3] = [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA];

    #[test]
    fn a_key_survives_pkcs8_and_keeps_its_name() {
        for algorithm in SIGNED_WITH {
            let made = SigningKey::generate(algorithm).unwrap();
            let read = SigningKey::from_pkcs8(algorithm, &made.to_pkcs8()).unwrap();
            assert_eq!((read.algorithm(), read.kid(), read.public_jwk()), (algorithm, made.kid(), made.public_jwk()));
            let signature = read.sign_now(b"message").unwrap();
            assert_eq!(made.verifying_key().verify(b"message", &signature), Ok(()));
            assert!(made.verifying_key().verify(b"massage", &signature).is_err());
        }
    }

    #[test]
    fn an_ecdsa_signature_has_two_numbers_of_32_octets_however_short_they_are_in_der() {
        let der = |r: &[u8], s: &[u8]| {
            let number = |octets: &[u8]| [&[2, u8::try_from(octets.len()).unwrap()], octets].concat();
            let numbers = [number(r), number(s)].concat();
            [&[0x30, u8::try_from(numbers.len()).unwrap()], numbers.as_slice()].concat()
        };
        let padded = |octets: &[u8]| [&vec![0; 32 - octets.len()], octets].concat();
        for (r, s) in [(&[1][..], &[2][..]), (&[0x7f; 32], &[1; 31]), (&[5; 20], &[0x70; 32])] {
            assert_eq!(jws_signature(&der(r, s)), Some([padded(r), padded(s)].concat()));
        }
        let with_a_zero = [&[0][..], &[0xff; 32]].concat();
        assert_eq!(jws_signature(&der(&with_a_zero, &with_a_zero)), Some(vec![0xff; 64]));
        let good = der(&[1; 32], &[2; 32]);
        for length in 0..good.len() {
            assert_eq!(jws_signature(&good[..length]), None, "{length}");
        }
        for bad in [&[good.as_slice(), &[0]].concat(), &der(&[1; 33], &[2; 32]), &der(&[1; 32], &[2; 33])] {
            assert_eq!(jws_signature(bad), None, "{bad:?}");
        }
        // One number in 256 is one octet shorter than the others.
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        for number in 0_u32..2_000 {
            let signature = key.sign_now(&number.to_be_bytes()).unwrap();
            assert_eq!(key.verifying_key().verify(&number.to_be_bytes(), &signature), Ok(()));
        }
    }

    #[test]
    fn j15_the_public_jwk_has_exactly_the_public_members_and_the_thumbprint_as_its_kid() {
        for (algorithm, members) in [
            (Algorithm::ES256, &["alg", "crv", "kid", "kty", "use", "x", "y"][..]),
            (Algorithm::RS256, &["alg", "e", "kid", "kty", "n", "use"]),
            (Algorithm::EdDSA, &["alg", "crv", "kid", "kty", "use", "x"]),
        ] {
            let key = SigningKey::generate(algorithm).unwrap();
            let jwk = key.public_jwk().as_object().unwrap();
            let mut names: Vec<_> = jwk.keys().map(String::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, members);
            assert_eq!((&jwk["use"], &jwk["alg"]), (&json!("sig"), &json!(algorithm.name())));
            assert_eq!(jwk["kid"], key.verifying_key().thumbprint());
        }
    }

    #[test]
    fn an_rsa_key_has_2048_bits_and_two_keys_are_never_the_same() {
        let key = SigningKey::generate(Algorithm::RS256).unwrap();
        assert_eq!(key.sign_now(b"").unwrap().len(), 256);
        assert_ne!(key.kid(), SigningKey::generate(Algorithm::RS256).unwrap().kid());
    }

    #[test]
    fn a_key_is_read_for_its_own_algorithm_only() {
        for made in SIGNED_WITH {
            let der = SigningKey::generate(made).unwrap().to_pkcs8();
            for read in SIGNED_WITH.into_iter().filter(|read| *read != made) {
                assert_eq!(SigningKey::from_pkcs8(read, &der).unwrap_err(), SigningKeyError::Pkcs8, "{made} as {read}");
            }
            assert_eq!(SigningKey::from_pkcs8(made, &der[..der.len() - 1]).unwrap_err(), SigningKeyError::Pkcs8);
            assert_eq!(SigningKey::from_pkcs8(made, b"").unwrap_err(), SigningKeyError::Pkcs8);
        }
    }

    #[test]
    fn other_algorithms_are_not_signed_with() {
        for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| !SIGNED_WITH.contains(algorithm)) {
            assert_eq!(SigningKey::generate(algorithm).unwrap_err(), SignError::Algorithm);
            assert_eq!(SigningKey::from_pkcs8(algorithm, b"").unwrap_err(), SigningKeyError::Algorithm);
        }
    }

    #[test]
    fn debug_shows_algorithm_and_identifier_only() {
        let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
        assert_eq!(format!("{key:?}"), format!("SigningKey {{ algorithm: EdDSA, kid: {:?}, .. }}", key.kid().as_str()));
    }
}
