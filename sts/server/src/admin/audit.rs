//! The audit trail's tail: `/admin/v1/audit`.

use sts_api::{AuditPage, AuditQuery};
use sts_audit::{EVENT_TYPES, TailFilter};
use sts_types::{UnixTime, nearest};
use utoipa::IntoParams as _;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::{Caller, Documentation, Endpoint, Operation, OperationError, Request, Right, Route};
use crate::app_state::AppState;
use crate::openapi::Model;

pub(super) const ROUTES: &[Route] = &[Route::to::<ListAudit>()];

/// Events of a page when no limit is asked for.
const DEFAULT_PAGE: usize = 100;
/// The most events of a page.
const MAX_PAGE: usize = 1000;

/// The last audit events of this server.
#[derive(Debug, Default)]
pub(crate) struct ListAudit(pub(crate) AuditQuery);

impl Operation for ListAudit {
    type Answer = AuditPage;

    const ENDPOINT: Endpoint = Endpoint {
        method: "GET",
        path: "/audit",
        right: Right::Read,
        needs_rules: false,
        documentation: Documentation {
            name: "listAudit",
            summary: "The last audit events of this server, newest first",
            body: None,
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        let query = AuditQuery::from_query(&request.query).map_err(|error| error.to_string())?;
        filter(&query)?;
        request.without_members(Self(query))
    }

    fn request(&self) -> Request {
        Request::get("", self.0.to_query())
    }

    fn not_done(&self) -> &'static str {
        "no events are listed"
    }

    async fn run(self, state: &AppState, _: &Caller) -> Result<AuditPage, OperationError> {
        let filter = filter(&self.0).map_err(OperationError::Refused)?;
        let audit = std::sync::Arc::clone(&state.audit);
        // It may read some thousand events. Other requests must not wait for that.
        let page = tokio::task::spawn_blocking(move || audit.tail().page(&filter)).await;
        let page = page.map_err(|error| OperationError::Failed(format!("the events were not listed: {error}")))?;
        Ok(AuditPage { items: page.items, next: page.next.map(|next| next.to_string()) })
    }

    fn query_parameters() -> Vec<Parameter> {
        AuditQuery::into_params(|| Some(ParameterIn::Query))
    }
}

fn filter(query: &AuditQuery) -> Result<TailFilter, String> {
    let types: Vec<String> = query.r#type.iter().flat_map(|types| types.split(',')).map(str::to_owned).collect();
    for name in &types {
        check_type(name)?;
    }
    let before = query.after.as_deref().map(str::parse).transpose();
    let millis = |time: UnixTime| u64::try_from(time.as_secs()).unwrap_or(0).saturating_mul(1000);
    Ok(TailFilter {
        types,
        actor: query.actor.clone(),
        object: query.object.clone(),
        since: query.since.map(millis),
        // To the end of that second.
        until: query.until.map(|until| millis(until).saturating_add(999)),
        before: before.map_err(|_| "`after` is `next` of the page before".to_owned())?,
        limit: query.limit.unwrap_or(DEFAULT_PAGE).min(MAX_PAGE),
    })
}

/// Refuses a type that does not exist. An empty list would hide the typing error.
fn check_type(name: &str) -> Result<(), String> {
    if EVENT_TYPES.contains(&name) {
        return Ok(());
    }
    let hint = match nearest(name, EVENT_TYPES.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write one of {}, or several with commas between them", EVENT_TYPES.join(", ")),
    };
    Err(format!("`type` names no type of audit event; {hint}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::is_read_again;
    use super::*;

    #[test]
    fn each_operation_is_read_again_from_its_request() {
        is_read_again(&ListAudit::default());
        is_read_again(&ListAudit(AuditQuery {
            r#type: Some("revocation,object_changed".into()),
            object: Some("teams/a".into()),
            since: Some(UnixTime::from_secs(1)),
            after: Some("7".into()),
            ..AuditQuery::default()
        }));
    }

    #[test]
    fn a_type_or_page_that_there_is_not_is_refused() {
        for wrong in ["type=object-changed", "type=", "after=x", "limit=0"] {
            assert!(ListAudit::read(&Request::get("", wrong.to_owned())).is_err(), "{wrong}");
        }
        let told = ListAudit::read(&Request::get("", "type=object_chnged".to_owned())).unwrap_err();
        assert!(told.contains("did you mean `object_changed`?"), "{told}");
    }
}
