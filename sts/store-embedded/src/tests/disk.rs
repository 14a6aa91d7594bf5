//! A file on a disk that fails or stalls on command.

use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use super::super::file;
use super::super::open_error::OpenError;
use super::super::open_file::{FileIdentity, OpenedStore};

/// What happens to the next write, change of length, or sync.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mood {
    /// It succeeds.
    Well,
    /// That many succeed. All later ones fail, a write after half of its bytes.
    FailsAfter(usize, io::ErrorKind),
    /// It waits until the mood changes.
    Stalls,
}

/// The disk. All files on it share its mood.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    path: PathBuf,
    mood: Arc<(Mutex<Mood>, Condvar)>,
    /// How many operations wait, and who waits for that.
    waiting: Arc<(Mutex<usize>, Condvar)>,
}

impl Disk {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            mood: Arc::new((Mutex::new(Mood::Well), Condvar::new())),
            waiting: Arc::default(),
        }
    }

    pub(super) fn set(&self, mood: Mood) {
        *self.mood.0.lock().unwrap() = mood;
        self.mood.1.notify_all();
    }

    /// Whether an operation has failed.
    pub(super) fn has_failed(&self) -> bool {
        matches!(*self.mood.0.lock().unwrap(), Mood::FailsAfter(0, _))
    }

    pub(super) fn open(&self) -> Result<OpenedStore, OpenError> {
        let io = |cause| OpenError::Io { path: self.path.clone(), doing: "opened", cause };
        let file = std::fs::OpenOptions::new().read(true).write(true).open(&self.path).map_err(io)?;
        let identity = FileIdentity::of(&file).map_err(io)?;
        file::open_in(&self.path, identity, File { file: FileBackend::new(file).unwrap(), disk: self.clone() })
    }

    /// Returns once an operation waits on the stalled disk.
    pub(super) fn wait_for_one_that_waits(&self) {
        let (waiting, changed) = &*self.waiting;
        drop(changed.wait_while(waiting.lock().unwrap(), |waiting| *waiting == 0).unwrap());
    }

    /// Whether the next operation succeeds. Waits while the disk stalls.
    fn ask(&self) -> io::Result<()> {
        let mut mood = self.mood.0.lock().unwrap();
        loop {
            match &mut *mood {
                Mood::Well => return Ok(()),
                Mood::FailsAfter(0, kind) => return Err((*kind).into()),
                Mood::FailsAfter(more, _) => {
                    *more -= 1;
                    return Ok(());
                }
                Mood::Stalls => {
                    *self.waiting.0.lock().unwrap() += 1;
                    self.waiting.1.notify_all();
                    mood = self.mood.1.wait(mood).unwrap();
                    *self.waiting.0.lock().unwrap() -= 1;
                }
            }
        }
    }
}

#[derive(Debug)]
struct File {
    file: FileBackend,
    disk: Disk,
}

impl StorageBackend for File {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.ask()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.ask()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if let Err(error) = self.disk.ask() {
            self.file.write(offset, &data[..data.len() / 2])?;
            return Err(error);
        }
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
