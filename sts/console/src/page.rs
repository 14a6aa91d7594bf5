//! Pages that say one thing, and the errors that become one.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use askama::Template;
use sts_types::RequestId;

use crate::{ApiError, SessionError};

/// Why a page is not shown. The guard turns it into a page of its own.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// There is no such page.
    #[error("There is no page at this address.")]
    NotFound,
    /// There is no session, or it has ended.
    #[error(
        "You are not signed in, or your session has ended. Run `sts console link` where the server runs, and open the link."
    )]
    SignedOut,
    /// The session may only read.
    #[error("Nothing was changed: your session may look at everything and change nothing.")]
    ReadOnly,
    /// A form without the token of its session.
    #[error("Nothing was done: the form is not one of your session. Open the page again, and send its form.")]
    ForgedForm,
    /// A form that another site sent.
    #[error("Nothing was done: another site sent this form.")]
    ForeignForm,
    /// A body that is no form.
    #[error("Nothing was done: the request is not a form (application/x-www-form-urlencoded).")]
    NotAForm,
    /// A link that opens nothing.
    #[error("This link was used already, or is older than a minute. Run `sts console link` again.")]
    LinkEnded,
    /// The store of sessions did not answer.
    #[error("The store did not answer, so your session could not be looked up. Try again in a moment.")]
    StoreUnavailable(#[from] SessionError),
    /// The admin API refused.
    #[error("{0}")]
    Api(#[from] ApiError),
    /// A fault of ours.
    #[error("The server failed to make this page. Its log says why, under the request id.")]
    Fault,
}

impl PageError {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::SignedOut => StatusCode::UNAUTHORIZED,
            Self::ReadOnly | Self::ForgedForm | Self::ForeignForm => StatusCode::FORBIDDEN,
            Self::NotAForm => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::LinkEnded => StatusCode::GONE,
            Self::StoreUnavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Api(error) => StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            Self::Fault => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::SignedOut => "Not signed in",
            Self::LinkEnded => "This link has ended",
            Self::StoreUnavailable(_) => "The store is unavailable",
            Self::Fault => "The server failed",
            Self::ReadOnly | Self::ForgedForm | Self::ForeignForm | Self::NotAForm | Self::Api(_) => "Not done",
        }
    }

    /// The page that says it.
    pub(crate) fn page(&self, request_id: &RequestId) -> HttpResponse {
        if let Self::StoreUnavailable(error) = self {
            tracing::error!(%request_id, %error, "a console page was not shown");
        }
        let text = self.to_string();
        let page = ErrorPage { title: self.title(), text: &text, request_id: request_id.as_str() };
        html(self.status(), &page).unwrap_or_else(|_| HttpResponse::InternalServerError().finish())
    }
}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    fn error_response(&self) -> HttpResponse {
        // The guard puts a page in its place.
        HttpResponse::new(self.status())
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    title: &'static str,
    text: &'a str,
    request_id: &'a str,
}

/// An answer with that page.
pub(crate) fn html(status: StatusCode, page: &impl Template) -> Result<HttpResponse, PageError> {
    let text = page.render().map_err(|_| PageError::Fault)?;
    Ok(HttpResponse::build(status).content_type("text/html; charset=utf-8").body(text))
}
