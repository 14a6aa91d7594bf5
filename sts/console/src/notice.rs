//! What a form did, said once at the top of the page that follows.
//!
//! The text lies in a cookie between the two requests. Only this server can set a cookie of this
//! name, so no other page puts words into the console.

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderName};

const COOKIE: &str = "__Host-sts-notice";
/// A browser ignores a longer cookie. Names in a notice may be long.
const LONGEST: usize = 1000;

/// The notice that the browser brings.
pub(crate) fn read(request: &HttpRequest) -> Option<String> {
    let lines = request.headers().get_all(header::COOKIE).filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';'));
    let encoded = pairs.find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))?;
    let decoded = url::form_urlencoded::parse(encoded.as_bytes()).next()?.0.into_owned();
    (!decoded.is_empty()).then_some(decoded)
}

/// The `Set-Cookie` of a notice for the next page.
pub(crate) fn cookie(text: &str) -> (HeaderName, String) {
    let short: String = text.chars().take(LONGEST / 4).collect();
    let encoded: String = url::form_urlencoded::byte_serialize(short.as_bytes()).collect();
    (header::SET_COOKIE, format!("{COOKIE}={encoded}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=60"))
}

/// The `Set-Cookie` that takes the notice back, because a page has shown it.
pub(crate) fn no_cookie() -> (HeaderName, String) {
    (header::SET_COOKIE, format!("{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_notice_is_read_as_it_was_written() {
        let text = "Created “a;b=c & d”. + 50 %";
        let (_, written) = cookie(text);
        let pair = written.split("; ").next().unwrap().to_owned();
        let request = TestRequest::default().insert_header((header::COOKIE, format!("x=1; {pair}"))).to_http_request();
        assert_eq!(read(&request).as_deref(), Some(text));
        assert!(cookie(&"é".repeat(5000)).1.len() < 4096);
        let none = TestRequest::default().insert_header((header::COOKIE, "__Host-sts-notice=")).to_http_request();
        assert_eq!(read(&none), None);
    }
}
