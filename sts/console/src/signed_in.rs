//! The way into a page: a session, and for a form the token of that session.

use std::future::{Ready, ready};
use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};

use crate::form::Form;
use crate::{Actor, BrowserRequest, PageError, Rights, Session, events};

/// The hidden field that each form has.
const CSRF_FIELD: &str = "csrf";

/// The session of a request. It exists for a form only if the form has the session's token.
#[derive(Clone, Debug)]
pub struct SignedIn {
    session: Rc<Session>,
    request: BrowserRequest,
}

/// The session that the guard found, in the request's extensions.
#[derive(Clone)]
pub(crate) struct FoundSession(pub(crate) Rc<Session>);

impl SignedIn {
    /// The session.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// In whose name to ask the admin API.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor { source: self.request.address, ..self.session.actor(self.request.request_id.clone()) }
    }

    /// Refuses a session that may only read.
    ///
    /// # Errors
    /// The 403 page.
    pub fn require_admin(&self) -> Result<(), PageError> {
        if self.session.rights == Rights::Admin { Ok(()) } else { Err(PageError::ReadOnly) }
    }

    /// Refuses a form in a session that may only read, and records it.
    pub(crate) fn require_admin_for_form(&self, form: &HttpRequest) -> Result<(), PageError> {
        self.require_admin().inspect_err(|_| events::read_only(&self.request, &self.session, form))
    }

    fn of(request: &HttpRequest) -> Result<Self, PageError> {
        let found = request.extensions().get::<FoundSession>().cloned();
        let FoundSession(session) = found.ok_or(PageError::SignedOut)?;
        // HEAD is served as GET.
        if request.method() != Method::GET {
            let form = Form::read(request)?;
            if !sts_jose::constant_time_eq(form.field(CSRF_FIELD).as_bytes(), session.csrf.as_bytes()) {
                return Err(PageError::ForgedForm);
            }
        }
        let request = request.extensions().get::<BrowserRequest>().cloned().ok_or(PageError::Fault)?;
        Ok(Self { session, request })
    }
}

impl FromRequest for SignedIn {
    type Error = PageError;
    type Future = Ready<Result<Self, PageError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}
