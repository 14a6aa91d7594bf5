//! Parses a JSON Web Key as the public half of a signature key, and as nothing else (RFC 7517, RFC
//! 7518 section 6, RFC 8037).

use crate::{Algorithm, UnusableKeyError, VerifyingKey, decode_base64url, roca, small_order};
use serde_json::{Map, Value};
use std::borrow::Cow;
use sts_types::Kid;

/// Accepted sizes of RSA keys, in bits. Smaller keys are weak (RFC 7518 section 3.3). Larger keys
/// would let an issuer slow down every verification.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// Accepted RSA exponents. They must also be odd. Small exponents are fragile, large ones are slow.
const EXPONENTS: std::ops::RangeInclusive<u64> = 65_537..=1 << 32;
/// Members that hold private material, or may (RFC 7518 sections 6.2.2, 6.3.2, 6.4; `priv` of key
/// type AKP).
const PRIVATE_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// Parses `jwk` and binds it to one of `algorithms`: the one in `alg`; without `alg` the one of its
/// curve, and for RSA the first RSA algorithm in the list.
///
/// Unknown members are ignored, and so are certificates (`x5c`, `x5u`, `x5t`). An empty `kid`
/// counts as absent. Unambiguous encoding errors in numbers are tolerated: missing or extra leading
/// zeros, padding, and the standard base64 alphabet.
///
/// The key is checked on its own. Primes shared with other keys are not detected.
///
/// # Errors
/// See [`UnusableKeyError`]. Published secrets are reported before any other fault.
pub fn parse_jwk(jwk: &Value, algorithms: &[Algorithm]) -> Result<VerifyingKey, UnusableKeyError> {
    let jwk = Members(jwk.as_object().ok_or(UnusableKeyError::NotAnObject)?);
    let key_type = jwk.required("kty");
    if key_type == Ok("oct") {
        return Err(UnusableKeyError::Symmetric);
    }
    if PRIVATE_MEMBERS.iter().any(|name| jwk.0.contains_key(*name)) {
        return Err(UnusableKeyError::PrivateMaterial);
    }
    let key_type = key_type?;
    verifies_signatures(&jwk)?;
    let kid = kid(&jwk)?;
    match key_type {
        "RSA" => {
            let algorithm =
                bind(&jwk, algorithms, algorithms.iter().copied().find(|algorithm| is_rsa(*algorithm)), is_rsa)?;
            let (n, e) = rsa_members(&jwk)?;
            VerifyingKey::rsa(algorithm, kid, &n, &e)
        }
        "EC" => {
            let (of_curve, width) = curve(jwk.required("crv")?)?;
            let algorithm = bind(&jwk, algorithms, Some(of_curve), |named| named == of_curve)?;
            let (x, y) = (jwk.coordinate("x", width)?, jwk.coordinate("y", width)?);
            // Padding a wrong length with zeros gave no point on the curve, so zeros were not the
            // problem: the coordinate was truncated.
            VerifyingKey::ec(algorithm, kid, &x.octets, &y.octets).map_err(|why| x.fault.or(y.fault).unwrap_or(why))
        }
        "OKP" => {
            if jwk.required("crv")? != "Ed25519" {
                return Err(UnusableKeyError::UnknownCurve);
            }
            bind(&jwk, algorithms, Some(Algorithm::EdDSA), |named| named == Algorithm::EdDSA)?;
            let x = jwk.octets("x", 32)?;
            if small_order::is_weak(&x) {
                return Err(UnusableKeyError::SmallOrder);
            }
            VerifyingKey::ed25519(kid, &x)
        }
        _ => Err(UnusableKeyError::UnknownKeyType),
    }
}

/// The key's one algorithm (RFC 8725 section 3.1): the one in `alg` if it `fits`, otherwise
/// `otherwise`. It must be allowed in both cases.
fn bind(
    jwk: &Members<'_>,
    allowed: &[Algorithm],
    otherwise: Option<Algorithm>,
    fits: impl Fn(Algorithm) -> bool,
) -> Result<Algorithm, UnusableKeyError> {
    let algorithm = match jwk.optional("alg")? {
        Some(name) => {
            let named = Algorithm::from_name(name).ok_or(UnusableKeyError::UnknownAlgorithm)?;
            if !fits(named) {
                return Err(UnusableKeyError::AlgorithmMismatch);
            }
            named
        }
        None => otherwise.ok_or(UnusableKeyError::AlgorithmNotAllowed)?,
    };
    if allowed.contains(&algorithm) { Ok(algorithm) } else { Err(UnusableKeyError::AlgorithmNotAllowed) }
}

/// `use` and `key_ops`, if present, must both allow verification (RFC 7517 sections 4.2 and 4.3).
/// SPIFFE bundles write `jwt-svid` instead of `sig` (SPIFFE JWT-SVID section 6.2).
fn verifies_signatures(jwk: &Members<'_>) -> Result<(), UnusableKeyError> {
    if !matches!(jwk.optional("use")?, None | Some("sig" | "jwt-svid")) {
        return Err(UnusableKeyError::NotForSignatures);
    }
    match jwk.0.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().all(Value::is_string) => {
            if operations.iter().any(|operation| operation == "verify") {
                Ok(())
            } else {
                Err(UnusableKeyError::NotForSignatures)
            }
        }
        Some(_) => Err(UnusableKeyError::MemberType("key_ops")),
    }
}

fn kid(jwk: &Members<'_>) -> Result<Option<Kid>, UnusableKeyError> {
    match jwk.optional("kid")? {
        None | Some("") => Ok(None),
        Some(kid) => Kid::new(kid).map(Some).map_err(|_| UnusableKeyError::MemberType("kid")),
    }
}

fn is_rsa(algorithm: Algorithm) -> bool {
    use Algorithm::{PS256, PS384, PS512, RS256, RS384, RS512};
    matches!(algorithm, RS256 | RS384 | RS512 | PS256 | PS384 | PS512)
}

/// The algorithm of a curve, and the width of a coordinate in octets (RFC 7518 sections 3.4 and
/// 6.2.1).
fn curve(name: &str) -> Result<(Algorithm, usize), UnusableKeyError> {
    match name {
        "P-256" => Ok((Algorithm::ES256, 32)),
        "P-384" => Ok((Algorithm::ES384, 48)),
        "P-521" => Ok((Algorithm::ES512, 66)),
        _ => Err(UnusableKeyError::UnknownCurve),
    }
}

/// `n` and `e` without leading zeros, within the limits above.
fn rsa_members(jwk: &Members<'_>) -> Result<(Vec<u8>, Vec<u8>), UnusableKeyError> {
    let n = jwk.integer("n")?;
    let e = jwk.integer("e")?;
    let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    if !MODULUS_BITS.contains(&bits) {
        return Err(UnusableKeyError::ModulusSize);
    }
    if e.len() > 8 {
        return Err(UnusableKeyError::Exponent);
    }
    // At most eight octets, so no bit is shifted out.
    let exponent = e.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    if exponent.is_multiple_of(2) || !EXPONENTS.contains(&exponent) {
        return Err(UnusableKeyError::Exponent);
    }
    if n.last().is_none_or(|last| last.is_multiple_of(2)) || roca::has_fingerprint(&n) {
        return Err(UnusableKeyError::WeakModulus);
    }
    Ok((n, e))
}

/// A coordinate at full width. `fault` is set if it was written at another width.
struct Coordinate {
    octets: Vec<u8>,
    fault: Option<UnusableKeyError>,
}

/// The members of one JWK, read by type.
struct Members<'a>(&'a Map<String, Value>);

impl<'a> Members<'a> {
    fn optional(&self, name: &'static str) -> Result<Option<&'a str>, UnusableKeyError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(UnusableKeyError::MemberType(name)),
        }
    }

    fn required(&self, name: &'static str) -> Result<&'a str, UnusableKeyError> {
        self.optional(name)?.ok_or(UnusableKeyError::MissingMember(name))
    }

    /// A member of exactly `width` octets.
    fn octets(&self, name: &'static str, width: usize) -> Result<Vec<u8>, UnusableKeyError> {
        let octets = self.bytes(name)?;
        let found = octets.len();
        if found == width {
            Ok(octets)
        } else {
            Err(UnusableKeyError::Length { member: name, octets: found, expected: width })
        }
    }

    /// A coordinate, padded to the full `width` of its curve. Some issuers leave out leading zeros
    /// or write one too many.
    fn coordinate(&self, name: &'static str, width: usize) -> Result<Coordinate, UnusableKeyError> {
        let written = self.bytes(name)?;
        let fault = UnusableKeyError::Length { member: name, octets: written.len(), expected: width };
        let zeros = written.iter().take_while(|octet| **octet == 0).count();
        let number = written.get(zeros..).unwrap_or_default();
        let missing = width.checked_sub(number.len()).ok_or(fault)?;
        let octets = [&vec![0; missing], number].concat();
        Ok(Coordinate { octets, fault: (written.len() != width).then_some(fault) })
    }

    /// The bytes of a number. Padding and the standard base64 alphabet are accepted: they cannot
    /// change the value.
    fn bytes(&self, name: &'static str) -> Result<Vec<u8>, UnusableKeyError> {
        let text = self.required(name)?;
        let bare = text.trim_end_matches('=');
        let is_padded = text.len() - bare.len() <= 2;
        let is_plain = bare.contains(['+', '/']) && !bare.contains(['-', '_']);
        let bare = if is_plain { Cow::Owned(bare.replace('+', "-").replace('/', "_")) } else { Cow::Borrowed(bare) };
        decode_base64url(&bare).filter(|_| is_padded).ok_or(UnusableKeyError::Encoding(name))
    }

    /// An unsigned big-endian integer (`Base64urlUInt`, RFC 7518 section 2) without leading zeros.
    /// Java encoders put a zero before the modulus, because Java's bytes are signed.
    fn integer(&self, name: &'static str) -> Result<Vec<u8>, UnusableKeyError> {
        let mut octets = self.bytes(name)?;
        let zeros = octets.iter().take_while(|octet| **octet == 0).count();
        octets.drain(..zeros);
        Ok(octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base64url;
    use proptest::prelude::*;
    use serde_json::json;

    /// The keys of RFC 7517 appendix A.1 and RFC 8037 appendix A.2, without `use`, `alg` and `kid`.
    fn ec() -> Value {
        json!({ "kty": "EC", "crv": "P-256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM" })
    }

    fn rsa() -> Value {
        json!({ "kty": "RSA", "e": "AQAB",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3\
                  oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHz\
                  u6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8a\
                  wapJzKnqDKgw" })
    }

    fn ed25519() -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" })
    }

    /// `jwk` with some members replaced. Null removes a member.
    fn with(mut jwk: Value, changes: Value) -> Value {
        for (name, value) in changes.as_object().unwrap() {
            jwk[name] = value.clone();
        }
        jwk.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        jwk
    }

    fn parse(jwk: &Value) -> Result<VerifyingKey, UnusableKeyError> {
        parse_jwk(jwk, &Algorithm::ALL)
    }

    fn modulus(bits: usize) -> Value {
        let mut n = vec![0xff; bits.div_ceil(8)];
        n[0] >>= n.len() * 8 - bits;
        base64url(&n).into()
    }

    #[test]
    fn bc02_a_key_without_alg_is_bound_by_its_curve_or_by_the_first_rsa_algorithm_of_the_list() {
        use Algorithm::{ES256, EdDSA, PS256, RS256};
        let bound =
            |jwk: &Value, list: &[Algorithm]| parse_jwk(jwk, list).map(|key| key.algorithm()).map_err(|why| why.kind());
        assert_eq!(bound(&ec(), &[RS256, ES256]), Ok(ES256));
        assert_eq!(bound(&ed25519(), &[RS256, EdDSA]), Ok(EdDSA));
        assert_eq!(bound(&rsa(), &[ES256, PS256, RS256]), Ok(PS256));
        assert_eq!(bound(&rsa(), &[RS256, PS256]), Ok(RS256));
        for (jwk, list) in [(ec(), [RS256, EdDSA]), (ed25519(), [RS256, ES256]), (rsa(), [ES256, EdDSA])] {
            assert_eq!(bound(&jwk, &list), Err("algorithm_not_allowed"), "{jwk}");
        }
        assert_eq!(bound(&with(rsa(), json!({ "alg": "PS256" })), &[RS256, PS256]), Ok(PS256));
        assert_eq!(bound(&with(ed25519(), json!({ "alg": "Ed25519" })), &[EdDSA]), Ok(EdDSA));
        assert_eq!(bound(&with(rsa(), json!({ "alg": "RS512" })), &[RS256, PS256]), Err("algorithm_not_allowed"));
    }

    #[test]
    fn j13_what_issuers_really_write_is_read() {
        let java_modulus = [vec![0], decode_base64url(rsa()["n"].as_str().unwrap()).unwrap()].concat();
        for jwk in [
            with(ec(), json!({ "use": "sig", "key_ops": ["verify"], "alg": "ES256", "kid": "1" })),
            with(ec(), json!({ "key_ops": ["sign", "verify"] })),
            with(ec(), json!({ "use": "jwt-svid" })),
            with(
                rsa(),
                json!({ "x5c": ["!"], "x5t": 1, "issuer": "https://login/{tenantid}", "cloud_instance_name": {}, "ext": true }),
            ),
            with(rsa(), json!({ "n": base64url(&java_modulus) })),
            with(rsa(), json!({ "e": base64url(&[0, 1, 0, 1]) })),
            with(rsa(), json!({ "n": modulus(8192) })),
        ] {
            assert!(parse(&jwk).is_ok(), "{jwk}");
        }
        assert_eq!(parse(&with(ec(), json!({ "kid": "" }))).unwrap().kid(), None);
        assert_eq!(parse(&with(ec(), json!({ "kid": "RSA_0" }))).unwrap().kid().unwrap().as_str(), "RSA_0");
    }

    /// A P-256 key with a coordinate that starts with a zero octet. Both encodings are the same
    /// key.
    fn with_short_coordinate() -> (Value, Value) {
        use crate::{Signer as _, SigningKey};
        loop {
            let jwk = SigningKey::generate(Algorithm::ES256).unwrap().public_jwk().clone();
            for name in ["x", "y"] {
                let octets = decode_base64url(jwk[name].as_str().unwrap()).unwrap();
                if octets[0] == 0 {
                    let short = with(
                        jwk.clone(),
                        json!({ name: base64url(octets.iter().skip_while(|octet| **octet == 0).copied().collect::<Vec<_>>().as_slice()) }),
                    );
                    return (jwk, short);
                }
            }
        }
    }

    #[test]
    fn fld34_numbers_written_sloppily_are_the_numbers_they_are() {
        let (full, short) = with_short_coordinate();
        assert_ne!(full, short);
        let octets = |jwk: &Value, name: &str| decode_base64url(jwk[name].as_str().unwrap()).unwrap();
        let zero_first = |jwk: &Value, name: &str| base64url(&[vec![0], octets(jwk, name)].concat());
        let padded = |jwk: &Value, name: &str| {
            let text = jwk[name].as_str().unwrap();
            format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4))
        };
        let plain = |jwk: &Value, name: &str| jwk[name].as_str().unwrap().replace('-', "+").replace('_', "/");
        for (sloppy, clean) in [
            (short.clone(), full.clone()),
            (with(ec(), json!({ "x": zero_first(&ec(), "x"), "y": zero_first(&ec(), "y") })), ec()),
            (with(ec(), json!({ "x": padded(&ec(), "x"), "y": padded(&ec(), "y") })), ec()),
            (with(rsa(), json!({ "n": padded(&rsa(), "n"), "e": "AQAB=" })), rsa()),
            (with(rsa(), json!({ "n": zero_first(&rsa(), "n"), "e": "AAEAAQ==" })), rsa()),
            (with(rsa(), json!({ "n": plain(&rsa(), "n") })), rsa()),
            (with(ed25519(), json!({ "x": padded(&ed25519(), "x") })), ed25519()),
        ] {
            let (sloppy, clean) =
                (parse(&sloppy).unwrap_or_else(|why| panic!("{sloppy}: {why}")), parse(&clean).unwrap());
            assert_eq!(sloppy.thumbprint(), clean.thumbprint());
            assert_eq!(sloppy.public_jwk(), clean.public_jwk());
        }
    }

    #[test]
    fn fld34_what_is_really_wrong_with_a_number_is_named() {
        for (jwk, said) in [
            (with(ec(), json!({ "x": base64url(&[7; 31]) })), "`x` of the key has 31 octets instead of 32"),
            (with(ec(), json!({ "y": base64url(&[7; 33]) })), "`y` of the key has 33 octets instead of 32"),
            (with(ec(), json!({ "crv": "P-384" })), "`x` of the key has 32 octets instead of 48"),
            (with(ed25519(), json!({ "x": base64url(&[7; 31]) })), "`x` of the key has 31 octets instead of 32"),
            (with(ec(), json!({ "x": "M KB" })), "`x` of the key is not base64url"),
            (with(rsa(), json!({ "e": 65537 })), "`e` of the key has the wrong type"),
            (with(ec(), json!({ "x": ec()["y"] })), "the point is not on its curve"),
        ] {
            let why = parse(&jwk).unwrap_err().to_string();
            assert!(why.contains(said), "{jwk}: {why}");
        }
    }

    #[test]
    fn the_thumbprint_does_not_depend_on_how_the_key_is_written() {
        let java_modulus = [vec![0], decode_base64url(rsa()["n"].as_str().unwrap()).unwrap()].concat();
        let written = with(
            rsa(),
            json!({ "n": base64url(&java_modulus), "e": "AAEAAQ", "alg": "RS512", "kid": "x", "use": "sig" }),
        );
        assert_eq!(parse(&written).unwrap().thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert_eq!(parse(&rsa()).unwrap().thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert_eq!(parse(&ed25519()).unwrap().thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn j15_the_public_jwk_is_what_was_read_and_no_more() {
        let read = with(ec(), json!({ "kid": "1", "x5c": ["AA"], "secret": "s" }));
        let written = with(ec(), json!({ "kid": "1", "use": "sig", "alg": "ES256" }));
        assert_eq!(parse(&read).unwrap().public_jwk(), written);
        assert_eq!(parse(&ed25519()).unwrap().public_jwk(), with(ed25519(), json!({ "use": "sig", "alg": "EdDSA" })));
        assert_eq!(parse(&rsa()).unwrap().public_jwk(), with(rsa(), json!({ "use": "sig", "alg": "RS256" })));
    }

    #[test]
    fn c097_published_secrets_are_told_first_and_alarm() {
        for (jwk, kind) in [
            (json!({ "kty": "oct", "k": "AA" }), "symmetric"),
            (json!({ "kty": "oct" }), "symmetric"),
            (with(ec(), json!({ "d": "AA" })), "private_material"),
            (with(ec(), json!({ "d": "AA", "use": "enc", "alg": 1, "x": null })), "private_material"),
            (with(ec(), json!({ "k": "AA" })), "private_material"),
            (with(rsa(), json!({ "p": "AA" })), "private_material"),
            (with(rsa(), json!({ "qi": 1 })), "private_material"),
            (with(rsa(), json!({ "oth": [] })), "private_material"),
            (json!({ "d": "AA" }), "private_material"),
            (json!({ "kty": "AKP", "priv": "AA" }), "private_material"),
        ] {
            let why = parse(&jwk).unwrap_err();
            assert_eq!((why.kind(), why.alarming()), (kind, true), "{jwk}");
        }
    }

    #[test]
    fn j03_j06_j07_j08_c014_c097_each_unusable_key_is_refused_by_its_rule() {
        for (jwk, kind) in [
            (json!(null), "not_an_object"),
            (json!(["kty"]), "not_an_object"),
            (json!({}), "missing_member"),
            (json!({ "kty": 1 }), "member_type"),
            (json!({ "kty": "rsa" }), "unknown_key_type"),
            (json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AA" }), "unknown_key_type"),
            (with(ec(), json!({ "use": "enc" })), "not_for_signatures"),
            (with(ec(), json!({ "use": "SIG" })), "not_for_signatures"),
            (with(ec(), json!({ "use": ["sig"] })), "member_type"),
            (with(ec(), json!({ "key_ops": ["encrypt"] })), "not_for_signatures"),
            (with(ec(), json!({ "key_ops": ["sign"] })), "not_for_signatures"),
            (with(ec(), json!({ "key_ops": [] })), "not_for_signatures"),
            (with(ec(), json!({ "key_ops": "verify" })), "member_type"),
            (with(ec(), json!({ "key_ops": ["verify", 1] })), "member_type"),
            (with(ec(), json!({ "kid": 1 })), "member_type"),
            (with(ec(), json!({ "kid": "a\nb" })), "member_type"),
            (with(ec(), json!({ "alg": ["ES256"] })), "member_type"),
            (with(ec(), json!({ "alg": "none" })), "unknown_algorithm"),
            (with(ec(), json!({ "alg": "HS256" })), "unknown_algorithm"),
            (with(ec(), json!({ "alg": "ECDH-ES" })), "unknown_algorithm"),
            (with(ec(), json!({ "alg": "ES256K" })), "unknown_algorithm"),
            (with(rsa(), json!({ "alg": "RSA-OAEP" })), "unknown_algorithm"),
            (with(ec(), json!({ "alg": "ES384" })), "algorithm_mismatch"),
            (with(ec(), json!({ "alg": "RS256" })), "algorithm_mismatch"),
            (with(ec(), json!({ "alg": "EdDSA" })), "algorithm_mismatch"),
            (with(rsa(), json!({ "alg": "ES256" })), "algorithm_mismatch"),
            (with(ed25519(), json!({ "alg": "ES256" })), "algorithm_mismatch"),
            (with(ec(), json!({ "crv": null })), "missing_member"),
            (with(ec(), json!({ "crv": "secp256k1" })), "unknown_curve"),
            (with(ec(), json!({ "crv": "p-256" })), "unknown_curve"),
            (with(ec(), json!({ "crv": "P-384" })), "encoding"),
            (with(ec(), json!({ "x": null })), "missing_member"),
            (with(ec(), json!({ "y": 1 })), "member_type"),
            (with(ec(), json!({ "x": ec()["y"] })), "off_curve"),
            (with(ec(), json!({ "x": base64url(&[0; 32]), "y": base64url(&[0; 32]) })), "off_curve"),
            (with(ec(), json!({ "x": base64url(&[0xff; 32]) })), "off_curve"),
            (with(ec(), json!({ "x": base64url(&[7; 31]) })), "encoding"),
            (with(ec(), json!({ "x": base64url(&[0; 33]) })), "encoding"),
            (with(ec(), json!({ "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D5" })), "encoding"),
            (with(ec(), json!({ "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7\nTu6KPAqv7D4" })), "encoding"),
            (with(ec(), json!({ "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4===" })), "encoding"),
            (with(ed25519(), json!({ "crv": "X25519" })), "unknown_curve"),
            (with(ed25519(), json!({ "crv": "Ed448" })), "unknown_curve"),
            (with(ed25519(), json!({ "x": base64url(&[7; 31]) })), "encoding"),
            (with(ed25519(), json!({ "x": base64url(&[0; 32]) })), "small_order"),
            (with(ed25519(), json!({ "x": base64url(&[0xff; 32]) })), "small_order"),
        ] {
            let why = parse(&jwk).map(|_| "usable").unwrap_err();
            assert_eq!((why.kind(), why.alarming()), (kind, false), "{jwk}");
        }
    }

    #[test]
    fn j03_j06_c014_c097_each_unusable_rsa_key_is_refused_by_its_rule() {
        let even = [&[0xff; 255][..], &[0xfe]].concat();
        for (jwk, kind) in [
            (with(rsa(), json!({ "n": null })), "missing_member"),
            (with(rsa(), json!({ "e": null })), "missing_member"),
            (with(rsa(), json!({ "n": "" })), "modulus_size"),
            (with(rsa(), json!({ "n": "!" })), "encoding"),
            (with(rsa(), json!({ "n": modulus(512) })), "modulus_size"),
            (with(rsa(), json!({ "n": modulus(1024) })), "modulus_size"),
            (with(rsa(), json!({ "n": modulus(2047) })), "modulus_size"),
            (with(rsa(), json!({ "n": modulus(8193) })), "modulus_size"),
            (with(rsa(), json!({ "n": modulus(16384) })), "modulus_size"),
            (with(rsa(), json!({ "n": base64url(&even) })), "weak_modulus"),
            (with(rsa(), json!({ "e": "" })), "exponent"),
            (with(rsa(), json!({ "e": base64url(&[0]) })), "exponent"),
            (with(rsa(), json!({ "e": base64url(&[1]) })), "exponent"),
            (with(rsa(), json!({ "e": base64url(&[3]) })), "exponent"),
            (with(rsa(), json!({ "e": base64url(&[0xff, 0xff]) })), "exponent"),
            (with(rsa(), json!({ "e": base64url(&[1, 0, 0]) })), "exponent"),
            (with(rsa(), json!({ "e": base64url(&[1, 0, 0, 0, 1]) })), "exponent"),
            (with(rsa(), json!({ "e": base64url(&[1; 9]) })), "exponent"),
            // The last 64 bits are 65537.
            (with(rsa(), json!({ "e": base64url(&[1, 0, 0, 0, 0, 0, 1, 0, 1]) })), "exponent"),
        ] {
            let why = parse(&jwk).map(|_| "usable").unwrap_err();
            assert_eq!((why.kind(), why.alarming()), (kind, false), "{jwk}");
        }
    }

    proptest! {
        #[test]
        fn no_key_makes_the_parser_panic(
            base in prop_oneof![Just(ec()), Just(rsa()), Just(ed25519())],
            name in prop::sample::select(vec!["kty", "crv", "x", "y", "n", "e", "alg", "use", "kid", "key_ops"]),
            value in prop_oneof![
                Just(json!(null)), any::<i64>().prop_map(Value::from), ".{0,8}".prop_map(Value::from),
                any::<Vec<u8>>().prop_map(|bytes| base64url(&bytes).into()),
            ],
        ) {
            let mut jwk = base;
            jwk[name] = value;
            if let Ok(key) = parse(&jwk) {
                prop_assert!(key.verify(b"message", &[1; 64]).is_err());
                let again = parse(&key.public_jwk()).unwrap();
                prop_assert_eq!(again.thumbprint(), key.thumbprint());
            }
        }
    }
}
