//! Reads a request body, with limits on size and time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::{ConnectionType, header};
use actix_web::web::{BytesMut, Payload};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::StreamExt as _;
use sts_service::{Reason, RefusedError};

use super::Failure;
use super::reason::HttpReason;

/// The largest body, in octets.
pub(crate) const MAX_BODY: usize = 64 * 1024;
/// The longest that a body may take to arrive.
const DEADLINE: Duration = Duration::from_secs(10);

/// Reads the whole body.
pub(crate) async fn read(request: &HttpRequest, payload: &mut Payload) -> Result<Bytes, Failure> {
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY) {
        return Err(HttpReason::BodyTooLarge.into());
    }
    let read = async {
        let mut body = BytesMut::with_capacity(announced.unwrap_or(0));
        while let Some(chunk) = payload.next().await {
            let chunk =
                chunk.map_err(|_| RefusedError::because(Reason::RequestMalformed, "the body did not arrive whole"))?;
            if body.len() + chunk.len() > MAX_BODY {
                return Err(Failure::from(HttpReason::BodyTooLarge));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    let late = || RefusedError::because(Reason::RequestMalformed, "the body did not arrive within 10 seconds");
    let body = tokio::time::timeout(DEADLINE, read).await.map_err(|_| late())??;
    request.extensions_mut().insert(ReadWhole);
    Ok(body)
}

/// In a request's extensions: its body was read to the end.
struct ReadWhole;

/// Closes the connection after `response` if part of the request's body may still come. Otherwise a
/// slow sender could hold the connection for ever.
///
/// actix reads a dropped chunked payload to its end, without a deadline. If the payload is still
/// alive when the answer has been sent, actix closes the connection. So the answer keeps the
/// payload alive.
pub(super) fn close_if_unread(request: &HttpRequest, payload: Payload, mut response: HttpResponse) -> HttpResponse {
    if request.extensions().contains::<ReadWhole>() || !is_announced(request) {
        return response;
    }
    response.head_mut().set_connection_type(ConnectionType::Close);
    if matches!(response.body().size(), BodySize::None | BodySize::Sized(0)) {
        response.extensions_mut().insert(payload);
        return response;
    }
    response.map_body(|_, body| BodyWithPayload { body, _payload: payload }.boxed())
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

fn is_announced(request: &HttpRequest) -> bool {
    let headers = request.headers();
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0")
}
