//! Proofs of possession (DPoP, RFC 9449): a short JWS that a caller signs for one request with the
//! key that its token is bound to.

use sts_claims::{ClaimSet, Json, JsonObject};
use sts_types::{Digest256, Jti, KeyThumbprint, UnixTime, rfc};
use url::Url;

use crate::{
    Algorithm, CompactJws, JwsError, base64url, constant_time_eq, decode_base64url, digest_of_parts, parse_jwk, sha256,
};

/// How far `iat` may be from the server's clock, in seconds, in either direction.
pub const DPOP_WINDOW: i64 = 300;

/// How long a used proof is remembered after its `iat`, in seconds: as long as it is accepted, plus
/// a margin for clock differences between replicas.
const REPLAY_KEPT: i64 = DPOP_WINDOW + 120;

/// The algorithms of proofs, in the order in which metadata lists them.
pub const DPOP_ALGORITHMS: [Algorithm; 10] = Algorithm::ALL;

/// The request that a proof must be made for.
#[derive(Clone, Copy)]
pub struct DpopExpectation<'a> {
    /// `htm`: the method, compared byte for byte.
    pub method: &'a str,
    /// `htu`: the URL of the endpoint. Query and fragment do not count.
    pub uri: &'a str,
    /// The access token that comes with the proof. Its digest must be `ath`. `None` at the token
    /// endpoint.
    pub access_token: Option<&'a str>,
    /// The server's clock.
    pub now: UnixTime,
}

/// Shows no token.
impl std::fmt::Debug for DpopExpectation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DpopExpectation").field("method", &self.method).field("uri", &self.uri).finish_non_exhaustive()
    }
}

/// A verified proof. The caller must still take the claim on its one use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DpopProof {
    thumbprint: KeyThumbprint,
    replay_key: Digest256,
    replay_until: UnixTime,
}

/// Why a proof is not accepted. The text says what to do, and never repeats input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DpopError(pub &'static str);

impl DpopError {
    const TYPE: Self = Self("the `typ` of the DPoP proof is not `dpop+jwt`");
    const ALGORITHM: Self =
        Self("the DPoP proof's `alg` is not accepted: use one of `dpop_signing_alg_values_supported`");
    const KEY: Self = Self("the DPoP proof's header has no public `jwk` that fits its `alg`");
    const PRIVATE_KEY: Self = Self(
        "the DPoP proof's `jwk` is a private or secret key: it is no longer secret, replace it and send the public key alone",
    );
    const SIGNATURE: Self = Self("the DPoP proof's signature is not of the key in its `jwk`");
    const PAYLOAD: Self = Self("the DPoP proof's payload is not strict JSON");
    const JTI: Self = Self("the DPoP proof has no `jti`: a string that is new for each request");
    const METHOD: Self = Self("the DPoP proof's `htm` is not the method of the request");
    const URI: Self = Self("the DPoP proof's `htu` is not the URL of this endpoint as our metadata has it");
    const ISSUED_AT: Self = Self("the DPoP proof has no `iat`: a number of seconds");
    const NOT_FRESH: Self =
        Self("the DPoP proof's `iat` is more than 5 minutes off: make a proof for each request, and check the clock");
    const TOKEN: Self = Self("the DPoP proof's `ath` is not the digest of the access token that it comes with");
}

impl DpopProof {
    /// Checks `proof` (RFC 9449 section 4.3), except for its one use.
    ///
    /// # Errors
    /// The first [`DpopError`].
    pub fn verify(proof: &str, expected: &DpopExpectation<'_>) -> Result<Self, DpopError> {
        let jws = CompactJws::parse(proof).map_err(|error| match error {
            JwsError::Algorithm => DpopError::ALGORITHM,
            JwsError::Malformed(_) => DpopError("the DPoP proof is not a signed JWT of three parts"),
        })?;
        if !jws.header().typ.as_deref().is_some_and(is_proof_type) {
            return Err(DpopError::TYPE);
        }
        let key = embedded_key(proof, jws.header().algorithm)?;
        jws.verify(&key).map_err(|_| DpopError::SIGNATURE)?;

        let claims = ClaimSet::parse(jws.payload()).map_err(|_| DpopError::PAYLOAD)?;
        let jti = claims.text("jti").and_then(|jti| Jti::new(jti).ok()).ok_or(DpopError::JTI)?;
        if claims.text("htm") != Some(expected.method) {
            return Err(DpopError::METHOD);
        }
        if !claims.text("htu").is_some_and(|htu| is_same_endpoint(htu, expected.uri)) {
            return Err(DpopError::URI);
        }
        let issued_at = issued_at(&claims).ok_or(DpopError::ISSUED_AT)?;
        if !(-DPOP_WINDOW..=DPOP_WINDOW).contains(&expected.now.since(issued_at)) {
            return Err(DpopError::NOT_FRESH);
        }
        if let Some(token) = expected.access_token {
            let digest = base64url(&sha256(token.as_bytes()).0);
            let ath = claims.text("ath").unwrap_or_default();
            if !constant_time_eq(ath.as_bytes(), digest.as_bytes()) {
                return Err(DpopError::TOKEN);
            }
        }
        let thumbprint = KeyThumbprint::new(key.thumbprint()).map_err(|_| DpopError::KEY)?;
        Ok(Self {
            replay_key: digest_of_parts(&[b"sts dpop", thumbprint.as_str().as_bytes(), jti.as_str().as_bytes()]),
            replay_until: issued_at.plus(REPLAY_KEPT),
            thumbprint,
        })
    }

    /// The thumbprint of the key that signed: `cnf.jkt` of a token that is bound to it.
    #[must_use]
    pub const fn thumbprint(&self) -> &KeyThumbprint {
        &self.thumbprint
    }

    /// Identifies the proof by its key and `jti`. A second proof with this digest is a replay.
    #[must_use]
    pub const fn replay_key(&self) -> Digest256 {
        self.replay_key
    }

    /// How long the digest must be remembered.
    #[must_use]
    pub const fn replay_until(&self) -> UnixTime {
        self.replay_until
    }
}

/// The public key in the header. A proof carries its own key, so nothing else may read this member:
/// it says who holds the key, and never whom to trust.
fn embedded_key(proof: &str, algorithm: Algorithm) -> Result<crate::VerifyingKey, DpopError> {
    let header = proof.split('.').next().and_then(decode_base64url).ok_or(DpopError::KEY)?;
    let header = JsonObject::parse(&header).map_err(|_| DpopError::KEY)?;
    let jwk = header.get("jwk").map(Json::to_value).ok_or(DpopError::KEY)?;
    parse_jwk(&jwk, &[algorithm]).map_err(|error| match error {
        crate::UnusableKeyError::PrivateMaterial | crate::UnusableKeyError::Symmetric => DpopError::PRIVATE_KEY,
        _ => DpopError::KEY,
    })
}

/// Compared as a media type (RFC 7515 section 4.1.9).
fn is_proof_type(typ: &str) -> bool {
    let bare = match typ.split_at_checked("application/".len()) {
        Some((kind, rest)) if kind.eq_ignore_ascii_case("application/") => rest,
        _ => typ,
    };
    bare.eq_ignore_ascii_case(rfc::TYP_DPOP_PROOF)
}

/// Whether both are one URL after normalisation (RFC 3986 section 6.2), without query and fragment.
fn is_same_endpoint(htu: &str, expected: &str) -> bool {
    let normal = |text: &str| {
        // The parser would drop blanks and line breaks.
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return None;
        }
        let mut url = Url::parse(text).ok()?;
        url.set_query(None);
        url.set_fragment(None);
        Some(url)
    };
    normal(htu).is_some_and(|htu| normal(expected) == Some(htu))
}

fn issued_at(claims: &ClaimSet) -> Option<UnixTime> {
    let number = claims.get("iat")?.as_number()?;
    if let Some(seconds) = number.as_i64() {
        // Far enough from the ends of the range that differences stay exact.
        return (i64::MIN / 4..i64::MAX / 4).contains(&seconds).then_some(UnixTime::from_secs(seconds));
    }
    let float = number.as_f64().filter(|float| float.is_finite() && float.abs() < 9e15)?;
    #[expect(clippy::cast_possible_truncation, reason = "floored, finite and below 2^53: exact in an i64")]
    let seconds = float.floor() as i64;
    Some(UnixTime::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    use crate::{Signer as _, SigningKey};

    const NOW: i64 = 1_790_000_000;
    const URI: &str = "https://sts.example.com/token";

    fn key() -> SigningKey {
        SigningKey::generate(Algorithm::ES256).unwrap()
    }

    /// A valid proof of `key`, with some members of header and payload replaced. Null removes one.
    fn proof(key: &SigningKey, header: Value, payload: Value) -> String {
        let merged = |mut base: Value, changes: &Value| {
            for (name, value) in changes.as_object().unwrap() {
                base[name] = value.clone();
            }
            base.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            base
        };
        let base = json!({ "typ": "dpop+jwt", "alg": key.algorithm().name(), "jwk": key.public_jwk() });
        let claims = json!({ "jti": "one", "htm": "POST", "htu": URI, "iat": NOW });
        let input = [merged(base, &header), merged(claims, &payload)]
            .map(|part| base64url(part.to_string().as_bytes()))
            .join(".");
        let signature = key.sign_now(input.as_bytes()).unwrap();
        format!("{input}.{}", base64url(&signature))
    }

    fn verify_with(proof: &str, access_token: Option<&str>) -> Result<DpopProof, DpopError> {
        let now = UnixTime::from_secs(NOW);
        DpopProof::verify(proof, &DpopExpectation { method: "POST", uri: URI, access_token, now })
    }

    fn verify(proof: &str) -> Result<DpopProof, DpopError> {
        verify_with(proof, None)
    }

    #[test]
    fn dp01_a_proof_of_each_algorithm_names_the_thumbprint_of_its_key() {
        for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256] {
            let key = SigningKey::generate(algorithm).unwrap();
            let proven = verify(&proof(&key, json!({}), json!({}))).unwrap();
            assert_eq!(proven.thumbprint().as_str(), key.verifying_key().thumbprint());
            assert_eq!(proven.replay_until(), UnixTime::from_secs(NOW + 420));
        }
    }

    #[test]
    fn dp01_a_bent_proof_is_refused_for_its_own_fault() {
        let (own, other) = (key(), key());
        let with = |header: Value, payload: Value| verify(&proof(&own, header, payload)).err();
        let private = json!({ "kty": "EC", "crv": "P-256", "d": "AQ", "x": "AQ", "y": "AQ" });
        for (header, payload, wanted) in [
            (json!({ "typ": "JWT" }), json!({}), DpopError::TYPE),
            (json!({ "typ": null }), json!({}), DpopError::TYPE),
            (json!({ "typ": "at+jwt" }), json!({}), DpopError::TYPE),
            (json!({ "alg": "none" }), json!({}), DpopError::ALGORITHM),
            (json!({ "alg": "HS256" }), json!({}), DpopError::ALGORITHM),
            (json!({ "alg": "RS256" }), json!({}), DpopError::KEY),
            (json!({ "jwk": null }), json!({}), DpopError::KEY),
            (json!({ "jwk": "x" }), json!({}), DpopError::KEY),
            (json!({ "jwk": private }), json!({}), DpopError::PRIVATE_KEY),
            (json!({ "jwk": { "kty": "oct", "k": "AQ" } }), json!({}), DpopError::PRIVATE_KEY),
            (json!({ "jwk": other.public_jwk() }), json!({}), DpopError::SIGNATURE),
            (json!({}), json!({ "jti": null }), DpopError::JTI),
            (json!({}), json!({ "jti": "" }), DpopError::JTI),
            (json!({}), json!({ "jti": 1 }), DpopError::JTI),
            (json!({}), json!({ "htm": null }), DpopError::METHOD),
            (json!({}), json!({ "htm": "GET" }), DpopError::METHOD),
            (json!({}), json!({ "htm": "post" }), DpopError::METHOD),
            (json!({}), json!({ "htu": null }), DpopError::URI),
            (json!({}), json!({ "htu": ["https://sts.example.com/token"] }), DpopError::URI),
            (json!({}), json!({ "iat": null }), DpopError::ISSUED_AT),
            (json!({}), json!({ "iat": NOW.to_string() }), DpopError::ISSUED_AT),
            (json!({}), json!({ "iat": i64::MIN }), DpopError::ISSUED_AT),
            (json!({}), json!({ "iat": NOW - 301 }), DpopError::NOT_FRESH),
            (json!({}), json!({ "iat": NOW + 301 }), DpopError::NOT_FRESH),
        ] {
            assert_eq!(with(header.clone(), payload.clone()), Some(wanted), "{header} {payload}");
        }
        assert!(with(json!({ "crit": ["x"] }), json!({})).is_some());
        assert!(with(json!({ "typ": "application/DPoP+JWT" }), json!({ "iat": NOW - 300 })).is_none());
        assert!(with(json!({}), json!({ "iat": NOW + 300 })).is_none());
        for no_proof in ["", "x", "a.b.c", "a.b.c.d.e"] {
            assert!(verify(no_proof).is_err(), "{no_proof}");
        }
    }

    #[test]
    fn dp01_the_uri_is_compared_after_normalisation_and_without_query_and_fragment() {
        for (htu, wanted) in [
            ("https://sts.example.com/token", true),
            ("HTTPS://STS.example.com:443/token", true),
            ("https://sts.example.com/token?a=b#c", true),
            ("https://sts.example.com/./token", true),
            ("http://sts.example.com/token", false),
            ("https://sts.example.com:8443/token", false),
            ("https://sts.example.com/token/", false),
            ("https://sts.example.com/Token", false),
            ("https://sts.example.com/introspect", false),
            ("https://sts.example.com.evil.example/token", false),
            ("https://user@sts.example.com/token", false),
            ("https://sts.example.com/to\nken", false),
            ("/token", false),
            ("", false),
        ] {
            assert_eq!(verify(&proof(&key(), json!({}), json!({ "htu": htu }))).is_ok(), wanted, "{htu}");
        }
    }

    #[test]
    fn dp02_a_proof_for_an_access_token_holds_its_digest() {
        let ath = base64url(&sha256(b"the token").0);
        let with = |payload: Value| verify_with(&proof(&key(), json!({}), payload), Some("the token"));
        assert!(with(json!({ "ath": ath })).is_ok());
        for wrong in
            [json!({}), json!({ "ath": "" }), json!({ "ath": 1 }), json!({ "ath": base64url(&sha256(b"other").0) })]
        {
            assert_eq!(with(wrong.clone()), Err(DpopError::TOKEN), "{wrong}");
        }
    }

    #[test]
    fn dp02_a_replay_is_known_by_key_and_jti() {
        let (one, two) = (key(), key());
        let replay = |key: &SigningKey, payload: Value| verify(&proof(key, json!({}), payload)).unwrap().replay_key();
        assert_eq!(replay(&one, json!({})), replay(&one, json!({ "iat": NOW - 9 })));
        assert_ne!(replay(&one, json!({})), replay(&two, json!({})));
        assert_ne!(replay(&one, json!({})), replay(&one, json!({ "jti": "two" })));
    }
}
