//! `sts man`: the manual pages.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::terminal::complain;

#[derive(Args)]
pub(super) struct ManArgs {
    /// The folder, which must exist
    folder: PathBuf,
}

pub(super) fn run(args: &ManArgs, commit: Option<&str>) -> ExitCode {
    match clap_mangen::generate_to(super::command(commit), &args.folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let folder = args.folder.display();
            complain(&format!("error: not every manual page was written into {folder}: {error}"));
            ExitCode::FAILURE
        }
    }
}
