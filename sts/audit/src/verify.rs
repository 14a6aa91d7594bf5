//! Verification of audit files: whether any line was changed, cut, added or moved.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Seek as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;
use serde::Deserialize as _;
use sts_types::{UnixTime, hex};

use crate::chain::{ChainHead, SealedLine, Sha256};
use crate::event::FileCause;
use crate::file::{CHECKPOINT_LINES, CHECKPOINT_SLACK, CHECKPOINT_TIME};

const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
/// How often the rest of a torn line is looked for in a file that a process writes.
const TORN_ATTEMPTS: u32 = 20;
/// The pause between two attempts.
const TORN_PAUSE: Duration = Duration::from_millis(25);

/// Checks the signatures of checkpoints.
pub trait CheckpointVerifier {
    /// The payload of the compact JWS.
    ///
    /// # Errors
    /// Why it proves nothing.
    fn verify(&self, jws: &str) -> Result<Vec<u8>, SignatureFault>;
}

/// Why a signature proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureFault {
    /// No key at hand has this `kid`.
    UnknownKey(String),
    /// It is not a signature by the key that it names.
    Invalid,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// The files in the order of their lines, as far as they were read.
    pub files: Vec<VerifiedFile>,
    /// The first thing that is wrong. Nothing after it was looked at.
    pub problem: Option<Problem>,
    /// Where the writer itself noticed that lines were taken away. The chain goes on behind.
    pub losses: Vec<FileLoss>,
    /// How many checkpoints there are.
    pub checkpoints: u64,
    /// The lines that verified checkpoints cover: a range for each part of the chain, since no checkpoint
    /// proves what stands before a gap. Empty if no keys were given.
    pub signed: Vec<LineRange>,
    /// The lines right before gaps that no checkpoint covers: none that is verified, if keys were given.
    pub unproven: Vec<LineRange>,
    /// The lines that a crash had left without a checkpoint, and that a later start covered with one.
    pub resumed: Vec<LineRange>,
    /// The first key without which a checkpoint behind the last verified one could not be verified.
    pub unknown_key: Option<String>,
    /// How many lines follow the last checkpoint: the last verified one, if keys were given. Lines before
    /// a gap do not count.
    pub lines_after_checkpoint: u64,
    /// The time in the first of these lines, in epoch seconds, if it has one.
    pub uncovered_since: Option<i64>,
    /// How many bytes at the end are no whole line.
    pub torn_bytes: u64,
    /// Whether a process holds the lock of the last file to write it.
    pub is_live: bool,
}

/// Lines of the chain, by the numbers of the first and the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineRange {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

/// How the last file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileEnd {
    /// In a checkpoint that covers every line.
    Complete,
    /// In lines whose checkpoint is not due yet. A process is writing the file.
    Pending,
    /// In lines whose checkpoint is overdue, although a process is writing the file.
    Overdue,
    /// In lines without a checkpoint, or within a line.
    Unfinished,
}

impl VerifyReport {
    /// The last line that a verified checkpoint covers.
    #[must_use]
    pub fn signed_until(&self) -> Option<u64> {
        self.signed.last().map(|range| range.last)
    }

    /// How the last file ends, at `now`. A running writer excuses only the lines that it may still
    /// hold without a checkpoint, and no torn line.
    #[must_use]
    pub fn end(&self, now: UnixTime) -> FileEnd {
        let lines = self.lines_after_checkpoint;
        if self.torn_bytes > 0 || (lines > 0 && !self.is_live) {
            return FileEnd::Unfinished;
        }
        let latest = i64::try_from((CHECKPOINT_TIME + CHECKPOINT_SLACK).as_secs()).unwrap_or(i64::MAX);
        let is_late = self.uncovered_since.is_none_or(|since| now.as_secs().saturating_sub(since) > latest);
        match lines {
            0 => FileEnd::Complete,
            _ if lines > CHECKPOINT_LINES || is_late => FileEnd::Overdue,
            _ => FileEnd::Pending,
        }
    }
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedFile {
    /// Its path.
    pub path: PathBuf,
    /// The number of its first line in the chain.
    pub first: u64,
    /// The number of its last line in the chain.
    pub last: u64,
}

/// A place where the writer found that another program had taken the file, or lines of it, away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLoss {
    /// The file that begins there.
    pub path: PathBuf,
    /// What happened to the file before.
    pub cause: FileCause,
    /// The lines that are not there. `None` if no number is missing: lines may have had the same numbers
    /// as those that follow.
    pub missing: Option<LineRange>,
}

/// The first thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// The line in it, from 1.
    pub line: u64,
    /// What is wrong.
    pub kind: ProblemKind,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum ProblemKind {
    #[error("it is not a line that the audit trail wrote: it was changed or added")]
    NotALine,
    #[error("it was changed: its content does not match its hash")]
    Changed,
    #[error("lines {first} to {last} of the chain are missing before it: they were cut, or their file is not given")]
    Cut { first: u64, last: u64 },
    #[error("it is line {actual} of the chain, and line {expected} belongs here: it was added, moved or repeated")]
    OutOfOrder { expected: u64, actual: u64 },
    #[error("it does not follow the line before it: that one was replaced, or this one was added")]
    NotNext,
    #[error("the lines before it were cut: a file begins with `audit_file_begun`")]
    BeginningCut,
    #[error("another chain begins here{}", detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default())]
    AnotherChain { detail: Option<String> },
    #[error("this checkpoint has no signature: it was cut off")]
    SignatureCut,
    #[error("the signature of this checkpoint is not by the key that it names, or not over this line")]
    BadSignature,
    #[error("the file is empty: its lines were cut")]
    Empty,
}

/// Why files cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// A file is given twice.
    #[error("{} is given twice", .0.display())]
    Twice(PathBuf),
}

/// Verifies `files`, which may be given in any order. `keys` checks the signatures, if given.
///
/// # Errors
/// If a file cannot be read. What is wrong with its content is in the report.
pub fn verify_files(
    files: &[PathBuf],
    sha256: Sha256,
    keys: Option<&dyn CheckpointVerifier>,
) -> Result<VerifyReport, VerifyError> {
    let mut opened: Vec<OpenedFile> = Vec::new();
    for path in files {
        let file = OpenedFile::open(path).map_err(|error| VerifyError::Read { path: path.clone(), error })?;
        if opened.iter().any(|other| other.identity == file.identity) {
            return Err(VerifyError::Twice(path.clone()));
        }
        opened.push(file);
    }
    opened.sort_by_key(|file| file.first_seq);
    let last = opened.len().saturating_sub(1);
    let mut verifier = ChainVerifier {
        report: VerifyReport::default(),
        sha256,
        keys,
        previous: None,
        part_first: 0,
        last_checkpoint: None,
    };
    for (index, file) in opened.into_iter().enumerate() {
        let path = file.path.clone();
        verifier.report.is_live = file.is_live;
        let is_sound = verifier.file(file, index == last).map_err(|error| VerifyError::Read { path, error })?;
        if !is_sound {
            break;
        }
    }
    Ok(verifier.report)
}

struct OpenedFile {
    path: PathBuf,
    reader: BufReader<File>,
    identity: (u64, u64),
    /// The number of its first line. One whose first line cannot be read comes first.
    first_seq: Option<u64>,
    /// Whether a process holds its lock to write it.
    is_live: bool,
}

impl OpenedFile {
    fn open(path: &Path) -> io::Result<Self> {
        // A FIFO without a writer would block.
        let file = OpenOptions::new().read(true).custom_flags(NONBLOCK).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        // Any other error says nothing of a writer.
        let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared);
        let is_live = locked == Err(rustix::io::Errno::WOULDBLOCK);
        if locked.is_ok() {
            rustix::fs::flock(&file, FlockOperation::Unlock)?;
        }
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line)?;
        let first_seq = SealedLine::parse(line.strip_suffix(b"\n").unwrap_or(&line)).map(|line| line.seq);
        reader.rewind()?;
        Ok(Self { path: path.to_owned(), reader, identity: (metadata.dev(), metadata.ino()), first_seq, is_live })
    }

    /// Appends the next line to `line`. If a process writes the file, the rest of its last line may
    /// come in a moment.
    fn read_line(&mut self, line: &mut Vec<u8>) -> io::Result<()> {
        self.reader.read_until(b'\n', line)?;
        let mut attempts = if self.is_live { TORN_ATTEMPTS } else { 0 };
        while !line.is_empty() && line.last() != Some(&b'\n') && attempts > 0 {
            std::thread::park_timeout(TORN_PAUSE);
            self.reader.read_until(b'\n', line)?;
            attempts -= 1;
        }
        Ok(())
    }
}

/// The state between two lines.
struct ChainVerifier<'k> {
    report: VerifyReport,
    sha256: Sha256,
    keys: Option<&'k dyn CheckpointVerifier>,
    previous: Option<ChainHead>,
    /// The first line of the part of the chain behind the last gap.
    part_first: u64,
    /// The last checkpoint of this part, whichever key signed it.
    last_checkpoint: Option<u64>,
}

impl ChainVerifier<'_> {
    /// Verifies one file behind those before. Returns whether it is sound.
    fn file(&mut self, mut file: OpenedFile, is_last: bool) -> io::Result<bool> {
        let mut bytes = Vec::new();
        let mut number = 0;
        loop {
            bytes.clear();
            file.read_line(&mut bytes)?;
            if bytes.is_empty() {
                break;
            }
            number += 1;
            let checked = match bytes.strip_suffix(b"\n") {
                Some(line) => self.line(line, (number == 1).then_some(&*file.path)),
                None if is_last && number > 1 => {
                    self.report.torn_bytes = bytes.len() as u64;
                    break;
                }
                None => Err(ProblemKind::NotALine),
            };
            match checked {
                Ok(seq) if number == 1 => {
                    self.report.files.push(VerifiedFile { path: file.path.clone(), first: seq, last: seq });
                }
                Ok(seq) => self.report.files.iter_mut().last().into_iter().for_each(|file| file.last = seq),
                Err(kind) => {
                    self.report.problem = Some(Problem { path: file.path, line: number, kind });
                    return Ok(false);
                }
            }
        }
        if number == 0 {
            self.report.problem = Some(Problem { path: file.path, line: 1, kind: ProblemKind::Empty });
        }
        Ok(number > 0)
    }

    /// Verifies one line behind the one before, and returns its number. `begun` is the file of which it
    /// is the first.
    fn line(&mut self, line: &[u8], begun: Option<&Path>) -> Result<u64, ProblemKind> {
        let line = SealedLine::parse(line).ok_or(ProblemKind::NotALine)?;
        if !line.is_intact(self.sha256) {
            return Err(ProblemKind::Changed);
        }
        let members = line.event();
        let text = |name: &str| members.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
        let event = text("event");
        match (begun, event.as_deref() == Some("audit_file_begun")) {
            (Some(path), true) => {
                let cause = members.get("cause").and_then(|cause| FileCause::deserialize(cause).ok());
                self.begins(path, &line, cause, text("detail"))?;
            }
            (Some(_), false) => return Err(ProblemKind::BeginningCut),
            (None, true) => return Err(ProblemKind::NotALine),
            (None, false) => {
                self.previous.map_or(Err(ProblemKind::BeginningCut), |previous| follows(previous, &line))?
            }
        }
        if self.previous.is_none() {
            self.part_first = line.seq;
        }
        self.previous = Some(line.head());
        if self.report.lines_after_checkpoint == 0 {
            let time = text("time").and_then(|time| UnixTime::from_rfc3339(&time));
            self.report.uncovered_since = time.map(UnixTime::as_secs);
        }
        self.report.lines_after_checkpoint += 1;
        match (event.as_deref() == Some("checkpoint"), line.jws) {
            (true, Some(jws)) => {
                self.checkpoint(&line, jws)?;
                if text("cause").as_deref() == Some("resumed") {
                    let first = self.last_checkpoint.map_or(self.part_first, |last| last + 1);
                    self.report.resumed.push(LineRange { first, last: line.seq });
                }
                self.last_checkpoint = Some(line.seq);
            }
            (true, None) => return Err(ProblemKind::SignatureCut),
            (false, Some(_)) => return Err(ProblemKind::NotALine),
            (false, None) => {}
        }
        Ok(line.seq)
    }

    fn checkpoint(&mut self, line: &SealedLine<'_>, jws: &str) -> Result<(), ProblemKind> {
        self.report.checkpoints += 1;
        let Some(keys) = self.keys else {
            self.cover();
            return Ok(());
        };
        match keys.verify(jws) {
            Ok(payload) if payload == hex(&line.hash).as_bytes() => {
                self.prove(line.seq);
                self.cover();
                // The chain up to here is proven, including checkpoints of unknown keys within it.
                self.report.unknown_key = None;
            }
            Ok(_) | Err(SignatureFault::Invalid) => return Err(ProblemKind::BadSignature),
            Err(SignatureFault::UnknownKey(kid)) => {
                self.report.unknown_key.get_or_insert(kid);
            }
        }
        Ok(())
    }
}

impl ChainVerifier<'_> {
    /// Verifies how the first line of a file follows the file before.
    fn begins(
        &mut self,
        path: &Path,
        line: &SealedLine<'_>,
        cause: Option<FileCause>,
        detail: Option<String>,
    ) -> Result<(), ProblemKind> {
        let expected = self.previous.map_or(1, |previous| previous.seq + 1);
        let missing = (line.seq > expected).then(|| LineRange { first: expected, last: line.seq - 1 });
        match self.previous {
            Some(_) if line.seq == 1 => return Err(ProblemKind::AnotherChain { detail }),
            None if line.seq == 1 && line.prev != ChainHead::START.hash => return Err(ProblemKind::NotNext),
            _ => {}
        }
        if let Some(cause) = cause.filter(|cause| cause.is_loss()) {
            // A copy of a file that was cut or replaced may still hold every line of it.
            if missing.is_some() || cause == FileCause::Missing {
                self.report.losses.push(FileLoss { path: path.to_owned(), cause, missing });
            }
            if missing.is_some() {
                self.begin_part(line.seq);
                return Ok(());
            }
        }
        self.previous.map_or(Ok(()), |previous| follows(previous, line))
    }

    /// A gap ends before line `first`. What follows is proven by its own checkpoints alone, and proves
    /// nothing of what stands before it.
    fn begin_part(&mut self, first: u64) {
        if let Some(previous) = self.previous.filter(|_| self.report.lines_after_checkpoint > 0) {
            let first = previous.seq + 1 - self.report.lines_after_checkpoint;
            self.report.unproven.push(LineRange { first, last: previous.seq });
        }
        self.cover();
        self.report.unknown_key = None;
        (self.part_first, self.last_checkpoint) = (first, None);
    }

    /// A verified checkpoint proves this part of the chain up to line `last`.
    fn prove(&mut self, last: u64) {
        let first = self.part_first;
        match self.report.signed.last_mut().filter(|range| range.first == first) {
            Some(range) => range.last = last,
            None => self.report.signed.push(LineRange { first, last }),
        }
    }

    fn cover(&mut self) {
        self.report.lines_after_checkpoint = 0;
        self.report.uncovered_since = None;
    }
}

fn follows(previous: ChainHead, line: &SealedLine<'_>) -> Result<(), ProblemKind> {
    let expected = previous.seq + 1;
    match line.seq {
        actual if actual > expected => Err(ProblemKind::Cut { first: expected, last: actual - 1 }),
        actual if actual < expected => Err(ProblemKind::OutOfOrder { expected, actual }),
        _ if line.prev != previous.hash => Err(ProblemKind::NotNext),
        _ => Ok(()),
    }
}
