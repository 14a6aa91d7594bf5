//! Whether the Redis that answers is the one that is known, with nothing forgotten.
//!
//! Every operation reads the epoch, which one process made when the store was new, and the sealed mark, whose sequence number every
//! revocation raises. Without the epoch, or with a lower number than was ever seen, revocations are missing: nothing is answered
//! until an operator accepts the loss, which begins an epoch that names those it follows.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use sts_types::{Entropy, Seal, UnixTime};

use super::batch::Replies;
use super::error::RedisStoreError;
use super::lineage::Lineage;
use super::mark::SealedMark;
use super::open_error::RedisOpenError;
use sts_store::backend::Watermark;
use sts_store::backend::codec;
use sts_store::{Alert, Alerts, Fault, Place};

/// The fields of the mark, as [`StoreMark::read`] takes them.
pub(super) const FIELDS: [&str; 2] = ["epoch", "sealed"];
/// The most former epochs that one names: replicas that missed more acceptances want one of their own.
const MOST_FORMER: usize = 32;
const EPOCH_KEY: &[u8] = b"epoch of a sealed mark";
/// Of the epochs of earlier versions, which had no sealed mark. They do not open the new ones: what they would write is not in the sum.
const EARLIER_EPOCH_KEY: &[u8] = b"epoch";

/// What Redis holds about the store as a whole.
#[derive(Clone, Debug, Default)]
pub(super) struct StoreMark {
    /// The sealed epoch.
    pub(super) epoch: Option<Vec<u8>>,
    /// The sealed mark.
    pub(super) sealed: Option<Vec<u8>>,
    /// What it says, once it was judged.
    pub(super) numbers: Arc<SealedMark>,
}

impl StoreMark {
    /// Takes the reply to `HMGET` of the mark's [`FIELDS`].
    pub(super) fn read(replies: &mut Replies) -> Result<Self, RedisStoreError> {
        let [epoch, sealed] = <[_; 2]>::try_from(replies.list()?).map_err(|_| RedisStoreError::Form)?;
        Ok(Self { epoch, sealed, numbers: Arc::default() })
    }
}

/// The time between two losses, named by whoever began it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Epoch {
    id: String,
    /// The epochs before it, whose loss was accepted; the latest first.
    former: Vec<String>,
    since: UnixTime,
}

/// The epoch that is known.
struct KnownEpoch {
    id: String,
    /// As it is stored, once it was seen: the same octets need no seal to be judged.
    stored: Option<Vec<u8>>,
}

#[derive(Default)]
struct LastSeen {
    epoch: Option<KnownEpoch>,
    sequence: u64,
    /// The mark that was opened last.
    opened: Option<(Vec<u8>, Arc<SealedMark>)>,
}

/// Judges marks, and remembers the highest.
pub(super) struct RollbackGuard {
    known: Mutex<LastSeen>,
    doubt: ArcSwapOption<RedisStoreError>,
    unfit: ArcSwapOption<RedisStoreError>,
    /// The epoch that is known, with those before it, once it was seen.
    lineage: ArcSwapOption<Lineage>,
    /// How often another epoch was taken for the one that is known.
    epochs: AtomicU64,
    /// Whether a sealed mark was ever seen. From then on a store without one is not taken over.
    has_seen_sealed: AtomicBool,
    /// The number of rules made in the last mark that was seen.
    rules: AtomicU64,
    file: PathBuf,
    saved: tokio::sync::Mutex<Option<Watermark>>,
    seal: Arc<dyn Seal>,
    alerts: Arc<dyn Alerts>,
}

impl RollbackGuard {
    /// Goes on from what is remembered in `file`.
    pub(super) fn open(file: PathBuf, seal: Arc<dyn Seal>, alerts: Arc<dyn Alerts>) -> Result<Self, RedisOpenError> {
        let saved = Watermark::read(&file)?;
        let known = saved.as_ref().map_or_else(LastSeen::default, |mark| LastSeen {
            epoch: Some(KnownEpoch { id: mark.epoch.clone(), stored: None }),
            sequence: mark.sequence,
            opened: None,
        });
        Ok(Self {
            known: Mutex::new(known),
            doubt: ArcSwapOption::empty(),
            unfit: ArcSwapOption::empty(),
            lineage: ArcSwapOption::empty(),
            epochs: AtomicU64::new(0),
            has_seen_sealed: AtomicBool::new(saved.as_ref().is_some_and(Watermark::is_of_sealed)),
            rules: AtomicU64::new(0),
            file,
            saved: tokio::sync::Mutex::new(saved),
            seal,
            alerts,
        })
    }

    /// Whether an epoch is known; without one, the first that is met is adopted.
    pub(super) fn is_settled(&self) -> bool {
        self.known().epoch.is_some()
    }

    /// Whether the last mark that was seen is in doubt: then look at it before anything is written.
    pub(super) fn has_integrity_error(&self) -> bool {
        self.doubt.load().is_some()
    }

    /// Refuses while Redis is set up such that it may forget.
    pub(super) fn admits(&self) -> Result<(), RedisStoreError> {
        self.unfit.load().as_ref().map_or(Ok(()), |unfit| Err((**unfit).clone()))
    }

    /// Notes whether Redis is set up such that it may forget.
    pub(super) fn note_fitness(&self, fitness: Result<(), RedisStoreError>) {
        self.unfit.store(fitness.err().map(Arc::new));
    }

    /// The number of rules made in the last mark that was seen.
    pub(super) fn rules(&self) -> u64 {
        self.rules.load(Ordering::Acquire)
    }

    /// A number that another epoch raises.
    pub(super) fn epochs(&self) -> u64 {
        self.epochs.load(Ordering::Acquire)
    }

    /// The highest sequence number seen so far: whatever is asked from now on must not be answered with a lower one. Answers that
    /// are under way at once may be read in any order, so each is held to what was known when it was asked for.
    pub(super) fn floor(&self) -> u64 {
        self.known().sequence
    }

    /// Judges `mark`, which was asked for when `floor` was known. `true` when it was higher than any before, so that it should be
    /// saved.
    pub(super) fn check(&self, mark: &mut StoreMark, floor: u64) -> Result<bool, RedisStoreError> {
        let judged = self.check_by(&mut self.known(), mark, floor);
        match &judged {
            Ok(_) if self.has_integrity_error() => {
                self.doubt.store(None);
                tracing::info!("the Redis store is the one that is known again");
            }
            Ok(_) => {}
            Err(doubt) => {
                let news = self.doubt.swap(Some(Arc::new(doubt.clone()))).is_none_or(|before| *before != *doubt);
                if news {
                    self.alerts.raise(Alert { place: Place::Epoch, fault: Fault::Missing });
                    tracing::error!(error = %doubt, "the Redis store is not trusted: nothing is minted and no token is active");
                }
            }
        }
        judged
    }

    fn check_by(&self, known: &mut LastSeen, mark: &mut StoreMark, mut floor: u64) -> Result<bool, RedisStoreError> {
        let stored = mark.epoch.as_ref().ok_or_else(|| {
            doubt(
                "this Redis does not hold the ledger that this sts knows: it was flushed, or it is another one; what was revoked would \
                 come back. Bring its data back, or accept the loss with `sts store accept-epoch`",
            )
        })?;
        let same = known.epoch.as_ref().is_some_and(|held| held.stored.as_ref() == Some(stored));
        let epoch = if same { None } else { Some(self.unseal(stored)?) };
        let sealed = mark.sealed.as_ref().ok_or_else(|| {
            doubt(
                "the mark of the revocations in this Redis was deleted: what was revoked may come back. Bring its data back, or accept \
                 the loss with `sts store accept-epoch`",
            )
        })?;
        let opened = known.opened.as_ref().filter(|(stored, _)| stored == sealed).map(|(_, mark)| Arc::clone(mark));
        let numbers = match opened {
            Some(numbers) => numbers,
            None => Arc::new(self.unseal_mark(sealed)?),
        };
        let id = epoch.as_ref().map(|epoch| &epoch.id).or(known.epoch.as_ref().map(|held| &held.id));
        let other = || {
            doubt(
                "this Redis holds another ledger, or an older copy, than this sts knows: what was revoked may come back. Bring the right \
                 one back, or accept this one with `sts store accept-epoch`",
            )
        };
        if id != Some(&numbers.epoch) {
            return Err(other());
        }
        let follows = match (&epoch, &known.epoch) {
            (Some(epoch), Some(held)) if held.id != epoch.id => {
                if !epoch.former.contains(&held.id) {
                    return Err(other());
                }
                true
            }
            _ => false,
        };
        if follows {
            floor = 0;
        }
        let sequence = numbers.sequence;
        if sequence < floor {
            return Err(doubt(&format!(
                "this Redis is an older copy: it has {sequence} revocations where {floor} were seen; those that are missing would come \
                 back to life. Bring the newer data back, or accept the loss with `sts store accept-epoch`"
            )));
        }
        if follows {
            tracing::warn!("an operator has accepted a loss of the Redis store; this sts follows");
            known.sequence = 0;
            self.epochs.fetch_add(1, Ordering::AcqRel);
        }
        if let Some(epoch) = epoch {
            self.hold(known, epoch, stored);
        }
        if known.opened.as_ref().is_none_or(|(_, held)| !Arc::ptr_eq(held, &numbers)) && sequence >= known.sequence {
            known.opened = Some((sealed.clone(), Arc::clone(&numbers)));
            self.rules.store(numbers.rules, Ordering::Release);
        }
        let raised = !same || sequence > known.sequence;
        known.sequence = known.sequence.max(sequence);
        mark.numbers = numbers;
        Ok(raised)
    }

    fn unseal_mark(&self, sealed: &[u8]) -> Result<SealedMark, RedisStoreError> {
        SealedMark::decode(&*self.seal, sealed).map_err(|fault| {
            if !self.has_integrity_error() {
                self.alerts.raise(Alert { place: Place::Epoch, fault });
            }
            doubt(
                "the mark of the revocations in this Redis was altered: what was revoked may come back. Bring its data back, or accept \
                 the loss with `sts store accept-epoch`",
            )
        })
    }

    /// Whether the epoch of `mark` is that of an earlier version, and the one that this process knew when it ran that version. Then
    /// what is there may be taken over: nothing that was revoked under it is missing.
    pub(super) fn is_known_of_earlier_version(&self, mark: &StoreMark, sequence: u64) -> bool {
        let epoch: Option<Epoch> = mark
            .epoch
            .as_ref()
            .and_then(|stored| codec::open(&*self.seal, Place::Epoch, EARLIER_EPOCH_KEY, stored).ok());
        let known = self.known();
        !self.has_seen_sealed.load(Ordering::Acquire)
            && sequence >= known.sequence
            && epoch.is_some_and(|epoch| known.epoch.as_ref().is_some_and(|held| held.id == epoch.id))
    }

    /// Takes the number that a revocation of our own has brought.
    pub(super) fn raise(&self, sequence: u64) {
        let mut known = self.known();
        known.sequence = known.sequence.max(sequence);
    }

    /// Saves what is known, unless it is saved already.
    pub(super) async fn save(self: &Arc<Self>) {
        let mut saved = self.saved.lock().await;
        let mark = {
            let known = self.known();
            let Some(held) = &known.epoch else { return };
            Watermark::of_sealed(held.id.clone(), known.sequence)
        };
        if saved.as_ref() == Some(&mark) {
            return;
        }
        self.has_seen_sealed.store(true, Ordering::Release);
        let (path, writing) = (self.file.clone(), mark.clone());
        match tokio::task::spawn_blocking(move || writing.write(&path)).await {
            Ok(Ok(())) => *saved = Some(mark),
            Ok(Err(error)) => tracing::error!(%error, "a restart would not notice that revocations are missing"),
            Err(_) => tracing::error!("the highest revocation seen was not saved"),
        }
    }

    /// A new, sealed epoch that follows the one that is known and the one of `mark`; and the mark to begin it with.
    pub(super) fn next_epoch(
        &self,
        mark: &StoreMark,
        entropy: &dyn Entropy,
        now: UnixTime,
    ) -> Result<(Vec<u8>, SealedMark), RedisStoreError> {
        let mut former = Vec::new();
        let known = self.known();
        former.extend(known.epoch.as_ref().map(|held| held.id.clone()));
        let there = mark.epoch.as_ref().and_then(|stored| {
            let open = |key| codec::open::<Epoch>(&*self.seal, Place::Epoch, key, stored).ok();
            open(EPOCH_KEY).or_else(|| open(EARLIER_EPOCH_KEY))
        });
        if let Some(there) = there {
            former.push(there.id);
            former.extend(there.former);
        }
        let mut seen = std::collections::HashSet::new();
        former.retain(|id| seen.insert(id.clone()));
        former.truncate(MOST_FORMER);
        let mut random = [0; 16];
        entropy.fill(&mut random);
        let epoch = Epoch { id: random.iter().map(|byte| format!("{byte:02x}")).collect(), former, since: now };
        let there =
            mark.sealed.as_ref().and_then(|sealed| SealedMark::decode(&*self.seal, sealed).ok()).unwrap_or_default();
        let opened = known.opened.as_ref().map(|(_, mark)| mark.rules).unwrap_or_default();
        // Records remember how many rules there were, so a number that is lost must not begin anew below theirs. Nobody makes a rule
        // each second, hence the time is above all of them.
        let is_new = known.epoch.is_none() && mark.epoch.is_none();
        let since = if is_new { 0 } else { u64::try_from(now.as_secs()).unwrap_or(0) };
        let rules = there.rules.max(opened).max(since);
        let begun = SealedMark {
            epoch: epoch.id.clone(),
            sequence: there.sequence.max(known.sequence),
            changes: there.changes,
            rules,
            ..SealedMark::default()
        };
        let stored =
            codec::seal_value(&*self.seal, Place::Epoch, EPOCH_KEY, &epoch).map_err(|_| RedisStoreError::Form)?;
        Ok((stored, begun))
    }

    /// Takes a mark that an operator has accepted for what is known from now on.
    pub(super) fn accept(&self, mark: &StoreMark) -> Result<(), RedisStoreError> {
        let stored = mark.epoch.as_ref().ok_or(RedisStoreError::Form)?;
        let epoch = self.unseal(stored)?;
        let mut known = self.known();
        self.hold(&mut known, epoch, stored);
        let sealed = mark.sealed.as_ref().ok_or(RedisStoreError::Form)?;
        let numbers = Arc::new(self.unseal_mark(sealed)?);
        known.sequence = numbers.sequence;
        self.rules.store(numbers.rules, Ordering::Release);
        known.opened = Some((sealed.clone(), numbers));
        self.epochs.fetch_add(1, Ordering::AcqRel);
        self.doubt.store(None);
        Ok(())
    }

    /// The epoch that is known, with those before it.
    pub(super) fn lineage(&self) -> Result<Arc<Lineage>, RedisStoreError> {
        self.lineage.load_full().ok_or_else(|| doubt("the epoch of this Redis was not read yet"))
    }

    /// The lineage that begins with a stored epoch.
    pub(super) fn lineage_of(&self, stored: &[u8]) -> Result<Lineage, RedisStoreError> {
        let Epoch { id, former, .. } = self.unseal(stored)?;
        Ok(Lineage { id, former })
    }

    fn hold(&self, known: &mut LastSeen, epoch: Epoch, stored: &[u8]) {
        let Epoch { id, former, .. } = epoch;
        known.epoch = Some(KnownEpoch { id: id.clone(), stored: Some(stored.to_vec()) });
        self.lineage.store(Some(Arc::new(Lineage { id, former })));
    }

    fn unseal(&self, stored: &[u8]) -> Result<Epoch, RedisStoreError> {
        if codec::open::<Epoch>(&*self.seal, Place::Epoch, EARLIER_EPOCH_KEY, stored).is_ok() {
            return Err(doubt(EARLIER));
        }
        codec::open(&*self.seal, Place::Epoch, EPOCH_KEY, stored).map_err(|fault| {
            if !self.has_integrity_error() {
                self.alerts.raise(Alert { place: Place::Epoch, fault });
            }
            doubt(
                "the epoch in this Redis was not written with our key: every sts that shares a Redis needs the same keys \
                 (`signing.keys_dir`); if the keys were replaced on purpose, accept it with `sts store accept-epoch`",
            )
        })
    }

    fn known(&self) -> MutexGuard<'_, LastSeen> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of a store that was not taken over yet.
const EARLIER: &str = "this Redis holds the ledger of an earlier version of sts, whose revocations are not sealed as a whole. A server that \
                       knows it from before takes it over; when none does, accept it with `sts store accept-epoch`";

fn doubt(text: &str) -> RedisStoreError {
    RedisStoreError::Doubt(text.into())
}
