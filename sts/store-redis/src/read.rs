//! Reads records and rules.

use std::sync::Arc;

use sts_types::{Jti, TokenRecord, UnixTime};

use super::RedisLedger;
use super::batch::{Batch, command};
use super::error::RedisStoreError;
use super::stored_value::{StoredValue, found, whole};
use sts_store::backend::UNREADABLE;
use sts_store::backend::live_until;
use sts_store::{Alert, Fault, Place};
use sts_store::{Entry, Revocation};

impl RedisLedger {
    /// The live record of `jti` and its revocation, in one round trip.
    pub(super) async fn find(&self, jti: &Jti) -> Result<Option<Entry>, RedisStoreError> {
        Ok(self.find_all(std::slice::from_ref(jti)).await?.pop().flatten())
    }

    /// The live record of each of `jtis` and its revocation, in one round trip for all of them.
    pub(super) async fn find_all(&self, jtis: &[Jti]) -> Result<Vec<Option<Entry>>, RedisStoreError> {
        if jtis.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<String> = jtis.iter().map(|jti| self.names().id(jti)).collect();
        let mut batch = self.inspector.reading(Batch::plain());
        for id in &ids {
            batch.add(command("GET", &[self.names().record(id)])).add(command("GET", &[self.names().revocation(id)]));
        }
        let (_, mut replies) = self.guarded(batch).await?;
        let mut entries = Vec::with_capacity(jtis.len());
        for (jti, id) in jtis.iter().zip(&ids) {
            let (record, revocation) = (found(&mut replies)?, found(&mut replies)?);
            entries.push(self.entry(jti, id, record, revocation).await?);
        }
        Ok(entries)
    }

    /// The entry of what Redis has under the `id` of `jti`.
    async fn entry(
        &self,
        jti: &Jti,
        id: &str,
        record: StoredValue,
        mut revocation: StoredValue,
    ) -> Result<Option<Entry>, RedisStoreError> {
        let Some(record) = self.open_record(id, record)? else { return Ok(None) };
        if record.jti != *jti {
            self.alerts.raise(Alert { place: Place::Record, fault: Fault::Seal });
            return Ok(None);
        }
        if matches!(revocation, StoredValue::Nothing)
            && record.exp >= self.clock().now()
            && self.was_deleted(id).await?
        {
            revocation = StoredValue::Foreign;
        }
        Ok(self.with_revocation(id, record, revocation))
    }

    /// Unseals a record of the trusted epoch or a former one. Any other record raises an alert.
    pub(super) fn open_record(&self, id: &str, found: StoredValue) -> Result<Option<TokenRecord>, RedisStoreError> {
        let opened = match found {
            StoredValue::Nothing => return Ok(None),
            StoredValue::Bytes(stored) => self.guard().lineage()?.open_record(&*self.inspector.seal, id, &stored),
            StoredValue::Foreign => Err(Fault::Form),
        };
        Ok(opened.map_err(|fault| self.alerts.raise(Alert { place: Place::Record, fault })).ok())
    }

    /// The entry of a live record. An unreadable revocation counts as a revocation: damage must not
    /// bring a revoked token back.
    pub(super) fn with_revocation(&self, id: &str, record: TokenRecord, revocation: StoredValue) -> Option<Entry> {
        let now = self.clock().now();
        if now > live_until(record.exp) {
            return None;
        }
        let revoked = match revocation {
            StoredValue::Nothing => None,
            stored => Some(
                self.open_found(Place::Revocation, id.as_bytes(), stored)
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

    /// The rules in force. Each call checks with Redis that there are no others.
    pub(super) async fn rules_in_force(&self) -> Result<Arc<[Revocation]>, RedisStoreError> {
        self.guarded(self.inspector.reading(Batch::plain())).await?;
        Ok(self.registry.rules(self.clock().now()))
    }

    /// The end of the record that expires last.
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
