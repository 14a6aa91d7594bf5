//! Decodes conditions on claims: a scalar, a list of scalars, or the long form.

use sts_policy::{ConditionObject, ConditionSpec, ScalarSpec};
use sts_types::{CheckCode, Located};

use super::reader::Reader;
use crate::json::refuse_old_truth;
use crate::keys;
use crate::quote::quoted;
use crate::yaml::{Node, Plain, Value, resolve};

/// Reads a mapping from claims to conditions.
pub(super) fn conditions(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<(Located<String>, ConditionSpec)>> {
    let entries = reader.mapping(node, "a block of conditions")?;
    let mut found = Vec::with_capacity(entries.len());
    for entry in entries {
        if let Some(condition) = condition(reader, &entry.node) {
            found.push((reader.located(entry.key.clone(), entry.key_span), condition));
        }
    }
    Some(found)
}

fn condition(reader: &mut Reader<'_>, node: &Node) -> Option<ConditionSpec> {
    match &node.value {
        Value::Scalar(_) => scalar(reader, node).map(ConditionSpec::Scalar),
        Value::Sequence(_) => scalars(reader, node).map(ConditionSpec::AnyOf),
        Value::Mapping(_) => object(reader, node).map(|object| ConditionSpec::Object(Box::new(object))),
        Value::Broken => None,
    }
}

fn object(reader: &mut Reader<'_>, node: &Node) -> Option<ConditionObject> {
    let fields = reader.fields(node, &keys::CONDITION)?;
    let object = ConditionObject {
        any_of: reader.optional(&fields, "any_of", scalars),
        all_of: reader.optional(&fields, "all_of", scalars),
        none_of: reader.optional(&fields, "none_of", scalars),
        regex: reader.optional(&fields, "regex", regex),
        present: reader.optional(&fields, "present", |reader, node| {
            let present = reader.flag(node)?;
            Some(reader.located(present, node.span))
        }),
        or_absent: reader.flag_or(&fields, "or_absent", false),
    };
    let constrains = ["any_of", "all_of", "none_of", "regex", "present"].iter().any(|key| fields.node(key).is_some());
    if !constrains && !fields.has_unknown_key() {
        reader.error(
            CheckCode::EmptyCondition,
            node.span,
            "this condition tests nothing",
            "write at least one of `any_of`, `all_of`, `none_of`, `regex`, `present`",
        );
        return None;
    }
    constrains.then_some(object)
}

/// Reads a list of at least one scalar. A condition with an empty list would hold never, or always.
fn scalars(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<Located<ScalarSpec>>> {
    if node.is_empty_list() {
        reader.error(
            CheckCode::EmptyList,
            node.span,
            "the list is empty",
            "list at least one value, or remove the key",
        );
        return None;
    }
    reader.list_of(node, "values", scalar)
}

fn scalar(reader: &mut Reader<'_>, node: &Node) -> Option<Located<ScalarSpec>> {
    if let Value::Scalar(written) = &node.value
        && written.plain
    {
        match resolve(&written.text) {
            Plain::Text => refuse_old_truth(reader, node, &written.text)?,
            Plain::Empty => {}
            Plain::Null => {
                let help = "null counts as absent: write `{ present: false }`, or `\"null\"` for that string";
                reader.error(CheckCode::AmbiguousScalar, node.span, "a claim cannot be compared with null", help);
                return None;
            }
            Plain::Bool(value) => return Some(reader.located(ScalarSpec::Bool(value), node.span)),
            // YAML takes `0123` and `1e3` for numbers, people for ids.
            Plain::Number(number) if number.to_string() == written.text => {
                return Some(reader.located(ScalarSpec::Number(number), node.span));
            }
            Plain::Number(_) | Plain::OddNumber => {
                let message =
                    format!("{} without quotes is a number whose digits JSON would change", quoted(&written.text));
                reader.error(
                    CheckCode::AmbiguousScalar,
                    node.span,
                    message,
                    format!("for a string, write {}", quoted(&format!("\"{}\"", written.text))),
                );
                return None;
            }
        }
    }
    let pattern = reader.pattern(node)?;
    Some(Located::new(ScalarSpec::Text(pattern.value), pattern.origin))
}

fn regex(reader: &mut Reader<'_>, node: &Node) -> Option<Located<String>> {
    let text = reader.text(node)?;
    if text.variable.is_some() {
        reader.error(
            CheckCode::InvalidRegex,
            text.span,
            "a regular expression cannot come from the environment",
            "write it here, or use `any_of` with the variable",
        );
        return None;
    }
    Some(reader.located(text.value, text.span))
}
