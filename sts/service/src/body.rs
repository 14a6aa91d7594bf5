//! Reads parameters from a body: a form (`application/x-www-form-urlencoded`), or JSON with the
//! same names. The reader is strict. It refuses a malformed body and never repairs one, so that no
//! two readers can disagree about a request.

use std::borrow::Cow;

use serde_json::Value;
use sts_types::rfc::parameter;

use crate::parameters::{MAX_PARAMETERS, Parameters};
use crate::reason::{Reason, RefusedError};

impl<'b> Parameters<'b> {
    /// Reads a form.
    ///
    /// # Errors
    /// `request_malformed` for broken percent-encoding, for text that is not UTF-8, and for what
    /// [`Parameters::new`] refuses.
    pub fn from_form(body: &'b [u8]) -> Result<Self, RefusedError> {
        let mut pairs = Vec::with_capacity(8);
        let mut rest = Some(body);
        while let Some(text) = rest {
            let (pair, next) = match split_once(text, b'&') {
                Some((pair, next)) => (pair, Some(next)),
                None => (text, None),
            };
            rest = next;
            if !pair.is_empty() {
                let (name, value) = split_once(pair, b'=').unwrap_or((pair, &[]));
                pairs.push((decode(name)?, decode(value)?));
            }
        }
        Self::new(pairs)
    }

    /// Reads JSON: one strict object of strings. `audience` and `resource` may be lists of strings,
    /// `expires_in` a number.
    ///
    /// # Errors
    /// `request_malformed` for anything else, and for what [`Parameters::new`] refuses.
    pub fn from_json(body: &[u8]) -> Result<Self, RefusedError> {
        let members = sts_claims::parse_object(body).map_err(|_| malformed(NOT_AN_OBJECT))?;
        if members.len() > MAX_PARAMETERS {
            return Err(malformed("a request has at most 64 parameters"));
        }
        let mut pairs = Vec::with_capacity(members.len());
        for (name, value) in members {
            let name = Cow::Owned(name);
            match value {
                // Counts as empty.
                Value::Null => pairs.push((name, Cow::Borrowed(""))),
                Value::String(text) => pairs.push((name, text.into())),
                Value::Number(number) if name == parameter::EXPIRES_IN => pairs.push((name, number.to_string().into())),
                Value::Array(values) if name == parameter::AUDIENCE || name == parameter::RESOURCE => {
                    for value in values {
                        let Value::String(text) = value else {
                            return Err(malformed("`audience` and `resource` hold strings"));
                        };
                        pairs.push((name.clone(), text.into()));
                    }
                }
                // An unknown parameter is ignored, whatever its type.
                _ if !KNOWN.contains(&name.as_ref()) => {}
                _ => return Err(RefusedError::on_parameter(&name, "is not a string: send it in quotes")),
            }
        }
        Self::new(pairs)
    }
}

/// The message for a JSON body that two readers could read differently, or not at all.
pub const NOT_AN_OBJECT: &str =
    "the body is not one strict JSON object: send one in UTF-8, with no member twice and nothing after it";

fn malformed(rule: &'static str) -> RefusedError {
    RefusedError::because(Reason::RequestMalformed, rule)
}

/// The parts before and after the first `mark`.
fn split_once(text: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    let (before, from) = text.split_at_checked(memchr::memchr(mark, text)?)?;
    Some((before, from.get(1..)?))
}

/// Decodes `+` and percent-encoding.
fn decode(text: &[u8]) -> Result<Cow<'_, str>, RefusedError> {
    let broken = || malformed("the form's percent-encoding is broken");
    let digit = |b: u8| char::from(b).to_digit(16).ok_or_else(broken);
    let undecodable = || malformed("a parameter is not UTF-8");
    if memchr::memchr2(b'%', b'+', text).is_none() {
        return std::str::from_utf8(text).map(Cow::Borrowed).map_err(|_| undecodable());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(index) = memchr::memchr2(b'%', b'+', rest) {
        let (plain, coded) = rest.split_at_checked(index).ok_or_else(broken)?;
        bytes.extend_from_slice(plain);
        rest = match coded {
            [b'+', rest @ ..] => {
                bytes.push(b' ');
                rest
            }
            [b'%', high, low, rest @ ..] => {
                bytes.push(u8::try_from(digit(*high)? * 16 + digit(*low)?).map_err(|_| broken())?);
                rest
            }
            _ => return Err(broken()),
        };
    }
    bytes.extend_from_slice(rest);
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| undecodable())
}

/// The parameters whose type is checked in a JSON body.
const KNOWN: [&str; 15] = [
    parameter::GRANT_TYPE,
    parameter::SUBJECT_TOKEN,
    parameter::SUBJECT_TOKEN_TYPE,
    parameter::ACTOR_TOKEN,
    parameter::ACTOR_TOKEN_TYPE,
    parameter::AUDIENCE,
    parameter::RESOURCE,
    parameter::SCOPE,
    parameter::REQUESTED_TOKEN_TYPE,
    parameter::CLIENT_ID,
    parameter::CLIENT_SECRET,
    parameter::ASSERTION,
    parameter::CLIENT_ASSERTION,
    parameter::CLIENT_ASSERTION_TYPE,
    parameter::EXPIRES_IN,
];
