//! What all revocations in the store come to: how many were ever made, and a sealed sum over those that are there. A revocation
//! that somebody took out, put back or altered makes another sum, and an older copy of the store has a lower number.

use redb::{Database, ReadableDatabase, ReadableTable, TableError};
use sts_types::{Digest256, Seal, UnixTime};

use super::tables::{REVOCATIONS, RULES, TALLIES, TALLY};
use sts_store::Revocation;
use sts_store::backend::Watermark;
use sts_store::backend::codec;
use sts_store::backend::multiset::{code, mask, row_code, xor};
use sts_store::{Fault, Place};

/// The revocations of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// The id of the epoch: the time since an operator last accepted a loss. Empty before the first revocation.
    epoch: String,
    /// How many revocations were ever made.
    sequence: u64,
    /// How many rules were ever made.
    rules: u64,
    /// How many revocations are there.
    rows: u64,
    /// The sum over those.
    sum: [u8; 32],
}

/// The form in which it is stored.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredTally {
    epoch: String,
    sequence: u64,
    /// None in what earlier versions wrote.
    #[serde(default)]
    rules: u64,
    rows: u64,
    nonce: Digest256,
    masked: Digest256,
}

/// Why the revocations in the store are not believed.
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
    /// What the alert says of it.
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
    /// Reads the tally; none yet means that nothing was ever revoked.
    ///
    /// # Errors
    /// The fault for which it cannot be believed.
    pub(super) fn decode(seal: &dyn Seal, stored: Option<&[u8]>) -> Result<Self, Fault> {
        let Some(stored) = stored else { return Ok(Self::default()) };
        let StoredTally { epoch, sequence, rules, rows, nonce, masked } =
            codec::open(seal, Place::Epoch, TALLY.as_bytes(), stored)?;
        Ok(Self { epoch, sequence, rules, rows, sum: xor(masked.0, mask(seal, &nonce.0)) })
    }

    /// The stored form.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub(super) fn encode(&self, seal: &dyn Seal) -> Result<Vec<u8>, redb::Error> {
        let Self { epoch, sequence, rules, rows, sum } = self;
        // A nonce that follows from the content is the same for the same sum only, whatever copy of the store goes on from here.
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

    /// Takes a row in.
    pub(super) fn add(&mut self, seal: &dyn Seal, place: Place, key: &[u8], stored: &[u8]) {
        self.sum = xor(self.sum, row_code(seal, place, key, stored));
        self.rows = self.rows.saturating_add(1);
    }

    /// Takes a row out that was taken in.
    pub(super) fn remove(&mut self, seal: &dyn Seal, place: Place, key: &[u8], stored: &[u8]) {
        self.sum = xor(self.sum, row_code(seal, place, key, stored));
        self.rows = self.rows.saturating_sub(1);
    }

    /// Counts one more revocation; the first begins an epoch.
    pub(super) fn count(&mut self, seal: &dyn Seal, now: UnixTime) {
        if self.epoch.is_empty() {
            self.begin_epoch(seal, now);
        }
        self.sequence = self.sequence.saturating_add(1);
    }

    /// Counts one more rule, and answers its place.
    pub(super) fn count_rule(&mut self) -> u64 {
        self.rules = self.rules.saturating_add(1);
        self.rules
    }

    /// The tally of a store that an operator has accepted: that of the rows that are taken in from here on. `there` is the one it
    /// held, as far as that can be read.
    pub(super) fn succeeding(seal: &dyn Seal, seen: Option<&Watermark>, there: &Self, now: UnixTime) -> Self {
        let sequence = seen.map_or(0, |seen| seen.sequence).max(there.sequence).saturating_add(1);
        // Records remember how many rules there were, so a number that is lost must not begin anew below theirs. Nobody makes a
        // rule each second, hence the time is above all of them.
        let rules = there.rules.max(u64::try_from(now.as_secs()).unwrap_or(0));
        let mut tally = Self { sequence, rules, ..Self::default() };
        tally.begin_epoch(seal, now);
        tally
    }

    /// What is to be remembered of it outside of the store; nothing before the first revocation.
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

    /// Whether the store is the one of `seen`, or one that has gone on from it.
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

/// Adds up the revocations of `database`, and compares them with the sealed tally and with what was `seen` of the store before.
pub(super) fn verify(
    database: &Database,
    seal: &dyn Seal,
    seen: Option<&Watermark>,
) -> Result<Result<Tally, IntegrityError>, redb::Error> {
    let transaction = database.begin_read()?;
    let stored = match transaction.open_table(TALLIES) {
        // A store in which nothing was ever revoked may lack the table.
        Err(TableError::TableDoesNotExist(_)) => None,
        table => table?.get(TALLY)?.map(|stored| stored.value().to_vec()),
    };
    let tally = match Tally::decode(seal, stored.as_deref()) {
        Ok(tally) => tally,
        Err(fault) => return Ok(Err(IntegrityError::Tally(fault))),
    };
    let mut there = Tally { rows: 0, sum: [0; 32], ..tally.clone() };
    for row in transaction.open_table(REVOCATIONS)?.iter()? {
        let (key, stored) = row?;
        if is_sealed(seal, Place::Revocation, key.value().as_bytes(), stored.value()) {
            there.add(seal, Place::Revocation, key.value().as_bytes(), stored.value());
        } else {
            return Ok(Err(IntegrityError::Altered));
        }
    }
    for row in transaction.open_table(RULES)?.iter()? {
        let (number, stored) = row?;
        let key = number.value().to_be_bytes();
        if is_sealed(seal, Place::Rule, &key, stored.value()) {
            there.add(seal, Place::Rule, &key, stored.value());
        } else {
            return Ok(Err(IntegrityError::Altered));
        }
    }
    Ok(if there == tally { tally.follows(seen).map(|()| tally) } else { Err(IntegrityError::Altered) })
}

fn is_sealed(seal: &dyn Seal, place: Place, key: &[u8], stored: &[u8]) -> bool {
    codec::open::<Revocation>(seal, place, key, stored).is_ok()
}
