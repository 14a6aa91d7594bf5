//! The fields of a form that was sent.

use actix_web::HttpRequest;
use actix_web::http::header;

use crate::{BrowserRequest, PageError};

/// The fields, in their order.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// The form in the body of `request`.
    pub(crate) fn read(request: &HttpRequest) -> Result<Self, PageError> {
        use actix_web::HttpMessage as _;
        let media = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media = media.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        if !media.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(PageError::NotAForm);
        }
        let extensions = request.extensions();
        let body = &extensions.get::<BrowserRequest>().ok_or(PageError::Fault)?.body;
        Ok(Self(url::form_urlencoded::parse(body).into_owned().collect()))
    }

    /// The value of the field, empty if it is not there.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }

    /// The value without the spaces around it.
    pub(crate) fn trimmed(&self, name: &str) -> &str {
        self.field(name).trim()
    }
}
