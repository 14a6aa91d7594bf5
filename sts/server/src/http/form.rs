//! Chooses the reader of a body by its one `Content-Type`: a form
//! (`application/x-www-form-urlencoded`), or JSON with the same names.

use actix_web::HttpRequest;
use actix_web::http::header;
use sts_service::{PARAMETERS, Parameters, Reason, RefusedError};
use sts_types::rfc::parameter;

use super::Failure;

/// Which bodies an endpoint reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepts {
    /// A form only.
    Form,
    /// A form, or JSON with the same names.
    FormOrJson,
}

/// The media type of a body.
#[derive(PartialEq, Eq)]
pub(crate) enum Media {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `application/json`.
    Json,
    /// `application/merge-patch+json`.
    MergePatch,
}

/// Decodes a body by its `Content-Type`.
pub(crate) fn parameters<'b>(
    request: &HttpRequest,
    body: &'b [u8],
    accepts: Accepts,
) -> Result<Parameters<'b>, Failure> {
    forbid_query(request)?;
    match read_media(request).map_err(|why| unread(why, accepts))? {
        Media::Form => Ok(from_form(body, accepts)?),
        Media::Json if accepts == Accepts::FormOrJson => Ok(from_json(body)?),
        Media::Json | Media::MergePatch => Err(unread("JSON is not read here", accepts)),
    }
}

/// 415, with the accepted media types.
fn unread(why: &'static str, accepts: Accepts) -> Failure {
    let read = match accepts {
        Accepts::Form => "application/x-www-form-urlencoded",
        Accepts::FormOrJson => "application/x-www-form-urlencoded or application/json",
    };
    Failure::media_type(format!("{why}: send {read}"))
}

/// Many clients send the form type by default, so JSON under that type is a common mistake.
fn from_form(body: &[u8], accepts: Accepts) -> Result<Parameters<'_>, RefusedError> {
    let read = Parameters::from_form(body);
    let is_sound = || read.as_ref().is_ok_and(|read| read.has(parameter::GRANT_TYPE) || read.has(parameter::TOKEN));
    if !matches!(first_byte(body), Some(b'{' | b'[')) || is_sound() {
        return read;
    }
    Err(RefusedError::because(
        Reason::RequestMalformed,
        match accepts {
            Accepts::Form => "the body is JSON: send its members as a form (application/x-www-form-urlencoded)",
            Accepts::FormOrJson => {
                "the body is JSON, but its Content-Type says that it is a form: send it as application/json"
            }
        },
    ))
}

fn from_json(body: &[u8]) -> Result<Parameters<'_>, RefusedError> {
    let looks_like_a_form = || !matches!(first_byte(body), None | Some(b'{' | b'[' | b'"')) && body.contains(&b'=');
    Parameters::from_json(body).map_err(|refused| match looks_like_a_form() {
        true => RefusedError::because(
            Reason::RequestMalformed,
            "the body is a form, but its Content-Type says that it is JSON: send it as application/x-www-form-urlencoded",
        ),
        false => refused,
    })
}

fn first_byte(body: &[u8]) -> Option<u8> {
    body.trim_ascii_start().first().copied()
}

/// Parameters belong in the body. A query would end up in logs (RFC 6749 section 3.2).
fn forbid_query(request: &HttpRequest) -> Result<(), Failure> {
    let names = request.query_string().split('&').map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
    for name in names {
        if name.contains('%') || PARAMETERS.contains(&name) {
            let rule = "parameters belong in the body, not in the query";
            return Err(RefusedError::because(Reason::RequestMalformed, rule).into());
        }
    }
    Ok(())
}

/// The body's only media type, in UTF-8 and uncompressed.
pub(crate) fn media(request: &HttpRequest) -> Result<Media, Failure> {
    read_media(request).map_err(Failure::media_type)
}

fn read_media(request: &HttpRequest) -> Result<Media, &'static str> {
    const OTHER: &str = "the body's media type is not read here";
    let mut types = request.headers().get_all(header::CONTENT_TYPE);
    let value = types.next().ok_or("the body has no Content-Type")?;
    if types.next().is_some() {
        return Err("there is more than one Content-Type");
    }
    let mut encodings = request.headers().get_all(header::CONTENT_ENCODING);
    if encodings.any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err("a compressed body is not read here");
    }
    let mut parts = value.to_str().map_err(|_| OTHER)?.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let media = if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Media::Form
    } else if essence.eq_ignore_ascii_case("application/json") {
        Media::Json
    } else if essence.eq_ignore_ascii_case("application/merge-patch+json") {
        Media::MergePatch
    } else if essence.eq_ignore_ascii_case("multipart/form-data") {
        return Err("multipart/form-data is not read here");
    } else {
        return Err(OTHER);
    };
    for parameter in parts.filter(|part| !part.is_empty()) {
        let (name, value) = parameter.split_once('=').ok_or("the Content-Type is malformed")?;
        let charset = name.eq_ignore_ascii_case("charset").then(|| value.trim_matches('"'));
        if charset.is_some_and(|charset| !["utf-8", "us-ascii"].iter().any(|read| charset.eq_ignore_ascii_case(read))) {
            return Err("only UTF-8 is read here");
        }
    }
    Ok(media)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::reason::HttpReason;
    use actix_web::test::TestRequest;

    fn with<'b>(content_type: &str, body: &'b str) -> Result<Parameters<'b>, HttpReason> {
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
            assert_eq!(with(bad, "a=b").err(), Some(HttpReason::MediaType), "{bad}");
        }
    }

    #[test]
    fn c110_broken_encodings_are_refused() {
        for bad in ["a=%zz", "a=%4", "a=%", "a=%00", "a=%ff", "a=%c0%af"] {
            assert_eq!(with(FORM, bad).err(), Some(Reason::RequestMalformed.into()), "{bad}");
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
            assert_eq!(with(json, bad).err(), Some(Reason::RequestMalformed.into()), "{bad}");
        }
    }

    fn told(content_type: Option<&str>, body: &str, accepts: Accepts) -> String {
        let mut request = TestRequest::post();
        if let Some(content_type) = content_type {
            request = request.insert_header((header::CONTENT_TYPE, content_type));
        }
        let outcome = parameters(&request.to_http_request(), body.as_bytes(), accepts);
        outcome.map_or_else(|failure| failure.text().to_owned(), |_| "read".to_owned())
    }

    #[test]
    fn fld45_a_body_of_another_kind_than_its_content_type_is_told_so() {
        use Accepts::FormOrJson;
        let (form, json) = ("grant_type=x&subject_token=y", r#"{"grant_type":"x","subject_token":"a+b%"}"#);
        assert_eq!(told(Some(FORM), form, FormOrJson), "read");
        assert_eq!(told(Some("application/json"), r#"{"grant_type":"x"}"#, FormOrJson), "read");
        for body in [json, " \r\n{}", "[]", "{\"grant_type\":\"a&b=c\"}"] {
            for content_type in [FORM, "application/x-www-form-urlencoded; charset=utf-8"] {
                assert!(told(Some(content_type), body, FormOrJson).contains("send it as application/json"), "{body}");
                assert!(told(Some(content_type), body, Accepts::Form).contains("the body is JSON"), "{body}");
            }
        }
        // An unknown parameter may be called as it likes.
        assert_eq!(told(Some(FORM), "{x=1&grant_type=y", FormOrJson), "read");
        assert!(told(Some("application/json"), form, FormOrJson).contains("the body is a form"));
        assert!(told(Some("application/json"), "", FormOrJson).contains("not one strict JSON object"));
        for (content_type, why) in [
            (None, "the body has no Content-Type: send application/x-www-form-urlencoded or application/json"),
            (Some("multipart/form-data; boundary=x"), "multipart/form-data is not read here: send "),
            (Some("application/json; charset=latin1"), "only UTF-8 is read here: send "),
            (Some("text/plain"), "the body's media type is not read here: send "),
        ] {
            assert!(told(content_type, form, FormOrJson).starts_with(why), "{content_type:?}");
        }
        assert_eq!(
            told(Some("application/json"), json, Accepts::Form),
            "JSON is not read here: send application/x-www-form-urlencoded"
        );
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
