//! A token-exchange request (RFC 8693 section 2.1), its shape judged.

use std::net::IpAddr;
use std::time::Duration;

use sts_types::rfc::{self, parameter};
use sts_types::{Clock, Entropy, Lifetime, RequestId};

use crate::parameters::Parameters;
use crate::reason::{Reason, RefusedError};

/// Who asks, and when.
pub struct RequestContext {
    /// The request's id.
    pub request_id: RequestId,
    /// The address it came from, when known.
    pub source: Option<IpAddr>,
    /// Monotonic time of its arrival.
    pub arrived: Duration,
}

const EMPTY_SUBJECT_TOKEN: &str =
    "`subject_token` is empty: the variable or the command that it is taken from gave nothing";

/// The largest subject token, in bytes.
pub(crate) const MAX_SUBJECT_TOKEN: usize = 16 * 1024;

/// What is said of credentials at `/token`.
pub const NO_CLIENT_AUTHENTICATION: &str =
    "this endpoint takes no client authentication: send no credentials, and name the service account as `client_id`";

/// Parameters that authenticate a client. `/token` takes none, and ignoring one would hide a caller's mistake.
const CREDENTIALS: [&str; 3] =
    [parameter::CLIENT_SECRET, parameter::CLIENT_ASSERTION, parameter::CLIENT_ASSERTION_TYPE];

/// A request whose shape is right. What its names mean is judged by the rules.
pub struct ExchangeRequest<'a> {
    pub(crate) subject_token: &'a str,
    pub(crate) audience: Vec<String>,
    pub(crate) resource: Vec<String>,
    pub(crate) scope: Option<&'a str>,
    pub(crate) client_id: Option<&'a str>,
    pub(crate) lifetime: Option<Lifetime>,
}

impl<'a> ExchangeRequest<'a> {
    /// Judges the shape.
    ///
    /// # Errors
    /// `request_malformed`, `grant_unsupported`, `invalid_client`, or `token_malformed` for a token over the limit.
    pub fn parse(parameters: &'a Parameters<'_>) -> Result<Self, RefusedError> {
        let malformed = |rule| Err(RefusedError::because(Reason::RequestMalformed, rule));
        parameters.forbid_repeats(&[parameter::AUDIENCE, parameter::RESOURCE])?;
        if CREDENTIALS.iter().any(|name| parameters.has(name)) {
            return Err(RefusedError::because(Reason::InvalidClient, NO_CLIENT_AUTHENTICATION));
        }
        match parameters.one(parameter::GRANT_TYPE)? {
            None => return malformed("`grant_type` is missing"),
            Some(rfc::GRANT_TOKEN_EXCHANGE) => {}
            Some(_) => return Err(Reason::GrantUnsupported.into()),
        }
        let Some(subject_token) = parameters.one(parameter::SUBJECT_TOKEN)? else {
            return malformed(match parameters.is_sent(parameter::SUBJECT_TOKEN) {
                true => EMPTY_SUBJECT_TOKEN,
                false => "`subject_token` is missing",
            });
        };
        match parameters.one(parameter::SUBJECT_TOKEN_TYPE)? {
            None => return malformed("`subject_token_type` is missing"),
            Some(rfc::TOKEN_TYPE_JWT | rfc::TOKEN_TYPE_ID_TOKEN) => {}
            Some(_) => {
                return malformed(
                    "`subject_token_type` is neither urn:ietf:params:oauth:token-type:jwt nor urn:ietf:params:oauth:token-type:id_token",
                );
            }
        }
        if parameters.has(parameter::ACTOR_TOKEN) || parameters.has(parameter::ACTOR_TOKEN_TYPE) {
            return malformed("delegation is not offered: send no `actor_token`");
        }
        match parameters.one(parameter::REQUESTED_TOKEN_TYPE)? {
            None | Some(rfc::TOKEN_TYPE_ACCESS_TOKEN | rfc::TOKEN_TYPE_JWT) => {}
            Some(_) => return malformed("`requested_token_type` is not urn:ietf:params:oauth:token-type:access_token"),
        }
        let lifetime = match parameters.one(parameter::EXPIRES_IN)? {
            None => None,
            Some(text) => match whole_seconds(text) {
                Some(lifetime) => Some(lifetime),
                None => return malformed("`expires_in` is not a whole number of seconds, 1 or more"),
            },
        };
        if subject_token.len() > MAX_SUBJECT_TOKEN {
            return Err(RefusedError::because(Reason::TokenMalformed, "the subject token is over 16 KiB"));
        }
        Ok(Self {
            subject_token,
            audience: parameters.all(parameter::AUDIENCE).map(str::to_owned).collect(),
            resource: parameters.all(parameter::RESOURCE).map(str::to_owned).collect(),
            scope: parameters.one(parameter::SCOPE)?,
            client_id: parameters.one(parameter::CLIENT_ID)?,
            lifetime,
        })
    }
}

/// Digits only; a number beyond 32 bits is as good as no wish, since it can only shorten.
fn whole_seconds(text: &str) -> Option<Lifetime> {
    if text.is_empty() || text.len() > 20 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Lifetime::from_secs(text.parse::<u32>().unwrap_or(u32::MAX))
}

/// A ULID: 48 bits of milliseconds, 80 random bits, in Crockford's base 32.
pub(crate) fn new_request_id(clock: &dyn Clock, entropy: &dyn Entropy) -> RequestId {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let mut random = [0; 16];
    entropy.fill(random.split_at_mut(6).1);
    let millis = u128::from(clock.now_millis() & 0xffff_ffff_ffff) << 80;
    let value = millis | (u128::from_be_bytes(random) & ((1 << 80) - 1));
    let text: String = (0..26)
        .rev()
        .map(|at| {
            let digit = usize::try_from((value >> (5 * at)) & 31).unwrap_or(0);
            ALPHABET.get(digit).copied().map_or('0', char::from)
        })
        .collect();
    #[expect(clippy::expect_used, reason = "26 characters of Crockford's alphabet are a ULID by construction")]
    RequestId::new(&text).expect("a ULID")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<(), RefusedError> {
        let base = [
            ("grant_type", rfc::GRANT_TOKEN_EXCHANGE),
            ("subject_token", "t"),
            ("subject_token_type", rfc::TOKEN_TYPE_JWT),
        ];
        let overridden = |name: &str| pairs.iter().any(|(own, _)| *own == name);
        let all = base.iter().filter(|(name, _)| !overridden(name)).chain(pairs);
        let pairs = all.filter(|(_, value)| *value != "<none>").map(|(n, v)| ((*n).into(), (*v).into())).collect();
        ExchangeRequest::parse(&Parameters::new(pairs)?).map(|_| ())
    }

    fn reason(pairs: &[(&str, &str)]) -> Option<Reason> {
        parse(pairs).err().map(|refused| refused.reason)
    }

    #[test]
    fn tx01_to_tx05_the_shape_of_a_request() {
        use Reason::{GrantUnsupported, InvalidClient, RequestMalformed};
        type Case<'a> = (&'a [(&'a str, &'a str)], Option<Reason>);
        let cases: &[Case<'_>] = &[
            (&[], None),
            (&[("grant_type", "<none>")], Some(RequestMalformed)),
            (&[("grant_type", "")], Some(RequestMalformed)),
            (&[("grant_type", "client_credentials")], Some(GrantUnsupported)),
            (&[("subject_token", "")], Some(RequestMalformed)),
            (&[("subject_token_type", "<none>")], Some(RequestMalformed)),
            (&[("subject_token_type", rfc::TOKEN_TYPE_ACCESS_TOKEN)], Some(RequestMalformed)),
            (&[("subject_token_type", rfc::TOKEN_TYPE_ID_TOKEN)], None),
            (&[("actor_token", "x")], Some(RequestMalformed)),
            (&[("actor_token_type", rfc::TOKEN_TYPE_JWT)], Some(RequestMalformed)),
            (&[("actor_token", "")], None),
            (&[("requested_token_type", rfc::TOKEN_TYPE_JWT)], None),
            (&[("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token")], Some(RequestMalformed)),
            (&[("client_secret", "x")], Some(InvalidClient)),
            (&[("client_assertion", "x")], Some(InvalidClient)),
            (&[("whatever", "x")], None),
            (&[("whatever", "x"), ("whatever", "x")], Some(RequestMalformed)),
            (&[("scope", "a"), ("scope", "")], Some(RequestMalformed)),
            (&[("audience", "a"), ("audience", "b"), ("resource", "c"), ("resource", "d")], None),
            (&[("expires_in", "60")], None),
            (&[("expires_in", "99999999999999999999")], None),
            (&[("expires_in", "0")], Some(RequestMalformed)),
            (&[("expires_in", "-1")], Some(RequestMalformed)),
            (&[("expires_in", "1.5")], Some(RequestMalformed)),
            (&[("expires_in", "+1")], Some(RequestMalformed)),
        ];
        for (pairs, expected) in cases {
            assert_eq!(reason(pairs), *expected, "{pairs:?}");
        }
    }

    #[test]
    fn c110_a_request_has_at_most_64_parameters_and_no_nul() {
        let pairs = |count: usize| (0..count).map(|at| (format!("p{at}").into(), "v".into())).collect();
        assert!(Parameters::new(pairs(64)).is_ok());
        assert!(Parameters::new(pairs(65)).is_err());
        assert!(Parameters::new(vec![("a".into(), "\0".into())]).is_err());
    }
}
