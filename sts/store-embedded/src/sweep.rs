//! One step of the sweep, which forgets what has expired.

use redb::{ReadableTable, Table};
use sts_types::{Seal, StatusWindow, UnixTime};

use super::record_index::{IndexChange, Indexed};
use super::write::{Tables, WriteError};
use sts_store::Place;
use sts_store::Revocation;
use sts_store::backend::codec;
use sts_store::backend::live_until;

/// What one step of a sweep did.
pub(super) struct SweepStep {
    /// Records forgotten.
    pub(super) records: usize,
    /// Rows of any kind forgotten. Fewer than the limit if nothing is left.
    pub(super) rows: usize,
}

impl Tables<'_> {
    /// Forgets at most `limit` rows that ended before `now`.
    pub(super) fn sweep(&mut self, seal: &dyn Seal, now: UnixTime, limit: usize) -> Result<SweepStep, WriteError> {
        let now = now.as_secs();
        let records = self.sweep_records(now, limit)?;
        let mut rows = records;
        rows += self.sweep_claims(now, limit - rows)?;
        rows += self.sweep_revocations(seal, now, limit - rows)?;
        rows += self.sweep_rules(seal, now, limit - rows)?;
        rows += self.sweep_leases(now, limit - rows)?;
        Ok(SweepStep { records, rows })
    }

    fn sweep_records(&mut self, now: i64, limit: usize) -> Result<usize, WriteError> {
        for swept in 0..limit {
            let record_ends = self.record_ends.open()?;
            let first = first_before(record_ends, now, |(end, number)| (end, number))?;
            let Some((end, number)) = first else { return Ok(swept) };
            if let Some(names) = record_ends.remove((end, number))? {
                let (jti, account) = names.value();
                let indexed = Indexed { number, jti: jti.into(), account: account.into() };
                self.changed.records.push(IndexChange::Forgotten(indexed));
            }
            self.records.open()?.remove(number)?;
        }
        Ok(limit)
    }

    fn sweep_claims(&mut self, now: i64, limit: usize) -> Result<usize, WriteError> {
        for swept in 0..limit {
            let first = first_before(self.claim_ends.open()?, now, |(end, key)| (end, *key))?;
            let Some((end, key)) = first else { return Ok(swept) };
            self.claim_ends.open()?.remove((end, &key))?;
            self.claims.open()?.remove(&key)?;
            self.claim_uses.open()?.remove(&key)?;
        }
        Ok(limit)
    }

    fn sweep_revocations(&mut self, seal: &dyn Seal, now: i64, limit: usize) -> Result<usize, WriteError> {
        for swept in 0..limit {
            let first = first_before(self.revocation_ends.open()?, now, |(end, jti)| (end, jti.to_owned()))?;
            let Some((end, key)) = first else { return Ok(swept) };
            self.revocation_ends.open()?.remove((end, key.as_str()))?;
            let stored = self.revocations.open()?.get(key.as_str())?.map(|stored| stored.value().to_vec());
            if let Some(stored) = stored
                && is_dead(seal, Place::Revocation, key.as_bytes(), &stored, now)
            {
                self.take_out_revocation(seal, &key, &stored, None)?;
            }
        }
        Ok(limit)
    }

    fn sweep_rules(&mut self, seal: &dyn Seal, now: i64, limit: usize) -> Result<usize, WriteError> {
        for swept in 0..limit {
            let first = first_before(self.rule_ends.open()?, now, |(end, number)| (end, number))?;
            let Some((end, number)) = first else { return Ok(swept) };
            self.rule_ends.open()?.remove((end, number))?;
            let key = number.to_be_bytes();
            let stored = self.rules.open()?.get(number)?.map(|stored| stored.value().to_vec());
            if let Some(stored) = stored
                && is_dead(seal, Place::Rule, &key, &stored, now)
            {
                self.rules.open()?.remove(number)?;
                self.tally(seal)?.remove(seal, Place::Rule, &key, &stored);
                self.changed.rules = true;
            }
        }
        Ok(limit)
    }

    fn sweep_leases(&mut self, now: i64, limit: usize) -> Result<usize, WriteError> {
        for swept in 0..limit {
            let first = self.leases.open()?.first()?.map(|(window, _)| window.value());
            let is_dead = |window: &u64| live_until(StatusWindow::new(*window).end()).as_secs() < now;
            let Some(window) = first.filter(is_dead) else { return Ok(swept) };
            self.leases.open()?.remove(window)?;
        }
        Ok(limit)
    }
}

/// Whether the revocation itself says that it ended before `now`. The index by time is not sealed,
/// so it must not end a revocation early.
fn is_dead(seal: &dyn Seal, place: Place, key: &[u8], stored: &[u8], now: i64) -> bool {
    codec::open::<Revocation>(seal, place, key, stored).is_ok_and(|revocation| revocation.until.as_secs() < now)
}

/// The first key of a table that is ordered by end, if that end is before `now`.
fn first_before<K: redb::Key, V: redb::Value, T>(
    table: &Table<'_, K, V>,
    now: i64,
    split_key: impl for<'a> FnOnce(K::SelfType<'a>) -> (i64, T),
) -> Result<Option<(i64, T)>, redb::Error> {
    Ok(table.first()?.map(|(key, _)| split_key(key.value())).filter(|(end, _)| *end < now))
}
