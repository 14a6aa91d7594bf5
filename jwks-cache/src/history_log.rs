//! The history of an entry's keys, on disk.
//!
//! Each entry (or family member) has one file in `history/` under the state directory, with one
//! JSON line per event. A file that would exceed its size limit loses its oldest half. Notes wait
//! in memory until a blocking task writes them, so no lookup waits for the disk.

use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sts_jose::digest_of_parts;
use sts_types::{Durability, create_folder, give_to_owner_of, replace_file};

use crate::Environment;
use crate::entry_ref::LogKey;
use crate::history::{KeySeen, KeySetSeen};
use crate::monotonic_time::MonotonicTime;
use crate::observer::{KeyChangeCause, KeyObserver, KeysChanged};

/// Size limit of a file, in bytes.
const MAX_FILE_BYTES: usize = 1 << 20;
/// How much is read from a file's end. This crate never writes more than that.
const MAX_READ_BYTES: u64 = 2 * MAX_FILE_BYTES as u64;
/// How much is read from a file's end for the latest events.
const MAX_TAIL_BYTES: u64 = 64 * 1024;
/// How many recent sets are held in memory.
const MOST_RECENT: usize = 8;
/// Limit of the events that wait for a disk that fails; the oldest are dropped first.
const MOST_WAITING: usize = 64;
/// Pause after a failed write.
const PAUSE: Duration = Duration::from_secs(60);

/// Where histories are kept.
pub(crate) struct HistoryLog {
    dir: Option<PathBuf>,
    observer: Option<Arc<dyn KeyObserver>>,
    max_bytes: usize,
    next_serial: AtomicU64,
    /// Serialises file operations. Maps each log to the serial of its latest writer, so that a late
    /// fetch for a replaced entry adds nothing after its successor.
    writers: Mutex<HashMap<LogKey, u64>>,
}

/// Content of a log.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Logged {
    pub(crate) events: Vec<KeySetSeen>,
    pub(crate) unreadable: usize,
}

impl Logged {
    /// Adds `noted` if it is news, and returns it as it will be logged.
    fn add(&mut self, noted: &KeySetSeen) -> Option<&KeySetSeen> {
        if !noted.is_news_after(self.events.last()) {
            return None;
        }
        let mut event = noted.clone();
        if self.events.is_empty() {
            // There was no set before that could have expired.
            event.previous_lapsed_at = None;
        }
        self.events.push(event);
        self.events.last()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.unreadable == 0
    }
}

/// Collects and writes the events of one entry.
pub(crate) struct Recorder {
    log: Arc<HistoryLog>,
    key: LogKey,
    serial: u64,
    waiting: Mutex<PendingWrites>,
    /// The recent sets, so that a refusal can be explained without reading the disk.
    recent: Mutex<VecDeque<KeySetSeen>>,
    kids_reused: AtomicU64,
}

#[derive(Default)]
struct PendingWrites {
    notes: VecDeque<Note>,
    is_writing: bool,
    /// No write before this time, after a failed one.
    retry_at: Option<MonotonicTime>,
}

struct Note {
    event: KeySetSeen,
    /// The keys of the previous set, if this process had one. They are known even if the log cannot
    /// be read.
    before: Vec<KeySeen>,
    /// Whether reused kids were reported already.
    is_checked: bool,
}

impl HistoryLog {
    pub(crate) fn new(environment: &Environment) -> Self {
        let dir = environment.state_dir.as_ref().map(|dir| dir.join("history"));
        let observer = environment.observer.clone();
        Self { dir, observer, max_bytes: MAX_FILE_BYTES, next_serial: AtomicU64::new(0), writers: Mutex::default() }
    }

    /// Reads the file of that log. Blocks.
    pub(crate) fn read(&self, key: &LogKey) -> io::Result<Logged> {
        let _writers = lock(&self.writers);
        self.path(key)
            .map_or_else(|| Ok(Logged::default()), |path| load(&path, MAX_READ_BYTES).map(|(logged, _)| logged))
    }

    /// The latest events of that log, at most `limit`, from the end of its file. Skips unreadable
    /// lines. Blocks.
    pub(crate) fn recent(&self, key: &LogKey, limit: usize) -> Vec<KeySetSeen> {
        let _writers = lock(&self.writers);
        let loaded = self.path(key).and_then(|path| load(&path, MAX_TAIL_BYTES).ok());
        let mut events = loaded.map(|(logged, _)| logged.events).unwrap_or_default();
        events.drain(..events.len().saturating_sub(limit));
        events
    }

    fn path(&self, key: &LogKey) -> Option<PathBuf> {
        let name = key.name.as_str().as_bytes();
        let digest = match &key.member {
            None => digest_of_parts(&[name]),
            Some(issuer) => digest_of_parts(&[name, issuer.as_str().as_bytes()]),
        };
        self.dir.as_ref().map(|dir| dir.join(format!("{}.jsonl", digest.to_hex())))
    }
}

impl Recorder {
    /// A recorder that has read the recent sets of its log. Blocks.
    pub(crate) fn new(log: Arc<HistoryLog>, key: LogKey) -> Self {
        let recent = log.recent(&key, MOST_RECENT);
        Self { recent: Mutex::new(recent.into()), ..Self::empty(log, key) }
    }

    /// A recorder without recent sets.
    pub(crate) fn empty(log: Arc<HistoryLog>, key: LogKey) -> Self {
        let serial = log.next_serial.fetch_add(1, Ordering::Relaxed);
        Self { log, key, serial, waiting: Mutex::default(), recent: Mutex::default(), kids_reused: AtomicU64::new(0) }
    }

    /// The last sets, oldest first. Reads no disk.
    pub(crate) fn recent(&self) -> Vec<KeySetSeen> {
        lock(&self.recent).iter().cloned().collect()
    }

    /// How often a kid named another key than before.
    pub(crate) fn kids_reused(&self) -> u64 {
        self.kids_reused.load(Ordering::Relaxed)
    }

    /// Tells the observer that `event` happens, if it brings other keys than the last one, or than
    /// `before` if there was no event yet. To be called before [`Self::note`].
    pub(crate) fn announce(&self, event: &KeySetSeen, before: &[KeySeen], cause: KeyChangeCause) {
        let Some(observer) = &self.log.observer else { return };
        let last = lock(&self.recent).back().map(|last| last.keys.clone());
        let former = last.unwrap_or_else(|| before.to_vec());
        if former.is_empty() {
            return;
        }
        if let Some((added, removed)) = KeysChanged::between(&former, &event.keys) {
            let LogKey { name: entry, member } = self.key.clone();
            observer.keys_changed(KeysChanged { entry, member, cause, source: event.source.clone(), added, removed });
        }
    }

    /// Notes that `event` happened. `before` holds the keys that it replaced.
    pub(crate) fn note(&self, event: KeySetSeen, before: Vec<KeySeen>) {
        {
            let mut recent = lock(&self.recent);
            if event.is_news_after(recent.back()) {
                if recent.len() >= MOST_RECENT {
                    recent.pop_front();
                }
                recent.push_back(event.clone());
            }
        }
        let mut waiting = lock(&self.waiting);
        if waiting.notes.len() >= MOST_WAITING {
            waiting.notes.pop_front();
        }
        waiting.notes.push_back(Note { event, before, is_checked: false });
    }

    /// Whether there is something to write at `now` and no write is running. If true, the caller
    /// must call [`Self::write`].
    pub(crate) fn is_due(&self, now: MonotonicTime) -> bool {
        let mut waiting = lock(&self.waiting);
        let is_due =
            !waiting.notes.is_empty() && !waiting.is_writing && waiting.retry_at.is_none_or(|retry_at| retry_at <= now);
        waiting.is_writing |= is_due;
        is_due
    }

    /// Writes all notes, and warns about kids that name another key than before. Blocks.
    pub(crate) fn write(&self, now: MonotonicTime) {
        let mut writers = lock(&self.log.writers);
        loop {
            let mut notes = {
                let mut waiting = lock(&self.waiting);
                waiting.is_writing = !waiting.notes.is_empty();
                std::mem::take(&mut waiting.notes)
            };
            if notes.is_empty() {
                return;
            }
            // A newer recorder of the same log has written: drop the notes of this one.
            let writer = writers.entry(self.key.clone()).or_insert(self.serial);
            if *writer > self.serial {
                continue;
            }
            *writer = self.serial;
            let result = self.append(notes.make_contiguous());
            let mut waiting = lock(&self.waiting);
            waiting.retry_at = None;
            if let Err(error) = result {
                tracing::warn!(entry = %self.key.name, "the history of the issuer keys was not written and will be retried: {error}");
                notes.append(&mut waiting.notes);
                let excess = notes.len().saturating_sub(MOST_WAITING);
                waiting.notes = notes.split_off(excess);
                waiting.retry_at = Some(now.plus(PAUSE));
                waiting.is_writing = false;
                return;
            }
        }
    }

    /// The log and the notes that are not written yet. Writes nothing. Blocks.
    pub(crate) fn read(&self) -> io::Result<Logged> {
        let writers = lock(&self.log.writers);
        let mut logged = match self.log.path(&self.key) {
            Some(path) => load(&path, MAX_READ_BYTES)?.0,
            None => Logged::default(),
        };
        if writers.get(&self.key).is_none_or(|writer| *writer <= self.serial) {
            for note in &lock(&self.waiting).notes {
                logged.add(&note.event);
            }
        }
        Ok(logged)
    }

    fn append(&self, notes: &mut [Note]) -> io::Result<()> {
        let path = self.log.path(&self.key);
        let loaded =
            path.as_deref().map_or_else(|| Ok((Logged::default(), Vec::new())), |path| load(path, MAX_READ_BYTES));
        // Report reused kids even if the log cannot be read.
        let (mut logged, content, failed) = match loaded {
            Ok((logged, content)) => (logged, content, None),
            Err(error) => (Logged::default(), Vec::new(), Some(error)),
        };
        let mut lines = Vec::new();
        for note in notes {
            if !note.is_checked {
                note.is_checked = true;
                let earlier = logged.events.iter().flat_map(|event| &event.keys).chain(&note.before);
                for kid in note.event.reused_kids(earlier) {
                    self.kids_reused.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(entry = %self.key.name, kid = kid.as_str(), "a kid of the issuer names another key than before");
                }
            }
            if let Some(event) = logged.add(&note.event) {
                serde_json::to_writer(&mut lines, event)?;
                lines.push(b'\n');
            }
        }
        match (path, failed) {
            (_, Some(error)) => Err(error),
            (Some(path), None) if !lines.is_empty() => store(&path, &content, &lines, self.log.max_bytes),
            _ => Ok(()),
        }
    }
}

/// The events in the last `limit` bytes of the file, and these bytes. A missing file counts as
/// empty.
fn load(path: &Path, limit: u64) -> io::Result<(Logged, Vec<u8>)> {
    let mut content = Vec::new();
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Logged::default(), content)),
        Err(error) => return Err(error),
        Ok(mut file) => {
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(limit)))?;
            file.take(limit).read_to_end(&mut content)?;
        }
    }
    let mut logged = Logged::default();
    for line in content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(event) => logged.events.push(event),
            Err(_) => logged.unreadable += 1,
        }
    }
    Ok((logged, content))
}

/// Appends whole `lines` to a file with that `content`, in one write. Only its owner may read the
/// file.
fn store(path: &Path, content: &[u8], lines: &[u8], max_bytes: usize) -> io::Result<()> {
    let is_torn = content.last().is_some_and(|last| *last != b'\n');
    // A torn line stays as it is. The line feed keeps it from merging with the next line.
    let mut added = if is_torn { vec![b'\n'] } else { Vec::new() };
    added.extend_from_slice(lines);
    if let Some(dir) = path.parent() {
        if let Some(state_dir) = dir.parent() {
            create_folder(state_dir)?;
        }
        create_folder(dir)?;
    }
    if content.len() + added.len() <= max_bytes {
        let mut file = open_to_append(path)?;
        file.write_all(&added)?;
        return file.sync_data();
    }
    let mut whole = newest(content, max_bytes / 2).to_vec();
    whole.extend_from_slice(&added);
    let whole = newest(&whole, max_bytes);
    replace_file(path, whole, Durability::Durable)
}

/// Opens the file at `path`, or creates it.
fn open_to_append(path: &Path) -> io::Result<File> {
    match OpenOptions::new().append(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => {
            give_to_owner_of(path.parent().unwrap_or(Path::new(".")), &file)?;
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => OpenOptions::new().append(true).open(path),
        Err(error) => Err(error),
    }
}

/// The whole lines at the end of `content` that fit in `limit` bytes.
fn newest(content: &[u8], limit: usize) -> &[u8] {
    let Some(start) = content.len().checked_sub(limit).filter(|start| *start > 0) else { return content };
    // Skip the line that the cut goes through, unless the cut is between two lines.
    let before = content.get(start - 1..).unwrap_or_default();
    let skipped = before.iter().position(|byte| *byte == b'\n').map_or(before.len(), |index| index + 1);
    before.get(skipped..).unwrap_or_default()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use sts_types::{Algorithm, EntryName, Issuer, Kid, UnixTime};

    use super::*;
    use crate::history::SeenFrom;

    const NOW: MonotonicTime = MonotonicTime::EPOCH;

    fn log(dir: &Path, max_bytes: usize) -> Arc<HistoryLog> {
        Arc::new(HistoryLog {
            observer: None,
            dir: Some(dir.to_owned()),
            max_bytes,
            next_serial: AtomicU64::new(0),
            writers: Mutex::default(),
        })
    }

    fn name() -> LogKey {
        LogKey::entry(EntryName::new("e").unwrap())
    }

    fn seen(at: i64) -> KeySetSeen {
        let key = KeySeen {
            kid: Some(Kid::new(&format!("k{at}")).unwrap()),
            algorithm: Algorithm::ES256,
            thumbprint: at.to_string(),
        };
        KeySetSeen {
            at: UnixTime::from_secs(at),
            issuer: Issuer::new("https://issuer.example").unwrap(),
            source: SeenFrom::Discovery(None),
            keys: vec![key],
            previous_lapsed_at: None,
        }
    }

    fn write(recorder: &Recorder, event: KeySetSeen) {
        recorder.note(event, Vec::new());
        recorder.write(NOW);
    }

    fn times(logged: &Logged) -> Vec<i64> {
        logged.events.iter().map(|event| event.at.as_secs()).collect()
    }

    #[test]
    fn past_its_bound_a_file_loses_its_oldest_half_and_no_line_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), 4000);
        let recorder = Recorder::new(Arc::clone(&log), name());
        let mut kept = 0;
        let mut has_shrunk = false;
        for at in 100..200 {
            write(&recorder, seen(at));
            let logged = log.read(&name()).unwrap();
            let expected: Vec<i64> = (at + 1 - i64::try_from(logged.events.len()).unwrap()..=at).collect();
            assert_eq!((times(&logged), logged.unreadable), (expected, 0));
            if logged.events.len() <= kept {
                has_shrunk = true;
                assert!(logged.events.len() >= kept / 2, "{kept} became {}", logged.events.len());
            }
            kept = logged.events.len();
            let files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap()).collect();
            assert_eq!(files.len(), 1);
            let metadata = files[0].metadata().unwrap();
            assert!(metadata.len() <= 4000);
            assert_eq!(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777, 0o600);
        }
        assert!(has_shrunk);
    }

    #[test]
    fn a_file_torn_anywhere_loses_its_last_line_at_most_and_takes_new_ones() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), MAX_FILE_BYTES);
        let recorder = Recorder::new(Arc::clone(&log), name());
        write(&recorder, seen(1));
        let path = log.path(&name()).unwrap();
        let first = fs::read(&path).unwrap().len();
        write(&recorder, seen(2));
        let whole = fs::read(&path).unwrap();
        for cut in first..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            write(&recorder, seen(3));
            let logged = log.read(&name()).unwrap();
            // A line that lacks only its line feed is complete.
            let expected = if cut == whole.len() - 1 { vec![1, 2, 3] } else { vec![1, 3] };
            assert_eq!(times(&logged), expected, "cut at {cut}");
            assert_eq!(logged.unreadable, usize::from(cut != first && cut != whole.len() - 1), "cut at {cut}");
        }
    }

    #[test]
    fn what_says_nothing_new_is_not_logged() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), MAX_FILE_BYTES);
        let recorder = Recorder::new(Arc::clone(&log), name());
        let with = |at: i64, bend: &dyn Fn(&mut KeySetSeen)| {
            let mut event = KeySetSeen { at: UnixTime::from_secs(at), ..seen(1) };
            bend(&mut event);
            write(&recorder, event);
        };
        with(1, &|event| event.previous_lapsed_at = Some(UnixTime::from_secs(0)));
        with(2, &|_| ());
        with(3, &|event| event.source = SeenFrom::Disk);
        with(4, &|event| event.source = SeenFrom::Inline);
        with(5, &|event| event.source = SeenFrom::Inline);
        with(6, &|event| {
            event.source = SeenFrom::Inline;
            event.previous_lapsed_at = Some(UnixTime::from_secs(5));
        });
        with(7, &|event| {
            event.source = SeenFrom::Inline;
            event.issuer = Issuer::new("https://other.example").unwrap();
        });
        let logged = log.read(&name()).unwrap();
        assert_eq!(times(&logged), [1, 4, 6, 7]);
        assert_eq!(logged.events[0].previous_lapsed_at, None);
        assert_eq!(logged.events[2].previous_lapsed_at, Some(UnixTime::from_secs(5)));
    }

    #[test]
    fn a_write_that_fails_is_tried_again_after_a_pause_and_nothing_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let blocked = dir.path().join("history");
        fs::write(&blocked, "").unwrap();
        let log = log(&blocked, MAX_FILE_BYTES);
        let recorder = Recorder::new(Arc::clone(&log), name());
        recorder.note(seen(1), Vec::new());
        assert!(recorder.is_due(NOW));
        assert!(!recorder.is_due(NOW), "one writer at a time");
        recorder.write(NOW);
        recorder.note(seen(2), Vec::new());
        assert!(!recorder.is_due(NOW));
        fs::remove_file(&blocked).unwrap();
        assert_eq!(times(&recorder.read().unwrap()), [1, 2], "what waits is told already");
        assert!(!blocked.exists(), "looking writes nothing");
        assert!(recorder.is_due(NOW.plus(PAUSE)));
        recorder.write(NOW.plus(PAUSE));
        assert_eq!(times(&log.read(&name()).unwrap()), [1, 2]);
        assert!(!recorder.is_due(NOW.plus(PAUSE)));
    }

    #[test]
    fn what_waits_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let recorder = Recorder::new(log(dir.path(), MAX_FILE_BYTES), name());
        for at in 0..200 {
            recorder.note(seen(at), Vec::new());
        }
        assert_eq!(times(&recorder.read().unwrap()), (200 - 64..200).collect::<Vec<_>>());
    }

    #[test]
    fn an_entry_that_was_replaced_adds_nothing_after_its_successor() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), MAX_FILE_BYTES);
        let (old, new) = (Recorder::new(Arc::clone(&log), name()), Recorder::new(Arc::clone(&log), name()));
        write(&old, seen(1));
        write(&new, seen(2));
        write(&old, seen(3));
        assert_eq!(times(&log.read(&name()).unwrap()), [1, 2]);
        assert!(!old.is_due(NOW));
    }
}
