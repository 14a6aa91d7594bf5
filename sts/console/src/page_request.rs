//! What the handler of a page works with: the session, the admin API in its name, and the answer.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, HttpResponse, HttpResponseBuilder};
use askama::Template;
use serde::de::DeserializeOwned;

use crate::form::Form;
use crate::page::html;
use crate::pages::{Frame, Section};
use crate::{Actor, ApiError, ApiRequest, Console, PageError, SignedIn, notice};

/// A request of a signed-in browser for a page. Where it is a form, it has the session's token.
#[derive(Debug)]
pub(crate) struct PageRequest {
    console: Data<Console>,
    signed_in: SignedIn,
    request: HttpRequest,
    notice: Option<String>,
}

impl PageRequest {
    /// In whose name the admin API is asked.
    pub(crate) fn actor(&self) -> Actor {
        self.signed_in.actor()
    }

    /// Reads the document at `target` below `/admin/v1`.
    pub(crate) async fn get<T: DeserializeOwned>(&self, target: impl Into<String>) -> Result<T, ApiError> {
        Ok(self.get_tagged(target).await?.0)
    }

    /// Reads the document at `target`, with its entity tag.
    pub(crate) async fn get_tagged<T: DeserializeOwned>(
        &self,
        target: impl Into<String>,
    ) -> Result<(T, Option<String>), ApiError> {
        self.console.api().get(&self.actor(), target).await
    }

    /// Sends a request to the admin API, which judges the rights of the session.
    pub(crate) async fn send<T: DeserializeOwned>(&self, request: ApiRequest) -> Result<T, ApiError> {
        Ok(self.console.api().send(&self.actor(), request).await?.0)
    }

    /// The form that was sent.
    pub(crate) fn form(&self) -> Result<Form, PageError> {
        Form::read(&self.request)
    }

    /// The query string.
    pub(crate) fn query(&self) -> &str {
        self.request.query_string()
    }

    /// The parameter of the page's path.
    pub(crate) fn parameter(&self, name: &str) -> String {
        self.request.match_info().get(name).map(decoded).unwrap_or_default()
    }

    /// Refuses a session that may only read.
    pub(crate) fn require_admin(&self) -> Result<(), PageError> {
        self.signed_in.require_admin()
    }

    /// What the page has around it.
    pub(crate) fn frame(&self, section: Section) -> Frame {
        Frame::new(self.signed_in.session(), section, &self.console.api().managed_kinds(), self.notice.clone())
    }

    /// An answer with `page`.
    pub(crate) fn page(&self, page: &impl Template) -> Result<HttpResponse, PageError> {
        self.page_with(StatusCode::OK, page)
    }

    /// An answer with `page` and a status, for a form that was not taken.
    pub(crate) fn page_with(&self, status: StatusCode, page: &impl Template) -> Result<HttpResponse, PageError> {
        let mut response = html(status, page)?;
        if self.notice.is_some() {
            let (name, value) = notice::no_cookie();
            let value = header::HeaderValue::try_from(value).map_err(|_| PageError::Fault)?;
            response.headers_mut().append(name, value);
        }
        Ok(response)
    }

    /// The answer to a form that was taken: on to the page at `path`, which says `notice` once.
    pub(crate) fn done(&self, path: &str, notice: &str) -> HttpResponse {
        see_other(path).append_header(notice::cookie(notice)).finish()
    }
}

/// On to `path` of the console.
pub(crate) fn see_other(path: &str) -> HttpResponseBuilder {
    let mut response = HttpResponse::SeeOther();
    response.insert_header((header::LOCATION, path));
    response
}

/// The text of a parameter. The listener encodes each percent sign of a path once more, so that the
/// router does not decode it.
fn decoded(parameter: &str) -> String {
    let sent = parameter.replace("%25", "%").replace('+', "%2B").replace('&', "%26");
    let encoded = format!("v={sent}");
    url::form_urlencoded::parse(encoded.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

impl FromRequest for PageRequest {
    type Error = PageError;
    type Future = Ready<Result<Self, PageError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let console = request.app_data::<Data<Console>>().cloned().ok_or(PageError::Fault);
        let signed_in = SignedIn::from_request(request, payload).into_inner();
        ready(console.and_then(|console| {
            let signed_in = signed_in?;
            // Each form is part of a change, even the one that only tries it.
            if request.method() != actix_web::http::Method::GET {
                signed_in.require_admin_for_form(request)?;
            }
            let notice = notice::read(request);
            Ok(Self { console, signed_in, request: request.clone(), notice })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::pieces::segment;

    #[test]
    fn a_parameter_is_read_as_links_write_it() {
        for text in ["a", "a/b c+%41", "é&=?#", "%2F", ""] {
            assert_eq!(decoded(&segment(text).replace('%', "%25")), text);
        }
    }
}
