//! The rules of all shards in one list.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::record::{Revocation, RuleId};

/// The rules that each shard had when it was last asked, and the list of them all.
pub(super) struct RuleBook(ArcSwap<Page>);

#[derive(Clone)]
struct Page {
    of_shards: Vec<Arc<[Revocation]>>,
    all: Arc<[Revocation]>,
}

impl RuleBook {
    pub(super) fn new(shards: usize) -> Self {
        let none: Arc<[Revocation]> = Arc::default();
        Self(ArcSwap::from_pointee(Page { of_shards: vec![Arc::clone(&none); shards], all: none }))
    }

    /// The list of all rules, with the answers of some shards. The same list comes back until a
    /// shard answers with another one, because a shard answers with the same one until a rule
    /// changes.
    ///
    /// A concurrent call may put an older answer in force for later calls. That does no harm: a list
    /// is used for records of the shards that were asked for it.
    pub(super) fn updated(&self, answers: &[(usize, Arc<[Revocation]>)]) -> Arc<[Revocation]> {
        let page = self.0.load();
        let is_known = |(index, rules): &(usize, Arc<[Revocation]>)| {
            page.of_shards.get(*index).is_some_and(|known| Arc::ptr_eq(known, rules))
        };
        if answers.iter().all(is_known) {
            return Arc::clone(&page.all);
        }
        let mut of_shards = page.of_shards.clone();
        for (index, rules) in answers {
            if let Some(known) = of_shards.get_mut(*index) {
                *known = Arc::clone(rules);
            }
        }
        let all = list(&of_shards);
        // Shards answer with new empty lists, too.
        let all = if *all == *page.all { Arc::clone(&page.all) } else { all };
        self.0.store(Arc::new(Page { of_shards, all: Arc::clone(&all) }));
        all
    }
}

/// All rules, oldest first.
fn list(of_shards: &[Arc<[Revocation]>]) -> Arc<[Revocation]> {
    let mut by_id: BTreeMap<Option<RuleId>, Vec<(usize, Revocation)>> = BTreeMap::new();
    for (index, rules) in of_shards.iter().enumerate() {
        for rule in rules.iter() {
            by_id.entry(rule.id.clone()).or_default().push((index, rule.clone()));
        }
    }
    let mut all: Vec<Revocation> =
        by_id.into_values().filter_map(|of_shards_with_it| merged(&of_shards_with_it, of_shards.len())).collect();
    all.sort_by_key(|rule| (rule.at, rule.order));
    all.into()
}

/// One rule as the shards have it. `None` if no shard has it.
pub(super) fn merged(rules: &[(usize, Revocation)], shards: usize) -> Option<Revocation> {
    let (_, first) = rules.first()?;
    let mut orders = vec![None; shards];
    for (index, rule) in rules {
        if let Some(order) = orders.get_mut(*index) {
            // A rule without a number is of an earlier version. It covers what is there.
            *order = Some(rule.order.unwrap_or(u64::MAX));
        }
    }
    let until = rules.iter().map(|(_, rule)| rule.until).max().unwrap_or(first.until);
    Some(Revocation { until, shard_orders: orders.into(), ..first.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{START, record, rule};
    use sts_types::{Jti, TokenRecord};

    fn numbered(account: &str, id: u8, order: u64) -> Revocation {
        let id = format!("{id:032x}").parse().ok();
        Revocation { id, order: Some(order), ..rule(account, START.plus(1000)) }
    }

    /// A record in a shard that had `preceding` rules.
    fn issued(shard: u8, preceding: u64) -> TokenRecord {
        let jti = Jti::new(["AAx", "AQx", "Agx"][usize::from(shard)]).unwrap();
        TokenRecord { jti, preceding_rules: Some(preceding), ..record("x", "octo") }
    }

    #[test]
    fn a_rule_reaches_the_records_of_each_shard_by_its_number_there_and_none_where_it_is_not() {
        let book = RuleBook::new(3);
        let rules: Arc<[Revocation]> = [numbered("octo", 1, 5)].into();
        let all = book.updated(&[(0, rules), (2, [numbered("octo", 1, 2)].into())]);
        let [rule] = &*all else { unreachable!("{all:?}") };
        assert_eq!((rule.order, &*rule.shard_orders), (Some(5), &[Some(5), None, Some(2)][..]));
        for (shard, preceding, is_reached) in
            [(0, 4, true), (0, 5, false), (1, 0, false), (1, 9, false), (2, 1, true), (2, 2, false), (2, 4, false)]
        {
            assert_eq!(rule.reaches(&issued(shard, preceding)), is_reached, "{shard} {preceding}");
        }
        let elsewhere = TokenRecord { jti: Jti::new("AwX").unwrap(), ..issued(0, 9) };
        assert!(rule.reaches(&elsewhere), "what is unclear is not left out");
        let moment = Revocation { before: Some(START.plus(1)), ..rule.clone() };
        assert!(moment.reaches(&issued(0, 9)) && !moment.reaches(&issued(1, 0)));
    }

    #[test]
    fn the_list_is_the_same_until_a_shard_has_another_one_and_an_older_answer_of_another_caller_is_not_used() {
        let book = RuleBook::new(2);
        let (none, one): (Arc<[Revocation]>, Arc<[Revocation]>) = (Arc::from([]), [numbered("a", 1, 1)].into());
        let empty = book.updated(&[(0, Arc::clone(&none)), (1, Arc::from([]))]);
        assert!(Arc::ptr_eq(&empty, &book.updated(&[(0, Arc::from([]))])));
        let full = book.updated(&[(0, Arc::clone(&one))]);
        assert_eq!(full.len(), 1);
        assert!(Arc::ptr_eq(&full, &book.updated(&[(0, Arc::clone(&one))])));
        assert!(Arc::ptr_eq(&full, &book.updated(&[])));
        // A slower caller comes with what it was told before.
        assert_eq!(book.updated(&[(0, none)]).len(), 0);
        assert_eq!(book.updated(&[(0, one)]).len(), 1, "who was told of the rule judges by it");
    }

    #[test]
    fn rules_come_oldest_first_whatever_the_shards_number_them() {
        let book = RuleBook::new(2);
        let early = Revocation { at: START.plus(-5), ..numbered("early", 3, 9) };
        let first: Arc<[Revocation]> = [numbered("a", 2, 1), numbered("b", 1, 2), early].into();
        let all = book.updated(&[(0, first), (1, [numbered("b", 1, 1), numbered("a", 2, 2)].into())]);
        let orders: Vec<_> = all.iter().map(|rule| rule.shard_orders.to_vec()).collect();
        assert_eq!(orders, [vec![Some(9), None], vec![Some(1), Some(2)], vec![Some(2), Some(1)]]);
    }
}
