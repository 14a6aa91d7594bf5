//! Checks whether the store's path still leads to the open file. After the file is removed or
//! replaced, everything written to it is lost when the process ends, even if it was synced.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Device and inode.
type Identity = (u64, u64);

/// The file of an open store.
pub(super) struct OpenFile {
    path: PathBuf,
    opened: Mutex<Option<Identity>>,
}

impl OpenFile {
    /// The file at `path`, which was just opened.
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), opened: Mutex::new(identity(path).ok()) }
    }

    /// Records that the file was opened again.
    pub(super) fn note_opened(&self) {
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = identity(&self.path).ok();
    }

    /// # Errors
    /// If the path leads to another file by now, or to none.
    pub(super) fn check(&self) -> io::Result<()> {
        let opened = *self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.is_some() && identity(&self.path).ok() == opened {
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

fn identity(path: &Path) -> io::Result<Identity> {
    std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}
