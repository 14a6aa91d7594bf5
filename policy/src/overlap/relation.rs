//! How two identities relate: does one accept everything that the other does, and can one token
//! match both? Where the comparison cannot tell, it never answers with certainty.

use std::sync::Arc;

use serde_json::Map;
use sts_claims::ClaimSet;

use crate::Preset;
use crate::condition::{Condition, Matcher, Test};
use crate::identity::{ApiGrant, Identity, Window};
use crate::pattern::{Pattern, Search, shortest};

/// Whether `a` accepts every token that `b` accepts, at every time, and grants everything that `b`
/// grants.
pub(super) fn takes_all(a: &Identity, b: &Identity) -> bool {
    let audiences = b.terms.entries.iter().all(|rule| {
        a.rule(rule.entry).is_some_and(|wider| {
            (wider.enabled || !rule.enabled)
                && (!wider.ban_events || rule.ban_events)
                && rule.audiences.iter().all(|audience| wider.audiences.contains(audience))
        })
    });
    let subject = match (&a.subject, &b.subject) {
        (None, _) => true,
        (Some(outer), Some(inner)) => is_within(inner, outer),
        (Some(_), None) => false,
    };
    let conditions = a
        .conditions
        .iter()
        .all(|wanted| b.conditions.iter().any(|given| given.path == wanted.path && implies(given, wanted)));
    let covers = |grant: &ApiGrant| {
        let same = a.terms.grants.iter().find(|wider| wider.api == grant.api);
        same.is_some_and(|wider| grant.scopes.iter().all(|scope| wider.scopes.contains(scope.as_str())))
    };
    lasts(&a.terms.window, &b.terms.window) && audiences && subject && conditions && b.terms.grants.iter().all(covers)
}

/// Whether `a` is in force whenever `b` is.
fn lasts(a: &Window, b: &Window) -> bool {
    a.enabled
        && a.not_before.is_none_or(|from| b.not_before.is_some_and(|other| from <= other))
        && a.not_after.is_none_or(|until| b.not_after.is_some_and(|other| other <= until))
}

/// Whether `outer` matches every text that `inner` matches; `false` if the search gave up.
fn is_within(inner: &Pattern, outer: &Pattern) -> bool {
    if inner.is_exact() {
        return outer.matches(inner.literal_head());
    }
    inner == outer || (!outer.is_exact() && shortest([inner], [outer]) == Search::Nothing)
}

/// Whether every claim that meets `a` also meets `b`; `false` if the comparison cannot tell.
fn implies(a: &Condition, b: &Condition) -> bool {
    (b.or_absent || !a.or_absent) && b.tests.iter().all(|wanted| a.tests.iter().any(|test| test_implies(test, wanted)))
}

fn test_implies(a: &Test, b: &Test) -> bool {
    let within = |inner: &Matcher, outer: &Matcher| match (inner, outer) {
        (Matcher::Text(inner), Matcher::Text(outer)) => is_within(inner, outer),
        _ => inner == outer,
    };
    match (a, b) {
        (Test::Present(first), Test::Present(other)) => first == other,
        (Test::AnyOf(_) | Test::AllOf(_) | Test::NoneOf(_) | Test::Regex(_), Test::Present(present)) => *present,
        (Test::AnyOf(first), Test::AnyOf(other)) => first.iter().all(|m| other.iter().any(|n| within(m, n))),
        (Test::AllOf(first), Test::AnyOf(other)) => first.iter().any(|m| other.iter().any(|n| within(m, n))),
        (Test::AllOf(first), Test::AllOf(other)) => other.iter().all(|n| first.iter().any(|m| within(m, n))),
        (Test::NoneOf(first), Test::NoneOf(other)) => other.iter().all(|n| first.iter().any(|m| within(n, m))),
        (Test::Regex(first), Test::Regex(other)) => first == other,
        _ => false,
    }
}

/// A token that two identities may both accept.
pub(super) struct CommonToken {
    pub(super) subject: Option<String>,
    pub(super) certain: bool,
}

/// A token that both identities may accept; `None` if no token can match both.
pub(super) fn meet(a: &Identity, b: &Identity, preset: Option<Preset>) -> Option<CommonToken> {
    let audiences = a.terms.entries.iter().any(|rule| {
        b.rule(rule.entry).is_some_and(|other| {
            let common = rule.audiences.iter().any(|audience| other.audiences.contains(audience));
            // Without `sole_audience` a token may carry an audience of each.
            rule.enabled && other.enabled && (common || !rule.sole_audience)
        })
    });
    if !audiences {
        return None;
    }
    let mut certain = true;
    let subject = match (&a.subject, &b.subject) {
        // An empty subject would be a poor example, so the search excludes it.
        (Some(first), Some(second)) => match shortest([first, second], [&Pattern::literal("")]) {
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
    // The subject of one may fix the value of a claim that the other has a condition on.
    let heads = [(&a.subject, b), (&b.subject, a)];
    for (subject, other) in heads {
        let named = claims_of(preset, subject.as_ref().map_or("", |pattern| pattern.literal_head()));
        let contradicted =
            |condition: &Arc<Condition>| named.find(&condition.path).is_some() && !condition.holds(&named);
        if other.conditions.iter().any(contradicted) {
            return None;
        }
    }
    for first in a.conditions.iter() {
        for second in b.conditions.iter().filter(|second| second.path == first.path) {
            // Two conditions with `or_absent` meet in a token without the claim.
            if (!first.or_absent || !second.or_absent) && exclude(first, second, true) {
                return None;
            }
            certain &= is_plain(first) && is_plain(second) && first.tests.len() + second.tests.len() == 2;
        }
    }
    // The answer is certain only if the conditions of one are all on what the other constrains,
    // too. If each has a condition of its own, a token with both values may not exist.
    let adds_nothing = |one: &Identity, other: &Identity| {
        let claims = one
            .conditions
            .iter()
            .all(|condition| is_plain(condition) && other.conditions.iter().any(|same| same.path == condition.path));
        claims && (one.subject.is_none() || other.subject.is_some())
    };
    certain &= adds_nothing(a, b) || adds_nothing(b, a);
    Some(CommonToken { subject, certain })
}

/// Claims that have one value at every provider. Any other may be a list, and two of its values may
/// stand in one token.
const SINGLE: [&str; 7] = ["sub", "email", "hd", "tid", "oid", "idtyp", "azp"];

/// Claims of short rules that are lists of texts.
const LISTS: [&str; 2] = ["groups_direct", "oidc.circleci.com/context-ids"];

/// Whether the claim surely has one value.
fn is_single_valued(path: &str, preset: Option<Preset>) -> bool {
    SINGLE.contains(&path) || preset.is_some_and(|preset| preset.is_text_claim(path) && !LISTS.contains(&path))
}

/// Whether one token can meet the conditions of an identity, among them that on its subject, and
/// those of the console. `true` if the comparison cannot tell.
pub(crate) fn can_meet(
    identity: &[Arc<Condition>],
    console: &[Arc<Condition>],
    subject: Option<&Pattern>,
    preset: Option<Preset>,
) -> bool {
    // The subject may fix the value of a claim.
    let named = claims_of(preset, subject.map_or("", Pattern::literal_head));
    let contradicted = |condition: &Arc<Condition>| named.find(&condition.path).is_some() && !condition.holds(&named);
    if console.iter().any(contradicted) {
        return false;
    }
    let excludes = |first: &Condition, second: &Condition| {
        first.path == second.path
            && !(first.or_absent && second.or_absent)
            && exclude(first, second, is_single_valued(first.path.as_str(), preset))
    };
    !identity.iter().any(|first| console.iter().any(|second| excludes(first, second)))
}

fn is_plain(condition: &Condition) -> bool {
    condition.tests.iter().all(|test| matches!(test, Test::AnyOf(_) | Test::Present(_)))
}

/// Whether no claim meets both conditions; `false` if the comparison cannot tell. `is_single` says
/// that the claim is no list.
fn exclude(a: &Condition, b: &Condition, is_single: bool) -> bool {
    let apart = |m: &Matcher, n: &Matcher| match (m, n) {
        (Matcher::Text(first), Matcher::Text(other)) => shortest([first, other], []) == Search::Nothing,
        (Matcher::Number(_), Matcher::Number(_)) | (Matcher::Bool(_), Matcher::Bool(_)) => m != n,
        _ => true,
    };
    let one_way = |left: &Test, right: &Test| match (left, right) {
        (Test::AnyOf(first) | Test::AllOf(first), Test::AnyOf(second) | Test::AllOf(second)) if is_single => {
            first.iter().all(|m| second.iter().all(|n| apart(m, n)))
        }
        (Test::AnyOf(any), Test::NoneOf(none)) => any.iter().all(|m| match m {
            Matcher::Text(inner) => {
                none.iter().any(|n| if let Matcher::Text(outer) = n { is_within(inner, outer) } else { false })
            }
            Matcher::Number(_) | Matcher::Bool(_) => none.contains(m),
        }),
        (Test::Present(false), Test::Present(false)) => false,
        (Test::Present(false), _) => true,
        _ => false,
    };
    a.tests.iter().any(|first| b.tests.iter().any(|other| one_way(first, other) || one_way(other, first)))
}

/// The claims that the preset derives from the literal head of a subject.
pub(super) fn claims_of(preset: Option<Preset>, head: &str) -> ClaimSet {
    let mut claims = Map::new();
    if let Some(preset) = preset {
        preset.adopt_subject(head, &mut claims);
    }
    claims.into()
}
