//! The writes within one transaction: issue and revoke. Each writes all of its rows or none.

use std::sync::Arc;

use redb::{ReadableTable, Table, WriteTransaction};
use sts_types::{Jti, ReplayClaim, Seal, StatusWindow, UnixTime};

use super::engine::DatabaseHandle;
use super::object_log::ObjectCommit;
use super::record_index::{IndexChange, Indexed};
use super::table_in_use::TableInUse;
use super::tables::{
    CLAIM_ENDS, CLAIM_USES, CLAIMS, FORMER_BY_ACCOUNT, FORMER_BY_JTI, KEY_USES, LEASES, LONE_CLAIMS, META, OBJECTS,
    PROBE, RECORD_ENDS, RECORDS, REFUSALS, REFUSALS_BY_TIME, REVOCATION_ENDS, REVOCATIONS, RULE_ENDS, RULES, SCHEMA,
    SCHEMA_VERSION, SESSIONS, TALLIES, TALLY,
};
use super::tally::Tally;
use sts_store::LedgerError;
use sts_store::Place;
use sts_store::backend::codec;
use sts_store::backend::live_until;
use sts_store::backend::{rule_id, with_id};
use sts_store::{EarlierUse, Issued, Revocation, RevocationScope, RuleId, TakenClaim, TokenRecord};

/// Why a request of a batch failed.
#[derive(Debug)]
pub(super) enum WriteError {
    /// This request failed and wrote nothing. The others of its batch go on.
    Refused(LedgerError),
    /// The database failed. The whole batch is lost.
    Engine(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for WriteError {
    fn from(error: E) -> Self {
        Self::Engine(error.into())
    }
}

/// A value, encoded before it reaches the writer thread.
pub(super) struct Encoded<T> {
    /// The value.
    pub(super) value: T,
    /// Its JSON.
    pub(super) payload: Vec<u8>,
}

impl<T: serde::Serialize> Encoded<T> {
    pub(super) fn new(value: T) -> Result<Self, LedgerError> {
        // Large enough for most records, so the buffer does not grow.
        let mut payload = Vec::with_capacity(1536);
        serde_json::to_writer(&mut payload, &value).map_err(|_| not_encoded())?;
        Ok(Self { value, payload })
    }
}

pub(super) fn not_encoded() -> LedgerError {
    LedgerError::Unavailable("a value for the store cannot be encoded".into())
}

/// Every table within one transaction.
pub(super) struct Tables<'txn> {
    transaction: &'txn WriteTransaction,
    meta: TableInUse<'txn, &'static str, u64>,
    pub(super) records: TableInUse<'txn, u64, &'static [u8]>,
    pub(super) record_ends: TableInUse<'txn, (i64, u64), (&'static str, &'static str)>,
    pub(super) claims: TableInUse<'txn, &'static [u8; 32], i64>,
    pub(super) claim_uses: TableInUse<'txn, &'static [u8; 32], &'static [u8]>,
    pub(super) claim_ends: TableInUse<'txn, (i64, &'static [u8; 32]), ()>,
    pub(super) objects: TableInUse<'txn, (u8, &'static str), &'static [u8]>,
    pub(super) key_uses: TableInUse<'txn, &'static str, (i64, &'static str)>,
    pub(super) sessions: TableInUse<'txn, &'static [u8; 33], (i64, &'static [u8])>,
    pub(super) revocations: TableInUse<'txn, &'static str, &'static [u8]>,
    pub(super) revocation_ends: TableInUse<'txn, (i64, &'static str), ()>,
    pub(super) rules: TableInUse<'txn, u64, &'static [u8]>,
    pub(super) rule_ends: TableInUse<'txn, (i64, u64), ()>,
    pub(super) tallies: TableInUse<'txn, &'static str, &'static [u8]>,
    pub(super) leases: TableInUse<'txn, u64, u64>,
    pub(super) refusals: TableInUse<'txn, &'static str, &'static [u8]>,
    pub(super) refusals_by_time: TableInUse<'txn, (u64, &'static str), &'static str>,
    pub(super) changed: Changed,
}

/// What a transaction changed, for what is kept in memory.
#[derive(Default)]
pub(super) struct Changed {
    /// Records that were written or forgotten.
    pub(super) records: Vec<IndexChange>,
    /// Whether a rule was written or forgotten.
    pub(super) rules: bool,
    /// The new tally, if any revocation or object was written or forgotten.
    pub(super) tally: Option<Tally>,
    /// Whether an operator has accepted the store as it is.
    pub(super) accepted: bool,
    /// The commits of managed objects.
    pub(super) objects: Vec<Arc<ObjectCommit>>,
    /// How much the store holds after this transaction.
    pub(super) extent: Extent,
}

/// How much a store holds. It differs between any two states that matter: each record has a number of
/// its own, claims come with records, and those that do not are counted. So it costs an exchange no write,
/// unlike a count of transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    last_record: Option<u64>,
    records: u64,
    claims: u64,
    lone_claims: u64,
    /// The sum over all windows.
    leased_indexes: u64,
}

impl Extent {
    /// The extent of these tables. A file of an earlier version may lack `leases`.
    ///
    /// # Errors
    /// If a table cannot be read.
    pub(super) fn of(
        records: &impl ReadableTable<u64, &'static [u8]>,
        claims: &impl ReadableTable<&'static [u8; 32], i64>,
        leases: Option<&impl ReadableTable<u64, u64>>,
        meta: &impl ReadableTable<&'static str, u64>,
    ) -> Result<Self, redb::Error> {
        let mut extent = Self::default();
        extent.count_records(records)?;
        extent.count_claims(claims)?;
        if let Some(leases) = leases {
            extent.count_leases(leases)?;
        }
        extent.count_lone_claims(meta)?;
        Ok(extent)
    }

    fn count_records(&mut self, records: &impl ReadableTable<u64, &'static [u8]>) -> Result<(), redb::Error> {
        self.last_record = records.last()?.map(|(number, _)| number.value());
        self.records = records.len()?;
        Ok(())
    }

    fn count_claims(&mut self, claims: &impl ReadableTable<&'static [u8; 32], i64>) -> Result<(), redb::Error> {
        self.claims = claims.len()?;
        Ok(())
    }

    fn count_leases(&mut self, leases: &impl ReadableTable<u64, u64>) -> Result<(), redb::Error> {
        self.leased_indexes = 0;
        for row in leases.iter()? {
            self.leased_indexes = self.leased_indexes.wrapping_add(row?.1.value());
        }
        Ok(())
    }

    fn count_lone_claims(&mut self, meta: &impl ReadableTable<&'static str, u64>) -> Result<(), redb::Error> {
        self.lone_claims = meta.get(LONE_CLAIMS)?.map_or(0, |count| count.value());
        Ok(())
    }
}

impl<'txn> Tables<'txn> {
    pub(super) fn new(transaction: &'txn WriteTransaction) -> Self {
        Self {
            transaction,
            meta: TableInUse::new(transaction, META),
            records: TableInUse::new(transaction, RECORDS),
            record_ends: TableInUse::new(transaction, RECORD_ENDS),
            claims: TableInUse::new(transaction, CLAIMS),
            claim_uses: TableInUse::new(transaction, CLAIM_USES),
            claim_ends: TableInUse::new(transaction, CLAIM_ENDS),
            objects: TableInUse::new(transaction, OBJECTS),
            key_uses: TableInUse::new(transaction, KEY_USES),
            sessions: TableInUse::new(transaction, SESSIONS),
            revocations: TableInUse::new(transaction, REVOCATIONS),
            revocation_ends: TableInUse::new(transaction, REVOCATION_ENDS),
            rules: TableInUse::new(transaction, RULES),
            rule_ends: TableInUse::new(transaction, RULE_ENDS),
            tallies: TableInUse::new(transaction, TALLIES),
            leases: TableInUse::new(transaction, LEASES),
            refusals: TableInUse::new(transaction, REFUSALS),
            refusals_by_time: TableInUse::new(transaction, REFUSALS_BY_TIME),
            changed: Changed::default(),
        }
    }

    /// Makes the file one of the current schema version: with the tables that readers expect, and without those of
    /// former versions.
    pub(super) fn bring_up_to_date(&mut self) -> Result<(), redb::Error> {
        self.records.open()?;
        self.record_ends.open()?;
        self.claims.open()?;
        self.claim_ends.open()?;
        self.revocations.open()?;
        self.revocation_ends.open()?;
        self.rules.open()?;
        self.rule_ends.open()?;
        self.tallies.open()?;
        self.leases.open()?;
        self.refusals.open()?;
        self.refusals_by_time.open()?;
        self.transaction.delete_table(FORMER_BY_JTI)?;
        self.transaction.delete_table(FORMER_BY_ACCOUNT)?;
        self.meta.open()?.insert(SCHEMA, SCHEMA_VERSION)?;
        Ok(())
    }

    /// Whether an operator accepted the store as it is.
    pub(super) fn is_accepted(&self) -> bool {
        self.changed.accepted
    }

    /// Writes the tally, and returns the changes. `before` is the extent before this transaction, if it is known.
    pub(super) fn finish(mut self, seal: &dyn Seal, before: Option<Extent>) -> Result<Changed, redb::Error> {
        self.changed.extent = self.extent(before)?;
        if let Some(tally) = &self.changed.tally {
            self.tallies.open()?.insert(TALLY, tally.encode(seal)?.as_slice())?;
        }
        Ok(self.changed)
    }

    /// The extent after this transaction. Only what it may have changed is read again.
    fn extent(&mut self, before: Option<Extent>) -> Result<Extent, redb::Error> {
        let Some(mut extent) = before else {
            let (records, claims) = (self.records.open()?, self.claims.open()?);
            return Extent::of(records, claims, Some(self.leases.open()?), self.meta.open()?);
        };
        if self.records.is_open() {
            extent.count_records(self.records.open()?)?;
        }
        if self.claims.is_open() {
            extent.count_claims(self.claims.open()?)?;
        }
        if self.leases.is_open() {
            extent.count_leases(self.leases.open()?)?;
        }
        if self.meta.is_open() {
            extent.count_lone_claims(self.meta.open()?)?;
        }
        Ok(extent)
    }

    /// Takes the claims if all of them are free, and records the token.
    pub(super) fn issue(
        &mut self,
        engine: &DatabaseHandle,
        mut record: Encoded<TokenRecord>,
        claims: &[ReplayClaim],
    ) -> Result<Issued, WriteError> {
        let (seal, now) = (&*engine.seal, engine.clock.now());
        let preceding = self.changed.tally.as_ref().map_or_else(|| engine.rules_made(), Tally::rules);
        // A rule may have been made since the record was encoded.
        if record.value.preceding_rules != Some(preceding) {
            record.value.preceding_rules = Some(preceding);
            record = Encoded::new(record.value).map_err(WriteError::Refused)?;
        }
        let TokenRecord { jti, account, exp, .. } = &record.value;
        if self.has_record(engine, jti.as_str())? {
            return Err(WriteError::Refused(LedgerError::Duplicate));
        }
        for claim in claims {
            if let Some(until) = self.taken_until(&claim.key.0, now)? {
                let earlier_use = self.earlier_use(engine, &claim.key.0, until)?;
                return Ok(Issued::Replayed(TakenClaim { key: claim.key, earlier_use }));
            }
        }
        for claim in claims {
            self.take_claim(seal, claim, &EarlierUse::of(&record.value))?;
        }
        let records = self.records.open()?;
        let number = next_number(records)?;
        let stored = codec::seal(seal, Place::Record, &number.to_be_bytes(), &record.payload);
        records.insert(number, stored.as_slice())?;
        let end = live_until(*exp).as_secs();
        self.record_ends.open()?.insert((end, number), (jti.as_str(), account.as_str()))?;
        let indexed = Indexed { number, jti: jti.as_str().into(), account: account.as_str().into() };
        self.changed.records.push(IndexChange::Recorded(indexed));
        Ok(Issued::Recorded)
    }

    /// Whether there is a record of this jti, be it of an earlier transaction or of this one.
    fn has_record(&mut self, engine: &DatabaseHandle, jti: &str) -> Result<bool, WriteError> {
        let written = |change: &IndexChange| matches!(change, IndexChange::Recorded(written) if *written.jti == *jti);
        if self.changed.records.iter().any(written) {
            return Ok(true);
        }
        let numbers = engine.index().numbers_of(jti);
        for number in numbers {
            let Some(stored) = self.records.open()?.get(number)? else { continue };
            // What cannot be read may be of this jti.
            if engine.check().jti_of(number, stored.value()).is_none_or(|found| found.as_str() == jti) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes a claim that comes without a record. `None` if it was free.
    pub(super) fn take_lone_claim(
        &mut self,
        engine: &DatabaseHandle,
        claim: &ReplayClaim,
        by: &EarlierUse,
    ) -> Result<Option<TakenClaim>, WriteError> {
        let (key, now) = (&claim.key.0, engine.clock.now());
        if let Some(until) = self.taken_until(key, now)? {
            let earlier_use = self.earlier_use(engine, key, until)?;
            return Ok(Some(TakenClaim { key: claim.key, earlier_use }));
        }
        self.take_claim(&*engine.seal, claim, by)?;
        let count = self.meta.open()?.get(LONE_CLAIMS)?.map_or(0, |count| count.value());
        self.meta.open()?.insert(LONE_CLAIMS, count.wrapping_add(1))?;
        Ok(None)
    }

    /// When the claim ends, if it is taken. A claim that has ended is free again.
    fn taken_until(&mut self, key: &[u8; 32], now: UnixTime) -> Result<Option<i64>, redb::Error> {
        let until = self.claims.open()?.get(key)?.map(|until| until.value());
        Ok(until.filter(|until| UnixTime::from_secs(*until) >= now))
    }

    /// Takes a free claim.
    fn take_claim(&mut self, seal: &dyn Seal, claim: &ReplayClaim, by: &EarlierUse) -> Result<(), WriteError> {
        let (key, until) = (&claim.key.0, claim.until.as_secs());
        let former_end = self.claims.open()?.insert(key, until)?.map(|former_end| former_end.value());
        if let Some(former_end) = former_end {
            self.claim_ends.open()?.remove((former_end, key))?;
        }
        self.claim_ends.open()?.insert((until, key), ())?;
        let stored = codec::seal_value(seal, Place::Claim, key, &(until, by)).map_err(|_| not_encoded());
        self.claim_uses.open()?.insert(key, stored.map_err(WriteError::Refused)?.as_slice())?;
        Ok(())
    }

    /// The exchange that took the claim that ends at `until`.
    fn earlier_use(
        &mut self,
        engine: &DatabaseHandle,
        key: &[u8; 32],
        until: i64,
    ) -> Result<Option<EarlierUse>, redb::Error> {
        Ok(self
            .claim_uses
            .open()?
            .get(key)?
            .and_then(|stored| engine.check().earlier_use_in(key, until, stored.value())))
    }

    /// The transaction, for tables that few requests open.
    pub(super) fn transaction(&self) -> &WriteTransaction {
        self.transaction
    }

    /// Records a revocation. The first one of a token stays, unless it would be forgotten before
    /// the new one.
    pub(super) fn revoke(
        &mut self,
        seal: &dyn Seal,
        revocation: Revocation,
        now: UnixTime,
    ) -> Result<Revocation, WriteError> {
        let RevocationScope::Token(jti) = &revocation.scope else { return self.make_rule(seal, revocation, now) };
        let existing = self.revocations.open()?.get(jti.as_str())?.map(|stored| stored.value().to_vec());
        if let Some(stored) = existing {
            let existing: Option<Revocation> =
                codec::open(seal, Place::Revocation, jti.as_str().as_bytes(), &stored).ok();
            match existing {
                Some(existing) if existing.until >= revocation.until => return Ok(existing),
                existing => {
                    self.take_out_revocation(seal, jti.as_str(), &stored, existing.map(|existing| existing.until))?
                }
            }
        }
        let Encoded { value, payload } = Encoded::new(revocation.clone()).map_err(WriteError::Refused)?;
        self.put_in_revocation(seal, jti, value.until, &payload)?;
        self.tally(seal)?.count(seal, now);
        Ok(value)
    }

    /// Records a rule. Making the same rule again replaces the earlier one.
    fn make_rule(&mut self, seal: &dyn Seal, mut rule: Revocation, now: UnixTime) -> Result<Revocation, WriteError> {
        rule.id = rule_id(seal, &rule);
        if let Some(existing) = self.find_rule(seal, rule.id.as_ref())? {
            rule.until = rule.until.max(existing.value.until);
            self.take_out_rule(seal, &existing)?;
        }
        rule.order = Some(self.tally(seal)?.count_rule());
        let Encoded { value: rule, payload } = Encoded::new(rule).map_err(WriteError::Refused)?;
        let number = next_number(self.rules.open()?)?;
        let key = number.to_be_bytes();
        let stored = codec::seal(seal, Place::Rule, &key, &payload);
        self.rules.open()?.insert(number, stored.as_slice())?;
        self.rule_ends.open()?.insert((rule.until.as_secs(), number), ())?;
        self.tally(seal)?.add(seal, Place::Rule, &key, &stored);
        self.tally(seal)?.count(seal, now);
        self.changed.rules = true;
        Ok(rule)
    }

    /// Removes a rule that is in force.
    pub(super) fn undo_rule(
        &mut self,
        seal: &dyn Seal,
        id: &RuleId,
        now: UnixTime,
    ) -> Result<Option<Revocation>, WriteError> {
        let existing = self.find_rule(seal, Some(id))?.filter(|existing| existing.value.until >= now);
        let Some(existing) = existing else { return Ok(None) };
        self.take_out_rule(seal, &existing)?;
        self.tally(seal)?.count(seal, now);
        Ok(Some(existing.value))
    }

    fn find_rule(&mut self, seal: &dyn Seal, id: Option<&RuleId>) -> Result<Option<HeldRule>, WriteError> {
        for row in self.rules.open()?.iter()? {
            let (number, stored) = row?;
            let (number, stored) = (number.value(), stored.value());
            if let Ok(rule) = codec::open::<Revocation>(seal, Place::Rule, &number.to_be_bytes(), stored) {
                let value = with_id(seal, rule);
                if value.id.as_ref() == id {
                    return Ok(Some(HeldRule { number, stored: stored.to_vec(), value }));
                }
            }
        }
        Ok(None)
    }

    fn take_out_rule(&mut self, seal: &dyn Seal, existing: &HeldRule) -> Result<(), WriteError> {
        self.rules.open()?.remove(existing.number)?;
        self.rule_ends.open()?.remove((existing.value.until.as_secs(), existing.number))?;
        self.tally(seal)?.remove(seal, Place::Rule, &existing.number.to_be_bytes(), &existing.stored);
        self.changed.rules = true;
        Ok(())
    }

    pub(super) fn put_in_revocation(
        &mut self,
        seal: &dyn Seal,
        jti: &Jti,
        until: UnixTime,
        payload: &[u8],
    ) -> Result<(), WriteError> {
        let key = jti.as_str();
        let stored = codec::seal(seal, Place::Revocation, key.as_bytes(), payload);
        self.revocations.open()?.insert(key, stored.as_slice())?;
        self.revocation_ends.open()?.insert((until.as_secs(), key), ())?;
        self.tally(seal)?.add(seal, Place::Revocation, key.as_bytes(), &stored);
        Ok(())
    }

    pub(super) fn take_out_revocation(
        &mut self,
        seal: &dyn Seal,
        key: &str,
        stored: &[u8],
        until: Option<UnixTime>,
    ) -> Result<(), WriteError> {
        if let Some(until) = until {
            self.revocation_ends.open()?.remove((until.as_secs(), key))?;
        }
        self.revocations.open()?.remove(key)?;
        self.tally(seal)?.remove(seal, Place::Revocation, key.as_bytes(), stored);
        Ok(())
    }

    /// The tally so far, to be changed.
    pub(super) fn tally(&mut self, seal: &dyn Seal) -> Result<&mut Tally, WriteError> {
        if self.changed.tally.is_none() {
            let stored = self.tallies.open()?.get(TALLY)?.map(|stored| stored.value().to_vec());
            // It was readable when the store was opened, so another process has written to the
            // file.
            let unreadable =
                |_| LedgerError::Unavailable("the tally of revocations and managed objects cannot be read".into());
            let tally = Tally::decode(seal, stored.as_deref()).map_err(unreadable).map_err(WriteError::Refused)?;
            self.changed.tally = Some(tally);
        }
        Ok(self.changed.tally.get_or_insert_default())
    }

    /// Takes `count` indexes of `window` and returns the first.
    pub(super) fn lease(&mut self, window: StatusWindow, count: u32) -> Result<u64, WriteError> {
        let first = self.leases.open()?.get(window.number())?.map_or(0, |taken| taken.value());
        let exhausted = || WriteError::Refused(LedgerError::Unavailable("the status lists of an hour are full".into()));
        let taken = first.checked_add(u64::from(count)).ok_or_else(exhausted)?;
        self.leases.open()?.insert(window.number(), taken)?;
        Ok(first)
    }

    /// Writes a row only to learn whether the store takes writes.
    pub(super) fn probe(&mut self, now: UnixTime) -> Result<(), redb::Error> {
        self.meta.open()?.insert(PROBE, u64::try_from(now.as_secs()).unwrap_or(0))?;
        Ok(())
    }
}

/// A rule as it is stored.
struct HeldRule {
    number: u64,
    stored: Vec<u8>,
    value: Revocation,
}

fn next_number<'txn>(table: &Table<'txn, u64, &'static [u8]>) -> Result<u64, redb::Error> {
    Ok(table.last()?.map_or(0, |(number, _)| number.value().saturating_add(1)))
}
