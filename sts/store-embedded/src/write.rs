//! The writes within one transaction: issue, revoke, sweep. Each writes all of its rows or none.

use redb::{ReadableTable, Table, WriteTransaction};
use sts_types::{Jti, ReplayClaim, Seal, StatusWindow, UnixTime};

use super::engine::DatabaseHandle;
use super::tables::{
    BY_ACCOUNT, BY_JTI, CLAIM_ENDS, CLAIM_USES, CLAIMS, LEASES, META, PROBE, RECORD_ENDS, RECORDS, REFUSALS,
    REFUSALS_BY_TIME, REVOCATION_ENDS, REVOCATIONS, RULE_ENDS, RULES, SCHEMA, SCHEMA_VERSION, TALLIES, TALLY,
};
use super::tally::Tally;
use sts_store::LedgerError;
use sts_store::Place;
use sts_store::backend::Watermark;
use sts_store::backend::codec;
use sts_store::backend::live_until;
use sts_store::backend::{rule_id, with_id};
use sts_store::{EarlierUse, Issued, Revocation, RevocationScope, RuleId, TakenClaim, TokenRecord};

/// The author of a revocation that replaces an unreadable one.
const ACCEPTANCE: &str = "sts store accept-epoch";

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

fn not_encoded() -> LedgerError {
    LedgerError::Unavailable("a value of the ledger cannot be encoded".into())
}

/// Every table, open in one transaction.
pub(super) struct Tables<'txn> {
    meta: Table<'txn, &'static str, u64>,
    records: Table<'txn, u64, &'static [u8]>,
    by_jti: Table<'txn, &'static str, u64>,
    by_account: Table<'txn, (&'static str, u64), ()>,
    record_ends: Table<'txn, (i64, u64), (&'static str, &'static str)>,
    claims: Table<'txn, &'static [u8; 32], i64>,
    claim_ends: Table<'txn, (i64, &'static [u8; 32]), ()>,
    /// Opened by the first claim. Most exchanges take none.
    claim_uses: Option<ClaimUses<'txn>>,
    transaction: &'txn WriteTransaction,
    revocations: Table<'txn, &'static str, &'static [u8]>,
    revocation_ends: Table<'txn, (i64, &'static str), ()>,
    rules: Table<'txn, u64, &'static [u8]>,
    rule_ends: Table<'txn, (i64, u64), ()>,
    tallies: Table<'txn, &'static str, &'static [u8]>,
    leases: Table<'txn, u64, u64>,
    pub(super) refusals: Table<'txn, &'static str, &'static [u8]>,
    pub(super) refusals_by_time: Table<'txn, (u64, &'static str), &'static str>,
    changed: Changed,
}

/// Which exchange took each claim.
type ClaimUses<'txn> = Table<'txn, &'static [u8; 32], &'static [u8]>;

/// What a transaction changed about the revocations.
#[derive(Default)]
pub(super) struct Changed {
    /// Whether a rule was written or forgotten.
    pub(super) rules: bool,
    /// The new tally, if any revocation was written or forgotten.
    pub(super) tally: Option<Tally>,
    /// Whether an operator has accepted the store as it is.
    pub(super) accepted: bool,
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

    /// Writes the tally and returns the changes.
    pub(super) fn finish(mut self, seal: &dyn Seal) -> Result<Changed, redb::Error> {
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

    fn claim_uses(&mut self) -> Result<&mut ClaimUses<'txn>, redb::Error> {
        let table = match self.claim_uses.take() {
            Some(table) => table,
            None => self.transaction.open_table(CLAIM_USES)?,
        };
        Ok(self.claim_uses.insert(table))
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

    fn put_in_revocation(
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

    fn take_out_revocation(
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
    fn tally(&mut self, seal: &dyn Seal) -> Result<&mut Tally, WriteError> {
        if self.changed.tally.is_none() {
            let stored = self.tallies.get(TALLY)?.map(|stored| stored.value().to_vec());
            // It was readable when the store was opened, so another process has written to the
            // file.
            let unreadable = |_| LedgerError::Unavailable("the tally of the revocations cannot be read".into());
            let tally = Tally::decode(seal, stored.as_deref()).map_err(unreadable).map_err(WriteError::Refused)?;
            self.changed.tally = Some(tally);
        }
        Ok(self.changed.tally.get_or_insert_default())
    }

    /// Accepts the readable revocations as the complete set, and begins an epoch with them. A token
    /// whose revocation cannot be read stays revoked. A rule that cannot be read is forgotten.
    /// Returns how many were.
    pub(super) fn accept(
        &mut self,
        seal: &dyn Seal,
        seen: Option<&Watermark>,
        now: UnixTime,
    ) -> Result<usize, WriteError> {
        let stored = self.tallies.get(TALLY)?.map(|stored| stored.value().to_vec());
        let stored_tally = Tally::decode(seal, stored.as_deref()).unwrap_or_default();
        self.changed =
            Changed { rules: true, tally: Some(Tally::succeeding(seal, seen, &stored_tally, now)), accepted: true };

        let mut broken = Vec::new();
        let rows: Vec<(String, Vec<u8>)> = self
            .revocations
            .iter()?
            .map(|row| row.map(|(key, stored)| (key.value().to_owned(), stored.value().to_vec())))
            .collect::<Result<_, _>>()?;
        for (key, stored) in rows {
            if codec::open::<Revocation>(seal, Place::Revocation, key.as_bytes(), &stored).is_ok() {
                self.tally(seal)?.add(seal, Place::Revocation, key.as_bytes(), &stored);
            } else {
                self.revocations.remove(key.as_str())?;
                broken.extend(Jti::new(&key));
            }
        }
        for jti in broken {
            let replacement = Encoded::new(Revocation::in_place_of_a_broken_one(jti.clone(), now, ACCEPTANCE))
                .map_err(WriteError::Refused)?;
            self.put_in_revocation(seal, &jti, replacement.value.until, &replacement.payload)?;
        }

        let mut lost = Vec::new();
        for row in self.rules.iter()? {
            let (number, stored) = row?;
            let key = number.value().to_be_bytes();
            if codec::open::<Revocation>(seal, Place::Rule, &key, stored.value()).is_ok() {
                if let Some(tally) = &mut self.changed.tally {
                    tally.add(seal, Place::Rule, &key, stored.value());
                }
            } else {
                lost.push(number.value());
            }
        }
        for number in &lost {
            self.rules.remove(number)?;
        }
        Ok(lost.len())
    }

    /// Forgets at most `limit` rows that ended before `now`.
    pub(super) fn sweep(&mut self, seal: &dyn Seal, now: UnixTime, limit: usize) -> Result<SweepStep, WriteError> {
        let mut step = SweepStep { records: 0, rows: 0 };
        let now = now.as_secs();
        while step.rows < limit {
            let Some((end, number)) = first_before(&self.record_ends, now, |(end, number)| (end, number))? else {
                break;
            };
            if let Some(names) = self.record_ends.remove((end, number))? {
                let (jti, account) = names.value();
                self.by_jti.remove(jti)?;
                self.by_account.remove((account, number))?;
            }
            self.records.remove(number)?;
            step.records += 1;
            step.rows += 1;
        }
        while step.rows < limit {
            let Some((end, key)) = first_before(&self.claim_ends, now, |(end, key)| (end, *key))? else { break };
            self.claim_ends.remove((end, &key))?;
            self.claims.remove(&key)?;
            self.claim_uses()?.remove(&key)?;
            step.rows += 1;
        }
        while step.rows < limit {
            let first = first_before(&self.revocation_ends, now, |(end, jti)| (end, jti.to_owned()))?;
            let Some((end, key)) = first else { break };
            self.revocation_ends.remove((end, key.as_str()))?;
            step.rows += 1;
            let stored = self.revocations.get(key.as_str())?.map(|stored| stored.value().to_vec());
            if let Some(stored) = stored
                && is_dead(seal, Place::Revocation, key.as_bytes(), &stored, now)
            {
                self.take_out_revocation(seal, &key, &stored, None)?;
            }
        }
        while step.rows < limit {
            let Some((end, number)) = first_before(&self.rule_ends, now, |(end, number)| (end, number))? else { break };
            self.rule_ends.remove((end, number))?;
            step.rows += 1;
            let key = number.to_be_bytes();
            let stored = self.rules.get(number)?.map(|stored| stored.value().to_vec());
            if let Some(stored) = stored
                && is_dead(seal, Place::Rule, &key, &stored, now)
            {
                self.rules.remove(number)?;
                self.tally(seal)?.remove(seal, Place::Rule, &key, &stored);
                self.changed.rules = true;
            }
        }
        while step.rows < limit {
            let first = self.leases.first()?.map(|(window, _)| window.value());
            let is_dead = |window: &u64| live_until(StatusWindow::new(*window).end()).as_secs() < now;
            let Some(window) = first.filter(is_dead) else { break };
            self.leases.remove(window)?;
            step.rows += 1;
        }
        Ok(step)
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

/// What one step of a sweep did.
pub(super) struct SweepStep {
    /// Records forgotten.
    pub(super) records: usize,
    /// Rows of any kind forgotten. Fewer than the limit if nothing is left.
    pub(super) rows: usize,
}

/// Whether the revocation itself says that it ended before `now`. The index by time is not sealed,
/// so it must not end a revocation early.
fn is_dead(seal: &dyn Seal, place: Place, key: &[u8], stored: &[u8], now: i64) -> bool {
    codec::open::<Revocation>(seal, place, key, stored).is_ok_and(|revocation| revocation.until.as_secs() < now)
}

fn next_number<'txn>(table: &Table<'txn, u64, &'static [u8]>) -> Result<u64, redb::Error> {
    Ok(table.last()?.map_or(0, |(number, _)| number.value().saturating_add(1)))
}

/// The first key of a table that is ordered by end, if that end is before `now`.
fn first_before<K: redb::Key, V: redb::Value, T>(
    table: &Table<'_, K, V>,
    now: i64,
    split_key: impl for<'a> FnOnce(K::SelfType<'a>) -> (i64, T),
) -> Result<Option<(i64, T)>, redb::Error> {
    Ok(table.first()?.map(|(key, _)| split_key(key.value())).filter(|(end, _)| *end < now))
}
