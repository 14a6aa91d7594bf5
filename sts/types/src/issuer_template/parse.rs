//! Parses a template's text and its variables' rules.

use std::collections::BTreeMap;

use regex::RegexBuilder;

use super::{IssuerTemplate, LONGEST_VALUE, TemplateError, UrlPart, Variable, VariableRule, VariableSpec, is_dots};
use crate::{Issuer, nearest};

/// Limit of the variables in a template.
const MOST_VARIABLES: usize = 8;
/// Number of fixed labels that must follow the last variable in the host, so that no variable can
/// choose the domain.
const FIXED_LABELS: usize = 2;
/// Names that a variable must not have: tokens have, or may have, claims with these names (RFC 7519
/// section 4.1).
const REGISTERED: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];
/// Size limit of a compiled pattern, in bytes.
const REGEX_SIZE: usize = 1 << 20;

impl IssuerTemplate {
    /// Parses a template and the rules of its variables.
    ///
    /// # Errors
    /// All faults of the template.
    pub fn new(text: &str, variables: &BTreeMap<String, VariableSpec>) -> Result<Self, Vec<TemplateError>> {
        let mut errors = Vec::new();
        let mut template = match shape(text) {
            Ok(template) => template,
            Err(error) => return Err(vec![error]),
        };
        let used: Vec<String> = template.names().map(str::to_owned).collect();
        let mut misspelt = Vec::new();
        for variable in &mut template.variables {
            let unused =
                || variables.keys().map(String::as_str).filter(|name| !used.iter().any(|variable| variable == name));
            match variables.get(&variable.name) {
                None if let Some(name) = nearest(&variable.name, unused()) => {
                    // The rule that nothing uses is the other side of the same slip.
                    misspelt.push(name);
                    errors.push(TemplateError::new(
                        format!("the variable `{{{}}}` has no rule", variable.name),
                        format!("`variables` has a rule for `{}`: give both one name", name.escape_debug()),
                    ));
                }
                None => errors.push(TemplateError::new(
                    format!("the variable `{{{}}}` has no rule", variable.name),
                    format!(
                        "add it under `variables`, such as `{}: [a, b]` or `{}: \"[0-9a-f]{{32}}\"`",
                        variable.name, variable.name
                    ),
                )),
                Some(spec) => match rule(spec, variable) {
                    Ok(rule) => variable.rule = rule,
                    Err(error) => errors.push(error.of(&variable.name)),
                },
            }
        }
        for name in variables.keys().filter(|name| !used.contains(name) && !misspelt.contains(&name.as_str())) {
            let error = TemplateError::new(
                format!("the template has no variable `{{{}}}`", name.escape_debug()),
                "remove it, or write it into `issuer_template`",
            );
            errors.push(error.of(name));
        }
        if errors.is_empty() { Ok(template) } else { Err(errors) }
    }
}

/// Finds the variables in a template. Their rules are added later.
fn shape(text: &str) -> Result<IssuerTemplate, TemplateError> {
    let pieces = split(text)?;
    if Issuer::new(text).is_err() || !text.is_ascii() || text.contains(['?', '#', '@', '\\', '%']) {
        return wrong(
            "the template is not the form of an issuer",
            "write a URL without user name, query, fragment and escapes",
        );
    }
    let path_start = path_start(text)?;
    let mut template = IssuerTemplate { text: text.to_owned(), head: String::new(), variables: Vec::new() };
    let mut pieces = pieces.into_iter().peekable();
    if let Some(Written::Literal(literal)) = pieces.next_if(|piece| matches!(piece, Written::Literal(_))) {
        literal.clone_into(&mut template.head);
    }
    // Literals and variables alternate, except where variables are adjacent.
    while let Some(Written::Variable(position, name)) = pieces.next() {
        check_name(name, &template)?;
        let place = if position < path_start { UrlPart::Host } else { UrlPart::Path };
        let after = match pieces.next_if(|piece| matches!(piece, Written::Literal(_))) {
            Some(Written::Literal(literal)) => literal,
            _ => "",
        };
        let end = after.find(|c| !place.allows(c)).unwrap_or(after.len());
        let (suffix, then) = after.split_at_checked(end).unwrap_or((after, ""));
        if then.is_empty() && pieces.peek().is_some() {
            return wrong(
                &format!("`{{{name}}}` and another variable are in the same part of the URL"),
                "write one variable in a label of the host or a segment of the path, so that it is certain where it ends",
            );
        }
        template.variables.push(Variable {
            name: name.to_owned(),
            place,
            rule: VariableRule::OneOf(Vec::new()),
            suffix: suffix.to_owned(),
            then: then.to_owned(),
        });
    }
    match template.variables.len() {
        0 => wrong("the template has no variable", "write `{NAME}` where its issuers differ, or use `issuer` for one"),
        1..=MOST_VARIABLES => Ok(template),
        _ => wrong("the template has more than 8 variables", "write out what its issuers have in common"),
    }
}

/// Checks the URL up to its path, and returns the position where the path starts.
fn path_start(text: &str) -> Result<usize, TemplateError> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return wrong("the template is not a URL", "write `https://...`");
    };
    if scheme.contains('{') {
        return wrong("the scheme is a variable", "write `https://`");
    }
    let authority = rest.split_once('/').map_or(rest, |(authority, _)| authority);
    check_host(authority)?;
    Ok(scheme.len() + "://".len() + authority.len())
}

fn check_name(name: &str, template: &IssuerTemplate) -> Result<(), TemplateError> {
    if REGISTERED.contains(&name) {
        return wrong(
            &format!("the variable `{{{name}}}` has the name of a registered claim"),
            "choose another name, since conditions on variables are written beside those on claims",
        );
    }
    if template.names().any(|used| used == name) {
        return wrong(
            &format!("the variable `{{{name}}}` is used twice"),
            "give each part of the URL its own variable",
        );
    }
    Ok(())
}

fn wrong<T>(message: &str, help: &str) -> Result<T, TemplateError> {
    Err(TemplateError::new(message, help))
}

/// Checks that the last labels of the host are fixed. Otherwise a variable could choose the domain
/// that is asked for keys.
fn check_host(authority: &str) -> Result<(), TemplateError> {
    let Some(last) = authority.rfind('}') else { return Ok(()) };
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    if port.contains('{') {
        return wrong("the port is a variable", "write the port");
    }
    let labels: Vec<&str> = host.get(last + 1..).unwrap_or_default().split('.').skip(1).collect();
    // A number as the last label makes it an IPv4 address.
    let is_number = |label: &&str| label.bytes().all(|byte| byte.is_ascii_digit());
    if labels.len() < FIXED_LABELS
        || labels.iter().any(|label| label.is_empty())
        || labels.last().is_some_and(is_number)
    {
        return wrong(
            "a variable may choose whose host it is, since less than two labels of a domain follow it",
            "write the domain out, as in `https://{name}.example.com`",
        );
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Written<'a> {
    Literal(&'a str),
    /// With its position in the text.
    Variable(usize, &'a str),
}

fn split(text: &str) -> Result<Vec<Written<'_>>, TemplateError> {
    let mut pieces = Vec::new();
    let mut position = 0;
    let stray = || TemplateError::new("a brace of the template has no partner", "write `{NAME}` for a variable");
    while let Some(rest) = text.get(position..).filter(|rest| !rest.is_empty()) {
        match rest.strip_prefix('{') {
            Some(inner) => {
                let (name, _) = inner.split_once('}').ok_or_else(stray)?;
                let mut chars = name.chars();
                let is_name = chars.next().is_some_and(|c| c.is_ascii_lowercase())
                    && name.len() <= 32
                    && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
                if !is_name {
                    let message = format!("`{{{}}}` is not a variable", name.escape_debug());
                    return Err(TemplateError::new(message, "a variable's name is `[a-z][a-z0-9_]{0,31}`"));
                }
                pieces.push(Written::Variable(position, name));
                position += name.len() + 2;
            }
            None => {
                let literal = rest.split_once('{').map_or(rest, |(literal, _)| literal);
                if literal.contains('}') {
                    return Err(stray());
                }
                pieces.push(Written::Literal(literal));
                position += literal.len();
            }
        }
    }
    Ok(pieces)
}

fn rule(spec: &VariableSpec, variable: &Variable) -> Result<VariableRule, TemplateError> {
    match spec {
        VariableSpec::OneOf(values) => {
            if values.is_empty() {
                return Err(TemplateError::new("the variable has no value", "list at least one"));
            }
            for value in values {
                let fits = !value.is_empty()
                    && value.len() <= LONGEST_VALUE
                    && value.chars().all(|c| variable.place.allows(c))
                    && !is_dots(value);
                if !fits {
                    return Err(TemplateError::new(
                        format!("`{}` cannot stand there", value.escape_debug()),
                        format!("a value there is 1 to {LONGEST_VALUE} {}", variable.place.describe()),
                    ));
                }
            }
            Ok(VariableRule::OneOf(values.clone()))
        }
        VariableSpec::Pattern(text) => {
            let wrong = |_| {
                TemplateError::new(
                    "this is not a regular expression",
                    "write one such as `[0-9a-f]{32}`, or a list of values",
                )
            };
            let build = |text: &str| RegexBuilder::new(text).size_limit(REGEX_SIZE).build();
            // Compile it alone first: otherwise a stray `)` could escape the group around it.
            build(text).map_err(wrong)?;
            let regex = build(&format!(r"\A(?:{text})\z")).map_err(wrong)?;
            Ok(VariableRule::Pattern(regex, text.clone()))
        }
    }
}
