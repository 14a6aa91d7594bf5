//! Changes to a file that are kept in memory until it is known that the file is sound. redb begins to
//! repair a file before it has read all of it; a damaged one must stay as it is, for whoever is to
//! rescue something from it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

/// A file over `B` that is not changed before [`apply`](Self::apply). Reads see all changes.
#[derive(Debug)]
pub(super) struct DeferredChanges<B> {
    file: B,
    is_deferring: AtomicBool,
    changes: Mutex<Vec<Change>>,
}

#[derive(Debug)]
enum Change {
    Length(u64),
    Octets { offset: u64, data: Vec<u8> },
    Sync,
}

impl<B: StorageBackend> DeferredChanges<B> {
    pub(super) fn new(file: B) -> Self {
        Self { file, is_deferring: AtomicBool::new(true), changes: Mutex::default() }
    }

    /// Makes the changes so far, in their order, and from now on each at once.
    ///
    /// # Errors
    /// If the file cannot be written. Later changes then stay in memory.
    pub(super) fn apply(&self) -> io::Result<()> {
        let mut changes = self.changes();
        for change in &*changes {
            match change {
                Change::Length(len) => self.file.set_len(*len)?,
                Change::Octets { offset, data } => self.file.write(*offset, data)?,
                Change::Sync => self.file.sync_data()?,
            }
        }
        *changes = Vec::new();
        self.is_deferring.store(false, Ordering::Release);
        Ok(())
    }

    /// The file itself, for what changes nothing in it.
    pub(super) fn file(&self) -> &B {
        &self.file
    }

    pub(super) fn len(&self) -> io::Result<u64> {
        match self.deferred() {
            Some(changes) => self.deferred_len(&changes),
            None => self.file.len(),
        }
    }

    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let Some(changes) = self.deferred() else { return self.file.read(offset, out) };
        let end = offset.saturating_add(out.len() as u64);
        if end > self.deferred_len(&changes)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        out.fill(0);
        let in_file = overlap(offset, out, 0, self.file.len()?);
        if !in_file.is_empty() {
            self.file.read(offset, in_file)?;
        }
        for change in &*changes {
            match change {
                Change::Length(len) => overlap(offset, out, *len, u64::MAX).fill(0),
                Change::Octets { offset: start, data } => {
                    let skipped = usize::try_from(offset.saturating_sub(*start)).unwrap_or(usize::MAX);
                    let target = overlap(offset, out, *start, start.saturating_add(data.len() as u64));
                    target.iter_mut().zip(data.iter().skip(skipped)).for_each(|(to, from)| *to = *from);
                }
                Change::Sync => {}
            }
        }
        Ok(())
    }

    pub(super) fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|| Change::Length(len), |file| file.set_len(len))
    }

    pub(super) fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(|| Change::Octets { offset, data: data.to_vec() }, |file| file.write(offset, data))
    }

    pub(super) fn sync_data(&self) -> io::Result<()> {
        self.change(|| Change::Sync, B::sync_data)
    }

    fn change(&self, later: impl FnOnce() -> Change, now: impl FnOnce(&B) -> io::Result<()>) -> io::Result<()> {
        match self.deferred() {
            Some(mut changes) => {
                changes.push(later());
                Ok(())
            }
            None => now(&self.file),
        }
    }

    fn deferred_len(&self, changes: &[Change]) -> io::Result<u64> {
        let mut len = self.file.len()?;
        for change in changes {
            match change {
                Change::Length(changed) => len = *changed,
                Change::Octets { offset, data } => len = len.max(offset.saturating_add(data.len() as u64)),
                Change::Sync => {}
            }
        }
        Ok(len)
    }

    /// The changes, while they are deferred.
    fn deferred(&self) -> Option<MutexGuard<'_, Vec<Change>>> {
        if !self.is_deferring.load(Ordering::Acquire) {
            return None;
        }
        let changes = self.changes();
        // `apply` may have ended meanwhile.
        self.is_deferring.load(Ordering::Acquire).then_some(changes)
    }

    fn changes(&self) -> MutexGuard<'_, Vec<Change>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of `out`, which begins at `offset` of the file, that lies in `from..to` of it.
fn overlap(offset: u64, out: &mut [u8], from: u64, to: u64) -> &mut [u8] {
    let within = |position: u64| usize::try_from(position.saturating_sub(offset)).unwrap_or(usize::MAX).min(out.len());
    let (first, last) = (within(from), within(to));
    out.get_mut(first..last).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use redb::backends::InMemoryBackend;

    fn all(file: &InMemoryBackend) -> Vec<u8> {
        let mut content = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read(0, &mut content).unwrap();
        content
    }

    fn file_of(content: &[u8]) -> InMemoryBackend {
        let file = InMemoryBackend::new();
        file.set_len(content.len() as u64).unwrap();
        file.write(0, content).unwrap();
        file
    }

    #[derive(Clone, Debug)]
    enum Step {
        Length(u64),
        Write(u64, Vec<u8>),
        Apply,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (0..64_u64).prop_map(Step::Length),
            6 => (0..48_u64, proptest::collection::vec(any::<u8>(), 0..24)).prop_map(|(at, data)| Step::Write(at, data)),
            1 => Just(Step::Apply),
        ];
        proptest::collection::vec(step, 0..16)
    }

    proptest! {
        #[test]
        fn deferred_changes_read_as_made_ones_and_leave_the_file_as_it_is(
            content in proptest::collection::vec(any::<u8>(), 0..64),
            steps in steps(),
            from in 0..64_usize,
            len in 0..64_usize,
        ) {
            let deferred = DeferredChanges::new(file_of(&content));
            let made = file_of(&content);
            let mut is_applied = false;
            for step in steps {
                match step {
                    Step::Length(len) => {
                        deferred.set_len(len).unwrap();
                        made.set_len(len).unwrap();
                    }
                    Step::Write(at, data) => {
                        // redb never writes past the end.
                        if at + data.len() as u64 <= made.len().unwrap() {
                            deferred.write(at, &data).unwrap();
                            made.write(at, &data).unwrap();
                        }
                    }
                    Step::Apply => {
                        deferred.apply().unwrap();
                        is_applied = true;
                    }
                }
            }
            let expected = all(&made);
            prop_assert_eq!(deferred.len().unwrap(), expected.len() as u64);
            let mut part = vec![1; len];
            match expected.get(from..from + len) {
                Some(wanted) => {
                    deferred.read(from as u64, &mut part).unwrap();
                    prop_assert_eq!(part, wanted);
                }
                None => prop_assert!(deferred.read(from as u64, &mut part).is_err()),
            }
            if !is_applied {
                prop_assert_eq!(all(deferred.file()), content);
            }
            deferred.apply().unwrap();
            prop_assert_eq!(all(deferred.file()), expected);
        }
    }
}
