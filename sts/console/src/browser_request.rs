//! What the admin listener knows of a request to the console.

use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use sts_types::RequestId;

use crate::{PageError, SessionRecorder};

/// The listener puts it into the request's extensions: it reads every body itself, within its limits.
#[derive(Clone, Debug)]
pub struct BrowserRequest {
    /// The id of the request.
    pub request_id: RequestId,
    /// The browser's address, if known.
    pub address: Option<IpAddr>,
    /// Where sign-ins and sign-outs are recorded.
    pub events: SessionRecorder,
    /// Scheme, host and port that the browser used. The listener has checked the host.
    pub origin: String,
    /// The body, empty for none.
    pub body: Bytes,
}

impl FromRequest for BrowserRequest {
    type Error = PageError;
    type Future = Ready<Result<Self, PageError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        // A route outside of the listener's middleware is a fault of ours.
        ready(request.extensions().get::<Self>().cloned().ok_or(PageError::Fault))
    }
}
