//! Who came and who was refused, for the audit trail.

use std::fmt;
use std::sync::Arc;

use actix_web::HttpRequest;
use serde::{Deserialize, Serialize};

use crate::{BrowserRequest, Rights, Session};

/// How a session was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignedInBy {
    /// A link of `sts console link`.
    Link,
    /// The OpenID provider.
    Provider,
}

impl SignedInBy {
    /// Its name in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Provider => "provider",
        }
    }
}

/// What happened to a session.
#[derive(Clone, Copy)]
pub enum SessionEvent<'e> {
    /// It was opened.
    SignedIn {
        /// The user's name.
        user: &'e str,
        /// How.
        by: SignedInBy,
        /// What it may do.
        rights: Rights,
    },
    /// It was ended.
    SignedOut {
        /// The user's name.
        user: &'e str,
        /// Why.
        why: &'e str,
    },
    /// A form was sent in a session that may only read.
    ReadOnly {
        /// The user's name.
        user: &'e str,
        /// The request with the form. Parts of its path may be secrets.
        form: &'e HttpRequest,
    },
    /// None was opened.
    Refused {
        /// The person, where the provider has named one.
        user: Option<&'e str>,
        /// Why.
        why: &'e str,
    },
}

impl fmt::Debug for SessionEvent<'_> {
    /// Without its texts: a request has the session's cookie.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionEvent").finish_non_exhaustive()
    }
}

/// Records what happens to sessions.
pub trait RecordSession: Send + Sync + 'static {
    /// Records one event. Does not wait.
    fn record(&self, browser: &BrowserRequest, event: SessionEvent<'_>);
}

/// Where a request's events go.
#[derive(Clone)]
pub struct SessionRecorder(Arc<dyn RecordSession>);

impl SessionRecorder {
    /// To `recorder`.
    #[must_use]
    pub fn new(recorder: Arc<dyn RecordSession>) -> Self {
        Self(recorder)
    }
}

impl fmt::Debug for SessionRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRecorder").finish_non_exhaustive()
    }
}

/// A session was opened.
pub(crate) fn signed_in(browser: &BrowserRequest, session: &Session) {
    let event = SessionEvent::SignedIn { user: &session.user, by: session.by, rights: session.rights };
    browser.events.0.record(browser, event);
}

/// A session was ended.
pub(crate) fn signed_out(browser: &BrowserRequest, session: &Session, why: &str) {
    browser.events.0.record(browser, SessionEvent::SignedOut { user: &session.user, why });
}

/// A form was sent in a session that may only read.
pub(crate) fn read_only(browser: &BrowserRequest, session: &Session, form: &HttpRequest) {
    browser.events.0.record(browser, SessionEvent::ReadOnly { user: &session.user, form });
}

/// Nobody was signed in. `user` is known where the provider has named the person.
pub(crate) fn refused(browser: &BrowserRequest, user: Option<&str>, why: &str) {
    browser.events.0.record(browser, SessionEvent::Refused { user, why });
}
