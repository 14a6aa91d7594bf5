//! Objects as YAML, in the form that [`crate::object_files`] reads.
//!
//! The text is written here and not by a library, because the reader is stricter than YAML: it
//! refuses tags and unquoted words that some readers take for booleans.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use sts_types::ObjectKind;

use crate::keys::{APPLIED_FILE, Key, Kind, Section};
use crate::yaml::{Plain, resolve};

/// The text of a file that declares `objects`, in the order of kinds. Each comes with the lines of a
/// comment to stand above it.
#[must_use]
pub fn object_text<'o>(
    objects: impl IntoIterator<Item = (ObjectKind, &'o str, &'o Map<String, Value>, Option<String>)>,
) -> String {
    let mut objects: Vec<_> = objects.into_iter().collect();
    objects.sort_by_key(|(kind, ..)| *kind);
    let mut text = String::new();
    let mut last = None;
    for (kind, name, spec, comment) in objects {
        let key = kind.key();
        if last != Some(kind) {
            let _ = writeln!(text, "{}{key}:", if last.is_some() { "\n" } else { "" });
            last = Some(kind);
        }
        for line in comment.iter().flat_map(|comment| comment.lines()) {
            let _ = writeln!(text, "  # {line}");
        }
        let _ = write!(text, "  {}:", scalar(name));
        let section = APPLIED_FILE.key(key).and_then(Key::section);
        write_mapping(&mut text, spec, section, 2);
    }
    text
}

/// Writes what follows `key:`, up to the end of the line or of the block.
fn write_value(text: &mut String, value: &Value, key: Option<&Key>, depth: usize) {
    match value {
        Value::Object(members) => {
            let section = key.and_then(Key::section).filter(|_| !key.is_some_and(is_named));
            write_mapping(text, members, section, depth);
        }
        Value::Array(items) if items.is_empty() => text.push_str(" []\n"),
        Value::Array(items) if items.iter().all(is_short) => {
            let items: Vec<String> = items.iter().map(flow_scalar).collect();
            let _ = writeln!(text, " [{}]", items.join(", "));
        }
        Value::Array(items) => {
            text.push('\n');
            for item in items {
                write_item(text, item, key, depth);
            }
        }
        scalar => {
            let _ = writeln!(text, " {}", plain_value(scalar));
        }
    }
}

/// Writes one element of a list, after its hyphen.
fn write_item(text: &mut String, item: &Value, key: Option<&Key>, depth: usize) {
    let mut block = String::new();
    match item {
        Value::Object(members) if !members.is_empty() => {
            write_mapping(&mut block, members, key.and_then(Key::section), depth + 1);
            // The first member stands on the line of the hyphen.
            let indent = "  ".repeat(depth);
            let first = block.trim_start_matches('\n').trim_start();
            let _ = write!(text, "{indent}- {first}");
        }
        Value::Array(_) | Value::Object(_) => {
            let _ = writeln!(text, "{}- {}", "  ".repeat(depth), flow(item));
        }
        scalar => {
            let _ = writeln!(text, "{}- {}", "  ".repeat(depth), plain_value(scalar));
        }
    }
}

fn write_mapping(text: &mut String, members: &Map<String, Value>, section: Option<&'static Section>, depth: usize) {
    if members.is_empty() {
        text.push_str(" {}\n");
        return;
    }
    text.push('\n');
    let position = |name: &str| {
        section.and_then(|section| section.keys.iter().position(|key| key.name == name)).unwrap_or(usize::MAX)
    };
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_by(|(one, _), (other, _)| (position(one), one).cmp(&(position(other), other)));
    for (name, value) in sorted {
        let _ = write!(text, "{}{}:", "  ".repeat(depth), scalar(name));
        write_value(text, value, section.and_then(|section| section.key(name)), depth + 1);
    }
}

fn is_named(key: &Key) -> bool {
    matches!(key.kind, Kind::Named(_))
}

/// Whether a value is short enough to stand in a list on one line.
fn is_short(value: &Value) -> bool {
    match value {
        Value::Array(_) | Value::Object(_) => false,
        Value::String(text) => text.chars().count() <= 40,
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

fn plain_value(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// A scalar within brackets, where more characters have a meaning.
fn flow_scalar(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) && !text.contains([':', ' ']) => text.clone(),
        Value::String(text) => quoted_scalar(text),
        other => other.to_string(),
    }
}

/// A nested list or an empty mapping on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("{}: {}", quoted_scalar(name), flow(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        scalar => flow_scalar(scalar),
    }
}

fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted_scalar(text) }
}

/// Whether `text` is a string without quotes for every reader of YAML, not only for ours.
fn is_plain(text: &str) -> bool {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '@' | '+' | ':' | ' ');
    let first = text.chars().next();
    let is_word = matches!(text.to_ascii_lowercase().as_str(), "yes" | "no" | "on" | "off" | "y" | "n");
    let starts_well = match first {
        Some(c) if c.is_ascii_digit() => !text.contains([':', '_', '+']),
        Some(c) => c.is_ascii_alphabetic() || c == '/',
        None => false,
    };
    starts_well
        && !is_word
        && text.chars().all(is_safe)
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && resolve(text) == Plain::Text
}

fn quoted_scalar(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        let is_hidden = c.is_control() || sts_types::is_invisible(c);
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c if is_hidden && u32::from(c) <= 0xffff => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c if is_hidden => {
                let _ = write!(quoted, "\\U{:08x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{ObjectFile, object_files};

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(members) => members,
            other => panic!("{other} is no object"),
        }
    }

    fn read_again(text: &str) -> Vec<(ObjectKind, String, Map<String, Value>)> {
        let files = [ObjectFile::Text("objects.yaml".into(), text.to_owned())];
        let read =
            object_files(&files, &|_| None).unwrap_or_else(|findings| panic!("{}\n{text}", findings.render(false)));
        read.objects.into_iter().map(|object| (object.kind, object.name, object.spec)).collect()
    }

    #[test]
    fn objects_are_written_as_a_person_would_write_them() {
        let account = map(json!({
            "teams": ["deployers"], "enabled": true, "id": "7f1c2f0a-0c0e-4b6e-9d1e-2a5f1f4f9b11",
            "identities": [
                { "subject": "repo:o/r:ref:refs/heads/**", "issuer": "github", "name": "main branch", "ttl": "10m",
                  "claims": { "m": 7, "list": ["a", { "any_of": [] }], "no": "yes" } },
                { "name": "x", "issuer": ["a", "b"], "scopes": [] },
            ],
        }));
        let team = map(json!({ "grants": { "deploy": ["deployments:create"], "empty": [] } }));
        let note = Some("managed, revision 7".to_owned());
        let text = object_text([
            (ObjectKind::ServiceAccount, "octo", &account, note),
            (ObjectKind::Team, "deployers", &team, None),
        ]);
        let expected = r#"teams:
  deployers:
    grants:
      deploy: ["deployments:create"]
      empty: []

service_accounts:
  # managed, revision 7
  octo:
    id: 7f1c2f0a-0c0e-4b6e-9d1e-2a5f1f4f9b11
    enabled: true
    teams: [deployers]
    identities:
      - name: main branch
        issuer: github
        subject: "repo:o/r:ref:refs/heads/**"
        claims:
          list:
            - a
            - any_of: []
          m: 7
          "no": "yes"
        scopes: []
        ttl: 10m
"#;
        let (head, tail) = text.split_once("      - name: x\n").unwrap();
        assert_eq!(head.replace("        scopes: []\n", ""), expected.replace("        scopes: []\n", ""));
        assert_eq!(tail, "        issuer: [a, b]\n        scopes: []\n");
        let read = read_again(&text);
        assert_eq!(
            read,
            [(ObjectKind::Team, "deployers".into(), team), (ObjectKind::ServiceAccount, "octo".into(), account)]
        );
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            any::<String>().prop_filter("a variable", |text| !text.contains("${")),
            "[a-z0-9:/@ .*#&!|>%-]{0,12}",
            Just("no".to_owned()),
            Just("1e3".to_owned()),
            Just("- x".to_owned()),
            Just("~".to_owned()),
        ];
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            Just(Value::Null),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                prop::collection::btree_map(text.clone(), inner, 0..5).prop_map(|members| Value::Object(
                    members.into_iter().filter(|(name, _)| !name.is_empty()).collect()
                )),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(name in "[a-z0-9][a-z0-9._-]{0,20}", members in prop::collection::btree_map("[a-z ]{1,8}", any_json(), 0..4)) {
            let spec: Map<String, Value> = members.into_iter().collect();
            let text = object_text([(ObjectKind::ServiceAccount, name.as_str(), &spec, None)]);
            prop_assert_eq!(read_again(&text), [(ObjectKind::ServiceAccount, name, spec)], "{}", text);
        }
    }
}
