//! Looks at a Redis for a check, and writes nothing to it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;

use sts_types::{Clock, Seal};

use super::batch::{Batch, Replies, command, sized};
use super::connect::{Connector, connect_deadline};
use super::error::RedisStoreError;
use super::inspector::{add_health, check_health};
use super::layout::Layout;
use super::names::{mark_of, mark_of_whole};
use super::open_error::RedisOpenError;
use super::rollback_guard::RollbackGuard;
use super::shard::watermark_of;
use super::slots::ShardIndex;
use super::store_mark::{FIELDS, StoreMark};
use sts_store::spec::{RedisSpec, ShardCount, Topology};
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
    let mut warnings: Vec<Warning> = Vec::new();
    if let Some(seal) = &seal {
        let name = mark_of_whole(&spec.prefix);
        let connector = Connector::new(spec.clone(), name.clone()).map_err(|error| refused(&error))?;
        let deadline = connect_deadline(spec.timeout);
        let layout = Layout::new(connector, name, spec.shards, Arc::clone(seal), deadline, false);
        within(deadline, layout.examine()).await?;
    }
    for shard in ShardIndex::all(spec.shards) {
        let file = watermark_of(&watermark, shard);
        let of_shard = within(connect_deadline(spec.timeout), look(&spec, shard, seal.as_ref(), clock, file)).await?;
        for warning in of_shard {
            if !warnings.iter().any(|known| known.name == warning.name) {
                warnings.push(warning);
            }
        }
    }
    Ok(warnings)
}

/// The setting with which one node that is away ends the work of all.
const FULL_COVERAGE: &str = "cluster-require-full-coverage";

/// The warning about that setting. The rights that we ship do not allow to ask for it.
fn full_coverage(reply: Result<Value, RedisStoreError>) -> Option<Warning> {
    let is_yes = |value: &Value| matches!(value, Value::BulkString(word) if word == b"yes");
    let is_on = match reply.ok()? {
        Value::Array(setting) => setting.iter().any(is_yes),
        Value::Map(setting) => setting.iter().any(|(_, value)| is_yes(value)),
        _ => false,
    };
    is_on.then(|| Warning {
        name: "full_coverage",
        text: format!(
            "with `{FULL_COVERAGE} yes` one node that is away fails the requests of all shards: set it to `no` at every node"
        ),
    })
}

async fn within<T>(
    deadline: Duration,
    work: impl Future<Output = Result<T, RedisStoreError>>,
) -> Result<T, RedisStoreError> {
    tokio::time::timeout(deadline, work).await.unwrap_or(Err(RedisStoreError::Deadline(deadline)))
}

fn refused(error: &RedisOpenError) -> LedgerError {
    LedgerError::Unavailable(error.to_string().into())
}

async fn look(
    spec: &RedisSpec,
    shard: ShardIndex,
    seal: Option<&Arc<dyn Seal>>,
    clock: &dyn Clock,
    watermark: PathBuf,
) -> Result<Vec<Warning>, RedisStoreError> {
    let unusable = |error: RedisOpenError| RedisStoreError::Connection(error.to_string().into());
    let guard = match seal {
        Some(seal) => {
            let alerts: Arc<dyn Alerts> = Arc::new(|_: Alert| {});
            Some(RollbackGuard::open(watermark, Arc::clone(seal), alerts).map_err(unusable)?)
        }
        None => None,
    };
    let mark = mark_of(&spec.prefix, shard);
    let (_, mut connection) = Connector::new(spec.clone(), mark.clone()).map_err(unusable)?.connect().await?;
    let mut batch = Batch::plain();
    let mut read = sized("HMGET", 1 + FIELDS.len(), 0);
    read.arg(&mark).arg(&FIELDS);
    batch.add(read);
    add_health(&mut batch);
    let is_spread = matches!(spec.topology, Topology::Cluster(_)) && spec.shards != ShardCount::ONE;
    if is_spread {
        batch.add(command("CONFIG", &["GET", FULL_COVERAGE]));
    }
    let now = clock.now_millis();
    let mut replies = Replies::from(batch.send(&mut connection).await?);
    let mut found = StoreMark::read(&mut replies)?;
    let mut warnings = check_health(&mut replies, now)?;
    if is_spread {
        warnings.extend(full_coverage(replies.value()));
    }
    if let Some(guard) = guard {
        // A server that finds an empty Redis, and knows of no other, begins its ledger there.
        let is_new = found.epoch.is_none() && !found.is_foreign && !guard.is_settled();
        if !is_new {
            guard.check(&mut found, guard.floor())?;
        }
    }
    Ok(warnings)
}
