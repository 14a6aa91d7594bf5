//! Introspection (RFC 7662): whether a token of ours is active, for callers who may know.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use sts_keyring::Keyring;
use sts_store::Ledger;
use sts_token::{Act, Confirmation, PresentedToken, Provenance};
use sts_types::{AccountId, ApiName, Clock, Issuer, Jti, TokenRecord, rfc};

use crate::Snapshot;
use crate::reason::RefusedError;
use crate::rules_in_force::RulesInForce;
use crate::signing::{SigningHealth, within_deadline};

/// The message when the store does not answer. The caller must not take it for a verdict.
const NOT_LOOKED_UP: &str =
    "the store does not answer right now; the token was not looked up, and nothing is said of whether it is active";

/// The message when the answer could not be signed.
const NOT_SIGNED: &str = "the answer cannot be signed right now; nothing is said of whether the token is active";

/// The caller.
#[derive(Debug)]
pub enum Caller {
    /// A registered API. It sees tokens whose `aud` is its own.
    Api(ApiName),
    /// The account of a token with `sts:introspect`. It sees all tokens.
    Bearer(AccountId),
}

/// The answer. All inactive tokens get the same one, whatever the cause (RFC 7662 section 2.2).
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Introspection {
    /// `{"active":false}`
    Inactive {
        /// Always `false`.
        active: bool,
    },
    /// The token's claims.
    Active(Box<ActiveToken>),
}

/// The answer for an active token.
#[derive(Debug, Serialize)]
pub struct ActiveToken {
    active: bool,
    iss: String,
    sub: String,
    client_id: String,
    aud: String,
    scope: String,
    exp: i64,
    iat: i64,
    jti: String,
    token_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    federated: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Value>,
}

impl Introspection {
    /// The answer for every inactive token.
    pub const INACTIVE: Self = Self::Inactive { active: false };
}

/// Says which tokens of ours are in force.
pub(crate) struct Introspector {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) signing: Arc<SigningHealth>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rules: Arc<RulesInForce>,
}

impl Introspector {
    /// Introspects `token` for `caller`.
    ///
    /// # Errors
    /// `store_unavailable` if the ledger does not answer. That never counts as inactive or active.
    pub(crate) async fn introspect(
        &self,
        snapshot: &Snapshot,
        caller: &Caller,
        token: &str,
    ) -> Result<Introspection, RefusedError> {
        let Some(presented) = PresentedToken::read(token, &snapshot.issuer) else {
            return Ok(Introspection::INACTIVE);
        };
        let is_token = |record: &TokenRecord| presented.is_live_by(record, &*self.keyring, self.clock.now());
        let visible = |record: &TokenRecord| match caller {
            Caller::Bearer(_) => true,
            Caller::Api(name) => snapshot.rules.api(name.as_str()).is_some_and(|api| *api.audience == record.audience),
        };
        let record = self.supported_record(snapshot, presented.jti(), presented.parent()).await?;
        Ok(record.filter(|record| is_token(record) && visible(record)).map_or(Introspection::INACTIVE, |record| {
            Introspection::Active(Box::new(active(&snapshot.issuer, &record)))
        }))
    }

    /// Signs an answer for the caller (RFC 9701 section 5). It has its own `typ`, and none of an
    /// access token's claims at its top level, so that it cannot pass for an access token.
    ///
    /// # Errors
    /// `signer_unavailable` if the key fails.
    pub(crate) async fn sign_introspection(
        &self,
        snapshot: &Snapshot,
        caller: &Caller,
        introspection: &Introspection,
    ) -> Result<String, RefusedError> {
        let failed = |error| self.signing.refusal(error, NOT_SIGNED);
        let (audience, algorithm) = match caller {
            Caller::Api(name) => (
                snapshot.rules.api(name.as_str()).map_or(name.as_str(), |api| api.audience.as_str()),
                snapshot.signing.get(name).copied(),
            ),
            Caller::Bearer(account) => (account.as_str(), None),
        };
        let now = self.clock.now();
        let algorithm = algorithm.unwrap_or_else(|| self.keyring.default_algorithm());
        let signer = self.keyring.signer(algorithm, now).map_err(failed)?;
        let claims =
            json!({ "iss": snapshot.issuer, "aud": audience, "iat": now, "token_introspection": introspection });
        let payload = claims.to_string();
        let signing = sts_jose::sign_compact_digested(&*signer, rfc::TYP_TOKEN_INTROSPECTION, payload.as_bytes());
        within_deadline(signing).await.map(|signed| signed.jwt).map_err(failed)
    }

    /// The record of `jti`, if nothing ends that token or one that it depends on. The caller has to
    /// check that the presented token is the one of the record.
    ///
    /// # Errors
    /// `store_unavailable` if the ledger does not answer.
    pub(crate) async fn supported_record(
        &self,
        snapshot: &Snapshot,
        jti: &Jti,
        parent: Option<&Jti>,
    ) -> Result<Option<TokenRecord>, RefusedError> {
        snapshot.require_objects(NOT_LOOKED_UP)?;
        let standing = self.standing(snapshot, jti, parent).await;
        Ok(standing.map_err(|error| RefusedError::store_away(&error, NOT_LOOKED_UP))?.into_record())
    }
}

fn active(issuer: &Issuer, record: &TokenRecord) -> ActiveToken {
    let Provenance { federated, credential } = Provenance::of(&record.proof, &record.claims);
    ActiveToken {
        active: true,
        iss: issuer.to_string(),
        sub: record.account.to_string(),
        client_id: record.account.to_string(),
        aud: record.audience.to_string(),
        scope: record.scope.to_string(),
        exp: record.exp.as_secs(),
        iat: record.iat.as_secs(),
        jti: record.jti.to_string(),
        token_type: token_type(record),
        federated: federated.map(|federated| json!(federated)),
        credential: credential.map(|credential| json!(credential)),
        act: record.actor.as_deref().map(|actor| json!(Act::from(actor))),
        cnf: record.confirmation.as_ref().map(|key| json!(Confirmation::from(key))),
    }
}

/// `token_type` of the token of `record`.
pub(crate) const fn token_type(record: &TokenRecord) -> &'static str {
    if record.confirmation.is_some() { rfc::TOKEN_TYPE_DPOP } else { rfc::TOKEN_TYPE_BEARER }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Map;
    use sts_store::contract::{federated, record};
    use sts_types::{ApiKeyId, ApiKeyProof, Proof};

    fn answer(record: &TokenRecord) -> Value {
        let issuer = Issuer::new("https://sts.example.com").unwrap();
        json!(Introspection::Active(Box::new(active(&issuer, record))))
    }

    #[test]
    fn an_answer_says_what_the_token_was_minted_on_and_of_a_descendant_what_its_root_was() {
        let of_id_token = record("a", "octo");
        let key = Proof::ApiKey(ApiKeyProof { id: ApiKeyId::new("0123456789aB").unwrap() });
        let of_key = TokenRecord { proof: key, claims: Map::new(), ..record("b", "octo") };
        for (root, member, wanted) in [
            (
                &of_id_token,
                "federated",
                json!({
                    "iss": federated().issuer, "sub": federated().subject, "identity": "main branch",
                    "claims": of_id_token.claims,
                }),
            ),
            (&of_key, "credential", json!({ "type": "api_key", "id": "0123456789aB" })),
        ] {
            let child = TokenRecord { proof: root.proof.descendant(root.jti.clone()), ..root.clone() };
            for record in [root, &child] {
                let answer = answer(record);
                assert_eq!(answer[member], wanted);
                let members: Vec<&str> =
                    answer.as_object().unwrap().keys().map(String::as_str).filter(|name| *name != member).collect();
                let mut others = members;
                others.sort_unstable();
                assert_eq!(
                    others,
                    ["active", "aud", "client_id", "exp", "iat", "iss", "jti", "scope", "sub", "token_type"]
                );
            }
        }
    }
}
