//! Pages that say one thing, and the errors that become one.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use askama::Template;
use sts_store::LedgerError;

use crate::pages::Frame;
use crate::sign_in::SignInError;
use crate::{AdminTokenError, ApiError, BrowserRequest, MissingRight, SessionError, events};

/// Why a page is not shown. The guard turns it into a page of its own.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// There is no such page.
    #[error("There is no page at this address.")]
    NotFound,
    /// Filters that the page does not have.
    #[error("The address asks for a list that there is not: {0}.")]
    Query(String),
    /// There is no session, or it has ended.
    #[error("You are not signed in, or your session has ended.")]
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
    /// A sign-in that no person began.
    #[error("Nothing was done: something within a page asked for this address. Open it as a page of its own.")]
    NotNavigated,
    /// A body that is no form.
    #[error("Nothing was done: the request is not a form (application/x-www-form-urlencoded).")]
    NotAForm,
    /// A link that opens nothing.
    #[error(
        "This link was used already, is older than a minute, or was made with an admin token that has changed. Run `sts console link` again."
    )]
    LinkEnded,
    /// The store of sessions did not answer.
    #[error("The store did not answer, so your session could not be looked up. Try again in a moment.")]
    StoreUnavailable(#[source] LedgerError),
    /// The admin token cannot be read, so nothing tells whether the session goes on.
    #[error(
        "The server cannot read its admin token, which this session or link rests on. It goes on once the token can be read again. The server's log says what is wrong, under the request id."
    )]
    NoAdminToken(#[source] AdminTokenError),
    /// The admin API refused.
    #[error("{0}")]
    Api(#[from] ApiError),
    /// Nobody was signed in.
    #[error("{0}")]
    SignIn(#[from] SignInError),
    /// A fault of ours.
    #[error("The server failed to make this page. Its log says why, under the request id.")]
    Fault,
}

impl PageError {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Query(_) => StatusCode::BAD_REQUEST,
            Self::SignedOut => StatusCode::UNAUTHORIZED,
            Self::ReadOnly | Self::ForgedForm | Self::ForeignForm | Self::NotNavigated => StatusCode::FORBIDDEN,
            Self::NotAForm => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::LinkEnded => StatusCode::GONE,
            Self::StoreUnavailable(_) | Self::NoAdminToken(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::SignIn(error) => error.status(),
            Self::Api(error) => StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            Self::Fault => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::Query(_) => "Not shown",
            Self::SignedOut => "Not signed in",
            Self::LinkEnded => "This link has ended",
            Self::StoreUnavailable(_) => "The store is unavailable",
            Self::NoAdminToken(_) => "The admin token cannot be read",
            Self::SignIn(error) => error.title(),
            Self::Fault => "The server failed",
            Self::ReadOnly
            | Self::ForgedForm
            | Self::ForeignForm
            | Self::NotNavigated
            | Self::NotAForm
            | Self::Api(_) => "Not done",
        }
    }

    fn offers_sign_in(&self) -> bool {
        matches!(self, Self::SignedOut | Self::LinkEnded | Self::SignIn(_))
    }

    /// The page that says it. `sign_in` leads to the provider, where there is one.
    pub(crate) fn page(&self, browser: &BrowserRequest, frame: Option<Frame>, sign_in: Option<String>) -> HttpResponse {
        let request_id = &browser.request_id;
        match self {
            Self::StoreUnavailable(error) => {
                tracing::error!(%request_id, %error, "a console page was not shown: no session")
            }
            Self::NoAdminToken(error) => {
                tracing::error!(%request_id, %error, "a console page was not shown: the admin token cannot be read");
            }
            _ => {}
        }
        if let Self::SignIn(error) = self {
            events::refused(browser, error.user(), &error.why());
        }
        let text = self.to_string();
        let (title, text, request_id) = (self.title(), text.as_str(), request_id.as_str());
        let page = match (self, frame) {
            (Self::SignIn(_), _) | (_, None) => html(self.status(), &self.bare_page(browser, text, sign_in)),
            (_, Some(frame)) => html(self.status(), &FramedErrorPage { frame, title, text, request_id }),
        };
        page.unwrap_or_else(|_| HttpResponse::InternalServerError().finish())
    }

    /// The page for somebody without a session.
    fn bare_page<'a>(&'a self, browser: &'a BrowserRequest, text: &'a str, sign_in: Option<String>) -> ErrorPage<'a> {
        let (user, missing) = match self {
            Self::SignIn(SignInError::NotAdmitted { user, missing }) => (Some(user.as_str()), missing.as_slice()),
            _ => (None, [].as_slice()),
        };
        ErrorPage {
            title: self.title(),
            text,
            request_id: browser.request_id.as_str(),
            offers_link: matches!(self, Self::SignedOut | Self::LinkEnded),
            sign_in: sign_in.filter(|_| self.offers_sign_in()),
            user,
            missing,
        }
    }
}

impl From<SessionError> for PageError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Store(error) => Self::StoreUnavailable(error),
            SessionError::NoAdminToken(error) => Self::NoAdminToken(error),
        }
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
    /// Whether `sts console link` helps.
    offers_link: bool,
    /// Where to sign in.
    sign_in: Option<String>,
    /// Who signed in at the provider and may not enter.
    user: Option<&'a str>,
    /// The conditions that this person does not meet.
    missing: &'a [MissingRight],
}

/// The error of a session, which keeps the navigation at hand.
#[derive(Template)]
#[template(path = "framed_error.html")]
struct FramedErrorPage<'a> {
    frame: Frame,
    title: &'static str,
    text: &'a str,
    request_id: &'a str,
}

impl FramedErrorPage<'_> {
    fn title(&self) -> &'static str {
        self.title
    }
}

/// An answer with that page.
pub(crate) fn html(status: StatusCode, page: &impl Template) -> Result<HttpResponse, PageError> {
    let text = page.render().map_err(|_| PageError::Fault)?;
    Ok(HttpResponse::build(status).content_type("text/html; charset=utf-8").body(text))
}
