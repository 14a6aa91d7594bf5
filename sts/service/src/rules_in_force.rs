//! Revocation rules, compiled once for each list that the ledger hands out.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use serde_json::Value;
use sts_policy::Pattern;
use sts_store::{Revocation, RevocationRule, RevocationScope};
use sts_types::TokenRecord;

/// The compiled form of the list it was made from.
struct Compiled {
    of: Arc<[Revocation]>,
    rules: Vec<(Revocation, Option<CompiledRule>)>,
}

/// A rule with its patterns parsed.
struct CompiledRule {
    subject: Option<Pattern>,
    claims: Vec<(String, Pattern)>,
}

/// The rules in force.
#[derive(Default)]
pub(crate) struct RulesInForce(ArcSwapOption<Compiled>);

impl RulesInForce {
    /// Whether one of `list` covers `record`.
    pub(crate) fn covers(&self, list: &Arc<[Revocation]>, record: &TokenRecord) -> bool {
        self.covering(list, record).is_some()
    }

    /// The oldest of `list` that covers `record`.
    pub(crate) fn covering(&self, list: &Arc<[Revocation]>, record: &TokenRecord) -> Option<Revocation> {
        if list.is_empty() {
            return None;
        }
        let held = self.0.load();
        let compiled = match held.as_ref().filter(|compiled| Arc::ptr_eq(&compiled.of, list)) {
            Some(compiled) => Arc::clone(compiled),
            None => {
                let fresh = Arc::new(compile(list));
                self.0.store(Some(Arc::clone(&fresh)));
                fresh
            }
        };
        let covering = compiled.rules.iter().find(|(revocation, rule)| covers(revocation, rule.as_ref(), record));
        covering.map(|(revocation, _)| revocation.clone())
    }
}

/// What one revocation covers, whether or not it is in force.
pub(crate) struct Coverage<'a> {
    revocation: &'a Revocation,
    compiled: Option<CompiledRule>,
}

impl<'a> Coverage<'a> {
    pub(crate) fn new(revocation: &'a Revocation) -> Self {
        let compiled = match &revocation.scope {
            RevocationScope::Rule(rule) => compile_rule(rule),
            RevocationScope::Token(_) => None,
        };
        Self { revocation, compiled }
    }

    /// Whether it would cover `record`, were it in force.
    pub(crate) fn covers(&self, record: &TokenRecord) -> bool {
        covers(self.revocation, self.compiled.as_ref(), record)
    }
}

/// Whether `revocation` would cover `record`, were it in force.
pub(crate) fn covers_alone(revocation: &Revocation, record: &TokenRecord) -> bool {
    Coverage::new(revocation).covers(record)
}

fn compile(list: &Arc<[Revocation]>) -> Compiled {
    let rules = list
        .iter()
        .map(|revocation| {
            let rule = match &revocation.scope {
                RevocationScope::Rule(rule) => compile_rule(rule),
                RevocationScope::Token(_) => None,
            };
            (revocation.clone(), rule)
        })
        .collect();
    Compiled { of: Arc::clone(list), rules }
}

/// `None` when a pattern does not parse. Patterns are checked before a rule is recorded, so such a rule was written by another
/// version: it then covers whatever its other fields cover, since a revocation that is not understood must not be lost.
fn compile_rule(rule: &RevocationRule) -> Option<CompiledRule> {
    let subject = rule.subject.as_deref().map(Pattern::parse).transpose().ok()?;
    let claims = rule
        .claim
        .iter()
        .map(|(name, pattern)| Pattern::parse(pattern).map(|pattern| (name.clone(), pattern)))
        .collect::<Result<_, _>>()
        .ok()?;
    Some(CompiledRule { subject, claims })
}

fn covers(revocation: &Revocation, compiled: Option<&CompiledRule>, record: &TokenRecord) -> bool {
    let rule = match &revocation.scope {
        RevocationScope::Token(jti) => return *jti == record.jti,
        RevocationScope::Rule(rule) => rule,
    };
    let is = |wanted: &Option<String>, own: &str| wanted.as_deref().is_none_or(|wanted| wanted == own);
    revocation.reaches(record)
        && is(&rule.account, record.account.as_str())
        && is(&rule.identity, record.identity.as_str())
        && is(&rule.issuer, record.entry.as_str())
        && is(&rule.kid, record.kid.as_str())
        && is(&rule.generation, &record.generation)
        && rule
            .issuer_kid
            .as_deref()
            .is_none_or(|kid| record.subject_kid.as_ref().is_some_and(|own| own.as_str() == kid))
        && compiled.is_none_or(|compiled| {
            compiled.subject.as_ref().is_none_or(|pattern| pattern.matches(record.subject.as_str()))
                && compiled.claims.iter().all(|(name, pattern)| claim_matches(record.claims.get(name), pattern))
        })
}

/// As a condition does: a list by any of its elements, numbers and booleans by their text.
fn claim_matches(value: Option<&Value>, pattern: &Pattern) -> bool {
    match value {
        None | Some(Value::Null | Value::Object(_)) => false,
        Some(Value::String(text)) => pattern.matches(text),
        Some(Value::Array(values)) => values.iter().any(|value| claim_matches(Some(value), pattern)),
        Some(scalar) => pattern.matches(&scalar.to_string()),
    }
}
