//! The fields of forms, and how they stand for members of a document.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::pieces::{ProblemView, text, texts};
use super::typed_value::{faithful, faithful_line, of_kind, structured};
use crate::form::Form;

/// A field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// Its name in the form, and its id in the page.
    pub(crate) id: Cow<'static, str>,
    /// Its label.
    pub(crate) label: Cow<'static, str>,
    /// What was typed.
    pub(crate) value: String,
    /// What to type.
    pub(crate) help: Cow<'static, str>,
    /// Whether it may stay empty.
    pub(crate) is_optional: bool,
    /// What is typed into.
    pub(crate) control: Control,
    /// What is wrong with the value. It takes the place of `help`.
    pub(crate) error: Option<String>,
    /// What the object had when the form was opened.
    pub(crate) before: Option<String>,
    /// What somebody else has made of the value meanwhile.
    pub(crate) theirs: Option<String>,
}

impl Field {
    /// A field of one line that no object has.
    pub(crate) fn line(id: &'static str, label: &'static str, value: &str, help: impl Into<Cow<'static, str>>) -> Self {
        Self {
            id: id.into(),
            label: label.into(),
            value: value.to_owned(),
            help: help.into(),
            is_optional: false,
            control: Control::Line,
            error: None,
            before: None,
            theirs: None,
        }
    }

    /// A field that may stay empty.
    pub(crate) fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }

    /// Whether the value is none of the options. A browser would send the first one in its place.
    pub(crate) fn is_no_option(&self) -> bool {
        self.control.options().is_some_and(|options| options.iter().all(|(value, _)| *value != self.value))
    }

    /// With what is wrong with the value.
    pub(crate) fn with_error(self, error: Option<String>) -> Self {
        Self { error, ..self }
    }
}

/// What a field is on the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// One line.
    Line,
    /// Several lines.
    Lines,
    /// One of these: value and label.
    Choice(&'static [(&'static str, &'static str)]),
}

impl Control {
    pub(crate) fn is_line(&self) -> bool {
        *self == Self::Line
    }

    pub(crate) fn options(&self) -> Option<&'static [(&'static str, &'static str)]> {
        match self {
            Self::Choice(options) => Some(options),
            Self::Line | Self::Lines => None,
        }
    }
}

/// A member of a document that a form shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    /// Its key in the document, and the id of its field.
    pub(super) key: &'static str,
    pub(super) label: &'static str,
    pub(super) help: &'static str,
    pub(super) shape: Shape,
    pub(super) is_optional: bool,
}

/// Begins the names of hidden fields with what the object had when the form was opened.
pub(crate) const BEFORE: &str = "before.";

/// How a member of a document is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    /// A list of texts with this between them.
    List(char),
    /// Scopes by API: `deploy: releases:read deployments:create`, one API a line.
    Grants,
    /// JSON on several lines.
    Json,
    /// Yes, no, or what holds where neither is said.
    Switch,
    /// One of these: value and label.
    Choice(&'static [(&'static str, &'static str)]),
}

/// The options of a switch.
const SWITCH: &[(&str, &str)] = &[("", "Default"), ("true", "Yes"), ("false", "No")];

impl Shape {
    fn control(self) -> Control {
        match self {
            Self::Text | Self::List(_) => Control::Line,
            Self::Grants | Self::Json => Control::Lines,
            Self::Switch => Control::Choice(SWITCH),
            Self::Choice(options) => Control::Choice(options),
        }
    }
}

impl Member {
    pub(super) const fn text(key: &'static str, label: &'static str, help: &'static str) -> Self {
        Self { key, label, help, shape: Shape::Text, is_optional: true }
    }

    pub(super) const fn required(self) -> Self {
        Self { is_optional: false, ..self }
    }

    pub(super) const fn shape(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }

    /// The value as it is typed.
    fn typed(&self, value: Option<&Value>) -> String {
        let read = |sent: &str| self.value(sent).unwrap_or_else(|| self.empty());
        match self.shape {
            Shape::Text | Shape::Choice(_) => faithful_line(value, text(value), |sent| of_kind(value, sent)),
            Shape::Switch => faithful_line(value, text(value), read),
            Shape::Json => value.filter(|value| !value.is_null()).map_or_else(String::new, pretty),
            Shape::List(',') => faithful_line(value, texts(value), read),
            Shape::List(separator) => faithful_line(value, texts(value).replace(", ", &separator.to_string()), read),
            Shape::Grants => faithful(value, grants_typed(value), read),
        }
    }

    /// What an empty field stands for.
    fn empty(&self) -> Value {
        match self.shape {
            Shape::Text | Shape::Choice(_) | Shape::Switch => json!(""),
            Shape::List(_) => json!([]),
            Shape::Grants | Shape::Json => json!({}),
        }
    }

    /// The value that was typed. `None` if nothing was.
    fn value(&self, typed: &str) -> Option<Value> {
        let typed = typed.trim();
        if typed.is_empty() {
            return None;
        }
        let is_text = matches!(self.shape, Shape::Text | Shape::Choice(_) | Shape::Switch);
        // A text that begins like JSON is a text: only quotes are taken off.
        let json = structured(typed).filter(|value| !is_text || value.is_string());
        Some(json.unwrap_or_else(|| match self.shape {
            Shape::Switch => typed.parse::<bool>().map_or_else(|_| json!(typed), Value::from),
            // What is no JSON goes to the API as a text, which says what is wrong with it.
            Shape::Text | Shape::Choice(_) | Shape::Json => json!(typed),
            Shape::List(separator) => json!(list(typed, separator)),
            Shape::Grants => grants_value(typed),
        }))
    }
}

fn pretty(value: &Value) -> String {
    // A text in the place of JSON was typed so.
    value.as_str().map_or_else(|| format!("{value:#}"), str::to_owned)
}

fn list(typed: &str, separator: char) -> Vec<&str> {
    let is_separator = |character: char| character == separator || matches!(character, '\n' | '\r');
    typed.split(is_separator).map(str::trim).filter(|item| !item.is_empty()).collect()
}

fn grants_typed(value: Option<&Value>) -> String {
    let grants = value.and_then(Value::as_object).into_iter().flatten();
    let lines = grants.map(|(api, scopes)| format!("{api}: {}", texts(Some(scopes)).replace(", ", " ")));
    lines.map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn grants_value(typed: &str) -> Value {
    let mut grants = Map::new();
    for line in typed.lines().map(str::trim).filter(|line| !line.is_empty()) {
        // A scope may have a colon, the name of an API has none.
        let (api, scopes) = line.split_once(':').unwrap_or((line, ""));
        let scopes: Vec<&str> = scopes.split([' ', ',', '\t']).filter(|scope| !scope.is_empty()).collect();
        grants.insert(api.trim().to_owned(), json!(scopes));
    }
    Value::Object(grants)
}

/// The values of fields, by their ids.
#[derive(Clone, Debug, Default)]
pub(super) struct Values(Vec<(&'static str, String)>);

impl Values {
    /// What a document has.
    pub(super) fn of_document(members: &[Member], spec: &Map<String, Value>) -> Self {
        Self(members.iter().map(|member| (member.key, member.typed(spec.get(member.key)))).collect())
    }

    /// What was typed.
    pub(super) fn of_form(members: &[Member], form: &Form) -> Self {
        Self(members.iter().map(|member| (member.key, form.field(member.key).to_owned())).collect())
    }

    /// What the object had when the form was opened.
    pub(super) fn before(members: &[Member], form: &Form) -> Self {
        let before = |member: &Member| (member.key, form.field(&format!("{BEFORE}{}", member.key)).to_owned());
        Self(members.iter().map(before).collect())
    }

    /// What was typed into the fields that differ from `before`, and `theirs` in the others.
    pub(super) fn rebased(&self, members: &[Member], before: &Values, theirs: &Values) -> Self {
        let is_typed = |member: &Member| member.value(self.get(member.key)) != member.value(before.get(member.key));
        let value = |member: &Member| if is_typed(member) { self.get(member.key) } else { theirs.get(member.key) };
        Self(members.iter().map(|member| (member.key, value(member).to_owned())).collect())
    }

    pub(super) fn get(&self, key: &str) -> &str {
        self.0.iter().find(|(id, _)| *id == key).map_or("", |(_, value)| value)
    }

    /// The document. Empty fields are left out.
    pub(super) fn document(&self, members: &[Member]) -> Map<String, Value> {
        let value = |member: &Member| Some((member.key.to_owned(), member.value(self.get(member.key))?));
        members.iter().filter_map(value).collect()
    }

    /// The change of a document that has `spec`: the members that were typed anew, `null` for one that is empty now.
    pub(super) fn changes(&self, members: &[Member], shown: &Values) -> Map<String, Value> {
        let is_changed = |member: &&Member| member.value(self.get(member.key)) != member.value(shown.get(member.key));
        let changed = members.iter().filter(is_changed);
        changed.map(|member| (member.key.to_owned(), member.value(self.get(member.key)).unwrap_or_default())).collect()
    }
}

/// What a form starts from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Origin<'v> {
    /// What the object has.
    pub(super) before: Option<&'v Values>,
    /// Whether somebody else has made it so while the form was open.
    pub(super) is_changed: bool,
}

/// The fields with what was typed, what is wrong with it, and what somebody else has made of it.
pub(super) fn fields(
    members: &[Member],
    values: &Values,
    problem: Option<&ProblemView>,
    origin: Origin<'_>,
) -> Vec<Field> {
    let field = |member: &Member| {
        let value = values.get(member.key).to_owned();
        let before = origin.before.map(|before| before.get(member.key).to_owned());
        let theirs = before.clone().filter(|_| origin.is_changed);
        Field {
            id: member.key.into(),
            label: member.label.into(),
            help: member.help.into(),
            is_optional: member.is_optional,
            control: member.shape.control(),
            error: problem.and_then(|problem| problem.about(member.key)),
            theirs: theirs.filter(|theirs| member.value(theirs) != member.value(&value)),
            before,
            value,
        }
    };
    members.iter().map(field).collect()
}

/// The fields by the pointers of a change, for [`ProblemView::new`].
pub(super) fn pointers(members: &[Member]) -> Vec<(String, String)> {
    pointers_at(members, "/spec")
}

/// The fields by pointers below `parent`.
pub(super) fn pointers_at(members: &[Member], parent: &str) -> Vec<(String, String)> {
    members.iter().map(|member| (format!("{parent}/{}", member.key), member.key.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBERS: &[Member] = &[
        Member::text("display_name", "Display name", ""),
        Member::text("teams", "Teams", "").shape(Shape::List(',')),
        Member::text("scopes", "Scopes", "").shape(Shape::List(' ')),
        Member::text("grants", "Grants", "").shape(Shape::Grants),
        Member::text("jwks", "JWKS", "").shape(Shape::Json),
        Member::text("shared", "Shared", "").shape(Shape::Switch),
        Member::text("replay", "Replay", "").shape(Shape::Choice(&[("", "Default"), ("once", "Once")])),
    ];

    fn document(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_document_is_typed_as_it_is_read() {
        for spec in [
            json!({}),
            json!({ "display_name": "D", "teams": ["a", "b"], "scopes": ["x:y", "z"],
                "grants": { "deploy": ["deployments:create", "releases:read"], "empty": [] } }),
            json!({ "display_name": "a\nb", "teams": ["a, b", "c"], "scopes": ["x y"], "grants": { "a": ["b c"] } }),
            json!({ "jwks": { "keys": [{ "kid": "a\nb" }] }, "shared": true, "replay": "once" }),
            json!({ "jwks": "${JWKS}", "shared": "${SHARED}", "replay": "twice" }),
            json!({ "jwks": [1], "shared": false, "replay": "true" }),
        ] {
            let spec = document(spec);
            assert_eq!(Values::of_document(MEMBERS, &spec).document(MEMBERS), spec);
        }
    }

    #[test]
    fn a_change_has_what_was_typed_anew_and_takes_out_what_is_empty() {
        let shown = Values::of_document(MEMBERS, &document(json!({ "display_name": "D", "teams": ["a"] })));
        let typed = Values::of_document(MEMBERS, &document(json!({ "display_name": "E" })));
        assert_eq!(Value::Object(typed.changes(MEMBERS, &shown)), json!({ "display_name": "E", "teams": null }));
        assert!(shown.changes(MEMBERS, &shown).is_empty());
    }

    #[test]
    fn a_field_that_was_not_touched_follows_the_change_of_somebody_else() {
        let of = |value: Value| Values::of_document(MEMBERS, &document(value));
        let before = of(json!({ "display_name": "D", "teams": ["a"] }));
        let typed = of(json!({ "display_name": "mine", "teams": ["a"] }));
        let theirs = of(json!({ "display_name": "theirs", "teams": ["b"] }));
        let rebased = typed.rebased(MEMBERS, &before, &theirs);
        assert_eq!((rebased.get("display_name"), rebased.get("teams")), ("mine", "b"));
    }

    #[test]
    fn the_value_of_somebody_else_stands_beside_one_that_differs() {
        let typed = Values::of_document(MEMBERS, &document(json!({ "display_name": "mine", "teams": ["a"] })));
        let theirs = Values::of_document(MEMBERS, &document(json!({ "display_name": "theirs", "teams": ["a"] })));
        let fields = fields(MEMBERS, &typed, None, Origin { before: Some(&theirs), is_changed: true });
        let shown: Vec<Option<&str>> = fields.iter().map(|field| field.theirs.as_deref()).collect();
        assert_eq!(shown, [Some("theirs"), None, None, None, None, None, None]);
    }
}
