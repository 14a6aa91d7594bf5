//! Makes sure that the file at the path is the one that is written, and says what happened to it if it
//! is not.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::resume::{Found, predecessor, resume};
use super::{AuditFile, OpenFile, Staged, rotated_path, shift, succession};
use crate::chain::ChainHead;
use crate::event::{AuditFileBegun, AuditFileHealed, CheckpointCause, FileCause};

impl AuditFile {
    /// Makes sure that the file at the path is open, and that it is still the one that was opened.
    pub(super) fn ready(&mut self) -> io::Result<()> {
        let Some(open) = &self.open else { return self.reopen(None) };
        let metadata = open.file.metadata()?;
        let path = self.spec.path.display();
        let disturbance = match identity(&self.spec.path) {
            Some(own) if own == open.identity && metadata.len() == open.length => return Ok(()),
            Some(own) if own == open.identity && metadata.len() < open.length => {
                tracing::error!(%path, "another program has cut the audit file");
                Disturbance::Truncated
            }
            Some(own) if own == open.identity => {
                tracing::error!(%path, "another program has written to the audit file");
                Disturbance::Extended
            }
            now => {
                // Another program has moved the file away. It gets its end before the next one begins.
                self.end_file()?;
                match (metadata.nlink(), now) {
                    (1.., _) => Disturbance::Renamed,
                    (0, None) => Disturbance::Removed,
                    (0, Some(_)) => Disturbance::Replaced,
                }
            }
        };
        self.open = None;
        self.reopen(Some(disturbance))
    }

    /// Opens the file where it ends. `disturbance` is what another program did to the one that was
    /// open.
    pub(super) fn reopen(&mut self, disturbance: Option<Disturbance>) -> io::Result<()> {
        self.staged = Staged::default();
        if let Some(disturbance) = disturbance {
            self.begins = Some(AuditFileBegun { cause: disturbance.cause(), detail: None });
        }
        let is_first = self.head.is_none();
        let path = self.spec.path.clone();
        let (found, broken) = match resume(&path, self.parts.sha256)? {
            Ok(found) => (found, None),
            Err(file) => {
                tracing::error!(path = %path.display(), "the audit file does not end in a line of its chain: it is renamed, and another one begins");
                drop(file);
                shift(&self.spec)?;
                let found = resume(&path, self.parts.sha256)?;
                let found = found.map_err(|_| io::Error::other("the renamed audit file is still there"))?;
                (found, Some("the file before does not end in a line of its chain".to_owned()))
            }
        };
        let Found { file, length, last, torn_bytes } = found;
        if torn_bytes > 0 {
            tracing::warn!(path = %path.display(), torn_bytes, "the last line of the audit file was torn; its rest was removed, and the chain goes on");
        }
        let identity = (file.metadata()?.dev(), file.metadata()?.ino());
        let full_at = self.spec.max_size.max(length.saturating_add(1));
        self.open = Some(OpenFile { file, length, identity, full_at });
        let (begun, is_signed) = match (last, broken) {
            (Some((of_file, is_signed)), _) => {
                self.take_over(of_file, disturbance);
                (None, is_signed)
            }
            (None, broken) => {
                let (begun, is_signed) = self.begin(broken);
                self.begins = Some(begun.clone());
                (Some(begun), is_signed)
            }
        };
        // What a crash left is covered at once, and not only when the next checkpoint is due.
        let is_resumed = is_first && !is_signed;
        if is_resumed {
            self.unsigned = 1;
        }
        self.staged.unsigned = self.unsigned;
        if let Some(begun) = begun {
            self.stage_act(begun);
        }
        if torn_bytes > 0 {
            self.stage_act(AuditFileHealed { torn_bytes });
        }
        if is_resumed {
            self.stage_checkpoint(CheckpointCause::Resumed);
        }
        self.commit()?;
        self.begins = None;
        succession::end(&path);
        Ok(())
    }

    /// Goes on behind the last line of a file. After a disturbance, what this process wrote counts for
    /// more than what the file says.
    fn take_over(&mut self, of_file: ChainHead, disturbance: Option<Disturbance>) {
        self.head = match self.head {
            Some(own) if disturbance.is_some() || own.seq >= of_file.seq => Some(own),
            _ => Some(of_file),
        };
    }

    /// Says why an empty file begins, and whether the file before, if this process did not write it,
    /// ends in a checkpoint.
    fn begin(&mut self, broken: Option<String>) -> (AuditFileBegun, bool) {
        let begun = |cause, detail| AuditFileBegun { cause, detail };
        if broken.is_some() {
            self.head.get_or_insert(ChainHead::START);
            return (begun(FileCause::Replaced, broken), true);
        }
        if let Some(begun) = &self.begins {
            return (begun.clone(), true);
        }
        if self.head.is_some() {
            return (begun(FileCause::Missing, None), true);
        }
        match predecessor(&rotated_path(&self.spec.path, 1), self.parts.sha256) {
            Ok(None) => (begun(FileCause::New, None), true),
            Ok(Some(before)) => {
                self.head = Some(before.head);
                // Behind a file that its writer ended, another one was begun and is no longer there.
                let is_missing = before.is_ended && !succession::was_interrupted(&self.spec.path, &before);
                let cause = if is_missing { FileCause::Missing } else { FileCause::Rotated };
                (begun(cause, None), before.is_signed)
            }
            Err(why) => (begun(FileCause::Replaced, Some(why)), true),
        }
    }
}

/// What another program did to the file while it was open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disturbance {
    /// It was renamed.
    Renamed,
    /// It was removed.
    Removed,
    /// It was removed, and there is another one.
    Replaced,
    /// It was cut.
    Truncated,
    /// Something was written to it.
    Extended,
}

impl Disturbance {
    const fn cause(self) -> FileCause {
        match self {
            Self::Renamed => FileCause::Rotated,
            Self::Removed => FileCause::Missing,
            Self::Truncated => FileCause::Truncated,
            Self::Replaced | Self::Extended => FileCause::Replaced,
        }
    }
}

/// Device and inode.
fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
