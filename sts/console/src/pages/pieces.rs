//! Pieces that several pages share.

use serde_json::Value;
use sts_api::{ErrorAnswer, NotInForce, Object, ObjectSource};

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

/// A text field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name in the form, and its id in the page.
    pub id: &'static str,
    /// Its label.
    pub label: &'static str,
    /// What was typed.
    pub value: String,
    /// What to type.
    pub help: &'static str,
    /// Whether it may stay empty.
    pub is_optional: bool,
    /// What is wrong with the value. It takes the place of `help`.
    pub error: Option<String>,
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
    pub field: Option<&'static str>,
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
    pub fn new(title: &str, problem: &ErrorAnswer, fields: &[(&str, &'static str)]) -> Self {
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
        self.findings.iter().find(|finding| finding.field == Some(field)).map(|finding| finding.message.clone())
    }
}

/// The field whose pointer is `pointer` or a parent of it.
fn field_at(pointer: &str, fields: &[(&str, &'static str)]) -> Option<&'static str> {
    let is_within =
        |parent: &str| pointer.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    fields.iter().find(|(parent, _)| is_within(parent)).map(|(_, field)| *field)
}

/// Where the object is declared, and for a managed one its last change.
pub(super) fn source(object: &Object) -> String {
    match (object.source, &object.file, object.revision, &object.updated_by) {
        (ObjectSource::File, Some(file), ..) => format!("file {file}"),
        (ObjectSource::File, None, ..) => "file".to_owned(),
        (ObjectSource::Managed, _, Some(revision), Some(by)) => format!("managed, revision {revision}, by {by}"),
        (ObjectSource::Managed, ..) => "managed".to_owned(),
    }
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

/// `text` as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    // Forms write a space as `+`, paths do not. A `+` of the text itself is `%2B` by then.
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
