//! Bringing the revocations in memory up to the mark in Redis, and looking whether Redis still has them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::RedisLedger;
use super::batch::{Batch, Replies, command};
use super::error::RedisStoreError;
use super::read::whole;
use super::registry::{Change, Revoked, Verified, token_id};
use super::rollback_guard::StoreMark;
use sts_store::backend::live_until;
use sts_store::{Alert, Fault, Place};
use sts_types::UnixTime;

/// How many changes the log keeps for the processes that have not seen them yet.
pub(super) const LOGGED: u64 = 10_000;
/// How many more are read than there were by the time of the last look.
const SLACK: u64 = 256;
/// Rows that one step of reading all asks for.
const STEP: &str = "1000";
/// How often reading all begins anew when more changes meanwhile than the log keeps.
const ATTEMPTS: usize = 3;
/// How long a Redis under suspicion is not read again.
const PAUSE: Duration = Duration::from_secs(1);
/// Revocations whose presence one look at readiness makes sure of.
const LOOKED_AT: usize = 512;

impl RedisLedger {
    /// Makes sure that the revocations in memory are those under `mark` or a later one, and that they add up.
    pub(super) async fn catch_up(&self, mark: &StoreMark) -> Result<(), RedisStoreError> {
        if self.registry.is_at(mark.sealed.as_deref()) {
            return Ok(());
        }
        // One reads for all who wait.
        let mut next_load = self.registry.loading.lock().await;
        if let Some(verified) = self.registry.verified().filter(|_| self.registry.is_sound()) {
            let (held, wanted) = (&verified.mark, &mark.numbers);
            if held.epoch == wanted.epoch
                && (held.sequence > wanted.sequence || Some(&verified.sealed) == mark.sealed.as_ref())
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

    /// Remembers that Redis has not the revocations that were made, and answers what it refuses with.
    pub(super) fn suspect(&self, place: Place, fault: Fault) -> RedisStoreError {
        let error = RedisStoreError::Doubt(
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

    /// Goes on by the log of changes; whether that added up.
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

    /// The mark of one moment, with the changes since there were `since` and the rules.
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
        let (mark, mut replies) = self.judged(floor, self.link.run(batch).await?)?;
        let log = replies.texts()?;
        let rules = read_rules(&mut replies)?;
        let missed = mark.numbers.changes.checked_sub(since).and_then(|missed| usize::try_from(missed).ok());
        let Some(log) = missed.and_then(|missed| log.get(log.len().checked_sub(missed)?..)) else { return Ok(None) };
        let changes: Option<Vec<Change>> = log.iter().map(|text| Change::parse(text)).collect();
        Ok(changes.map(|changes| (mark, changes, rules)))
    }

    /// Reads all revocations; whether they add up. What changes while they are read is made up for by the log.
    async fn load_all(&self) -> Result<bool, RedisStoreError> {
        for _ in 0..ATTEMPTS {
            let floor = self.guard().floor();
            let (began, _) = self.judged(floor, self.link.run(self.inspector.reading(Batch::plain())).await?)?;
            let mut fresh = Revoked::default();
            let mut cursor = "0".to_owned();
            loop {
                let mut batch = Batch::plain();
                batch.add(command("ZSCAN", &[self.names().revocations(), &cursor, "COUNT", STEP]));
                let (next, rows) = self.link.run(batch).await?.scan()?;
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

    /// Whether each revoked token that may live has its revocation: the sum does not cover it.
    async fn have_values(&self, fresh: &Revoked) -> Result<bool, RedisStoreError> {
        let now = self.clock().now();
        let live = fresh.tokens.iter().filter(|(_, until)| live_until(UnixTime::from_secs(**until)) >= now);
        let keys: Vec<String> = live.map(|(id, _)| self.names().revocation(&sts_types::hex(id))).collect();
        for some in keys.chunks(LOOKED_AT) {
            let mut batch = Batch::plain();
            batch.add(command("EXISTS", some));
            if usize::try_from(self.link.run(batch).await?.number()?) != Ok(some.len()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Looks whether Redis still has what is known: all rules, the number of revoked tokens, and some of their revocations, others
    /// each time.
    pub(super) async fn look_for_revocations(&self) -> Result<(), RedisStoreError> {
        let now = self.clock().now();
        let from = self.looked_at.fetch_add(LOOKED_AT, std::sync::atomic::Ordering::Relaxed);
        let sample: Vec<(String, i64)> = self.registry.read(|revoked| {
            let live = revoked.tokens.iter().filter(|(_, until)| live_until(UnixTime::from_secs(**until)) >= now);
            let all = live.map(|(id, until)| (sts_types::hex(id), *until));
            let count = revoked.tokens.len().max(1);
            all.skip(first_of_look(from, count)).take(LOOKED_AT).collect()
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

    /// Whether a token is revoked whose revocation Redis did not have: then somebody has deleted it.
    pub(super) async fn was_deleted(&self, id: &str) -> Result<bool, RedisStoreError> {
        if !self.registry.revokes(id) {
            return Ok(false);
        }
        // It may have been forgotten between two commands.
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

/// Where a look begins among `count` revocations: looks one after the other see all of them.
fn first_of_look(from: usize, count: usize) -> usize {
    if count > LOOKED_AT { from % count } else { 0 }
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
            for look in 0..=count.div_ceil(LOOKED_AT) {
                let first = first_of_look(look * LOOKED_AT, count);
                seen.extend((0..count).skip(first).take(LOOKED_AT));
            }
            assert_eq!(seen.len(), count);
        }
        assert_eq!(first_of_look(7, 512), 0, "all are seen at once");
    }
}
