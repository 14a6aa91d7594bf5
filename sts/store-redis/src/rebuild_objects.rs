//! The part of a rebuild that concerns the managed objects: all that can be opened are kept.

use redis::aio::MultiplexedConnection;
use redis::cmd;

use super::batch::{Batch, Replies, command};
use super::error::{ErrorReply, RedisStoreError};
use super::inspector::Inspector;
use super::mark::{ObjectsMark, SealedMark};
use super::object_load::open_object;
use super::object_registry::ObjectRow;

/// Objects per step of the scan.
const SCANNED: &str = "250";
/// Fields per command.
const STEP: usize = 500;

/// The objects that Redis holds.
#[derive(Default)]
pub(super) struct StoredObjects {
    pub(super) rows: Vec<ObjectRow>,
    /// Fields that hold no object of ours.
    broken: Vec<Vec<u8>>,
    /// Whether the key holds another type.
    is_foreign: bool,
}

impl Inspector {
    pub(super) async fn read_stored_objects(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<StoredObjects, RedisStoreError> {
        // A scan may meet a field twice.
        let mut rows = std::collections::BTreeMap::new();
        let mut broken = std::collections::BTreeSet::new();
        let mut cursor = "0".to_owned();
        loop {
            let mut batch = Batch::plain();
            batch.add(command("HSCAN", &[self.names.objects(), &cursor, "COUNT", SCANNED]));
            let (next, fields) = match Replies::from(self.send(connection, batch).await?).scan_fields() {
                Err(RedisStoreError::Named(ErrorReply::WrongType)) => {
                    return Ok(StoredObjects { is_foreign: true, ..StoredObjects::default() });
                }
                step => step?,
            };
            for (id, stored) in fields {
                match open_object(&*self.seal, &id, &stored) {
                    Ok((_, row)) => drop(rows.insert(id, row)),
                    Err(_) => drop(broken.insert(id)),
                }
            }
            if next == "0" {
                let rows = rows.into_values().collect();
                return Ok(StoredObjects { rows, broken: broken.into_iter().collect(), is_foreign: false });
            }
            cursor = next;
        }
    }

    /// Takes `objects` into the sum of `mark`, and adds to `commit` the removal of what is not ours.
    /// A store that never had an object keeps a mark that says nothing of them.
    pub(super) fn accept_objects(&self, objects: StoredObjects, mark: &mut SealedMark, commit: &mut Batch) {
        let StoredObjects { rows, broken, is_foreign } = objects;
        if is_foreign {
            commit.add(command("DEL", &[self.names.objects()]));
        }
        for fields in broken.chunks(STEP) {
            commit.add(cmd("HDEL").arg(self.names.objects()).arg(fields).to_owned());
        }
        if !broken.is_empty() {
            tracing::warn!(objects = broken.len(), "managed objects that nobody can read were removed");
        }
        // Those who followed the log read all objects.
        commit.add(command("DEL", &[self.names.object_log()]));
        if mark.objects.sequence > 0 || !rows.is_empty() {
            mark.objects = ObjectsMark { sequence: mark.sequence, ..ObjectsMark::default() };
            rows.iter().for_each(|row| mark.objects.add(row.code));
        }
    }
}
