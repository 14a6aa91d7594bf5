//! Pages of recorded tokens, newest first.

use super::RedisLedger;
use super::batch::{Batch, command};
use super::error::RedisStoreError;
use super::stored_value::{StoredValue, found, whole};
use sts_store::{Entry, Listing};

/// The most records in one page of a listing.
const PAGE: usize = 1000;
/// Records that one round trip reads.
pub(super) const STEP: usize = 100;

impl RedisLedger {
    /// Walks the index of the account, or of all records, from newest to oldest, in small steps
    /// that block nobody. Empty if the record in `after` is forgotten.
    pub(super) async fn page(&self, listing: Listing) -> Result<Vec<Entry>, RedisStoreError> {
        self.page_before(listing, None).await
    }

    /// With `before`, only records that were issued before this millisecond.
    pub(super) async fn page_before(
        &self,
        listing: Listing,
        before: Option<i64>,
    ) -> Result<Vec<Entry>, RedisStoreError> {
        let limit = listing.limit.min(PAGE);
        let index = match &listing.account {
            None => self.names().all().to_owned(),
            Some(account) => self.names().account(&self.names().account_id(account)),
        };
        let after = match &listing.after {
            None => None,
            Some(jti) => {
                let id = self.names().id(jti);
                let mut batch = self.inspector.reading(Batch::plain());
                batch.add(command("ZSCORE", &[self.names().all(), &id]));
                let (_, mut replies) = self.guarded(batch).await?;
                match replies.bytes()? {
                    None => return Ok(Vec::new()),
                    Some(score) => Some((whole(&String::from_utf8_lossy(&score))?, id)),
                }
            }
        };
        // By score and not by rank: a token that is issued meanwhile would shift every rank.
        let newest = match (&after, before) {
            (Some((score, _)), _) => score.to_string(),
            (None, Some(before)) => format!("({before}"),
            (None, None) => "+inf".to_owned(),
        };
        let mut page = Vec::new();
        let mut offset = 0;
        while page.len() < limit {
            let mut batch = self.inspector.reading(Batch::plain());
            let (from, count) = (offset.to_string(), STEP.to_string());
            batch.add(command(
                "ZREVRANGEBYSCORE",
                &[index.as_str(), &newest, "-inf", "WITHSCORES", "LIMIT", &from, &count],
            ));
            let (_, mut replies) = self.guarded(batch).await?;
            let rows = replies.texts()?;
            let mut ids = Vec::with_capacity(STEP);
            for row in rows.chunks_exact(2) {
                let [id, score] = row else { return Err(RedisStoreError::Form) };
                let score = whole(score)?;
                // Redis sorts equal scores by id, here in reverse.
                if after.as_ref().is_none_or(|(last, last_id)| score < *last || id < last_id) {
                    ids.push(id.clone());
                }
            }
            page.extend(self.entries(&ids, &listing).await?);
            let seen = rows.len() / 2;
            offset += seen;
            if seen < STEP {
                break;
            }
        }
        page.truncate(limit);
        Ok(page)
    }

    /// The live records of `ids` that match `listing`, with their revocations.
    pub(super) async fn entries(&self, ids: &[String], listing: &Listing) -> Result<Vec<Entry>, RedisStoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut batch = self.inspector.reading(Batch::plain());
        let records: Vec<String> = ids.iter().map(|id| self.names().record(id)).collect();
        let revocations: Vec<String> = ids.iter().map(|id| self.names().revocation(id)).collect();
        batch.add(command("MGET", &records));
        // One GET each: MGET answers nil for a key of another type, too, and for a revocation the
        // difference matters.
        for key in &revocations {
            batch.add(command("GET", &[key]));
        }
        let (_, mut replies) = self.guarded(batch).await?;
        let records = replies.list()?;
        let mut entries = Vec::new();
        for (id, record) in ids.iter().zip(records) {
            let mut revocation = found(&mut replies)?;
            if matches!((&revocation, &record), (StoredValue::Nothing, Some(_))) && self.was_deleted(id).await? {
                revocation = StoredValue::Foreign;
            }
            let record = record.map_or(StoredValue::Nothing, StoredValue::Bytes);
            if let Some(record) = self.open_record(id, record)?
                && listing.account.as_ref().is_none_or(|account| *account == record.account)
            {
                entries.extend(self.with_revocation(id, record, revocation));
            }
        }
        Ok(entries)
    }
}
