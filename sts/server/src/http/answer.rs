//! The outermost middleware of both listeners. It gives each request its id, and turns what comes
//! of it into an answer.

use std::fmt;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse, ResponseError};
use sts_service::{Reason, RequestContext};
use sts_types::RequestId;

use super::body::RequestBody;
use super::client_ip::Source;
use super::connection::{Handling, InFlight};
use super::context::Context;
use super::failure::{self, ErrorForm};
use super::listener::Listener;
use super::reason::HttpReason;
use super::{Failure, caught, head};

/// Answers a request with what `next` makes of it. A panic becomes a 500, and the process goes on.
pub(super) async fn answer(
    listener: Listener,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse, Error> {
    let Source { address, is_known } = listener.source(request.request());
    let context = Context::new(RequestContext {
        request_id: listener.service().new_request_id(),
        source: address,
        is_source_known: is_known,
        arrived: listener.service().clock().monotonic(),
    });
    let form = ErrorForm::of(request.path(), listener.is_admin());
    let is_draining = || listener.draining().has_begun();
    let span = listener.traces().and_then(|traces| traces.begin(request.request(), listener.base(), &context));
    let Some(span) = span else { return answer_in(context, form, is_draining, request, next).await };
    // In a box: without traces, the future of a request need not have room for this one.
    span.around(Box::pin(answer_in(context, form, is_draining, request, next))).await
}

async fn answer_in(
    context: Context,
    form: ErrorForm,
    is_draining: impl Fn() -> bool,
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse, Error> {
    let connection = ConnectionUse::begin(request.request());
    let body = RequestBody::take_from(&mut request);
    request.extensions_mut().insert(context.clone());
    request.extensions_mut().insert(body.clone());
    let answered = match caught(next.call(request)).await {
        Ok(Ok(answered)) => answered,
        outcome => {
            let request_id = context.request_id.clone();
            match outcome {
                Ok(Err(error)) => tracing::error!(%request_id, %error, "a request came to no answer"),
                _ => tracing::error!(%request_id, "a handler panicked"),
            }
            connection.end();
            return Err(Unanswered { request_id, form }.into());
        }
    };
    let (request, response) = answered.into_parts();
    let mut response = rendered(response, &context.request_id, form);
    failure::mark(&mut response, &context.request_id);
    let mut response = body.close_if_unread(response);
    connection.settle(&mut response, is_draining());
    Ok(ServiceResponse::new(request, response))
}

/// The answer where no route fits.
pub(super) async fn no_such_path() -> Result<HttpResponse, Failure> {
    Err(HttpReason::NotFound.into())
}

/// `response`, with its failure written out if it is one.
fn rendered(response: HttpResponse, request_id: &RequestId, form: ErrorForm) -> HttpResponse {
    let failure = match response.error() {
        Some(error) => match error.as_error::<Failure>() {
            Some(failure) => {
                log_fault(failure, request_id);
                return failure.response(request_id, form);
            }
            None => {
                tracing::error!(%request_id, %error, "the HTTP library refused a request by itself");
                Reason::ServerError.into()
            }
        },
        None if response.status() == StatusCode::METHOD_NOT_ALLOWED => Failure::method(allowed(&response)),
        None => return response,
    };
    failure.response(request_id, form)
}

/// The caller gets the request id instead of the cause, so the log needs both.
fn log_fault(failure: &Failure, request_id: &RequestId) {
    if failure.is_ours() {
        let reason = failure.reason().name();
        tracing::error!(%request_id, reason, "a request failed by a fault that is not the caller's");
    }
}

/// The methods of the path. The library names those that have a route, and HEAD is served like GET.
fn allowed(response: &HttpResponse) -> String {
    let named = response.headers().get(header::ALLOW).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let methods: Vec<&str> =
        named.split(", ").map(|method| if method == "GET" { "GET, HEAD" } else { method }).collect();
    methods.join(", ")
}

/// A request whose handler panicked, so that it is lost.
#[derive(Debug)]
struct Unanswered {
    request_id: RequestId,
    form: ErrorForm,
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request {} came to no answer", self.request_id)
    }
}

impl ResponseError for Unanswered {
    fn error_response(&self) -> HttpResponse {
        let mut response = Failure::from(Reason::ServerError).response(&self.request_id, self.form);
        failure::mark(&mut response, &self.request_id);
        // Part of the request's body may be unread.
        response.head_mut().set_connection_type(ConnectionType::Close);
        response
    }
}

/// What a request says of its connection.
struct ConnectionUse {
    in_flight: InFlight,
    _handling: Handling,
    requested: ConnectionType,
    is_last: bool,
}

impl ConnectionUse {
    fn begin(request: &HttpRequest) -> Self {
        let in_flight = request.conn_data::<InFlight>().cloned().unwrap_or_default();
        let requested = request.head().connection_type();
        Self {
            _handling: in_flight.begin(),
            in_flight,
            requested,
            is_last: requested == ConnectionType::Close || head::asks_for_web_socket(request),
        }
    }

    /// Says in `response` whether the connection goes on.
    fn settle(&self, response: &mut HttpResponse, is_draining: bool) {
        if self.requested == ConnectionType::Upgrade && response.head().connection_type() != ConnectionType::Close {
            // The server never upgrades a connection. The library would not say so by itself.
            response.head_mut().set_connection_type(ConnectionType::KeepAlive);
        }
        if is_draining || self.is_last {
            // A proxy then opens its next connection to another server.
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
        if self.is_last || response.head().connection_type() == ConnectionType::Close {
            self.end();
        }
    }

    fn end(&self) {
        self.in_flight.end();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix_web::body::to_bytes;
    use actix_web::middleware::from_fn;
    use actix_web::{App, test, web};
    use serde_json::Value;

    use super::*;

    async fn panics() -> HttpResponse {
        panic!("a secret in a message")
    }

    #[actix_web::test]
    async fn c123_a_handler_that_panics_is_one_500_that_says_nothing() {
        let id = RequestId::new("01J00000000000000000000000").unwrap();
        let context = Context::new(RequestContext {
            request_id: id.clone(),
            source: None,
            is_source_known: false,
            arrived: Duration::ZERO,
        });
        let paths = ["/panics", "/.well-known/panics"];
        let app = App::new()
            .service(web::resource(paths).to(panics))
            .service(web::resource("/fine").to(HttpResponse::Ok))
            .wrap(from_fn(move |request, next| {
                let form = ErrorForm::of(ServiceRequest::path(&request), false);
                answer_in(context.clone(), form, || false, request, next)
            }));
        let app = test::init_service(app).await;
        for path in paths {
            let request = test::TestRequest::with_uri(path).to_request();
            // The listener writes the error's answer.
            let response = test::try_call_service(&app, request).await.unwrap_err().error_response();
            assert_eq!(response.status(), 500);
            assert_eq!(response.head().connection_type(), ConnectionType::Close);
            assert_eq!(response.headers().get("x-request-id").unwrap(), id.as_str());
            let body: Value = serde_json::from_slice(&to_bytes(response.into_body()).await.unwrap()).unwrap();
            assert_eq!((&body["error"], &body["reason"]), (&"server_error".into(), &"server_error".into()));
            assert_eq!(body["request_id"], id.as_str());
            assert!(!body.to_string().contains("secret"), "{body}");
            // The next one is answered as if nothing had been.
            let fine = test::call_service(&app, test::TestRequest::with_uri("/fine").to_request()).await;
            assert_eq!(fine.status(), 200);
        }
    }
}
