//! Tries a change of one identity before the diagnosis proposes it: compiles it with every lint,
//! decides on the token, and runs the policy tests against it.

use std::collections::HashSet;

use sts_types::{EntryName, Located, Origin};

use crate::condition::{Condition, Matcher, Test};
use crate::external::Holdings;
use crate::finding::{Finding, Severity};
use crate::identity::{ApiGrant, Identity};
use crate::resolve::RequestedNames;
use crate::ruleset::RuleSet;
use crate::{
    AccountSpec, Case, ConditionObject, ConditionSpec, Facts, GrantSpec, IdentitySpec, Outcome, ScalarSpec, Spec,
    Verdict,
};

/// A spec with one account and one identity, to change and compile.
pub(super) struct Candidate<'a> {
    rules: &'a RuleSet,
    spec: Spec,
    /// The findings before any change.
    findings_before: HashSet<(Severity, String)>,
}

impl<'a> Candidate<'a> {
    /// Starts from the account and identity as they are. `None` if they do not compile alone.
    /// What groups give the account counts as its own.
    pub(super) fn new(rules: &'a RuleSet, holdings: &Holdings<'_>, identity: &Identity) -> Option<Self> {
        let spec = Spec { accounts: vec![account_spec(rules, holdings, identity)], ..rules.frame.clone() };
        let findings_before = findings(&spec)?;
        Some(Self { rules, spec, findings_before })
    }

    /// Applies a change. All conditions are under `claims`, in the order of the compiled identity.
    pub(super) fn changed(&self, change: impl FnOnce(&mut AccountSpec)) -> Self {
        let mut spec = self.spec.clone();
        if let Some(account) = spec.accounts.first_mut() {
            change(account);
        }
        Self { rules: self.rules, spec, findings_before: self.findings_before.clone() }
    }

    /// Enables an issuer entry.
    pub(super) fn with_enabled(&self, entry: &EntryName) -> Self {
        let mut spec = self.spec.clone();
        spec.issuers.iter_mut().filter(|issuer| issuer.name.value == *entry).for_each(|issuer| issuer.enabled = true);
        Self { rules: self.rules, spec, findings_before: self.findings_before.clone() }
    }

    /// Whether the change suffices, is safe, and would load: it adds no finding, the request is
    /// granted, and every token that the policy tests expect to be refused stays refused.
    pub(super) fn holds(&self, facts: Facts<'_>, request_names: &RequestedNames<'_>) -> bool {
        let Ok(compiled) = RuleSet::compile_with_unsafe(&self.spec) else { return false };
        let is_new =
            |severity: Severity, message: &str| !self.findings_before.contains(&(severity, message.to_owned()));
        let refuses =
            |finding: &Finding| finding.severity > Severity::Warning && is_new(finding.severity, &finding.message);
        // A warning may quote the changed text, so its message cannot be compared. Compare the
        // number.
        if compiled.warnings.iter().any(refuses) || compiled.warnings.len() > self.findings_before.len() {
            return false;
        }
        let Ok(requested) = compiled.rules.resolve(request_names) else { return false };
        matches!(compiled.rules.decide(facts, &requested), Outcome::Granted(_))
            && self.keeps_guards(&compiled.rules)
            && self.keeps_events(&compiled.rules, facts, request_names)
    }

    /// Whether events that strangers can cause stay refused. A subject that ends in
    /// `:pull_request`, for one, would accept them.
    fn keeps_events(&self, changed: &RuleSet, facts: Facts<'_>, request_names: &RequestedNames<'_>) -> bool {
        if self.rules.strangers_event(facts).is_some() {
            return false;
        }
        if facts.claims.member("event_name").is_none() {
            return true;
        }
        let grants = |rules: &RuleSet, event: &str| {
            rules.resolve(request_names).is_ok_and(|requested| rules.grants_event(facts, &requested, event))
        };
        let Ok(requested) = changed.resolve(request_names) else { return false };
        let tried = changed.events_to_try(facts.entry, requested.account);
        tried.iter().all(|event| !grants(changed, event) || grants(self.rules, event))
    }

    fn keeps_guards(&self, changed: &RuleSet) -> bool {
        let grants = |rules: &RuleSet, case: &Case| matches!(rules.verdict(case), Verdict::Granted { .. });
        let is_let_in = |case: &Case| grants(changed, case) && !grants(self.rules, case);
        self.rules.guards.as_ref().is_some_and(|guards| !guards.iter().any(is_let_in))
    }
}

/// Changes the one identity of a candidate.
pub(super) fn identity_of(account: &mut AccountSpec) -> Option<&mut IdentitySpec> {
    account.identities.first_mut()
}

/// The findings of a spec. `None` if it does not even compile, which no change is to blame for.
fn findings(spec: &Spec) -> Option<HashSet<(Severity, String)>> {
    let compiled = RuleSet::compile_with_unsafe(spec).ok()?;
    Some(compiled.warnings.into_iter().map(|finding| (finding.severity, finding.message)).collect())
}

fn account_spec(rules: &RuleSet, holdings: &Holdings<'_>, identity: &Identity) -> AccountSpec {
    let account = holdings.account;
    let terms = &account.terms;
    AccountSpec {
        name: Located::nowhere(account.granted.name.clone()),
        id: Some(Located::nowhere(account.granted.id.clone())),
        display_name: None,
        enabled: terms.window.enabled,
        teams: Vec::new(),
        grants: holdings.of_account().iter().map(grant_spec).collect(),
        default_api: holdings
            .default_target()
            .and_then(|index| rules.apis.get(index))
            .map(|api| Located::nowhere(api.name.to_string())),
        ttl: None,
        not_before: terms.window.not_before,
        not_after: terms.window.not_after,
        require_proof: terms.require_proof,
        actors: Vec::new(),
        external_login: None,
        identities: vec![identity_spec(identity, &holdings.of_identity(identity))],
    }
}

fn identity_spec(identity: &Identity, grants: &[ApiGrant]) -> IdentitySpec {
    let rules = &identity.terms.entries;
    IdentitySpec {
        origin: Origin::NONE,
        name: identity.name.clone(),
        issuers: rules.iter().map(|rule| Located::nowhere(rule.name.to_string())).collect(),
        subject: identity.subject.as_ref().map(|subject| Located::nowhere(subject.as_str().to_owned())),
        audience: rules
            .first()
            .map_or(Vec::new(), |rule| rule.audiences.iter().cloned().map(Located::nowhere).collect()),
        claims: identity
            .conditions
            .iter()
            .map(|condition| (Located::nowhere(condition.path.to_string()), condition_spec(condition)))
            .collect(),
        short_rule: None,
        scopes: None,
        grants: Some(grants.iter().map(grant_spec).collect()),
        ttl: None,
        copy_claims: Vec::new(),
        replay: None,
        enabled: identity.terms.window.enabled,
        not_before: identity.terms.window.not_before,
        not_after: identity.terms.window.not_after,
        allow_broad: None,
    }
}

pub(super) fn grant_spec(grant: &ApiGrant) -> GrantSpec {
    GrantSpec {
        api: Located::nowhere(grant.name.to_string()),
        scopes: grant.scopes.iter().cloned().map(Located::nowhere).collect(),
    }
}

fn condition_spec(condition: &Condition) -> ConditionSpec {
    let mut object = ConditionObject { or_absent: condition.or_absent, ..ConditionObject::default() };
    let list = |matchers: &[Matcher]| Some(matchers.iter().map(scalar_spec).collect());
    for test in &condition.tests {
        match test {
            Test::AnyOf(any) => object.any_of = list(any),
            Test::AllOf(all) => object.all_of = list(all),
            Test::NoneOf(none) => object.none_of = list(none),
            Test::Regex(expression) => object.regex = Some(Located::nowhere(expression.text.clone())),
            Test::Present(present) => object.present = Some(Located::nowhere(*present)),
        }
    }
    ConditionSpec::Object(Box::new(object))
}

pub(super) fn scalar_spec(matcher: &Matcher) -> Located<ScalarSpec> {
    Located::nowhere(match matcher {
        Matcher::Text(pattern) => ScalarSpec::Text(pattern.as_str().to_owned()),
        Matcher::Number(number) => ScalarSpec::Number(number.clone()),
        Matcher::Bool(value) => ScalarSpec::Bool(*value),
    })
}
