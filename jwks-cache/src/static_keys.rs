//! Key sets from files and from the configuration.
//!
//! An operator wrote them, so the check is stricter than for a published set: private or symmetric
//! key material makes the whole set invalid, because it must not be there.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use sts_jose::{KeySetError, SkippedKey};
use sts_types::{Algorithm, UnixTime};

use crate::bounded::bounded;
use crate::entry_keys::IndexedSet;
use crate::http::MAX_DOCUMENT_BYTES;
use crate::{DocumentKind, FetchError, FetchErrorKind};

/// Tells a changed file from an unchanged one without reading it. Follows symbolic links, so a
/// swapped link counts as a change. The modification time alone is not enough: images and archives
/// give all their files the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileMark {
    modified: Option<SystemTime>,
    length: u64,
    inode: (u64, u64),
    /// When the inode last changed. Unlike `modified`, no process can set it.
    changed: (i64, i64),
}

impl FileMark {
    /// The modification time according to the file system.
    pub(crate) fn modified_at(&self) -> Option<UnixTime> {
        let since = self.modified?.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_secs()).ok().map(UnixTime::from_secs)
    }
}

impl From<&Metadata> for FileMark {
    fn from(metadata: &Metadata) -> Self {
        Self {
            modified: metadata.modified().ok(),
            length: metadata.len(),
            inode: (metadata.dev(), metadata.ino()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Reads a key file; `None` if it still has the mark `previous`. Blocks. Takes the mark before it
/// reads the content, so that a write in between causes another read.
pub(crate) fn read_file(
    path: &Path,
    algorithms: &[Algorithm],
    previous: Option<FileMark>,
) -> (Option<FileMark>, Result<Option<IndexedSet>, FetchError>) {
    let wrong = |fault| FetchError::new(DocumentKind::File, &path.to_string_lossy(), fault);
    let unreadable = |error: std::io::Error| wrong(FetchErrorKind::Unreadable(bounded(&error.to_string())));
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return (None, Err(unreadable(error))),
    };
    if !metadata.is_file() {
        return (None, Err(wrong(FetchErrorKind::Unreadable("not a regular file".to_owned()))));
    }
    let mark = FileMark::from(&metadata);
    if previous == Some(mark) {
        return (Some(mark), Ok(None));
    }
    let read = || {
        let mut document = Vec::new();
        let limit = MAX_DOCUMENT_BYTES as u64 + 1;
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut document)).map_err(unreadable)?;
        if document.len() > MAX_DOCUMENT_BYTES {
            return Err(wrong(FetchErrorKind::TooLarge(MAX_DOCUMENT_BYTES)));
        }
        parse(document.into(), algorithms).map(Some).map_err(wrong)
    };
    (Some(mark), read())
}

/// Parses a key set from the configuration.
pub(crate) fn inline(jwks: &serde_json::Value, algorithms: &[Algorithm]) -> Result<IndexedSet, FetchErrorKind> {
    parse(jwks.to_string().into(), algorithms)
}

fn parse(document: Bytes, algorithms: &[Algorithm]) -> Result<IndexedSet, FetchErrorKind> {
    match IndexedSet::parse_given(document, algorithms) {
        Ok(set) if is_alarming(&set.skipped) => Err(FetchErrorKind::PrivateKey),
        Err(KeySetError::Empty(skipped)) if is_alarming(&skipped) => Err(FetchErrorKind::PrivateKey),
        parsed => parsed.map_err(FetchErrorKind::KeySet),
    }
}

/// Whether a skipped key is private or symmetric.
pub(crate) fn is_alarming(skipped: &[SkippedKey]) -> bool {
    skipped.iter().any(|skipped| skipped.why.alarming())
}
