//! Looks at a Redis for a check, and writes nothing to it.

use std::path::PathBuf;
use std::sync::Arc;

use sts_types::{Clock, Seal};

use super::batch::{Batch, Replies, sized};
use super::connect::{Connector, connect_deadline};
use super::error::RedisStoreError;
use super::inspector::{add_health, check_health};
use super::names::Names;
use super::rollback_guard::RollbackGuard;
use super::store_mark::{FIELDS, StoreMark};
use sts_store::spec::RedisSpec;
use sts_store::{Alert, Alerts, LedgerError, Warning};

/// Looks at the Redis of `spec`: whether it answers, is fit to keep a ledger, and holds the ledger
/// that `watermark` remembers. `seal` is `None` where no server has made one; then the ledger is not
/// compared.
///
/// # Errors
/// What would keep a server from using it.
pub async fn examine(
    spec: RedisSpec,
    seal: Option<Arc<dyn Seal>>,
    clock: &dyn Clock,
    watermark: PathBuf,
) -> Result<Vec<Warning>, LedgerError> {
    let refused = |error: &dyn std::fmt::Display| LedgerError::Unavailable(error.to_string().into());
    let deadline = connect_deadline(spec.timeout);
    let guard = match &seal {
        Some(seal) => {
            let alerts: Arc<dyn Alerts> = Arc::new(|_: Alert| {});
            Some(RollbackGuard::open(watermark, Arc::clone(seal), alerts).map_err(|error| refused(&error))?)
        }
        None => None,
    };
    // The name of the mark does not depend on the seal.
    let mark = Names::mark_under(&spec.prefix);
    let connector = Connector::new(spec, mark.clone()).map_err(|error| refused(&error))?;
    let looked = tokio::time::timeout(deadline, look(&connector, &mark, guard.as_ref(), clock)).await;
    Ok(looked.unwrap_or(Err(RedisStoreError::Deadline(deadline)))?)
}

async fn look(
    connector: &Connector,
    mark: &str,
    guard: Option<&RollbackGuard>,
    clock: &dyn Clock,
) -> Result<Vec<Warning>, RedisStoreError> {
    let (_, mut connection) = connector.connect().await?;
    let mut batch = Batch::plain();
    let mut read = sized("HMGET", 1 + FIELDS.len(), 0);
    read.arg(mark).arg(&FIELDS);
    batch.add(read);
    add_health(&mut batch);
    let now = clock.now_millis();
    let mut replies = Replies::from(batch.send(&mut connection).await?);
    let mut found = StoreMark::read(&mut replies)?;
    let warnings = check_health(&mut replies, now)?;
    if let Some(guard) = guard {
        // A server that finds an empty Redis, and knows of no other, begins its ledger there.
        let is_new = found.epoch.is_none() && !found.is_foreign && !guard.is_settled();
        if !is_new {
            guard.check(&mut found, guard.floor())?;
        }
    }
    Ok(warnings)
}
