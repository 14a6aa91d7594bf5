//! Our signing keys: `/admin/v1/keys`.

use std::sync::Arc;

use serde_json::json;
use sts_api::{KeyPhase, NoMembers, SigningKey, SigningKeys, WithdrawKeyRequest, WithdrawnKey};
use sts_audit::{SigningKeysRotated, SigningKeysWithdrawn, Trail};
use sts_keyring::{KeyringError, Rotation};
use sts_service::{KeyWithdrawal, Reason, Service, WithdrawalError};
use sts_types::Kid;
use utoipa::openapi::path::Parameter;

use super::request::dry_run_query;
use super::revocations::coverage;
use super::{
    Body, Caller, Documentation, Endpoint, Operation, OperationError, Request, Right, Route, logged, not_found, refused,
};
use crate::app_state::AppState;
use crate::openapi::{Model, flag_parameter};

pub(super) const ROUTES: &[Route] = &[Route::to::<ListKeys>(), Route::to::<RotateKeys>(), Route::to::<WithdrawKey>()];

/// Our signing keys.
#[derive(Debug)]
pub(crate) struct ListKeys;

impl Operation for ListKeys {
    type Answer = SigningKeys;

    const ENDPOINT: Endpoint = Endpoint {
        method: "GET",
        path: "/keys",
        right: Right::Read,
        needs_rules: false,
        documentation: Documentation {
            name: "listKeys",
            summary: "Our signing keys",
            body: None,
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        request.without_parameters(Self)
    }

    fn request(&self) -> Request {
        Request::default()
    }

    fn not_done(&self) -> &'static str {
        "nothing was listed"
    }

    async fn run(self, state: &AppState, _: &Caller) -> Result<SigningKeys, OperationError> {
        Ok(SigningKeys { keys: keys(&state.service), made: None })
    }
}

/// Makes successors for our signing keys where none wait.
#[derive(Debug)]
pub(crate) struct RotateKeys;

impl Operation for RotateKeys {
    type Answer = SigningKeys;

    const ENDPOINT: Endpoint = Endpoint {
        method: "POST",
        path: "/keys/rotate",
        right: Right::Admin,
        needs_rules: false,
        documentation: Documentation {
            name: "rotateKeys",
            summary: "Make successors for our signing keys",
            body: Some(Body::optional::<NoMembers>()),
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[500, 503],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        request.without_parameters(Self)
    }

    fn request(&self) -> Request {
        Request::post("", json!({}))
    }

    fn not_done(&self) -> &'static str {
        "no key was made"
    }

    async fn run(self, state: &AppState, caller: &Caller) -> Result<SigningKeys, OperationError> {
        let (service, audit, caller) = (Arc::clone(&state.service), Arc::clone(&state.audit), caller.clone());
        let not_done = self.not_done();
        to_the_end(async move {
            let rotated = service.rotate_keys().await;
            let Rotation { made, not_made } =
                rotated.map_err(|error| failed(&error, format!("{error}; {not_done}")))?;
            if made.is_empty() {
                tracing::info!(by = caller.name(), "signing keys not rotated: their successors wait already");
            } else {
                tracing::warn!(by = caller.name(), made = %logged(&made), "signing keys rotated");
                let kids = made.iter().map(ToString::to_string).collect();
                audit.record(&caller.actor(), SigningKeysRotated { kids, removed: Vec::new() });
            }
            if let Some(error) = not_made {
                let made = made.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                return Err(failed(&error, format!("{error}; a key of another algorithm was made: {made}")));
            }
            Ok(SigningKeys { keys: keys(&service), made: Some(made) })
        })
        .await
    }
}

/// Ends a signing key before its time, and the tokens that it signed.
#[derive(Debug)]
pub(crate) struct WithdrawKey {
    pub(crate) kid: String,
    pub(crate) reason: Option<String>,
    pub(crate) dry_run: bool,
}

impl Operation for WithdrawKey {
    type Answer = WithdrawnKey;

    const ENDPOINT: Endpoint = Endpoint {
        method: "POST",
        path: "/keys/{kid}/withdraw",
        right: Right::Admin,
        needs_rules: false,
        documentation: Documentation {
            name: "withdrawKey",
            summary: "Withdraw a signing key and end the tokens that it signed",
            body: Some(Body::optional::<WithdrawKeyRequest>()),
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[404, 500, 503],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        const FORM: &str = "a withdrawal takes an object with `reason` (a string) at most; nothing was withdrawn";
        let body: Option<WithdrawKeyRequest> = serde_json::from_value(request.body.clone()).map_err(|_| FORM)?;
        let (kid, reason) = (request.parameter.clone(), body.unwrap_or_default().reason);
        Ok(Self { kid, reason, dry_run: request.dry_run()? })
    }

    fn request(&self) -> Request {
        let body = WithdrawKeyRequest { reason: self.reason.clone() };
        Request { query: dry_run_query(self.dry_run), ..Request::post(&self.kid, body) }
    }

    fn not_done(&self) -> &'static str {
        "no key was withdrawn"
    }

    fn query_parameters() -> Vec<Parameter> {
        vec![flag_parameter("dry_run", "Count the tokens that would end, and withdraw nothing.")]
    }

    async fn run(self, state: &AppState, caller: &Caller) -> Result<WithdrawnKey, OperationError> {
        let (service, audit, caller) = (Arc::clone(&state.service), Arc::clone(&state.audit), caller.clone());
        to_the_end(async move { self.withdraw(&service, &audit, &caller).await }).await
    }
}

impl WithdrawKey {
    async fn withdraw(self, service: &Service, audit: &Trail, caller: &Caller) -> Result<WithdrawnKey, OperationError> {
        let undone = |text: &dyn std::fmt::Display| format!("{text}; {}", self.not_done());
        let kid = Kid::new(&self.kid).map_err(|_| not_found(&undone(&WithdrawalError::UnknownKey)))?;
        let (reason, snapshot) = (self.reason.clone(), service.snapshot());
        let done = service.withdraw_key(&snapshot, &kid, reason, caller.name(), self.dry_run).await;
        let done = done.map_err(|error| match &error {
            WithdrawalError::UnknownKey => not_found(&format!("{}. `sts keys list` shows our keys", undone(&error))),
            WithdrawalError::Revocation(error) => refused(&undone(error)),
            WithdrawalError::Keyring { error: cause, .. } => failed(cause.cause(), error.to_string()),
        })?;
        if let Some(error) = &done.not_recorded {
            tracing::error!(kid = %logged(&kid), %error, "the tokens of a signing key end without a revocation rule");
        }
        if !self.dry_run {
            let made = logged(&done.made);
            tracing::warn!(by = %caller.name(), kid = %logged(&kid), %made, "signing key withdrawn");
            let act = SigningKeysWithdrawn {
                kids: vec![kid.to_string()],
                successors: done.made.iter().map(ToString::to_string).collect(),
                reason: self.reason.clone(),
                not_destroyed: done.not_destroyed.iter().map(|_| kid.to_string()).collect(),
            };
            audit.record(&caller.actor(), act);
        }
        if let Some(error) = &done.not_replaced {
            return Err(OperationError::Failed(not_replaced(&kid, &done, error)));
        }
        Ok(WithdrawnKey {
            withdrawn: kid,
            keys: keys(service),
            made: done.made,
            coverage: coverage(done.coverage),
            recorded: done.not_recorded.is_none() && !self.dry_run,
            not_destroyed: done.not_destroyed.map(|error| error.to_string()),
            dry_run: self.dry_run,
        })
    }
}

/// What the operator is told of a key that was withdrawn without another in its place.
fn not_replaced(kid: &Kid, done: &KeyWithdrawal, error: &KeyringError) -> String {
    let tokens = match &done.not_recorded {
        None => "its tokens are ended",
        Some(_) => {
            "the store did not answer: no revocation rule was written, so other servers take its tokens until they drop \
             the key, within a minute"
        }
    };
    let left = match &done.not_destroyed {
        None => "",
        Some(_) => "; it may still be on its device: destroy the key with this label there",
    };
    format!(
        "the key {kid} is withdrawn, and {tokens}; but no key could be made in its place: {error}; nothing is signed until \
         there is one, and the server tries again each minute{left}"
    )
}

/// A failure of the signing keys, with `text` for the operator. One that may pass by itself is 503.
fn failed(error: &KeyringError, text: String) -> OperationError {
    match error {
        KeyringError::Unreachable { .. } => OperationError::Unavailable(Reason::StoreUnavailable, text),
        error if error.is_passing() => OperationError::Unavailable(Reason::SignerUnavailable, text),
        _ => OperationError::Failed(text),
    }
}

/// Does `work` even if the caller hangs up meanwhile: keys that came or went are always told of.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, OperationError>> + Send + 'static,
) -> Result<T, OperationError> {
    let done = tokio::spawn(work).await;
    done.unwrap_or_else(|error| {
        Err(OperationError::Failed(format!("whether the signing keys changed is not certain: {error}")))
    })
}

/// The keys with what each is doing now.
fn keys(service: &Service) -> Vec<SigningKey> {
    let now = service.clock().now();
    let keys = service.keyring().keys();
    let key = |key: &sts_keyring::HeldKey| SigningKey {
        kid: key.kid().clone(),
        algorithm: key.algorithm().name().to_owned(),
        phase: match key.phase(now) {
            sts_keyring::KeyPhase::Next => KeyPhase::Next,
            sts_keyring::KeyPhase::Signing => KeyPhase::Signing,
            sts_keyring::KeyPhase::Retiring => KeyPhase::Retiring,
        },
        created: key.created,
        signs_from: key.signs_from,
        signs_until: key.signs_until,
        published_until: key.published_until,
    };
    keys.iter().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::is_read_again;
    use super::*;

    #[test]
    fn a_withdrawal_without_a_new_key_says_of_the_tokens_and_the_device_what_is_so() {
        let kid = Kid::new("k1").unwrap();
        let error = || KeyringError::Device("it is gone".to_owned());
        let told = |not_recorded, not_destroyed| {
            let coverage = sts_service::CoveredTokens { covered: None, at_least: false };
            let (made, not_replaced_by) = (Vec::new(), Some(error()));
            let done = KeyWithdrawal { made, coverage, not_recorded, not_replaced: not_replaced_by, not_destroyed };
            not_replaced(&kid, &done, &error())
        };
        let all_done = told(None, None);
        assert!(all_done.contains("its tokens are ended") && all_done.contains("it is gone"), "{all_done}");
        assert!(!all_done.contains("may still be on its device"), "{all_done}");
        let little_done = told(Some(sts_store::LedgerError::Unavailable("away".into())), Some(error()));
        assert!(
            !little_done.contains("tokens are ended") && little_done.contains("no revocation rule"),
            "{little_done}"
        );
        assert!(little_done.contains("may still be on its device"), "{little_done}");
    }

    #[test]
    fn each_operation_is_read_again_from_its_request() {
        is_read_again(&ListKeys);
        is_read_again(&RotateKeys);
        for (reason, dry_run) in [(None, false), (Some("stolen".to_owned()), true)] {
            is_read_again(&WithdrawKey { kid: "-k_1".to_owned(), reason, dry_run });
        }
    }
}
