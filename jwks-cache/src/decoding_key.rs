//! Keys for the `jsonwebtoken` crate.

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::Jwk;
use sts_jose::VerifyingKey;
use sts_types::Algorithm;

/// `key` for the `jsonwebtoken` crate, and the one algorithm that it verifies. `None` for ES512,
/// which that crate does not have.
///
/// Make the `Validation` from the algorithm that comes with the key, never from the token's header.
/// `jsonwebtoken` accepts a token without `iss` or `aud`, even if the `Validation` has expected
/// values for them, unless the claims are also required:
///
/// ```
/// use jsonwebtoken::{Validation, decode, decode_header};
/// use jwks_cache::{CacheAnswer, EntrySpec, Environment, JwksCache, KeySource, decoding_key};
/// use sts_types::{Algorithm, EntryName, Kid};
/// # use sts_jose::{Signer, SigningKey, sign_compact};
/// # let issuer_key = SigningKey::generate(Algorithm::ES256)?;
/// # let claims = br#"{"iss":"https://issuer.example","aud":"api","sub":"job","exp":32503680000}"#;
/// # let token = sign_compact(&issuer_key, "JWT", claims)?;
/// # let keys = KeySource::Inline(serde_json::json!({ "keys": [issuer_key.public_jwk()] }));
/// # let issuer = EntrySpec::new("issuer", "https://issuer.example", keys)?;
/// # let environment = Environment::system("example/1");
/// # let cache = JwksCache::new(vec![issuer], environment).map_err(|errors| errors[0].to_string())?;
///
/// let header = decode_header(&token)?;
/// let kid = header.kid.as_deref().map(Kid::new).transpose()?;
/// let entry = EntryName::new("issuer")?;
/// let CacheAnswer::Hit(keys) = cache.find_cached(&entry, kid.as_ref(), Algorithm::ES256) else {
///     return Err("the issuer has no such key".into());
/// };
/// let (key, algorithm) = decoding_key(&keys[0]).ok_or("jsonwebtoken does not know the algorithm")?;
/// let mut validation = Validation::new(algorithm);
/// validation.set_issuer(&["https://issuer.example"]);
/// validation.set_audience(&["api"]);
/// validation.set_required_spec_claims(&["exp", "iss", "aud"]);
/// let claims = decode::<serde_json::Value>(&token, &key, &validation)?.claims;
/// assert_eq!(claims["sub"], "job");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn decoding_key(key: &VerifyingKey) -> Option<(DecodingKey, jsonwebtoken::Algorithm)> {
    let algorithm = match key.algorithm() {
        Algorithm::RS256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::RS384 => jsonwebtoken::Algorithm::RS384,
        Algorithm::RS512 => jsonwebtoken::Algorithm::RS512,
        Algorithm::PS256 => jsonwebtoken::Algorithm::PS256,
        Algorithm::PS384 => jsonwebtoken::Algorithm::PS384,
        Algorithm::PS512 => jsonwebtoken::Algorithm::PS512,
        Algorithm::ES256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::ES384 => jsonwebtoken::Algorithm::ES384,
        Algorithm::EdDSA => jsonwebtoken::Algorithm::EdDSA,
        Algorithm::ES512 => return None,
    };
    let jwk: Jwk = serde_json::from_value(key.public_jwk()).ok()?;
    Some((DecodingKey::from_jwk(&jwk).ok()?, algorithm))
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Validation, decode};
    use serde_json::{Value, json};
    use sts_jose::{Signer as _, SigningKey, parse_jwk, sign_compact};

    use super::*;

    #[test]
    fn jsonwebtoken_verifies_with_the_key_that_signed_and_no_other() {
        let claims = json!({ "sub": "job", "exp": 32_503_680_000_u64 }).to_string();
        for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
            let (signer, other) = (SigningKey::generate(algorithm).unwrap(), SigningKey::generate(algorithm).unwrap());
            let (key, name) = decoding_key(&signer.verifying_key()).unwrap();
            let validation = Validation::new(name);
            let token = sign_compact(&signer, "JWT", claims.as_bytes()).unwrap();
            assert_eq!(decode::<Value>(&token, &key, &validation).unwrap().claims["sub"], "job", "{name:?}");
            let strange = sign_compact(&other, "JWT", claims.as_bytes()).unwrap();
            decode::<Value>(&strange, &key, &validation).unwrap_err();
        }
    }

    #[test]
    fn a_key_keeps_its_algorithm_and_es512_has_no_counterpart() {
        let rsa = SigningKey::generate(Algorithm::RS256).unwrap();
        for name in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
            let mut jwk = rsa.public_jwk().clone();
            jwk["alg"] = name.into();
            let key = parse_jwk(&jwk, &Algorithm::ALL).unwrap();
            assert_eq!(format!("{:?}", decoding_key(&key).unwrap().1), name);
        }
        // RFC 7515 appendix A.4.
        let jwk = json!({
            "kty": "EC",
            "crv": "P-521",
            "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
            "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
        });
        assert!(decoding_key(&parse_jwk(&jwk, &Algorithm::ALL).unwrap()).is_none());
    }
}
