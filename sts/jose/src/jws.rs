//! A JWS in compact serialisation, parsed strictly before any key is used (RFC 7515). Encrypted
//! tokens and the JSON serialisation are refused by their shape.

use crate::{Algorithm, BadSignature, VerifyingKey, decode_base64url};
use sts_claims::{Json, JsonObject, StrictJsonError};
use sts_types::Kid;

/// Size limit of a token, in bytes.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// A well-formed JWS. Its signature is not verified: trust nothing in it before
/// [`verify`](Self::verify) succeeds.
pub struct CompactJws<'a> {
    header: JwsHeader,
    payload: Vec<u8>,
    signing_input: &'a str,
    signature: Vec<u8>,
}

/// The header members that are used. A header may name a key but never supply one: `jwk`, `jku`,
/// `x5u`, `x5c` and `x5t` are ignored, because an attacker can write them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwsHeader {
    /// `alg`, one of the supported algorithms.
    pub algorithm: Algorithm,
    /// `kid`.
    pub kid: Option<Kid>,
    /// `typ`, unchanged.
    pub typ: Option<String>,
}

/// Why a text is not an acceptable JWS. Never contains input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// The shape is wrong. The text names the violated rule.
    #[error("{0}")]
    Malformed(&'static str),
    /// `alg` is missing, is not a string, or is not supported (`none` and HMAC are not).
    #[error("`alg` is missing or is not a supported signature algorithm")]
    Algorithm,
}

impl<'a> CompactJws<'a> {
    /// Parses `token`, cheap checks first.
    ///
    /// # Errors
    /// See [`JwsError`].
    pub fn parse(token: &'a str) -> Result<Self, JwsError> {
        Self::parse_up_to(token, MAX_TOKEN_BYTES)
    }

    /// Parses `token` as [`CompactJws::parse`] does, with another size limit in bytes.
    ///
    /// # Errors
    /// See [`JwsError`].
    pub fn parse_up_to(token: &'a str, max_bytes: usize) -> Result<Self, JwsError> {
        if token.len() > max_bytes {
            return Err(JwsError::Malformed("the token is too long"));
        }
        let (header, payload, signature, signing_input) = split(token)?;
        let header = decode_base64url(header).ok_or(JwsError::Malformed("the header is not canonical base64url"))?;
        let header = JwsHeader::parse(&header)?;
        let payload = decode_base64url(payload).ok_or(JwsError::Malformed("the payload is not canonical base64url"))?;
        let signature =
            decode_base64url(signature).ok_or(JwsError::Malformed("the signature is not canonical base64url"))?;
        Ok(Self { header, payload, signing_input, signature })
    }

    /// The parsed header.
    #[must_use]
    pub fn header(&self) -> &JwsHeader {
        &self.header
    }

    /// The decoded payload. Its content is untrusted until [`verify`](Self::verify) succeeds.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The octets that the signature covers: header and payload as received (RFC 7515 section 5.2).
    #[must_use]
    pub fn signing_input(&self) -> &[u8] {
        self.signing_input.as_bytes()
    }

    /// Verifies the signature with `key`, whose one algorithm must equal the header's.
    ///
    /// # Errors
    /// [`BadSignature`], without a reason.
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), BadSignature> {
        if key.algorithm() != self.header.algorithm {
            return Err(BadSignature);
        }
        key.verify(self.signing_input(), &self.signature)
    }
}

impl std::fmt::Debug for CompactJws<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompactJws").field("header", &self.header).finish_non_exhaustive()
    }
}

/// Header, payload, signature, and the signing input (all text before the last dot).
fn split(token: &str) -> Result<(&str, &str, &str, &str), JwsError> {
    const WRONG: JwsError = JwsError::Malformed("the token does not consist of three parts");
    let mut dots = memchr::memchr_iter(b'.', token.as_bytes());
    match (dots.next(), dots.next(), dots.count()) {
        (Some(first), Some(second), 0) => {
            let (signing_input, signature) = token.split_at_checked(second).ok_or(WRONG)?;
            let (header, payload) = signing_input.split_at_checked(first).ok_or(WRONG)?;
            let payload = payload.strip_prefix('.').ok_or(WRONG)?;
            let signature = signature.strip_prefix('.').ok_or(WRONG)?;
            Ok((header, payload, signature, signing_input))
        }
        // Five parts are a JWE (RFC 7516 section 3.1).
        (Some(_), Some(_), 2) => {
            Err(JwsError::Malformed("the token is encrypted (JWE); only signed tokens are accepted"))
        }
        _ => Err(WRONG),
    }
}

impl JwsHeader {
    fn parse(bytes: &[u8]) -> Result<Self, JwsError> {
        let header = JsonObject::parse(bytes).map_err(|error| {
            JwsError::Malformed(match error {
                StrictJsonError::Encoding => "the header is not UTF-8",
                StrictJsonError::Syntax => "the header is not strict JSON (syntax, duplicate member, nesting)",
                StrictJsonError::NotAnObject => "the header is not a JSON object",
            })
        })?;
        for (name, rule) in REFUSED_MEMBERS {
            if header.get(name).is_some() {
                return Err(JwsError::Malformed(rule));
            }
        }
        let algorithm =
            header.get("alg").and_then(Json::as_str).and_then(Algorithm::from_name).ok_or(JwsError::Algorithm)?;
        let kid = match text(&header, "kid", "`kid` is not a string")? {
            None => None,
            Some(kid) => Some(
                Kid::new(kid)
                    .map_err(|_| JwsError::Malformed("`kid` is empty, too long or holds control characters"))?,
            ),
        };
        let typ = text(&header, "typ", "`typ` is not a string")?.map(str::to_owned);
        Ok(Self { algorithm, kid, typ })
    }
}

/// Members that change how a token must be read. None is supported, so each makes the token
/// invalid, no matter its value (RFC 7515 section 4.1.11, RFC 7797, RFC 7516).
const REFUSED_MEMBERS: [(&str, &str); 4] = [
    ("crit", "the header has `crit`; no extension is supported"),
    ("b64", "the header has `b64`; payloads are always encoded"),
    ("zip", "the header has `zip`; compression is not supported"),
    ("enc", "the header has `enc`; only signed tokens are accepted"),
];

fn text<'a>(header: &'a JsonObject, name: &str, rule: &'static str) -> Result<Option<&'a str>, JwsError> {
    header.get(name).map(|member| member.as_str().ok_or(JwsError::Malformed(rule))).transpose()
}
