//! Trees as JSON: claims of policy tests, inline key sets.

use serde_json::{Map, Value as Json};
use sts_types::CheckCode;

use crate::decode::Reader;
use crate::render::quoted;
use crate::yaml::{Node, Plain, Value, resolve};

/// A value as JSON; unquoted scalars mean what YAML's core schema says. `None` after something was reported.
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
            // All of them are read before any is missed, so that everything wrong is reported.
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

/// An unquoted text; the words that YAML 1.1 took for truth values are ambiguous, and refused.
fn text_of(reader: &mut Reader<'_>, node: &Node, text: &str) -> Option<Json> {
    refuse_old_truth(reader, node, text)?;
    reader.text(node).map(|text| Json::String(text.value))
}

/// Reports `no`, `yes` and the like without quotes where a claim's value stands: older YAML reads them as truth values.
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
