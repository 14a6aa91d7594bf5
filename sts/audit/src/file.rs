//! The hash-chained file: it seals each line to the one before, writes checkpoints, starts a new file
//! when one is full, and goes on after a restart or a crash.

mod reopen;
mod resume;
mod succession;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sts_types::{Clock, hex};

use crate::chain::{ChainHead, Sha256, append_line, end_line};
use crate::event::{
    Act, ActLine, ActOutcome, ActorKind, AuditFileBegun, CheckpointCause, CheckpointLine, CheckpointTag, EVENT_VERSION,
    Level,
};
use crate::sink::LineWriter;
use crate::spec::FileSpec;
use reopen::Disturbance;

/// A checkpoint is written after this many lines.
pub(crate) const CHECKPOINT_LINES: u64 = 1000;
/// A checkpoint is written after this time, if there are lines without one.
pub(crate) const CHECKPOINT_TIME: Duration = Duration::from_secs(3600);
/// How much later a checkpoint may be written than it is due, because an idle writer looks at its
/// clock only now and then, and a signature that failed is tried again.
pub(crate) const CHECKPOINT_SLACK: Duration = Duration::from_secs(300);
/// After a signature that failed, the next one is tried after this time.
const SIGN_RETRY: Duration = Duration::from_secs(60);
/// Lines are handed to the system when they have this many bytes.
const BATCH: usize = 256 * 1024;

/// Signs checkpoints.
pub trait CheckpointSigner: Send + Sync + 'static {
    /// A compact JWS whose payload is `hash`. May block for as long as a key takes.
    ///
    /// # Errors
    /// Why there is none now.
    fn sign(&self, hash: &str) -> Result<String, String>;
}

/// What a file works with.
#[derive(Clone)]
pub struct ChainParts {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// SHA-256.
    pub sha256: Sha256,
    /// The signer of checkpoints.
    pub signer: Arc<dyn CheckpointSigner>,
    /// Who writes the file: the server, or the command line.
    pub writer: ActorKind,
}

impl std::fmt::Debug for ChainParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChainParts").field("writer", &self.writer).finish_non_exhaustive()
    }
}

/// The writer of the file. It holds the file's lock while it has it open.
#[derive(Debug)]
pub struct AuditFile {
    spec: FileSpec,
    parts: ChainParts,
    open: Option<OpenFile>,
    /// The last line that is in the file. `None` before a file was opened.
    head: Option<ChainHead>,
    staged: Staged,
    /// Lines in the file since the last checkpoint, as far as is known.
    unsigned: u64,
    /// Monotonic time of the last checkpoint, or of the start.
    signed_at: Duration,
    /// Monotonic time before which no signature is tried.
    sign_from: Duration,
    is_signer_faulty: bool,
    /// Why the next file begins. Kept until its first line is written: what an attempt that failed
    /// leaves is an empty file, or none, and no other program did that.
    begins: Option<AuditFileBegun>,
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    /// The length up to the end of the last line.
    length: u64,
    /// Device and inode.
    identity: (u64, u64),
    /// The size at which another file follows.
    full_at: u64,
}

/// Lines that are sealed and not written yet.
#[derive(Debug, Default)]
struct Staged {
    bytes: Vec<u8>,
    head: Option<ChainHead>,
    /// How many lines there are without a checkpoint when these are written.
    unsigned: u64,
}

/// The path of the `number`th full file, of which the first is the newest.
#[must_use]
pub fn rotated_path(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

impl AuditFile {
    /// The writer of that file. It is opened with the first line, or by [`LineWriter::tick`].
    #[must_use]
    pub fn new(spec: FileSpec, parts: ChainParts) -> Self {
        let signed_at = parts.clock.monotonic();
        Self {
            spec,
            parts,
            open: None,
            head: None,
            staged: Staged::default(),
            unsigned: 0,
            signed_at,
            sign_from: signed_at,
            is_signer_faulty: false,
            begins: None,
        }
    }

    /// Seals and writes `lines`. Counts the bytes of those that are written into `written`.
    fn write(&mut self, lines: &[u8], written: &mut usize) -> io::Result<()> {
        self.ready()?;
        let mut end = *written;
        for line in lines.get(*written..).unwrap_or_default().split_inclusive(|byte| *byte == b'\n') {
            end += line.len();
            self.stage(line.strip_suffix(b"\n").unwrap_or(line));
            if self.staged.unsigned >= CHECKPOINT_LINES && self.may_sign() {
                self.stage_checkpoint(CheckpointCause::Lines);
            }
            if self.staged.bytes.len() >= BATCH || self.is_full() {
                self.commit()?;
                *written = end;
                if self.is_full() {
                    self.rotate()?;
                }
            }
        }
        self.commit()?;
        *written = end;
        self.sign_if_due()
    }

    /// Writes the checkpoint that is due, if one is. A busy file has no idle moment, so this is asked
    /// after each write, too.
    fn sign_if_due(&mut self) -> io::Result<()> {
        let age = self.parts.clock.monotonic().saturating_sub(self.signed_at);
        let is_due = age >= CHECKPOINT_TIME || self.unsigned >= CHECKPOINT_LINES;
        if self.unsigned == 0 || !is_due || !self.may_sign() {
            return Ok(());
        }
        self.stage_checkpoint(CheckpointCause::Time);
        self.commit()?;
        self.sync()
    }

    /// Seals one event behind those that wait.
    fn stage(&mut self, json: &[u8]) {
        let before = self.next_head();
        let Some(head) = append_line(&mut self.staged.bytes, json, before, self.parts.sha256) else { return };
        end_line(&mut self.staged.bytes, None);
        self.staged.head = Some(head);
        self.staged.unsigned += 1;
    }

    /// Seals an event of this writer's own.
    fn stage_act(&mut self, act: impl Into<Act>) {
        let act = act.into();
        let time = self.time();
        let line = ActLine {
            level: act.level(),
            version: EVENT_VERSION,
            time: &time,
            request_id: None,
            actor_kind: self.parts.writer,
            actor: None,
            source: None,
            outcome: act.outcome(),
            act: &act,
        };
        if let Ok(json) = serde_json::to_vec(&line) {
            self.stage(&json);
        }
    }

    fn time(&self) -> String {
        sts_types::rfc3339_millis(self.parts.clock.now_millis()).unwrap_or_default()
    }

    fn next_head(&self) -> ChainHead {
        self.staged.head.or(self.head).unwrap_or(ChainHead::START)
    }

    fn may_sign(&self) -> bool {
        self.parts.clock.monotonic() >= self.sign_from
    }

    /// Seals and signs a checkpoint. Without a signature there is none, and it is tried later.
    fn stage_checkpoint(&mut self, cause: CheckpointCause) {
        let time = self.time();
        let line = CheckpointLine {
            level: Level::Info,
            event: CheckpointTag::Checkpoint,
            version: EVENT_VERSION,
            time: &time,
            actor_kind: self.parts.writer,
            outcome: ActOutcome::Done,
            cause,
            lines: self.staged.unsigned,
        };
        let start = self.staged.bytes.len();
        let (before, sha256) = (self.next_head(), self.parts.sha256);
        let Ok(json) = serde_json::to_vec(&line) else { return };
        let Some(head) = append_line(&mut self.staged.bytes, &json, before, sha256) else { return };
        let now = self.parts.clock.monotonic();
        match self.parts.signer.sign(&hex(&head.hash)) {
            Ok(jws) => {
                end_line(&mut self.staged.bytes, Some(&jws));
                self.staged.head = Some(head);
                self.staged.unsigned = 0;
                (self.signed_at, self.is_signer_faulty) = (now, false);
            }
            Err(error) => {
                self.staged.bytes.truncate(start);
                self.sign_from = now.saturating_add(SIGN_RETRY);
                if !std::mem::replace(&mut self.is_signer_faulty, true) {
                    tracing::error!(%error, "a checkpoint of the audit file cannot be signed now: lines are written without one, and signing is tried again");
                }
            }
        }
    }

    /// Hands what is staged to the system.
    fn commit(&mut self) -> io::Result<()> {
        let staged = std::mem::take(&mut self.staged);
        if staged.bytes.is_empty() {
            self.staged.unsigned = self.unsigned;
            return Ok(());
        }
        let Some(open) = &mut self.open else { return Err(io::ErrorKind::NotConnected.into()) };
        if let Err(error) = open.file.write_all(&staged.bytes) {
            // No part of a line stays, so that the file ends in a whole line. If that fails too, the
            // next attempt finds the torn line and removes it.
            let _ = open.file.set_len(open.length);
            self.open = None;
            return Err(error);
        }
        open.length += staged.bytes.len() as u64;
        self.head = staged.head.or(self.head);
        self.unsigned = staged.unsigned;
        self.staged.unsigned = staged.unsigned;
        Ok(())
    }

    fn is_full(&self) -> bool {
        let staged = self.staged.bytes.len() as u64;
        self.open.as_ref().is_some_and(|open| open.length + staged >= open.full_at)
    }

    /// Ends the file with a checkpoint and begins the next one.
    fn rotate(&mut self) -> io::Result<()> {
        self.end_file()?;
        if let Some(open) = &self.open {
            open.file.sync_data()?;
        }
        if let Err(error) = shift(&self.spec) {
            // To lose lines would be worse than a large file.
            if let Some(open) = &mut self.open {
                open.full_at = open.length + self.spec.max_size;
            }
            succession::end(&self.spec.path);
            tracing::error!(path = %self.spec.path.display(), %error, "the audit file is full and cannot be renamed, so it keeps growing");
            return Ok(());
        }
        self.open = None;
        self.reopen(Some(Disturbance::Renamed))
    }

    /// Writes the checkpoint at the end of a file that another one follows.
    fn end_file(&mut self) -> io::Result<()> {
        if let Some(head) = &self.head {
            succession::begin(&self.spec.path, head);
        }
        if self.staged.unsigned > 0 {
            self.stage_checkpoint(CheckpointCause::FileEnd);
        }
        self.commit()
    }
}

impl LineWriter for AuditFile {
    fn write_lines(&mut self, lines: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        self.write(lines, &mut written).map_err(|error| (written, explained(&self.spec.path, error)))
    }

    fn tick(&mut self) -> io::Result<()> {
        self.ready().and_then(|()| self.sign_if_due()).map_err(|error| explained(&self.spec.path, error))
    }

    fn close(&mut self) {
        if self.open.is_none() {
            return;
        }
        if self.unsigned > 0 {
            self.stage_checkpoint(CheckpointCause::Stop);
        }
        if let Err(error) = self.commit().and_then(|()| self.sync()) {
            tracing::error!(path = %self.spec.path.display(), %error, "the last checkpoint of the audit file was not written");
        }
        self.open = None;
    }
}

impl AuditFile {
    fn sync(&self) -> io::Result<()> {
        self.open.as_ref().map_or(Ok(()), |open| open.file.sync_data())
    }
}

/// Renames each full file to the next number, the oldest away, and the file itself to the first.
fn shift(spec: &FileSpec) -> io::Result<()> {
    for number in (1..spec.max_files.max(1)).rev() {
        match std::fs::rename(rotated_path(&spec.path, number), rotated_path(&spec.path, number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    std::fs::rename(&spec.path, rotated_path(&spec.path, 1))
}

fn explained(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
