//! The store as a whole: `/admin/v1/store`.

use serde_json::json;
use sts_api::{Acceptance, NoMembers};

use super::{
    Body, Caller, Documentation, Endpoint, Operation, OperationError, Request, Right, Route, store_unavailable,
};
use crate::app_state::AppState;
use crate::openapi::Model;

pub(super) const ROUTES: &[Route] = &[Route::to::<AcceptEpoch>()];

/// Takes the store as it is, although something is missing from it.
#[derive(Debug)]
pub(crate) struct AcceptEpoch;

impl Operation for AcceptEpoch {
    type Answer = Acceptance;

    const ENDPOINT: Endpoint = Endpoint {
        method: "POST",
        path: "/store/accept-epoch",
        right: Right::Admin,
        needs_rules: false,
        documentation: Documentation {
            name: "acceptEpoch",
            summary: "Take the store as it is, after it was emptied or put back",
            body: Some(Body::optional::<NoMembers>()),
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[503],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        request.without_parameters(Self)
    }

    fn request(&self) -> Request {
        Request::post("", json!({}))
    }

    fn not_done(&self) -> &'static str {
        "the store was not accepted"
    }

    async fn run(self, state: &AppState, caller: &Caller) -> Result<Acceptance, OperationError> {
        let accepted =
            state.service.accept_epoch().await.map_err(|error| store_unavailable(&error, self.not_done()))?;
        let accepted = accepted == sts_store::Acceptance::Accepted;
        if accepted {
            // The caller finds the server ready as soon as it has the answer.
            let _ = state.store.look(&state.service).await;
            tracing::warn!(
                by = caller.name(),
                "the store was accepted as it is: what was revoked and is forgotten has come back"
            );
        }
        Ok(Acceptance { accepted })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::is_read_again;
    use super::*;

    #[test]
    fn each_operation_is_read_again_from_its_request() {
        is_read_again(&AcceptEpoch);
    }
}
