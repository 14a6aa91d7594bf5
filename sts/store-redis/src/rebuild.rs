//! Rebuilds the sealed mark from what Redis holds, when an operator accepts a loss or when the
//! store of an earlier version is taken over.

use std::collections::BTreeSet;

use redis::aio::MultiplexedConnection;
use redis::{Value, cmd};
use sts_types::{Jti, TokenRecord, UnixTime};

use super::batch::{Batch, Replies, command};
use super::error::RedisStoreError;
use super::forget_at;
use super::inspector::Inspector;
use super::lineage::Lineage;
use super::mark::SealedMark;
use super::registry::token_id;
use super::store_mark::StoreMark;
use super::stored_value::{StoredValue, found, whole};
use sts_store::Place;
use sts_store::backend::codec;
use sts_store::backend::live_until;
use sts_store::backend::with_id;
use sts_store::{Revocation, RevocationScope};

/// The key that rules of an earlier version are sealed for. Its list had no ids.
const RULE_KEY: &[u8] = b"rule";
/// Ids per round trip.
const STEP: usize = 100;
/// The author of a revocation that replaces a lost one.
const ACCEPTANCE: &str = "sts store accept-epoch";

impl Inspector {
    /// Begins `epoch` with all revocations and objects that Redis holds, over a connection that nobody else
    /// uses. A token that is listed as revoked stays revoked even if its revocation cannot be read.
    /// Fails with a conflict if `known`, which `epoch` follows, is not the mark in Redis any more.
    pub(super) async fn rebuild(
        &self,
        connection: &mut MultiplexedConnection,
        known: &StoreMark,
        epoch: Vec<u8>,
        mut mark: SealedMark,
    ) -> Result<StoreMark, RedisStoreError> {
        let mut batch = Batch::plain();
        batch.add(command("WATCH", &[self.names.mark()]));
        let mut batch = self.reading(batch);
        batch.add(command("HGETALL", &[self.names.rules()]));
        batch.add(command("LRANGE", &[self.names.rules(), "0", "-1"]));
        let mut replies = Replies::from(self.send(connection, batch).await?);
        replies.value()?;
        if !StoreMark::read(&mut replies)?.is_stored_as(known) {
            return Err(RedisStoreError::Conflict);
        }
        let rules = self.read_stored_rules(&mut replies);
        let tokens = self.read_revoked_tokens(connection, &self.guard.lineage_of(&epoch)?).await?;

        let mut commit = Batch::atomic();
        self.accept_rules(rules, &mut mark, &mut commit)?;
        self.accept_tokens(&tokens, &mut mark, &mut commit)?;
        let objects = self.read_stored_objects(connection).await?;
        // No revision that is there may be given out again.
        let newest = objects.rows.iter().map(|row| row.revision).max().unwrap_or(0);
        mark.sequence = mark.sequence.max(newest).saturating_add(1);
        self.accept_objects(objects, &mut mark, &mut commit);
        let sealed = mark.encode(&*self.seal)?;
        // The log of an earlier version has another format.
        commit.add(command("DEL", &[self.names.revoked()]));
        // The mark of an earlier version has other fields, and another program may have put
        // something else in its place.
        commit.add(command("DEL", &[self.names.mark()]));
        let mut set = cmd("HSET");
        set.arg(self.names.mark()).arg("epoch").arg(&epoch).arg("sealed").arg(&sealed);
        commit.add(set);
        self.send(connection, commit).await?;
        Ok(StoreMark {
            epoch: Some(epoch),
            sealed: Some(sealed),
            is_foreign: false,
            numbers: std::sync::Arc::new(mark),
        })
    }

    /// Takes `rules` into the sum of `mark`, and adds their writing to `commit`.
    fn accept_rules(
        &self,
        rules: Vec<Revocation>,
        mark: &mut SealedMark,
        commit: &mut Batch,
    ) -> Result<(), RedisStoreError> {
        commit.add(command("DEL", &[self.names.rules()]));
        for rule in rules {
            let id = rule.id.as_ref().map(ToString::to_string).unwrap_or_default();
            let stored =
                codec::seal_value(&*self.seal, Place::Rule, id.as_bytes(), &rule).map_err(|_| RedisStoreError::Form)?;
            mark.rules = mark.rules.max(rule.order.unwrap_or(0));
            mark.add_rule(&*self.seal, &id, &stored);
            commit.add(cmd("HSET").arg(self.names.rules()).arg(&id).arg(&stored).to_owned());
        }
        Ok(())
    }

    /// Takes the revoked tokens into the sum of `mark`, and adds their writing to `commit`.
    fn accept_tokens(
        &self,
        tokens: &[(String, i64)],
        mark: &mut SealedMark,
        commit: &mut Batch,
    ) -> Result<(), RedisStoreError> {
        commit.add(command("DEL", &[self.names.revocations()]));
        for chunk in tokens.chunks(STEP) {
            let mut add = cmd("ZADD");
            add.arg(self.names.revocations());
            for (id, until) in chunk {
                mark.add_token(&*self.seal, &token_id(id).ok_or(RedisStoreError::Form)?, *until);
                add.arg(until).arg(id);
            }
            commit.add(add);
        }
        Ok(())
    }

    /// Sends `batch` over a connection that has no deadline of its own.
    pub(super) async fn send(
        &self,
        connection: &mut MultiplexedConnection,
        batch: Batch,
    ) -> Result<Vec<Value>, RedisStoreError> {
        let deadline = self.step_deadline;
        let sent = tokio::time::timeout(deadline, batch.send(connection)).await;
        sent.unwrap_or(Err(RedisStoreError::Deadline(deadline)))
    }

    /// Reads the rules of this version and of an earlier one. Unreadable rules are left out.
    fn read_stored_rules(&self, replies: &mut Replies) -> Vec<Revocation> {
        let open = |key: &[u8], stored: &[u8]| {
            codec::open::<Revocation>(&*self.seal, Place::Rule, key, stored).ok().map(|rule| with_id(&*self.seal, rule))
        };
        let mut rules = Vec::new();
        if let Ok(flat) = replies.list() {
            for pair in flat.chunks_exact(2) {
                if let [Some(id), Some(stored)] = pair {
                    rules.extend(open(id, stored));
                }
            }
        }
        if let Ok(list) = replies.list() {
            rules.extend(list.iter().flatten().filter_map(|stored| open(RULE_KEY, stored)));
        }
        rules
    }

    /// The listed revoked tokens, and those whose record has a revocation. Each comes with the end
    /// of its revocation.
    async fn read_revoked_tokens(
        &self,
        connection: &mut MultiplexedConnection,
        lineage: &Lineage,
    ) -> Result<Vec<(String, i64)>, RedisStoreError> {
        let listed = self.scan(connection, self.names.revocations()).await?;
        let recorded = self.scan(connection, self.names.all()).await?;
        let is_listed: BTreeSet<&str> = listed.iter().map(|(id, _)| id.as_str()).collect();
        let others =
            recorded.iter().filter(|(id, _)| !is_listed.contains(id.as_str())).map(|(id, _)| (id.clone(), None));
        let all: Vec<(String, Option<i64>)> =
            listed.iter().map(|(id, until)| (id.clone(), Some(*until))).chain(others).collect();
        let mut tokens = Vec::new();
        for chunk in all.chunks(STEP) {
            let mut batch = Batch::plain();
            for (id, _) in chunk {
                batch.add(command("GET", &[self.names.revocation(id)]));
                batch.add(command("GET", &[self.names.record(id)]));
            }
            let mut replies = Replies::from(self.send(connection, batch).await?);
            for (id, listed) in chunk {
                let (revocation, record) = (found(&mut replies)?, found(&mut replies)?);
                let opened = match &record {
                    StoredValue::Bytes(stored) => lineage.open_record(&*self.seal, id, stored).ok(),
                    _ => None,
                };
                if let Some(until) = self.until_of(connection, id, *listed, revocation, opened).await? {
                    tokens.push((id.clone(), until));
                }
            }
        }
        Ok(tokens)
    }

    /// When the revocation of the token `id` ends, if it is revoked. A revocation that is gone or
    /// unreadable is made again.
    async fn until_of(
        &self,
        connection: &mut MultiplexedConnection,
        id: &str,
        listed: Option<i64>,
        revocation: StoredValue,
        record: Option<TokenRecord>,
    ) -> Result<Option<i64>, RedisStoreError> {
        let opened: Option<Revocation> = match &revocation {
            StoredValue::Bytes(stored) => codec::open(&*self.seal, Place::Revocation, id.as_bytes(), stored).ok(),
            StoredValue::Nothing | StoredValue::Foreign => None,
        };
        if let Some(opened) = opened {
            return Ok(Some(listed.unwrap_or(i64::MIN).max(opened.until.as_secs())));
        }
        if listed.is_none() && matches!(revocation, StoredValue::Nothing) {
            return Ok(None);
        }
        // A token without a record is not active anyway.
        let Some(record) = record else { return Ok(None) };
        let now = self.clock.now();
        let jti = Jti::new(record.jti.as_str()).map_err(|_| RedisStoreError::Form)?;
        let until = listed.map_or(record.exp, |listed| record.exp.max(UnixTime::from_secs(listed)));
        let again = Revocation {
            scope: RevocationScope::Token(jti.clone()),
            until,
            ..Revocation::in_place_of_a_broken_one(jti, now, ACCEPTANCE)
        };
        let stored = codec::seal_value(&*self.seal, Place::Revocation, id.as_bytes(), &again)
            .map_err(|_| RedisStoreError::Form)?;
        let mut batch = Batch::atomic();
        let key = self.names.revocation(id);
        batch.add(cmd("SET").arg(&key).arg(stored).arg("PXAT").arg(forget_at(live_until(until))).to_owned());
        self.send(connection, batch).await?;
        Ok(Some(until.as_secs()))
    }

    /// All members of a sorted set with their scores. Empty if the key holds another type.
    async fn scan(
        &self,
        connection: &mut MultiplexedConnection,
        key: &str,
    ) -> Result<Vec<(String, i64)>, RedisStoreError> {
        let mut members = std::collections::BTreeMap::new();
        let mut cursor = "0".to_owned();
        loop {
            let mut batch = Batch::plain();
            batch.add(command("ZSCAN", &[key, &cursor, "COUNT", "1000"]));
            let (next, rows) = match Replies::from(self.send(connection, batch).await?).scan() {
                Err(RedisStoreError::Named(super::error::ErrorReply::WrongType)) => return Ok(Vec::new()),
                step => step?,
            };
            for row in rows.chunks_exact(2) {
                let [id, score] = row else { return Err(RedisStoreError::Form) };
                if token_id(id).is_some() {
                    members.insert(id.clone(), whole(score)?);
                }
            }
            if next == "0" {
                return Ok(members.into_iter().collect());
            }
            cursor = next;
        }
    }

    /// The number of revocations in the mark of an earlier version.
    pub(super) async fn earlier_sequence(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<u64, RedisStoreError> {
        let mut batch = Batch::plain();
        batch.add(command("HMGET", &[self.names.mark(), "sequence"]));
        let mut replies = Replies::from(self.send(connection, batch).await?);
        let Value::Array(fields) = replies.value()? else { return Err(RedisStoreError::Form) };
        match fields.first() {
            Some(Value::BulkString(digits)) => {
                std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(RedisStoreError::Form)
            }
            _ => Ok(0),
        }
    }
}
