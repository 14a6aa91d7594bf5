//! Where each record stands, in memory.
//!
//! It is derived from [`RECORD_ENDS`](super::tables::RECORD_ENDS) when the file is opened, so a record costs two rows at the
//! end of a tree, and none in the midst of one. A million records take some 80 MB here.

use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use redb::ReadableTable;

/// The numbers of the records, by jti and by account.
#[derive(Default)]
pub(super) struct RecordIndex {
    hasher: RandomState,
    by_jti: HashTable<HashedNumber>,
    by_account: HashMap<Box<str>, BTreeSet<u64>, RandomState>,
}

/// The number of a record, and the hash of its jti.
#[derive(Clone, Copy, PartialEq, Eq)]
struct HashedNumber {
    hash: u64,
    number: u64,
}

/// A change of the index, to be made once the transaction that it comes from is durable.
pub(super) enum IndexChange {
    Recorded(Indexed),
    Forgotten(Indexed),
}

/// A record as the index knows it.
pub(super) struct Indexed {
    pub(super) number: u64,
    pub(super) jti: Box<str>,
    pub(super) account: Box<str>,
}

impl RecordIndex {
    /// The index of the records in this table.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub(super) fn of(
        record_ends: &impl ReadableTable<(i64, u64), (&'static str, &'static str)>,
    ) -> Result<Self, redb::Error> {
        let mut index = Self::default();
        for row in record_ends.iter()? {
            let (key, names) = row?;
            let (jti, account) = names.value();
            index.add(key.value().1, jti, account);
        }
        Ok(index)
    }

    /// The numbers of the records that may have this jti: usually one or none, and more only if their
    /// hashes are equal by chance.
    pub(super) fn numbers_of(&self, jti: &str) -> Vec<u64> {
        let hash = self.hash(jti);
        self.by_jti.iter_hash(hash).filter(|entry| entry.hash == hash).map(|entry| entry.number).collect()
    }

    /// At most `limit` numbers below `end` of records of `account`, the largest first.
    pub(super) fn numbers_of_account(&self, account: &str, end: u64, limit: usize) -> Vec<u64> {
        let numbers = self.by_account.get(account);
        numbers.into_iter().flat_map(|numbers| numbers.range(..end).rev()).take(limit).copied().collect()
    }

    pub(super) fn apply(&mut self, changes: Vec<IndexChange>) {
        for change in changes {
            match change {
                IndexChange::Recorded(Indexed { number, jti, account }) => self.add(number, &jti, &account),
                IndexChange::Forgotten(Indexed { number, jti, account }) => self.remove(number, &jti, &account),
            }
        }
    }

    fn add(&mut self, number: u64, jti: &str, account: &str) {
        let hash = self.hash(jti);
        self.by_jti.insert_unique(hash, HashedNumber { hash, number }, |entry| entry.hash);
        match self.by_account.get_mut(account) {
            Some(numbers) => {
                numbers.insert(number);
            }
            None => {
                self.by_account.insert(account.into(), BTreeSet::from([number]));
            }
        }
    }

    fn remove(&mut self, number: u64, jti: &str, account: &str) {
        let hash = self.hash(jti);
        if let Ok(entry) = self.by_jti.find_entry(hash, |entry| *entry == HashedNumber { hash, number }) {
            entry.remove();
        }
        // What a crowd of records took is given back after they are gone.
        if self.by_jti.len() < self.by_jti.capacity() / 8 {
            self.by_jti.shrink_to(self.by_jti.len().saturating_mul(2), |entry| entry.hash);
        }
        if let Some(numbers) = self.by_account.get_mut(account) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.by_account.remove(account);
            }
        }
    }

    fn hash(&self, jti: &str) -> u64 {
        self.hasher.hash_one(jti)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(records: &[(u64, &str, &str)]) -> RecordIndex {
        let mut index = RecordIndex::default();
        for (number, jti, account) in records {
            index.add(*number, jti, account);
        }
        index
    }

    #[test]
    fn a_record_is_found_by_its_jti_until_it_is_forgotten() {
        let mut index = index(&[(1, "a", "octo"), (2, "b", "octo"), (3, "c", "hubot")]);
        assert_eq!((index.numbers_of("b"), index.numbers_of("d")), (vec![2], vec![]));
        let forgotten = Indexed { number: 2, jti: "b".into(), account: "octo".into() };
        index.apply(vec![IndexChange::Forgotten(forgotten)]);
        assert_eq!((index.numbers_of("a"), index.numbers_of("b")), (vec![1], vec![]));
        assert_eq!(index.numbers_of_account("octo", u64::MAX, 9), [1]);
    }

    #[test]
    fn the_records_of_an_account_come_newest_first_and_in_pages() {
        let index = index(&[(1, "a", "octo"), (2, "b", "hubot"), (3, "c", "octo"), (4, "d", "octo")]);
        assert_eq!(index.numbers_of_account("octo", u64::MAX, 2), [4, 3]);
        assert_eq!(index.numbers_of_account("octo", 3, 2), [1]);
        assert_eq!(index.numbers_of_account("octo", 1, 2), [0_u64; 0]);
        assert_eq!(index.numbers_of_account("nobody", u64::MAX, 2), [0_u64; 0]);
    }

    #[test]
    fn an_account_without_records_and_a_crowd_that_is_gone_take_no_room() {
        let mut index = RecordIndex::default();
        let names: Vec<String> = (0..10_000).map(|n| format!("jti-{n}")).collect();
        names.iter().zip(0..).for_each(|(jti, number)| index.add(number, jti, "octo"));
        let full = index.by_jti.capacity();
        names.iter().zip(0..).for_each(|(jti, number)| index.remove(number, jti, "octo"));
        assert!(index.by_account.is_empty() && index.by_jti.capacity() < full / 100);
    }
}
