//! Where a token came from, as the token itself and its introspection state it.

use serde::Serialize;
use serde_json::{Map, Value};
use sts_types::{Actor, FederatedProof, KeyThumbprint, Proof};

/// Either `federated` or `credential`. A token that was exchanged for a token of ours keeps the
/// provenance of that one.
#[derive(Debug, Serialize)]
pub struct Provenance<'a> {
    /// The platform's ID token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub federated: Option<Federated<'a>>,
    /// Our credential.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential<'a>>,
}

/// An ID token.
#[derive(Debug, Serialize)]
pub struct Federated<'a> {
    iss: &'a str,
    sub: &'a str,
    identity: &'a str,
    claims: &'a Map<String, Value>,
}

/// A credential that we issued.
#[derive(Debug, Serialize)]
pub struct Credential<'a> {
    r#type: &'static str,
    id: &'a str,
}

impl<'a> Provenance<'a> {
    /// The provenance of a token that was minted for `proof`, with the copied `claims`.
    #[must_use]
    pub fn of(proof: &'a Proof, claims: &'a Map<String, Value>) -> Self {
        let federated = |proof: &'a FederatedProof| Federated {
            iss: proof.issuer.as_str(),
            sub: proof.subject.as_str(),
            identity: proof.identity.as_str(),
            claims,
        };
        Self {
            federated: proof.federated().map(federated),
            credential: proof.api_key().map(|key| Credential { r#type: "api_key", id: key.id.as_str() }),
        }
    }
}

/// Who acts for the account (RFC 8693 section 4.1), as the token and its introspection state it.
#[derive(Debug, Serialize)]
pub struct Act<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Box<Self>>,
}

impl<'a> From<&'a Actor> for Act<'a> {
    fn from(actor: &'a Actor) -> Self {
        Self { sub: actor.account.as_str(), act: actor.prior.as_deref().map(|prior| Box::new(Self::from(prior))) }
    }
}

/// The key that a token is bound to (RFC 7800, RFC 9449 section 6.1), as the token and its
/// introspection state it.
#[derive(Debug, Serialize)]
pub struct Confirmation<'a> {
    jkt: &'a str,
}

impl<'a> From<&'a KeyThumbprint> for Confirmation<'a> {
    fn from(thumbprint: &'a KeyThumbprint) -> Self {
        Self { jkt: thumbprint.as_str() }
    }
}
