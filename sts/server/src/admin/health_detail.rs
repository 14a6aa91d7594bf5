//! The detail of readiness, for those who may read: `/admin/v1/health`.

use sts_api::Readiness;

use super::{Caller, Documentation, Endpoint, Operation, OperationError, Request, Right, Route, health};
use crate::app_state::AppState;
use crate::openapi::Model;

pub(super) const ROUTES: &[Route] = &[Route::to::<ShowHealth>()];

/// The detail of readiness. Unlike `/readyz` it answers 200 even when the server is not ready.
#[derive(Debug)]
pub(crate) struct ShowHealth;

impl Operation for ShowHealth {
    type Answer = Readiness;

    const ENDPOINT: Endpoint = Endpoint {
        method: "GET",
        path: "/health",
        right: Right::Read,
        needs_rules: false,
        documentation: Documentation {
            name: "showHealth",
            summary: "Whether exchanges can be served, in detail",
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
        "nothing was shown"
    }

    async fn run(self, state: &AppState, _: &Caller) -> Result<Readiness, OperationError> {
        Ok(health::readiness(state, false).await)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::is_read_again;
    use super::*;

    #[test]
    fn the_operation_is_read_again_from_its_request() {
        is_read_again(&ShowHealth);
    }
}
