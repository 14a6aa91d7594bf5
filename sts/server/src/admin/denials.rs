//! Refused requests that are remembered: `/admin/v1/denials`.

use std::sync::Arc;

use sts_api::{
    Denial, DenialAnswer, DenialGroup, DenialGroups, DenialPage, DenialQuery, FailedCondition, PresentedToken,
};
use sts_service::{GroupBy, RememberedRefusal, group};
use sts_types::{RequestId, nearest};
use utoipa::IntoParams as _;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::{Caller, Documentation, Endpoint, Operation, OperationError, Request, Right, Route, store_unavailable};
use crate::app_state::AppState;
use crate::http::HttpReason;
use crate::openapi::Model;

pub(super) const ROUTES: &[Route] = &[Route::to::<ListDenials>(), Route::to::<ShowDenial>()];

/// Refusals of a page when no limit is asked for.
const DEFAULT_PAGE: usize = 100;
/// The most refusals of a page.
const MAX_PAGE: usize = 1000;

/// The refused requests, newest first, or grouped.
#[derive(Debug, Default)]
pub(crate) struct ListDenials(pub(crate) DenialQuery);

impl Operation for ListDenials {
    type Answer = DenialAnswer;

    const ENDPOINT: Endpoint = Endpoint {
        method: "GET",
        path: "/denials",
        right: Right::Read,
        needs_rules: false,
        documentation: Documentation {
            name: "listDenials",
            summary: "The refused requests of the last 24 hours, newest first, or grouped",
            body: None,
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[404, 503],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        let query = DenialQuery::from_query(&request.query).map_err(|error| error.to_string())?;
        query.reason.as_deref().map(check_reason).transpose()?;
        query.group_by.as_deref().map(grouping).transpose()?;
        Ok(Self(query))
    }

    fn request(&self) -> Request {
        Request::get("", self.0.to_query())
    }

    fn not_done(&self) -> &'static str {
        "no refusals are listed"
    }

    async fn run(self, state: &AppState, _: &Caller) -> Result<DenialAnswer, OperationError> {
        let all = state.service.denials().await.map_err(|error| store_unavailable(&error, self.not_done()))?;
        let query = self.0;
        let wanted: Vec<Arc<RememberedRefusal>> = all.into_iter().filter(|refusal| fits(&query, refusal)).collect();
        let limit = query.limit.unwrap_or(DEFAULT_PAGE).min(MAX_PAGE);
        if let Some(names) = &query.group_by {
            let by = grouping(names).map_err(OperationError::Refused)?;
            return Ok(DenialAnswer::Groups(groups(&wanted, &by, limit)));
        }
        page(wanted, query.after.as_deref(), limit).map(DenialAnswer::Page)
    }

    fn query_parameters() -> Vec<Parameter> {
        DenialQuery::into_params(|| Some(ParameterIn::Query))
    }
}

/// One refused request with its whole trace.
#[derive(Debug)]
pub(crate) struct ShowDenial {
    pub(crate) request_id: String,
}

impl Operation for ShowDenial {
    type Answer = Denial;

    const ENDPOINT: Endpoint = Endpoint {
        method: "GET",
        path: "/denials/{request_id}",
        right: Right::Read,
        needs_rules: false,
        documentation: Documentation {
            name: "showDenial",
            summary: "A refused request that is remembered, with its cause and its whole trace",
            body: None,
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[404, 503],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        request.without_parameters(Self { request_id: request.parameter.clone() })
    }

    fn request(&self) -> Request {
        Request::get(&self.request_id, String::new())
    }

    fn not_done(&self) -> &'static str {
        "the refusal was not looked up"
    }

    async fn run(self, state: &AppState, _: &Caller) -> Result<Denial, OperationError> {
        match state.service.denial(&self.request_id).await {
            Ok(Some(refusal)) => Ok(denial(refusal)),
            Ok(None) => Err(not_remembered(&self.request_id)),
            Err(error) => Err(store_unavailable(
                &error,
                "the refusal may be remembered there, and its decision event is in the log",
            )),
        }
    }
}

fn fits(query: &DenialQuery, refusal: &RememberedRefusal) -> bool {
    let nearest = refusal.nearest_identity.as_deref().and_then(|nearest| nearest.split_once('/'));
    let is_of = |account: &String| {
        refusal.account.as_ref() == Some(account) || nearest.is_some_and(|(nearest, _)| nearest == account)
    };
    query.account.as_ref().is_none_or(is_of)
        && query.issuer.as_ref().is_none_or(|issuer| refusal.issuer_entry.as_ref() == Some(issuer))
        && query.reason.as_ref().is_none_or(|reason| refusal.diagnosis.reason == **reason)
}

/// Refuses a reason that does not exist. An empty list would hide the typing error.
fn check_reason(name: &str) -> Result<(), String> {
    let names = || HttpReason::all().map(HttpReason::name);
    if names().any(|known| known == name) {
        return Ok(());
    }
    Err(match nearest(name, names()) {
        Some(near) => format!("`reason` is none that a request is refused for; did you mean `{near}`?"),
        None => "`reason` is none that a request is refused for; each refusal in the list names its own".to_owned(),
    })
}

fn grouping(names: &str) -> Result<Vec<GroupBy>, String> {
    GroupBy::parse(names).map_err(|_| {
        let known = GroupBy::ALL.map(|by| format!("`{}`", by.name())).join(", ");
        format!("`group_by` takes names of {known}, separated by commas")
    })
}

fn groups(refusals: &[Arc<RememberedRefusal>], by: &[GroupBy], limit: usize) -> DenialGroups {
    let groups = group(refusals, by);
    let left_out = groups.len().saturating_sub(limit) as u64;
    let items = groups.into_iter().take(limit).map(|group| DenialGroup {
        count: group.count as u64,
        first: group.first,
        last: group.last,
        request_id: group.request_id,
        summary: group.summary,
        common: group.common.into_iter().map(|(by, value)| (by.name().to_owned(), value)).collect(),
    });
    DenialGroups { items: items.collect(), next: None, left_out }
}

/// The page after the refusal of request `after`, without traces.
fn page(
    refusals: Vec<Arc<RememberedRefusal>>,
    after: Option<&str>,
    limit: usize,
) -> Result<DenialPage, OperationError> {
    let from = match after {
        None => 0,
        Some(after) => match refusals.iter().position(|refusal| refusal.request_id.as_str() == after) {
            Some(place) => place + 1,
            None => return Err(not_remembered(after)),
        },
    };
    let has_more = refusals.len() > from.saturating_add(limit);
    let page = refusals.into_iter().skip(from).take(limit);
    let items: Vec<Denial> = page.map(Arc::unwrap_or_clone).map(denial).collect();
    let next = items.last().filter(|_| has_more).map(|last| last.request_id.clone());
    Ok(DenialPage { items, next })
}

fn denial(refusal: RememberedRefusal) -> Denial {
    Denial {
        request_id: refusal.request_id,
        time: refusal.time,
        summary: refusal.summary,
        reason: refusal.diagnosis.reason.into_owned(),
        cause: refusal.diagnosis.cause,
        claim: refusal.diagnosis.claim,
        actual: refusal.diagnosis.actual,
        expected: refusal.diagnosis.expected,
        fix: refusal.diagnosis.fix,
        told: refusal.told,
        issuer_entry: refusal.issuer_entry,
        subject: refusal.subject,
        account: refusal.account,
        nearest_identity: refusal.nearest_identity,
        failing_condition: refusal.failing_condition.map(|failed| FailedCondition {
            on: failed.on,
            expected: failed.expected,
            actual: failed.actual,
        }),
        presented: refusal.presented.map(|token| PresentedToken {
            verified: token.verified,
            iss: token.iss,
            aud: token.aud,
            kid: token.kid,
            alg: token.alg,
            typ: token.typ,
            exp: token.exp,
            nbf: token.nbf,
            iat: token.iat,
        }),
        origin: refusal.origin,
        asked: refusal.asked,
        scope: refusal.scope,
        source: refusal.source,
        generation: refusal.generation,
        decision: refusal.decision,
        text: refusal.text,
    }
}

pub(super) fn not_remembered(request_id: &str) -> OperationError {
    let Ok(request_id) = RequestId::new(request_id) else {
        return OperationError::NotFound(
            "that is not a request id: one has 26 letters and digits, and stands in the answer and its X-Request-Id header"
                .to_owned(),
        );
    };
    OperationError::NotFound(format!(
        "no refusal of request {request_id} is remembered: refusals are kept for 24 hours, those that name no issuer of ours for \
         less, and the most frequent give way when there are too many. The decision event of each request is in the log of the \
         server that answered it: grep {request_id} there"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::tests::is_read_again;
    use super::*;

    #[test]
    fn each_operation_is_read_again_from_its_request() {
        is_read_again(&ListDenials::default());
        is_read_again(&ListDenials(DenialQuery {
            account: Some("a b".into()),
            group_by: Some("reason,condition".into()),
            reason: Some("token_expired".into()),
            limit: Some(2),
            ..DenialQuery::default()
        }));
        is_read_again(&ShowDenial { request_id: "01J".into() });
    }

    #[test]
    fn a_reason_or_grouping_that_there_is_not_is_refused() {
        for wrong in ["reason=not_authorised", "group_by=colour", "group_by=", "limit=0", "before=1"] {
            assert!(ListDenials::read(&Request::get("", wrong.to_owned())).is_err(), "{wrong}");
        }
    }
}
