//! Who gets in by an identity: `/admin/v1/admissions`. Nothing is changed, and nothing is minted.

use serde_json::Value;
use sts_api::{AdmissionAnswer, AdmissionRequest, Admissions, TriedCondition, TriedKind};
use sts_policy::ConditionTrace;
use sts_service::manage::{Tried, TriedFrom};

use super::{
    Body, Caller, Documentation, Endpoint, Operation, OperationError, Request, Right, Route, evaluate, managed,
};
use crate::app_state::AppState;
use crate::openapi::Model;

pub(super) const ROUTES: &[Route] = &[Route::to::<ListAdmissions>()];

/// Tries known tokens on one identity, or on a draft of it.
#[derive(Debug)]
pub(crate) struct ListAdmissions(AdmissionRequest);

impl Operation for ListAdmissions {
    type Answer = Admissions;

    const ENDPOINT: Endpoint = Endpoint {
        method: "POST",
        path: "/admissions",
        right: Right::Read,
        needs_rules: true,
        documentation: Documentation {
            name: "listAdmissions",
            summary: "Which typical, recent and hostile tokens an identity would accept, condition by condition",
            body: Some(Body::required::<AdmissionRequest>()),
            answer: Some(Model::of::<Admissions>()),
            failures: &[404, 422, 503],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        const FORM: &str = "a question is `account`, a string, and `identity`, an object with a `name`";
        if !request.query.is_empty() {
            return Err("this path takes no query parameters: send none".to_owned());
        }
        let asked: AdmissionRequest =
            serde_json::from_value(request.body.clone()).map_err(|error| format!("{FORM} ({error})"))?;
        if !asked.identity.get("name").is_some_and(Value::is_string) {
            return Err(FORM.to_owned());
        }
        Ok(Self(asked))
    }

    fn request(&self) -> Request {
        Request::post("", &self.0)
    }

    fn not_done(&self) -> &'static str {
        "nothing was tried"
    }

    async fn run(self, state: &AppState, _: &Caller) -> Result<Admissions, OperationError> {
        let AdmissionRequest { account, identity } = self.0;
        let snapshot = evaluate::with_draft(state, &account, &identity).await?;
        let name = identity.get("name").and_then(Value::as_str).unwrap_or_default();
        let tried = managed::engine(state)?.admissions(snapshot.rules.clone(), &account, name).await;
        let tried = tried.ok_or_else(|| OperationError::Failed("the draft is not in its own rules".to_owned()))?;
        Ok(Admissions { items: tried.into_iter().map(answer).collect() })
    }
}

fn answer(tried: Tried) -> AdmissionAnswer {
    let kind = match tried.from {
        TriedFrom::Sample => TriedKind::Sample,
        TriedFrom::Attack => TriedKind::Attack,
        TriedFrom::Recent => TriedKind::Recent,
        TriedFrom::Test => TriedKind::Test,
    };
    let admitted = tried.is_admitted();
    let Tried { name, subject, conditions, .. } = tried;
    AdmissionAnswer { kind, name, subject, admitted, conditions: conditions.into_iter().map(condition).collect() }
}

fn condition(trace: ConditionTrace) -> TriedCondition {
    let ConditionTrace { on, expected, actual, holds, hint, .. } = trace;
    TriedCondition { on, expected, actual, holds, hint }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::is_read_again;
    use super::*;

    #[test]
    fn a_question_has_an_account_and_an_identity_with_a_name() {
        let read = |body: Value| ListAdmissions::read(&Request::post("", body));
        is_read_again(&read(json!({ "account": "bot", "identity": { "name": "main", "issuer": "github" } })).unwrap());
        for wrong in [
            json!({ "account": "bot", "identity": {} }),
            json!({ "account": "bot" }),
            json!({ "identity": { "name": "x" } }),
            json!({ "account": "bot", "identity": { "name": "x" }, "dry_run": true }),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
