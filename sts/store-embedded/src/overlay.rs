//! A file that is opened as a database and never changed: what is written stays in memory.

use std::fs::File;
use std::io;
use std::ops::Bound;

use redb::backends::FileBackend;
use redb::{BackendError, DatabaseError, StorageBackend};

use super::deferred_changes::DeferredChanges;

/// The file, and what was written over it.
#[derive(Debug)]
pub(super) struct Overlay {
    /// The changes are never made.
    content: DeferredChanges<FileBackend>,
}

impl Overlay {
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn new(file: File) -> Result<Self, DatabaseError> {
        Ok(Self { content: DeferredChanges::new(FileBackend::new(file)?) })
    }

    /// Takes the lock and gives it back at once: it is enough to know that nobody has it, and a
    /// server that starts meanwhile must find it free.
    fn try_briefly(&self, range: (Bound<u64>, Bound<u64>)) -> Result<bool, BackendError> {
        let is_free = self.content.file().try_lock_range(range.0, range.1)?;
        if is_free {
            self.content.file().unlock_range(range.0, range.1)?;
        }
        Ok(is_free)
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        self.content.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.content.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.content.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.content.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.content.file().close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.try_briefly((start, end))
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.try_briefly((start, end))
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.content.file().query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_the_file_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let content: Vec<u8> = (0..10_000_u32).map(|at| at.to_le_bytes()[0]).collect();
        std::fs::write(&path, &content).unwrap();
        let open = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let overlay = Overlay::new(open).unwrap();
        let mut expected = content.clone();
        expected[4090..4100].fill(255);
        overlay.write(4090, &[255; 10]).unwrap();
        let mut all = vec![0; 10_000];
        overlay.read(0, &mut all).unwrap();
        assert!(all == expected);
        assert!(overlay.read(9_999, &mut [0; 2]).is_err());
        overlay.set_len(12_000).unwrap();
        let mut beyond = [1; 100];
        overlay.read(11_900, &mut beyond).unwrap();
        assert_eq!(beyond, [0; 100]);
        overlay.sync_data().unwrap();
        drop(overlay);
        assert!(std::fs::read(&path).unwrap() == content);
    }
}
