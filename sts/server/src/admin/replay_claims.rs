//! Claims on one-use tokens: `/admin/v1/replay-claims`. They tell whether a token was used, and by which request.

use serde_json::json;
use sts_api::{EarlierUse, ReplayClaim};
use sts_store::TakenClaim;
use sts_types::Digest256;

use super::{
    Caller, Documentation, Endpoint, Operation, OperationError, Request, Right, Route, not_found, store_unavailable,
};
use crate::app_state::AppState;
use crate::openapi::Model;

pub(super) const ROUTES: &[Route] = &[Route::to::<FindReplayClaim>()];

/// Whether a one-use token was used, by the key of the claim on it.
#[derive(Debug)]
pub(crate) struct FindReplayClaim {
    /// 64 hexadecimal digits.
    pub(crate) key: String,
}

impl Operation for FindReplayClaim {
    type Answer = ReplayClaim;

    const ENDPOINT: Endpoint = Endpoint {
        method: "GET",
        path: "/replay-claims/{key}",
        right: Right::Read,
        needs_rules: false,
        documentation: Documentation {
            name: "findReplayClaim",
            summary: "Whether a one-use token was used, when and by which request, by the key of the claim on it",
            body: None,
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[404, 503],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        request.without_parameters(Self { key: request.parameter.clone() })
    }

    fn request(&self) -> Request {
        Request::get(&self.key, String::new())
    }

    fn not_done(&self) -> &'static str {
        "the claim on the token was not looked up"
    }

    async fn run(self, state: &AppState, _: &Caller) -> Result<ReplayClaim, OperationError> {
        let key: Digest256 = serde_json::from_value(json!(self.key))
            .map_err(|_| not_found("the key of a claim has 64 lower-case hexadecimal digits"))?;
        let taken = state.service.find_claim(key).await;
        let taken = taken.map_err(|error| store_unavailable(&error, self.not_done()))?;
        Ok(replay_claim(taken))
    }
}

fn replay_claim(taken: Option<TakenClaim>) -> ReplayClaim {
    let is_taken = taken.is_some();
    let earlier_use = taken.and_then(|taken| taken.earlier_use);
    let earlier_use =
        earlier_use.map(|earlier| EarlierUse { at_millis: earlier.at_millis, request_id: earlier.request_id });
    ReplayClaim { taken: is_taken, earlier_use }
}

#[cfg(test)]
mod tests {
    use super::super::tests::is_read_again;
    use super::*;

    #[test]
    fn each_operation_is_read_again_from_its_request() {
        is_read_again(&FindReplayClaim { key: "ab".repeat(32) });
    }
}
