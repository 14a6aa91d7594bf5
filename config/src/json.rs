//! Converts YAML trees to JSON, for the claims of policy tests and inline key sets.

use serde_json::{Map, Value as Json};
use sts_types::CheckCode;

use crate::decode::Reader;
use crate::quote::quoted;
use crate::yaml::{Node, Plain, Value, resolve};

/// Converts a value to JSON. Unquoted scalars follow the core schema of YAML. Returns `None` after
/// reporting a fault.
pub(crate) fn value_of(reader: &mut Reader<'_>, node: &Node) -> Option<Json> {
    match &node.value {
        Value::Scalar(scalar) if scalar.plain => match resolve(&scalar.text) {
            Plain::Text => text_of(reader, node, &scalar.text),
            Plain::Null => Some(Json::Null),
            Plain::Bool(value) => Some(Json::Bool(value)),
            Plain::Number(number) => Some(Json::Number(number)),
            Plain::OddNumber => {
                let message = format!("{} is a number that JSON cannot express", quoted(&scalar.text));
                reader.error(
                    CheckCode::AmbiguousScalar,
                    node.span,
                    message,
                    format!("for a string, write {}", quoted(&format!("\"{}\"", scalar.text))),
                );
                None
            }
            Plain::Empty => {
                reader.error(
                    CheckCode::MissingValue,
                    node.span,
                    "there is no value here",
                    "write one, `null`, or `\"\"` for an empty string",
                );
                None
            }
        },
        Value::Scalar(_) => reader.text(node).map(|text| Json::String(text.value)),
        Value::Sequence(items) => {
            // Collect before the first `None` ends the conversion, so that every fault is reported.
            let values: Vec<Option<Json>> = items.iter().map(|item| value_of(reader, item)).collect();
            values.into_iter().collect::<Option<Vec<_>>>().map(Json::Array)
        }
        Value::Mapping(entries) => {
            let members: Vec<_> =
                entries.iter().map(|entry| Some((entry.key.clone(), value_of(reader, &entry.node)?))).collect();
            members.into_iter().collect::<Option<Map<_, _>>>().map(Json::Object)
        }
        Value::Broken => None,
    }
}

/// Converts an unquoted string. Refuses the words that are booleans in YAML 1.1.
fn text_of(reader: &mut Reader<'_>, node: &Node, text: &str) -> Option<Json> {
    refuse_old_truth(reader, node, text)?;
    reader.text(node).map(|text| Json::String(text.value))
}

/// Refuses an unquoted `no`, `yes` and the like as the value of a claim: YAML 1.1 reads them as
/// booleans, so the author may have meant either.
pub(crate) fn refuse_old_truth(reader: &mut Reader<'_>, node: &Node, text: &str) -> Option<()> {
    let truth = match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "y" => "true",
        "no" | "off" | "n" => "false",
        _ => return Some(()),
    };
    let message = format!("{} without quotes is ambiguous: some YAML readers take it for a boolean", quoted(text));
    reader.error(
        CheckCode::AmbiguousScalar,
        node.span,
        message,
        format!("write `\"{text}\"` for the string, or `{truth}` for the boolean"),
    );
    None
}
