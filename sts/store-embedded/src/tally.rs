//! The sealed tally of all revocations and managed objects in the store: how many changes were ever
//! made, and a sum over the current rows. Somebody who removes, restores or alters a row changes the
//! sum. An older copy of the store has a lower number.

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableError};
use serde::de::{DeserializeOwned, IgnoredAny};
use sts_types::{Digest256, Seal, UnixTime};

use super::objects::sealed_key;
use super::read;
use super::tables::{OBJECTS, REVOCATIONS, RULES, TALLY};
use sts_store::Revocation;
use sts_store::backend::Watermark;
use sts_store::backend::codec;
use sts_store::backend::multiset::{code, mask, row_code, xor};
use sts_store::{Fault, Place};

/// The tally.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// The id of the epoch, which begins when an operator accepts a loss. Empty before the first
    /// change.
    epoch: String,
    /// How many changes were ever made: revocations, and commits of objects.
    sequence: u64,
    /// How many rules were ever made.
    rules: u64,
    /// The sequence of the last commit of objects.
    objects: u64,
    /// How many rows exist now.
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
    /// Missing where no object was ever written, so that earlier versions can read it.
    #[serde(default, skip_serializing_if = "is_zero")]
    objects: u64,
    rows: u64,
    nonce: Digest256,
    masked: Digest256,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Why the store cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum IntegrityError {
    #[error("the tally of its revocations and managed objects cannot be read")]
    Tally(Fault),
    #[error("revocations or managed objects were removed, put back or altered")]
    Altered,
    #[error("it is an older copy, or was emptied: its last change is number {there}, and number {seen} was made")]
    Older { there: u64, seen: u64 },
    #[error("it is not the store that was in use last")]
    Other,
    #[error("its file was replaced or altered while it was in use, and does not hold what this server wrote last")]
    NotLast,
    #[error("{0}")]
    Watermark(String),
}

impl IntegrityError {
    /// The fault for the alert.
    pub(super) fn fault(&self) -> Fault {
        match self {
            Self::Tally(fault) => *fault,
            Self::Altered => Fault::Seal,
            Self::Older { .. } | Self::Other | Self::NotLast => Fault::Missing,
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
        let StoredTally { epoch, sequence, rules, objects, rows, nonce, masked } =
            codec::open(seal, Place::Epoch, TALLY.as_bytes(), stored)?;
        Ok(Self { epoch, sequence, rules, objects, rows, sum: xor(masked.0, mask(seal, &nonce.0)) })
    }

    /// The stored form.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub(super) fn encode(&self, seal: &dyn Seal) -> Result<Vec<u8>, redb::Error> {
        let Self { epoch, sequence, rules, objects, rows, sum } = self;
        // The nonce follows from the content, so two copies of a store that go different ways use
        // the same nonce only for the same sum.
        let numbers = [*sequence, *rules, *objects, *rows].map(u64::to_be_bytes);
        let content = [b"nonce".as_slice(), epoch.as_bytes(), numbers.as_flattened(), sum];
        let nonce = code(seal, &content);
        let masked = xor(*sum, mask(seal, &nonce));
        let stored = StoredTally {
            epoch: epoch.clone(),
            sequence: *sequence,
            rules: *rules,
            objects: *objects,
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

    /// Counts one more change. The first one begins an epoch.
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

    /// Counts one more commit of objects and returns its sequence.
    pub(super) fn count_objects(&mut self) -> u64 {
        self.objects = self.objects.saturating_add(1);
        self.objects
    }

    /// Raises the sequence of objects above `revision`, which some object has.
    pub(super) fn pass_revision(&mut self, revision: u64) {
        self.objects = self.objects.max(revision.saturating_add(1));
    }

    /// The tally of a store that an operator has accepted. Its rows are added from here on.
    /// `stored` is the store's former tally, or the default if that cannot be read.
    pub(super) fn succeeding(seal: &dyn Seal, seen: Option<&Watermark>, stored: &Self, now: UnixTime) -> Self {
        let sequence = seen.map_or(0, |seen| seen.sequence).max(stored.sequence).saturating_add(1);
        // Records store how many rules existed at their issue, so a lost counter must not restart
        // below theirs. Nobody makes a rule every second, hence the Unix time is above all of them.
        // The same holds for revisions of objects, which no other state of an object may have again.
        let unix_time = u64::try_from(now.as_secs()).unwrap_or(0);
        let (rules, objects) = (stored.rules.max(unix_time), stored.objects.max(unix_time).saturating_add(1));
        let mut tally = Self { sequence, rules, objects, ..Self::default() };
        tally.begin_epoch(seal, now);
        tally
    }

    /// What to remember outside of the store. `None` before the first change.
    pub(super) fn watermark(&self) -> Option<Watermark> {
        (!self.epoch.is_empty()).then(|| Watermark::new(self.epoch.clone(), self.sequence))
    }

    /// How many changes were ever made.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// How many rules were ever made.
    pub(super) fn rules(&self) -> u64 {
        self.rules
    }

    /// The sequence of the last commit of objects.
    pub(super) fn objects(&self) -> u64 {
        self.objects
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

/// Adds up the rows of `database`, and compares them with the sealed tally and with the watermark
/// `seen`.
pub(super) fn verify(
    database: &Database,
    seal: &dyn Seal,
    seen: Option<&Watermark>,
) -> Result<Result<Tally, IntegrityError>, redb::Error> {
    let transaction = database.begin_read()?;
    let tally = match read::tally(&transaction, seal)? {
        Ok(tally) => tally,
        Err(fault) => return Ok(Err(IntegrityError::Tally(fault))),
    };
    let counted = count_rows(&transaction, seal, &tally)?;
    Ok(if counted.as_ref() == Some(&tally) {
        tally.follows(seen).map(|()| tally)
    } else {
        Err(IntegrityError::Altered)
    })
}

/// The tally as the rows have it. `None` if one of them is not sealed by us.
fn count_rows(transaction: &ReadTransaction, seal: &dyn Seal, tally: &Tally) -> Result<Option<Tally>, redb::Error> {
    let mut counted = Tally { rows: 0, sum: [0; 32], ..tally.clone() };
    for row in transaction.open_table(REVOCATIONS)?.iter()? {
        let (key, stored) = row?;
        let (key, stored) = (key.value().as_bytes(), stored.value());
        if !is_sealed::<Revocation>(seal, Place::Revocation, key, stored) {
            return Ok(None);
        }
        counted.add(seal, Place::Revocation, key, stored);
    }
    for row in transaction.open_table(RULES)?.iter()? {
        let (number, stored) = row?;
        let (key, stored) = (number.value().to_be_bytes(), stored.value());
        if !is_sealed::<Revocation>(seal, Place::Rule, &key, stored) {
            return Ok(None);
        }
        counted.add(seal, Place::Rule, &key, stored);
    }
    let objects = match transaction.open_table(OBJECTS) {
        // No object was ever written.
        Err(TableError::TableDoesNotExist(_)) => return Ok(Some(counted)),
        table => table?,
    };
    for row in objects.iter()? {
        let (key, stored) = row?;
        let ((kind, name), stored) = (key.value(), stored.value());
        let key = sealed_key(kind, name);
        // There may be many, and whoever asks for them decodes them. Here the seal is enough.
        if !is_sealed::<IgnoredAny>(seal, Place::Object, &key, stored) {
            return Ok(None);
        }
        counted.add(seal, Place::Object, &key, stored);
    }
    Ok(Some(counted))
}

fn is_sealed<T: DeserializeOwned>(seal: &dyn Seal, place: Place, key: &[u8], stored: &[u8]) -> bool {
    codec::open::<T>(seal, place, key, stored).is_ok()
}
