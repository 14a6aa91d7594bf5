//! Who gets in by an identity, as the admin API judges it.

use serde_json::{Map, Value};
use sts_api::{AdmissionAnswer, AdmissionRequest, Admissions, TriedCondition, TriedKind};

use crate::page_request::PageRequest;
use crate::pages::pieces::{Badge, ProblemView, Tone};
use crate::{ApiError, ApiRequest, Method, PageError};

/// The tokens that were tried, by where they come from.
#[derive(Debug)]
pub(crate) struct WhoGetsIn {
    pub(crate) groups: Vec<Group>,
    /// In one sentence, for those who listen.
    pub(crate) summary: String,
    /// Why nothing could be tried.
    pub(crate) problem: Option<ProblemView>,
}

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) title: &'static str,
    /// What is said if there is none.
    pub(crate) empty: &'static str,
    pub(crate) rows: Vec<Row>,
}

/// A token that was tried.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) subject: String,
    pub(crate) verdict: Badge,
    /// The first condition that fails.
    pub(crate) why: Option<TriedCondition>,
    pub(crate) conditions: Vec<TriedCondition>,
}

impl Row {
    fn new(answer: &AdmissionAnswer) -> Self {
        let is_attack = answer.kind == TriedKind::Attack;
        let verdict = match (answer.admitted, is_attack) {
            (true, false) => Badge { tone: Tone::Good, word: "Admitted" },
            (true, true) => Badge { tone: Tone::Warning, word: "Admitted" },
            (false, _) => Badge { tone: Tone::Neutral, word: "Refused" },
        };
        Self {
            name: answer.name.clone(),
            subject: answer.subject.clone(),
            verdict,
            why: answer.conditions.iter().find(|condition| !condition.holds).cloned(),
            conditions: answer.conditions.clone(),
        }
    }
}

const GROUPS: [(TriedKind, &str, &str); 4] = [
    (TriedKind::Sample, "Sample tokens", "The platform has no sample."),
    (TriedKind::Attack, "Tokens of others", "None is known."),
    (TriedKind::Recent, "Recent tokens", "No token of this issuer came in the last 24 hours."),
    (TriedKind::Test, "Policy tests", "No policy test is about this issuer."),
];

/// Asks which tokens the identity, or its draft, would admit.
pub(super) async fn who_gets_in(
    request: &PageRequest,
    account: &str,
    identity: &Map<String, Value>,
    places: &[(String, String)],
) -> Result<WhoGetsIn, PageError> {
    let asked = AdmissionRequest { account: account.to_owned(), identity: identity.clone() };
    let asked = ApiRequest::new(Method::Post, "/admissions").with_body(&asked)?;
    match request.send::<Admissions>(asked).await {
        Ok(admissions) => Ok(WhoGetsIn::new(&admissions)),
        Err(error) if error.status == 422 || error.status == 400 => Ok(WhoGetsIn::refused(&error, places)),
        Err(error) => Err(error.into()),
    }
}

impl WhoGetsIn {
    fn new(admissions: &Admissions) -> Self {
        let group = |(kind, title, empty)| {
            let of_kind = admissions.items.iter().filter(|item| item.kind == kind);
            Group { title, empty, rows: of_kind.map(Row::new).collect() }
        };
        let admitted = admissions.items.iter().filter(|item| item.admitted).count();
        let strangers = admissions.items.iter().filter(|item| item.admitted && item.kind == TriedKind::Attack).count();
        let summary = format!("{admitted} of {} tokens get in, {strangers} of others.", admissions.items.len());
        Self { groups: GROUPS.map(group).into(), summary, problem: None }
    }

    fn refused(error: &ApiError, places: &[(String, String)]) -> Self {
        let problem = ProblemView::new("Nobody gets in: the identity is refused.", &error.told, places);
        Self { groups: Vec::new(), summary: "The identity is refused.".to_owned(), problem: Some(problem) }
    }
}
