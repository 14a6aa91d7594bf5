//! Introspection (RFC 7662): whether a token of ours is active, for those who may know.

use sts_store::Entry;
use sts_token::OwnToken;
use sts_types::{ApiName, TokenRecord};

use crate::reason::Refused;
use crate::{Service, Snapshot};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Who asks.
pub enum Caller {
    /// A registered API: it sees tokens whose `aud` is its own.
    Api(ApiName),
    /// The bearer of a token with `sts:introspect`: it sees all.
    Bearer,
}

/// The answer. Whatever the cause, an inactive token is the same answer (requirement IN-2).
#[derive(Serialize)]
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

/// What an active token is said to be.
#[derive(Serialize)]
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
    federated: Map<String, Value>,
}

impl Introspection {
    /// The one inactive answer.
    pub const INACTIVE: Self = Self::Inactive { active: false };
}

impl Service {
    /// Introspects `token` for `caller`.
    ///
    /// # Errors
    /// `store_unavailable` when the ledger does not answer: that is never read as inactive or active.
    pub async fn introspect(
        &self,
        snapshot: &Snapshot,
        caller: &Caller,
        token: &str,
    ) -> Result<Introspection, Refused> {
        let Some(own) = self.own_token(snapshot, token) else { return Ok(Introspection::INACTIVE) };
        let Some(record) = self.live_record(snapshot, &own).await? else { return Ok(Introspection::INACTIVE) };
        let visible = match caller {
            Caller::Bearer => true,
            Caller::Api(name) => snapshot.rules.api(name.as_str()).is_some_and(|api| *api.audience == record.audience),
        };
        if visible {
            Ok(Introspection::Active(Box::new(active(snapshot, record))))
        } else {
            Ok(Introspection::INACTIVE)
        }
    }

    /// The record of a token whose signature, issuer, key and time are right, if the rest agrees too: the record is this
    /// very token's, nothing revokes it, and its account, identity and issuer entry exist and are enabled.
    pub(crate) async fn live_record(
        &self,
        snapshot: &Snapshot,
        own: &OwnToken,
    ) -> Result<Option<TokenRecord>, Refused> {
        let failed = |error| Refused::by_ledger(&error);
        let Some(Entry { record, revoked: None }) = self.ledger.look_up(own.jti.clone()).await.map_err(failed)? else {
            return Ok(None);
        };
        let rules = self.ledger.rules().await.map_err(failed)?;
        let same = record.token_digest == own.digest && record.account == own.account && record.kid == own.kid;
        let active = same && !self.rules.covers(&rules, &record) && snapshot.supports(&record, self.clock.now());
        Ok(active.then_some(record))
    }
}

fn active(snapshot: &Snapshot, record: TokenRecord) -> ActiveToken {
    let federated = json!({
        "iss": record.issuer,
        "sub": record.subject,
        "identity": record.identity,
        "claims": record.claims,
    });
    ActiveToken {
        active: true,
        iss: snapshot.issuer.to_string(),
        sub: record.account.to_string(),
        client_id: record.account.to_string(),
        aud: record.audience.to_string(),
        scope: record.scope.to_string(),
        exp: record.exp.as_secs(),
        iat: record.iat.as_secs(),
        jti: record.jti.to_string(),
        token_type: "Bearer",
        federated: federated.as_object().cloned().unwrap_or_default(),
    }
}
