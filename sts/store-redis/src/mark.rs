//! The sealed mark: the number of revocations ever made, and a sum over the current ones. Every
//! revocation changes it in the same transaction. A revocation that somebody deletes, restores or
//! alters therefore gives another sum.

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
    /// Counts every revocation that was made, taken back or forgotten.
    pub(super) sequence: u64,
    /// How many entries the log of changes ever had.
    pub(super) changes: u64,
    /// How many rules were ever made.
    pub(super) rules: u64,
    /// How many revocations exist now.
    pub(super) rows: u64,
    /// The sum over those.
    pub(super) sum: [u8; 32],
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
}

impl SealedMark {
    pub(super) fn decode(seal: &dyn Seal, stored: &[u8]) -> Result<Self, Fault> {
        let StoredMark { epoch, sequence, changes, rules, rows, nonce, masked } =
            codec::open(seal, Place::Epoch, MARK_KEY, stored)?;
        Ok(Self { epoch, sequence, changes, rules, rows, sum: xor(masked.0, mask(seal, &nonce.0)) })
    }

    pub(super) fn encode(&self, seal: &dyn Seal) -> Result<Vec<u8>, RedisStoreError> {
        let Self { epoch, sequence, changes, rules, rows, sum } = self.clone();
        let numbers = [sequence, changes, rules, rows].map(u64::to_be_bytes);
        let nonce = code(seal, &[b"nonce".as_slice(), epoch.as_bytes(), numbers.as_flattened(), &sum]);
        let masked = Digest256(xor(sum, mask(seal, &nonce)));
        let stored = StoredMark { epoch, sequence, changes, rules, rows, nonce: Digest256(nonce), masked };
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

fn token_code(seal: &dyn Seal, id: &[u8; 16], until: i64) -> [u8; 32] {
    row_code(seal, Place::Revocation, id, &until.to_be_bytes())
}
