//! The sealed tally of all revocations in the store: how many were ever made, and a sum over the
//! current ones. Somebody who removes, restores or alters a revocation changes the sum. An older
//! copy of the store has a lower number.

use redb::{Database, ReadableDatabase, ReadableTable, TableError};
use sts_types::{Digest256, Seal, UnixTime};

use super::tables::{REVOCATIONS, RULES, TALLIES, TALLY};
use sts_store::Revocation;
use sts_store::backend::Watermark;
use sts_store::backend::codec;
use sts_store::backend::multiset::{code, mask, row_code, xor};
use sts_store::{Fault, Place};

/// The tally.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// The id of the epoch, which begins when an operator accepts a loss. Empty before the first
    /// revocation.
    epoch: String,
    /// How many revocations were ever made.
    sequence: u64,
    /// How many rules were ever made.
    rules: u64,
    /// How many revocations exist now.
    rows: u64,
    /// The sum over those.
    sum: [u8; 32],
}

/// The stored form.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredTally {
    epoch: String,
    sequence: u64,
    /// Missing in what earlier versions wrote.
    #[serde(default)]
    rules: u64,
    rows: u64,
    nonce: Digest256,
    masked: Digest256,
}

/// Why the revocations in the store cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum IntegrityError {
    #[error("their tally cannot be read")]
    Tally(Fault),
    #[error("some were taken out, put back or altered")]
    Altered,
    #[error("the store holds {there} of the {seen} that were made: it is an older copy, or was emptied")]
    Older { there: u64, seen: u64 },
    #[error("the store is not the one that was in use last")]
    Other,
    #[error("{0}")]
    Watermark(String),
}

impl IntegrityError {
    /// The fault for the alert.
    pub(super) fn fault(&self) -> Fault {
        match self {
            Self::Tally(fault) => *fault,
            Self::Altered => Fault::Seal,
            Self::Older { .. } | Self::Other => Fault::Missing,
            Self::Watermark(_) => Fault::Form,
        }
    }
}

impl Tally {
    /// Reads the tally. A store without one has never revoked anything.
    ///
    /// # Errors
    /// The fault because of which it cannot be trusted.
    pub(super) fn decode(seal: &dyn Seal, stored: Option<&[u8]>) -> Result<Self, Fault> {
        let Some(stored) = stored else { return Ok(Self::default()) };
        let StoredTally { epoch, sequence, rules, rows, nonce, masked } =
            codec::open(seal, Place::Epoch, TALLY.as_bytes(), stored)?;
        Ok(Self { epoch, sequence, rules, rows, sum: xor(masked.0, mask(seal, &nonce.0)) })
    }

    /// The stored form.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub(super) fn encode(&self, seal: &dyn Seal) -> Result<Vec<u8>, redb::Error> {
        let Self { epoch, sequence, rules, rows, sum } = self;
        // The nonce follows from the content, so two copies of a store that go different ways use
        // the same nonce only for the same sum.
        let numbers = [*sequence, *rules, *rows].map(u64::to_be_bytes);
        let content = [b"nonce".as_slice(), epoch.as_bytes(), numbers.as_flattened(), sum];
        let nonce = code(seal, &content);
        let masked = xor(*sum, mask(seal, &nonce));
        let stored = StoredTally {
            epoch: epoch.clone(),
            sequence: *sequence,
            rules: *rules,
            rows: *rows,
            nonce: Digest256(nonce),
            masked: Digest256(masked),
        };
        codec::seal_value(seal, Place::Epoch, TALLY.as_bytes(), &stored).map_err(|error| redb::Error::Io(error.into()))
    }

    /// Adds a row.
    pub(super) fn add(&mut self, seal: &dyn Seal, place: Place, key: &[u8], stored: &[u8]) {
        self.sum = xor(self.sum, row_code(seal, place, key, stored));
        self.rows = self.rows.saturating_add(1);
    }

    /// Removes a row that was added before.
    pub(super) fn remove(&mut self, seal: &dyn Seal, place: Place, key: &[u8], stored: &[u8]) {
        self.sum = xor(self.sum, row_code(seal, place, key, stored));
        self.rows = self.rows.saturating_sub(1);
    }

    /// Counts one more revocation. The first one begins an epoch.
    pub(super) fn count(&mut self, seal: &dyn Seal, now: UnixTime) {
        if self.epoch.is_empty() {
            self.begin_epoch(seal, now);
        }
        self.sequence = self.sequence.saturating_add(1);
    }

    /// Counts one more rule and returns its number.
    pub(super) fn count_rule(&mut self) -> u64 {
        self.rules = self.rules.saturating_add(1);
        self.rules
    }

    /// The tally of a store that an operator has accepted. Its rows are added from here on.
    /// `stored` is the store's former tally, or the default if that cannot be read.
    pub(super) fn succeeding(seal: &dyn Seal, seen: Option<&Watermark>, stored: &Self, now: UnixTime) -> Self {
        let sequence = seen.map_or(0, |seen| seen.sequence).max(stored.sequence).saturating_add(1);
        // Records store how many rules existed at their issue, so a lost counter must not restart
        // below theirs. Nobody makes a rule every second, hence the Unix time is above all of them.
        let rules = stored.rules.max(u64::try_from(now.as_secs()).unwrap_or(0));
        let mut tally = Self { sequence, rules, ..Self::default() };
        tally.begin_epoch(seal, now);
        tally
    }

    /// What to remember outside of the store. `None` before the first revocation.
    pub(super) fn watermark(&self) -> Option<Watermark> {
        (!self.epoch.is_empty()).then(|| Watermark::new(self.epoch.clone(), self.sequence))
    }

    /// How many revocations were ever made.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// How many rules were ever made.
    pub(super) fn rules(&self) -> u64 {
        self.rules
    }

    fn begin_epoch(&mut self, seal: &dyn Seal, now: UnixTime) {
        let content = [b"epoch".as_slice(), &now.as_secs().to_be_bytes(), &self.sequence.to_be_bytes()];
        self.epoch = Digest256(code(seal, &content)).to_hex();
    }

    /// Checks that the store is the one of `seen`, or a later state of it.
    fn follows(&self, seen: Option<&Watermark>) -> Result<(), IntegrityError> {
        match seen {
            None => Ok(()),
            Some(seen) if self.sequence < seen.sequence => {
                Err(IntegrityError::Older { there: self.sequence, seen: seen.sequence })
            }
            Some(seen) if self.epoch != seen.epoch => Err(IntegrityError::Other),
            Some(_) => Ok(()),
        }
    }
}

/// Adds up the revocations of `database`, and compares them with the sealed tally and with the
/// watermark `seen`.
pub(super) fn verify(
    database: &Database,
    seal: &dyn Seal,
    seen: Option<&Watermark>,
) -> Result<Result<Tally, IntegrityError>, redb::Error> {
    let transaction = database.begin_read()?;
    let stored = match transaction.open_table(TALLIES) {
        // A store that has never revoked anything may lack the table.
        Err(TableError::TableDoesNotExist(_)) => None,
        table => table?.get(TALLY)?.map(|stored| stored.value().to_vec()),
    };
    let tally = match Tally::decode(seal, stored.as_deref()) {
        Ok(tally) => tally,
        Err(fault) => return Ok(Err(IntegrityError::Tally(fault))),
    };
    let mut counted = Tally { rows: 0, sum: [0; 32], ..tally.clone() };
    for row in transaction.open_table(REVOCATIONS)?.iter()? {
        let (key, stored) = row?;
        if is_sealed(seal, Place::Revocation, key.value().as_bytes(), stored.value()) {
            counted.add(seal, Place::Revocation, key.value().as_bytes(), stored.value());
        } else {
            return Ok(Err(IntegrityError::Altered));
        }
    }
    for row in transaction.open_table(RULES)?.iter()? {
        let (number, stored) = row?;
        let key = number.value().to_be_bytes();
        if is_sealed(seal, Place::Rule, &key, stored.value()) {
            counted.add(seal, Place::Rule, &key, stored.value());
        } else {
            return Ok(Err(IntegrityError::Altered));
        }
    }
    Ok(if counted == tally { tally.follows(seen).map(|()| tally) } else { Err(IntegrityError::Altered) })
}

fn is_sealed(seal: &dyn Seal, place: Place, key: &[u8], stored: &[u8]) -> bool {
    codec::open::<Revocation>(seal, place, key, stored).is_ok()
}
