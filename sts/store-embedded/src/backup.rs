//! A copy of the whole store, made while it is in use.

use std::collections::BTreeSet;
use std::fs::File;
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{
    Database, Durability, Key, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError,
    TableHandle, Value, WriteTransaction,
};
use sts_store::LedgerError;

use super::EmbeddedLedger;
use super::engine::{DatabaseHandle, guarded};
use super::file::builder;
use super::tables::{
    CLAIM_ENDS, CLAIM_USES, CLAIMS, FORMER_BY_ACCOUNT, FORMER_BY_JTI, KEY_USES, LAST_USES, LEASES, META, OBJECTS,
    RECORD_ENDS, RECORDS, REFUSALS, REFUSALS_BY_TIME, REVOCATION_ENDS, REVOCATIONS, RULE_ENDS, RULES, SESSIONS,
    TALLIES,
};
use super::write::Tables;

impl EmbeddedLedger {
    /// Copies the store into `target`, an empty file open for reading and writing. The copy is one
    /// consistent state, and is durable once this returns. Issues and revocations go on meanwhile.
    ///
    /// Sessions of the console are left out: one that has ended must not come back with an old copy.
    ///
    /// # Errors
    /// If the store is away or in doubt, or the target cannot be written. The target then holds
    /// nothing of use.
    pub async fn back_up(&self, target: File) -> Result<(), LedgerError> {
        self.reopen_if_failed().await?;
        let engine = Arc::clone(&self.engine);
        let copied = tokio::task::spawn_blocking(move || copy(&engine, target)).await;
        copied.unwrap_or_else(|_| Err(LedgerError::Unavailable("the copy was given up".into())))
    }
}

fn copy(engine: &DatabaseHandle, target: File) -> Result<(), LedgerError> {
    let state = engine.state();
    let database = state.as_ref().as_ref().map_err(LedgerError::clone)?;
    engine.check_integrity()?;
    guarded(|| -> Result<(), redb::Error> {
        engine.check_file()?;
        let source = database.begin_read()?;
        write(&source, target)
    })
    .map_err(|error| LedgerError::Unavailable(format!("the copy was not made: {error}").into()))
}

/// Writes every table of `source` into a new database in `target`.
fn write(source: &ReadTransaction, target: File) -> Result<(), redb::Error> {
    let synced = target.try_clone().map_err(redb::Error::Io)?;
    let backend = FileBackend::new(target)?;
    let database: Database = builder().create_with_backend(backend)?;
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    let copied = copy_tables(source, &transaction)?;
    if let Some(unknown) = source.list_tables()?.find(|table| !copied.contains(table.name())) {
        let why = format!("this version does not know the table `{}`", unknown.name());
        return Err(redb::Error::Io(std::io::Error::other(why)));
    }
    transaction.commit()?;
    // Closing marks the file as closed, so that it opens without a repair.
    drop(database);
    synced.sync_all().map_err(redb::Error::Io)
}

/// Copies the rows of all tables. Returns the names of those that it knows.
fn copy_tables(source: &ReadTransaction, target: &WriteTransaction) -> Result<BTreeSet<String>, redb::Error> {
    let left_out = [SESSIONS.name(), FORMER_BY_JTI.name(), FORMER_BY_ACCOUNT.name()];
    let mut copier = Copier { source, target, known: left_out.map(str::to_owned).into() };
    copier.table(META)?;
    copier.table(RECORDS)?;
    copier.table(RECORD_ENDS)?;
    copier.table(CLAIMS)?;
    copier.table(CLAIM_USES)?;
    copier.table(CLAIM_ENDS)?;
    copier.table(REVOCATIONS)?;
    copier.table(REVOCATION_ENDS)?;
    copier.table(TALLIES)?;
    copier.table(OBJECTS)?;
    copier.table(KEY_USES)?;
    copier.table(LAST_USES)?;
    copier.table(REFUSALS)?;
    copier.table(REFUSALS_BY_TIME)?;
    copier.table(LEASES)?;
    copier.table(RULES)?;
    copier.table(RULE_ENDS)?;
    Tables::new(target).bring_up_to_date()?;
    Ok(copier.known)
}

struct Copier<'a> {
    source: &'a ReadTransaction,
    target: &'a WriteTransaction,
    known: BTreeSet<String>,
}

impl Copier<'_> {
    fn table<K: Key + 'static, V: Value + 'static>(
        &mut self,
        definition: TableDefinition<'static, K, V>,
    ) -> Result<(), redb::Error> {
        self.known.insert(definition.name().to_owned());
        let source = match self.source.open_table(definition) {
            // Some tables are made when they are first needed.
            Err(TableError::TableDoesNotExist(_)) => return Ok(()),
            table => table?,
        };
        let mut target = self.target.open_table(definition)?;
        for row in source.iter()? {
            let (key, value) = row?;
            target.insert(key.value(), value.value())?;
        }
        Ok(())
    }
}
