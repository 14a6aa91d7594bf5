//! Replaces the answers that the HTTP library gives by itself: when a request's head cannot be read
//! (400), is too large (431) or does not arrive (408). They then look like every other error of
//! ours. The library has no hook for them, so they are found in its output.

use actix_web::body::MessageBody as _;
use actix_web::http::StatusCode;
use bytes::Bytes;
use sts_service::{Reason, RefusedError};
use sts_types::RequestId;

use super::failure::ErrorForm;
use super::{Failure, failure};

/// Finds the library's own answer at the end of `written`. Returns its start, and the answer to
/// send instead.
///
/// The library's own answer has no body and no request id. Every answer of a handler has one.
pub(super) fn rewritten(written: &[u8], request_id: impl FnOnce() -> RequestId) -> Option<(usize, Vec<u8>)> {
    let heads = written.strip_suffix(b"\r\n\r\n")?;
    let start = heads.windows(7).rposition(|window| window == b"HTTP/1.")?;
    let head = std::str::from_utf8(heads.get(start..)?).ok()?;
    let (status_line, fields) = head.split_once("\r\n")?;
    let status = StatusCode::from_bytes(status_line.as_bytes().get(9..12)?).ok()?;
    let is_ours = |line: &str| line.is_empty() || line.starts_with("x-request-id:");
    if status.as_u16() < 400 || fields.split("\r\n").any(is_ours) {
        return None;
    }
    let date = fields.split("\r\n").find(|line| line.starts_with("date:")).unwrap_or("date:");
    let answer = our_answer(status, &[status_line, date, "connection: close"], &request_id())?;
    Some((start, answer))
}

/// 431 for a head of which the library sees only the beginning.
pub(super) fn head_too_large(request_id: &RequestId) -> Bytes {
    let lines = ["HTTP/1.1 431 Request Header Fields Too Large", "connection: close"];
    encode(&Failure::head_too_large(), &lines, request_id).map(Bytes::from).unwrap_or_default()
}

fn our_answer(status: StatusCode, lines: &[&str], request_id: &RequestId) -> Option<Vec<u8>> {
    let failure: Failure = match status {
        StatusCode::REQUEST_TIMEOUT => malformed("the head of the request did not arrive within 5 seconds"),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Failure::too_many_fields(),
        status if status.is_client_error() => malformed("the request is not well-formed HTTP/1.1"),
        _ => Reason::ServerError.into(),
    };
    encode(&failure, lines, request_id)
}

fn encode(failure: &Failure, lines: &[&str], request_id: &RequestId) -> Option<Vec<u8>> {
    let mut response = failure.response(request_id, ErrorForm::OAuth);
    failure::mark(&mut response, request_id);
    let mut head = lines.join("\r\n") + "\r\n";
    for (name, value) in response.headers() {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().ok()?));
    }
    let body = response.into_body().try_into_bytes().ok()?;
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    Some([head.as_bytes(), &body].concat())
}

fn malformed(rule: &'static str) -> Failure {
    RefusedError::because(Reason::RequestMalformed, rule).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> RequestId {
        RequestId::new("01J00000000000000000000000").unwrap()
    }

    const OURS: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\nx-request-id: 1\r\n\r\n{}";
    const LIBRARYS: &str = "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: keep-alive\r\ndate: now\r\n\r\n";

    #[test]
    fn an_answer_of_the_library_is_told_as_ours_are_and_keeps_its_status_and_date() {
        let written = format!("{OURS}{LIBRARYS}");
        let (start, answer) = rewritten(written.as_bytes(), id).unwrap();
        assert_eq!(start, OURS.len(), "what was answered before it is left alone");
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\ndate: now\r\nconnection: close\r\n"));
        for field in
            ["content-type: application/json", "cache-control: no-store", "x-request-id: 01J00000000000000000000000"]
        {
            assert!(head.contains(field), "{head}");
        }
        assert_eq!(head.matches("content-length:").count(), 1);
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["reason"], "request_malformed");
        assert_eq!(body["request_id"], id().as_str());
    }

    #[test]
    fn what_a_handler_answered_is_left_alone_and_so_is_what_is_no_error() {
        for written in [
            OURS,
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nx-request-id: 1\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 9\r\n\r\nbody\r\n\r\n",
            "\r\n\r\n",
            "HTTP/1.1\r\n\r\n",
            "",
        ] {
            assert_eq!(rewritten(written.as_bytes(), id), None, "{written}");
        }
    }
}
