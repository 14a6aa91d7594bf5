//! Reads a request body, with limits on size and time.

use std::cell::{Cell, RefCell};
use std::future::{Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::http::{ConnectionType, header};
use actix_web::web::BytesMut;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::StreamExt as _;
use sts_service::{Reason, RefusedError};

use super::Failure;
use super::context::from_extensions;
use super::reason::HttpReason;

/// The largest body, in octets.
pub(crate) const MAX_BODY: usize = 64 * 1024;
/// The longest that a body may take to arrive.
const DEADLINE: Duration = Duration::from_secs(10);

/// The body of a request, which a handler reads when it wants it.
#[derive(Clone)]
pub(crate) struct RequestBody(Rc<UnreadBody>);

struct UnreadBody {
    payload: RefCell<Payload>,
    /// Whether the request says that it has one.
    is_announced: bool,
    /// The length that it says.
    length: Option<usize>,
    /// Whether it was read to the end.
    is_read: Cell<bool>,
}

impl FromRequest for RequestBody {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(from_extensions(request))
    }
}

impl RequestBody {
    /// The body of `request`, which has none from now on.
    pub(super) fn take_from(request: &mut ServiceRequest) -> Self {
        let headers = request.headers();
        let length = headers.get(header::CONTENT_LENGTH);
        Self(Rc::new(UnreadBody {
            is_announced: headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(|length| length != "0"),
            length: length.and_then(|value| value.to_str().ok()?.parse().ok()),
            payload: RefCell::new(request.take_payload()),
            is_read: Cell::new(false),
        }))
    }

    /// Reads the whole body.
    pub(crate) async fn read(&self) -> Result<Bytes, Failure> {
        self.read_up_to(MAX_BODY).await
    }

    /// Reads the whole body, which may have up to `most` octets.
    pub(crate) async fn read_up_to(&self, most: usize) -> Result<Bytes, Failure> {
        let Self(body) = self;
        if body.length.is_some_and(|length| length > most) {
            return Err(too_large(most));
        }
        let mut payload = body.payload.replace(Payload::None);
        let read = tokio::time::timeout(DEADLINE, read_whole(&mut payload, body.length.unwrap_or(0), most)).await;
        body.payload.replace(payload);
        let late = || RefusedError::because(Reason::RequestMalformed, "the body did not arrive within 10 seconds");
        let bytes = read.map_err(|_| late())??;
        body.is_read.set(true);
        Ok(bytes)
    }

    /// Closes the connection after `response` if part of the request's body may still come.
    /// Otherwise a slow sender could hold the connection for ever.
    ///
    /// actix reads a dropped chunked payload to its end, without a deadline. If the payload is still
    /// alive when the answer has been sent, actix closes the connection. So the answer keeps the
    /// payload alive.
    pub(super) fn close_if_unread(&self, mut response: HttpResponse) -> HttpResponse {
        let Self(body) = self;
        if body.is_read.get() || !body.is_announced {
            return response;
        }
        response.head_mut().set_connection_type(ConnectionType::Close);
        let payload = body.payload.replace(Payload::None);
        if matches!(response.body().size(), BodySize::None | BodySize::Sized(0)) {
            response.extensions_mut().insert(payload);
            return response;
        }
        response.map_body(|_, body| BodyWithPayload { body, _payload: payload }.boxed())
    }
}

/// 413, with the limit where it is not that of most paths.
fn too_large(most: usize) -> Failure {
    if most == MAX_BODY {
        return HttpReason::BodyTooLarge.into();
    }
    Failure::told(HttpReason::BodyTooLarge, format!("the body is over {} MiB", most / (1024 * 1024)))
}

async fn read_whole(payload: &mut Payload, capacity: usize, most: usize) -> Result<Bytes, Failure> {
    let mut body = BytesMut::with_capacity(capacity);
    while let Some(chunk) = payload.next().await {
        let chunk =
            chunk.map_err(|_| RefusedError::because(Reason::RequestMalformed, "the body did not arrive whole"))?;
        if body.len() + chunk.len() > most {
            return Err(too_large(most));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// A response body that keeps the request's payload alive until it is sent.
struct BodyWithPayload {
    body: BoxBody,
    _payload: Payload,
}

impl MessageBody for BodyWithPayload {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(context)
    }
}
