//! How two identities stand to each other. Whatever is not known counts against a certain answer.

use std::sync::Arc;

use super::claims_of;
use crate::Preset;
use crate::condition::{Condition, Matcher, Test};
use crate::identity::{ApiGrant, Identity, Window};
use crate::pattern::{Pattern, Search, shortest};

/// Whether `a` accepts every token that `b` accepts, whenever it does, and grants all that it grants.
pub(super) fn takes_all(a: &Identity, b: &Identity) -> bool {
    let audiences = b.terms.entries.iter().all(|rule| {
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
        let same = a.terms.grants.iter().find(|own| own.api == grant.api);
        same.is_some_and(|own| grant.scopes.iter().all(|scope| own.scopes.contains(scope.as_str())))
    };
    lasts(&a.terms.window, &b.terms.window) && audiences && subject && conditions && b.terms.grants.iter().all(covers)
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
        (Test::AnyOf(_) | Test::AllOf(_) | Test::NoneOf(_) | Test::Regex(_), Test::Present(present)) => *present,
        (Test::AnyOf(own), Test::AnyOf(other)) => own.iter().all(|m| other.iter().any(|n| within(m, n))),
        (Test::AllOf(own), Test::AnyOf(other)) => own.iter().any(|m| other.iter().any(|n| within(m, n))),
        (Test::AllOf(own), Test::AllOf(other)) => other.iter().all(|n| own.iter().any(|m| within(m, n))),
        (Test::NoneOf(own), Test::NoneOf(other)) => other.iter().all(|n| own.iter().any(|m| within(n, m))),
        (Test::Regex(own), Test::Regex(other)) => own == other,
        _ => false,
    }
}

/// A token that two identities accept.
pub(super) struct Meeting {
    pub(super) subject: Option<String>,
    pub(super) certain: bool,
}

/// Whether one token can match both, as far as that is known.
pub(super) fn meet(a: &Identity, b: &Identity, preset: Option<Preset>) -> Option<Meeting> {
    let audiences = a.terms.entries.iter().any(|own| {
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
        let contradicted = |own: &Arc<Condition>| named.find(&own.path).is_some() && !own.holds(&named);
        if other.conditions.iter().any(contradicted) {
            return None;
        }
    }
    for own in a.conditions.iter() {
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
