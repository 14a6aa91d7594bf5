//! Our signing keys: `/admin/v1/keys`.

use serde_json::json;
use sts_api::{KeyPhase, NoMembers, SigningKey, SigningKeys};
use sts_service::Service;

use super::{Body, Caller, Documentation, Endpoint, Operation, OperationError, Request, Right, Route, logged};
use crate::app_state::AppState;
use crate::openapi::Model;

pub(super) const ROUTES: &[Route] = &[Route::to::<ListKeys>(), Route::to::<RotateKeys>()];

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
            failures: &[500],
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
        let rotated = state.service.keyring().rotate(state.service.clock().now());
        let made = rotated.map_err(|error| OperationError::Failed(error.to_string()))?;
        if made.is_empty() {
            tracing::info!(by = caller.name(), "signing keys not rotated: their successors wait already");
        } else {
            tracing::warn!(by = caller.name(), made = %logged(&made), "signing keys rotated");
        }
        Ok(SigningKeys { keys: keys(&state.service), made: Some(made) })
    }
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
    fn each_operation_is_read_again_from_its_request() {
        is_read_again(&ListKeys);
        is_read_again(&RotateKeys);
    }
}
