//! Revocation rules, compiled once for each list that the ledger returns.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use serde_json::{Map, Value};
use sts_policy::Pattern;
use sts_store::{Revocation, RevocationRule, RevocationScope};
use sts_types::{AccountId, Kid, Proof, Subject, TokenRecord};

/// The compiled form of the list `of`.
struct Compiled {
    of: Arc<[Revocation]>,
    rules: Vec<(Revocation, Option<CompiledRule>)>,
}

/// A rule with its patterns parsed.
struct CompiledRule {
    subject: Option<Pattern>,
    claims: Vec<(String, Pattern)>,
}

/// Caches the compiled form of the rules in force.
#[derive(Default)]
pub(crate) struct RulesInForce(ArcSwapOption<Compiled>);

impl RulesInForce {
    /// Whether a rule in `list` covers `record`.
    pub(crate) fn covers(&self, list: &Arc<[Revocation]>, record: &TokenRecord) -> bool {
        self.covering(list, record).is_some()
    }

    /// The oldest rule in `list` that covers `record`.
    pub(crate) fn covering(&self, list: &Arc<[Revocation]>, record: &TokenRecord) -> Option<Revocation> {
        if list.is_empty() {
            return None;
        }
        let last = self.0.load();
        // The ledger returns the same `Arc` until a rule changes.
        let compiled = match last.as_ref().filter(|compiled| Arc::ptr_eq(&compiled.of, list)) {
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

    /// Whether it would cover `record` if it were in force.
    pub(crate) fn covers(&self, record: &TokenRecord) -> bool {
        covers(self.revocation, self.compiled.as_ref(), record)
    }
}

/// Whether `revocation` would cover `record` if it were in force.
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

/// `None` if a pattern does not parse. Patterns are checked before a rule is recorded, so another
/// version wrote such a rule. It then covers everything that its other fields match, because a
/// revocation that we do not understand must not be lost.
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
    let is = |wanted: &Option<String>, actual: &str| wanted.as_deref().is_none_or(|wanted| wanted == actual);
    let fits_claims = |claims: &Map<String, Value>| {
        compiled.is_none_or(|compiled| {
            compiled.claims.iter().all(|(name, pattern)| claim_matches(claims.get(name), pattern))
        })
    };
    let is_account = |account: &AccountId| is(&rule.account, account.as_str());
    // A rule about an account or a proof is also about the tokens by which it acts for others.
    let fits_actor = || {
        let mut actors = record.actor.iter().flat_map(|actor| actor.chain());
        rule.claim.is_empty()
            && actors.any(|actor| is_account(&actor.account) && fits_proof(rule, compiled, &actor.proof))
    };
    revocation.reaches(record)
        && is(&rule.kid, record.kid.as_str())
        && is(&rule.generation, &record.generation)
        && (is_account(&record.account) && fits_proof(rule, compiled, &record.proof) && fits_claims(&record.claims)
            || fits_actor())
}

/// Whether a token with this proof matches the fields of a rule that are about the proof. A token
/// that was exchanged for a token of ours has the proof of its root.
fn fits_proof(rule: &RevocationRule, compiled: Option<&CompiledRule>, proof: &Proof) -> bool {
    let is = |wanted: &Option<String>, actual: Option<&str>| wanted.is_none() || wanted.as_deref() == actual;
    let federated = proof.federated();
    let subject = |subject: &Subject| {
        let pattern = compiled.and_then(|compiled| compiled.subject.as_ref());
        pattern.is_none_or(|pattern| pattern.matches(subject.as_str()))
    };
    is(&rule.identity, federated.map(|proof| proof.identity.as_str()))
        && is(&rule.issuer, federated.map(|proof| proof.entry.as_str()))
        && is(&rule.issuer_kid, federated.and_then(|proof| proof.subject_kid.as_ref()).map(Kid::as_str))
        && (rule.subject.is_none() || federated.is_some_and(|proof| subject(&proof.subject)))
        && is(&rule.api_key, proof.api_key().map(|proof| proof.id.as_str()))
}

/// Matches as a condition does: a list by any of its elements, numbers and booleans by their text.
fn claim_matches(value: Option<&Value>, pattern: &Pattern) -> bool {
    match value {
        None | Some(Value::Null | Value::Object(_)) => false,
        Some(Value::String(text)) => pattern.matches(text),
        Some(Value::Array(values)) => values.iter().any(|value| claim_matches(Some(value), pattern)),
        Some(scalar) => pattern.matches(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sts_store::contract::{record, revocation, rule};
    use sts_types::{ApiKeyId, ApiKeyProof, Jti, UnixTime};

    const ID: &str = "0123456789aB";

    /// Records of the same account: of an ID token, of an API key, and each exchanged on.
    fn records() -> [TokenRecord; 4] {
        let jti = |text: &str| Jti::new(text).unwrap();
        let of_token = record("of a token", "octo");
        let key = Proof::ApiKey(ApiKeyProof { id: ApiKeyId::new(ID).unwrap() });
        let claims = serde_json::Map::new();
        let of_key = TokenRecord { proof: key.clone(), claims, ..record("of a key", "octo") };
        let child = TokenRecord { proof: of_token.proof.descendant(jti("of a token")), ..of_token.clone() };
        let child_of_key = TokenRecord { proof: key.descendant(jti("of a key")), ..of_key.clone() };
        [of_token, of_key, child, child_of_key]
    }

    #[test]
    fn a_rule_matches_over_the_proof_and_what_a_proof_has_not_it_does_not_fit() {
        let text = |text: &str| Some(text.to_owned());
        let none = RevocationRule::default;
        let (token, key, both, neither) =
            ([true, false, true, false], [false, true, false, true], [true; 4], [false; 4]);
        for (fields, wanted) in [
            (RevocationRule { account: text("octo"), ..none() }, both),
            (RevocationRule { identity: text("main branch"), ..none() }, token),
            (RevocationRule { issuer: text("github"), ..none() }, token),
            (RevocationRule { issuer: text("gitlab"), ..none() }, neither),
            (RevocationRule { subject: text("repo:octo-org/**"), ..none() }, token),
            (RevocationRule { subject: text("**"), ..none() }, token),
            // Written by another version: it is not understood, and still is about subjects.
            (RevocationRule { subject: text("\\broken"), ..none() }, token),
            (RevocationRule { issuer_kid: text("cc413527-173f-5a05-976e-9c52b1d7b431"), ..none() }, token),
            (RevocationRule { claim: [("repository_id".to_owned(), "**".to_owned())].into(), ..none() }, token),
            (RevocationRule { api_key: text(ID), ..none() }, key),
            (RevocationRule { api_key: text("0123456789ab"), ..none() }, neither),
            (RevocationRule { api_key: text(ID), account: text("octo"), ..none() }, key),
            (RevocationRule { api_key: text(ID), account: text("other"), ..none() }, neither),
            (RevocationRule { api_key: text(ID), issuer: text("github"), ..none() }, neither),
        ] {
            let shown = format!("{fields:?}");
            let revocation =
                Revocation { scope: RevocationScope::Rule(fields), ..rule("octo", UnixTime::from_secs(1)) };
            assert_eq!(records().map(|record| covers_alone(&revocation, &record)), wanted, "{shown}");
        }
    }

    #[test]
    fn a_rule_covers_our_key_a_generation_and_claims_by_their_text() {
        let actual = record("j", "octo");
        let covers = |change: &dyn Fn(&mut RevocationRule)| {
            let mut fields = RevocationRule::default();
            change(&mut fields);
            let own_rule = Revocation { scope: RevocationScope::Rule(fields), ..rule("octo", UnixTime::from_secs(1)) };
            covers_alone(&own_rule, &actual)
        };
        assert!(covers(&|rule| rule.kid = Some(actual.kid.to_string())));
        assert!(!covers(&|rule| rule.kid = Some("another".to_owned())));
        assert!(covers(&|rule| rule.generation = Some(actual.generation.clone())));
        assert!(!covers(&|rule| rule.generation = Some("another".to_owned())));
        for (name, pattern, is_covered) in [
            ("repository", "octo-org/*", true),
            ("repository", "other/*", false),
            ("runner", "true", true),
            ("attempt", "1", true),
            ("none", "*", false),
            ("event", "*", false),
            ("absent", "*", false),
        ] {
            let claim = [(name.to_owned(), pattern.to_owned())];
            assert_eq!(covers(&|rule| rule.claim = claim.clone().into()), is_covered, "{name} {pattern}");
        }
        let token = revocation("j", "stolen");
        assert!(covers_alone(&token, &actual) && !covers_alone(&token, &record("k", "octo")));
    }

    #[test]
    fn a_new_list_is_compiled_and_the_oldest_that_covers_is_named() {
        let in_force = RulesInForce::default();
        let until = UnixTime::from_secs(i64::MAX);
        let (actual, other) = (rule("octo", until), rule("other", until));
        let newer = Revocation { reason: Some("later".to_owned()), ..actual.clone() };
        let covering = |list: &[Revocation]| in_force.covering(&list.to_vec().into(), &record("j", "octo"));
        assert_eq!(covering(&[]), None);
        assert_eq!(covering(std::slice::from_ref(&other)), None);
        assert_eq!(covering(&[other, actual.clone(), newer]), Some(actual));
    }
}
