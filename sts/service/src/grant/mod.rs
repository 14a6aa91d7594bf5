//! Grants: each turns a token request into a proof. All grants share the steps after the proof, in
//! `pipeline.rs`.
//!
//! A new grant is a file with its request, its prover and their tests, and a variant of
//! [`GrantType`] and of [`Grant`]. No step of the pipeline changes.

mod api_key;
mod assertion;
pub(crate) mod dpop;
mod grant_type;
mod id_token;
mod names;
mod own_token;
mod pipeline;
mod progress;
mod proof_refusal;
mod token_exchange;

pub use dpop::endpoint_url;
pub use grant_type::GrantType;
pub(crate) use id_token::{MAX_SUBJECT_TOKEN, verify};
pub(crate) use names::TokenRequest;
pub use pipeline::Exchanged;
pub(crate) use pipeline::Pipeline;
pub(crate) use progress::Progress;
pub(crate) use proof_refusal::ProofRefusal;

use std::net::IpAddr;

use sts_token::CallerProof;
use sts_types::Clock;
use sts_types::rfc::parameter;

use crate::Snapshot;
use crate::decision_record::DecisionRecord;
use crate::introspect::Introspector;
use crate::parameters::Parameters;
use crate::reason::{Reason, RefusedError};
use api_key::ClientSecret;
use id_token::IdToken;
use token_exchange::TokenExchange;

/// Parses the request of one grant.
type Parse = for<'a, 'b> fn(&'a Parameters<'b>) -> Result<GrantRequest<'a>, RefusedError>;

/// The message for an `Authorization` header that no grant takes.
pub const NOT_BASIC: &str = "no grant takes this Authorization header: send no credentials, and name the service account as `client_id`; or \
                             send its name and an API key as Basic, with the grant `client_credentials`";

/// The message for credentials that the request's grant does not take.
pub const NO_CLIENT_AUTHENTICATION: &str =
    "this grant takes no client authentication: send no credentials, and name the service account as `client_id`";

/// Parameters that authenticate a client. Ignoring one would hide a caller's mistake.
const CREDENTIALS: [&str; 3] =
    [parameter::CLIENT_SECRET, parameter::CLIENT_ASSERTION, parameter::CLIENT_ASSERTION_TYPE];

/// A request with a valid shape. The rules decide what its names mean.
pub(crate) struct GrantRequest<'a> {
    grant: Grant<'a>,
    names: TokenRequest<'a>,
}

/// A grant, with the parameters that only it has.
enum Grant<'a> {
    TokenExchange(TokenExchange<'a>),
    /// RFC 7523, as a grant or as client authentication.
    Assertion(IdToken<'a>),
    /// A client that authenticates by an API key.
    ApiKey(ClientSecret<'a>),
}

impl<'a> GrantRequest<'a> {
    /// Checks the shape.
    ///
    /// # Errors
    /// `request_malformed`, `invalid_client`, `grant_unsupported`, or the error of the grant's own
    /// parser.
    fn parse(parameters: &'a Parameters<'_>) -> Result<Self, RefusedError> {
        parameters.forbid_repeats(&[parameter::AUDIENCE, parameter::RESOURCE])?;
        let grant = GrantType::of(parameters);
        let takes_credentials = grant == Some(GrantType::ClientCredentials);
        let has_credentials = parameters.basic().is_some() || CREDENTIALS.iter().any(|name| parameters.has(name));
        if !takes_credentials && has_credentials {
            return Err(RefusedError::because(Reason::InvalidClient, NO_CLIENT_AUTHENTICATION));
        }
        if !parameters.has(parameter::GRANT_TYPE) {
            return Err(RefusedError::because(Reason::RequestMalformed, "`grant_type` is missing"));
        }
        grant.ok_or(Reason::GrantUnsupported)?.parser()(parameters)
    }
}

impl GrantType {
    const fn parser(self) -> Parse {
        match self {
            Self::TokenExchange => token_exchange::parse,
            Self::JwtBearer => assertion::jwt_bearer,
            Self::ClientCredentials => client_credentials,
        }
    }
}

/// The message for a client without credentials.
const NO_CREDENTIALS: &str =
    "the client did not authenticate: send an API key as its secret, or the platform's ID token as `client_assertion`";

/// A client authenticates by one of two methods, and by no more than one (RFC 6749 section 2.3).
fn client_credentials<'a>(parameters: &'a Parameters<'_>) -> Result<GrantRequest<'a>, RefusedError> {
    let has_assertion = parameters.has(parameter::CLIENT_ASSERTION) || parameters.has(parameter::CLIENT_ASSERTION_TYPE);
    match (parameters.basic().is_some(), parameters.has(parameter::CLIENT_SECRET), has_assertion) {
        (false, false, true) => assertion::client_assertion(parameters),
        (true, false, false) | (false, true, false) => api_key::client_secret(parameters),
        (false, false, false) => Err(RefusedError::because(Reason::InvalidClient, NO_CREDENTIALS)),
        _ => Err(RefusedError::because(
            Reason::RequestMalformed,
            "the client authenticates in more than one way: send one of Basic, `client_secret` and `client_assertion`",
        )),
    }
}

/// Refuses an actor in a grant that has none. Dropping one silently would mint a token of the
/// subject alone.
fn forbid_actor(parameters: &Parameters<'_>) -> Result<(), RefusedError> {
    if parameters.has(parameter::ACTOR_TOKEN) || parameters.has(parameter::ACTOR_TOKEN_TYPE) {
        let rule = "only a token exchange has an actor: send no `actor_token`";
        return Err(RefusedError::because(Reason::RequestMalformed, rule));
    }
    Ok(())
}

/// What a prover needs.
pub(crate) struct ProofContext<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) introspector: &'a Introspector,
    /// The caller's address, if known.
    pub(crate) source: Option<IpAddr>,
    /// Learns every step, because the caller may hang up meanwhile.
    pub(crate) record: &'a mut DecisionRecord,
}

impl Grant<'_> {
    /// Proves who the caller is.
    async fn prove(&self, context: &mut ProofContext<'_>) -> Result<CallerProof, RefusedError> {
        match self {
            Self::TokenExchange(exchange) => exchange.prove(context).await,
            Self::Assertion(assertion) => assertion.prove(context).await.map(CallerProof::Federated),
            Self::ApiKey(secret) => secret.prove(context).map(CallerProof::ApiKey),
        }
    }

    /// Proves who acts, if somebody does.
    async fn prove_actor(&self, context: &mut ProofContext<'_>) -> Result<Option<CallerProof>, RefusedError> {
        match self {
            Self::TokenExchange(exchange) => exchange.prove_actor(context).await,
            Self::Assertion(_) | Self::ApiKey(_) => Ok(None),
        }
    }

    /// Called after the rules have granted something for the proof.
    fn granted(&self, snapshot: &Snapshot, proof: &CallerProof) {
        match self {
            Self::TokenExchange(exchange) => exchange.granted(snapshot, proof),
            Self::Assertion(assertion) => assertion.granted(snapshot, proof),
            Self::ApiKey(_) => {}
        }
    }

    /// Whether the answer says which type of token was issued (RFC 8693 section 2.2.1).
    const fn names_issued_type(&self) -> bool {
        matches!(self, Self::TokenExchange(_))
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
            (GrantType::TokenExchange.uri(), Reason::RequestMalformed),
            (GrantType::JwtBearer.uri(), Reason::RequestMalformed),
            ("password", Reason::GrantUnsupported),
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
        assert_eq!(reason(&[("grant_type", "")]), Some(Reason::RequestMalformed));
    }

    #[test]
    fn the_refusal_of_an_unsupported_grant_names_every_grant_that_there_is() {
        for grant in GrantType::ALL {
            assert!(Reason::GrantUnsupported.description().contains(grant.uri()), "{grant:?}");
        }
    }
}
