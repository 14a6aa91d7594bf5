//! Identities that meet: one that never decides because an earlier one takes all, and accounts that one token can reach.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use serde_json::{Map, Value};
use sts_types::{AccountName, ClaimPath, ClaimSet, IdentityName, Origin};

use crate::condition::{Condition, Matcher, Test};
use crate::identity::{ApiGrant, Identity, Window};
use crate::index::IdentityAt;
use crate::pattern::{Pattern, Search, shortest};
use crate::ruleset::{Account, RuleSet};
use crate::{Preset, Spec};

/// The most pairs of identities that are looked at: some seconds of work in a policy that is made to be slow.
const MOST_PAIRS: usize = 100_000;

/// The most overlaps that are told.
const MOST_TOLD: usize = 200;

/// What identities of a policy have in common. It is judged as if every claim had one value.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Overlaps {
    /// Identities that never decide.
    pub shadowed: Vec<Shadowed>,
    /// Accounts that one token can reach.
    pub ambiguous: Vec<Ambiguous>,
    /// Whether there was too much to look at or to tell all of it.
    pub incomplete: bool,
}

/// An identity that never decides: an earlier one of its account accepts every token that it does, and grants all that it does.
#[derive(Clone, Debug, Serialize)]
pub struct Shadowed {
    /// The account.
    pub account: AccountName,
    /// The identity that never decides.
    pub identity: IdentityName,
    /// The earlier one.
    pub by: IdentityName,
    /// Where the identity was written.
    #[serde(skip)]
    pub origin: Origin,
}

/// Two accounts that one token can reach, so that a request which names neither is ambiguous.
#[derive(Clone, Debug, Serialize)]
pub struct Ambiguous {
    /// The accounts, in file order.
    pub accounts: [AccountName; 2],
    /// The identity of each.
    pub identities: [IdentityName; 2],
    /// A subject that both accept, when either has a subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Whether such a token surely exists; else the conditions are of kinds that were not compared.
    pub certain: bool,
    /// Where the second identity was written.
    #[serde(skip)]
    pub origin: Origin,
}

impl RuleSet {
    /// What identities have in common, of the policy that was compiled from `spec`.
    #[must_use]
    pub fn overlaps(&self, spec: &Spec) -> Overlaps {
        let mut found = Overlaps::default();
        let mut told = HashSet::new();
        let mut looked_at = HashSet::new();
        for (entry, spec) in self.entries.iter().zip(&spec.issuers) {
            let members: Vec<IdentityAt> = entry.index.members().collect();
            for (a, b) in pairs(&members, &self.accounts, spec.preset) {
                if found.shadowed.len() + found.ambiguous.len() >= MOST_TOLD || looked_at.len() >= MOST_PAIRS {
                    found.incomplete = true;
                    return found;
                }
                let pair = if a < b { (a, b) } else { (b, a) };
                if looked_at.insert(pair) {
                    self.compare(pair.0, pair.1, spec.preset, &mut told, &mut found);
                }
            }
        }
        found
    }

    fn compare(
        &self,
        first: IdentityAt,
        second: IdentityAt,
        preset: Option<Preset>,
        told: &mut HashSet<(usize, usize, usize)>,
        found: &mut Overlaps,
    ) {
        let (Some((a_account, a)), Some((b_account, b))) = (self.identity(first), self.identity(second)) else {
            return;
        };
        if !a.window.enabled || !b.window.enabled {
            return;
        }
        if first.account == second.account {
            // Each is told once.
            if takes_all(a, b) && told.insert((second.account, second.identity, usize::MAX)) {
                found.shadowed.push(Shadowed {
                    account: b_account.granted.name.clone(),
                    identity: b.name.clone(),
                    by: a.name.clone(),
                    origin: b.origin,
                });
            }
            return;
        }
        let enabled = a_account.window.enabled && b_account.window.enabled;
        if self.require_account || !enabled || !same_request(a_account, a, b_account, b) {
            return;
        }
        // Two accounts are told once.
        if told.contains(&(first.account, second.account, 0)) {
            return;
        }
        let Some(Meeting { subject, certain }) = meet(a, b, preset) else { return };
        told.insert((first.account, second.account, 0));
        found.ambiguous.push(Ambiguous {
            accounts: [a_account.granted.name.clone(), b_account.granted.name.clone()],
            identities: [a.name.clone(), b.name.clone()],
            subject,
            certain,
            origin: b.origin,
        });
    }
}

/// The pairs of identities that can have a token in common, rarest kinship first; a pair may come more than once.
fn pairs<'a>(
    members: &'a [IdentityAt],
    accounts: &'a [Account],
    preset: Option<Preset>,
) -> impl Iterator<Item = (IdentityAt, IdentityAt)> + 'a {
    let mut heads: BTreeMap<&str, Vec<IdentityAt>> = BTreeMap::new();
    let mut texts: HashMap<(&ClaimPath, String), Vec<IdentityAt>> = HashMap::new();
    let mut rest = Vec::new();
    for at in members.iter().copied() {
        let Some(identity) = at.of(accounts) else { continue };
        let mut filed = false;
        if let Some(subject) = &identity.subject {
            heads.entry(subject.literal_head()).or_default().push(at);
            filed = true;
        }
        for condition in &identity.conditions {
            for text in condition.exact_texts().unwrap_or_default() {
                texts.entry((&condition.path, text.to_owned())).or_default().push(at);
                filed = true;
            }
        }
        if !filed {
            rest.push(at);
        }
    }
    // A subject that names the repository is kin to the rules that name it in a claim.
    let paths: HashSet<&ClaimPath> = texts.keys().map(|(path, _)| *path).collect();
    for (head, under) in &heads {
        let named = claims_of(preset, head);
        for path in &paths {
            if let Some(text) = named.find(path).and_then(Value::as_str)
                && let Some(group) = texts.get_mut(&(*path, text.to_owned()))
            {
                group.extend(under);
            }
        }
    }
    let mut groups: Vec<(Vec<IdentityAt>, Vec<IdentityAt>)> = Vec::new();
    let mut open: Vec<(&str, &Vec<IdentityAt>)> = Vec::new();
    for (head, under) in &heads {
        while open.last().is_some_and(|(beginning, _)| !head.starts_with(beginning)) {
            open.pop();
        }
        groups.extend(open.iter().map(|(_, shorter)| ((*shorter).clone(), under.clone())));
        groups.push((under.clone(), under.clone()));
        open.push((head, under));
    }
    groups.extend(texts.into_values().map(|group| (group.clone(), group)));
    groups.push((rest, members.to_vec()));
    groups.sort_by_key(|(left, right)| left.len() * right.len());
    let both = |(left, right): (Vec<IdentityAt>, Vec<IdentityAt>)| {
        left.into_iter().flat_map(move |a| right.clone().into_iter().map(move |b| (a, b)))
    };
    groups.into_iter().flat_map(both).filter(|(a, b)| a != b)
}

/// The claims that follow from the beginning of a subject.
fn claims_of(preset: Option<Preset>, head: &str) -> ClaimSet {
    let mut claims = Map::new();
    if let Some(preset) = preset {
        preset.adopt_subject(head, &mut claims);
    }
    claims.into()
}

/// Whether a request that names nothing, or one that names an API which both grant, is covered by both.
fn same_request(a_account: &Account, a: &Identity, b_account: &Account, b: &Identity) -> bool {
    let default = |account: &Account, own: &Identity| {
        account.default_target.is_some_and(|api| own.grants.iter().any(|grant| grant.api == api))
    };
    let shares = |own: &ApiGrant| b.grants.iter().any(|other| other.api == own.api);
    (default(a_account, a) && default(b_account, b)) || a.grants.iter().any(shares)
}

/// Whether `a` accepts every token that `b` accepts, whenever it does, and grants all that it grants.
fn takes_all(a: &Identity, b: &Identity) -> bool {
    let audiences = b.entries.iter().all(|rule| {
        a.rule(rule.entry).is_some_and(|own| {
            (own.enabled || !rule.enabled)
                && (!own.ban_events || rule.ban_events)
                && rule.audiences.iter().all(|audience| own.audiences.contains(audience))
        })
    });
    let subject = match (&a.subject, &b.subject) {
        (None, _) => true,
        (Some(own), Some(other)) => is_within(other, own),
        (Some(_), None) => false,
    };
    let conditions =
        a.conditions.iter().all(|own| b.conditions.iter().any(|other| own.path == other.path && implies(other, own)));
    let covers = |grant: &ApiGrant| {
        let same = a.grants.iter().find(|own| own.api == grant.api);
        same.is_some_and(|own| grant.scopes.iter().all(|scope| own.scopes.contains(scope.as_str())))
    };
    lasts(&a.window, &b.window) && audiences && subject && conditions && b.grants.iter().all(covers)
}

/// Whether `a` is in force whenever `b` is.
fn lasts(a: &Window, b: &Window) -> bool {
    a.enabled
        && a.not_before.is_none_or(|from| b.not_before.is_some_and(|other| from <= other))
        && a.not_after.is_none_or(|until| b.not_after.is_some_and(|other| other <= until))
}

/// Whether every text that `inner` matches is one that `outer` matches; `false` when that is not known.
fn is_within(inner: &Pattern, outer: &Pattern) -> bool {
    if inner.is_exact() {
        return outer.matches(inner.literal_head());
    }
    inner == outer || (!outer.is_exact() && shortest([inner], [outer]) == Search::Nothing)
}

/// Whether every claim that meets `a` meets `b`; `false` when that is not known.
fn implies(a: &Condition, b: &Condition) -> bool {
    (b.or_absent || !a.or_absent) && b.tests.iter().all(|wanted| a.tests.iter().any(|test| test_implies(test, wanted)))
}

fn test_implies(a: &Test, b: &Test) -> bool {
    let within = |inner: &Matcher, outer: &Matcher| match (inner, outer) {
        (Matcher::Text(inner), Matcher::Text(outer)) => is_within(inner, outer),
        _ => inner == outer,
    };
    match (a, b) {
        (Test::Present(own), Test::Present(other)) => own == other,
        (Test::AnyOf(_) | Test::AllOf(_) | Test::NoneOf(_) | Test::Regex(..), Test::Present(present)) => *present,
        (Test::AnyOf(own), Test::AnyOf(other)) => own.iter().all(|m| other.iter().any(|n| within(m, n))),
        (Test::AllOf(own), Test::AnyOf(other)) => own.iter().any(|m| other.iter().any(|n| within(m, n))),
        (Test::AllOf(own), Test::AllOf(other)) => other.iter().all(|n| own.iter().any(|m| within(m, n))),
        (Test::NoneOf(own), Test::NoneOf(other)) => other.iter().all(|n| own.iter().any(|m| within(n, m))),
        (Test::Regex(_, own), Test::Regex(_, other)) => own == other,
        _ => false,
    }
}

/// A token that two identities accept.
struct Meeting {
    subject: Option<String>,
    certain: bool,
}

/// Whether one token can match both, as far as that is known.
fn meet(a: &Identity, b: &Identity, preset: Option<Preset>) -> Option<Meeting> {
    let audiences = a.entries.iter().any(|own| {
        b.rule(own.entry).is_some_and(|other| {
            let common = own.audiences.iter().any(|audience| other.audiences.contains(audience));
            own.enabled && other.enabled && (common || !own.sole_audience)
        })
    });
    if !audiences {
        return None;
    }
    let mut certain = true;
    let subject = match (&a.subject, &b.subject) {
        (Some(own), Some(other)) => match shortest([own, other], [&Pattern::literal("")]) {
            Search::Text(text) => Some(text),
            Search::Nothing => return None,
            Search::GaveUp => {
                certain = false;
                None
            }
        },
        (Some(one), None) | (None, Some(one)) => shortest([one], [&Pattern::literal("")]).text(),
        (None, None) => None,
    };
    // What the subject says in advance of a claim that the other names.
    let heads = [(&a.subject, b), (&b.subject, a)];
    for (subject, other) in heads {
        let named = claims_of(preset, subject.as_ref().map_or("", |own| own.literal_head()));
        let contradicted = |own: &Condition| named.find(&own.path).is_some() && !own.holds(&named);
        if other.conditions.iter().any(contradicted) {
            return None;
        }
    }
    for own in &a.conditions {
        for other in b.conditions.iter().filter(|other| other.path == own.path) {
            if (!own.or_absent || !other.or_absent) && exclude(own, other) {
                return None;
            }
            certain &= is_plain(own) && is_plain(other) && own.tests.len() + other.tests.len() == 2;
        }
    }
    // Where each asks for what the other says nothing of, no known token has both.
    let asks = |one: &Identity, other: &Identity| {
        let of_claims = one
            .conditions
            .iter()
            .all(|own| is_plain(own) && other.conditions.iter().any(|known| known.path == own.path));
        of_claims && (one.subject.is_none() || other.subject.is_some())
    };
    certain &= asks(a, b) || asks(b, a);
    Some(Meeting { subject, certain })
}

fn is_plain(condition: &Condition) -> bool {
    condition.tests.iter().all(|test| matches!(test, Test::AnyOf(_) | Test::Present(_)))
}

/// Whether no one value meets both.
fn exclude(a: &Condition, b: &Condition) -> bool {
    let apart = |m: &Matcher, n: &Matcher| match (m, n) {
        (Matcher::Text(own), Matcher::Text(other)) => shortest([own, other], []) == Search::Nothing,
        (Matcher::Number(_), Matcher::Number(_)) | (Matcher::Bool(_), Matcher::Bool(_)) => m != n,
        _ => true,
    };
    let one_way = |left: &Test, right: &Test| match (left, right) {
        (Test::AnyOf(own) | Test::AllOf(own), Test::AnyOf(other) | Test::AllOf(other)) => {
            own.iter().all(|m| other.iter().all(|n| apart(m, n)))
        }
        (Test::AnyOf(own), Test::NoneOf(none)) => own.iter().all(|m| match m {
            Matcher::Text(own) => {
                none.iter().any(|n| if let Matcher::Text(other) = n { is_within(own, other) } else { false })
            }
            Matcher::Number(_) | Matcher::Bool(_) => none.contains(m),
        }),
        (Test::Present(false), Test::Present(false)) => false,
        (Test::Present(false), _) => true,
        _ => false,
    };
    a.tests.iter().any(|own| b.tests.iter().any(|other| one_way(own, other) || one_way(other, own)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use crate::{AccountSpec, IdentitySpec};
    use proptest::prelude::*;
    use serde_json::json;

    const MAIN: &str = "repo:octo-org/octo-repo:ref:refs/heads/main";

    fn overlaps(accounts: Vec<AccountSpec>) -> Overlaps {
        let spec = spec(accounts);
        rules(&spec).overlaps(&spec)
    }

    /// Whether the second identity never decides.
    fn shadows(first: IdentitySpec, second: IdentitySpec) -> bool {
        let named = |identity: IdentitySpec, name: &str| IdentitySpec {
            name: sts_types::IdentityName::new(name).unwrap(),
            ..identity
        };
        let found = overlaps(vec![account("octo", vec![named(first, "first"), named(second, "second")])]);
        assert!(found.shadowed.iter().all(|own| own.identity.as_str() == "second" && own.by.as_str() == "first"));
        !found.shadowed.is_empty()
    }

    #[test]
    fn c078_an_identity_that_never_decides_is_found() {
        let wide = || subject("i", "repo:octo-org/**");
        let narrow = |granted: &[&str]| IdentitySpec { scopes: Some(scopes(granted)), ..wide() };
        let with = |sub: &str, on: serde_json::Value| claims(subject("i", sub), on);
        for (first, second, wanted) in [
            (wide(), subject("i", MAIN), true),
            (subject("i", MAIN), wide(), false),
            (subject("i", MAIN), subject("i", MAIN), true),
            (subject("i", "repo:octo-org/*:ref:**"), subject("i", "repo:octo-org/a*:ref:refs/heads/*"), true),
            (subject("i", "repo:octo-org/*:ref:refs/heads/*"), subject("i", "repo:octo-org/a:ref:**"), false),
            // The first that matches and covers: one that grants less leaves the rest to others.
            (narrow(&["read"]), subject("i", MAIN), false),
            (wide(), IdentitySpec { scopes: Some(scopes(&["read"])), ..subject("i", MAIN) }, true),
            (IdentitySpec { enabled: false, ..wide() }, subject("i", MAIN), false),
            (IdentitySpec { not_after: Some(NOW), ..wide() }, subject("i", MAIN), false),
            (
                IdentitySpec { not_after: Some(NOW), ..wide() },
                IdentitySpec { not_after: Some(NOW), ..subject("i", MAIN) },
                true,
            ),
            (with("repo:octo-org/**", json!({ "environment": "prod" })), subject("i", MAIN), false),
            (
                with("repo:octo-org/**", json!({ "environment": ["prod", "dev"] })),
                with(MAIN, json!({ "environment": "prod" })),
                true,
            ),
            (
                with("repo:octo-org/**", json!({ "environment": { "present": true } })),
                with(MAIN, json!({ "environment": "p*" })),
                true,
            ),
            (
                with("repo:octo-org/**", json!({ "environment": "p*" })),
                with(MAIN, json!({ "environment": { "any_of": ["prod"], "or_absent": true } })),
                false,
            ),
            // The banned events are left to those that name them.
            (wide(), with("repo:octo-org/**", json!({ "event_name": "pull_request" })), false),
        ] {
            let said = format!("{:?} before {:?}", first.subject, second.subject);
            assert_eq!(shadows(first, second), wanted, "{said}");
        }
    }

    fn meeting(a: IdentitySpec, b: IdentitySpec) -> Option<(Option<String>, bool)> {
        let found = overlaps(vec![account("a", vec![a]), account("b", vec![b])]).ambiguous;
        assert!(found.len() < 2);
        found.into_iter().next().map(|own| (own.subject, own.certain))
    }

    #[test]
    fn c078_two_accounts_that_one_token_can_reach_are_found() {
        let certain = |subject: &str| Some((Some(subject.to_owned()), true));
        let may = |subject: &str| Some((Some(subject.to_owned()), false));
        let block = |rule: serde_json::Value| short(identity("i"), "github", rule);
        let with = |sub: &str, on: serde_json::Value| claims(subject("i", sub), on);
        for (a, b, wanted) in [
            (subject("i", MAIN), subject("i", MAIN), certain(MAIN)),
            (subject("i", MAIN), subject("i", "repo:octo-org/**"), certain(MAIN)),
            (
                subject("i", "repo:octo-org/a*:**"),
                subject("i", "repo:octo-org/*b:ref:**"),
                certain("repo:octo-org/ab:ref:"),
            ),
            (subject("i", "repo:octo-org/a:**"), subject("i", "repo:octo-org/b:**"), None),
            (subject("i", MAIN), block(json!({ "repository": "octo-org/octo-repo" })), may(MAIN)),
            (subject("i", MAIN), block(json!({ "repository": "octo-org/other" })), None),
            (block(json!({ "repository_id": 74 })), block(json!({ "repository_id": 75 })), None),
            (block(json!({ "repository_id": 74 })), block(json!({ "repository_id": [74, 75] })), Some((None, true))),
            (
                block(json!({ "repository_id": 74, "environment": "p" })),
                block(json!({ "repository_id": 74, "environment": "q" })),
                None,
            ),
            (
                with(MAIN, json!({ "environment": { "regex": "a|b" } })),
                with(MAIN, json!({ "environment": "a" })),
                may(MAIN),
            ),
            (
                with(MAIN, json!({ "environment": { "none_of": ["p*"] } })),
                with(MAIN, json!({ "environment": "prod" })),
                None,
            ),
        ] {
            let said = format!("{:?} {:?} and {:?} {:?}", a.subject, a.claims, b.subject, b.claims);
            assert_eq!(meeting(a, b), wanted, "{said}");
        }
        let mut spec = spec(vec![account("a", vec![subject("i", MAIN)]), account("b", vec![subject("i", MAIN)])]);
        spec.tokens.require_account = true;
        assert!(rules(&spec).overlaps(&spec).ambiguous.is_empty(), "the account must be named anyway");
    }

    #[test]
    fn a_large_policy_without_overlaps_is_looked_through_to_the_end() {
        let accounts = (0..2_000).map(|n| {
            let own =
                short(identity("block"), "github", json!({ "repository": format!("o/r{n}"), "repository_id": n }));
            account(&format!("a{n}"), vec![subject("i", &format!("repo:o/r{n}:ref:refs/heads/**")), own])
        });
        let found = overlaps(accounts.collect());
        assert!(found.shadowed.is_empty() && found.ambiguous.is_empty() && !found.incomplete, "{found:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_said_never_to_decide_never_does(
            written in proptest::collection::vec(
                (
                    proptest::option::of(proptest::sample::select(vec!["x", "y", "*", "x*", "?", "**"])),
                    proptest::option::of((proptest::sample::select(vec!["x", "y", "*"]), any::<bool>())),
                    proptest::option::of(proptest::sample::select(vec!["create", "read"])),
                ),
                2..4,
            ),
        ) {
            let identities: Vec<IdentitySpec> = written.iter().enumerate().map(|(n, (sub, claim, narrowed))| {
                let name = format!("i{n}");
                let own = sub.map_or(identity(&name), |sub| subject(&name, sub));
                let own = match claim {
                    Some((text, or_absent)) => claims(own, json!({ "c": { "any_of": [text], "or_absent": or_absent } })),
                    None => own,
                };
                of("own", IdentitySpec { scopes: narrowed.map(|scope| scopes(&[scope])), ..own })
            }).collect();
            let mut spec = spec(vec![account("octo", identities)]);
            spec.issuers = vec![issuer("own", "https://own.example")];
            let rules = rules(&spec);
            let shadowed: Vec<String> = rules.overlaps(&spec).shadowed.iter().map(|own| own.identity.to_string()).collect();
            for sub in ["x", "y", "z", "xx", ":"] {
                for claim in [json!("x"), json!("y"), json!("z"), json!(null)] {
                    for scope in ["", "create", "read", "create read"] {
                        let token = json!({ "sub": sub, "aud": OURS, "c": claim }).as_object().cloned().unwrap().into();
                        let out = outcome_of(&rules, "own", &token, &ask(&rules, &["octo"], scope));
                        prop_assert!(!shadowed.iter().any(|own| out.starts_with(&format!("octo/{own}:"))), "{} decides", out);
                    }
                }
            }
        }
    }
}
