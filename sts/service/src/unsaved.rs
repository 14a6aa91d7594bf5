//! Last uses that the store does not have yet.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most uses in one write. A store that is shared is not held up, and little is lost if it fails.
const BATCH: usize = 1000;

/// Last uses that the store does not have yet. Saving them is a background task's work, so that a
/// use costs no write.
#[derive(Debug)]
pub struct Unsaved<K, V>(Mutex<HashMap<K, V>>);

impl<K, V> Default for Unsaved<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, V: Clone + PartialEq> Unsaved<K, V> {
    /// Notes a use. It takes the place of an earlier one.
    pub fn note(&self, key: K, last: V) {
        self.noted().insert(key, last);
    }

    /// The use of `key`, if it is not saved yet.
    pub fn of(&self, key: &K) -> Option<V> {
        self.noted().get(key).cloned()
    }

    /// Writes what is noted, batch by batch. A use stays noted until it is written. So it is saved
    /// again if the write fails, or if the server stops in the middle of it and saves at the end.
    ///
    /// # Errors
    /// The error of the first write that fails.
    pub async fn save<E, W: Future<Output = Result<(), E>>>(
        &self,
        mut write: impl FnMut(Vec<(K, V)>) -> W,
    ) -> Result<(), E> {
        let unsaved: Vec<(K, V)> = self.noted().iter().map(|(key, last)| (key.clone(), last.clone())).collect();
        for batch in unsaved.chunks(BATCH) {
            write(batch.to_vec()).await?;
            let mut noted = self.noted();
            for (key, last) in batch {
                // A later use was noted meanwhile.
                if noted.get(key) == Some(last) {
                    noted.remove(key);
                }
            }
        }
        Ok(())
    }

    fn noted(&self) -> MutexGuard<'_, HashMap<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn noted(count: usize) -> Unsaved<usize, usize> {
        let uses = Unsaved::default();
        (0..count).for_each(|key| uses.note(key, 1));
        uses
    }

    #[tokio::test]
    async fn uses_are_written_in_batches_and_forgotten_once_they_are() {
        let (uses, mut batches) = (noted(2 * BATCH + 1), Vec::new());
        let saved = uses.save(|batch| {
            batches.push(batch.len());
            ready(if batches.len() < 3 { Ok(()) } else { Err("away") })
        });
        assert_eq!(saved.await, Err("away"));
        assert_eq!(batches, [BATCH, BATCH, 1]);
        let mut rest = Vec::new();
        uses.save(|batch| {
            rest.extend(batch);
            ready(Ok::<_, ()>(()))
        })
        .await
        .unwrap();
        assert_eq!(rest.len(), 1, "the others were written");
        uses.save(|_| ready(Err("nothing is left"))).await.unwrap();
    }

    #[tokio::test]
    async fn a_use_that_comes_during_the_write_is_kept() {
        let uses = noted(2);
        let write = |_| {
            uses.note(1, 2);
            ready(Ok::<_, ()>(()))
        };
        uses.save(write).await.unwrap();
        assert_eq!((uses.of(&0), uses.of(&1)), (None, Some(2)));
    }

    #[tokio::test]
    async fn uses_whose_write_is_broken_off_are_saved_at_the_end() {
        let uses = noted(2);
        {
            let mut saving = std::pin::pin!(uses.save(|_| pending::<Result<(), ()>>()));
            assert_eq!(saving.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
        }
        let mut written = 0;
        uses.save(|batch| {
            written += batch.len();
            ready(Ok::<_, ()>(()))
        })
        .await
        .unwrap();
        assert_eq!(written, 2);
    }
}
