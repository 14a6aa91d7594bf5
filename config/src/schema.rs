//! Generates the JSON Schema of the configuration from the table of keys.

use serde_json::{Map, Value, json};

use crate::keys::{CONDITION, Key, Kind, ROOT, Section};

/// The JSON Schema (draft 2020-12) of the main file. It also fits account files, whose only keys
/// are `teams`, `service_accounts` and `tests`.
///
/// The schema is for editors. It knows keys and types only; [`crate::read`] checks the form of everything else.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = section(&ROOT, false);
    if let Some(members) = schema.as_object_mut() {
        members.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        members.insert("title".to_owned(), json!("sts configuration"));
        members.insert(
            "$defs".to_owned(),
            json!({
                "duration": { "type": "string", "pattern": "^([0-9]+[smhd]|\\$\\{[A-Za-z_][A-Za-z0-9_]*\\})$" },
                "scalar": { "type": ["string", "number", "boolean"] },
                "condition": {
                    "anyOf": [
                        { "$ref": "#/$defs/scalar" },
                        { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/scalar" } },
                        section(&CONDITION, true),
                    ]
                },
            }),
        );
    }
    schema
}

/// The schema of a mapping. Without `strict`, no key is required. The top level is not strict,
/// because account files share its schema.
fn section(section: &Section, strict: bool) -> Value {
    let properties: Map<String, Value> = section.keys.iter().map(|key| (key.name.to_owned(), self::key(key))).collect();
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    let required: Vec<&str> = section.keys.iter().filter(|key| strict && key.required).map(|key| key.name).collect();
    if let (Some(members), false) = (schema.as_object_mut(), required.is_empty()) {
        members.insert("required".to_owned(), json!(required));
    }
    let either: Vec<Value> =
        section.keys.iter().filter(|key| key.either).map(|key| json!({ "required": [key.name] })).collect();
    if let (Some(members), false) = (schema.as_object_mut(), either.is_empty()) {
        members.insert("oneOf".to_owned(), json!(either));
    }
    schema
}

fn key(key: &Key) -> Value {
    let mut schema = kind(&key.kind);
    if let Some(members) = schema.as_object_mut() {
        members.insert("description".to_owned(), json!(key.doc));
        if let Some(default) = key.default {
            members.insert("default".to_owned(), default_of(default));
        }
    }
    schema
}

/// Parses a default from the table of keys, which has it as YAML: a list, number, boolean or
/// string.
fn default_of(yaml: &str) -> Value {
    if let Some(items) = yaml.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return items.split(", ").map(|item| json!(item.trim_matches('"'))).collect();
    }
    serde_json::from_str(yaml).unwrap_or_else(|_| json!(yaml))
}

fn kind(kind: &Kind) -> Value {
    let variable = || json!({ "type": "string", "pattern": "^\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}$" });
    match kind {
        Kind::Text | Kind::Path => json!({ "type": "string" }),
        Kind::Flag => json!({ "anyOf": [{ "type": "boolean" }, variable()] }),
        Kind::Duration => json!({ "$ref": "#/$defs/duration" }),
        Kind::Timeout => json!({ "type": "string", "pattern": "^[0-9]+(ms|s)$" }),
        Kind::Time => json!({ "type": "string", "format": "date-time" }),
        Kind::Integer(least, most) => {
            json!({ "anyOf": [{ "type": "integer", "minimum": least, "maximum": most }, variable()] })
        }
        Kind::Size => json!({
            "anyOf": [
                { "type": "integer", "minimum": 1024 },
                { "type": "string", "pattern": "^[0-9]+(KiB|MiB|GiB)$" },
                variable(),
            ],
        }),
        Kind::OneOf(words) => json!({ "anyOf": [{ "enum": words }, variable()] }),
        Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::TextOrTexts => {
            json!({ "anyOf": [{ "type": "string" }, { "type": "array", "minItems": 1, "items": { "type": "string" } }] })
        }
        Kind::Section(inner) => section(inner, true),
        Kind::TextOrSection(inner) => json!({ "anyOf": [{ "type": "string" }, section(inner, true)] }),
        Kind::WordOrSection(word, inner) => json!({ "anyOf": [{ "const": word }, section(inner, true)] }),
        Kind::Sections(inner) => json!({ "type": "array", "items": section(inner, true) }),
        Kind::Named(inner) => json!({
            "type": "object",
            "propertyNames": { "pattern": "^[a-z0-9][a-z0-9._-]{0,62}$" },
            "additionalProperties": section(inner, true),
        }),
        Kind::Grants => json!({
            "type": "object",
            "additionalProperties": { "type": "array", "uniqueItems": true, "items": { "type": "string" } },
        }),
        Kind::Conditions => json!({ "type": "object", "additionalProperties": { "$ref": "#/$defs/condition" } }),
        Kind::Scalars => json!({ "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/scalar" } }),
        Kind::Claims => json!({ "anyOf": [{ "type": "object" }, { "type": "string" }] }),
        Kind::KeySet => json!({ "anyOf": [{ "type": "object", "required": ["keys"] }, { "type": "string" }] }),
        Kind::Variables => json!({
            "type": "object",
            "additionalProperties": {
                "anyOf": [{ "type": "string" }, { "type": "array", "minItems": 1, "items": { "type": "string" } }],
            },
        }),
    }
}
