//! The admin API for the console, in this process: the operations, rights and answers of `/admin/v1`.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::body::MessageBody as _;
use actix_web::dev::{Path, ResourceDef};
use actix_web::http::header;
use serde_json::Value;
use sts_console::{Actor, AdminApi, ApiAnswer, ApiFuture, ApiRequest, Method, Rights};
use sts_service::manage::rule_kind;
use sts_types::ObjectKind;

use super::handler::perform_here;
use super::{Caller, Right, Route, all_routes};
use crate::admin::Request;
use crate::app_state::AppState;
use crate::audit::{self, RequestLine, ShownPath};
use crate::http::{ErrorForm, Failure, HttpReason, decoded};

/// The operations of this process.
pub(crate) struct InProcessApi {
    state: Arc<AppState>,
    routes: Vec<(ResourceDef, &'static Route)>,
}

impl InProcessApi {
    pub(crate) fn new(state: Arc<AppState>) -> Self {
        let routes = all_routes().map(|route| (ResourceDef::new(route.endpoint.path), route));
        let mut routes: Vec<_> = routes.collect();
        // A path without parameters goes before one whose parameter it could be.
        routes.sort_by_key(|(_, route)| route.endpoint.path.matches('{').count());
        Self { state, routes }
    }

    /// The route of a request.
    fn route(&self, asked: &ApiRequest) -> Option<&(ResourceDef, &'static Route)> {
        let (path, method) = (router_path(asked), asked.method.name());
        self.routes.iter().find(|(definition, route)| route.endpoint.method == method && definition.is_match(&path))
    }

    /// Whether a request changes something. Pages try what a person types, and what is refused then is
    /// no event.
    fn is_change(&self, asked: &ApiRequest) -> bool {
        let is_dry_run = asked.target.split_once('?').is_some_and(|(_, query)| query == "dry_run=true");
        let is_read = self.route(asked).is_some_and(|(_, route)| route.endpoint.right == Right::Read);
        asked.method != Method::Get && !is_dry_run && !is_read
    }

    /// What an event shows of the request's path.
    fn shown_path(&self, asked: &ApiRequest) -> ShownPath {
        let snapshot = self.state.service.snapshot();
        let Some((definition, route)) = self.route(asked) else {
            return ShownPath::of_route(None, std::iter::empty(), &snapshot.rules);
        };
        let mut path = Path::new(router_path(asked));
        definition.capture_match_info(&mut path);
        ShownPath::of_route(Some(&route.endpoint.full_path()), path.iter(), &snapshot.rules)
    }

    async fn answer(&self, actor: &Actor, asked: ApiRequest) -> Result<HttpResponse, Failure> {
        let (definition, route) = self.route(&asked).ok_or(HttpReason::NotFound)?;
        let (_, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
        let mut path = Path::new(router_path(&asked));
        definition.capture_match_info(&mut path);
        let mut parameters = path.iter().map(|(_, value)| decoded(value));
        let received = Request {
            parameter: parameters.next().unwrap_or_default(),
            inner: parameters.next().unwrap_or_default(),
            query: query.to_owned(),
            if_match: asked.if_match,
            body: if asked.body.is_null() { Value::Object(serde_json::Map::new()) } else { asked.body },
        };
        let right = match actor.rights {
            Rights::Read => Right::Read,
            Rights::Admin => Right::Admin,
        };
        // A page has no use for a file.
        let operation = route.operation().ok_or(HttpReason::NotFound)?;
        perform_here(operation, &received, Caller::console(actor, right), &self.state).await
    }
}

impl AdminApi for InProcessApi {
    fn call<'a>(&'a self, actor: &'a Actor, request: ApiRequest) -> ApiFuture<'a> {
        Box::pin(async move {
            let (path, method, is_change) =
                (self.shown_path(&request), request.method.name(), self.is_change(&request));
            let answered = self.answer(actor, request).await;
            if let Err(failure) = &answered {
                let method = actix_web::http::Method::from_bytes(method.as_bytes()).unwrap_or_default();
                let caller = Caller::console(actor, Right::Read).actor();
                let line = RequestLine { method: &method, path: &path, is_change };
                audit::refused(&self.state.audit, &caller, line, failure);
            }
            let response = answered.unwrap_or_else(|failure| failure.response(&actor.request_id, ErrorForm::Problem));
            read(response)
        })
    }

    fn managed_kinds(&self) -> Vec<ObjectKind> {
        let kinds = self.state.managed().map(|managed| managed.rules().managed_kinds()).unwrap_or_default();
        kinds.into_iter().filter_map(rule_kind).collect()
    }
}

/// The path as the router has it: each parameter is decoded by itself.
fn router_path(asked: &ApiRequest) -> String {
    asked.target.split('?').next().unwrap_or_default().replace('%', "%25")
}

/// The answer as a page reads it.
fn read(response: HttpResponse) -> ApiAnswer {
    let status = response.status().as_u16();
    let etag = response.headers().get(header::ETAG).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = response.into_body().try_into_bytes().unwrap_or_default();
    ApiAnswer { status, etag, body }
}
