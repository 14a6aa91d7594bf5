//! Brings the revocations in memory up to the mark in Redis, and checks that Redis still has them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::RedisLedger;
use super::batch::{Batch, Replies, command};
use super::error::RedisStoreError;
use super::registry::{Change, Revoked, Verified, token_id};
use super::store_mark::StoreMark;
use super::stored_value::whole;
use sts_store::backend::live_until;
use sts_store::{Alert, Fault, Place};
use sts_types::UnixTime;

/// How many changes the log keeps for processes that have not read them yet.
pub(super) const LOGGED: u64 = 10_000;
/// How many more log entries a read asks for, because changes may arrive between the last mark and
/// this read.
const SLACK: u64 = 256;
/// Rows per `ZSCAN` step.
const STEP: &str = "1000";
/// How often a full read starts over when more changes arrive meanwhile than the log keeps.
const ATTEMPTS: usize = 3;
/// How long to wait before reading a Redis again that failed its check.
const PAUSE: Duration = Duration::from_secs(1);
/// How many revocations one readiness check looks up.
const SAMPLE_SIZE: usize = 512;

impl RedisLedger {
    /// Brings the revocations in memory up to `mark` or a later one, and checks that they add up.
    /// Fails, too, while the managed objects do not add up.
    pub(super) async fn catch_up(&self, mark: &StoreMark) -> Result<(), RedisStoreError> {
        self.catch_up_revocations(mark).await?;
        self.recheck_objects().await
    }

    async fn catch_up_revocations(&self, mark: &StoreMark) -> Result<(), RedisStoreError> {
        if self.registry.is_at(mark.sealed.as_deref()) {
            return Ok(());
        }
        // One task reads for all that wait here.
        let mut next_load = self.registry.loading.lock().await;
        if let Some(verified) = self.registry.verified().filter(|_| self.registry.is_sound()) {
            let (current, wanted) = (&verified.mark, &mark.numbers);
            if current.epoch == wanted.epoch
                && (current.sequence > wanted.sequence || Some(&verified.sealed) == mark.sealed.as_ref())
            {
                return Ok(());
            }
            if self.follow_log(&verified, mark).await? {
                return Ok(());
            }
        }
        let now = self.clock().monotonic();
        if let Some(suspicion) = self.registry.suspicion()
            && now < *next_load
        {
            return Err(suspicion);
        }
        *next_load = now.saturating_add(PAUSE);
        if self.load_all().await? {
            tracing::debug!("the revocations in Redis add up");
            return Ok(());
        }
        Err(self.suspect(Place::Revocation, Fault::Missing))
    }

    /// Records that the revocations in Redis are not the ones that were made. Returns the error
    /// that callers get from now on.
    pub(super) fn suspect(&self, place: Place, fault: Fault) -> RedisStoreError {
        let error = RedisStoreError::Integrity(
            "the revocations in this Redis are not those that were made: some were deleted, put back or altered, so that what was \
             revoked may come back to life. Bring the right data back, or accept the loss with `sts store accept-epoch`"
                .into(),
        );
        if self.registry.suspect(error.clone()) {
            tracing::error!(error = %error, "the Redis store is not trusted: nothing is minted and no token is active");
            self.alerts.raise(Alert { place, fault });
        }
        error
    }

    /// Applies the log of changes. Returns whether the result adds up.
    async fn follow_log(&self, verified: &Verified, mark: &StoreMark) -> Result<bool, RedisStoreError> {
        let Some(missed) = mark.numbers.changes.checked_sub(verified.mark.changes).filter(|missed| *missed <= LOGGED)
        else {
            return Ok(false);
        };
        let Some((mark, changes, rules)) = self.read_log(verified.mark.changes, missed).await? else {
            return Ok(false);
        };
        let Some(sealed) = mark.sealed else { return Ok(false) };
        let next = Verified { sealed, mark: mark.numbers };
        Ok(self.registry.advance(&*self.inspector.seal, next, &changes, rules, self.clock().now()))
    }

    /// Reads the mark, the rules, and the changes after the first `since`, all at one moment.
    async fn read_log(
        &self,
        since: u64,
        missed: u64,
    ) -> Result<Option<(StoreMark, Vec<Change>, BTreeMap<String, Vec<u8>>)>, RedisStoreError> {
        let mut batch = self.inspector.reading(Batch::atomic());
        let from = format!("-{}", missed.saturating_add(SLACK));
        batch.add(command("LRANGE", &[self.names().revoked(), &from, "-1"]));
        batch.add(command("HGETALL", &[self.names().rules()]));
        let floor = self.guard().floor();
        let (mark, mut replies) = self.verify_mark(floor, self.pool.run(batch).await?)?;
        let log = replies.texts()?;
        let rules = read_rules(&mut replies)?;
        let missed = mark.numbers.changes.checked_sub(since).and_then(|missed| usize::try_from(missed).ok());
        let Some(log) = missed.and_then(|missed| log.get(log.len().checked_sub(missed)?..)) else { return Ok(None) };
        let changes: Option<Vec<Change>> = log.iter().map(|text| Change::parse(text)).collect();
        Ok(changes.map(|changes| (mark, changes, rules)))
    }

    /// Reads all revocations and returns whether they add up. The log supplies the changes that
    /// arrive during the scan.
    async fn load_all(&self) -> Result<bool, RedisStoreError> {
        for _ in 0..ATTEMPTS {
            let floor = self.guard().floor();
            let (began, _) = self.verify_mark(floor, self.pool.run(self.inspector.reading(Batch::plain())).await?)?;
            let mut fresh = Revoked::default();
            let mut cursor = "0".to_owned();
            loop {
                let mut batch = Batch::plain();
                batch.add(command("ZSCAN", &[self.names().revocations(), &cursor, "COUNT", STEP]));
                let (next, rows) = self.pool.run(batch).await?.scan()?;
                for row in rows.chunks_exact(2) {
                    let [id, until] = row else { return Err(RedisStoreError::Form) };
                    let Some(id) = token_id(id) else { return Ok(false) };
                    fresh.tokens.insert(id, whole(until)?);
                }
                if next == "0" {
                    break;
                }
                cursor = next;
            }
            if let Some((mark, changes, rules)) = self.read_log(began.numbers.changes, SLACK).await? {
                fresh.apply(&changes, rules);
                let Some(sealed) = mark.sealed else { return Ok(false) };
                if !self.have_values(&fresh).await? {
                    return Ok(false);
                }
                let next = Verified { sealed, mark: mark.numbers };
                return Ok(self.registry.replace(&*self.inspector.seal, next, fresh, self.clock().now()));
            }
        }
        Ok(false)
    }

    /// Whether every revoked token that may still live has its revocation value. The sum does not
    /// cover these values.
    async fn have_values(&self, fresh: &Revoked) -> Result<bool, RedisStoreError> {
        let now = self.clock().now();
        let live = fresh.tokens.iter().filter(|(_, until)| live_until(UnixTime::from_secs(**until)) >= now);
        let keys: Vec<String> = live.map(|(id, _)| self.names().revocation(&sts_types::hex(id))).collect();
        for some in keys.chunks(SAMPLE_SIZE) {
            let mut batch = Batch::plain();
            batch.add(command("EXISTS", some));
            if usize::try_from(self.pool.run(batch).await?.number()?) != Ok(some.len()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Checks that Redis still has what we know: all rules, the number of revoked tokens, and a
    /// sample of their revocations. Each call takes another sample.
    pub(super) async fn sample_revocations(&self) -> Result<(), RedisStoreError> {
        let now = self.clock().now();
        let from = self.next_sample.fetch_add(SAMPLE_SIZE, std::sync::atomic::Ordering::Relaxed);
        let sample: Vec<(String, i64)> = self.registry.read(|revoked| {
            let live = revoked.tokens.iter().filter(|(_, until)| live_until(UnixTime::from_secs(**until)) >= now);
            let all = live.map(|(id, until)| (sts_types::hex(id), *until));
            let count = revoked.tokens.len().max(1);
            all.skip(sample_start(from, count)).take(SAMPLE_SIZE).collect()
        });
        let mut batch = self.inspector.reading(Batch::atomic());
        batch.add(command("ZCARD", &[self.names().revocations()]));
        batch.add(command("HGETALL", &[self.names().rules()]));
        if !sample.is_empty() {
            let mut scores = redis::cmd("ZMSCORE");
            scores.arg(self.names().revocations()).arg(sample.iter().map(|(id, _)| id).collect::<Vec<_>>());
            let keys: Vec<String> = sample.iter().map(|(id, _)| self.names().revocation(id)).collect();
            batch.add(scores).add(command("EXISTS", &keys));
        }
        let (mark, mut replies) = self.guarded(batch).await?;
        let tokens = usize::try_from(replies.number()?).unwrap_or(0);
        let rules = read_rules(&mut replies)?;
        let (scores, there) = if sample.is_empty() { (Vec::new(), 0) } else { (replies.list()?, replies.number()?) };
        let is_score = |score: &Option<Vec<u8>>, until: i64| {
            score.as_ref().is_some_and(|score| whole(&String::from_utf8_lossy(score)) == Ok(until))
        };
        let all_there = scores.len() == sample.len()
            && scores.iter().zip(&sample).all(|(score, (_, until))| is_score(score, *until))
            && usize::try_from(there) == Ok(sample.len());
        let Some(sealed) = mark.sealed else { return Ok(()) };
        let is_there = self.registry.read_at(&sealed, |revoked| {
            if revoked.rules != rules {
                return Err(Place::Rule);
            }
            if revoked.tokens.len() != tokens || !all_there {
                return Err(Place::Revocation);
            }
            Ok(())
        });
        match is_there {
            Some(Err(place)) => Err(self.suspect(place, Fault::Missing)),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// Whether somebody deleted the revocation of a token that we know to be revoked.
    pub(super) async fn was_deleted(&self, id: &str) -> Result<bool, RedisStoreError> {
        if !self.registry.revokes(id) {
            return Ok(false);
        }
        // A sweep may have removed it between two commands. Read again in one transaction.
        let mut batch = self.inspector.reading(Batch::atomic());
        batch.add(command("EXISTS", &[self.names().revocation(id)]));
        let (mark, mut replies) = self.guarded(batch).await?;
        let is_there = replies.number()? > 0;
        let is_known = mark.sealed.and_then(|sealed| {
            self.registry.read_at(&sealed, |revoked| token_id(id).is_some_and(|id| revoked.tokens.contains_key(&id)))
        });
        if !is_there && is_known == Some(true) {
            return Err(self.suspect(Place::Revocation, Fault::Missing));
        }
        Ok(is_there)
    }
}

/// Where a sample begins among `count` revocations. Successive samples cover all of them.
fn sample_start(from: usize, count: usize) -> usize {
    if count > SAMPLE_SIZE { from % count } else { 0 }
}

/// The reply to `HGETALL` of the rules.
pub(super) fn read_rules(replies: &mut Replies) -> Result<BTreeMap<String, Vec<u8>>, RedisStoreError> {
    let flat: Vec<Option<Vec<u8>>> = replies.list()?;
    let mut rules = BTreeMap::new();
    for pair in flat.chunks_exact(2) {
        let [Some(id), Some(stored)] = pair else { return Err(RedisStoreError::Form) };
        rules.insert(String::from_utf8(id.clone()).map_err(|_| RedisStoreError::Form)?, stored.clone());
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_one_after_the_other_see_every_revocation() {
        for count in [1_usize, 511, 512, 513, 600, 1000, 1024, 5000] {
            let mut seen = std::collections::BTreeSet::new();
            for look in 0..=count.div_ceil(SAMPLE_SIZE) {
                let first = sample_start(look * SAMPLE_SIZE, count);
                seen.extend((0..count).skip(first).take(SAMPLE_SIZE));
            }
            assert_eq!(seen.len(), count);
        }
        assert_eq!(sample_start(7, 512), 0, "all are seen at once");
    }
}
