//! Managed objects as trees, so that one decoder reads files and objects. A value of an object has no
//! line: its span holds its number, counted from 1 in the order of the text.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;
use sts_types::{CheckCode, ObjectKind, ObjectRef};

use crate::object_source::ObjectSource;
use crate::report::Report;
use crate::source::{FileId, Span};
use crate::yaml::{Entry, Node, Plain, Scalar, Value, resolve};

/// The object as an entry of the mapping of its kind. A text that is no JSON has a broken value, whose
/// place is the whole object. Paths in it are relative to `main`, the main file.
pub(crate) fn entry(source: &ObjectSource, main: &Path, report: &mut Report) -> Entry {
    let file = report.sources.add_object(main, source);
    let mut count = 0;
    let node = match serde_json::from_str::<Json>(&source.spec) {
        Ok(spec) => node_of(&spec, file, &mut count),
        Err(error) => {
            let message = format!("the document is no JSON: {error}");
            report.error(CheckCode::WrongType, numbered(file, 1), message, Some("write the object anew".to_owned()));
            Node { span: numbered(file, 1), value: Value::Broken }
        }
    };
    Entry { key: source.object.name.clone(), key_span: numbered(file, 1), node }
}

/// A mapping without members.
pub(crate) fn empty() -> Node {
    Node { span: numbered(FileId::NONE, 1), value: Value::Mapping(Vec::new()) }
}

const fn numbered(file: FileId, number: u32) -> Span {
    Span { file, line: number, column: 1, end_line: number, end_column: 2 }
}

fn node_of(value: &Json, file: FileId, count: &mut u32) -> Node {
    *count += 1;
    let span = numbered(file, *count);
    let plain = |text: String| Value::Scalar(Scalar { text, plain: true });
    let value = match value {
        Json::Null => plain("null".to_owned()),
        Json::Bool(value) => plain(value.to_string()),
        Json::Number(number) => plain(number.to_string()),
        Json::String(text) => Value::Scalar(Scalar { text: text.clone(), plain: false }),
        Json::Array(items) => Value::Sequence(items.iter().map(|item| node_of(item, file, count)).collect()),
        Json::Object(members) => Value::Mapping(
            members
                .iter()
                .map(|(key, value)| {
                    let node = node_of(value, file, count);
                    Entry { key: key.clone(), key_span: node.span, node }
                })
                .collect(),
        ),
    };
    Node { span, value }
}

/// What a file says, as the JSON that a managed object would say it in. `None` for a value with a
/// reported fault.
pub(crate) fn to_json(node: &Node) -> Option<Json> {
    Some(match &node.value {
        Value::Scalar(scalar) if scalar.plain => match resolve(&scalar.text) {
            Plain::Text | Plain::OddNumber => Json::String(scalar.text.clone()),
            Plain::Null | Plain::Empty => Json::Null,
            Plain::Bool(value) => Json::Bool(value),
            Plain::Number(number) => Json::Number(number),
        },
        Value::Scalar(scalar) => Json::String(scalar.text.clone()),
        Value::Sequence(items) => Json::Array(items.iter().map(to_json).collect::<Option<_>>()?),
        Value::Mapping(entries) => Json::Object(
            entries
                .iter()
                .map(|entry| Some((entry.key.clone(), to_json(&entry.node)?)))
                .collect::<Option<serde_json::Map<_, _>>>()?,
        ),
        Value::Broken => return None,
    })
}

/// The objects that a file declares, as documents.
pub(crate) fn declared_in(tree: &Node, file: &Arc<Path>, found: &mut Vec<ObjectSource>) {
    let Value::Mapping(members) = &tree.value else { return };
    for kind in ObjectKind::ALL {
        let of_kind = members.iter().filter(|member| member.key == kind.key());
        let entries = of_kind.filter_map(|member| match &member.node.value {
            Value::Mapping(entries) => Some(entries),
            _ => None,
        });
        found.extend(entries.flatten().filter_map(|entry| {
            let object = ObjectRef { kind, name: entry.key.clone() };
            let file = Some((Arc::clone(file), entry.key_span.line));
            Some(ObjectSource { object, spec: to_json(&entry.node)?.to_string().into(), file })
        }));
    }
}

/// Adds `entries` to the mapping under `key` of the mapping `root`.
pub(crate) fn graft(root: &mut Node, key: &str, entries: Vec<Entry>) {
    let (Value::Mapping(members), false) = (&mut root.value, entries.is_empty()) else { return };
    match members.iter_mut().find(|member| member.key == key) {
        Some(member) if member.node.is_nothing() => member.node.value = Value::Mapping(entries),
        Some(member) => {
            // Anything else is a fault of the file, which the decoder reports.
            if let Value::Mapping(existing) = &mut member.node.value {
                existing.extend(entries);
            }
        }
        None => {
            let span = root.span;
            let node = Node { span, value: Value::Mapping(entries) };
            members.push(Entry { key: key.to_owned(), key_span: span, node });
        }
    }
}

/// Whether the mapping under `key` of the mapping `root` declares `name`.
pub(crate) fn declares(root: &Node, key: &str, name: &str) -> bool {
    let Value::Mapping(members) = &root.value else { return false };
    members.iter().filter(|member| member.key == key).any(|member| match &member.node.value {
        Value::Mapping(entries) => entries.iter().any(|entry| entry.key == name),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_goes_through_the_tree_and_back() {
        let spec = json!({ "s": "true", "n": 65, "t": "65", "b": true, "l": [], "m": { "x": null }, "f": 1.5 });
        let object = ObjectRef { kind: ObjectKind::Team, name: "t".to_owned() };
        let source = ObjectSource { object, spec: spec.to_string().into(), file: None };
        let entry = entry(&source, Path::new("sts.yaml"), &mut Report::default());
        assert_eq!(to_json(&entry.node), Some(spec));
        let broken = ObjectSource { spec: "{".into(), ..source };
        assert!(super::entry(&broken, Path::new("sts.yaml"), &mut Report::default()).node.is_broken());
    }
}
