//! One refused request.

use actix_web::HttpResponse;
use askama::Template;
use sts_api::{Denial, DenialDraft};
use sts_types::UnixTime;

use super::{api_path, path};
use crate::PageError;
use crate::page_request::PageRequest;
use crate::pages::difference::Marked;
use crate::pages::frame::{Frame, Section};
use crate::pages::pieces::{segment, text};
use crate::pages::trace::{TraceView, sides};

#[derive(Debug, Template)]
#[template(path = "denial.html")]
struct Refusal {
    frame: Frame,
    time: UnixTime,
    /// What is at fault, where no trace shows it.
    fault: Option<Fault>,
    trace: TraceView,
    facts: Vec<Fact>,
    token: Vec<Fact>,
    /// Whether a key of the issuer verified the token.
    is_verified: bool,
    draft: DenialDraft,
    allow_path: String,
    denial: Denial,
}

impl Refusal {
    #[expect(clippy::unused_self, reason = "the layout asks each page for its title")]
    fn title(&self) -> &'static str {
        "Refused request"
    }
}

/// What the claim, parameter or setting at fault is, and what it should be.
#[derive(Debug)]
struct Fault {
    on: String,
    expected: Option<Marked>,
    actual: Option<Marked>,
}

/// A member of the request or its token.
#[derive(Debug)]
struct Fact {
    name: String,
    value: String,
    path: Option<String>,
}

/// `GET /console/denials/{request_id}`.
pub(super) async fn show(request: PageRequest) -> Result<HttpResponse, PageError> {
    let id = request.parameter("request_id");
    let denial: Denial = request.get(api_path(&id)).await?;
    let draft: DenialDraft = request.get(format!("{}/draft", api_path(&id))).await?;
    let trace = TraceView::new(denial.decision.as_ref());
    let page = Refusal {
        frame: request.frame(Section::Denials),
        time: denial.time,
        fault: Fault::of(&denial).filter(|_| trace.identities.is_empty()),
        trace,
        facts: facts(&denial),
        token: token(&denial),
        is_verified: denial.presented.as_ref().is_some_and(|token| token.verified),
        draft,
        allow_path: format!("{}/allow", path(&id)),
        denial,
    };
    request.page(&page)
}

impl Fault {
    fn of(denial: &Denial) -> Option<Self> {
        let on = denial.claim.clone()?;
        let (expected, actual) = match (denial.expected.as_deref(), denial.actual.as_deref()) {
            (Some(expected), actual) => {
                let (expected, actual) = sides(expected, actual, false);
                (Some(expected), actual)
            }
            (None, actual) => (None, actual.map(Marked::plain)),
        };
        Some(Self { on, expected, actual })
    }
}

impl Fact {
    fn new(name: &str, value: Option<String>) -> Option<Self> {
        Some(Self { name: name.to_owned(), value: value.filter(|value| !value.is_empty())?, path: None })
    }

    fn with_path(self, path: String) -> Self {
        Self { path: Some(path), ..self }
    }
}

/// The request.
fn facts(denial: &Denial) -> Vec<Fact> {
    let account = |account: &String| format!("{}/{}", Section::ServiceAccounts.path(), segment(account));
    let issuer = |issuer: &String| format!("{}/{}", Section::Issuers.path(), segment(issuer));
    let linked = |name: &str, value: &Option<String>, to: &dyn Fn(&String) -> String| {
        let fact = Fact::new(name, value.clone())?;
        let path = to(&fact.value);
        Some(fact.with_path(path))
    };
    let facts = [
        Fact::new("Reason", Some(denial.reason.clone())),
        linked("Service account", &denial.account, &account),
        Fact::new("Nearest identity", denial.nearest_identity.clone()),
        linked("Issuer", &denial.issuer_entry, &issuer),
        Fact::new("Subject", denial.subject.clone()),
        Fact::new("Audience", Some(denial.asked.join(" "))),
        Fact::new("Scope", denial.scope.clone()),
        Fact::new("Address", denial.source.map(|address| address.to_string())),
        Fact::new("Generation", Some(denial.generation.clone())),
        Fact::new("The caller was told", Some(denial.told.clone())),
    ];
    facts.into_iter().flatten().collect()
}

/// What the token says of itself.
fn token(denial: &Denial) -> Vec<Fact> {
    let Some(token) = &denial.presented else { return Vec::new() };
    let time = |number: &Option<serde_json::Number>| {
        let seconds = number.as_ref()?.as_i64()?;
        Some(UnixTime::from_secs(seconds).to_rfc3339().unwrap_or_else(|| seconds.to_string()))
    };
    let own = [
        Fact::new("iss", token.iss.clone()),
        Fact::new("aud", Some(token.aud.join(" "))),
        Fact::new("kid", token.kid.clone()),
        Fact::new("alg", token.alg.clone()),
        Fact::new("typ", token.typ.clone()),
        Fact::new("iat", time(&token.iat)),
        Fact::new("nbf", time(&token.nbf)),
        Fact::new("exp", time(&token.exp)),
    ];
    let origin = denial.origin.iter().filter(|(name, _)| *name != "sub");
    let origin = origin.filter_map(|(name, value)| Fact::new(name, Some(text(Some(value)))));
    own.into_iter().flatten().chain(origin).collect()
}
