//! Middleware for tower, and with it for axum, tonic and hyper.
//!
//! A request that is let through has a [`VerifiedToken`](crate::VerifiedToken) among its extensions. A
//! gRPC request is refused in the form of gRPC: `UNAUTHENTICATED`, `PERMISSION_DENIED` or
//! `UNAVAILABLE`.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode, request};
use tower_layer::Layer;
use tower_service::Service;

use crate::credentials::{Presented, Requirement};
use crate::{Refusal, Verifier};

/// Lets only requests with a good token through.
#[derive(Clone, Debug)]
pub struct RequireTokenLayer {
    requirement: Requirement,
}

impl RequireTokenLayer {
    /// Requires a token that `verifier` accepts.
    #[must_use]
    pub fn new(verifier: Verifier) -> Self {
        Self { requirement: Requirement::new(verifier) }
    }

    /// Requires this scope too. With several, all are required.
    #[must_use]
    pub fn scope(self, scope: impl Into<String>) -> Self {
        Self { requirement: self.requirement.and_scope(scope.into()) }
    }
}

impl<S> Layer<S> for RequireTokenLayer {
    type Service = RequireToken<S>;

    fn layer(&self, inner: S) -> RequireToken<S> {
        RequireToken { inner, requirement: self.requirement.clone() }
    }
}

/// The service that [`RequireTokenLayer`] makes.
#[derive(Clone, Debug)]
pub struct RequireToken<S> {
    inner: S,
    requirement: Requirement,
}

impl<S, B, R> Service<Request<B>> for RequireToken<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service that is ready is the one to call; its clone waits for the next request.
        let clone = self.inner.clone();
        let (mut inner, requirement) = (mem::replace(&mut self.inner, clone), self.requirement.clone());
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            let checked = requirement.check(&presented(&head)).await;
            match checked {
                Ok(token) => {
                    head.extensions.insert(token);
                    inner.call(Request::from_parts(head, body)).await
                }
                Err(refusal) if is_grpc(&head.headers) => Ok(grpc_answer(&refusal)),
                Err(refusal) => Ok(answer(&refusal)),
            }
        })
    }
}

fn presented(head: &request::Parts) -> Presented<'_> {
    let all = |name: HeaderName| head.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    Presented {
        authorization: all(AUTHORIZATION),
        dpop: all(HeaderName::from_static("dpop")),
        method: head.method.as_str(),
        path: head.uri.path(),
    }
}

/// The answer has no body: a body's type is the service's own. `WWW-Authenticate` says it all.
fn answer<R: Default>(refusal: &Refusal) -> Response<R> {
    let mut response = Response::new(R::default());
    *response.status_mut() = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::UNAUTHORIZED);
    append_headers(response.headers_mut(), refusal);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// A gRPC answer that consists of its trailers alone.
fn grpc_answer<R: Default>(refusal: &Refusal) -> Response<R> {
    let status = match refusal.status() {
        403 => "7",
        503 => "14",
        _ => "16",
    };
    let mut response = Response::new(R::default());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from_static(status));
    // The texts are printable ASCII, in which only the percent sign is encoded.
    if let Ok(message) = HeaderValue::from_str(&refusal.error().to_string().replace('%', "%25")) {
        headers.insert("grpc-message", message);
    }
    append_headers(headers, refusal);
    response
}

fn append_headers(headers: &mut HeaderMap, refusal: &Refusal) {
    for (name, value) in refusal.headers() {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
}
