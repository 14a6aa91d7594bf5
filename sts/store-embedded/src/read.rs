//! Reads from one snapshot of the tables. A read takes no lock of ours and waits for no writer.

use std::collections::BTreeMap;

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableError};
use sts_types::{Digest256, Jti, Seal, StatusWindow, UnixTime};

use super::engine::DatabaseHandle;
use super::tables::{CLAIM_USES, CLAIMS, LEASES, META, RECORD_ENDS, RECORDS, REVOCATIONS, RULES, TALLIES, TALLY};
use super::tally::Tally;
use super::write::Extent;
use sts_store::StatusMark;
use sts_store::backend::UNREADABLE;
use sts_store::backend::codec;
use sts_store::backend::live_until;
use sts_store::backend::with_id;
use sts_store::{Alert, Alerts, Fault, Place};
use sts_store::{EarlierUse, Entry, Listing, Revocation, TakenClaim, TokenRecord};

/// Unseals stored values.
pub(super) struct RecordReader<'a> {
    pub(super) seal: &'a dyn Seal,
    pub(super) alerts: &'a dyn Alerts,
}

impl RecordReader<'_> {
    /// Unseals a stored value. An altered value raises an alert and counts as absent.
    pub(super) fn open<T: serde::de::DeserializeOwned>(&self, place: Place, key: &[u8], stored: &[u8]) -> Option<T> {
        codec::open(self.seal, place, key, stored).map_err(|fault| self.alerts.raise(Alert { place, fault })).ok()
    }

    fn open_record(&self, number: u64, stored: &[u8]) -> Option<TokenRecord> {
        let place = Place::Record;
        codec::open_record(self.seal, &number.to_be_bytes(), stored)
            .map_err(|fault| self.alerts.raise(Alert { place, fault }))
            .ok()
    }

    /// The jti of a stored record. `None` if it was altered.
    pub(super) fn jti_of(&self, number: u64, stored: &[u8]) -> Option<Jti> {
        self.open_record(number, stored).map(|record| record.jti)
    }

    /// The exchange that took the claim that ends at `until`. An earlier version takes claims and
    /// writes nothing here, so the stored value may belong to a former claim of the same key.
    pub(super) fn earlier_use_in(&self, key: &[u8; 32], until: i64, stored: &[u8]) -> Option<EarlierUse> {
        let (end, earlier_use) = self.open::<(i64, EarlierUse)>(Place::Claim, key, stored)?;
        (end == until).then_some(earlier_use)
    }
}

/// The claim of `key`, if it is taken at `now`.
pub(super) fn find_claim(
    database: &Database,
    reader: &RecordReader<'_>,
    key: Digest256,
    now: UnixTime,
) -> Result<Option<TakenClaim>, redb::Error> {
    let transaction = database.begin_read()?;
    let until = match transaction.open_table(CLAIMS) {
        Err(TableError::TableDoesNotExist(_)) => None,
        claims => claims?.get(&key.0)?.map(|until| until.value()),
    };
    let Some(until) = until.filter(|until| UnixTime::from_secs(*until) >= now) else { return Ok(None) };
    let earlier_use = match transaction.open_table(CLAIM_USES) {
        // A file of an earlier version, in which no claim was taken since.
        Err(TableError::TableDoesNotExist(_)) => None,
        uses => uses?.get(&key.0)?.and_then(|stored| reader.earlier_use_in(&key.0, until, stored.value())),
    };
    Ok(Some(TakenClaim { key, earlier_use }))
}

/// The live record of `jti` and its revocation.
pub(super) fn look_up(
    database: &Database,
    reader: &RecordReader<'_>,
    engine: &DatabaseHandle,
    jti: &Jti,
    now: UnixTime,
) -> Result<Option<Entry>, redb::Error> {
    let numbers = engine.index().numbers_of(jti.as_str());
    if numbers.is_empty() {
        return Ok(None);
    }
    find_entry(&database.begin_read()?, reader, jti, &numbers, now)
}

/// The live records of `jtis` and their revocations, all from one snapshot.
pub(super) fn look_up_all(
    database: &Database,
    reader: &RecordReader<'_>,
    engine: &DatabaseHandle,
    jtis: &[Jti],
    now: UnixTime,
) -> Result<Vec<Option<Entry>>, redb::Error> {
    let numbers: Vec<_> = {
        let index = engine.index();
        jtis.iter().map(|jti| index.numbers_of(jti.as_str())).collect()
    };
    let transaction = database.begin_read()?;
    jtis.iter().zip(&numbers).map(|(jti, numbers)| find_entry(&transaction, reader, jti, numbers, now)).collect()
}

fn find_entry(
    transaction: &ReadTransaction,
    reader: &RecordReader<'_>,
    jti: &Jti,
    numbers: &[u64],
    now: UnixTime,
) -> Result<Option<Entry>, redb::Error> {
    for number in numbers {
        let Some(stored) = transaction.open_table(RECORDS)?.get(number)? else { continue };
        let Some(record) = reader.open_record(*number, stored.value()) else { continue };
        if record.jti == *jti {
            return with_revocation(transaction, reader, record, now);
        }
        // The rows that the index is made of are not sealed. A record under another name counts as forged.
        reader.alerts.raise(Alert { place: Place::Record, fault: Fault::Seal });
    }
    Ok(None)
}

/// The end of the record that expires last.
pub(super) fn last_end(database: &Database) -> Result<Option<UnixTime>, redb::Error> {
    let ends = database.begin_read()?.open_table(RECORD_ENDS)?;
    Ok(ends.last()?.map(|(key, _)| UnixTime::from_secs(key.value().0)))
}

/// The sealed tally. A store that has never revoked anything may lack it. The inner error is the
/// fault because of which it cannot be trusted.
pub(super) fn tally(transaction: &ReadTransaction, seal: &dyn Seal) -> Result<Result<Tally, Fault>, redb::Error> {
    let stored = match transaction.open_table(TALLIES) {
        Err(TableError::TableDoesNotExist(_)) => None,
        table => table?.get(TALLY)?.map(|stored| stored.value().to_vec()),
    };
    Ok(Tally::decode(seal, stored.as_deref()))
}

/// How much the store holds.
pub(super) fn extent(database: &Database) -> Result<Extent, redb::Error> {
    let transaction = database.begin_read()?;
    let leases = match transaction.open_table(LEASES) {
        Err(TableError::TableDoesNotExist(_)) => None,
        leases => Some(leases?),
    };
    let (records, claims) = (transaction.open_table(RECORDS)?, transaction.open_table(CLAIMS)?);
    Extent::of(&records, &claims, leases.as_ref(), &transaction.open_table(META)?)
}

/// The input for status lists besides the records.
pub(super) fn status(database: &Database, reader: &RecordReader<'_>) -> Result<StatusMark, redb::Error> {
    let transaction = database.begin_read()?;
    let mut leased = BTreeMap::new();
    for row in transaction.open_table(LEASES)?.iter()? {
        let (window, taken) = row?;
        leased.insert(StatusWindow::new(window.value()), taken.value());
    }
    // The writer reports an unreadable tally. Here it only has to differ from every earlier number.
    let revocations = tally(&transaction, reader.seal)?.map_or(u64::MAX, |tally| tally.sequence());
    Ok(StatusMark { leased, revocations, tokens: 0, shards: Vec::new() })
}

/// A page of live records, newest first.
pub(super) fn list(
    database: &Database,
    reader: &RecordReader<'_>,
    engine: &DatabaseHandle,
    listing: &Listing,
    now: UnixTime,
) -> Result<Vec<Entry>, redb::Error> {
    // Of records with equal hashes the oldest: none comes twice.
    let after = listing.after.as_ref().map(|jti| engine.index().numbers_of(jti.as_str()).into_iter().min());
    let Some(end) = after.unwrap_or(Some(u64::MAX)) else { return Ok(Vec::new()) };
    let mut page = Vec::new();
    if listing.limit == 0 {
        return Ok(page);
    }
    match &listing.account {
        None => {
            let transaction = database.begin_read()?;
            for row in transaction.open_table(RECORDS)?.range(..end)?.rev() {
                let (number, stored) = row?;
                if let Some(record) = reader.open_record(number.value(), stored.value()) {
                    page.extend(with_revocation(&transaction, reader, record, now)?);
                }
                if page.len() == listing.limit {
                    break;
                }
            }
        }
        Some(account) => {
            let mut numbers = engine.index().numbers_of_account(account.as_str(), end, listing.limit);
            let transaction = database.begin_read()?;
            let records = transaction.open_table(RECORDS)?;
            // Some may have expired, so one helping is not always a page.
            while let Some(oldest) = numbers.last().copied() {
                for number in numbers {
                    if let Some(stored) = records.get(number)?
                        && let Some(record) = reader.open_record(number, stored.value())
                        && record.account == *account
                    {
                        page.extend(with_revocation(&transaction, reader, record, now)?);
                    }
                    if page.len() == listing.limit {
                        return Ok(page);
                    }
                }
                numbers = engine.index().numbers_of_account(account.as_str(), oldest, listing.limit);
            }
        }
    }
    Ok(page)
}

/// The readable rules, oldest first.
pub(super) fn rules(database: &Database, reader: &RecordReader<'_>) -> Result<Vec<Revocation>, redb::Error> {
    let mut rules = Vec::new();
    for row in database.begin_read()?.open_table(RULES)?.iter()? {
        let (number, stored) = row?;
        let rule = reader.open::<Revocation>(Place::Rule, &number.value().to_be_bytes(), stored.value());
        rules.extend(rule.map(|rule| with_id(reader.seal, rule)));
    }
    Ok(rules)
}

/// The entry of a live record. An unreadable revocation counts as a revocation: damage must not
/// bring a revoked token back.
fn with_revocation(
    transaction: &ReadTransaction,
    reader: &RecordReader<'_>,
    record: TokenRecord,
    now: UnixTime,
) -> Result<Option<Entry>, redb::Error> {
    if now > live_until(record.exp) {
        return Ok(None);
    }
    let key = record.jti.as_str();
    let revoked = transaction.open_table(REVOCATIONS)?.get(key)?.map(|stored| {
        reader
            .open::<Revocation>(Place::Revocation, key.as_bytes(), stored.value())
            .unwrap_or_else(|| Revocation::in_place_of_a_broken_one(record.jti.clone(), now, UNREADABLE))
    });
    Ok(Some(Entry { record, revoked }))
}
