//! What would be decided about a token or claims: `/admin/v1/evaluate`. Nothing is minted.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use sts_api::EvaluateRequest;
use sts_claims::ClaimSet;
use sts_policy::RequestedNames;
use sts_service::{Explanation, Presented, Snapshot};
use sts_types::{Clock, ObjectKind, UnixTime};

use super::managed::{self, Place};
use super::{
    Body, Caller, Documentation, Endpoint, Operation, OperationError, Request, Right, Route, store_unavailable,
};
use crate::app_state::AppState;
use crate::clock::{ClockAt, SystemClock};
use crate::directories::MembershipsAt;
use crate::openapi::{Evaluation, Model};

pub(super) const ROUTES: &[Route] = &[Route::to::<Evaluate>()];

/// Judges a token or claims as an exchange would.
#[derive(Debug)]
pub(crate) struct Evaluate(Box<EvaluateRequest>);

impl Operation for Evaluate {
    type Answer = Value;

    const ENDPOINT: Endpoint = Endpoint {
        method: "POST",
        path: "/evaluate",
        right: Right::Read,
        needs_rules: true,
        documentation: Documentation {
            name: "evaluate",
            summary: "Decide about a token or claims, with the whole trace; nothing is minted",
            body: Some(Body::required::<EvaluateRequest>()),
            answer: Some(Model::of::<Evaluation>()),
            failures: &[404, 409, 422, 503],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        const FORM: &str = "an evaluation takes `claims` (an object) or `token`, and `account`, `audience`, `resource`, `scope`, \
                            `at`, `issuer` (the entry of the claims) and `identity` (a draft, with `account`)";
        let asked: EvaluateRequest =
            serde_json::from_value(request.body.clone()).map_err(|error| format!("{FORM} ({error})"))?;
        if !request.query.is_empty() {
            return Err("this path takes no query parameters: send none".to_owned());
        }
        if asked.claims.is_some() == asked.token.is_some() {
            return Err("send one of `claims` and `token`".to_owned());
        }
        if asked.issuer.is_some() && asked.token.is_some() {
            return Err("`issuer` is for `claims`: the key of a token tells its entry".to_owned());
        }
        if asked.identity.is_some() && asked.account.is_none() {
            return Err("`identity` is a draft of one of an account's: send `account`, too".to_owned());
        }
        Ok(Self(Box::new(asked)))
    }

    fn request(&self) -> Request {
        Request::post("", &self.0)
    }

    fn not_done(&self) -> &'static str {
        "nothing was decided"
    }

    async fn run(self, state: &AppState, _: &Caller) -> Result<Value, OperationError> {
        let asked = *self.0;
        let snapshot = match (&asked.identity, &asked.account) {
            (Some(draft), Some(account)) => with_draft(state, account, draft).await?,
            _ => state.service.snapshot(),
        };
        let claims = asked.claims.clone().map(ClaimSet::from);
        // Claims are judged as of when they were made, like those of `sts explain`.
        let issued = claims.as_ref().and_then(|claims| claims.get("iat")?.as_i64()).map(UnixTime::from_secs);
        let clock: Box<dyn Clock> = match asked.at.or(issued) {
            Some(wall) => Box::new(ClockAt { wall, system: SystemClock::new() }),
            None => Box::new(SystemClock::new()),
        };
        // Only the present memberships are known.
        let memberships =
            MembershipsAt { memberships: Arc::clone(&snapshot.memberships), now: state.service.clock().now() };
        let snapshot = Snapshot { memberships: Arc::new(memberships), ..(*snapshot).clone() };
        let explanation = explained(state, &snapshot, &*clock, &asked, claims).await?;
        Ok(answer(&explanation))
    }
}

/// The snapshot that would be in force if the account had that identity.
pub(super) async fn with_draft(
    state: &AppState,
    account: &str,
    draft: &Map<String, Value>,
) -> Result<Arc<Snapshot>, OperationError> {
    let kind = ObjectKind::ServiceAccount;
    let mut spec = managed::show(state, kind, account, None)?.spec;
    let identities = spec.entry("identities").or_insert_with(|| json!([]));
    let mut index = 0;
    if let Value::Array(identities) = identities {
        let named = |own: &Value| own.get("name").is_some() && own.get("name") == draft.get("name");
        index = identities.iter().position(named).unwrap_or(identities.len());
        match identities.get_mut(index) {
            Some(own) => *own = Value::Object(draft.clone()),
            None => identities.push(Value::Object(draft.clone())),
        }
    }
    let place = Place::Nested(kind, account, format!("/identities/{index}"), "/identity");
    managed::draft(state, account, spec, &place).await
}

/// The explanation of what is asked. A one-use token that was used is told so.
async fn explained(
    state: &AppState,
    snapshot: &Snapshot,
    clock: &dyn Clock,
    asked: &EvaluateRequest,
    claims: Option<ClaimSet>,
) -> Result<Explanation, OperationError> {
    let audience: Vec<String> = asked.account.iter().chain(&asked.audience).cloned().collect();
    let names = RequestedNames {
        audience: &audience,
        resource: &asked.resource,
        scope: asked.scope.as_deref(),
        client_id: None,
        client_is_account: false,
        lifetime: None,
    };
    let presented = || match &claims {
        Some(claims) => Presented::Claims { claims: claims.clone(), entry: asked.issuer.as_deref() },
        None => Presented::Token(asked.token.as_deref().unwrap_or_default()),
    };
    let refused = |error: sts_service::ExplainError| OperationError::Refused(error.to_string());
    let first = sts_service::explain(snapshot, clock, presented(), &names, None).await.map_err(refused)?;
    let Some(key) = first.replay_claim else { return Ok(first) };
    let taken = state.service.find_claim(key).await;
    match taken.map_err(|error| store_unavailable(&error, "whether the token was used is not known"))? {
        None => Ok(first),
        taken => sts_service::explain(snapshot, clock, presented(), &names, taken.as_ref()).await.map_err(refused),
    }
}

fn answer(explanation: &Explanation) -> Value {
    let mut answer = json!(explanation);
    if let (Some(members), Some(decision)) = (answer.as_object_mut(), &explanation.decision) {
        members.insert("text".to_owned(), Value::String(sts_policy::render(decision)));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::super::tests::is_read_again;
    use super::*;

    fn read(body: Value) -> Result<Evaluate, String> {
        Evaluate::read(&Request::post("", body))
    }

    #[test]
    fn the_operation_is_read_again_from_its_request() {
        is_read_again(
            &read(json!({ "claims": { "iss": "x" }, "account": "bot", "identity": { "name": "n" } })).unwrap(),
        );
    }

    #[test]
    fn a_question_has_one_subject() {
        for wrong in [
            json!({}),
            json!({ "claims": {}, "token": "x" }),
            json!({ "token": "x", "issuer": "github" }),
            json!({ "claims": {}, "identity": {} }),
            json!({ "claims": {}, "colour": "red" }),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
