//! Middleware for actix-web.
//!
//! ```no_run
//! use actix_web::{App, HttpServer, web};
//! use sts_verify::actix::RequireToken;
//! use sts_verify::{VerifiedToken, Verifier};
//!
//! async fn deploy(token: VerifiedToken) -> String {
//!     format!("deployed for {}", token.subject())
//! }
//!
//! #[actix_web::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let verifier = Verifier::builder("https://sts.example.com").audience("https://deploy.example.com").build()?;
//!     let app = move || {
//!         let guard = RequireToken::new(verifier.clone()).scope("deployments:create");
//!         App::new().service(web::resource("/deploy").wrap(guard).post(deploy))
//!     };
//!     Ok(HttpServer::new(app).bind("127.0.0.1:8080")?.run().await?)
//! }
//! ```

use std::future::{Ready, ready};
use std::rc::Rc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, HeaderName};
use actix_web::{Error, FromRequest, HttpMessage as _, HttpRequest, HttpResponse};
use futures_util::future::LocalBoxFuture;

use crate::credentials::{Presented, Requirement};
use crate::{Refusal, VerifiedToken, Verifier};

/// Lets only requests with a good token through. The token is then an extractor
/// ([`VerifiedToken`]) of the handler.
#[derive(Clone, Debug)]
pub struct RequireToken {
    requirement: Requirement,
}

impl RequireToken {
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

impl<S, B> Transform<S, ServiceRequest> for RequireToken
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = RequireTokenService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(RequireTokenService { inner: Rc::new(service), requirement: self.requirement.clone() }))
    }
}

/// The service that [`RequireToken`] makes.
#[derive(Debug)]
pub struct RequireTokenService<S> {
    inner: Rc<S>,
    requirement: Requirement,
}

impl<S, B> Service<ServiceRequest> for RequireTokenService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    forward_ready!(inner);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let (inner, requirement) = (Rc::clone(&self.inner), self.requirement.clone());
        Box::pin(async move {
            let checked = requirement.check(&presented(request.request())).await;
            match checked {
                Ok(token) => {
                    request.extensions_mut().insert(token);
                    Ok(inner.call(request).await?.map_into_left_body())
                }
                Err(refusal) => Ok(request.into_response(answer(&refusal)).map_into_right_body()),
            }
        })
    }
}

fn presented(request: &HttpRequest) -> Presented<'_> {
    let all = |name: HeaderName| request.headers().get_all(name).map(|value| value.as_bytes()).collect();
    Presented {
        authorization: all(AUTHORIZATION),
        dpop: all(HeaderName::from_static("dpop")),
        method: request.method().as_str(),
        path: request.uri().path(),
    }
}

fn answer(refusal: &Refusal) -> HttpResponse {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::UNAUTHORIZED);
    let mut response = HttpResponse::build(status);
    for header in refusal.headers() {
        response.append_header(header);
    }
    response.append_header(("cache-control", "no-store")).content_type("application/json").body(refusal.body())
}

impl FromRequest for VerifiedToken {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let token = request.extensions().get::<Self>().cloned();
        ready(token.ok_or_else(|| {
            actix_web::error::ErrorInternalServerError("this route takes a token and is not wrapped in `RequireToken`")
        }))
    }
}
