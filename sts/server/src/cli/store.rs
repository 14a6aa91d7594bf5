//! `sts store`: the store as a whole.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;
use sts_api::Acceptance;
use sts_types::shown_path;
use tempfile::NamedTempFile;

use super::admin_commands::{self, Done, ServerArgs, Session};
use crate::admin::{AcceptEpoch, BackUpStore, Download as _, OperationError};
use crate::start_error::StartError;

#[derive(Subcommand)]
pub(super) enum StoreCommand {
    /// Accept a store that was emptied, replaced or restored from an older copy. Tokens whose revocation it has lost become
    /// active again
    AcceptEpoch(ServerArgs),
    /// Copy the embedded store into a file, while its server runs. To restore the copy, stop the server, put it in the place
    /// of `sts.redb` in `data_dir`, start the server, and run `sts store accept-epoch`
    Backup {
        /// The file to write. One that is there is replaced when the copy is whole
        file: PathBuf,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// What a backup came to.
#[derive(Debug, Serialize)]
struct Backup {
    file: PathBuf,
    bytes: u64,
}

pub(super) fn run(command: &StoreCommand) -> ExitCode {
    match command {
        StoreCommand::AcceptEpoch(server) => admin_commands::run(server, AcceptEpoch, accepted),
        StoreCommand::Backup { file, server } => admin_commands::run_with(
            server,
            BackUpStore::NOT_DONE,
            |session| back_up(session, file),
            |backup| format!("{} has the store as it was when this began ({} bytes)", shown_path(file), backup.bytes),
        ),
    }
}

/// Writes the copy beside `path` and renames it there when it is whole and on the disk.
fn back_up(session: &mut Session<'_>, path: &Path) -> Result<Done<Backup>, StartError> {
    let failed = |error: io::Error| {
        let text = format!("cannot write {}: {error}; {}", shown_path(path), BackUpStore::NOT_DONE);
        Ok(Err(OperationError::Failed(text)))
    };
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Mode 0600: what is stored is private.
    let mut copy = match NamedTempFile::new_in(folder) {
        Ok(copy) => copy,
        Err(error) => return failed(error),
    };
    if let Err(error) = session.fetch::<BackUpStore>(copy.as_file_mut())? {
        return Ok(Err(error));
    }
    match persist(copy, path, folder) {
        Ok(bytes) => Ok(Ok(Backup { file: path.to_owned(), bytes })),
        Err(error) => failed(error),
    }
}

/// Gives the copy its name, durably. Returns its length.
fn persist(copy: NamedTempFile, path: &Path, folder: &Path) -> io::Result<u64> {
    copy.as_file().sync_all()?;
    let bytes = copy.as_file().metadata()?.len();
    copy.persist(path)?;
    File::open(folder)?.sync_all()?;
    Ok(bytes)
}

fn accepted(answer: &Acceptance) -> String {
    let text = if answer.accepted {
        "accepted: the store is the ledger from now on; what was revoked and is missing from it has come back"
    } else {
        "there is nothing to accept: the store is the one that is known, and nothing is missing"
    };
    text.to_owned()
}
