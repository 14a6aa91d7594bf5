//! Checks whether the store's path still leads to the open file. After the file is removed or
//! replaced, everything written to it is lost when the process ends, even if it was synced.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use redb::Database;

/// Device and inode of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    /// The identity of an open file. A path may lead to another file by now.
    ///
    /// # Errors
    /// If the system call fails.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        file.metadata().map(|metadata| Self::in_metadata(&metadata))
    }

    fn at(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|metadata| Self::in_metadata(&metadata))
    }

    fn in_metadata(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// A database that was just opened.
#[derive(Debug)]
pub(super) struct OpenedStore {
    pub(super) database: Database,
    /// The file that it was opened from. `None` for a store without a file.
    pub(super) identity: Option<FileIdentity>,
}

/// The file of an open store.
pub(super) struct OpenFile {
    path: PathBuf,
    opened: Mutex<Option<FileIdentity>>,
}

impl OpenFile {
    /// The file `identity`, which was opened at `path`.
    pub(super) fn new(path: &Path, identity: Option<FileIdentity>) -> Self {
        Self { path: path.to_owned(), opened: Mutex::new(identity) }
    }

    /// Records that the path was opened again. Returns whether it led to another file.
    pub(super) fn reopened(&self, identity: Option<FileIdentity>) -> bool {
        let former = std::mem::replace(&mut *self.opened.lock().unwrap_or_else(PoisonError::into_inner), identity);
        former != identity
    }

    /// # Errors
    /// If the path leads to another file by now, or to none.
    pub(super) fn check(&self) -> io::Result<()> {
        let opened = *self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.is_some() && FileIdentity::at(&self.path).ok() == opened {
            return Ok(());
        }
        let path = self.path.display();
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!(
                "the store `{path}` was removed or replaced while it was in use: put the file back, or restart the server"
            ),
        ))
    }
}
