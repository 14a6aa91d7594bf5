//! What keeps a token from the identity that is nearest to it.

use sts_types::IdentityName;

use crate::account::Account;
use crate::condition::Condition;
use crate::identity::{Check, ConditionCache, EntryRule, EvaluationContext, Identity};
use crate::pattern::Pattern;
use crate::{Facts, RuleSet};

use super::owner::{OwnerClaims, OwnerMatch};

/// The identity of an account that is nearest to a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearestIdentity {
    /// Its name.
    pub name: IdentityName,
    /// Whether it accepts tokens of the token's issuer entry.
    pub accepts_issuer: bool,
    /// Whether it is enabled and inside its times.
    pub is_in_force: bool,
    /// What alone keeps the token from it, if a small change mends that.
    pub fault: Option<SoleFault>,
    /// The yes-or-no claims of which it demands an answer, with the claims on protection of which every
    /// identity for the token's owner does.
    pub guards: Vec<Guard>,
}

/// A yes-or-no claim of which an identity demands an answer, such as `ref_protected`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The claim (name or pointer).
    pub claim: String,
    /// Whether the token has the demanded answer.
    pub is_met: bool,
}

/// Claims that say whether everybody who can write to a repository can cause the token.
pub(super) const PROTECTIONS: [&str; 2] = ["ref_protected", "environment_protected"];

/// The one condition of an identity that a token does not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SoleFault {
    /// That on the subject.
    Subject,
    /// That on this claim (name or pointer). One more accepted value of it lets in nothing else, because
    /// exact values fix the rest of the token, and the claim does not tell owners apart.
    Claim(String),
}

impl RuleSet {
    /// The identity of `account` that is nearest to the token: the one named `remembered` if the account
    /// still has it, else the one with the fewest differences.
    #[must_use]
    pub fn nearest_identity(
        &self,
        account: &str,
        remembered: Option<&str>,
        facts: Facts<'_>,
    ) -> Option<NearestIdentity> {
        let account = self.accounts.get(*self.account_by_name.get(account)?)?;
        let variables = self.variables(facts);
        let memo = ConditionCache::default();
        let context = self.context(facts, &variables, &memo);
        let named = account.identities.iter().find(|identity| Some(identity.name.as_str()) == remembered);
        let least = || account.identities.iter().min_by_key(|one| one.distance(&account.terms.window, &context));
        let identity = named.or_else(least)?;
        let owner = self.issuer_spec(facts.entry).map(OwnerClaims::of);
        Some(NearestIdentity {
            name: identity.name.clone(),
            accepts_issuer: context.entry.and_then(|entry| identity.rule(entry)).is_some(),
            is_in_force: identity.terms.window.is_open(facts.now),
            fault: owner.as_ref().and_then(|owner| self.sole_fault(owner, account, identity, &context)),
            guards: owner.as_ref().map_or_else(Vec::new, |owner| guards(owner, account, identity, &context)),
        })
    }

    fn sole_fault(
        &self,
        owner: &OwnerClaims<'_>,
        account: &Account,
        identity: &Identity,
        context: &EvaluationContext<'_>,
    ) -> Option<SoleFault> {
        let checks = identity.checks(&account.terms.window);
        let mut failed = checks.into_iter().filter(|check| !identity.holds(*check, context));
        match (failed.next()?, failed.next()) {
            (Check::Subject(_), None) => Some(SoleFault::Subject),
            (Check::Claim(condition), None)
                if self.fixes_owner(owner, identity, context) && may_widen(owner, identity, condition) =>
            {
                Some(SoleFault::Claim(condition.path.as_str().to_owned()))
            }
            _ => None,
        }
    }

    /// Whether the rest of `identity` keeps strangers out when a condition on another claim is widened. On a
    /// shared issuer it must fix the token's owner, and it must not accept another shared issuer, whose owners
    /// the token says nothing of.
    fn fixes_owner(&self, owner: &OwnerClaims<'_>, identity: &Identity, context: &EvaluationContext<'_>) -> bool {
        let is_shared = |rule: &&EntryRule| self.frame.issuers.get(rule.entry).is_none_or(super::is_shared);
        let mut shared = identity.terms.entries.iter().filter(is_shared).peekable();
        if shared.peek().is_none() {
            return true;
        }
        shared.all(|rule| Some(rule.entry) == context.entry)
            && match owner.compare(identity, context) {
                OwnerMatch::ById | OwnerMatch::ByName => true,
                OwnerMatch::OtherOfThatName | OwnerMatch::OtherMember => false,
                OwnerMatch::Other => owner.is_untold() && identity.subject.as_ref().is_some_and(Pattern::is_exact),
            }
    }
}

/// Whether one more value of `condition` lets in nothing but what the rest of the identity fixes.
fn may_widen(owner: &OwnerClaims<'_>, identity: &Identity, condition: &Condition) -> bool {
    let mut others =
        identity.conditions.iter().filter(|other| !std::ptr::eq(&raw const ***other, condition)).peekable();
    let is_alone = identity.subject.is_none() && others.peek().is_none();
    !is_alone
        && !owner.is_about_owner(condition)
        && !condition.is_guard()
        && identity.subject.as_ref().is_none_or(Pattern::is_exact)
        && others.all(|other| other.lists_exact_values() && !is_same_claim(other, condition))
}

/// The guards of the nearest identity, with those on protection that every identity for the token's owner has.
/// Another identity is no way around them.
fn guards(
    owner: &OwnerClaims<'_>,
    account: &Account,
    nearest: &Identity,
    context: &EvaluationContext<'_>,
) -> Vec<Guard> {
    let accepts = |identity: &&Identity| context.entry.and_then(|entry| identity.rule(entry)).is_some();
    let is_of_owner =
        |identity: &&Identity| matches!(owner.compare(identity, context), OwnerMatch::ById | OwnerMatch::ByName);
    let accepting: Vec<&Identity> = account.identities.iter().filter(accepts).collect();
    let of_owner: Vec<&Identity> = accepting.iter().copied().filter(is_of_owner).collect();
    let identities = if of_owner.is_empty() { accepting } else { of_owner };
    let is_everywhere = |name: &str| identities.iter().all(|identity| guards_on(identity, name).next().is_some());
    let everywhere = PROTECTIONS.into_iter().filter(|name| is_everywhere(name));
    let everywhere =
        everywhere.filter_map(|name| identities.iter().flat_map(|identity| guards_on(identity, name)).next());
    let own = nearest.conditions.iter().map(|condition| &**condition).filter(|condition| condition.is_guard());
    let mut guards: Vec<Guard> = Vec::new();
    for condition in own.chain(everywhere) {
        let is_met = condition.holds(context.claims);
        match guards.iter_mut().find(|guard| guard.claim == condition.claim_name()) {
            Some(guard) => guard.is_met &= is_met,
            None => guards.push(Guard { claim: condition.claim_name().to_owned(), is_met }),
        }
    }
    guards
}

/// The conditions of `identity` that demand an answer of the claim `name`.
fn guards_on<'a>(identity: &'a Identity, name: &'a str) -> impl Iterator<Item = &'a Condition> {
    let conditions = identity.conditions.iter().map(|condition| &**condition);
    conditions.filter(move |condition| condition.claim_name() == name && condition.is_guard())
}

/// Whether both are on one claim. A document would not tell which of them is at fault.
fn is_same_claim(a: &Condition, b: &Condition) -> bool {
    a.on_variable == b.on_variable && a.claim_name() == b.claim_name()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use crate::{IdentitySpec, NoDirectory};
    use serde_json::{Value, json};

    fn nearest(identities: Vec<IdentitySpec>, remembered: Option<&str>, changes: Value) -> Option<NearestIdentity> {
        let rules = rules(&spec(vec![account("octo", identities)]));
        let claims = token(changes);
        let facts = Facts { entry: &entry("github"), claims: &claims, now: NOW, memberships: &NoDirectory };
        rules.nearest_identity("octo", remembered, facts)
    }

    fn fault(identity: IdentitySpec, changes: Value) -> Option<SoleFault> {
        nearest(vec![identity], None, changes).unwrap().fault
    }

    fn dev() -> Value {
        let sub = "repo:octo-org/octo-repo:ref:refs/heads/dev";
        json!({ "sub": sub, "ref": "refs/heads/dev", "environment": "dev", "event_name": "push" })
    }

    const DEV: &str = "repo:octo-org/octo-repo:ref:refs/heads/dev";

    #[test]
    fn a_claim_is_widened_only_where_exact_values_fix_the_rest_of_the_token() {
        let claim = |name: &str| Some(SoleFault::Claim(name.to_owned()));
        let block = |changes: Value| {
            let mut block = json!({ "repository": "octo-org/octo-repo", "environment": "production" });
            block.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            short(identity("i"), "github", block)
        };
        let with =
            |pattern: &str, identity: IdentitySpec| IdentitySpec { subject: Some(at(pattern.to_owned())), ..identity };
        for (identity, expected) in [
            (block(json!({})), claim("environment")),
            (block(json!({ "ref_type": ["branch", "tag"], "repository_owner_id": "65" })), claim("environment")),
            (with(DEV, block(json!({}))), claim("environment")),
            (with("repo:octo-org/octo-repo:**", block(json!({}))), None),
            (block(json!({ "ref": "refs/heads/*" })), None),
            (block(json!({ "ref": { "none_of": ["refs/heads/main"] } })), None),
            (block(json!({ "ref": { "regex": "refs/heads/.*" } })), None),
            (block(json!({ "ref": { "any_of": ["refs/heads/dev"], "or_absent": true } })), None),
            (block(json!({ "ref": { "present": true } })), None),
            (claims(block(json!({})), json!({ "/environment": "dev" })), None),
            // Two conditions fail.
            (block(json!({ "ref": "refs/heads/main" })), None),
            (with("repo:octo-org/octo-repo:ref:refs/heads/main", identity("i")), Some(SoleFault::Subject)),
        ] {
            assert_eq!(fault(identity.clone(), dev()), expected, "{identity:?}");
        }
    }

    #[test]
    fn a_claim_that_tells_owners_apart_is_never_widened() {
        for (name, path) in
            [("repository", "repository"), ("repository_owner_id", "/repository_owner_id"), ("sub", "/sub")]
        {
            for on in [name, path] {
                let rest = json!({ on: "other", "repository_id": "74", "ref": "refs/heads/dev" });
                assert_eq!(fault(claims(subject("i", DEV), rest), dev()), None, "{on}");
            }
        }
    }

    #[test]
    fn a_claim_is_widened_only_where_the_identity_fixes_the_owner() {
        let excused =
            |rest: Value| IdentitySpec { allow_broad: Some(at("a test".to_owned())), ..claims(identity("i"), rest) };
        let known =
            || claims(subject("known", "repo:octo-org/x:ref:refs/heads/main"), json!({ "repository_owner_id": "65" }));
        let token = || {
            let mut token = dev();
            token.as_object_mut().unwrap().insert("repository_owner_id".to_owned(), "65".into());
            token
        };
        let production = |more: Value| {
            let mut rest = json!({ "environment": "production", "ref": "refs/heads/dev" });
            rest.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            nearest(vec![excused(rest), known()], Some("i"), token()).unwrap().fault
        };
        assert_eq!(production(json!({})), None, "every owner's tokens would get in");
        assert_eq!(
            production(json!({ "repository_owner_id": "65" })),
            Some(SoleFault::Claim("environment".to_owned()))
        );
        // Another issuer of the identity has owners, too.
        let gitlab = || {
            let rest = json!({ "environment": "production", "repository_owner_id": "65" });
            let mut identity = excused(rest);
            identity.issuers.push(at("gitlab".to_owned()));
            identity
        };
        let mut spec = spec(vec![account("octo", vec![gitlab()])]);
        spec.issuers.push(issuer("gitlab", "https://gitlab.com"));
        let compiled = rules(&spec);
        let claims = crate::fixture::token(token());
        let facts = Facts { entry: &entry("github"), claims: &claims, now: NOW, memberships: &NoDirectory };
        assert_eq!(compiled.nearest_identity("octo", None, facts).unwrap().fault, None);
    }

    #[test]
    fn a_yes_or_no_claim_is_never_widened_and_every_identity_of_the_owner_guards_alike() {
        let of = |name: &str, rest: Value| claims(subject(name, DEV), rest);
        let with = |changes: Value| {
            let mut token = dev();
            token.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            token
        };
        let guard = |is_met: bool| vec![Guard { claim: "ref_protected".to_owned(), is_met }];
        for demand in [json!("true"), json!({ "none_of": ["false"] }), json!({ "all_of": ["true"] })] {
            let identities = || vec![of("i", json!({ "ref_protected": demand }))];
            for (value, is_met) in [("false", false), ("true", true)] {
                let found = nearest(identities(), None, with(json!({ "ref_protected": value }))).unwrap();
                assert_eq!((found.guards, found.fault), (guard(is_met), None), "{demand}");
            }
        }
        let main = "repo:octo-org/octo-repo:ref:refs/heads/main";
        let protected = || claims(subject("protected", main), json!({ "ref_protected": "true" }));
        let open = || subject("open", "repo:octo-org/octo-repo:ref:refs/heads/test");
        let unprotected = || with(json!({ "ref_protected": "false" }));
        let guards =
            |identities: Vec<IdentitySpec>, near: &str| nearest(identities, Some(near), unprotected()).unwrap().guards;
        assert_eq!(guards(vec![protected(), open()], "open"), [], "the account accepts such refs");
        let other = || claims(subject("other", "repo:evil/x:ref:refs/heads/main"), json!({ "ref": "refs/heads/main" }));
        assert_eq!(guards(vec![protected(), other()], "other"), guard(false), "that of another owner is no way around");
    }

    #[test]
    fn the_nearest_identity_is_the_remembered_one_or_else_that_with_the_fewest_faults() {
        let far = || claims(subject("far", "repo:octo-org/other:**"), json!({ "ref": "refs/heads/main" }));
        let near = || IdentitySpec { enabled: false, ..subject("near", DEV) };
        let found = |remembered: Option<&str>| nearest(vec![far(), near()], remembered, dev()).unwrap();
        assert_eq!(found(Some("far")).name.as_str(), "far");
        for gone in [None, Some("gone")] {
            let nearest = found(gone);
            assert_eq!((nearest.name.as_str(), nearest.accepts_issuer, nearest.is_in_force), ("near", true, false));
            assert_eq!(nearest.fault, None, "no change of a condition mends that");
        }
        assert_eq!(nearest(vec![], None, dev()), None);
    }
}
