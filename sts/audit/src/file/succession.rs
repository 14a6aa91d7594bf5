//! The note that one file is about to follow another.
//!
//! A file that its writer ended has a successor. If there is none at the next start, another program has
//! removed it, unless the writer was killed between the two. The note tells these apart: it stands beside
//! the file from before the end of the one until the first line of the next.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sts_types::hex;

use super::resume::Predecessor;
use crate::chain::ChainHead;

/// Where the note for the file at `path` stands. Its name does not begin with that of the file, so that
/// `audit.log*` are audit files alone.
fn note_path(path: &Path) -> Option<PathBuf> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name()?);
    name.push(".succession");
    Some(path.with_file_name(name))
}

/// Notes that the file at `path`, whose last line is `head`, gets its end and then a successor.
pub(super) fn begin(path: &Path, head: &ChainHead) {
    let Some(note) = note_path(path) else { return };
    // Another user may have written the one before.
    let _ = std::fs::remove_file(&note);
    let written = (|| -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&note)?;
        file.write_all(hex(&head.hash).as_bytes())?;
        file.sync_data()
    })();
    if let Err(error) = written {
        // Without it, only a kill within the next moments is told wrongly.
        tracing::debug!(path = %note.display(), %error, "the note that an audit file gets a successor was not written");
    }
}

/// The successor has its first line.
pub(super) fn end(path: &Path) {
    if let Some(note) = note_path(path) {
        // Most often there is none.
        let _ = std::fs::remove_file(note);
    }
}

/// Whether the writer of `predecessor` had no time to begin the file at `path` behind it.
pub(super) fn was_interrupted(path: &Path, predecessor: &Predecessor) -> bool {
    let noted = note_path(path).and_then(|note| std::fs::read(note).ok());
    // The last line when the note was written, and the checkpoint that may have come behind it.
    let ends = [predecessor.prev, predecessor.head.hash];
    noted.is_some_and(|noted| ends.iter().any(|hash| hex(hash).as_bytes() == noted))
}
