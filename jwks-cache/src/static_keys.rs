//! Key sets from files and from the configuration.
//!
//! An operator wrote them, so they are judged harder than what an issuer publishes: private or symmetric material refuses the
//! whole set, for it must not lie there.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use sts_jose::{KeySetError, SkippedKey};
use sts_types::{Algorithm, UnixTime};

use crate::entry_keys::IndexedSet;
use crate::fetch_error::bounded;
use crate::http::MAX_DOCUMENT_BYTES;
use crate::{DocumentKind, FetchError, FetchFault};

/// What tells a file from its next version without reading it. Symbolic links are followed, so a swapped link shows. Images and
/// archives give all their files one time of modification, which is why it alone does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileMark {
    modified: Option<SystemTime>,
    length: u64,
    inode: (u64, u64),
    /// When the inode was changed last, which nobody can set.
    changed: (i64, i64),
}

impl FileMark {
    /// When the file's content was changed, as its file system says.
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

/// Reads a key file; `None` when it still has the mark `known`. Blocks. The mark is taken before the content is read, so that a
/// write in between leads to another reading.
pub(crate) fn read_file(
    path: &Path,
    algorithms: &[Algorithm],
    known: Option<FileMark>,
) -> (Option<FileMark>, Result<Option<IndexedSet>, FetchError>) {
    let wrong = |fault| FetchError::new(DocumentKind::File, &path.to_string_lossy(), fault);
    let unreadable = |error: std::io::Error| wrong(FetchFault::Unreadable(bounded(&error.to_string())));
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return (None, Err(unreadable(error))),
    };
    if !metadata.is_file() {
        return (None, Err(wrong(FetchFault::Unreadable("not a regular file".to_owned()))));
    }
    let mark = FileMark::from(&metadata);
    if known == Some(mark) {
        return (Some(mark), Ok(None));
    }
    let read = || {
        let mut document = Vec::new();
        let most = MAX_DOCUMENT_BYTES as u64 + 1;
        File::open(path).and_then(|file| file.take(most).read_to_end(&mut document)).map_err(unreadable)?;
        if document.len() > MAX_DOCUMENT_BYTES {
            return Err(wrong(FetchFault::TooLarge(MAX_DOCUMENT_BYTES)));
        }
        parse(document.into(), algorithms).map(Some).map_err(wrong)
    };
    (Some(mark), read())
}

/// Parses a key set that is written in the configuration.
pub(crate) fn inline(jwks: &serde_json::Value, algorithms: &[Algorithm]) -> Result<IndexedSet, FetchFault> {
    parse(jwks.to_string().into(), algorithms)
}

fn parse(document: Bytes, algorithms: &[Algorithm]) -> Result<IndexedSet, FetchFault> {
    match IndexedSet::parse_given(document, algorithms) {
        Ok(set) if is_alarming(&set.skipped) => Err(FetchFault::PrivateKey),
        Err(KeySetError::Empty(skipped)) if is_alarming(&skipped) => Err(FetchFault::PrivateKey),
        parsed => parsed.map_err(FetchFault::KeySet),
    }
}

/// Whether there is private or symmetric key material among what was skipped.
pub(crate) fn is_alarming(skipped: &[SkippedKey]) -> bool {
    skipped.iter().any(|skipped| skipped.why.alarming())
}
