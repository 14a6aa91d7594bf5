//! A JSON Web Key, read as the public half of a signature key and nothing else (RFC 7517, RFC 7518 section 6, RFC 8037).

use crate::{Algorithm, UnusableKey, VerifyingKey, decode_base64url, roca, small_order};
use serde_json::{Map, Value};
use sts_types::Kid;

/// RSA keys of these sizes in bits are accepted (requirement J-7).
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// RSA exponents are odd and in this range (requirement J-7).
const EXPONENTS: std::ops::RangeInclusive<u64> = 65_537..=1 << 32;
/// Members that hold, or may hold, private material (RFC 7518 sections 6.2.2, 6.3.2, 6.4; `priv` of key type AKP).
const PRIVATE_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// Parses `jwk` and binds it to one of `algorithms`: the one its `alg` names; without `alg` the one of its curve, and for RSA
/// the first RSA algorithm of the list.
///
/// Unknown members are ignored, certificates (`x5c`, `x5u`, `x5t`) too. An empty `kid` counts as absent, a leading zero octet of `n`
/// as not written.
///
/// # Errors
/// See [`UnusableKey`]; published secrets are told first.
pub fn parse_jwk(jwk: &Value, algorithms: &[Algorithm]) -> Result<VerifyingKey, UnusableKey> {
    let jwk = Members(jwk.as_object().ok_or(UnusableKey::NotAnObject)?);
    let key_type = jwk.required("kty")?;
    if key_type == "oct" {
        return Err(UnusableKey::Symmetric);
    }
    if PRIVATE_MEMBERS.iter().any(|name| jwk.0.contains_key(*name)) {
        return Err(UnusableKey::PrivateMaterial);
    }
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
            VerifyingKey::ec(algorithm, kid, &jwk.octets("x", width)?, &jwk.octets("y", width)?)
        }
        "OKP" => {
            if jwk.required("crv")? != "Ed25519" {
                return Err(UnusableKey::UnknownCurve);
            }
            bind(&jwk, algorithms, Some(Algorithm::EdDSA), |named| named == Algorithm::EdDSA)?;
            let x = jwk.octets("x", 32)?;
            if small_order::is_weak(&x) {
                return Err(UnusableKey::SmallOrder);
            }
            VerifyingKey::ed25519(kid, &x)
        }
        _ => Err(UnusableKey::UnknownKeyType),
    }
}

/// The one algorithm of the key (RFC 8725 section 3.1): the one `alg` names if it `fits`, else `otherwise`; allowed in either case.
fn bind(
    jwk: &Members<'_>,
    allowed: &[Algorithm],
    otherwise: Option<Algorithm>,
    fits: impl Fn(Algorithm) -> bool,
) -> Result<Algorithm, UnusableKey> {
    let algorithm = match jwk.optional("alg")? {
        Some(name) => {
            let named = Algorithm::from_name(name).ok_or(UnusableKey::UnknownAlgorithm)?;
            if !fits(named) {
                return Err(UnusableKey::AlgorithmMismatch);
            }
            named
        }
        None => otherwise.ok_or(UnusableKey::AlgorithmNotAllowed)?,
    };
    if allowed.contains(&algorithm) { Ok(algorithm) } else { Err(UnusableKey::AlgorithmNotAllowed) }
}

/// `use` and `key_ops`, where present, both speak of verifying signatures (RFC 7517 sections 4.2 and 4.3). `jwt-svid` is how SPIFFE
/// bundles write `sig` (SPIFFE JWT-SVID section 6.2).
fn verifies_signatures(jwk: &Members<'_>) -> Result<(), UnusableKey> {
    if !matches!(jwk.optional("use")?, None | Some("sig" | "jwt-svid")) {
        return Err(UnusableKey::NotForSignatures);
    }
    match jwk.0.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().all(Value::is_string) => {
            if operations.iter().any(|operation| operation == "verify") {
                Ok(())
            } else {
                Err(UnusableKey::NotForSignatures)
            }
        }
        Some(_) => Err(UnusableKey::MemberType("key_ops")),
    }
}

fn kid(jwk: &Members<'_>) -> Result<Option<Kid>, UnusableKey> {
    match jwk.optional("kid")? {
        None | Some("") => Ok(None),
        Some(kid) => Kid::new(kid).map(Some).map_err(|_| UnusableKey::MemberType("kid")),
    }
}

fn is_rsa(algorithm: Algorithm) -> bool {
    use Algorithm::{PS256, PS384, PS512, RS256, RS384, RS512};
    matches!(algorithm, RS256 | RS384 | RS512 | PS256 | PS384 | PS512)
}

/// The algorithm of a curve and the width of a coordinate in octets (RFC 7518 sections 3.4 and 6.2.1).
fn curve(name: &str) -> Result<(Algorithm, usize), UnusableKey> {
    match name {
        "P-256" => Ok((Algorithm::ES256, 32)),
        "P-384" => Ok((Algorithm::ES384, 48)),
        "P-521" => Ok((Algorithm::ES512, 66)),
        _ => Err(UnusableKey::UnknownCurve),
    }
}

/// `n` and `e` without leading zeros, within the limits of requirement J-7.
fn rsa_members(jwk: &Members<'_>) -> Result<(Vec<u8>, Vec<u8>), UnusableKey> {
    let n = jwk.integer("n")?;
    let e = jwk.integer("e")?;
    let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    if !MODULUS_BITS.contains(&bits) {
        return Err(UnusableKey::ModulusSize);
    }
    if e.len() > 8 {
        return Err(UnusableKey::Exponent);
    }
    let exponent = e.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    if exponent.is_multiple_of(2) || !EXPONENTS.contains(&exponent) {
        return Err(UnusableKey::Exponent);
    }
    if n.last().is_none_or(|last| last.is_multiple_of(2)) || roca::has_fingerprint(&n) {
        return Err(UnusableKey::WeakModulus);
    }
    Ok((n, e))
}

/// The members of one JWK, read by type.
struct Members<'a>(&'a Map<String, Value>);

impl<'a> Members<'a> {
    fn optional(&self, name: &'static str) -> Result<Option<&'a str>, UnusableKey> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(UnusableKey::MemberType(name)),
        }
    }

    fn required(&self, name: &'static str) -> Result<&'a str, UnusableKey> {
        self.optional(name)?.ok_or(UnusableKey::MissingMember(name))
    }

    /// Exactly `width` octets.
    fn octets(&self, name: &'static str, width: usize) -> Result<Vec<u8>, UnusableKey> {
        decode_base64url(self.required(name)?).filter(|octets| octets.len() == width).ok_or(UnusableKey::Encoding(name))
    }

    /// An unsigned integer, big-endian (`Base64urlUInt`, RFC 7518 section 2), with leading zeros taken off: Java's signed bytes put
    /// one before a modulus.
    fn integer(&self, name: &'static str) -> Result<Vec<u8>, UnusableKey> {
        let mut octets = decode_base64url(self.required(name)?).ok_or(UnusableKey::Encoding(name))?;
        let zeros = octets.iter().take_while(|octet| **octet == 0).count();
        octets.drain(..zeros);
        Ok(octets)
    }
}
