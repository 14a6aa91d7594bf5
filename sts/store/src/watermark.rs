//! What a process remembers of the store from one run to the next: its epoch and the highest
//! revocation number seen. A store with a lower number is an older copy, or was emptied.

use std::io;
use std::path::{Path, PathBuf};

/// The content of the file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watermark {
    version: u32,
    /// The id of the epoch.
    pub epoch: String,
    /// The highest sequence number seen in it.
    pub sequence: u64,
}

/// Why the watermark cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WatermarkError {
    /// A system call failed.
    #[error("the highest revocation seen, `{path}`, cannot be {doing}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// `read` or `written`.
        doing: &'static str,
        /// The error of the operating system.
        #[source]
        cause: io::Error,
    },
    /// The file has the wrong content.
    #[error("the highest revocation seen, `{path}`, is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// The version for an embedded store, and for every store of earlier versions.
const PLAIN: u32 = 1;
/// The version for a Redis with a sealed mark.
const SEALED: u32 = 2;

impl Watermark {
    /// The watermark of a store without a sealed mark.
    pub const fn new(epoch: String, sequence: u64) -> Self {
        Self { version: PLAIN, epoch, sequence }
    }

    /// The watermark of a Redis with a sealed mark. After that, a mark without a seal is refused.
    pub const fn of_sealed(epoch: String, sequence: u64) -> Self {
        Self { version: SEALED, epoch, sequence }
    }

    /// Whether the store had a sealed mark.
    pub const fn is_of_sealed(&self) -> bool {
        self.version == SEALED
    }

    /// Reads the file. `None` if it does not exist.
    pub fn read(path: &Path) -> Result<Option<Self>, WatermarkError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(WatermarkError::Io { path: path.to_owned(), doing: "read", cause }),
        };
        let damaged = || WatermarkError::Damaged { path: path.to_owned() };
        let mark: Self = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
        if matches!(mark.version, PLAIN | SEALED) { Ok(Some(mark)) } else { Err(damaged()) }
    }

    /// Replaces the file atomically. It is durable once this returns.
    pub fn write(&self, path: &Path) -> Result<(), WatermarkError> {
        let failed = |cause| WatermarkError::Io { path: path.to_owned(), doing: "written", cause };
        let bytes = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        sts_types::replace_file(path, &bytes, sts_types::Durability::Durable).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written_and_damage_is_no_fresh_start() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mark.json");
        assert_eq!(Watermark::read(&path).unwrap(), None);
        let mark = Watermark::new("e1".to_owned(), 7);
        mark.write(&path).unwrap();
        Watermark::new("e1".to_owned(), 8).write(&path).unwrap();
        assert_eq!(Watermark::read(&path).unwrap().unwrap().sequence, 8);
        let whole = std::fs::read(&path).unwrap();
        for content in [b"".as_slice(), &whole[..whole.len() - 1], b"{}", br#"{"version":3,"epoch":"e","sequence":1}"#]
        {
            std::fs::write(&path, content).unwrap();
            assert!(matches!(Watermark::read(&path), Err(WatermarkError::Damaged { .. })));
        }
    }

    #[test]
    fn the_form_of_a_sealed_mark_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mark.json");
        for (mark, is_sealed) in
            [(Watermark::new("e".to_owned(), 1), false), (Watermark::of_sealed("e".to_owned(), 1), true)]
        {
            mark.write(&path).unwrap();
            let read = Watermark::read(&path).unwrap().unwrap();
            assert_eq!((read.is_of_sealed(), read), (is_sealed, mark));
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_fresh_start_and_what_cannot_be_written_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mark.json");
        std::fs::create_dir(&path).unwrap();
        let read = Watermark::read(&path).unwrap_err();
        assert!(matches!(read, WatermarkError::Io { doing: "read", .. }), "{read}");
        let written = Watermark::new("e".to_owned(), 1).write(&path).unwrap_err();
        assert!(matches!(written, WatermarkError::Io { doing: "written", .. }), "{written}");
    }
}
