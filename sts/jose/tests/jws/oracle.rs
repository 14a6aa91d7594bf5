//! `jsonwebtoken` as a second opinion: what we accept it must accept too, and what we sign it must verify.

use crate::forge::{KEYS, token};
use jsonwebtoken::{DecodingKey, Validation};
use proptest::prelude::*;
use serde_json::Value;
use sts_jose::{Algorithm, CompactJws, Signer, SigningKey, sign_compact};

/// Every algorithm that the oracle knows: all but ES512.
fn known() -> impl Iterator<Item = Algorithm> {
    Algorithm::ALL.into_iter().filter(|algorithm| *algorithm != Algorithm::ES512)
}

/// What the oracle reads in `token`; it judges the signature only.
fn oracle(token: &str, jwk: &Value, algorithm: Algorithm) -> Option<Value> {
    let mut validation = Validation::new(algorithm.name().parse().unwrap());
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let key = DecodingKey::from_jwk(&serde_json::from_value(jwk.clone()).unwrap()).unwrap();
    jsonwebtoken::decode::<Value>(token, &key, &validation).ok().map(|read| read.claims)
}

fn ours(token: &str, algorithm: Algorithm) -> Option<Value> {
    let jws = CompactJws::parse(token).ok()?;
    jws.verify(&KEYS.verifying(algorithm)).ok()?;
    sts_claims::parse_object(jws.payload()).ok().map(Value::Object)
}

#[test]
fn both_read_the_same_in_good_tokens_of_every_algorithm() {
    for algorithm in known() {
        let token = KEYS.token(algorithm, &format!(r#"{{"alg":"{algorithm}","kid":"k"}}"#), br#"{"sub":"a"}"#);
        let read = ours(&token, algorithm);
        assert_eq!(read, Some(serde_json::json!({ "sub": "a" })), "{algorithm}");
        assert_eq!(oracle(&token, &KEYS.jwk(algorithm), algorithm), read, "{algorithm}");
    }
}

#[test]
fn the_oracle_verifies_what_we_sign() {
    for algorithm in [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA] {
        let key = SigningKey::generate(algorithm).unwrap();
        let token = sign_compact(&key, "at+jwt", br#"{"sub":"a"}"#).unwrap();
        let header = jsonwebtoken::decode_header(&token).unwrap();
        assert_eq!((header.typ.as_deref(), header.kid.as_deref()), (Some("at+jwt"), Some(key.kid().as_str())));
        assert_eq!(oracle(&token, key.public_jwk(), algorithm), Some(serde_json::json!({ "sub": "a" })), "{algorithm}");
    }
}

/// Headers around what is accepted: some are, some are not.
fn headers() -> impl Strategy<Value = String> {
    let alg = prop_oneof![
        4 => Just("ES256"), 1 => Just("EdDSA"), 1 => Just("none"), 1 => Just("ES384"), 1 => Just("HS256"), 1 => Just("es256"),
    ];
    let member = prop_oneof![
        Just(""),
        Just(r#","typ":"JWT""#),
        Just(r#","typ":"at+jwt","kid":"a b""#),
        Just(r#","kid":"\u00e9""#),
        Just(r#","kid":null"#),
        Just(r#","kid":"""#),
        Just(r#","crit":["exp"]"#),
        Just(r#","b64":true"#),
        Just(r#","jku":"https://evil.example""#),
        Just(r#","unknown":{"a":[1,null]}"#),
        Just(r#","alg":"none""#),
        Just(" "),
        Just(r#"}{"#),
    ];
    (alg, member).prop_map(|(alg, member)| format!(r#"{{"alg":"{alg}"{member}}}"#))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn what_we_accept_the_oracle_accepts(
        header in headers(),
        payload in prop_oneof![Just(r#"{"sub":"a"}"#), Just("{}"), Just(" {} "), Just(r#"{"a":"\ud83d\ude00"}"#), Just("{")],
        edit in proptest::option::of((any::<prop::sample::Index>(), prop::sample::select(b"=.AZaz09-_+/ \n".to_vec()), any::<bool>())),
    ) {
        let mut text = token(header.as_bytes(), payload.as_bytes(), |input| KEYS.sign(Algorithm::ES256, input)).into_bytes();
        if let Some((at, byte, insert)) = edit {
            let at = at.index(text.len());
            if insert { text.insert(at, byte) } else { text[at] = byte }
        }
        let text = String::from_utf8(text).unwrap();
        if let Some(read) = ours(&text, Algorithm::ES256) {
            prop_assert_eq!(oracle(&text, &KEYS.jwk(Algorithm::ES256), Algorithm::ES256), Some(read));
        }
    }
}
