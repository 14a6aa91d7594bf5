//! Where a token came from, as the token itself and its introspection state it.

use serde::Serialize;
use serde_json::{Map, Value};
use sts_types::{FederatedProof, Proof};

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
