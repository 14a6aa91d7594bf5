//! The revocation rules in force: `/admin/v1/revocation-rules`.

use sts_api::{RevocationRules, UndoneRule};
use sts_store::RuleId;

use super::revocations::{act, coverage, revocation};
use super::{
    Caller, Documentation, Endpoint, Operation, OperationError, Request, Right, Route, logged, not_found,
    store_unavailable,
};
use crate::app_state::AppState;
use crate::openapi::Model;

pub(super) const ROUTES: &[Route] = &[Route::to::<ListRevocationRules>(), Route::to::<UndoRevocationRule>()];

/// The rules in force.
#[derive(Debug)]
pub(crate) struct ListRevocationRules;

impl Operation for ListRevocationRules {
    type Answer = RevocationRules;

    const ENDPOINT: Endpoint = Endpoint {
        method: "GET",
        path: "/revocation-rules",
        right: Right::Read,
        needs_rules: false,
        documentation: Documentation {
            name: "listRevocationRules",
            summary: "The revocation rules in force, oldest first, each with who made it, when and why",
            body: None,
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[503],
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

    async fn run(self, state: &AppState, _: &Caller) -> Result<RevocationRules, OperationError> {
        let rules = state.service.revocation_rules().await;
        let rules = rules.map_err(|error| store_unavailable(&error, self.not_done()))?;
        Ok(RevocationRules { revocation_rules: rules.iter().cloned().map(revocation).collect() })
    }
}

/// Takes a rule back.
#[derive(Debug)]
pub(crate) struct UndoRevocationRule {
    pub(crate) id: String,
}

impl Operation for UndoRevocationRule {
    type Answer = UndoneRule;

    const ENDPOINT: Endpoint = Endpoint {
        method: "DELETE",
        path: "/revocation-rules/{id}",
        right: Right::Admin,
        needs_rules: false,
        documentation: Documentation {
            name: "undoRevocationRule",
            summary: "Take a rule back: the tokens that it covered are active again, unless something else revokes them",
            body: None,
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[404, 503],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        request.without_parameters(Self { id: request.parameter.clone() })
    }

    fn request(&self) -> Request {
        Request::get(&self.id, String::new())
    }

    fn not_done(&self) -> &'static str {
        "no rule was taken back"
    }

    async fn run(self, state: &AppState, caller: &Caller) -> Result<UndoneRule, OperationError> {
        let unknown = || not_found("no revocation rule in force has that id; `sts tokens rules list` shows them");
        let id: RuleId = self.id.parse().map_err(|_| unknown())?;
        let undone = state.service.undo_rule(id).await;
        let undone = undone.map_err(|error| store_unavailable(&error, self.not_done()))?.ok_or_else(unknown)?;
        let undone = UndoneRule { undone: revocation(undone.undone), coverage: coverage(undone.coverage) };
        state.audit.record(&caller.actor(), act(&undone.undone, undone.coverage.covered, true));
        tracing::warn!(undone = %logged(&undone), by = caller.name(), "a revocation rule was taken back");
        Ok(undone)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::is_read_again;
    use super::*;

    #[test]
    fn each_operation_is_read_again_from_its_request() {
        is_read_again(&ListRevocationRules);
        is_read_again(&UndoRevocationRule { id: "0123456789abcdef0123456789abcdef".into() });
    }
}
