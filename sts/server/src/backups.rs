//! Copies of the embedded store, made while it is in use.

use std::fs::File;
use std::io::{self, Seek as _};
use std::path::PathBuf;
use std::sync::Arc;

use sts_store::LedgerError;
use sts_store_embedded::EmbeddedLedger;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Room that a copy leaves on the disk, for the store itself.
const SPARED: u64 = 64 << 20;

/// Makes copies of a store.
pub(crate) struct StoreBackups {
    ledger: Arc<EmbeddedLedger>,
    /// The store's file. A copy has room beside it, until it is fetched.
    store: PathBuf,
    /// Each copy needs as much room as the store, until it is fetched.
    one_at_a_time: Arc<Mutex<()>>,
}

/// The right to have a copy. The next one may be made when it is dropped.
pub(crate) type BackupTurn = OwnedMutexGuard<()>;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    #[error("{0}")]
    Store(LedgerError),
    #[error("another backup is being made or fetched: try again when it is done")]
    Busy,
    #[error("a copy needs {needed} MiB in `data_dir` for a moment, and {free} MiB are free: make room")]
    NoRoom { needed: u64, free: u64 },
    #[error("no file for the copy can be made in `data_dir`: {0}")]
    Io(#[from] io::Error),
}

impl StoreBackups {
    pub(crate) fn new(ledger: Arc<EmbeddedLedger>, store: PathBuf) -> Self {
        Self { ledger, store, one_at_a_time: Arc::default() }
    }

    /// A copy of the store as it is now, in a file without a name.
    pub(crate) async fn make(&self) -> Result<(File, BackupTurn), BackupError> {
        let turn = Arc::clone(&self.one_at_a_time).try_lock_owned().map_err(|_| BackupError::Busy)?;
        let mut file = self.open()?;
        self.ledger.back_up(file.try_clone()?).await.map_err(BackupError::Store)?;
        file.rewind()?;
        Ok((file, turn))
    }

    /// An empty file that vanishes with the last handle to it, so that a killed server leaves none.
    fn open(&self) -> Result<File, BackupError> {
        let folder = self.store.parent().unwrap_or(&self.store);
        let needed = std::fs::metadata(&self.store)?.len().saturating_add(SPARED);
        let stat = rustix::fs::statvfs(folder).map_err(io::Error::from)?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < needed {
            let mebibytes = |bytes: u64| bytes >> 20;
            return Err(BackupError::NoRoom { needed: mebibytes(needed), free: mebibytes(free) });
        }
        Ok(tempfile::tempfile_in(folder)?)
    }
}

#[cfg(test)]
mod tests {
    use sts_store::contract::{AlertLog, TestSeal};
    use sts_testkit::ManualClock;
    use sts_types::UnixTime;

    use super::*;

    #[tokio::test]
    async fn while_one_backup_is_fetched_another_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sts.redb");
        let (clock, alerts) =
            (Arc::new(ManualClock::at(UnixTime::from_secs(1_800_000_000))), Arc::new(AlertLog::default()));
        let ledger = EmbeddedLedger::open(&path, Arc::new(TestSeal(1)), clock, alerts).unwrap();
        let backups = StoreBackups::new(Arc::new(ledger), path);
        let (_file, turn) = backups.make().await.unwrap();
        assert!(matches!(backups.make().await, Err(BackupError::Busy)));
        drop(turn);
        backups.make().await.unwrap();
    }
}
