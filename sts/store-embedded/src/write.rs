//! The writes within one transaction: issue and revoke. Each writes all of its rows or none.

use std::sync::Arc;

use redb::{ReadableTable, Table, TableError, WriteTransaction};
use sts_types::{Jti, ReplayClaim, Seal, StatusWindow, UnixTime};

use super::engine::DatabaseHandle;
use super::object_log::ObjectCommit;
use super::tables::{
    BY_ACCOUNT, BY_JTI, CLAIM_ENDS, CLAIM_USES, CLAIMS, KEY_USES, LEASES, LONE_CLAIMS, META, OBJECTS, PROBE,
    RECORD_ENDS, RECORDS, REFUSALS, REFUSALS_BY_TIME, REVOCATION_ENDS, REVOCATIONS, RULE_ENDS, RULES, SCHEMA,
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
        let payload = serde_json::to_vec(&value).map_err(|_| not_encoded())?;
        Ok(Self { value, payload })
    }
}

pub(super) fn not_encoded() -> LedgerError {
    LedgerError::Unavailable("a value for the store cannot be encoded".into())
}

/// Every table, open in one transaction.
pub(super) struct Tables<'txn> {
    meta: Table<'txn, &'static str, u64>,
    pub(super) records: Table<'txn, u64, &'static [u8]>,
    pub(super) by_jti: Table<'txn, &'static str, u64>,
    pub(super) by_account: Table<'txn, (&'static str, u64), ()>,
    pub(super) record_ends: Table<'txn, (i64, u64), (&'static str, &'static str)>,
    pub(super) claims: Table<'txn, &'static [u8; 32], i64>,
    pub(super) claim_ends: Table<'txn, (i64, &'static [u8; 32]), ()>,
    /// Opened by the first claim. Most exchanges take none.
    claim_uses: Option<ClaimUses<'txn>>,
    /// Opened when it is needed, because exchanges need none.
    objects: Option<Objects<'txn>>,
    /// As `objects`.
    key_uses: Option<KeyUses<'txn>>,
    /// As `objects`.
    sessions: Option<Sessions<'txn>>,
    transaction: &'txn WriteTransaction,
    pub(super) revocations: Table<'txn, &'static str, &'static [u8]>,
    pub(super) revocation_ends: Table<'txn, (i64, &'static str), ()>,
    pub(super) rules: Table<'txn, u64, &'static [u8]>,
    pub(super) rule_ends: Table<'txn, (i64, u64), ()>,
    pub(super) tallies: Table<'txn, &'static str, &'static [u8]>,
    pub(super) leases: Table<'txn, u64, u64>,
    pub(super) refusals: Table<'txn, &'static str, &'static [u8]>,
    pub(super) refusals_by_time: Table<'txn, (u64, &'static str), &'static str>,
    pub(super) changed: Changed,
}

/// Which exchange took each claim.
type ClaimUses<'txn> = Table<'txn, &'static [u8; 32], &'static [u8]>;

/// Managed objects.
pub(super) type Objects<'txn> = Table<'txn, (u8, &'static str), &'static [u8]>;

/// The last uses of API keys.
type KeyUses<'txn> = Table<'txn, &'static str, (i64, &'static str)>;

/// Sessions of the console.
pub(super) type Sessions<'txn> = Table<'txn, &'static [u8; 33], (i64, &'static [u8])>;

/// What a transaction changed about revocations and managed objects.
#[derive(Default)]
pub(super) struct Changed {
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
        let mut leased_indexes = 0_u64;
        for row in leases.map(ReadableTable::iter).transpose()?.into_iter().flatten() {
            leased_indexes = leased_indexes.wrapping_add(row?.1.value());
        }
        let last_record = records.last()?.map(|(number, _)| number.value());
        let lone_claims = meta.get(LONE_CLAIMS)?.map_or(0, |count| count.value());
        Ok(Self { last_record, records: records.len()?, claims: claims.len()?, lone_claims, leased_indexes })
    }
}

impl<'txn> Tables<'txn> {
    /// Opens every table, and creates those that are missing.
    pub(super) fn open(transaction: &'txn WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            meta: transaction.open_table(META)?,
            records: transaction.open_table(RECORDS)?,
            by_jti: transaction.open_table(BY_JTI)?,
            by_account: transaction.open_table(BY_ACCOUNT)?,
            record_ends: transaction.open_table(RECORD_ENDS)?,
            claims: transaction.open_table(CLAIMS)?,
            claim_ends: transaction.open_table(CLAIM_ENDS)?,
            claim_uses: None,
            objects: None,
            key_uses: None,
            sessions: None,
            transaction,
            revocations: transaction.open_table(REVOCATIONS)?,
            revocation_ends: transaction.open_table(REVOCATION_ENDS)?,
            rules: transaction.open_table(RULES)?,
            rule_ends: transaction.open_table(RULE_ENDS)?,
            tallies: transaction.open_table(TALLIES)?,
            leases: transaction.open_table(LEASES)?,
            refusals: transaction.open_table(REFUSALS)?,
            refusals_by_time: transaction.open_table(REFUSALS_BY_TIME)?,
            changed: Changed::default(),
        })
    }

    /// Whether an operator accepted the store as it is.
    pub(super) fn is_accepted(&self) -> bool {
        self.changed.accepted
    }

    /// Writes the tally, and returns the changes.
    pub(super) fn finish(mut self, seal: &dyn Seal) -> Result<Changed, redb::Error> {
        self.changed.extent = Extent::of(&self.records, &self.claims, Some(&self.leases), &self.meta)?;
        if let Some(tally) = &self.changed.tally {
            self.tallies.insert(TALLY, tally.encode(seal)?.as_slice())?;
        }
        Ok(self.changed)
    }

    /// Writes the schema version into a new file.
    pub(super) fn mark_schema(&mut self) -> Result<(), redb::Error> {
        self.meta.insert(SCHEMA, SCHEMA_VERSION)?;
        Ok(())
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
        if self.by_jti.get(jti.as_str())?.is_some() {
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
        let number = next_number(&self.records)?;
        let stored = codec::seal(seal, Place::Record, &number.to_be_bytes(), &record.payload);
        self.records.insert(number, stored.as_slice())?;
        self.by_jti.insert(jti.as_str(), number)?;
        self.by_account.insert((account.as_str(), number), ())?;
        self.record_ends.insert((live_until(*exp).as_secs(), number), (jti.as_str(), account.as_str()))?;
        Ok(Issued::Recorded)
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
        let count = self.meta.get(LONE_CLAIMS)?.map_or(0, |count| count.value());
        self.meta.insert(LONE_CLAIMS, count.wrapping_add(1))?;
        Ok(None)
    }

    /// When the claim ends, if it is taken. A claim that has ended is free again.
    fn taken_until(&self, key: &[u8; 32], now: UnixTime) -> Result<Option<i64>, redb::Error> {
        let until = self.claims.get(key)?.map(|until| until.value());
        Ok(until.filter(|until| UnixTime::from_secs(*until) >= now))
    }

    /// Takes a free claim.
    fn take_claim(&mut self, seal: &dyn Seal, claim: &ReplayClaim, by: &EarlierUse) -> Result<(), WriteError> {
        let (key, until) = (&claim.key.0, claim.until.as_secs());
        let former_end = self.claims.insert(key, until)?.map(|former_end| former_end.value());
        if let Some(former_end) = former_end {
            self.claim_ends.remove((former_end, key))?;
        }
        self.claim_ends.insert((until, key), ())?;
        let stored = codec::seal_value(seal, Place::Claim, key, &(until, by)).map_err(|_| not_encoded());
        self.claim_uses()?.insert(key, stored.map_err(WriteError::Refused)?.as_slice())?;
        Ok(())
    }

    /// The exchange that took the claim that ends at `until`.
    fn earlier_use(
        &mut self,
        engine: &DatabaseHandle,
        key: &[u8; 32],
        until: i64,
    ) -> Result<Option<EarlierUse>, redb::Error> {
        Ok(self.claim_uses()?.get(key)?.and_then(|stored| engine.check().earlier_use_in(key, until, stored.value())))
    }

    pub(super) fn claim_uses(&mut self) -> Result<&mut ClaimUses<'txn>, redb::Error> {
        opened(&mut self.claim_uses, || self.transaction.open_table(CLAIM_USES))
    }

    pub(super) fn objects(&mut self) -> Result<&mut Objects<'txn>, redb::Error> {
        opened(&mut self.objects, || self.transaction.open_table(OBJECTS))
    }

    /// The transaction, for tables that few requests open.
    pub(super) fn transaction(&self) -> &WriteTransaction {
        self.transaction
    }

    pub(super) fn key_uses(&mut self) -> Result<&mut KeyUses<'txn>, redb::Error> {
        opened(&mut self.key_uses, || self.transaction.open_table(KEY_USES))
    }

    pub(super) fn sessions(&mut self) -> Result<&mut Sessions<'txn>, redb::Error> {
        opened(&mut self.sessions, || self.transaction.open_table(SESSIONS))
    }

    /// The objects and the tally, each to be changed. `None` before a tally was read.
    pub(super) fn objects_and_tally(&mut self) -> Result<Option<(&mut Objects<'txn>, &mut Tally)>, redb::Error> {
        let objects = opened(&mut self.objects, || self.transaction.open_table(OBJECTS))?;
        Ok(self.changed.tally.as_mut().map(|tally| (objects, tally)))
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
        let existing = self.revocations.get(jti.as_str())?.map(|stored| stored.value().to_vec());
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
        let number = next_number(&self.rules)?;
        let key = number.to_be_bytes();
        let stored = codec::seal(seal, Place::Rule, &key, &payload);
        self.rules.insert(number, stored.as_slice())?;
        self.rule_ends.insert((rule.until.as_secs(), number), ())?;
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

    fn find_rule(&self, seal: &dyn Seal, id: Option<&RuleId>) -> Result<Option<HeldRule>, WriteError> {
        for row in self.rules.iter()? {
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
        self.rules.remove(existing.number)?;
        self.rule_ends.remove((existing.value.until.as_secs(), existing.number))?;
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
        self.revocations.insert(key, stored.as_slice())?;
        self.revocation_ends.insert((until.as_secs(), key), ())?;
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
            self.revocation_ends.remove((until.as_secs(), key))?;
        }
        self.revocations.remove(key)?;
        self.tally(seal)?.remove(seal, Place::Revocation, key.as_bytes(), stored);
        Ok(())
    }

    /// The tally so far, to be changed.
    pub(super) fn tally(&mut self, seal: &dyn Seal) -> Result<&mut Tally, WriteError> {
        if self.changed.tally.is_none() {
            let stored = self.tallies.get(TALLY)?.map(|stored| stored.value().to_vec());
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
        let first = self.leases.get(window.number())?.map_or(0, |taken| taken.value());
        let exhausted = || WriteError::Refused(LedgerError::Unavailable("the status lists of an hour are full".into()));
        let taken = first.checked_add(u64::from(count)).ok_or_else(exhausted)?;
        self.leases.insert(window.number(), taken)?;
        Ok(first)
    }

    /// Writes a row only to learn whether the store takes writes.
    pub(super) fn probe(&mut self, now: UnixTime) -> Result<(), redb::Error> {
        self.meta.insert(PROBE, u64::try_from(now.as_secs()).unwrap_or(0))?;
        Ok(())
    }
}

/// A rule as it is stored.
struct HeldRule {
    number: u64,
    stored: Vec<u8>,
    value: Revocation,
}

/// The table in `slot`, which is opened first if need be.
fn opened<T>(slot: &mut Option<T>, open: impl FnOnce() -> Result<T, TableError>) -> Result<&mut T, redb::Error> {
    let table = match slot.take() {
        Some(table) => table,
        None => open()?,
    };
    Ok(slot.insert(table))
}

fn next_number<'txn>(table: &Table<'txn, u64, &'static [u8]>) -> Result<u64, redb::Error> {
    Ok(table.last()?.map_or(0, |(number, _)| number.value().saturating_add(1)))
}
