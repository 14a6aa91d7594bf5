//! The ID token as an assertion (RFC 7523): as the grant itself, or as the authentication of the
//! client that asks.

use sts_types::rfc::{self, parameter};

use super::id_token::IdToken;
use super::{Grant, GrantRequest, TokenRequest, forbid_actor};
use crate::parameters::Parameters;
use crate::reason::RefusedError;

/// Checks the shape of `grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer` (RFC 7523 section
/// 2.1).
///
/// # Errors
/// `request_malformed`, or `token_malformed` for a token over the limit.
pub(super) fn jwt_bearer<'a>(parameters: &'a Parameters<'_>) -> Result<GrantRequest<'a>, RefusedError> {
    forbid_actor(parameters)?;
    let names = TokenRequest::parse(parameters)?;
    let assertion = IdToken::read(parameters, parameter::ASSERTION)?;
    Ok(GrantRequest { grant: Grant::Assertion(assertion), names })
}

/// Checks the shape of `grant_type=client_credentials` with a `client_assertion` (RFC 7523 section
/// 2.2). `client_id` may be left out (RFC 7521 section 4.2); if it is there, it must be the account.
///
/// # Errors
/// `request_malformed`, or `token_malformed` for a token over the limit.
pub(super) fn client_assertion<'a>(parameters: &'a Parameters<'_>) -> Result<GrantRequest<'a>, RefusedError> {
    forbid_actor(parameters)?;
    let names = TokenRequest { client_is_account: true, ..TokenRequest::parse(parameters)? };
    let assertion = IdToken::read(parameters, parameter::CLIENT_ASSERTION)?;
    match parameters.one(parameter::CLIENT_ASSERTION_TYPE)? {
        Some(rfc::CLIENT_ASSERTION_JWT_BEARER) => {}
        None => return Err(RefusedError::on_parameter(parameter::CLIENT_ASSERTION_TYPE, "is missing")),
        Some(_) => {
            return Err(RefusedError::on_parameter(
                parameter::CLIENT_ASSERTION_TYPE,
                "is not urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ));
        }
    }
    Ok(GrantRequest { grant: Grant::Assertion(assertion), names })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Reason;
    use Reason::{InvalidClient, RequestMalformed, TokenMalformed};

    fn reason(pairs: &[(&str, &str)]) -> Option<Reason> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        GrantRequest::parse(&Parameters::new(pairs).unwrap()).err().map(|refused| refused.reason)
    }

    #[test]
    fn ja01_the_shape_of_a_jwt_bearer_request() {
        let long = "x".repeat(16 * 1024 + 1);
        for (more, expected) in [
            (&[("assertion", "t")][..], None),
            (&[("assertion", "t"), ("client_id", "octo"), ("scope", "a"), ("audience", "a"), ("audience", "b")], None),
            (&[], Some(RequestMalformed)),
            (&[("assertion", "")], Some(RequestMalformed)),
            (&[("subject_token", "t")], Some(RequestMalformed)),
            (&[("assertion", "t"), ("assertion", "t")], Some(RequestMalformed)),
            (&[("assertion", &long)], Some(TokenMalformed)),
            (&[("assertion", "t"), ("actor_token", "x")], Some(RequestMalformed)),
            (&[("assertion", "t"), ("actor_token_type", "x")], Some(RequestMalformed)),
            (&[("assertion", "t"), ("expires_in", "0")], Some(RequestMalformed)),
            (&[("assertion", "t"), ("client_secret", "x")], Some(InvalidClient)),
            (&[("assertion", "t"), ("client_assertion", "x")], Some(InvalidClient)),
        ] {
            let grant = [("grant_type", rfc::GRANT_JWT_BEARER)];
            assert_eq!(reason(&[&grant[..], more].concat()), expected, "{:?}", more.first());
        }
    }

    #[test]
    fn ja01_the_shape_of_a_client_assertion() {
        let typed = ("client_assertion_type", rfc::CLIENT_ASSERTION_JWT_BEARER);
        for (more, expected) in [
            (&[("client_assertion", "t"), typed][..], None),
            (&[("client_assertion", "t"), typed, ("client_id", "octo")], None),
            (&[], Some(InvalidClient)),
            (&[("client_id", "octo")], Some(InvalidClient)),
            (&[("client_assertion", "t")], Some(RequestMalformed)),
            (&[typed], Some(RequestMalformed)),
            (&[("client_assertion", "t"), ("client_assertion_type", "jwt-bearer")], Some(RequestMalformed)),
            (&[("client_assertion", "t"), typed, ("client_assertion", "t")], Some(RequestMalformed)),
            (&[("client_assertion", "t"), typed, ("actor_token", "x")], Some(RequestMalformed)),
        ] {
            let grant = [("grant_type", "client_credentials")];
            assert_eq!(reason(&[&grant[..], more].concat()), expected, "{more:?}");
        }
    }
}
