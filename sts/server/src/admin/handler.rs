//! The handler of every operation: it reads the request, does the operation, and writes the answer.

use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::{Value, json};
use sts_service::{NOT_AN_OBJECT, Reason, RefusedError};

use super::{Caller, Operation, OperationError, Request};
use crate::app_state::AppState;
use crate::http::{AdminState, Failure, HttpReason, Media, RequestBody, decoded, media};

/// When an operator may try again what failed for now.
const RETRY: Duration = Duration::from_secs(1);

/// Does the operation that the request asks for.
pub(super) async fn perform<O: Operation>(
    request: HttpRequest,
    body: RequestBody,
    caller: Caller,
    state: Data<AdminState>,
) -> Result<HttpResponse, Failure> {
    caller.check(O::ENDPOINT.right)?;
    let received = Request {
        parameter: request.match_info().iter().next().map(|(_, value)| decoded(value)).unwrap_or_default(),
        query: request.query_string().to_owned(),
        body: read_json(&request, &body).await?,
    };
    let operation = O::read(&received).map_err(|text| Failure::told(Reason::RequestMalformed, text))?;
    let answer = operation.run(&state.state, &caller.name).await.map_err(|error| failure(error, &state.state))?;
    json_answer(StatusCode::OK, &answer)
}

/// An answer in JSON, which no cache may keep.
pub(crate) fn json_answer(status: StatusCode, answer: &impl Serialize) -> Result<HttpResponse, Failure> {
    let body = serde_json::to_string(answer).map_err(|_| Reason::ServerError)?;
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, "no-store")).content_type("application/json");
    Ok(response.body(body))
}

/// What the caller is told of an operation that was not done.
fn failure(error: OperationError, state: &AppState) -> Failure {
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
        OperationError::Failed(text) => Failure::told(Reason::ServerError, text),
    }
}

/// A body is one JSON object with its media type; none is an empty object. A form would be a cross-site post.
async fn read_json(request: &HttpRequest, body: &RequestBody) -> Result<Value, Failure> {
    let bytes = body.read().await?;
    if bytes.is_empty() {
        return Ok(json!({}));
    }
    if media(request)? != Media::Json {
        return Err(HttpReason::MediaType.into());
    }
    let members =
        sts_claims::parse_object(&bytes).map_err(|_| RefusedError::because(Reason::RequestMalformed, NOT_AN_OBJECT))?;
    Ok(Value::Object(members))
}
