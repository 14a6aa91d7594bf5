//! Reading records and rules.

use std::sync::Arc;

use redis::Value;
use sts_types::{Jti, TokenRecord, UnixTime};

use super::RedisLedger;
use super::batch::{Batch, Replies, command};
use super::error::{ErrorReply, RedisStoreError};
use sts_store::backend::UNREADABLE;
use sts_store::backend::live_until;
use sts_store::{Alert, Fault, Place};
use sts_store::{Entry, Revocation};

/// What a rule of an earlier version is sealed for: its list had no names within.
pub(super) const RULE_KEY: &[u8] = b"rule";

/// A value as it was found.
pub(super) enum StoredValue {
    Nothing,
    Bytes(Vec<u8>),
    /// Something that is no value of ours.
    Foreign,
}

impl RedisLedger {
    /// The live record of `jti` with its revocation, in one round trip.
    pub(super) async fn find(&self, jti: &Jti) -> Result<Option<Entry>, RedisStoreError> {
        let id = self.names().id(jti);
        let mut batch = self.inspector.reading(Batch::plain());
        batch.add(command("GET", &[self.names().record(&id)])).add(command("GET", &[self.names().revocation(&id)]));
        let (_, mut replies) = self.guarded(batch).await?;
        let (record, mut revocation) = (found(&mut replies)?, found(&mut replies)?);
        let Some(record) = self.open_record(&id, record)? else { return Ok(None) };
        if record.jti != *jti {
            self.alerts.raise(Alert { place: Place::Record, fault: Fault::Seal });
            return Ok(None);
        }
        if matches!(revocation, StoredValue::Nothing)
            && record.exp >= self.clock().now()
            && self.was_deleted(&id).await?
        {
            revocation = StoredValue::Foreign;
        }
        Ok(self.with_revocation(&id, record, revocation))
    }

    /// A record that counts in the epoch that is known; one that does not raises an alert.
    pub(super) fn open_record(&self, id: &str, found: StoredValue) -> Result<Option<TokenRecord>, RedisStoreError> {
        let opened = match found {
            StoredValue::Nothing => return Ok(None),
            StoredValue::Bytes(stored) => self.guard().lineage()?.open_record(&*self.inspector.seal, id, &stored),
            StoredValue::Foreign => Err(Fault::Form),
        };
        Ok(opened.map_err(|fault| self.alerts.raise(Alert { place: Place::Record, fault })).ok())
    }

    /// The entry of a record that lives. A revocation that is there and cannot be read is one all the same: what was revoked must not
    /// come back by damage to it.
    pub(super) fn with_revocation(&self, id: &str, record: TokenRecord, revocation: StoredValue) -> Option<Entry> {
        let now = self.clock().now();
        if now > live_until(record.exp) {
            return None;
        }
        let revoked = match revocation {
            StoredValue::Nothing => None,
            there => Some(
                self.open_found(Place::Revocation, id.as_bytes(), there)
                    .unwrap_or_else(|| Revocation::in_place_of_a_broken_one(record.jti.clone(), now, UNREADABLE)),
            ),
        };
        Some(Entry { record, revoked })
    }

    pub(super) fn open_found<T: serde::de::DeserializeOwned>(
        &self,
        place: Place,
        key: &[u8],
        found: StoredValue,
    ) -> Option<T> {
        match found {
            StoredValue::Nothing => None,
            StoredValue::Bytes(stored) => self.unseal(place, key, &stored),
            StoredValue::Foreign => {
                self.alerts.raise(Alert { place, fault: Fault::Form });
                None
            }
        }
    }

    /// The rules in force. That there are no others is asked of Redis each time.
    pub(super) async fn rules_in_force(&self) -> Result<Arc<[Revocation]>, RedisStoreError> {
        self.guarded(self.inspector.reading(Batch::plain())).await?;
        Ok(self.registry.rules(self.clock().now()))
    }

    /// The end of the record that dies last.
    pub(super) async fn find_last_end(&self) -> Result<Option<UnixTime>, RedisStoreError> {
        let mut batch = self.inspector.reading(Batch::plain());
        batch.add(command("ZREVRANGE", &[self.names().ends(), "0", "0", "WITHSCORES"]));
        let (_, mut replies) = self.guarded(batch).await?;
        match replies.texts()?.get(1) {
            None => Ok(None),
            Some(score) => whole(score).map(|seconds| Some(UnixTime::from_secs(seconds))),
        }
    }
}

/// The next reply to a GET. A key that holds no string is not ours.
pub(super) fn found(replies: &mut Replies) -> Result<StoredValue, RedisStoreError> {
    match replies.value() {
        Ok(Value::Nil) => Ok(StoredValue::Nothing),
        Ok(Value::BulkString(bytes)) => Ok(StoredValue::Bytes(bytes)),
        Err(RedisStoreError::Named(ErrorReply::WrongType)) => Ok(StoredValue::Foreign),
        Ok(_) => Err(RedisStoreError::Form),
        Err(error) => Err(error),
    }
}

/// A score of ours: a whole number that a double holds exactly, however Redis writes it.
pub(super) fn whole(score: &str) -> Result<i64, RedisStoreError> {
    let number: f64 = score.parse().map_err(|_| RedisStoreError::Form)?;
    #[expect(clippy::cast_possible_truncation, reason = "a cast saturates, and scores of ours are far below 2^53")]
    Ok(number as i64)
}
