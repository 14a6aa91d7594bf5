//! Which reader a body goes to: a form (`application/x-www-form-urlencoded`), or JSON with the same names, by one clear
//! `Content-Type`.

use actix_web::HttpRequest;
use actix_web::http::header;
use sts_service::{Parameters, Reason, Refused};

use super::Failure;

/// Which bodies an endpoint reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepts {
    /// A form only.
    Form,
    /// A form, or JSON with the same names.
    FormOrJson,
}

/// What a body says that it is.
#[derive(PartialEq, Eq)]
pub(super) enum Media {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `application/json`.
    Json,
}

/// Decodes a body by its `Content-Type`.
pub(crate) fn parameters<'b>(
    request: &HttpRequest,
    body: &'b [u8],
    accepts: Accepts,
) -> Result<Parameters<'b>, Failure> {
    forbid_query(request)?;
    match media(request)? {
        Media::Form => Ok(Parameters::from_form(body)?),
        Media::Json if accepts == Accepts::FormOrJson => Ok(Parameters::from_json(body)?),
        Media::Json => Err(Reason::MediaType.into()),
    }
}

/// Parameters belong in the body: one in the query would land in logs (RFC 6749 section 3.2, requirements O2-5 and SB-6).
fn forbid_query(request: &HttpRequest) -> Result<(), Failure> {
    const OURS: [&str; 20] = [
        "grant_type",
        "subject_token",
        "subject_token_type",
        "actor_token",
        "actor_token_type",
        "requested_token_type",
        "token",
        "token_type_hint",
        "access_token",
        "refresh_token",
        "client_id",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
        "password",
        "code",
        "audience",
        "resource",
        "scope",
        "expires_in",
    ];
    let names = request.query_string().split('&').map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
    for name in names {
        if name.contains('%') || OURS.contains(&name) {
            let rule = "parameters belong in the body, not in the query";
            return Err(Refused::because(Reason::RequestMalformed, rule).into());
        }
    }
    Ok(())
}

/// The one media type of a body, in UTF-8 and not compressed.
pub(super) fn media(request: &HttpRequest) -> Result<Media, Failure> {
    let refused = || Failure::from(Reason::MediaType);
    let mut types = request.headers().get_all(header::CONTENT_TYPE);
    let (Some(value), None) = (types.next(), types.next()) else { return Err(refused()) };
    if request
        .headers()
        .get_all(header::CONTENT_ENCODING)
        .any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(refused());
    }
    let text = value.to_str().map_err(|_| refused())?;
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    for parameter in parts.filter(|part| !part.is_empty()) {
        let (name, value) = parameter.split_once('=').ok_or_else(refused)?;
        let value = value.trim_matches('"');
        if name.eq_ignore_ascii_case("charset")
            && !value.eq_ignore_ascii_case("utf-8")
            && !value.eq_ignore_ascii_case("us-ascii")
        {
            return Err(refused());
        }
    }
    if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Ok(Media::Form)
    } else if essence.eq_ignore_ascii_case("application/json") {
        Ok(Media::Json)
    } else {
        Err(refused())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn with<'b>(content_type: &str, body: &'b str) -> Result<Parameters<'b>, Reason> {
        let request = TestRequest::post().insert_header((header::CONTENT_TYPE, content_type)).to_http_request();
        parameters(&request, body.as_bytes(), Accepts::FormOrJson).map_err(|failure| failure.reason())
    }

    const FORM: &str = "application/x-www-form-urlencoded";

    #[test]
    fn c108_only_forms_and_json_in_utf8_are_read() {
        for good in [
            FORM,
            "APPLICATION/x-www-form-urlencoded;charset=UTF-8",
            "application/x-www-form-urlencoded ; charset=\"utf-8\"",
        ] {
            assert!(with(good, "a=b").is_ok(), "{good}");
        }
        assert!(with("application/json; charset=utf-8", "{}").is_ok());
        for bad in [
            "text/plain",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded; charset=utf-7",
            "application/jwt",
            "",
        ] {
            assert_eq!(with(bad, "a=b").err(), Some(Reason::MediaType), "{bad}");
        }
    }

    #[test]
    fn c110_broken_encodings_are_refused() {
        for bad in ["a=%zz", "a=%4", "a=%", "a=%00", "a=%ff", "a=%c0%af"] {
            assert_eq!(with(FORM, bad).err(), Some(Reason::RequestMalformed), "{bad}");
        }
        let decoded = with(FORM, "a=x+%2B%20%C3%A9&&b=&c").unwrap();
        assert_eq!(decoded.one("a").unwrap(), Some("x + é"));
        assert_eq!(decoded.one("b").unwrap(), None);
        assert_eq!(decoded.one("c").unwrap(), None);
    }

    #[test]
    fn c109_a_json_body_has_strings_and_lists_for_audience_and_resource() {
        let json = "application/json";
        let body = with(json, r#"{"audience":["a","b"],"scope":null,"expires_in":60,"other":{"x":[1]}}"#).unwrap();
        assert_eq!(body.all("audience").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(body.one("expires_in").unwrap(), Some("60"));
        for bad in [
            r#"{"subject_token":1}"#,
            r#"{"subject_token":["x"]}"#,
            r#"{"audience":[1]}"#,
            "[]",
            "{\"a\":1,\"a\":1}",
            "",
        ] {
            assert_eq!(with(json, bad).err(), Some(Reason::RequestMalformed), "{bad}");
        }
    }

    #[test]
    fn sb06_a_parameter_in_the_query_is_refused() {
        let refused = |uri: &str| {
            let request = TestRequest::post().uri(uri).insert_header((header::CONTENT_TYPE, FORM)).to_http_request();
            parameters(&request, b"", Accepts::Form).is_err()
        };
        assert!(refused("/token?subject_token=x"));
        assert!(refused("/token?x=1&%74oken=x"));
        assert!(!refused("/token?trace=1"));
    }
}
