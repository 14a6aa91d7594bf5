//! The fields of an identity, and how they stand for its document.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sts_api::{PresetInfo, Presets};

use crate::form::Form;
use crate::pages::form_fields::{BEFORE, Control, Field};
use crate::pages::pieces::{ProblemView, text, texts};
use crate::pages::typed_value::{faithful, faithful_line, of_kind, structured};

/// What was typed, by the id of the field.
pub(super) type Typed = BTreeMap<String, String>;

/// Where a field is in the document, and how it is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// A text.
    Text(&'static str),
    /// A list of words.
    Words(&'static str),
    /// `true`, unless it says `false`.
    Enabled,
    /// One condition a line: the claim, a colon, and what it has to be.
    Claims,
    /// A member of the short rule.
    Rule { key: String, member: String },
}

/// A field of the form.
#[derive(Clone, Debug)]
pub(super) struct IdentityField {
    id: String,
    label: String,
    help: &'static str,
    place: Place,
    is_optional: bool,
}

impl IdentityField {
    fn new(key: &'static str, label: &str, help: &'static str, place: Place) -> Self {
        Self { id: key.to_owned(), label: label.to_owned(), help, place, is_optional: true }
    }

    /// The JSON pointer of the member in the document.
    fn pointer(&self) -> String {
        match &self.place {
            Place::Text(key) | Place::Words(key) => format!("/{key}"),
            Place::Enabled => "/enabled".to_owned(),
            Place::Claims => "/claims".to_owned(),
            Place::Rule { key, member } => format!("/{key}/{member}"),
        }
    }

    fn read(&self, identity: &Map<String, Value>) -> String {
        match &self.place {
            Place::Text(key) => text_typed(identity.get(*key)),
            Place::Words(key) => {
                let words = identity.get(*key);
                faithful_line(words, texts(words).replace(", ", " "), words_value)
            }
            Place::Enabled if identity.get("enabled") == Some(&json!(true)) => String::new(),
            Place::Enabled => text(identity.get("enabled")),
            Place::Claims => faithful(identity.get("claims"), claims_typed(identity.get("claims")), claims_value),
            Place::Rule { key, member } => text_typed(identity.get(key).and_then(|rule| rule.get(member))),
        }
    }

    fn write(&self, typed: &str, identity: &mut Map<String, Value>) {
        let typed = typed.trim();
        let value = match &self.place {
            _ if typed.is_empty() => None,
            Place::Text(key) => Some(of_kind(identity.get(*key), typed)),
            Place::Words(_) => Some(words_value(typed)),
            Place::Enabled => (typed == "false").then_some(json!(false)),
            Place::Claims => Some(claims_value(typed)),
            Place::Rule { key, member } => Some(of_kind(identity.get(key).and_then(|rule| rule.get(member)), typed)),
        };
        match &self.place {
            Place::Rule { key, member } => {
                let rule = identity.entry(key.clone()).or_insert_with(|| json!({}));
                if let Value::Object(rule) = rule {
                    put(rule, member, value);
                }
                if identity.get(key) == Some(&json!({})) {
                    identity.remove(key);
                }
            }
            Place::Text(key) | Place::Words(key) => put(identity, key, value),
            Place::Enabled => put(identity, "enabled", value),
            Place::Claims => put(identity, "claims", value),
        }
    }
}

fn put(object: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    match value {
        Some(value) => object.insert(key.to_owned(), value),
        None => object.remove(key),
    };
}

/// A text, or a list or an object in JSON.
fn text_typed(value: Option<&Value>) -> String {
    let simple = match value.and_then(Value::as_array).map(Vec::as_slice) {
        Some([one @ Value::String(_)]) => text(Some(one)),
        _ => text(value),
    };
    faithful_line(value, simple, |sent| of_kind(value, sent))
}

fn words_value(typed: &str) -> Value {
    structured(typed).unwrap_or_else(|| json!(typed.split_whitespace().collect::<Vec<_>>()))
}

/// The issuer entries that the field of the issuer names.
pub(super) fn entries(typed: &str) -> Vec<String> {
    match structured(typed) {
        Some(Value::Array(entries)) => entries.iter().map(|entry| text(Some(entry))).collect(),
        _ if typed.is_empty() => Vec::new(),
        _ => vec![typed.to_owned()],
    }
}

/// `claim: value`, one a line. A value that is JSON is taken as JSON, so `"65"` is a text and `65` a number.
fn claims_value(typed: &str) -> Value {
    if let Some(claims @ Value::Object(_)) = structured(typed) {
        return claims;
    }
    let mut claims = Map::new();
    for line in typed.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (claim, value) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
        let value = value.trim();
        claims.insert(claim.trim().to_owned(), serde_json::from_str(value).unwrap_or_else(|_| json!(value)));
    }
    Value::Object(claims)
}

fn claims_typed(claims: Option<&Value>) -> String {
    // A text that would be read as something else has its quotes.
    let is_plain = |text: &str| {
        text.trim() == text && !text.contains(char::is_control) && serde_json::from_str::<Value>(text).is_err()
    };
    let value = |value: &Value| match value {
        Value::String(text) if is_plain(text) => text.clone(),
        other => other.to_string(),
    };
    let lines = claims.and_then(Value::as_object).into_iter().flatten();
    lines.map(|(claim, expected)| format!("{claim}: {}", value(expected))).collect::<Vec<_>>().join("\n")
}

/// The preset of an issuer entry.
pub(super) fn preset_of<'p>(presets: &'p Presets, issuer: &str) -> Option<&'p PresetInfo> {
    presets.presets.iter().find(|preset| preset.issuers.iter().any(|entry| entry == issuer))
}

/// Every issuer entry.
pub(super) fn issuers(presets: &Presets) -> Vec<String> {
    let of_presets = presets.presets.iter().flat_map(|preset| &preset.issuers);
    let mut all: Vec<String> = of_presets.chain(&presets.without).cloned().collect();
    all.sort();
    all
}

/// The fields of an identity of tokens of `preset`.
pub(super) fn fields(preset: Option<&PresetInfo>) -> Vec<IdentityField> {
    let name = IdentityField::new("name", "Name", "What to call it. Tokens and records name it.", Place::Text("name"));
    let issuer =
        IdentityField::new("issuer", "Issuer", "The issuer entry whose tokens it accepts.", Place::Text("issuer"));
    let mut all = vec![IdentityField { is_optional: false, ..name }, IdentityField { is_optional: false, ..issuer }];
    if let Some((preset, key)) = preset.and_then(|preset| Some((preset, preset.key.as_ref()?))) {
        all.extend(preset.members.iter().map(|member| IdentityField {
            id: format!("{key}.{}", member.name),
            label: in_words(&member.name),
            help: "",
            place: Place::Rule { key: key.clone(), member: member.name.clone() },
            is_optional: true,
        }));
    }
    all.extend([
        IdentityField::new(
            "subject",
            "Subject",
            "A pattern on sub. * stops at : and /, ** does not.",
            Place::Text("subject"),
        ),
        IdentityField::new(
            "claims",
            "Claims",
            "Other conditions, one a line, as in YAML: repository_owner_id: \"65\"",
            Place::Claims,
        ),
        IdentityField::new(
            "audience",
            "Audience",
            "Values of aud that it accepts. Empty for the issuer's.",
            Place::Words("audience"),
        ),
        IdentityField::new(
            "scopes",
            "Scopes",
            "Narrows the account's scopes. Empty for all of them.",
            Place::Words("scopes"),
        ),
        IdentityField::new("ttl", "TTL", "Lifetime of its tokens: 10m. Empty for the account's.", Place::Text("ttl")),
        IdentityField::new("enabled", "Enabled", "A disabled identity accepts nothing.", Place::Enabled),
        IdentityField::new(
            "allow_broad",
            "Allow broad",
            "Why it may accept tokens of strangers, where a finding asks for it.",
            Place::Text("allow_broad"),
        ),
    ]);
    all
}

/// `repository_owner_id` as `Repository owner id`.
fn in_words(key: &str) -> String {
    let words = key.replace(['_', '.'], " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The members that most identities of a platform have. The others are folded.
const COMMON: &[&str] = &[
    "repository",
    "repository_id",
    "environment",
    "ref",
    "project_path",
    "project_id",
    "ref_protected",
    "namespace",
    "service_account",
    "serviceaccount",
];

/// What an identity has.
pub(super) fn of_identity(fields: &[IdentityField], identity: &Map<String, Value>) -> Typed {
    fields.iter().map(|field| (field.id.clone(), field.read(identity))).collect()
}

/// What was typed; with `prefix`, what the identity had when the form was opened.
pub(super) fn of_form(fields: &[IdentityField], form: &Form, prefix: &str) -> Typed {
    fields.iter().map(|field| (field.id.clone(), form.field(&format!("{prefix}{}", field.id)).to_owned())).collect()
}

/// What was typed into the fields that differ from `before`, and `theirs` in the others.
pub(super) fn rebased(typed: &Typed, before: &Typed, theirs: &Typed) -> Typed {
    let of = |values: &Typed, id: &str| values.get(id).cloned().unwrap_or_default();
    let value = |(id, value): (&String, &String)| {
        let is_typed = value.trim() != of(before, id).trim();
        (id.clone(), if is_typed { value.clone() } else { of(theirs, id) })
    };
    typed.iter().map(value).collect()
}

/// `base` with what was typed anew.
pub(super) fn document(
    fields: &[IdentityField],
    typed: &Typed,
    before: &Typed,
    mut base: Map<String, Value>,
) -> Map<String, Value> {
    for field in fields {
        let value = typed.get(&field.id).map_or("", String::as_str);
        // Browsers send lines with both characters.
        let value = value.replace("\r\n", "\n");
        let old = before.get(&field.id).map(|old| old.replace("\r\n", "\n"));
        if old.as_deref().unwrap_or_default().trim() != value.trim() {
            field.write(&value, &mut base);
        }
    }
    base
}

/// The fields as the page shows them: the common ones, and those that are folded.
pub(super) fn shown(
    fields: &[IdentityField],
    typed: &Typed,
    before: Option<(&Typed, bool)>,
    problem: Option<&ProblemView>,
) -> (Vec<Field>, Vec<Field>) {
    let one = |field: &IdentityField| {
        let value = typed.get(&field.id).cloned().unwrap_or_default();
        let old = before.map(|(before, _)| before.get(&field.id).cloned().unwrap_or_default());
        let is_changed = before.is_some_and(|(_, is_changed)| is_changed);
        Field {
            id: field.id.clone().into(),
            label: field.label.clone().into(),
            help: field.help.into(),
            is_optional: field.is_optional,
            control: match field.place {
                Place::Claims => Control::Lines,
                Place::Enabled => Control::Choice(&[("", "Yes"), ("false", "No")]),
                _ => Control::Line,
            },
            error: problem.and_then(|problem| problem.about(&field.id)),
            theirs: old.clone().filter(|old| is_changed && old.trim() != value.trim()),
            before: old,
            value,
        }
    };
    let is_folded = |field: &&IdentityField| match &field.place {
        Place::Rule { member, .. } => {
            !COMMON.contains(&member.as_str()) && typed.get(&field.id).is_none_or(|value| value.is_empty())
        }
        _ => false,
    };
    let (folded, common): (Vec<_>, Vec<_>) = fields.iter().filter(|field| field.id != "issuer").partition(is_folded);
    (common.into_iter().map(one).collect(), folded.into_iter().map(one).collect())
}

/// The ids of fields by the pointers of a request. `prefix` is where the identity is in its body.
pub(super) fn pointers(fields: &[IdentityField], prefix: &str) -> Vec<(String, String)> {
    fields.iter().map(|field| (format!("{prefix}{}", field.pointer()), field.id.clone())).collect()
}

/// What the identity had when the form was opened.
pub(super) fn before(fields: &[IdentityField], form: &Form) -> Typed {
    of_form(fields, form, BEFORE)
}

#[cfg(test)]
mod tests {
    use sts_api::PresetMember;

    use super::*;

    fn github() -> PresetInfo {
        let member = |name: &str| PresetMember { name: name.to_owned(), claim: name.to_owned() };
        PresetInfo {
            name: "github-actions".to_owned(),
            title: "GitHub Actions".to_owned(),
            key: Some("github".to_owned()),
            members: vec![member("repository"), member("repository_owner_id"), member("environment")],
            sample: Map::new(),
            issuers: vec!["github".to_owned()],
        }
    }

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn an_identity_is_typed_as_it_is_read() {
        let fields = fields(Some(&github()));
        for identity in [
            json!({ "name": "main", "issuer": "github", "subject": "repo:o/r:ref:refs/heads/**" }),
            json!({ "name": "main", "issuer": ["github", "github-2"], "subject": "a\nb", "audience": ["a b", "c"] }),
            json!({ "name": "main", "issuer": "github", "claims": { "a: b": "c", "d": " e\nf" } }),
            json!({ "name": "main", "issuer": "github", "github": { "repository": "o/r", "environment": ["a", "b"] },
                "claims": { "owner": "65", "n": 65, "ok": true, "any": { "none_of": ["x"] }, "plain": "a: b" },
                "audience": ["https://a.example"], "scopes": ["a:b", "c"], "ttl": "10m", "enabled": false }),
        ] {
            let identity = object(identity);
            let typed = of_identity(&fields, &identity);
            assert_eq!(document(&fields, &typed, &Typed::new(), Map::new()), identity);
        }
    }

    #[test]
    fn a_change_keeps_what_the_form_does_not_show() {
        let fields = fields(Some(&github()));
        let identity = object(json!({ "name": "main", "issuer": "github", "replay": "once",
            "github": { "repository": "o/r", "repo_property_team": "x" } }));
        let before = of_identity(&fields, &identity);
        let mut typed = before.clone();
        typed.insert("github.repository".to_owned(), String::new());
        typed.insert("ttl".to_owned(), "5m".to_owned());
        let expected = json!({ "name": "main", "issuer": "github", "replay": "once", "ttl": "5m",
            "github": { "repo_property_team": "x" } });
        assert_eq!(Value::Object(document(&fields, &typed, &before, identity)), expected);
    }

    #[test]
    fn a_field_is_named_after_its_key_in_words() {
        let fields = fields(Some(&github()));
        let labels: Vec<&str> = fields.iter().map(|field| field.label.as_str()).collect();
        assert!(labels.contains(&"Repository owner id") && labels.contains(&"Repository"), "{labels:?}");
        assert!(
            pointers(&fields, "/identity")
                .contains(&("/identity/github/repository".to_owned(), "github.repository".to_owned()))
        );
    }
}
