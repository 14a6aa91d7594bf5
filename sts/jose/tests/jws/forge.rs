//! Keys of every algorithm, and tokens that no honest library would make.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair};
use serde_json::{Value, json};
use std::sync::LazyLock;
use sts_jose::{Algorithm, VerifyingKey, base64url, parse_jwk};

pub(crate) static KEYS: LazyLock<Keys> = LazyLock::new(Keys::generate);

/// One key of each type; the six RSA algorithms share one.
pub(crate) struct Keys {
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    p521: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

impl Keys {
    pub(crate) fn generate() -> Self {
        Self {
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            p256: EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            p384: EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
            p521: EcdsaKeyPair::generate(&signature::ECDSA_P521_SHA512_FIXED_SIGNING).unwrap(),
            ed25519: Ed25519KeyPair::generate().unwrap(),
        }
    }

    pub(crate) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let ec = |key: &EcdsaKeyPair| key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec();
        match algorithm {
            Algorithm::RS256 => self.sign_rsa(&signature::RSA_PKCS1_SHA256, message),
            Algorithm::RS384 => self.sign_rsa(&signature::RSA_PKCS1_SHA384, message),
            Algorithm::RS512 => self.sign_rsa(&signature::RSA_PKCS1_SHA512, message),
            Algorithm::PS256 => self.sign_rsa(&signature::RSA_PSS_SHA256, message),
            Algorithm::PS384 => self.sign_rsa(&signature::RSA_PSS_SHA384, message),
            Algorithm::PS512 => self.sign_rsa(&signature::RSA_PSS_SHA512, message),
            Algorithm::ES256 => ec(&self.p256),
            Algorithm::ES384 => ec(&self.p384),
            Algorithm::ES512 => ec(&self.p521),
            Algorithm::EdDSA => self.ed25519.sign(message).as_ref().to_vec(),
        }
    }

    pub(crate) fn sign_rsa(&self, encoding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.rsa.public_modulus_len()];
        self.rsa.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    }

    /// The public JWK, bound to `algorithm`.
    pub(crate) fn jwk(&self, algorithm: Algorithm) -> Value {
        let ec = |crv: &str, key: &EcdsaKeyPair| {
            let point = &key.public_key().as_ref()[1..];
            let (x, y) = point.split_at(point.len() / 2);
            json!({ "kty": "EC", "crv": crv, "x": base64url(x), "y": base64url(y) })
        };
        let mut jwk = match algorithm {
            Algorithm::ES256 => ec("P-256", &self.p256),
            Algorithm::ES384 => ec("P-384", &self.p384),
            Algorithm::ES512 => ec("P-521", &self.p521),
            Algorithm::EdDSA => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(self.ed25519.public_key().as_ref()) })
            }
            _ => {
                let public = self.rsa.public_key();
                let n = base64url(public.modulus().big_endian_without_leading_zero());
                json!({ "kty": "RSA", "n": n, "e": base64url(public.exponent().big_endian_without_leading_zero()) })
            }
        };
        jwk["alg"] = algorithm.name().into();
        jwk
    }

    pub(crate) fn verifying(&self, algorithm: Algorithm) -> VerifyingKey {
        parse_jwk(&self.jwk(algorithm), &Algorithm::ALL).unwrap()
    }

    /// A token with that header text, truly signed.
    pub(crate) fn token(&self, algorithm: Algorithm, header: &str, payload: &[u8]) -> String {
        token(header.as_bytes(), payload, |input| self.sign(algorithm, input))
    }
}

/// A token of these parts, whatever they are.
pub(crate) fn token(header: &[u8], payload: &[u8], sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let input = format!("{}.{}", base64url(header), base64url(payload));
    let signature = sign(input.as_bytes());
    format!("{input}.{}", base64url(&signature))
}
