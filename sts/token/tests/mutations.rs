//! One honest token, bent in every way that a seeded generator thinks of: whatever we accept, another implementation of JOSE
//! accepts too, and nothing panics. Each bend is signed by the issuer's true key about half of the time, so that what judges the
//! claims is reached as well as what judges the signature.

#![expect(clippy::unwrap_used, reason = "tests: what cannot go on is a failed test")]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Map, Value, json};
use sts_jose::{VerifyingKey, parse_jwk};
use sts_testkit::{Algorithm, Forge, Key, Mutants, timed};
use sts_token::{TrustSpec, UnverifiedToken};
use sts_types::{EntryName, Issuer, UnixTime};

const NOW: i64 = 1_790_000_000;
const ISSUER: &str = "https://issuer.example";

static KEY: LazyLock<Key> = LazyLock::new(|| Key::new(Algorithm::ES256, "k"));

static CANDIDATE: LazyLock<(Arc<TrustSpec>, Arc<VerifyingKey>)> = LazyLock::new(|| {
    let trust = TrustSpec {
        entry: EntryName::new("plain").unwrap(),
        issuers: Issuer::new(ISSUER).unwrap().into(),
        algorithms: vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
        types: Vec::new(),
        leeway: 60,
        max_token_lifetime: 86_400,
        max_token_age: None,
        require_iat: true,
        trust_domain: None,
        enabled: true,
    };
    (Arc::new(trust), Arc::new(parse_jwk(&KEY.jwk(), &[Algorithm::ES256]).unwrap()))
});

/// What we make of a token: its subject, if it is accepted.
fn ours(token: &str) -> Option<String> {
    let (trust, _) = &*CANDIDATE;
    let token = UnverifiedToken::parse(token).ok()?;
    trust.issuer_of(token.claimed_origin())?;
    token.check_kind(&[Arc::clone(trust)]).ok()?;
    let signed = token.check_signature(std::slice::from_ref(&*CANDIDATE)).ok()?;
    Some(signed.validate(UnixTime::from_secs(NOW)).ok()?.subject().as_str().to_owned())
}

/// What the other implementation makes of it: signature, algorithm and issuer, and the times by their plain meaning.
fn oracle(token: &str) -> Option<String> {
    static DECODING: LazyLock<DecodingKey> =
        LazyLock::new(|| DecodingKey::from_jwk(&serde_json::from_value(KEY.jwk()).unwrap()).unwrap());
    let mut validation = Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["iss", "sub", "exp", "aud"]);
    validation.validate_exp = false;
    validation.validate_aud = false;
    let claims = jsonwebtoken::decode::<Value>(token, &DECODING, &validation).ok()?.claims;
    let time = |name: &str| claims.get(name).map(|time| time.as_f64().unwrap_or(f64::NAN).floor());
    let now = f64::from(i32::try_from(NOW).unwrap());
    let alive = time("exp")? + 60.0 > now && time("nbf").is_none_or(|nbf| nbf - 60.0 <= now);
    alive.then(|| claims.get("sub").and_then(Value::as_str).map(str::to_owned))?
}

/// Whether the header has a member that is ignored by us whatever it is (RFC 7515 section 4.1), and read by the oracle.
fn has_what_only_the_oracle_reads(token: &str) -> bool {
    let header = token.split('.').next().and_then(sts_jose::decode_base64url).unwrap_or_default();
    let header: Map<String, Value> = serde_json::from_slice(&header).unwrap_or_default();
    header.contains_key("jwk")
        || ["jku", "cty"].iter().any(|name| header.get(*name).is_some_and(|value| !value.is_string()))
}

/// The longest that a token may take to be judged.
const PATIENCE: Duration = Duration::from_millis(10);

/// What we make of a token, within the time that there is for it. A machine that does something else may need more than one go.
fn in_time(token: &str) -> Option<String> {
    let (mut judged, mut took) = timed(|| ours(token));
    for _ in 0..5 {
        if took > PATIENCE {
            (judged, took) = timed(|| ours(token));
        }
    }
    assert!(took <= PATIENCE, "{took:?}: {token}");
    judged
}

/// Bends `count` tokens from each seed. Returns how many were accepted: a generator that never makes a good token, or only good
/// ones, shows nothing.
fn run(seeds: u64, count: usize) -> usize {
    let claims = json!({
        "iss": ISSUER, "sub": "job:main", "aud": "https://sts.example.com", "iat": NOW - 5, "exp": NOW + 600, "jti": "j",
    });
    let mut accepted = 0;
    for seed in 1..=seeds {
        for token in Mutants::new(seed, Forge::new(&KEY, &claims)).take(count) {
            if let Some(subject) = in_time(&token) {
                accepted += 1;
                if has_what_only_the_oracle_reads(&token) {
                    continue;
                }
                assert_eq!(oracle(&token), Some(subject), "seed {seed}: {token}");
            }
        }
    }
    accepted
}

#[test]
fn c015_no_mutant_is_accepted_that_another_implementation_refuses() {
    let accepted = run(4, 2_500);
    assert!((100..5_000).contains(&accepted), "{accepted}");
}

#[test]
#[ignore = "too many for every run; `make fuzz` has it"]
fn c015_none_of_a_hundred_thousand_mutants_is_accepted_that_another_implementation_refuses() {
    let accepted = run(20, 5_000);
    assert!((1_000..50_000).contains(&accepted), "{accepted}");
}

#[test]
fn c015_every_single_bit_of_a_token_counts() {
    let claims = json!({ "iss": ISSUER, "sub": "s", "aud": "a", "iat": NOW - 5, "exp": NOW + 600 });
    let honest = Forge::new(&KEY, &claims).sign();
    assert_eq!(ours(&honest).as_deref(), Some("s"));
    for at in 0..honest.len() * 8 {
        let mut bytes = honest.clone().into_bytes();
        bytes[at / 8] ^= 1 << (at % 8);
        // What is no text is no parameter.
        let Ok(flipped) = String::from_utf8(bytes) else { continue };
        assert_eq!(ours(&flipped), None, "bit {at}");
    }
}
