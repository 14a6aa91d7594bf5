//! `issuer_template:`, the template of a family's issuers.

use std::collections::BTreeMap;
use std::sync::Arc;

use sts_types::{CheckCode, IssuerTemplate, Issuers, Located, VariableSpec};

use super::reader::{Fields, Reader};
use super::url::{self, refuse_hidden_char};
use crate::source::Span;
use crate::yaml::{Node, Value};

/// Reads `issuer_template:` and `variables:`.
pub(super) fn template(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
) -> Option<(Located<Issuers>, Option<url::Checked>)> {
    refuse_keys_of_one_issuer(reader, fields);
    let before = reader.report.errors();
    let variables = variables(reader, fields);
    if reader.report.errors() > before || (fields.node("variables").is_none() && fields.mentions("variables")) {
        return None;
    }
    let text = reader.text(fields.node("issuer_template")?)?;
    if refuse_hidden_char(reader, &text, "`issuer_template`") {
        return None;
    }
    let rules = variables.iter().map(|(name, (rule, _))| (name.clone(), rule.clone())).collect();
    let template = match IssuerTemplate::new(&text.value, &rules) {
        Ok(template) => template,
        Err(errors) => {
            for error in errors {
                let variable = error.variable.as_ref().and_then(|name| variables.get(name));
                let span = variable.map_or(text.span, |(_, span)| *span);
                reader.error(CheckCode::InvalidIssuerTemplate, span, error.message, error.help);
            }
            return None;
        }
    };
    let outline = template.outline()?;
    match url::check(outline.as_str(), false) {
        Ok(checked) => Some((reader.located(Issuers::Family(Arc::new(template)), text.span), Some(checked))),
        Err(unfit) => {
            reader.error(
                CheckCode::InvalidIssuerTemplate,
                text.span,
                format!("`issuer_template` is not valid: {}", unfit.message),
                unfit.help,
            );
            None
        }
    }
}

/// Reports keys that only an entry of one issuer can have.
fn refuse_keys_of_one_issuer(reader: &mut Reader<'_>, fields: &Fields<'_>) {
    if let Some(entry) = fields.entry("issuer") {
        reader.error(
            CheckCode::ConflictingKeys,
            entry.key_span,
            "`issuer` and `issuer_template` cannot be used together",
            "keep one of them",
        );
    }
    for (key, why) in [
        ("jwks_file", "the members of a family have keys of their own"),
        ("jwks_url", "the members of a family have keys of their own"),
        ("jwks", "the members of a family have keys of their own"),
        ("bearer_token_file", "every member of a family would see the token"),
    ] {
        if let Some(entry) = fields.entry(key) {
            let help = "remove it, or write an entry with `issuer` for each member that needs it";
            reader.error(
                CheckCode::ConflictingKeys,
                entry.key_span,
                format!("`{key}` cannot be used with `issuer_template`: {why}"),
                help,
            );
        }
    }
}

/// Reads `variables:`, each with its position.
fn variables(reader: &mut Reader<'_>, fields: &Fields<'_>) -> BTreeMap<String, (VariableSpec, Span)> {
    let Some(entries) = fields.node("variables").and_then(|node| reader.mapping(node, "`variables`")) else {
        return BTreeMap::new();
    };
    entries
        .iter()
        .filter_map(|entry| Some((entry.key.clone(), (variable(reader, &entry.node)?, entry.node.span))))
        .collect()
}

/// Reads the rule of a variable: a list of values, or a regular expression.
fn variable(reader: &mut Reader<'_>, node: &Node) -> Option<VariableSpec> {
    match &node.value {
        Value::Sequence(_) => {
            let values = reader.list_of(node, "values", |reader, item| reader.text(item).map(|text| text.value))?;
            Some(VariableSpec::OneOf(values))
        }
        Value::Scalar(_) | Value::Mapping(_) => reader.text(node).map(|text| VariableSpec::Pattern(text.value)),
        Value::Broken => None,
    }
}
