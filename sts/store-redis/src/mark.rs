//! The sealed mark: the number of changes ever made, and sums over the current revocations and over
//! the managed objects. Every change moves it in the same transaction. A revocation or an object
//! that somebody deletes, restores or alters therefore gives another sum.

use sts_types::{Digest256, Seal};

use super::error::RedisStoreError;
use sts_store::backend::codec;
use sts_store::backend::multiset::{code, mask, row_code, xor};
use sts_store::{Fault, Place};

const MARK_KEY: &[u8] = b"mark";

/// The content of the mark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SealedMark {
    /// The id of the epoch.
    pub(super) epoch: String,
    /// Counts every revocation that was made, taken back or forgotten, and every commit of objects.
    pub(super) sequence: u64,
    /// How many entries the log of changes ever had.
    pub(super) changes: u64,
    /// How many rules were ever made.
    pub(super) rules: u64,
    /// How many revocations exist now.
    pub(super) rows: u64,
    /// The sum over those.
    pub(super) sum: [u8; 32],
    /// The managed objects.
    pub(super) objects: ObjectsMark,
}

/// The part of the mark that covers the managed objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ObjectsMark {
    /// The sequence of the last commit. 0 if there was none.
    pub(super) sequence: u64,
    /// How many entries the log of changed objects ever had.
    pub(super) logged: u64,
    /// How many objects exist now.
    pub(super) rows: u64,
    /// The sum over those.
    pub(super) sum: [u8; 32],
}

impl ObjectsMark {
    /// Adds the row of this code.
    pub(super) fn add(&mut self, code: [u8; 32]) {
        self.sum = xor(self.sum, code);
        self.rows = self.rows.saturating_add(1);
    }

    /// Removes the row of this code, which was added before.
    pub(super) fn remove(&mut self, code: [u8; 32]) {
        self.sum = xor(self.sum, code);
        self.rows = self.rows.saturating_sub(1);
    }

    /// Whether both cover the same objects.
    pub(super) fn adds_up_to(&self, other: &Self) -> bool {
        (self.rows, self.sum) == (other.rows, other.sum)
    }
}

/// The stored form.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredMark {
    epoch: String,
    sequence: u64,
    changes: u64,
    rules: u64,
    rows: u64,
    nonce: Digest256,
    masked: Digest256,
    /// Absent as long as there was no managed object, so that servers of earlier versions can read
    /// the mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    objects: Option<StoredObjectsMark>,
}

/// The stored form of an [`ObjectsMark`].
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredObjectsMark {
    sequence: u64,
    logged: u64,
    rows: u64,
    masked: Digest256,
}

impl SealedMark {
    pub(super) fn decode(seal: &dyn Seal, stored: &[u8]) -> Result<Self, Fault> {
        let StoredMark { epoch, sequence, changes, rules, rows, nonce, masked, objects } =
            codec::open(seal, Place::Epoch, MARK_KEY, stored)?;
        let objects = objects.map_or_else(ObjectsMark::default, |stored| ObjectsMark {
            sequence: stored.sequence,
            logged: stored.logged,
            rows: stored.rows,
            sum: xor(stored.masked.0, objects_mask(seal, &nonce.0)),
        });
        Ok(Self { epoch, sequence, changes, rules, rows, sum: xor(masked.0, mask(seal, &nonce.0)), objects })
    }

    pub(super) fn encode(&self, seal: &dyn Seal) -> Result<Vec<u8>, RedisStoreError> {
        let Self { epoch, sequence, changes, rules, rows, sum, objects } = self.clone();
        let numbers = [sequence, changes, rules, rows, objects.sequence, objects.logged, objects.rows];
        let numbers = numbers.map(u64::to_be_bytes);
        let nonce = code(seal, &[b"nonce", epoch.as_bytes(), numbers.as_flattened(), &sum, &objects.sum]);
        let stored = StoredMark {
            epoch,
            sequence,
            changes,
            rules,
            rows,
            nonce: Digest256(nonce),
            masked: Digest256(xor(sum, mask(seal, &nonce))),
            objects: (objects != ObjectsMark::default()).then(|| StoredObjectsMark {
                sequence: objects.sequence,
                logged: objects.logged,
                rows: objects.rows,
                masked: Digest256(xor(objects.sum, objects_mask(seal, &nonce))),
            }),
        };
        codec::seal_value(seal, Place::Epoch, MARK_KEY, &stored).map_err(|_| RedisStoreError::Form)
    }

    /// Adds a revoked token.
    pub(super) fn add_token(&mut self, seal: &dyn Seal, id: &[u8; 16], until: i64) {
        self.sum = xor(self.sum, token_code(seal, id, until));
        self.rows = self.rows.saturating_add(1);
    }

    /// Removes a token that was added before.
    pub(super) fn remove_token(&mut self, seal: &dyn Seal, id: &[u8; 16], until: i64) {
        self.sum = xor(self.sum, token_code(seal, id, until));
        self.rows = self.rows.saturating_sub(1);
    }

    /// Adds a sealed rule.
    pub(super) fn add_rule(&mut self, seal: &dyn Seal, id: &str, stored: &[u8]) {
        self.sum = xor(self.sum, row_code(seal, Place::Rule, id.as_bytes(), stored));
        self.rows = self.rows.saturating_add(1);
    }

    /// Removes a rule that was added before.
    pub(super) fn remove_rule(&mut self, seal: &dyn Seal, id: &str, stored: &[u8]) {
        self.sum = xor(self.sum, row_code(seal, Place::Rule, id.as_bytes(), stored));
        self.rows = self.rows.saturating_sub(1);
    }

    /// Whether both cover the same revocations.
    pub(super) fn adds_up_to(&self, other: &Self) -> bool {
        (self.rows, self.sum) == (other.rows, other.sum)
    }
}

/// The mask of the objects' sum. Another one than that of the revocations' sum, so that the two say
/// nothing about each other.
fn objects_mask(seal: &dyn Seal, nonce: &[u8; 32]) -> [u8; 32] {
    mask(seal, &[nonce.as_slice(), b"objects"].concat())
}

fn token_code(seal: &dyn Seal, id: &[u8; 16], until: i64) -> [u8; 32] {
    row_code(seal, Place::Revocation, id, &until.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sts_store::contract::TestSeal;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_knows_nothing_of_objects_before_there_were_any() {
        let seal = TestSeal(1);
        let plain = SealedMark { epoch: "e".to_owned(), sequence: 7, sum: [3; 32], rows: 2, ..SealedMark::default() };
        let stored = plain.encode(&seal).unwrap();
        assert!(!String::from_utf8_lossy(&stored).contains("objects"), "an earlier version could not read it");
        assert_eq!(SealedMark::decode(&seal, &stored), Ok(plain.clone()));
        let objects = ObjectsMark { sequence: 7, logged: 5, rows: 1, sum: [9; 32] };
        let full = SealedMark { objects, ..plain.clone() };
        let stored = full.encode(&seal).unwrap();
        assert_eq!(SealedMark::decode(&seal, &stored), Ok(full.clone()));
        for sum in [[3; 32], [9; 32]] {
            let hex = Digest256(sum).to_hex();
            assert!(!String::from_utf8_lossy(&stored).contains(&hex), "no sum is stored in plain");
        }
        // None at all again is a state of its own.
        let emptied = SealedMark { objects: ObjectsMark { sequence: 8, logged: 6, ..ObjectsMark::default() }, ..full };
        assert_eq!(SealedMark::decode(&seal, &emptied.encode(&seal).unwrap()), Ok(emptied));
    }
}
