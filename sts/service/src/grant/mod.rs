//! Grants: each turns a token request into a proof. All grants share the steps after the proof, in
//! `pipeline.rs`.
//!
//! A new grant is a file with its request, its prover and their tests, a variant of [`Grant`], and
//! a row in [`GRANTS`]. No step of the pipeline changes.

mod id_token;
mod names;
mod pipeline;
mod progress;
mod token_exchange;

pub(crate) use id_token::verify;
pub(crate) use names::TokenRequest;
pub use pipeline::Exchanged;
pub(crate) use pipeline::Pipeline;
pub(crate) use progress::Progress;
pub(crate) use token_exchange::MAX_SUBJECT_TOKEN;

use sts_token::CallerProof;
use sts_types::Clock;
use sts_types::rfc::{self, parameter};

use crate::Snapshot;
use crate::parameters::Parameters;
use crate::reason::{Reason, RefusedError};
use token_exchange::TokenExchange;

/// Parses the request of one grant.
type Parse = for<'a, 'b> fn(&'a Parameters<'b>) -> Result<GrantRequest<'a>, RefusedError>;

/// Every grant, by its `grant_type`.
const GRANTS: [(&str, Parse); 1] = [(rfc::GRANT_TOKEN_EXCHANGE, token_exchange::parse)];

/// The message for credentials at `/token`.
pub const NO_CLIENT_AUTHENTICATION: &str =
    "this endpoint takes no client authentication: send no credentials, and name the service account as `client_id`";

/// Parameters that authenticate a client. No grant takes one, and ignoring one would hide a
/// caller's mistake.
const CREDENTIALS: [&str; 3] =
    [parameter::CLIENT_SECRET, parameter::CLIENT_ASSERTION, parameter::CLIENT_ASSERTION_TYPE];

/// The supported values of `grant_type`.
pub fn grant_types() -> impl Iterator<Item = &'static str> {
    GRANTS.iter().map(|(grant_type, _)| *grant_type)
}

/// A request with a valid shape. The rules decide what its names mean.
pub(crate) struct GrantRequest<'a> {
    grant: Grant<'a>,
    names: TokenRequest<'a>,
}

/// A grant, with the parameters that only it has.
enum Grant<'a> {
    TokenExchange(TokenExchange<'a>),
}

impl<'a> GrantRequest<'a> {
    /// Checks the shape.
    ///
    /// # Errors
    /// `request_malformed`, `invalid_client`, `grant_unsupported`, or the error of the grant's own
    /// parser.
    fn parse(parameters: &'a Parameters<'_>) -> Result<Self, RefusedError> {
        parameters.forbid_repeats(&[parameter::AUDIENCE, parameter::RESOURCE])?;
        if CREDENTIALS.iter().any(|name| parameters.has(name)) {
            return Err(RefusedError::because(Reason::InvalidClient, NO_CLIENT_AUTHENTICATION));
        }
        let missing = || RefusedError::because(Reason::RequestMalformed, "`grant_type` is missing");
        let asked = parameters.one(parameter::GRANT_TYPE)?.ok_or_else(missing)?;
        let (_, parse) = GRANTS.iter().find(|(grant_type, _)| *grant_type == asked).ok_or(Reason::GrantUnsupported)?;
        parse(parameters)
    }
}

impl Grant<'_> {
    /// Proves who the caller is. `progress` records every step, because the caller may hang up
    /// meanwhile.
    async fn prove(
        &self,
        snapshot: &Snapshot,
        clock: &dyn Clock,
        progress: &mut Progress,
    ) -> Result<CallerProof, RefusedError> {
        match self {
            Self::TokenExchange(exchange) => exchange.prove(snapshot, clock, progress).await,
        }
    }

    /// Called after the rules have granted something for the proof.
    fn granted(&self, snapshot: &Snapshot, proof: &CallerProof) {
        match self {
            Self::TokenExchange(exchange) => exchange.granted(snapshot, proof),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(pairs: &[(&str, &str)]) -> Option<Reason> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let parameters = Parameters::new(pairs).unwrap();
        GrantRequest::parse(&parameters).err().map(|refused| refused.reason)
    }

    #[test]
    fn a_grant_type_is_served_or_unsupported_and_credentials_are_refused_before_either() {
        for (grant_type, expected) in [
            (rfc::GRANT_TOKEN_EXCHANGE, Reason::RequestMalformed),
            ("client_credentials", Reason::GrantUnsupported),
            ("urn:ietf:params:oauth:grant-type:Token-Exchange", Reason::GrantUnsupported),
        ] {
            assert_eq!(reason(&[("grant_type", grant_type)]), Some(expected), "{grant_type}");
            for credential in CREDENTIALS {
                let refused = reason(&[("grant_type", grant_type), (credential, "x")]);
                assert_eq!(refused, Some(Reason::InvalidClient), "{grant_type} {credential}");
            }
        }
        assert_eq!(reason(&[("client_secret", "x")]), Some(Reason::InvalidClient), "without a grant type");
        assert_eq!(reason(&[("client_secret", "x"), ("client_secret", "x")]), Some(Reason::RequestMalformed));
    }

    #[test]
    fn the_refusal_of_an_unsupported_grant_names_every_grant_that_there_is() {
        for grant_type in grant_types() {
            assert!(Reason::GrantUnsupported.description().contains(grant_type), "{grant_type}");
        }
    }
}
