//! Token exchange (RFC 8693): a platform's ID token in, a token of ours out.

use sts_token::CallerProof;
use sts_types::Clock;
use sts_types::rfc::{self, parameter};

use super::id_token::IdToken;
use super::{Grant, GrantRequest, Progress, TokenRequest};
use crate::Snapshot;
use crate::parameters::Parameters;
use crate::reason::{Reason, RefusedError};

/// A platform's ID token to exchange.
pub(super) struct TokenExchange<'a> {
    subject: IdToken<'a>,
}

/// Checks the request's shape (RFC 8693 section 2.1).
///
/// # Errors
/// `request_malformed`, or `token_malformed` for a token over the limit.
pub(super) fn parse<'a>(parameters: &'a Parameters<'_>) -> Result<GrantRequest<'a>, RefusedError> {
    let malformed = |rule| Err(RefusedError::because(Reason::RequestMalformed, rule));
    let subject = IdToken::read(parameters, parameter::SUBJECT_TOKEN);
    // A missing token is told before anything else, one that is too large after the whole shape.
    if let Err(refused) = &subject
        && refused.reason == Reason::RequestMalformed
    {
        return Err(refused.clone());
    }
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
    Ok(GrantRequest { grant: Grant::TokenExchange(TokenExchange { subject: subject? }), names })
}

impl TokenExchange<'_> {
    /// Verifies the subject token.
    pub(super) async fn prove(
        &self,
        snapshot: &Snapshot,
        clock: &dyn Clock,
        progress: &mut Progress,
    ) -> Result<CallerProof, RefusedError> {
        self.subject.prove(snapshot, clock, progress).await
    }

    /// Called after the rules have granted something for the proof.
    pub(super) fn granted(&self, snapshot: &Snapshot, proof: &CallerProof) {
        self.subject.granted(snapshot, proof);
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
            (&[("grant_type", "password")], Some(GrantUnsupported)),
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
