//! Rules that would let strangers in: on an issuer that many share, the signature says nothing about the owner.

use sts_types::Origin;

use crate::condition::{Condition, Matcher, Test};
use crate::finding::{Findings, quoted};
use crate::pattern::Pattern;
use crate::preset::{OwnerGrammar, OwnerText, Reach};
use crate::{IdentitySpec, IssuerSpec, Preset};

/// One identity, as far as this is concerned.
pub(super) struct Rule<'a> {
    pub(super) spec: &'a IdentitySpec,
    pub(super) title: &'a str,
    pub(super) subject: Option<&'a Pattern>,
    pub(super) conditions: &'a [Condition],
}

/// Notes what is unsafe or doubtful about an identity for tokens of `issuers`.
pub(super) fn check(rule: &Rule<'_>, issuers: &[&IssuerSpec], findings: &mut Findings) {
    if let Some(why) = rule.spec.allow_broad.as_ref().filter(|why| why.value.trim().is_empty()) {
        findings.error(
            why.origin,
            "`allow_broad` gives no reason",
            "write why: `allow_broad: \"every repository may ...\"`".to_owned(),
        );
    }
    for issuer in issuers {
        let github = issuer.preset.is_some_and(Preset::is_github_grammar);
        if github {
            for pattern in rule.subjects() {
                lone_star(pattern, rule.subject_origin(), findings);
            }
            github_lints(rule, findings);
        }
        let owner = issuer.preset.and_then(Preset::owner);
        if issuer.shared && rule.spec.allow_broad.is_none() {
            shared(rule, issuer, owner, findings);
        } else if !issuer.shared {
            sole(rule, issuer, findings);
        }
    }
}

impl Rule<'_> {
    /// Every pattern on `sub`, wherever it was written.
    fn subjects(&self) -> impl Iterator<Item = &Pattern> {
        let written =
            self.conditions.iter().filter(|condition| is_subject(condition)).flat_map(|condition| &condition.tests);
        let patterns = written.flat_map(|test| match test {
            Test::AnyOf(matchers) | Test::AllOf(matchers) => matchers.as_slice(),
            Test::NoneOf(_) | Test::Regex(..) | Test::Present(_) => &[],
        });
        let texts =
            patterns.filter_map(|matcher| if let Matcher::Text(pattern) = matcher { Some(pattern) } else { None });
        self.subject.into_iter().chain(texts)
    }

    fn subject_origin(&self) -> Origin {
        let written = self.spec.claims.iter().find(|(name, _)| matches!(name.value.as_str(), "sub" | "/sub"));
        let claim = written.map(|(name, _)| name.origin);
        self.spec.subject.as_ref().map(|subject| subject.origin).or(claim).unwrap_or(self.spec.origin)
    }

    fn fixes_owner(&self, grammar: Option<&OwnerGrammar>) -> bool {
        let Some(grammar) = grammar else { return self.is_one_subject() };
        let subject = |pattern: &Pattern| grammar.subject_reach(pattern) == Reach::OneOwner;
        let claim = |condition: &Condition| {
            let name = claim_name(condition);
            let mut forms = grammar.claims.iter().filter(|(own, _)| *own == name || *own == condition.path.as_str());
            forms.any(|(_, form)| fixed_by(condition, &|matcher| fixes(*form, matcher)))
                || (is_subject(condition)
                    && fixed_by(condition, &|matcher| matches!(matcher, Matcher::Text(text) if subject(text))))
        };
        self.subject.is_some_and(subject) || self.conditions.iter().any(claim)
    }

    /// On a shared issuer whose grammar nobody knows: an exact subject, or an exact value of a claim of the issuer's own.
    fn is_one_subject(&self) -> bool {
        const SAYS_NOTHING: [&str; 8] = ["iss", "aud", "exp", "iat", "nbf", "jti", "typ", "azp"];
        let exact = |matcher: &Matcher| fixes(OwnerText::Whole, matcher);
        let claim =
            |condition: &Condition| !SAYS_NOTHING.contains(&claim_name(condition)) && fixed_by(condition, &exact);
        self.subject.is_some_and(Pattern::is_exact) || self.conditions.iter().any(claim)
    }
}

fn shared(rule: &Rule<'_>, issuer: &IssuerSpec, grammar: Option<&OwnerGrammar>, findings: &mut Findings) {
    let entry = quoted(issuer.name.value.as_str());
    let advice =
        grammar.map_or("write an exact `subject`, or an exact value of a claim that names the owner", |own| own.advice);
    let help = format!("{advice}; or say why not with `allow_broad: \"...\"`");
    let reach = |pattern: &Pattern| match grammar {
        Some(grammar) => grammar.subject_reach(pattern),
        None if pattern.literal_head().is_empty() => Reach::ManyOwners,
        None => Reach::Elsewhere,
    };
    let mut across = false;
    for pattern in rule.subjects().filter(|pattern| reach(pattern) == Reach::ManyOwners) {
        across = true;
        let message =
            format!("{} reaches across owners, and many share the issuer of {entry}", quoted(pattern.as_str()));
        findings.unsafe_rule(rule.subject_origin(), message, help.clone());
    }
    if !across && !rule.fixes_owner(grammar) {
        let message = format!("{} fits tokens of every owner: many share the issuer of {entry}", rule.title);
        findings.unsafe_rule(rule.spec.origin, message, help);
    }
}

/// Lints for an issuer of one tenant.
fn sole(rule: &Rule<'_>, issuer: &IssuerSpec, findings: &mut Findings) {
    let entry = quoted(issuer.name.value.as_str());
    let empty = |pattern: &Pattern| !pattern.as_str().chars().any(char::is_alphanumeric);
    let any_account = |pattern: &Pattern| {
        issuer.preset == Some(Preset::Kubernetes)
            && pattern.as_str().strip_prefix("system:serviceaccount:").is_some_and(|rest| rest.starts_with('*'))
    };
    match rule.subject {
        None if rule.conditions.is_empty() => {
            let message = format!("{} accepts every token of {entry}", rule.title);
            findings.warning(rule.spec.origin, message, "add a `subject`, or a condition on a claim".to_owned());
        }
        Some(subject) if rule.conditions.is_empty() && (empty(subject) || any_account(subject)) => {
            let message = format!("{} accepts nearly every token of {entry}", quoted(subject.as_str()));
            findings.warning(rule.subject_origin(), message, "name the subject more closely".to_owned());
        }
        _ => {}
    }
}

/// A lone `*` as the last part, right after the repository or after `:ref:`. It never matches a branch: refs have slashes.
fn lone_star(pattern: &Pattern, origin: Origin, findings: &mut Findings) {
    let text = pattern.as_str();
    let Some(before) = text.strip_suffix(":*") else { return };
    let (repository, after_ref) = match before.strip_suffix(":ref") {
        Some(repository) => (repository, true),
        None => (before, false),
    };
    let after_repository =
        ["repo:", "repository:"].iter().any(|key| before.strip_prefix(key).is_some_and(|rest| !rest.contains(':')));
    if !after_ref && !after_repository {
        return;
    }
    let message = if after_ref {
        format!("{} matches no branch: `*` stops at `/`", quoted(text))
    } else {
        format!("{} matches `pull_request` and no branch: `*` stops at `/` and `:`", quoted(text))
    };
    let name = repository.strip_prefix("repo:").unwrap_or(repository);
    let name = if name.contains(['*', '?', '\\', '@']) { "OWNER/REPOSITORY" } else { name };
    let help = format!(
        "write {} for every branch, or the block `github: {{ repository: {name} }}`",
        quoted(&format!("{repository}:ref:refs/heads/**"))
    );
    findings.unsafe_rule(origin, message, help);
}

fn github_lints(rule: &Rule<'_>, findings: &mut Findings) {
    let Some(subject) = rule.subject else { return };
    let text = subject.as_str();
    let names_ref = rule.conditions.iter().any(|condition| {
        matches!(claim_name(condition), "ref" | "ref_protected" | "workflow_ref" | "job_workflow_ref")
    });
    if text.starts_with("repo:") && text.contains(":environment:") && !names_ref {
        let message =
            format!("{} carries no branch: any branch that may deploy to the environment gets in", quoted(text));
        let help = "protect the environment on GitHub, or add a condition on `ref`".to_owned();
        findings.warning(rule.subject_origin(), message, help);
    } else if !subject.literal_head().starts_with("repo:")
        && !rule.subject.is_some_and(|own| own.literal_head().is_empty())
    {
        let message = format!("{} follows a customised template, whose values nothing keeps apart", quoted(text));
        let help = "match on claims instead, with a `github:` block".to_owned();
        findings.warning(rule.subject_origin(), message, help);
    }
}

/// Whether a condition lets through only what `fixes` says fixes the owner.
fn fixed_by(condition: &Condition, fixes: &dyn Fn(&Matcher) -> bool) -> bool {
    let test = |test: &Test| match test {
        Test::AnyOf(any) => !any.is_empty() && any.iter().all(fixes),
        Test::AllOf(all) => all.iter().any(fixes),
        Test::NoneOf(_) | Test::Regex(..) | Test::Present(_) => false,
    };
    !condition.or_absent && condition.tests.iter().any(test)
}

fn fixes(form: OwnerText, matcher: &Matcher) -> bool {
    match matcher {
        Matcher::Text(pattern) => form.reach(pattern) == Reach::OneOwner,
        Matcher::Number(_) => matches!(form, OwnerText::Whole),
        Matcher::Bool(_) => false,
    }
}

fn is_subject(condition: &Condition) -> bool {
    matches!(condition.path.as_str(), "sub" | "/sub")
}

/// The claim a condition is on, where a pointer of one step is its claim's name.
fn claim_name(condition: &Condition) -> &str {
    match condition.path.as_str().strip_prefix('/') {
        Some(rest) if !rest.contains('/') => condition.path.claim(),
        _ => condition.path.as_str(),
    }
}
