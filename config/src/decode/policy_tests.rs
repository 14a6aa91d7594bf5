//! `tests:`.

use std::path::PathBuf;

use serde_json::Map;
use sts_policy::{Expectation, Preset, TestSpec, TestTokenSpec};

use super::apis::scopes;
use super::directories::groups_of_test;
use super::reader::{Fields, Reader, listed};
use crate::json::value_of;
use crate::quote::quoted;
use crate::source::Span;
use crate::yaml::{Node, Value};
use sts_types::{CheckCode, nearest};

/// A file with the claims of a test token.
pub(crate) struct TokenFile {
    /// Index of the test among all of them.
    pub(crate) test: usize,
    pub(crate) path: PathBuf,
    pub(crate) span: Span,
}

/// Reads `tests:` of one file.
pub(super) fn policy_tests(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    tests: &mut Vec<TestSpec>,
    files: &mut Vec<TokenFile>,
) {
    let Some(node) = fields.node("tests").filter(|node| !node.is_nothing()) else { return };
    let Some(items) = reader.list(node, "policy tests") else { return };
    let Some(section) = fields.section_of("tests") else { return };
    for item in items {
        if let Some(members) = reader.fields(item, section) {
            let Some((test, file)) = policy_test(reader, &members, tests.len()) else { continue };
            tests.push(test);
            files.extend(file);
        }
    }
}

fn policy_test(reader: &mut Reader<'_>, fields: &Fields<'_>, index: usize) -> Option<(TestSpec, Option<TokenFile>)> {
    let name = reader.optional(fields, "name", Reader::text).map(|text| text.value);
    let origin = reader.located((), fields.span).origin;
    let issuer = reader.optional(fields, "issuer", Reader::located_text);
    let names_entry = issuer.is_some();
    let token = reader.required(fields, "token", |reader, node| token(reader, node, index, names_entry));
    let expect = reader.required(fields, "expect", expectation);
    let because = reader.optional(fields, "because", Reader::located_text);
    if let (Some(Expectation::Grant { .. }), Some(entry)) = (&expect, fields.entry("because")) {
        reader.error(
            CheckCode::ConflictingKeys,
            entry.key_span,
            "`because` is for refusals, but this test expects a grant",
            "remove it, or write `expect: deny`",
        );
    }
    let texts = |reader: &mut Reader<'_>, node: &Node| {
        reader.one_or_more(node, |reader, item| reader.text(item).map(|text| text.value))
    };
    let (token, file) = token.unzip();
    let test = TestSpec {
        origin,
        name: name.unwrap_or_else(|| format!("test {}", index + 1)),
        account: reader.optional(fields, "account", Reader::located_text),
        audience: reader.optional(fields, "audience", texts).unwrap_or_default(),
        resource: reader.optional(fields, "resource", texts).unwrap_or_default(),
        scope: reader.optional(fields, "scope", Reader::text).map(|text| text.value),
        token: token?,
        issuer,
        expect: expect?,
        because,
    };
    Some((test, file?))
}

/// Reads a test token: its claims with an optional `preset`, or the path of a file with the claims.
fn token(
    reader: &mut Reader<'_>,
    node: &Node,
    test: usize,
    names_entry: bool,
) -> Option<(TestTokenSpec, Option<TokenFile>)> {
    if let Value::Scalar(_) = &node.value {
        let path = reader.path(node)?;
        let spec = TestTokenSpec { preset: None, claims: Map::new(), groups: Vec::new() };
        return Some((spec, Some(TokenFile { test, path, span: node.span })));
    }
    let entries = reader.mapping(node, "a test's token")?;
    let mut spec = TestTokenSpec { preset: None, claims: Map::new(), groups: Vec::new() };
    for entry in entries {
        if entry.key == "preset" {
            spec.preset = preset(reader, &entry.node);
        } else if let Some(value) = value_of(reader, &entry.node) {
            spec.claims.insert(entry.key.clone(), value);
        }
    }
    spec.groups = groups_of_test(&spec.claims);
    let names_issuer = names_entry || entries.iter().any(|entry| entry.key == "preset" || entry.key == "iss");
    if !names_issuer {
        reader.error(
            CheckCode::PolicyTestWithoutIssuer,
            node.span,
            "nothing says which issuer this token comes from",
            "add `preset: github-actions` or another preset, or write the claim `iss`, or `issuer:` beside the token",
        );
    }
    Some((spec, None))
}

fn preset(reader: &mut Reader<'_>, node: &Node) -> Option<sts_types::Located<String>> {
    let text = reader.text(node)?;
    if Preset::from_name(&text.value).is_none() {
        let names = || Preset::ALL.iter().map(|preset| preset.name());
        let help = match nearest(&text.value, names()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("the presets are {}", listed(names())),
        };
        reader.error(CheckCode::UnknownPreset, text.span, format!("there is no preset {}", text.shown()), help);
        return None;
    }
    Some(reader.located(text.value, text.span))
}

fn expectation(reader: &mut Reader<'_>, node: &Node) -> Option<Expectation> {
    if let Value::Mapping(_) = &node.value {
        let fields = reader.fields(node, &crate::keys::EXPECT)?;
        return Some(Expectation::Grant {
            account: reader.optional(&fields, "account", Reader::located_text),
            identity: reader.optional(&fields, "identity", Reader::located_text),
            scopes: reader.optional(&fields, "scopes", scopes),
        });
    }
    let text = reader.text(node)?;
    if text.value != "deny" {
        let help = "write `deny`, or the expected grant: `{ account: ..., identity: ..., scopes: [...] }`";
        reader.error(
            CheckCode::InvalidExpectation,
            text.span,
            format!("{} is not an expectation", quoted(&text.value)),
            help,
        );
        return None;
    }
    Some(Expectation::Deny)
}
