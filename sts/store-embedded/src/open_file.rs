//! Checks whether the store's path still leads to the open file, and whether only this process wrote
//! to that. After the file is removed or replaced, everything written to it is lost when the process
//! ends, even if it was synced.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, Weak};

use redb::Database;

use super::watched_file::FileWatch;

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
    pub(super) origin: Option<FileOrigin>,
}

/// The file of a database.
#[derive(Clone, Debug)]
pub(super) struct FileOrigin {
    pub(super) identity: FileIdentity,
    /// Dead once the database is closed.
    pub(super) watch: Weak<dyn FileWatch>,
}

/// The file of an open store.
pub(super) struct OpenFile {
    path: PathBuf,
    opened: Mutex<Opened>,
}

struct Opened {
    /// `None` for a store without a file.
    origin: Option<FileOrigin>,
    /// Whether somebody else wrote to the file.
    is_altered: bool,
}

impl OpenFile {
    /// The file `origin`, which was opened at `path`.
    pub(super) fn new(path: &Path, origin: Option<FileOrigin>) -> Self {
        Self { path: path.to_owned(), opened: Mutex::new(Opened { origin, is_altered: false }) }
    }

    /// Records that the path was opened again. Returns whether it led to another file, or to one
    /// that somebody else wrote to.
    pub(super) fn reopened(&self, origin: Option<FileOrigin>) -> bool {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let identity = |origin: &Option<FileOrigin>| origin.as_ref().map(|origin| origin.identity);
        let is_other = opened.is_altered || identity(&opened.origin) != identity(&origin);
        *opened = Opened { origin, is_altered: false };
        is_other
    }

    /// # Errors
    /// If the path leads to another file by now, or to none, or if somebody else wrote to the file.
    pub(super) fn check(&self) -> io::Result<()> {
        let path = self.path.display();
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(FileOrigin { identity, watch }) = &opened.origin else { return Ok(()) };
        if FileIdentity::at(&self.path).ok() != Some(*identity) {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!(
                    "the store `{path}` was removed or replaced while it was in use: put the file back, or restart the server"
                ),
            ));
        }
        if watch.upgrade().is_some_and(|file| !file.is_as_written()) {
            opened.is_altered = true;
            return Err(io::Error::other(format!(
                "the store `{path}` was overwritten while it was in use: stop the server, put the right file there, and start it again"
            )));
        }
        Ok(())
    }
}
