//! The registered claims of a subject token, read strictly. A claim with the wrong type makes the
//! token invalid and never counts as absent (RFC 7519 section 4.1).

use sts_claims::{ClaimSet, Json};
use sts_types::{Audience, Jti, Subject, UnixTime};

use crate::TrustSpec;
use crate::origin::trust_domain;
use crate::rule_error::TokenRuleError;

/// Limit of the values in `aud`.
const MAX_AUDIENCES: usize = 32;

/// 2^53: the largest integer up to which every JSON reader is exact.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

#[derive(Clone, Debug)]
pub(crate) struct Registered {
    pub(crate) subject: Subject,
    pub(crate) audiences: Vec<Audience>,
    pub(crate) exp: UnixTime,
    pub(crate) nbf: Option<UnixTime>,
    pub(crate) iat: Option<UnixTime>,
    pub(crate) jti: Option<Jti>,
}

/// The fault that `SignedToken::validate` would find in unverified claims at `now`. For diagnosis
/// only: without a signature the result proves nothing.
///
/// # Errors
/// The first [`TokenRuleError`].
pub fn validate_unsigned_claims(claims: &ClaimSet, trust: &TrustSpec, now: UnixTime) -> Result<(), TokenRuleError> {
    if claims.member("cnf").is_some() {
        return Err(TokenRuleError::TypeRefused);
    }
    validate_times(&read(claims, trust)?, trust, now)
}

/// Reads the registered claims except `iss`, which was needed to choose the key.
pub(crate) fn read(claims: &ClaimSet, trust: &TrustSpec) -> Result<Registered, TokenRuleError> {
    let subject = match claims.member("sub") {
        None => return Err(TokenRuleError::Malformed("`sub` is missing")),
        Some(value) => value
            .as_str()
            .and_then(|text| Subject::new(text).ok())
            .ok_or(TokenRuleError::Malformed("`sub` is not a string of 1 to 1,024 bytes without control characters"))?,
    };
    // The bundle of a federated domain may contain keys for other domains too.
    if trust.trust_domain.as_deref().is_some_and(|domain| trust_domain(subject.as_str()) != Some(domain)) {
        return Err(TokenRuleError::Malformed(
            "`sub` is no SPIFFE ID of the trust domain that its issuer is configured for",
        ));
    }
    let audiences = audiences(claims.member("aud"))?;
    let exp = date(claims, "exp", "`exp` is not a number of seconds")?
        .ok_or(TokenRuleError::Malformed("`exp` is missing"))?;
    let nbf = date(claims, "nbf", "`nbf` is not a number of seconds")?;
    let iat = date(claims, "iat", "`iat` is not a number of seconds")?;
    if iat.is_none() && trust.require_iat {
        return Err(TokenRuleError::NO_ISSUED_AT);
    }
    let jti = match claims.member("jti") {
        None => None,
        Some(value) => Some(value.as_str().and_then(|text| Jti::new(text).ok()).ok_or(TokenRuleError::Malformed(
            "`jti` is not a string of 1 to 1,024 bytes without control characters",
        ))?),
    };
    Ok(Registered { subject, audiences, exp, nbf, iat, jti })
}

fn audiences(aud: Option<Json<'_>>) -> Result<Vec<Audience>, TokenRuleError> {
    const WRONG: TokenRuleError = TokenRuleError::Malformed("`aud` is not a string or a list of 1 to 32 strings");
    let one = |value: Json<'_>| value.as_str().and_then(|text| Audience::new(text).ok()).ok_or(WRONG);
    match aud {
        None => Err(TokenRuleError::Malformed("`aud` is missing")),
        Some(aud) if !(1..=MAX_AUDIENCES).contains(&aud.elements().count()) => Err(WRONG),
        Some(aud) => aud.elements().map(one).collect(),
    }
}

/// A `NumericDate` (RFC 7519 section 2): a finite number of at most 2^53, rounded down.
fn date(claims: &ClaimSet, name: &str, wrong: &'static str) -> Result<Option<UnixTime>, TokenRuleError> {
    let Some(value) = claims.member(name) else { return Ok(None) };
    let number = value.as_number().ok_or(TokenRuleError::Malformed(wrong))?;
    if let Some(seconds) = number.as_i64() {
        const EXACT: i64 = 1 << 53;
        return if (-EXACT..=EXACT).contains(&seconds) {
            Ok(Some(UnixTime::from_secs(seconds)))
        } else {
            Err(TokenRuleError::Malformed(wrong))
        };
    }
    let float = number.as_f64().filter(|float| float.is_finite() && float.abs() <= MAX_EXACT);
    #[expect(clippy::cast_possible_truncation, reason = "floored, finite and at most 2^53: exact in an i64")]
    let seconds = float.map(|float| float.floor() as i64);
    seconds.map(|seconds| Some(UnixTime::from_secs(seconds))).ok_or(TokenRuleError::Malformed(wrong))
}

/// Checks the times at `now`. With leeway L a token is valid while `now < exp + L`, `nbf <= now +
/// L` and `iat <= now + L`.
pub(crate) fn validate_times(token: &Registered, trust: &TrustSpec, now: UnixTime) -> Result<(), TokenRuleError> {
    let leeway = i64::from(trust.leeway);
    if now >= token.exp.plus(leeway) {
        return Err(TokenRuleError::Expired);
    }
    let latest_start = now.plus(leeway);
    if token.nbf.is_some_and(|nbf| nbf > latest_start) || token.iat.is_some_and(|iat| iat > latest_start) {
        return Err(TokenRuleError::NotYetValid);
    }
    if token.nbf.is_some_and(|nbf| nbf > token.exp) || token.iat.is_some_and(|iat| iat > token.exp) {
        return Err(TokenRuleError::Malformed("the token expires before it begins"));
    }
    // A token without `iat` and `nbf` was issued at `now` at the latest, so its lifetime is at
    // least what is left.
    let begins = token.iat.or(token.nbf).unwrap_or(now);
    let exceeds = |limit: u64, seconds: i64| u64::try_from(seconds).is_ok_and(|seconds| seconds > limit);
    if exceeds(trust.max_token_lifetime, token.exp.since(begins)) {
        return Err(TokenRuleError::TooOld);
    }
    if let (Some(max_age), Some(iat)) = (trust.max_token_age, token.iat)
        && exceeds(max_age, now.since(iat))
    {
        return Err(TokenRuleError::TooOld);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sts_types::{EntryName, Issuer};

    const NOW: i64 = 1_790_000_000;

    fn trust() -> TrustSpec {
        TrustSpec {
            entry: EntryName::new("e").unwrap(),
            issuers: Issuer::new("https://issuer.example").unwrap().into(),
            algorithms: vec![],
            types: vec![],
            leeway: 60,
            max_token_lifetime: 86_400,
            max_token_age: None,
            require_iat: true,
            trust_domain: None,
            enabled: true,
        }
    }

    fn validate_by(trust: &TrustSpec, members: &str) -> Result<Registered, TokenRuleError> {
        let claims = ClaimSet::parse(members.as_bytes()).map_err(|_| TokenRuleError::Malformed("json"))?;
        let registered = read(&claims, trust)?;
        validate_times(&registered, trust, UnixTime::from_secs(NOW))?;
        Ok(registered)
    }

    fn validate(times: &str) -> Result<Registered, TokenRuleError> {
        validate_by(&trust(), &format!(r#"{{"sub":"s","aud":"a",{times}}}"#))
    }

    fn malformed(result: &Result<Registered, TokenRuleError>) -> bool {
        matches!(result, Err(TokenRuleError::Malformed(_)))
    }

    #[test]
    fn c037_c038_a_mistyped_missing_or_monstrous_exp_is_never_taken_for_absent() {
        for exp in [
            "null",
            "\"1893456000\"",
            "\"never\"",
            "true",
            "[]",
            "{}",
            "9007199254740993",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551616",
            "1e308",
            "-1e308",
            "18446744075499551616",
        ] {
            assert!(malformed(&validate(&format!(r#""iat":{NOW},"exp":{exp}"#))), "{exp}");
        }
        assert!(malformed(&validate(&format!(r#""iat":{NOW}"#))));
        for past in ["0", "-1", "1", "-0", "-0.0", "1.5"] {
            assert_eq!(
                validate(&format!(r#""iat":{NOW},"exp":{past}"#)).unwrap_err(),
                TokenRuleError::Expired,
                "{past}"
            );
        }
        let floored = validate(&format!(r#""iat":{NOW},"exp":{}.9"#, NOW + 10)).unwrap();
        assert_eq!(floored.exp, UnixTime::from_secs(NOW + 10));
    }

    #[test]
    fn c039_j09_the_boundaries_of_exp() {
        let at = |exp: i64| validate(&format!(r#""iat":{},"exp":{exp}"#, NOW - 600)).map(|_| ());
        assert_eq!(at(NOW - 61), Err(TokenRuleError::Expired));
        assert_eq!(at(NOW - 60), Err(TokenRuleError::Expired));
        assert_eq!(at(NOW - 59), Ok(()));
        assert_eq!(at(NOW + 1), Ok(()));
    }

    #[test]
    fn c040_c041_the_boundaries_of_nbf_and_iat() {
        let exp = NOW + 300;
        let at = |name: &str, value: &str| {
            let iat = if name == "iat" { String::new() } else { format!(r#""iat":{NOW},"#) };
            validate(&format!(r#"{iat}"exp":{exp},"{name}":{value}"#)).map(|_| ())
        };
        for name in ["nbf", "iat"] {
            assert_eq!(at(name, &(NOW + 60).to_string()), Ok(()), "{name}");
            assert_eq!(at(name, &(NOW + 61).to_string()), Err(TokenRuleError::NotYetValid), "{name}");
            for mistyped in ["null", "\"1\"", "true", "[]"] {
                assert!(matches!(at(name, mistyped), Err(TokenRuleError::Malformed(_))), "{name} {mistyped}");
            }
        }
        assert!(malformed(&validate(&format!(r#""exp":{exp}"#))), "iat is required");
        assert!(malformed(&validate(&format!(r#""iat":{NOW},"nbf":{},"exp":{}"#, NOW + 21, NOW + 20))));
        assert!(malformed(&validate(&format!(r#""iat":{},"exp":{}"#, NOW + 21, NOW + 20))));
        assert_eq!(at("iat", &(NOW - 10 * 31_536_000).to_string()), Err(TokenRuleError::TooOld));
    }

    #[test]
    fn c042_j10_a_life_or_age_beyond_the_entry_is_too_old() {
        let life = |seconds: i64| validate(&format!(r#""iat":{NOW},"exp":{}"#, NOW + seconds)).map(|_| ());
        assert_eq!(life(86_400), Ok(()));
        assert_eq!(life(86_401), Err(TokenRuleError::TooOld));
        let aged = TrustSpec { max_token_age: Some(300), ..trust() };
        let age = |seconds: i64| {
            validate_by(&aged, &format!(r#"{{"sub":"s","aud":"a","iat":{},"exp":{}}}"#, NOW - seconds, NOW + 60))
                .map(|_| ())
        };
        assert_eq!(age(300), Ok(()));
        assert_eq!(age(301), Err(TokenRuleError::TooOld));
        let svid = TrustSpec { require_iat: false, ..trust() };
        let left = |seconds: i64| {
            validate_by(&svid, &format!(r#"{{"sub":"s","aud":"a","exp":{}}}"#, NOW + seconds)).map(|_| ())
        };
        assert_eq!(left(86_400), Ok(()));
        assert_eq!(left(86_401), Err(TokenRuleError::TooOld));
    }

    #[test]
    fn c043_aud_is_a_string_or_a_short_list_of_strings() {
        let with =
            |aud: &str| validate_by(&trust(), &format!(r#"{{"sub":"s","iat":{NOW},"exp":{},"aud":{aud}}}"#, NOW + 60));
        for wrong in ["\"\"", "[]", "[\"\"]", "null", "1", "{}", "[\"a\",1]", "[[\"a\"]]"] {
            assert!(malformed(&with(wrong)), "{wrong}");
        }
        let many = |count: usize| format!("[{}]", vec!["\"a\""; count].join(","));
        assert_eq!(with(&many(32)).unwrap().audiences.len(), 32);
        assert!(malformed(&with(&many(33))));
        assert!(malformed(&validate_by(&trust(), &format!(r#"{{"sub":"s","iat":{NOW},"exp":{}}}"#, NOW + 60))));
    }

    #[test]
    fn c048_c059_sub_and_jti_are_bounded_strings() {
        let with =
            |member: &str| validate_by(&trust(), &format!(r#"{{"aud":"a","iat":{NOW},"exp":{},{member}}}"#, NOW + 60));
        for wrong in ["1", "null", "\"\"", "[]", "{}", "\"a\\n\"", "\"a\\u0000\""] {
            assert!(malformed(&with(&format!("\"sub\":{wrong}"))), "{wrong}");
            assert!(malformed(&with(&format!("\"sub\":\"s\",\"jti\":{wrong}"))), "{wrong}");
        }
        assert!(malformed(&with("\"x\":1")));
    }

    #[test]
    fn a_spiffe_id_is_of_the_trust_domain_of_its_entry() {
        let of = |domain: Option<&str>, subject: &str| {
            let trust = TrustSpec { trust_domain: domain.map(str::to_owned), ..trust() };
            validate_by(&trust, &format!(r#"{{"sub":"{subject}","aud":"a","iat":{NOW},"exp":{}}}"#, NOW + 60))
        };
        assert!(of(Some("acme.example"), "spiffe://acme.example/deployer").is_ok());
        for other in ["spiffe://other.example/deployer", "spiffe://acme.example.evil/x", "acme.example", "x"] {
            assert!(malformed(&of(Some("acme.example"), other)), "{other}");
            assert!(of(None, other).is_ok(), "{other}");
        }
    }

    #[test]
    fn dates_are_exact_up_to_two_to_the_53rd() {
        let date = |value: &str| {
            let claims = ClaimSet::parse(format!(r#"{{"nbf":{value}}}"#).as_bytes()).unwrap();
            date(&claims, "nbf", "wrong").map(|date| date.map(UnixTime::as_secs))
        };
        let most = 1_i64 << 53;
        for exact in [most, -most, 0] {
            assert_eq!(date(&exact.to_string()), Ok(Some(exact)));
            assert_eq!(date(&format!("{exact}.0")), Ok(Some(exact)));
        }
        for beyond in [most + 1, -most - 1] {
            assert!(date(&beyond.to_string()).is_err(), "{beyond}");
            assert!(date(&format!("{}.0", beyond * 2)).is_err(), "{beyond}");
        }
        assert_eq!((date("-1.5"), date("1.5")), (Ok(Some(-2)), Ok(Some(1))));
    }
}
