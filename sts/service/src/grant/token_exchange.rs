//! Token exchange (RFC 8693): a platform's ID token in, a token of ours out.

use sts_token::CallerProof;
use sts_types::Clock;
use sts_types::rfc::{self, parameter};

use super::id_token::verify;
use super::{Grant, GrantRequest, Progress, TokenRequest};
use crate::Snapshot;
use crate::parameters::Parameters;
use crate::reason::{Reason, RefusedError};

const EMPTY_SUBJECT_TOKEN: &str =
    "`subject_token` is empty: the variable or the command that it is taken from gave nothing";

/// The largest subject token, in octets.
pub(crate) const MAX_SUBJECT_TOKEN: usize = 16 * 1024;

/// A platform's ID token to exchange.
pub(super) struct TokenExchange<'a> {
    subject_token: &'a str,
}

/// Checks the request's shape (RFC 8693 section 2.1).
///
/// # Errors
/// `request_malformed`, or `token_malformed` for a token over the limit.
pub(super) fn parse<'a>(parameters: &'a Parameters<'_>) -> Result<GrantRequest<'a>, RefusedError> {
    let malformed = |rule| Err(RefusedError::because(Reason::RequestMalformed, rule));
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
    let names = TokenRequest::parse(parameters)?;
    if subject_token.len() > MAX_SUBJECT_TOKEN {
        return Err(RefusedError::because(Reason::TokenMalformed, "the subject token is over 16 KiB"));
    }
    Ok(GrantRequest { grant: Grant::TokenExchange(TokenExchange { subject_token }), names })
}

impl TokenExchange<'_> {
    /// Verifies the subject token.
    pub(super) async fn prove(
        &self,
        snapshot: &Snapshot,
        clock: &dyn Clock,
        progress: &mut Progress,
    ) -> Result<CallerProof, RefusedError> {
        verify(snapshot, clock, self.subject_token, progress).await.map(CallerProof::Federated)
    }

    /// Caches a token that was granted something. Tokens of strangers must not take its place.
    pub(super) fn granted(&self, snapshot: &Snapshot, proof: &CallerProof) {
        if let CallerProof::Federated(verified) = proof {
            snapshot.remembered.remember(self.subject_token, verified);
        }
    }
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
        GrantRequest::parse(&Parameters::new(pairs)?).map(|_| ())
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
}
