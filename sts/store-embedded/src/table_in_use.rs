//! A table within one transaction, opened when it is first used: to open and close a table costs
//! about as much as to write a row, and an issue needs few of them.

use redb::{Key, Table, TableDefinition, TableError, Value, WriteTransaction};

pub(super) struct TableInUse<'txn, K: Key + 'static, V: Value + 'static> {
    transaction: &'txn WriteTransaction,
    definition: TableDefinition<'static, K, V>,
    table: Option<Table<'txn, K, V>>,
}

impl<'txn, K: Key + 'static, V: Value + 'static> TableInUse<'txn, K, V> {
    pub(super) fn new(transaction: &'txn WriteTransaction, definition: TableDefinition<'static, K, V>) -> Self {
        Self { transaction, definition, table: None }
    }

    /// The table, which is created if the file lacks it.
    pub(super) fn open(&mut self) -> Result<&mut Table<'txn, K, V>, TableError> {
        let table = match self.table.take() {
            Some(table) => table,
            None => self.transaction.open_table(self.definition)?,
        };
        Ok(self.table.insert(table))
    }

    /// Whether this transaction may have changed the table.
    pub(super) fn is_open(&self) -> bool {
        self.table.is_some()
    }
}
