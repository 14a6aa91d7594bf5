//! A file that is opened as a database and never changed: what is written stays in memory.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::backends::FileBackend;
use redb::{BackendError, DatabaseError, StorageBackend};

/// The unit of what is kept in memory.
const BLOCK: usize = 4096;

/// The file, and what was written over it.
#[derive(Debug)]
pub(super) struct Overlay {
    file: FileBackend,
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    length: u64,
    /// By the number of the block.
    blocks: BTreeMap<u64, Box<[u8; BLOCK]>>,
}

impl Overlay {
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn new(file: File) -> Result<Self, DatabaseError> {
        let file = FileBackend::new(file)?;
        let length = file.len()?;
        Ok(Self { file, written: Mutex::new(Written { length, blocks: BTreeMap::new() }) })
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block as the file has it. Beyond its end there are zeros.
    fn of_file(&self, block: u64) -> io::Result<Box<[u8; BLOCK]>> {
        let mut content = Box::new([0; BLOCK]);
        let start = block.saturating_mul(BLOCK as u64);
        let there = usize::try_from(self.file.len()?.saturating_sub(start)).unwrap_or(BLOCK).min(BLOCK);
        if let Some(there) = content.get_mut(..there).filter(|there| !there.is_empty()) {
            self.file.read(start, there)?;
        }
        Ok(content)
    }

    /// Takes the lock and gives it back at once: it is enough to know that nobody has it, and a
    /// server that starts meanwhile must find it free.
    fn try_briefly(&self, range: (Bound<u64>, Bound<u64>)) -> Result<bool, BackendError> {
        let is_free = self.file.try_lock_range(range.0, range.1)?;
        if is_free {
            self.file.unlock_range(range.0, range.1)?;
        }
        Ok(is_free)
    }
}

/// The block of an offset, the place in it, and how many of `left` bytes fit there.
fn place(offset: u64, left: usize) -> (u64, usize, usize) {
    let at = usize::try_from(offset % BLOCK as u64).unwrap_or(0);
    (offset / BLOCK as u64, at, left.min(BLOCK - at))
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.written().length)
    }

    fn read(&self, mut offset: u64, mut out: &mut [u8]) -> io::Result<()> {
        let written = self.written();
        if offset.saturating_add(out.len() as u64) > written.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while !out.is_empty() {
            let (block, at, count) = place(offset, out.len());
            let (now, rest) = out.split_at_mut(count);
            match written.blocks.get(&block) {
                Some(content) => now.copy_from_slice(content.get(at..at + count).unwrap_or_default()),
                None => {
                    let content = self.of_file(block)?;
                    now.copy_from_slice(content.get(at..at + count).unwrap_or_default());
                }
            }
            offset += count as u64;
            out = rest;
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut written = self.written();
        written.blocks.retain(|block, _| block.saturating_mul(BLOCK as u64) < length);
        written.length = length;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, mut offset: u64, mut data: &[u8]) -> io::Result<()> {
        let mut written = self.written();
        while !data.is_empty() {
            let (block, at, count) = place(offset, data.len());
            let (now, rest) = data.split_at(count);
            let content = match written.blocks.entry(block) {
                Entry::Occupied(there) => there.into_mut(),
                Entry::Vacant(free) => free.insert(self.of_file(block)?),
            };
            if let Some(place) = content.get_mut(at..at + count) {
                place.copy_from_slice(now);
            }
            offset += count as u64;
            data = rest;
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
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
        self.file.query_lock_range(start, end)
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
