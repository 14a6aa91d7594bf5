//! The handler of every operation: it reads the request, does the operation, and writes the answer.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::{Value, json};
use sts_service::{NOT_AN_OBJECT, Reason, RefusedError};

use super::{AnswerHead, Caller, Operation, OperationError, Request, Right};
use crate::app_state::AppState;
use crate::http::{AdminState, Failure, HttpReason, Media, RequestBody, decoded, media};

/// When an operator may try again what failed for now.
const RETRY: Duration = Duration::from_secs(1);

/// An operation without its type. All operations share one handler. A handler for each type would make the
/// binary a megabyte larger.
#[derive(Clone, Copy)]
pub(super) struct AnyOperation {
    right: Right,
    max_body: usize,
    begin: fn(&Request, Caller, Arc<AppState>) -> Result<Performing, OperationError>,
}

/// An operation under way.
pub(crate) type Performing = Pin<Box<dyn Future<Output = Result<WrittenAnswer, OperationError>>>>;

/// An answer in JSON.
pub(crate) struct WrittenAnswer {
    head: AnswerHead,
    pub(crate) body: String,
}

impl AnyOperation {
    pub(super) const fn of<O: Operation>() -> Self {
        Self {
            right: O::ENDPOINT.right,
            max_body: O::MAX_BODY,
            begin: |received, caller, state| {
                let operation = O::read(received).map_err(OperationError::Refused)?;
                Ok(begin(operation, caller, state))
            },
        }
    }
}

/// Does the operation for `caller`, whose right was checked.
pub(crate) fn begin<O: Operation>(operation: O, caller: Caller, state: Arc<AppState>) -> Performing {
    Box::pin(async move {
        let answer = operation.run(&state, &caller).await?;
        let body = serde_json::to_string(&answer);
        let body = body.map_err(|error| OperationError::Failed(format!("the answer cannot be written: {error}")))?;
        Ok(WrittenAnswer { head: O::head(&answer), body })
    })
}

/// Does the operation that the request asks for.
pub(super) async fn perform(
    operation: AnyOperation,
    request: HttpRequest,
    body: RequestBody,
    caller: Caller,
    state: Data<AdminState>,
) -> Result<HttpResponse, Failure> {
    // Before the body is read.
    caller.check(operation.right)?;
    let mut parameters = request.match_info().iter().map(|(_, value)| decoded(value));
    let received = Request {
        parameter: parameters.next().unwrap_or_default(),
        inner: parameters.next().unwrap_or_default(),
        query: request.query_string().to_owned(),
        if_match: if_match(&request)?,
        body: read_json(&request, &body, operation.max_body).await?,
    };
    perform_here(operation, &received, caller, &state.state).await
}

/// Does the operation that `received` asks for, if `caller` may.
pub(super) async fn perform_here(
    operation: AnyOperation,
    received: &Request,
    caller: Caller,
    state: &Arc<AppState>,
) -> Result<HttpResponse, Failure> {
    caller.check(operation.right)?;
    let performing = (operation.begin)(received, caller, Arc::clone(state)).map_err(|error| failure(error, state))?;
    let WrittenAnswer { head, body } = performing.await.map_err(|error| failure(error, state))?;
    let AnswerHead { status, etag, location } = head;
    let status = StatusCode::from_u16(status).map_err(|_| Reason::ServerError)?;
    let mut response = match status {
        StatusCode::NO_CONTENT => HttpResponse::NoContent().insert_header((header::CACHE_CONTROL, "no-store")).finish(),
        status => json_response(status, body),
    };
    for (name, value) in [(header::ETAG, etag), (header::LOCATION, location)] {
        if let Some(value) = value {
            let value = HeaderValue::try_from(value).map_err(|_| Reason::ServerError)?;
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// `If-Match`, whose lines are one list.
fn if_match(request: &HttpRequest) -> Result<Option<String>, Failure> {
    let malformed = || RefusedError::because(Reason::RequestMalformed, "`If-Match` is not printable ASCII");
    let lines = request.headers().get_all(header::IF_MATCH);
    let lines: Vec<&str> = lines.map(|line| line.to_str()).collect::<Result<_, _>>().map_err(|_| malformed())?;
    Ok((!lines.is_empty()).then(|| lines.join(",")))
}

/// An answer in JSON, which no cache may keep.
pub(crate) fn json_answer(status: StatusCode, answer: &impl Serialize) -> Result<HttpResponse, Failure> {
    Ok(json_response(status, serde_json::to_string(answer).map_err(|_| Reason::ServerError)?))
}

fn json_response(status: StatusCode, body: String) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, "no-store")).content_type("application/json");
    response.body(body)
}

/// What the caller is told of an operation that was not done.
pub(super) fn failure(error: OperationError, state: &AppState) -> Failure {
    match error {
        OperationError::NotFound(text) => Failure::told(HttpReason::NotFound, text),
        OperationError::Refused(text) => Failure::told(Reason::RequestMalformed, text),
        error @ OperationError::StoreUnavailable(_) => {
            state.store.request_failed(state.service.clock().monotonic());
            Failure::told(RefusedError::for_now(Reason::StoreUnavailable, RETRY), error.to_string())
        }
        OperationError::IssuerUnavailable(text) => {
            Failure::told(RefusedError::for_now(Reason::IssuerUnavailable, RETRY), text)
        }
        OperationError::Unavailable(reason, text) => Failure::told(RefusedError::for_now(reason, RETRY), text),
        OperationError::Failed(text) => Failure::told(Reason::ServerError, text),
        OperationError::Exists(text) => Failure::told(HttpReason::ObjectExists, text),
        OperationError::Conflict(text) => Failure::told(HttpReason::DeclaredByFile, text),
        OperationError::PreconditionRequired(text) => Failure::told(HttpReason::PreconditionRequired, text),
        OperationError::PreconditionFailed(text) => Failure::told(HttpReason::PreconditionFailed, text),
        OperationError::InteractiveRequired(text) => Failure::told(HttpReason::InteractiveRequired, text),
        OperationError::NotManaged(text) => Failure::told(HttpReason::KindNotManaged, text),
        OperationError::Invalid { detail, findings } => {
            Failure::told(HttpReason::InvalidObject, detail).with_findings(findings)
        }
    }
}

/// Reads a JSON object; no body counts as an empty one. The media type is required, because a browser can
/// post a form across sites. A merge patch may come as `application/merge-patch+json` or as plain JSON.
pub(super) async fn read_json(request: &HttpRequest, body: &RequestBody, most: usize) -> Result<Value, Failure> {
    let bytes = body.read_up_to(most).await?;
    if bytes.is_empty() {
        return Ok(json!({}));
    }
    match media(request)? {
        Media::Json => {}
        Media::MergePatch if request.method() == Method::PATCH => {}
        Media::MergePatch | Media::Form => return Err(HttpReason::MediaType.into()),
    }
    let members =
        sts_claims::parse_object(&bytes).map_err(|_| RefusedError::because(Reason::RequestMalformed, NOT_AN_OBJECT))?;
    Ok(Value::Object(members))
}
