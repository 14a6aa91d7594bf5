//! Key pairs of every algorithm that issuers sign with.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaEncoding, RsaKeyPair,
};
use serde_json::{Value, json};
use sts_jose::{Algorithm, base64url};

/// A key pair with its one algorithm and the `kid` under which it is published.
pub struct Key {
    algorithm: Algorithm,
    kid: Option<String>,
    private: Private,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

enum Private {
    Rsa(RsaKeyPair),
    Ec(&'static str, EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Key {
    /// A new key.
    #[must_use]
    pub fn new(algorithm: Algorithm, kid: &str) -> Self {
        Self::of_size(algorithm, kid, KeySize::Rsa2048)
    }

    /// A new key. `size` applies to RSA only.
    #[must_use]
    pub fn of_size(algorithm: Algorithm, kid: &str, size: KeySize) -> Self {
        let ec = |curve, how: &'static EcdsaSigningAlgorithm| Private::Ec(curve, EcdsaKeyPair::generate(how).unwrap());
        let private = match algorithm {
            Algorithm::ES256 => ec("P-256", &signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::ES384 => ec("P-384", &signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::ES512 => ec("P-521", &signature::ECDSA_P521_SHA512_FIXED_SIGNING),
            Algorithm::EdDSA => Private::Ed(Ed25519KeyPair::generate().unwrap()),
            _ => Private::Rsa(RsaKeyPair::generate(size).unwrap()),
        };
        Self { algorithm, kid: Some(kid.to_owned()), private }
    }

    /// A server's own signing key, from its key file. Only the server, or a thief, could sign with
    /// it.
    #[must_use]
    pub fn of_server(file: &Value, kid: &str) -> Self {
        assert_eq!(file["algorithm"], "ES256", "what the servers of tests sign with");
        let pkcs8 = sts_jose::decode_base64url(file["pkcs8"].as_str().unwrap()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).unwrap();
        Self { algorithm: Algorithm::ES256, kid: Some(kid.to_owned()), private: Private::Ec("P-256", pair) }
    }

    /// The same key without a `kid`, in the key set and in headers.
    #[must_use]
    pub fn without_kid(self) -> Self {
        Self { kid: None, ..self }
    }

    /// Its algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its `kid`.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The JWS signature over `input`.
    #[must_use]
    pub fn sign(&self, input: &[u8]) -> Vec<u8> {
        self.sign_as(self.algorithm, input)
    }

    /// The signature over `input` under another algorithm of the same key type.
    #[must_use]
    pub fn sign_as(&self, algorithm: Algorithm, input: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.private {
            Private::Ec(_, key) => key.sign(&random, input).unwrap().as_ref().to_vec(),
            Private::Ed(key) => key.sign(input).as_ref().to_vec(),
            Private::Rsa(key) => {
                let mut bytes = vec![0; key.public_modulus_len()];
                key.sign(padding(algorithm), &random, input, &mut bytes).unwrap();
                bytes
            }
        }
    }

    /// The bare public bytes: modulus, point or Ed25519 key. Attackers try them as an HMAC secret.
    #[must_use]
    pub fn public_bytes(&self) -> Vec<u8> {
        match &self.private {
            Private::Rsa(key) => key.public_key().modulus().big_endian_without_leading_zero().to_vec(),
            Private::Ec(_, key) => key.public_key().as_ref().to_vec(),
            Private::Ed(key) => key.public_key().as_ref().to_vec(),
        }
    }

    /// The public key as DER, in the form of its library.
    #[must_use]
    pub fn public_der(&self) -> Vec<u8> {
        match &self.private {
            Private::Rsa(key) => key.public_key().as_ref().to_vec(),
            Private::Ec(..) | Private::Ed(_) => self.public_bytes(),
        }
    }

    /// The public JWK with its `alg`.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.private {
            Private::Ec(curve, key) => {
                let point = &key.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({ "kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y) })
            }
            Private::Ed(key) => json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(key.public_key().as_ref()) }),
            Private::Rsa(key) => {
                let public = key.public_key();
                let n = base64url(public.modulus().big_endian_without_leading_zero());
                json!({ "kty": "RSA", "n": n, "e": base64url(public.exponent().big_endian_without_leading_zero()) })
            }
        };
        jwk["alg"] = self.algorithm.name().into();
        jwk["use"] = "sig".into();
        if let Some(kid) = &self.kid {
            jwk["kid"] = kid.as_str().into();
        }
        jwk
    }

    /// A key set of these keys (RFC 7517 section 5).
    #[must_use]
    pub fn set(keys: &[&Self]) -> Value {
        json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() })
    }
}

fn padding(algorithm: Algorithm) -> &'static dyn RsaEncoding {
    match algorithm {
        Algorithm::RS384 => &signature::RSA_PKCS1_SHA384,
        Algorithm::RS512 => &signature::RSA_PKCS1_SHA512,
        Algorithm::PS256 => &signature::RSA_PSS_SHA256,
        Algorithm::PS384 => &signature::RSA_PSS_SHA384,
        Algorithm::PS512 => &signature::RSA_PSS_SHA512,
        _ => &signature::RSA_PKCS1_SHA256,
    }
}

/// The HMAC of `HS256`, `HS384` or `HS512`. No issuer of ours signs with it; attackers do.
#[must_use]
pub fn hmac(name: &str, secret: &[u8], input: &[u8]) -> Vec<u8> {
    use aws_lc_rs::hmac::{HMAC_SHA256, HMAC_SHA384, HMAC_SHA512, Key, sign};
    let algorithm = match name {
        "HS384" => HMAC_SHA384,
        "HS512" => HMAC_SHA512,
        _ => HMAC_SHA256,
    };
    sign(&Key::new(algorithm, secret), input).as_ref().to_vec()
}
