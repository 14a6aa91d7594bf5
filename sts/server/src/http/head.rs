//! Limits the size of a request's head. The HTTP library's own limit is twice ours, and the library
//! panics on a field name of our limit's length.

use actix_web::HttpRequest;
use actix_web::http::header;
use memchr::memchr;
use sts_service::{Reason, RefusedError};

use super::Failure;

/// The largest head, in octets.
const MAX_HEAD: usize = 64 * 1024;
/// The longest field name that the library can hold, in octets.
const MAX_FIELD_NAME: usize = 65_535;

/// Refuses a request whose head is too large. The connection refuses it earlier, unless it came
/// right behind another request.
fn refuse_large(request: &HttpRequest) -> Result<(), Failure> {
    if read_length(request) > MAX_HEAD { Err(Failure::head_too_large()) } else { Ok(()) }
}

/// Refuses a request whose body cannot be read, or whose `Host` is invalid (RFC 9112 section 3.2).
pub(super) fn refuse_malformed(request: &HttpRequest) -> Result<(), Failure> {
    refuse_large(request)?;
    let malformed = |rule| Err(RefusedError::because(Reason::RequestMalformed, rule).into());
    if asks_for_web_socket(request) {
        return malformed("no WebSocket is opened here: send no `Upgrade` header");
    }
    let host = request.headers().get(header::HOST).map_or(&[][..], |value| value.as_bytes());
    if !host.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]@/".contains(byte)) {
        return malformed("the Host header holds characters that no host has");
    }
    Ok(())
}

/// Whether the library takes everything that follows for the body of `request`, whatever its
/// length.
pub(super) fn asks_for_web_socket(request: &HttpRequest) -> bool {
    let mut values = request.headers().get_all(header::UPGRADE);
    values.any(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

fn read_length(request: &HttpRequest) -> usize {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let line = request.method().as_str().len() + target + " ".len() + " HTTP/1.1\r\n".len();
    let fields: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + ":\r\n".len()).sum();
    line + fields + "\r\n".len()
}

/// Measures a head while its octets arrive, before anything parses it.
#[derive(Clone, Copy, Default)]
pub(super) struct HeadLength {
    bytes: usize,
    /// Length of the current line.
    line: usize,
    /// Whether a non-blank line has ended. Blank lines may come before a request.
    has_text: bool,
    /// Whether the colon after the line's field name has come.
    is_named: bool,
    is_complete: bool,
    has_long_name: bool,
}

impl HeadLength {
    /// Measures `bytes`. Octets after the head belong to a body or to another request; in those,
    /// only the length of a field name matters.
    pub(super) fn observe(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let end = memchr(b'\n', bytes).map_or(bytes.len(), |index| index + 1);
            let (part, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
            self.observe_part(part);
            bytes = rest;
        }
    }

    /// Measures part of a line, or all of it.
    fn observe_part(&mut self, part: &[u8]) {
        if !self.is_named
            && let Some(colon) = memchr(b':', part)
        {
            self.is_named = true;
            self.has_long_name |= self.line + colon > MAX_FIELD_NAME;
        }
        self.line += part.len();
        if !self.is_complete {
            self.bytes += part.len();
        }
        if part.ends_with(b"\n") {
            let is_blank = self.line <= 2 && matches!(part, [b'\r', b'\n'] | [b'\n']);
            self.is_complete |= is_blank && self.has_text;
            self.has_text |= !is_blank;
            self.line = 0;
            self.is_named = false;
        }
    }

    pub(super) fn is_too_large(self) -> bool {
        self.bytes > MAX_HEAD || self.has_long_name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn fld55_a_head_is_counted_up_to_its_blank_line_however_it_is_cut() {
        let head = "GET / HTTP/1.1\r\nHost: x\r\nX:     y\r\n\r\n";
        let bytes = format!("{head}body\r\n\r\nand more\n\n");
        for cut in 1..bytes.len() {
            let mut length = HeadLength::default();
            let (first, second) = bytes.as_bytes().split_at(cut);
            length.observe(first);
            length.observe(second);
            assert_eq!(length.bytes, head.len(), "{cut}");
        }
        let mut after_blank_lines = HeadLength::default();
        after_blank_lines.observe(format!("\r\n\n\r\n{head}body").as_bytes());
        assert_eq!(after_blank_lines.bytes, 5 + head.len());
        let mut endless = HeadLength::default();
        (0..4000).for_each(|_| endless.observe(b"GET / HTTP/1.1\r\nX: "));
        assert!(endless.is_too_large());
    }

    #[test]
    fn fld55_behind_a_head_only_a_field_name_can_be_too_long() {
        let behind = |rest: &str| {
            let mut length = HeadLength::default();
            length.observe(format!("GET / HTTP/1.1\r\nHost: x\r\n\r\n{rest}").as_bytes());
            length.is_too_large()
        };
        assert!(!behind(&"x".repeat(65_536)), "a body");
        assert!(!behind(&format!("GET / HTTP/1.1\r\n{}: y\r\n\r\n", "x".repeat(MAX_FIELD_NAME))));
        assert!(behind(&format!("GET / HTTP/1.1\r\n{}: y\r\n\r\n", "x".repeat(MAX_FIELD_NAME + 1))));
    }

    #[test]
    fn fld55_a_head_of_64_kib_is_the_largest() {
        let with = |length: usize| {
            let request = TestRequest::get().uri("/").insert_header(("x", "y".repeat(length))).to_http_request();
            refuse_large(&request).is_ok()
        };
        let rest = "GET / HTTP/1.1\r\nx:\r\n\r\n".len();
        assert!(with(MAX_HEAD - rest));
        assert!(!with(MAX_HEAD - rest + 1));
    }
}
