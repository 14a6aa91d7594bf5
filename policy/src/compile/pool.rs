//! What many identities have alike, held once: it takes less memory, and a decision among a million identities finds it in
//! the processor's caches.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use sts_types::{ClaimPath, IdentityName};

use crate::condition::{Condition, Matcher, Test};
use crate::identity::{ApiGrant, EntryRule};
use crate::pattern::{Pattern, Tails};

/// What was met so far.
#[derive(Default)]
pub(super) struct Pool {
    names: HashSet<IdentityName>,
    tails: Tails,
    paths: HashSet<Arc<ClaimPath>>,
    conditions: HashSet<Arc<Condition>>,
    condition_lists: HashSet<Arc<[Arc<Condition>]>>,
    entry_lists: HashSet<Arc<[EntryRule]>>,
    grant_lists: HashSet<Arc<[ApiGrant]>>,
    path_lists: HashSet<Arc<[ClaimPath]>>,
}

impl Pool {
    pub(super) fn name(&mut self, name: &IdentityName) -> IdentityName {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        self.names.insert(name.clone());
        name.clone()
    }

    pub(super) fn subject(&mut self, mut subject: Pattern) -> Pattern {
        subject.share(&mut self.tails);
        subject
    }

    pub(super) fn conditions(&mut self, list: Vec<Condition>) -> Arc<[Arc<Condition>]> {
        let list = list.into_iter().map(|condition| self.condition(condition)).collect();
        shared_list(&mut self.condition_lists, list)
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

    pub(super) fn entries(&mut self, list: Vec<EntryRule>) -> Arc<[EntryRule]> {
        shared_list(&mut self.entry_lists, list)
    }

    pub(super) fn grants(&mut self, list: Vec<ApiGrant>) -> Arc<[ApiGrant]> {
        shared_list(&mut self.grant_lists, list)
    }

    pub(super) fn paths(&mut self, list: Vec<ClaimPath>) -> Arc<[ClaimPath]> {
        shared_list(&mut self.path_lists, list)
    }
}

fn shared<T: Hash + Eq>(known: &mut HashSet<Arc<T>>, value: Arc<T>) -> Arc<T> {
    if let Some(known) = known.get(&value) {
        return Arc::clone(known);
    }
    known.insert(Arc::clone(&value));
    value
}

fn shared_list<T: Hash + Eq>(known: &mut HashSet<Arc<[T]>>, list: Vec<T>) -> Arc<[T]>
where
    Arc<[T]>: Borrow<[T]>,
{
    if let Some(known) = known.get(list.as_slice()) {
        return Arc::clone(known);
    }
    let list: Arc<[T]> = list.into();
    known.insert(Arc::clone(&list));
    list
}
