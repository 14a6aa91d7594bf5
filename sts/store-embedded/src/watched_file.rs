//! A storage backend that knows whether somebody else wrote to its file. redb trusts the pages that
//! it reads, and would serve a copy that was written over the open file as if it were its own.
//!
//! Each commit changes the header of the file, so the header alone tells one state from another.
//!
//! Nothing is written to the file before [`FileWatch::apply_changes`].

use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError, Weak};

use redb::{BackendError, StorageBackend};

use super::deferred_changes::DeferredChanges;

/// The length of the header in octets.
const HEADER_LEN: usize = 320;

type Header = [u8; HEADER_LEN];

/// A backend over `B`. After somebody else wrote to the file, this process writes nothing more to it.
#[derive(Debug)]
pub(super) struct WatchedFile<B> {
    shared: Arc<Shared<B>>,
}

#[derive(Debug)]
struct Shared<B> {
    file: DeferredChanges<B>,
    /// The header as this process read or wrote it last. `None` if that is unknown.
    header: Mutex<Option<Header>>,
    /// Whether somebody else wrote to the file.
    is_altered: AtomicBool,
}

/// The view of an open file beside that of the database.
pub(super) trait FileWatch: std::fmt::Debug + Send + Sync {
    /// Whether the file is as this process wrote it.
    fn is_as_written(&self) -> bool;

    /// Writes what waited until the file is known to be sound.
    ///
    /// # Errors
    /// If the file cannot be written. Then nothing more is written to it.
    fn apply_changes(&self) -> io::Result<()>;
}

impl<B: StorageBackend> WatchedFile<B> {
    /// Watches `file`, beginning with what is in it.
    pub(super) fn new(file: B) -> Self {
        let file = DeferredChanges::new(file);
        let header = Mutex::new(read_header(&file));
        Self { shared: Arc::new(Shared { file, header, is_altered: AtomicBool::new(false) }) }
    }

    /// The view beside the database's. It does not keep the file open.
    pub(super) fn watch(&self) -> Weak<dyn FileWatch> {
        let shared: Arc<dyn FileWatch> = Arc::<Shared<B>>::clone(&self.shared);
        Arc::downgrade(&shared)
    }

    /// The file, for a change.
    fn to_change(&self) -> io::Result<&DeferredChanges<B>> {
        if self.shared.is_altered.load(Ordering::Acquire) {
            return Err(io::Error::other("the store's file was altered by somebody else while it was in use"));
        }
        Ok(&self.shared.file)
    }
}

fn read_header<B: StorageBackend>(file: &DeferredChanges<B>) -> Option<Header> {
    let mut header = [0; HEADER_LEN];
    file.read(0, &mut header).is_ok().then_some(header)
}

impl<B: StorageBackend> FileWatch for Shared<B> {
    fn is_as_written(&self) -> bool {
        let written = match self.header.try_lock() {
            Ok(written) => written,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            // This process is writing the header right now.
            Err(TryLockError::WouldBlock) => return true,
        };
        if written.is_some() && read_header(&self.file) != *written {
            self.is_altered.store(true, Ordering::Release);
        }
        !self.is_altered.load(Ordering::Acquire)
    }

    fn apply_changes(&self) -> io::Result<()> {
        self.file.apply()
    }
}

impl<B: StorageBackend> StorageBackend for WatchedFile<B> {
    fn len(&self) -> io::Result<u64> {
        self.shared.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.shared.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.to_change()?.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.shared.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if offset >= HEADER_LEN as u64 {
            return self.to_change()?.write(offset, data);
        }
        let mut header = self.shared.header.lock().unwrap_or_else(PoisonError::into_inner);
        let former = header.take();
        // After an error it is unknown how much was written.
        self.to_change()?.write(offset, data)?;
        *header = overwritten(former, offset, data);
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.shared.file.file().close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.shared.file.file().try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.shared.file.file().try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.shared.file.file().lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.shared.file.file().lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.shared.file.file().unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.shared.file.file().query_lock_range(start, end)
    }
}

/// The header after `data` was written at `offset`. `None` if a part of it is unknown.
fn overwritten(former: Option<Header>, offset: u64, data: &[u8]) -> Option<Header> {
    let offset = usize::try_from(offset).ok()?;
    let is_whole = offset == 0 && data.len() >= HEADER_LEN;
    let mut header = if is_whole { [0; HEADER_LEN] } else { former? };
    header.iter_mut().skip(offset).zip(data).for_each(|(to, from)| *to = *from);
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_known_where_all_of_it_was_written() {
        assert_eq!(overwritten(None, 0, &[7; 4096]), Some([7; HEADER_LEN]));
        assert_eq!(overwritten(None, 0, &[7; HEADER_LEN - 1]), None);
        assert_eq!(overwritten(None, 1, &[7; HEADER_LEN]), None);
        let mut wanted = [1; HEADER_LEN];
        wanted[300..].fill(7);
        assert_eq!(overwritten(Some([1; HEADER_LEN]), 300, &[7; 4096]), Some(wanted));
        wanted = [1; HEADER_LEN];
        wanted[9] = 7;
        assert_eq!(overwritten(Some([1; HEADER_LEN]), 9, &[7]), Some(wanted));
    }
}
