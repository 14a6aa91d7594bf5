//! Reading a body: bounded in size and time.

use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{BytesMut, Payload};
use actix_web::{HttpMessage as _, HttpRequest};
use bytes::Bytes;
use futures_util::StreamExt as _;
use sts_service::{Reason, Refused};

use super::Failure;

/// The largest body, in bytes.
pub(crate) const MAX_BODY: usize = 64 * 1024;
/// The longest that a body may take to arrive.
const DEADLINE: Duration = Duration::from_secs(10);

/// The whole body.
pub(crate) async fn read(request: &HttpRequest, mut payload: Payload) -> Result<Bytes, Failure> {
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY) {
        return Err(Reason::BodyTooLarge.into());
    }
    let read = async {
        let mut body = BytesMut::with_capacity(announced.unwrap_or(0));
        while let Some(chunk) = payload.next().await {
            let chunk =
                chunk.map_err(|_| Refused::because(Reason::RequestMalformed, "the body did not arrive whole"))?;
            if body.len() + chunk.len() > MAX_BODY {
                return Err(Failure::from(Reason::BodyTooLarge));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    let late = || Refused::because(Reason::RequestMalformed, "the body did not arrive within 10 seconds");
    let body = tokio::time::timeout(DEADLINE, read).await.map_err(|_| late())??;
    request.extensions_mut().insert(ReadWhole);
    Ok(body)
}

/// Put into a request's extensions once its body was read to its end.
struct ReadWhole;

/// Whether some of the request's body is, or may be, still to come. What follows it on the connection cannot be told from it, and
/// whoever sends it slowly would hold the connection for as long as he likes.
pub(super) fn is_unread(request: &HttpRequest) -> bool {
    let headers = request.headers();
    let announced = headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    announced && !request.extensions().contains::<ReadWhole>()
}
