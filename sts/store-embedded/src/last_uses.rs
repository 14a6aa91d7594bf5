//! When accounts and identities were last used. The rows are not sealed, because they are no
//! evidence.

use redb::{Database, ReadableDatabase, ReadableTable, TableError};
use sts_store::UseKey;
use sts_types::UnixTime;

use super::tables::LAST_USES;
use super::write::{Tables, WriteError};

impl Tables<'_> {
    /// Writes uses that are later than those that are there.
    pub(super) fn record_last_uses(
        &mut self,
        uses: &[(UseKey, UnixTime)],
        forget_before: Option<UnixTime>,
    ) -> Result<(), WriteError> {
        let mut table = self.transaction().open_table(LAST_USES)?;
        for (key, at) in uses {
            let row = row(key);
            let is_later = table.get(row)?.is_none_or(|former| former.value() < at.as_secs());
            if is_later {
                table.insert(row, at.as_secs())?;
            }
        }
        if let Some(before) = forget_before {
            table.retain(|_, at| at >= before.as_secs())?;
        }
        Ok(())
    }
}

/// The last use of each of `keys`.
pub(super) fn read(database: &Database, keys: &[UseKey]) -> Result<Vec<Option<UnixTime>>, redb::Error> {
    let table = match database.begin_read()?.open_table(LAST_USES) {
        // Nothing was ever used.
        Err(TableError::TableDoesNotExist(_)) => return Ok(vec![None; keys.len()]),
        table => table?,
    };
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        found.push(table.get(row(key))?.map(|at| UnixTime::from_secs(at.value())));
    }
    Ok(found)
}

/// No identity has an empty name.
fn row(key: &UseKey) -> (&str, &str) {
    (&key.account, key.identity.as_deref().unwrap_or_default())
}
