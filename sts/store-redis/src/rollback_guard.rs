//! Detects a Redis that was rolled back, flushed or exchanged.
//!
//! Every operation reads two values. One process writes the epoch when the store is new. Every
//! revocation raises the sequence number of the sealed mark. If the epoch is missing, or the number
//! is lower than one we saw before, then revocations are missing. In that case the store answers
//! nothing until an operator accepts the loss. Acceptance begins a new epoch that names the epochs
//! before it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use sts_types::{Entropy, Seal, UnixTime};

use super::error::RedisStoreError;
use super::integrity::{ABSENT, EARLIER, FOREIGN, OTHER_LEDGER, WITHOUT_MARK, integrity_error};
use super::lineage::Lineage;
use super::mark::{ObjectsMark, SealedMark};
use super::open_error::RedisOpenError;
use super::store_mark::StoreMark;
use sts_store::backend::Watermark;
use sts_store::backend::codec;
use sts_store::{Alert, Alerts, Fault, Place};

/// The most former epochs that an epoch names. A replica that missed more acceptances than that
/// needs an acceptance of its own.
const MOST_FORMER: usize = 32;
const EPOCH_KEY: &[u8] = b"epoch of a sealed mark";
/// The key for epochs of earlier versions, which had no sealed mark. It differs from [`EPOCH_KEY`],
/// so an old server cannot open a new epoch and write revocations that the sum does not cover.
const EARLIER_EPOCH_KEY: &[u8] = b"epoch";

/// The time between two accepted losses.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Epoch {
    id: String,
    /// The epochs before this one, whose loss an operator accepted. Latest first.
    former: Vec<String>,
    since: UnixTime,
}

/// The epoch that this process trusts.
struct KnownEpoch {
    id: String,
    /// The sealed octets, once we have seen them. Equal octets need no second unsealing.
    stored: Option<Vec<u8>>,
}

#[derive(Default)]
struct LastSeen {
    epoch: Option<KnownEpoch>,
    sequence: u64,
    /// The mark that was opened last, sealed and in plain.
    opened: Option<(Vec<u8>, Arc<SealedMark>)>,
}

/// A mark, unsealed.
struct OpenedMark {
    /// `None` if it is the trusted epoch.
    epoch: Option<Epoch>,
    numbers: Arc<SealedMark>,
}

/// Checks each mark and remembers the highest one.
pub(super) struct RollbackGuard {
    last_seen: Mutex<LastSeen>,
    integrity_error: ArcSwapOption<RedisStoreError>,
    unfit: ArcSwapOption<RedisStoreError>,
    /// The trusted epoch and its former ones, once it was read.
    lineage: ArcSwapOption<Lineage>,
    /// How often this process switched to another epoch.
    epochs: AtomicU64,
    /// Whether this process ever saw a sealed mark. After that it never takes a store without one
    /// over.
    has_seen_sealed: AtomicBool,
    /// The number of rules ever made, according to the last mark.
    rules: AtomicU64,
    file: PathBuf,
    saved: tokio::sync::Mutex<Option<Watermark>>,
    seal: Arc<dyn Seal>,
    alerts: Arc<dyn Alerts>,
}

impl RollbackGuard {
    /// Continues from what `file` remembers.
    pub(super) fn open(file: PathBuf, seal: Arc<dyn Seal>, alerts: Arc<dyn Alerts>) -> Result<Self, RedisOpenError> {
        let saved = Watermark::read(&file)?;
        let last_seen = saved.as_ref().map_or_else(LastSeen::default, |mark| LastSeen {
            epoch: Some(KnownEpoch { id: mark.epoch.clone(), stored: None }),
            sequence: mark.sequence,
            opened: None,
        });
        Ok(Self {
            last_seen: Mutex::new(last_seen),
            integrity_error: ArcSwapOption::empty(),
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

    /// Whether this process already trusts an epoch. If not, it adopts the first one it meets.
    pub(super) fn is_settled(&self) -> bool {
        self.last_seen().epoch.is_some()
    }

    /// Whether the last mark failed its check. Nothing may be written until a new mark passes.
    pub(super) fn has_integrity_error(&self) -> bool {
        self.integrity_error.load().is_some()
    }

    /// Fails while the settings of Redis allow it to evict keys.
    pub(super) fn admits(&self) -> Result<(), RedisStoreError> {
        self.unfit.load().as_ref().map_or(Ok(()), |unfit| Err((**unfit).clone()))
    }

    /// Records whether the settings of Redis allow it to evict keys.
    pub(super) fn note_fitness(&self, fitness: Result<(), RedisStoreError>) {
        self.unfit.store(fitness.err().map(Arc::new));
    }

    /// The number of rules ever made, according to the last mark.
    pub(super) fn rules(&self) -> u64 {
        self.rules.load(Ordering::Acquire)
    }

    /// A counter that rises with every switch to another epoch.
    pub(super) fn epochs(&self) -> u64 {
        self.epochs.load(Ordering::Acquire)
    }

    /// The highest sequence number seen so far. A request that is sent from now on must not be
    /// answered with a lower one. Replies to concurrent requests can be read in any order, so each
    /// reply is compared with the floor at the time of its request.
    pub(super) fn floor(&self) -> u64 {
        self.last_seen().sequence
    }

    /// Checks `mark`, whose request was sent when the floor was `floor`. Returns `true` if the mark
    /// is higher than any before, so that it should be saved.
    pub(super) fn check(&self, mark: &mut StoreMark, floor: u64) -> Result<bool, RedisStoreError> {
        let verdict = self.check_by(&mut self.last_seen(), mark, floor);
        match &verdict {
            Ok(_) if self.has_integrity_error() => {
                self.integrity_error.store(None);
                tracing::info!("the Redis store is the one that is known again");
            }
            Ok(_) => {}
            Err(integrity_error) => {
                let is_new_error = self
                    .integrity_error
                    .swap(Some(Arc::new(integrity_error.clone())))
                    .is_none_or(|before| *before != *integrity_error);
                if is_new_error {
                    self.alerts.raise(Alert { place: Place::Epoch, fault: Fault::Missing });
                    tracing::error!(error = %integrity_error, "the Redis store is not trusted: nothing is minted and no token is active");
                }
            }
        }
        verdict
    }

    fn check_by(&self, last_seen: &mut LastSeen, mark: &mut StoreMark, floor: u64) -> Result<bool, RedisStoreError> {
        let OpenedMark { epoch, numbers } = self.open_mark(last_seen, mark)?;
        let is_new_epoch = epoch.is_some();
        let follows = follows(last_seen, epoch.as_ref(), &numbers)?;
        // An operator accepted a loss, so the numbers may be lower than those seen before.
        let floor = if follows { 0 } else { floor };
        let sequence = numbers.sequence;
        if sequence < floor {
            return Err(integrity_error(&format!(
                "this Redis is an older copy: its last change is number {sequence} where number {floor} was seen; what was revoked or \
                 removed since would come back to life. Bring the newer data back, or accept the loss with `sts store accept-epoch`"
            )));
        }
        if follows {
            tracing::warn!("an operator has accepted a loss of the Redis store; this sts follows");
            last_seen.sequence = 0;
            self.epochs.fetch_add(1, Ordering::AcqRel);
        }
        if let (Some(epoch), Some(stored)) = (epoch, &mark.epoch) {
            self.hold(last_seen, epoch, stored);
        }
        // Replies can arrive out of order. Keep the newest mark only.
        if last_seen.opened.as_ref().is_none_or(|(_, last_mark)| !Arc::ptr_eq(last_mark, &numbers))
            && sequence >= last_seen.sequence
            && let Some(sealed) = &mark.sealed
        {
            last_seen.opened = Some((sealed.clone(), Arc::clone(&numbers)));
            self.rules.store(numbers.rules, Ordering::Release);
        }
        let raised = is_new_epoch || sequence > last_seen.sequence;
        last_seen.sequence = last_seen.sequence.max(sequence);
        mark.numbers = numbers;
        Ok(raised)
    }

    /// Unseals epoch and mark, unless they are the last ones seen.
    fn open_mark(&self, last_seen: &LastSeen, mark: &StoreMark) -> Result<OpenedMark, RedisStoreError> {
        let stored =
            mark.epoch.as_ref().ok_or_else(|| integrity_error(if mark.is_foreign { FOREIGN } else { ABSENT }))?;
        let is_same_epoch =
            last_seen.epoch.as_ref().is_some_and(|known_epoch| known_epoch.stored.as_ref() == Some(stored));
        let epoch = if is_same_epoch { None } else { Some(self.unseal(stored)?) };
        let sealed = mark.sealed.as_ref().ok_or_else(|| integrity_error(WITHOUT_MARK))?;
        let opened = last_seen.opened.as_ref().filter(|(stored, _)| stored == sealed).map(|(_, mark)| Arc::clone(mark));
        let numbers = match opened {
            Some(numbers) => numbers,
            None => Arc::new(self.unseal_mark(sealed)?),
        };
        Ok(OpenedMark { epoch, numbers })
    }

    fn unseal_mark(&self, sealed: &[u8]) -> Result<SealedMark, RedisStoreError> {
        SealedMark::decode(&*self.seal, sealed).map_err(|fault| {
            if !self.has_integrity_error() {
                self.alerts.raise(Alert { place: Place::Epoch, fault });
            }
            integrity_error(
                "the mark of the revocations in this Redis was altered: what was revoked may come back. Bring its data back, or accept \
                 the loss with `sts store accept-epoch`",
            )
        })
    }

    /// Whether `mark` has the epoch of an earlier version, and this process trusted that epoch when
    /// it ran that version. Only then may the store be taken over, because no revocation is missing
    /// from it.
    pub(super) fn is_known_of_earlier_version(&self, mark: &StoreMark, sequence: u64) -> bool {
        let epoch: Option<Epoch> = mark
            .epoch
            .as_ref()
            .and_then(|stored| codec::open(&*self.seal, Place::Epoch, EARLIER_EPOCH_KEY, stored).ok());
        let last_seen = self.last_seen();
        !self.has_seen_sealed.load(Ordering::Acquire)
            && sequence >= last_seen.sequence
            && epoch.is_some_and(|epoch| last_seen.epoch.as_ref().is_some_and(|known_epoch| known_epoch.id == epoch.id))
    }

    /// Raises the floor after a revocation of our own.
    pub(super) fn raise(&self, sequence: u64) {
        let mut last_seen = self.last_seen();
        last_seen.sequence = last_seen.sequence.max(sequence);
    }

    /// Writes the epoch and the highest number to the file, unless they are there already.
    pub(super) async fn save(self: &Arc<Self>) {
        let mut saved = self.saved.lock().await;
        let mark = {
            let last_seen = self.last_seen();
            let Some(known_epoch) = &last_seen.epoch else { return };
            Watermark::of_sealed(known_epoch.id.clone(), last_seen.sequence)
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

    /// Creates the epoch that follows the trusted one and the one of `mark`. Returns it sealed,
    /// with the mark to begin it with.
    pub(super) fn next_epoch(
        &self,
        mark: &StoreMark,
        entropy: &dyn Entropy,
        now: UnixTime,
    ) -> Result<(Vec<u8>, SealedMark), RedisStoreError> {
        let mut former = Vec::new();
        let last_seen = self.last_seen();
        former.extend(last_seen.epoch.as_ref().map(|known_epoch| known_epoch.id.clone()));
        // Where the epoch itself is gone, this process still knows which ones it followed.
        if let Some(lineage) = &*self.lineage.load() {
            former.extend(lineage.former.iter().cloned());
        }
        let current = mark.epoch.as_ref().and_then(|stored| {
            let open = |key| codec::open::<Epoch>(&*self.seal, Place::Epoch, key, stored).ok();
            open(EPOCH_KEY).or_else(|| open(EARLIER_EPOCH_KEY))
        });
        if let Some(current) = current {
            former.push(current.id);
            former.extend(current.former);
        }
        let mut seen = std::collections::HashSet::new();
        former.retain(|id| seen.insert(id.clone()));
        former.truncate(MOST_FORMER);
        let mut random = [0; 16];
        entropy.fill(&mut random);
        let epoch = Epoch { id: random.iter().map(|byte| format!("{byte:02x}")).collect(), former, since: now };
        let current =
            mark.sealed.as_ref().and_then(|sealed| SealedMark::decode(&*self.seal, sealed).ok()).unwrap_or_default();
        let opened = last_seen.opened.as_ref().map(|(_, mark)| Arc::clone(mark)).unwrap_or_default();
        // Records store how many rules existed at their issue, so a lost counter must not restart
        // below theirs. Nobody makes a rule every second, hence the Unix time is above all of them.
        let is_new = last_seen.epoch.is_none() && mark.epoch.is_none() && !mark.is_foreign;
        let since = if is_new { 0 } else { u64::try_from(now.as_secs()).unwrap_or(0) };
        let rules = current.rules.max(opened.rules).max(since);
        let begun = SealedMark {
            epoch: epoch.id.clone(),
            sequence: current.sequence.max(last_seen.sequence),
            changes: current.changes,
            rules,
            objects: ObjectsMark {
                sequence: current.objects.sequence.max(opened.objects.sequence),
                ..ObjectsMark::default()
            },
            ..SealedMark::default()
        };
        let stored =
            codec::seal_value(&*self.seal, Place::Epoch, EPOCH_KEY, &epoch).map_err(|_| RedisStoreError::Form)?;
        Ok((stored, begun))
    }

    /// Trusts `mark` from now on, because an operator has accepted it.
    pub(super) fn accept(&self, mark: &StoreMark) -> Result<(), RedisStoreError> {
        let stored = mark.epoch.as_ref().ok_or(RedisStoreError::Form)?;
        let epoch = self.unseal(stored)?;
        let mut last_seen = self.last_seen();
        self.hold(&mut last_seen, epoch, stored);
        let sealed = mark.sealed.as_ref().ok_or(RedisStoreError::Form)?;
        let numbers = Arc::new(self.unseal_mark(sealed)?);
        last_seen.sequence = numbers.sequence;
        self.rules.store(numbers.rules, Ordering::Release);
        last_seen.opened = Some((sealed.clone(), numbers));
        self.epochs.fetch_add(1, Ordering::AcqRel);
        self.integrity_error.store(None);
        Ok(())
    }

    /// The trusted epoch and its former ones.
    pub(super) fn lineage(&self) -> Result<Arc<Lineage>, RedisStoreError> {
        self.lineage.load_full().ok_or_else(|| integrity_error("the epoch of this Redis was not read yet"))
    }

    /// The lineage of a sealed epoch.
    pub(super) fn lineage_of(&self, stored: &[u8]) -> Result<Lineage, RedisStoreError> {
        let Epoch { id, former, .. } = self.unseal(stored)?;
        Ok(Lineage { id, former })
    }

    fn hold(&self, last_seen: &mut LastSeen, epoch: Epoch, stored: &[u8]) {
        let Epoch { id, former, .. } = epoch;
        last_seen.epoch = Some(KnownEpoch { id: id.clone(), stored: Some(stored.to_vec()) });
        self.lineage.store(Some(Arc::new(Lineage { id, former })));
    }

    fn unseal(&self, stored: &[u8]) -> Result<Epoch, RedisStoreError> {
        if codec::open::<Epoch>(&*self.seal, Place::Epoch, EARLIER_EPOCH_KEY, stored).is_ok() {
            return Err(integrity_error(EARLIER));
        }
        codec::open(&*self.seal, Place::Epoch, EPOCH_KEY, stored).map_err(|fault| {
            if !self.has_integrity_error() {
                self.alerts.raise(Alert { place: Place::Epoch, fault });
            }
            integrity_error(
                "the epoch in this Redis was not written with our key: every sts that shares a Redis needs the same keys \
                 (`signing.keys_dir`); if the keys were replaced on purpose, accept it with `sts store accept-epoch`",
            )
        })
    }

    fn last_seen(&self) -> MutexGuard<'_, LastSeen> {
        self.last_seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the mark begins an epoch that follows the trusted one. Fails if it belongs to another
/// ledger.
fn follows(last_seen: &LastSeen, epoch: Option<&Epoch>, numbers: &SealedMark) -> Result<bool, RedisStoreError> {
    let id = epoch.map(|epoch| &epoch.id).or(last_seen.epoch.as_ref().map(|known_epoch| &known_epoch.id));
    if id != Some(&numbers.epoch) {
        return Err(integrity_error(OTHER_LEDGER));
    }
    match (epoch, &last_seen.epoch) {
        (Some(epoch), Some(known_epoch)) if known_epoch.id != epoch.id => {
            if epoch.former.contains(&known_epoch.id) {
                Ok(true)
            } else {
                Err(integrity_error(OTHER_LEDGER))
            }
        }
        _ => Ok(false),
    }
}
