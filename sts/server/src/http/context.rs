//! What handlers know of their request beside what it says.

use std::future::{Ready, ready};
use std::ops::Deref;
use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use sts_service::{Reason, RequestContext};

use super::Failure;

/// Who sent the request, and when.
#[derive(Clone)]
pub(crate) struct Context(Rc<RequestContext>);

impl Context {
    pub(super) fn new(context: RequestContext) -> Self {
        Self(Rc::new(context))
    }
}

impl Deref for Context {
    type Target = RequestContext;

    fn deref(&self) -> &RequestContext {
        &self.0
    }
}

impl FromRequest for Context {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(from_extensions(request))
    }
}

/// What a middleware has put into the request's extensions.
pub(crate) fn from_extensions<T: Clone + 'static>(request: &HttpRequest) -> Result<T, Failure> {
    // A route outside of that middleware is a fault of ours.
    request.extensions().get::<T>().cloned().ok_or_else(|| Reason::ServerError.into())
}
