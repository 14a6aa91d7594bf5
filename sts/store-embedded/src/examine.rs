//! Looks at the file of a store that no process has open, and changes nothing.

use std::fs::OpenOptions;
use std::path::Path;

use sts_store::backend::Watermark;
use sts_types::Seal;

use super::engine::guarded;
use super::file::{builder, damaged, open_engine, refusal};
use super::open_error::OpenError;
use super::overlay::Overlay;
use super::tally;
use super::watermark_path;

/// What was found in a store's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Examined {
    /// Its content is what the server that used it last left there.
    Sound,
    /// It opens, but its content is not trusted. The text says why.
    Doubtful(String),
}

/// Looks at the store in the file `path` as a server does that opens it: every checksum, the seals of
/// revocations and managed objects, and the watermark. Nothing is written, a repair after a crash
/// included, and no lock is held.
///
/// # Errors
/// See [`OpenError`]. A store that a server has open is [`OpenError::Held`].
pub fn examine(path: &Path, seal: &dyn Seal) -> Result<Examined, OpenError> {
    let io = |cause| OpenError::Io { path: path.to_owned(), doing: "opened", cause };
    // The lock, which is looked at, needs a file that could be written.
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(io)?;
    if file.metadata().map_err(io)?.len() == 0 {
        return Err(damaged(path, "it is empty"));
    }
    let overlay = Overlay::new(file).map_err(|error| refusal(path, error))?;
    let database = open_engine(path, || builder().create_with_backend(overlay))?;
    let seen = match Watermark::read(&watermark_path(path)) {
        Ok(seen) => seen,
        Err(error) => return Ok(Examined::Doubtful(error.to_string())),
    };
    match guarded(|| tally::verify(&database, seal, seen.as_ref())) {
        Ok(Ok(_)) => Ok(Examined::Sound),
        Ok(Err(doubt)) => Ok(Examined::Doubtful(doubt.to_string())),
        Err(error) => Err(damaged(path, &error.to_string())),
    }
}
