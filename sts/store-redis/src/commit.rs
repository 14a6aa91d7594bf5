//! Changes to the revocations and to the managed objects. Each change and the new sealed mark are written in one transaction.
//! It runs only if the mark is still the one that was read (WATCH).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, cmd};
use sts_types::UnixTime;

use super::batch::{Batch, Replies, command};
use super::error::RedisStoreError;
use super::mark::{ObjectsMark, SealedMark};
use super::object_registry::ObjectRow;
use super::registry::{Change, Verified, token_id};
use super::store_mark::StoreMark;
use super::stored_value::{StoredValue, found};
use super::{RedisLedger, forget_at};
use sts_store::backend::codec;
use sts_store::backend::live_until;
use sts_store::backend::rule_id;
use sts_store::{ObjectKey, Place};
use sts_store::{Revocation, RevocationScope, RuleId};

/// How often a change is tried again because another process was faster.
const ATTEMPTS: u32 = 50;
/// The most tokens that one transaction forgets.
const MOST_FORGOTTEN: usize = 1000;

/// What a change is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CommitKind {
    Revocations,
    /// Then the objects are known, too, before the change is planned.
    Objects,
}

/// What a transaction will write.
pub(super) struct PlannedWrite {
    pub(super) mark: SealedMark,
    pub(super) commands: Vec<Cmd>,
    changes: Vec<Change>,
    rules: BTreeMap<String, Vec<u8>>,
    pub(super) objects: Option<ObjectsWrite>,
    /// The size of the written values, where it matters.
    pub(super) octets: usize,
}

/// The objects that a transaction will write.
pub(super) struct ObjectsWrite {
    /// The mark before.
    pub(super) from: ObjectsMark,
    pub(super) rows: BTreeMap<ObjectKey, Option<ObjectRow>>,
}

impl PlannedWrite {
    /// Adds a change of a token to the log that other processes follow.
    fn log(&mut self, names: &super::Names, change: Change) {
        self.mark.changes = self.mark.changes.saturating_add(1);
        self.commands.push(command("RPUSH", &[names.revoked(), &change.to_text()]));
        self.changes.push(change);
    }
}

impl RedisLedger {
    /// Records a revocation. Returns only after the value is in Redis, in the sum and in memory.
    pub(super) async fn record_revocation(&self, revocation: Revocation) -> Result<Revocation, RedisStoreError> {
        match revocation.scope.clone() {
            RevocationScope::Token(jti) => {
                let id = self.names().id(&jti);
                let key = self.names().revocation(&id);
                let read = |batch: &mut Batch| {
                    batch.add(command("GET", &[&key]));
                };
                let plan = |verified: &Verified, replies: &mut Replies| {
                    let stored_value = found(replies)?;
                    if self.suffices(&id, &stored_value, &revocation) {
                        return Ok(None);
                    }
                    self.plan_token(verified, &id, &key, &revocation).map(|plan| Some((plan, revocation.clone())))
                };
                let recorded = self.commit(read, plan).await?.unwrap_or(revocation.clone());
                self.wait_for_replicas().await?;
                Ok(recorded)
            }
            RevocationScope::Rule(_) => {
                let plan = |verified: &Verified, _: &mut Replies| self.plan_rule(verified, &revocation).map(Some);
                let created = self.commit(|_| {}, plan).await?.ok_or(RedisStoreError::Form)?;
                self.wait_for_replicas().await?;
                Ok(created)
            }
        }
    }

    /// Removes a rule.
    pub(super) async fn take_back_rule(&self, id: &RuleId) -> Result<Option<Revocation>, RedisStoreError> {
        let plan = |verified: &Verified, _: &mut Replies| {
            let mut plan = self.plan_of(verified);
            let Some(stored) = plan.rules.remove(id.as_str()) else { return Ok(None) };
            let seal = &*self.inspector.seal;
            let rule: Revocation =
                codec::open(seal, Place::Rule, id.as_str().as_bytes(), &stored).map_err(|_| RedisStoreError::Form)?;
            if rule.until < self.clock().now() {
                return Ok(None);
            }
            plan.mark.remove_rule(seal, id.as_str(), &stored);
            plan.commands.push(command("HDEL", &[self.names().rules(), id.as_str()]));
            Ok(Some((plan, rule)))
        };
        let removed = self.commit(|_| {}, plan).await?;
        self.wait_for_replicas().await?;
        Ok(removed)
    }

    /// Forgets revoked tokens and rules that have expired. Returns whether there may be more.
    pub(super) async fn forget_revocations(&self, now: UnixTime) -> Result<bool, RedisStoreError> {
        let is_over = |until: i64| live_until(UnixTime::from_secs(until)) < now;
        let is_due = self.registry.read(|revoked| revoked.tokens.values().any(|until| is_over(*until)))
            || self.registry.rules_end_before(now);
        if !is_due {
            return Ok(false);
        }
        let plan = |verified: &Verified, _: &mut Replies| {
            let mut plan = self.plan_of(verified);
            let seal = &*self.inspector.seal;
            let mut over: Vec<([u8; 16], i64)> = self.registry.read(|revoked| {
                revoked.tokens.iter().filter(|(_, until)| is_over(**until)).map(|(id, until)| (*id, *until)).collect()
            });
            over.sort_unstable_by_key(|(_, until)| *until);
            let last = over.get(MOST_FORGOTTEN).or(over.last()).map(|(_, until)| *until);
            if let Some(last) = last {
                let before = last.saturating_add(1);
                let gone = over.iter().filter(|(_, until)| *until < before);
                gone.for_each(|(id, until)| plan.mark.remove_token(seal, id, *until));
                let range = [self.names().revocations(), "-inf", &format!("({before}")];
                plan.commands.push(command("ZREMRANGEBYSCORE", &range));
                plan.log(self.names(), Change::Swept(before));
            }
            let dead: Vec<(String, Vec<u8>)> = plan
                .rules
                .iter()
                .filter(|(id, stored)| {
                    codec::open::<Revocation>(seal, Place::Rule, id.as_bytes(), stored)
                        .is_ok_and(|rule| rule.until < now)
                })
                .map(|(id, stored)| (id.clone(), stored.clone()))
                .collect();
            for (id, stored) in dead {
                plan.mark.remove_rule(seal, &id, &stored);
                plan.commands.push(command("HDEL", &[self.names().rules(), &id]));
                plan.rules.remove(&id);
            }
            Ok((!plan.commands.is_empty()).then_some((plan, over.len() > MOST_FORGOTTEN)))
        };
        Ok(self.commit(|_| {}, plan).await?.unwrap_or(false))
    }

    // All tokens below `before` go, and no others. A tie at `last` therefore goes as a whole.
    pub(super) fn plan_of(&self, verified: &Verified) -> PlannedWrite {
        let rules = self.registry.read(|revoked| revoked.rules.clone());
        let mut mark = SealedMark::clone(&verified.mark);
        mark.sequence = mark.sequence.saturating_add(1);
        PlannedWrite { mark, commands: Vec::new(), changes: Vec::new(), rules, objects: None, octets: 0 }
    }

    fn plan_token(
        &self,
        verified: &Verified,
        id: &str,
        key: &str,
        revocation: &Revocation,
    ) -> Result<PlannedWrite, RedisStoreError> {
        let seal = &*self.inspector.seal;
        let octets = token_id(id).ok_or(RedisStoreError::Form)?;
        let mut plan = self.plan_of(verified);
        let previous = self.registry.read(|revoked| revoked.tokens.get(&octets).copied());
        if let Some(previous) = previous {
            plan.mark.remove_token(seal, &octets, previous);
        }
        let until = previous.unwrap_or(i64::MIN).max(revocation.until.as_secs());
        plan.mark.add_token(seal, &octets, until);
        let stored =
            codec::seal_value(seal, Place::Revocation, id.as_bytes(), revocation).map_err(|_| RedisStoreError::Form)?;
        let gone = forget_at(live_until(UnixTime::from_secs(until)));
        plan.commands.push(cmd("SET").arg(key).arg(stored).arg("PXAT").arg(gone).to_owned());
        plan.commands.push(cmd("ZADD").arg(self.names().revocations()).arg(until).arg(id).to_owned());
        plan.log(self.names(), Change::Token(octets, until));
        Ok(plan)
    }

    /// Making the same rule again replaces the earlier one, and keeps the later of both ends.
    fn plan_rule(&self, verified: &Verified, rule: &Revocation) -> Result<(PlannedWrite, Revocation), RedisStoreError> {
        let seal = &*self.inspector.seal;
        let mut plan = self.plan_of(verified);
        let mut rule = Revocation { id: rule_id(seal, rule), ..rule.clone() };
        let id = rule.id.as_ref().ok_or(RedisStoreError::Form)?.to_string();
        if let Some(stored) = plan.rules.remove(&id) {
            plan.mark.remove_rule(seal, &id, &stored);
            let before: Option<Revocation> = codec::open(seal, Place::Rule, id.as_bytes(), &stored).ok();
            rule.until = before.map_or(rule.until, |before| before.until.max(rule.until));
        }
        plan.mark.rules = plan.mark.rules.saturating_add(1);
        rule.order = Some(plan.mark.rules);
        let stored = codec::seal_value(seal, Place::Rule, id.as_bytes(), &rule).map_err(|_| RedisStoreError::Form)?;
        plan.mark.add_rule(seal, &id, &stored);
        plan.commands.push(cmd("HSET").arg(self.names().rules()).arg(&id).arg(&stored).to_owned());
        plan.rules.insert(id, stored);
        Ok((plan, rule))
    }

    async fn commit<T>(
        &self,
        read: impl Fn(&mut Batch),
        plan: impl Fn(&Verified, &mut Replies) -> Result<Option<(PlannedWrite, T)>, RedisStoreError>,
    ) -> Result<Option<T>, RedisStoreError> {
        self.commit_as(CommitKind::Revocations, read, plan).await
    }

    /// Runs `plan` on the current revocations and on the replies to what `read` adds, and carries
    /// it out. Starts over if another process was faster. The changes of one process run one after
    /// the other.
    pub(super) async fn commit_as<T>(
        &self,
        kind: CommitKind,
        read: impl Fn(&mut Batch),
        plan: impl Fn(&Verified, &mut Replies) -> Result<Option<(PlannedWrite, T)>, RedisStoreError>,
    ) -> Result<Option<T>, RedisStoreError> {
        let commit_guard = self.commits.lock().await;
        let mut done = None;
        for attempt in 0..ATTEMPTS {
            let (mark, mut replies) = self.watch(&read).await?;
            self.catch_up(&mark).await?;
            if kind == CommitKind::Objects {
                self.follow_objects(&mark.numbers).await?;
            }
            // Another process has changed the mark since the read.
            let is_current = |verified: &Arc<Verified>| {
                Some(&verified.sealed) == mark.sealed.as_ref()
                    && (kind == CommitKind::Revocations || self.objects.is_at(&verified.mark))
            };
            let Some(verified) = self.registry.verified().filter(is_current) else { continue };
            let Some((plan, outcome)) = plan(&verified, &mut replies)? else {
                done = Some(None);
                break;
            };
            match self.write(plan, &replies).await {
                Err(RedisStoreError::Conflict) => {
                    // A random pause, so that the processes do not collide again.
                    let mut random = [0; 1];
                    self.entropy.fill(&mut random);
                    let [random] = random;
                    tokio::time::sleep(Duration::from_micros(u64::from(random) * u64::from(attempt + 1) * 4)).await;
                }
                Err(error) => return Err(error),
                Ok(()) => {
                    done = Some(Some(outcome));
                    break;
                }
            }
        }
        drop(commit_guard);
        done.ok_or(RedisStoreError::Conflict)
    }

    async fn watch(&self, read: impl Fn(&mut Batch)) -> Result<(StoreMark, Replies), RedisStoreError> {
        let mut first = Batch::plain();
        let names = self.names();
        let watched =
            [names.mark(), names.rules(), names.revocations(), names.revoked(), names.objects(), names.object_log()];
        first.add(command("WATCH", &watched));
        let mut first = self.inspector.reading(first);
        // A transaction is not rolled back when one of its commands meets a key of the wrong type.
        // These reads find such a key first.
        first.add(command("HMGET", &[names.rules(), "any"]));
        first.add(command("ZCARD", &[names.revocations()]));
        first.add(command("LRANGE", &[names.revoked(), "-1", "-1"]));
        read(&mut first);
        self.guard().admits()?;
        let floor = self.guard().floor();
        let mut replies = self.commit_pool.run(first).await?;
        replies.value()?;
        let (mark, mut replies) = self.verify_mark(floor, replies)?;
        for _ in 0..3 {
            replies.value()?;
        }
        Ok((mark, replies))
    }

    async fn write(&self, plan: PlannedWrite, after: &Replies) -> Result<(), RedisStoreError> {
        let PlannedWrite { mark, commands, changes, rules, objects, octets } = plan;
        let sealed = mark.encode(&*self.inspector.seal)?;
        let mut commit = Batch::atomic();
        commit.add(cmd("HSET").arg(self.names().mark()).arg("sealed").arg(&sealed).to_owned());
        for command in commands {
            commit.add(command);
        }
        commit.allow_for(octets);
        self.commit_pool.run_after(after, commit).await?;
        let sequence = mark.sequence;
        let next = Verified { sealed, mark: Arc::new(mark) };
        if let Some(ObjectsWrite { from, rows }) = objects {
            self.objects.advance(&from, &next.mark, &rows);
        }
        self.registry.advance(&*self.inspector.seal, next, &changes, rules, self.clock().now());
        self.guard().raise(sequence);
        self.guard().save().await;
        Ok(())
    }

    /// Waits until enough replicas have everything that was written so far. It waits even if the
    /// change was there already: an earlier attempt may have failed for lack of replicas. It blocks
    /// no other change.
    pub(super) async fn wait_for_replicas(&self) -> Result<(), RedisStoreError> {
        let Some(replica_wait_pool) = &self.replica_wait_pool else { return Ok(()) };
        let millis = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX).max(1);
        // The connection may lead to a former primary, whose replicas acknowledge what is not the
        // change. Its mark tells.
        let floor = self.guard().floor();
        let mut batch = self.inspector.reading(Batch::plain());
        // WAIT covers the writes of its own connection only. This write comes after all others, so
        // a replica that has it has those, too.
        batch.add(command("SET", &[self.names().probe(), "1", "PX", "60000"]));
        batch.wait_for(self.wait_replicas, millis);
        let (_, mut replies) = self.verify_mark(floor, replica_wait_pool.run(batch).await?)?;
        replies.value().map(drop)
    }

    /// Whether the stored revocation suffices. The first revocation of a token stays, unless it
    /// cannot be read, is missing from the sum, or would be forgotten before the new one.
    fn suffices(&self, id: &str, existing: &StoredValue, revocation: &Revocation) -> bool {
        match existing {
            StoredValue::Bytes(existing) if self.registry.revokes(id) => {
                codec::open::<Revocation>(&*self.inspector.seal, Place::Revocation, id.as_bytes(), existing)
                    .is_ok_and(|existing| existing.until >= revocation.until)
            }
            StoredValue::Bytes(_) | StoredValue::Nothing | StoredValue::Foreign => false,
        }
    }
}
