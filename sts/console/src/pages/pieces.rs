//! Pieces that several pages share.

use serde_json::Value;
use sts_api::{ErrorAnswer, NotInForce, Object, ObjectQuery};

use crate::PageError;

/// Colour and icon of a state. A word always stands beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Somebody should look at it.
    Warning,
    /// Something does not work.
    Bad,
    /// Neither good nor bad.
    Neutral,
}

impl Tone {
    /// Its class in the stylesheet.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
            Self::Neutral => "neutral",
        }
    }

    /// How much it matters.
    #[must_use]
    pub const fn severity(self) -> u8 {
        match self {
            Self::Neutral => 0,
            Self::Good => 1,
            Self::Warning => 2,
            Self::Bad => 3,
        }
    }

    /// Its icon as markup.
    #[must_use]
    pub const fn icon(self) -> &'static str {
        match self {
            Self::Good => include_str!("../../templates/pieces/good.svg"),
            Self::Warning => include_str!("../../templates/pieces/warning.svg"),
            Self::Bad => include_str!("../../templates/pieces/bad.svg"),
            Self::Neutral => include_str!("../../templates/pieces/neutral.svg"),
        }
    }
}

/// A state in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Badge {
    /// Its colour and icon.
    pub tone: Tone,
    /// The word.
    pub word: &'static str,
}

impl Badge {
    /// The state of an object of the rules.
    #[must_use]
    pub fn of_object(object: &Object) -> Self {
        let (tone, word) = match (object.not_in_force, object.is_enabled()) {
            (Some(NotInForce::SetAside), _) => (Tone::Bad, "Set aside"),
            (Some(NotInForce::Shadowed), _) => (Tone::Warning, "Shadowed by a file"),
            (None, true) => (Tone::Good, "Enabled"),
            (None, false) => (Tone::Neutral, "Disabled"),
        };
        Self { tone, word }
    }
}

/// The links below a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pager {
    /// The first page, unless it is this one.
    pub first: Option<String>,
    /// The next page, if there is one.
    pub next: Option<String>,
}

impl Pager {
    /// Links to pages of the list at `path`. `query` is the query string without `after`.
    #[must_use]
    pub fn new(path: &str, query: &str, is_first: bool, next: Option<&str>) -> Self {
        let join = |rest: &str| match query.is_empty() {
            true => rest.to_owned(),
            false if rest.is_empty() => query.to_owned(),
            false => format!("{query}&{rest}"),
        };
        let link = |query: String| if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let after = |after: &str| {
            let written = url::form_urlencoded::Serializer::new(String::new()).append_pair("after", after).finish();
            link(join(&written))
        };
        Self { first: (!is_first).then(|| link(join(""))), next: next.map(after) }
    }
}

/// A failed request with its findings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProblemView {
    /// What was not done.
    pub title: String,
    /// Why, and what to do.
    pub detail: String,
    /// What is wrong with the values.
    pub findings: Vec<FieldFinding>,
    /// The request.
    pub request_id: Option<String>,
}

/// A finding and the field that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFinding {
    /// The id of the field, if the page has it.
    pub field: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// A stranger's value that the rule would accept.
    pub witness: Option<String>,
}

impl ProblemView {
    /// The problem, with each finding at the field of its JSON pointer. `fields` pairs pointers
    /// with ids of fields.
    #[must_use]
    pub fn new(title: &str, problem: &ErrorAnswer, fields: &[(String, String)]) -> Self {
        let findings = problem.findings.iter().map(|finding| FieldFinding {
            field: finding.pointer.as_deref().and_then(|pointer| field_at(pointer, fields)),
            message: finding.message.clone(),
            help: finding.help.clone(),
            witness: finding.witness.clone(),
        });
        Self {
            title: title.to_owned(),
            detail: problem.detail.clone().unwrap_or_default(),
            findings: findings.collect(),
            request_id: problem.request_id.as_ref().map(|id| id.to_string()),
        }
    }

    /// What is wrong with the field.
    #[must_use]
    pub fn about(&self, field: &str) -> Option<String> {
        let finding = self.findings.iter().find(|finding| finding.field.as_deref() == Some(field))?;
        Some(match &finding.help {
            Some(help) => format!("{}: {help}", finding.message),
            None => finding.message.clone(),
        })
    }
}

/// The field whose pointer is `pointer` or a parent of it.
fn field_at(pointer: &str, fields: &[(String, String)]) -> Option<String> {
    let is_within =
        |parent: &str| pointer.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    fields.iter().find(|(parent, _)| is_within(parent)).map(|(_, field)| field.clone())
}

/// The filters of a list of objects in a query string. A field that was left empty filters nothing.
pub(super) fn object_query(query: &str) -> Result<ObjectQuery, PageError> {
    let filled = url::form_urlencoded::parse(query.as_bytes()).filter(|(_, value)| !value.trim().is_empty());
    let written = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(filled).finish();
    ObjectQuery::from_query(&written).map_err(|error| PageError::Query(error.to_string()))
}

/// A text of a document; empty if there is none.
pub(super) fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// A list of texts of a document, with commas.
pub(super) fn texts(value: Option<&Value>) -> String {
    match value.and_then(Value::as_array) {
        Some(items) => items.iter().map(|item| text(Some(item))).collect::<Vec<_>>().join(", "),
        None => text(value),
    }
}

/// Whether a fact of that name is an id, which people take elsewhere.
#[must_use]
pub(crate) fn is_id(name: &str) -> bool {
    ["Subject", "Signing key", "Request", "API key", "Exchanged for", "kid"].contains(&name)
}

/// `text` as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    // Forms write a space as `+`, paths do not. A `+` of the text itself is `%2B` by then.
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
