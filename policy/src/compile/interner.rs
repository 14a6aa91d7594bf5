//! Stores equal parts of identities once. That takes less memory, and a decision among a million
//! identities finds them in the processor's caches.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use foldhash::fast::RandomState;
use sts_claims::ClaimPath;
use sts_types::IdentityName;

use crate::account::AccountTerms;
use crate::condition::{Condition, Matcher, Test};
use crate::identity::Terms;
use crate::pattern::{Pattern, Tails};

/// A fast hasher is enough: only text of the configuration gets in here, never text of a token.
type Interned<T> = HashSet<T, RandomState>;

/// The parts stored so far.
#[derive(Default)]
pub(super) struct Interner {
    names: Interned<IdentityName>,
    tails: Tails,
    paths: Interned<Arc<ClaimPath>>,
    conditions: Interned<Arc<Condition>>,
    condition_lists: Interned<Arc<[Arc<Condition>]>>,
    terms: Interned<Arc<Terms>>,
    account_terms: Interned<Arc<AccountTerms>>,
}

impl Interner {
    /// Returns a copy that shares no memory with the spec, so that the spec can be freed as a whole.
    pub(super) fn name(&mut self, name: &IdentityName) -> IdentityName {
        if let Some(shared) = self.names.get(name) {
            return shared.clone();
        }
        let name = name.detached();
        self.names.insert(name.clone());
        name
    }

    pub(super) fn subject(&mut self, mut subject: Pattern) -> Pattern {
        subject.share(&mut self.tails);
        subject
    }

    pub(super) fn conditions(&mut self, list: Vec<Condition>) -> Arc<[Arc<Condition>]> {
        let list: Vec<_> = list.into_iter().map(|condition| self.condition(condition)).collect();
        if let Some(known) = self.condition_lists.get(list.as_slice()) {
            return Arc::clone(known);
        }
        let list: Arc<[Arc<Condition>]> = list.into();
        self.condition_lists.insert(Arc::clone(&list));
        list
    }

    fn condition(&mut self, mut condition: Condition) -> Arc<Condition> {
        if let Some(known) = self.conditions.get(&condition) {
            return Arc::clone(known);
        }
        condition.path = shared(&mut self.paths, condition.path);
        let matchers = condition.tests.iter_mut().flat_map(|test| match test {
            Test::AnyOf(list) | Test::AllOf(list) | Test::NoneOf(list) => list.as_mut_slice(),
            Test::Regex(_) | Test::Present(_) => &mut [],
        });
        for matcher in matchers {
            if let Matcher::Text(pattern) = matcher {
                pattern.share(&mut self.tails);
            }
        }
        shared(&mut self.conditions, Arc::new(condition))
    }

    pub(super) fn terms(&mut self, terms: Terms) -> Arc<Terms> {
        shared(&mut self.terms, Arc::new(terms))
    }

    pub(super) fn account_terms(&mut self, terms: AccountTerms) -> Arc<AccountTerms> {
        shared(&mut self.account_terms, Arc::new(terms))
    }
}

fn shared<T: Hash + Eq>(known: &mut Interned<Arc<T>>, value: Arc<T>) -> Arc<T> {
    if let Some(known) = known.get(&value) {
        return Arc::clone(known);
    }
    known.insert(Arc::clone(&value));
    value
}
