//! Operations that answer with a file.

use std::fs::File;
use std::io;

use actix_web::body::SizedStream;
use actix_web::http::header;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use sts_service::{Reason, RefusedError};
use tokio::io::AsyncReadExt as _;

use super::handler::{failure, read_json};
use super::{Caller, Endpoint, OperationError};
use crate::app_state::AppState;
use crate::http::{AdminState, Failure, MAX_BODY, RequestBody};

/// The media type of the answers.
pub(crate) const OCTETS: &str = "application/octet-stream";
/// Octets that are read from the file at once.
const CHUNK: usize = 64 << 10;

/// One operation that answers with a file. It takes no parameters.
pub(crate) trait Download: 'static {
    /// Where it is, and who may do it.
    const ENDPOINT: Endpoint;

    /// What to say when it failed before it began.
    const NOT_DONE: &'static str;

    /// What is held until the file is sent.
    type Held: 'static;

    /// The file, open at its beginning.
    async fn run(state: &AppState, caller: &Caller) -> Result<(File, Self::Held), OperationError>;
}

/// Answers with the file.
pub(super) async fn send<D: Download>(
    request: HttpRequest,
    body: RequestBody,
    caller: Caller,
    state: Data<AdminState>,
) -> Result<HttpResponse, Failure> {
    caller.check(D::ENDPOINT.right)?;
    let members = read_json(&request, &body, MAX_BODY).await?;
    if !request.query_string().is_empty() || members.as_object().is_none_or(|members| !members.is_empty()) {
        let refused = RefusedError::because(Reason::RequestMalformed, "this path takes no parameters: send none");
        return Err(refused.into());
    }
    let (file, held) = D::run(&state.state, &caller).await.map_err(|error| failure(error, &state.state))?;
    let length = file.metadata().map_err(|_| Reason::ServerError)?.len();
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type(OCTETS)
        .body(SizedStream::new(length, octets(file, held))))
}

/// The content of the file. An error ends the connection, so the caller sees that something is missing.
fn octets<H>(file: File, held: H) -> impl stream::Stream<Item = io::Result<Bytes>> {
    stream::try_unfold((tokio::fs::File::from_std(file), held), async |(mut file, held)| {
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = (&mut file).take(CHUNK as u64).read_to_end(&mut chunk).await?;
        Ok((read > 0).then(|| (Bytes::from(chunk), (file, held))))
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};
    use std::sync::Arc;

    use futures_util::TryStreamExt as _;

    use super::*;

    #[tokio::test]
    async fn what_is_held_is_held_until_the_last_octet_was_read() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; CHUNK + 1]).unwrap();
        file.rewind().unwrap();
        let held = Arc::new(());
        let mut octets = std::pin::pin!(octets(file, Arc::clone(&held)));
        for length in [CHUNK, 1] {
            assert_eq!(octets.try_next().await.unwrap().unwrap().len(), length);
            assert_eq!(Arc::strong_count(&held), 2);
        }
        assert_eq!(octets.try_next().await.unwrap(), None);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
