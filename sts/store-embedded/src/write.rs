//! What is done to the tables within one transaction: issue, revoke, sweep. Each either writes all of its rows or none.

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

/// Who made a revocation in place of one that could not be read.
const ACCEPTANCE: &str = "sts store accept-epoch";

/// Why one request of a batch was not carried out.
#[derive(Debug)]
pub(super) enum WriteError {
    /// This request is refused and wrote nothing; the others of its batch go on.
    Refused(LedgerError),
    /// The engine failed: the whole batch is lost.
    Engine(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for WriteError {
    fn from(error: E) -> Self {
        Self::Engine(error.into())
    }
}

/// A record with its payload, encoded before the writer thread sees it.
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
    /// Opened by the first claim: most exchanges take none.
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

/// What a transaction did to the revocations.
#[derive(Default)]
pub(super) struct Changed {
    /// Whether a rule was written or forgotten.
    pub(super) rules: bool,
    /// What all revocations come to, if any was written or forgotten.
    pub(super) tally: Option<Tally>,
    /// Whether an operator has accepted the store as it is.
    pub(super) accepted: bool,
}

impl<'txn> Tables<'txn> {
    /// Opens every table, making those that are not there.
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

    /// Writes what the revocations come to, and answers what changed.
    pub(super) fn finish(mut self, seal: &dyn Seal) -> Result<Changed, redb::Error> {
        if let Some(tally) = &self.changed.tally {
            self.tallies.insert(TALLY, tally.encode(seal)?.as_slice())?;
        }
        Ok(self.changed)
    }

    /// Marks a new file with the schema.
    pub(super) fn mark_schema(&mut self) -> Result<(), redb::Error> {
        self.meta.insert(SCHEMA, SCHEMA_VERSION)?;
        Ok(())
    }

    /// Takes the claims, when all are free, and records the token.
    pub(super) fn issue(
        &mut self,
        engine: &DatabaseHandle,
        mut record: Encoded<TokenRecord>,
        claims: &[ReplayClaim],
    ) -> Result<Issued, WriteError> {
        let (seal, now) = (&*engine.seal, engine.clock.now());
        let preceding = self.changed.tally.as_ref().map_or_else(|| engine.rules_made(), Tally::rules);
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
                let earlier_use = self.use_of(engine, &claim.key.0, until)?;
                return Ok(Issued::Replayed(TakenClaim { key: claim.key, earlier_use }));
            }
        }
        for claim in claims {
            self.take(seal, claim, &EarlierUse::of(&record.value))?;
        }
        let number = next_number(&self.records)?;
        let stored = codec::seal(seal, Place::Record, &number.to_be_bytes(), &record.payload);
        self.records.insert(number, stored.as_slice())?;
        self.by_jti.insert(jti.as_str(), number)?;
        self.by_account.insert((account.as_str(), number), ())?;
        self.record_ends.insert((live_until(*exp).as_secs(), number), (jti.as_str(), account.as_str()))?;
        Ok(Issued::Recorded)
    }

    /// Until when the claim is taken, if it is. One whose time has passed may be taken anew.
    fn taken_until(&self, key: &[u8; 32], now: UnixTime) -> Result<Option<i64>, redb::Error> {
        let until = self.claims.get(key)?.map(|until| until.value());
        Ok(until.filter(|until| UnixTime::from_secs(*until) >= now))
    }

    /// Takes a claim that is free.
    fn take(&mut self, seal: &dyn Seal, claim: &ReplayClaim, by: &EarlierUse) -> Result<(), WriteError> {
        let (key, until) = (&claim.key.0, claim.until.as_secs());
        let passed = self.claims.insert(key, until)?.map(|passed| passed.value());
        if let Some(passed) = passed {
            self.claim_ends.remove((passed, key))?;
        }
        self.claim_ends.insert((until, key), ())?;
        let stored = codec::seal_value(seal, Place::Claim, key, &(until, by)).map_err(|_| not_encoded());
        self.claim_uses()?.insert(key, stored.map_err(WriteError::Refused)?.as_slice())?;
        Ok(())
    }

    /// The exchange that took the claim which is taken until then.
    fn use_of(
        &mut self,
        engine: &DatabaseHandle,
        key: &[u8; 32],
        until: i64,
    ) -> Result<Option<EarlierUse>, redb::Error> {
        Ok(self.claim_uses()?.get(key)?.and_then(|stored| engine.check().use_told_by(key, until, stored.value())))
    }

    fn claim_uses(&mut self) -> Result<&mut ClaimUses<'txn>, redb::Error> {
        let open = match self.claim_uses.take() {
            Some(open) => open,
            None => self.transaction.open_table(CLAIM_USES)?,
        };
        Ok(self.claim_uses.insert(open))
    }

    /// Records a revocation. The first of a token stands, unless it would be forgotten earlier than the new one.
    pub(super) fn revoke(
        &mut self,
        seal: &dyn Seal,
        revocation: Revocation,
        now: UnixTime,
    ) -> Result<Revocation, WriteError> {
        let RevocationScope::Token(jti) = &revocation.scope else { return self.make_rule(seal, revocation, now) };
        let held = self.revocations.get(jti.as_str())?.map(|stored| stored.value().to_vec());
        if let Some(stored) = held {
            let held: Option<Revocation> = codec::open(seal, Place::Revocation, jti.as_str().as_bytes(), &stored).ok();
            match held {
                Some(held) if held.until >= revocation.until => return Ok(held),
                held => self.take_out_revocation(seal, jti.as_str(), &stored, held.map(|held| held.until))?,
            }
        }
        let Encoded { value, payload } = Encoded::new(revocation.clone()).map_err(WriteError::Refused)?;
        self.put_in_revocation(seal, jti, value.until, &payload)?;
        self.tally(seal)?.count(seal, now);
        Ok(value)
    }

    /// Records a rule, in place of itself when it is made again.
    fn make_rule(&mut self, seal: &dyn Seal, mut rule: Revocation, now: UnixTime) -> Result<Revocation, WriteError> {
        rule.id = rule_id(seal, &rule);
        if let Some(held) = self.find_rule(seal, rule.id.as_ref())? {
            rule.until = rule.until.max(held.value.until);
            self.take_out_rule(seal, &held)?;
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

    /// Takes a rule back that is in force.
    pub(super) fn undo_rule(
        &mut self,
        seal: &dyn Seal,
        id: &RuleId,
        now: UnixTime,
    ) -> Result<Option<Revocation>, WriteError> {
        let held = self.find_rule(seal, Some(id))?.filter(|held| held.value.until >= now);
        let Some(held) = held else { return Ok(None) };
        self.take_out_rule(seal, &held)?;
        self.tally(seal)?.count(seal, now);
        Ok(Some(held.value))
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

    fn take_out_rule(&mut self, seal: &dyn Seal, held: &HeldRule) -> Result<(), WriteError> {
        self.rules.remove(held.number)?;
        self.rule_ends.remove((held.value.until.as_secs(), held.number))?;
        self.tally(seal)?.remove(seal, Place::Rule, &held.number.to_be_bytes(), &held.stored);
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

    /// What the revocations come to so far, to be changed.
    fn tally(&mut self, seal: &dyn Seal) -> Result<&mut Tally, WriteError> {
        if self.changed.tally.is_none() {
            let stored = self.tallies.get(TALLY)?.map(|stored| stored.value().to_vec());
            // It could be read when the store was opened; somebody writes to the file beside us.
            let unreadable = |_| LedgerError::Unavailable("the tally of the revocations cannot be read".into());
            let tally = Tally::decode(seal, stored.as_deref()).map_err(unreadable).map_err(WriteError::Refused)?;
            self.changed.tally = Some(tally);
        }
        Ok(self.changed.tally.get_or_insert_default())
    }

    /// Takes the revocations that can be read for all there are, and begins an epoch with them. What was a token's revocation and
    /// cannot be read still revokes that token; a rule that cannot be read is forgotten. Answers how many were.
    pub(super) fn accept(
        &mut self,
        seal: &dyn Seal,
        seen: Option<&Watermark>,
        now: UnixTime,
    ) -> Result<usize, WriteError> {
        let stored = self.tallies.get(TALLY)?.map(|stored| stored.value().to_vec());
        let there = Tally::decode(seal, stored.as_deref()).unwrap_or_default();
        self.changed = Changed { rules: true, tally: Some(Tally::succeeding(seal, seen, &there, now)), accepted: true };

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
            let again = Encoded::new(Revocation::in_place_of_a_broken_one(jti.clone(), now, ACCEPTANCE))
                .map_err(WriteError::Refused)?;
            self.put_in_revocation(seal, &jti, again.value.until, &again.payload)?;
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

    /// Forgets at most `most` rows whose time passed before `now`.
    pub(super) fn sweep(&mut self, seal: &dyn Seal, now: UnixTime, most: usize) -> Result<SweepStep, WriteError> {
        let mut swept = SweepStep { records: 0, rows: 0 };
        let now = now.as_secs();
        while swept.rows < most {
            let Some((end, number)) = first_before(&self.record_ends, now, |(end, number)| (end, number))? else {
                break;
            };
            if let Some(names) = self.record_ends.remove((end, number))? {
                let (jti, account) = names.value();
                self.by_jti.remove(jti)?;
                self.by_account.remove((account, number))?;
            }
            self.records.remove(number)?;
            swept.records += 1;
            swept.rows += 1;
        }
        while swept.rows < most {
            let Some((end, key)) = first_before(&self.claim_ends, now, |(end, key)| (end, *key))? else { break };
            self.claim_ends.remove((end, &key))?;
            self.claims.remove(&key)?;
            self.claim_uses()?.remove(&key)?;
            swept.rows += 1;
        }
        while swept.rows < most {
            let first = first_before(&self.revocation_ends, now, |(end, jti)| (end, jti.to_owned()))?;
            let Some((end, key)) = first else { break };
            self.revocation_ends.remove((end, key.as_str()))?;
            swept.rows += 1;
            let stored = self.revocations.get(key.as_str())?.map(|stored| stored.value().to_vec());
            if let Some(stored) = stored
                && is_dead(seal, Place::Revocation, key.as_bytes(), &stored, now)
            {
                self.take_out_revocation(seal, &key, &stored, None)?;
            }
        }
        while swept.rows < most {
            let Some((end, number)) = first_before(&self.rule_ends, now, |(end, number)| (end, number))? else { break };
            self.rule_ends.remove((end, number))?;
            swept.rows += 1;
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
        while swept.rows < most {
            let first = self.leases.first()?.map(|(window, _)| window.value());
            let is_dead = |window: &u64| live_until(StatusWindow::new(*window).end()).as_secs() < now;
            let Some(window) = first.filter(is_dead) else { break };
            self.leases.remove(window)?;
            swept.rows += 1;
        }
        Ok(swept)
    }

    /// Takes `count` indexes of `window`, and answers the first.
    pub(super) fn lease(&mut self, window: StatusWindow, count: u32) -> Result<u64, WriteError> {
        let first = self.leases.get(window.number())?.map_or(0, |taken| taken.value());
        let full = || WriteError::Refused(LedgerError::Unavailable("the status lists of an hour are full".into()));
        let taken = first.checked_add(u64::from(count)).ok_or_else(full)?;
        self.leases.insert(window.number(), taken)?;
        Ok(first)
    }

    /// Writes a row for no other purpose than to learn whether the store takes writes.
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
    /// Rows of any kind forgotten; fewer than asked for when nothing is left.
    pub(super) rows: usize,
}

/// Whether a revocation says itself that its time passed before `now`: the index by time is not sealed, and must not end one early.
fn is_dead(seal: &dyn Seal, place: Place, key: &[u8], stored: &[u8], now: i64) -> bool {
    codec::open::<Revocation>(seal, place, key, stored).is_ok_and(|revocation| revocation.until.as_secs() < now)
}

fn next_number<'txn>(table: &Table<'txn, u64, &'static [u8]>) -> Result<u64, redb::Error> {
    Ok(table.last()?.map_or(0, |(number, _)| number.value().saturating_add(1)))
}

/// The first key of a table ordered by end, when that end is before `now`.
fn first_before<K: redb::Key, V: redb::Value, T>(
    table: &Table<'_, K, V>,
    now: i64,
    own: impl for<'a> FnOnce(K::SelfType<'a>) -> (i64, T),
) -> Result<Option<(i64, T)>, redb::Error> {
    Ok(table.first()?.map(|(key, _)| own(key.value())).filter(|(end, _)| *end < now))
}
