//! Checks who can access our files: `data_dir`, the key directory and the secret files in them.

use std::path::Path;

use sts_config::Settings;
use sts_keyring::check_key_files;
use sts_types::{GroupAccess, SecretFileError, SecretOwner, check_private_folder, read_secret_file};

use crate::admin_token;
use crate::start_error::StartError;

/// The existing folders that one of our groups can write to.
///
/// # Errors
/// The first folder that others can write to.
pub(crate) fn check_folders(settings: &Settings) -> Result<Vec<GroupAccess>, StartError> {
    let mut open_to_groups = Vec::new();
    let keys = settings.keyring.store.directory_or_earlier();
    for (key, folder) in [("data_dir", &settings.data_dir), ("signing.keys_dir", keys)] {
        match check_private_folder(folder) {
            Ok(group) => open_to_groups.extend(group),
            // The server creates it at the start.
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(StartError::Folder { key, error }),
        }
    }
    Ok(open_to_groups)
}

/// Like [`check_folders`], and also the files in them: everything that `serve` would report.
///
/// # Errors
/// The first file or folder that somebody else can access.
pub(crate) fn check_everything(settings: &Settings) -> Result<Vec<GroupAccess>, StartError> {
    let mut open_to_groups = check_folders(settings)?;
    open_to_groups.extend(admin_token_access(&settings.data_dir).map_err(StartError::Secret)?);
    if let Some(folder) = settings.keyring.store.directory() {
        open_to_groups.extend(check_key_files(folder)?);
    }
    Ok(open_to_groups)
}

/// The group that can read the admin token.
///
/// # Errors
/// If somebody else can access it, or it cannot be read.
pub(crate) fn admin_token_access(data_dir: &Path) -> Result<Option<GroupAccess>, SecretFileError> {
    const MAX_FILE: u64 = 4096;
    match read_secret_file(&admin_token::path(data_dir), SecretOwner::Ours, MAX_FILE) {
        Ok(file) => Ok(file.group),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}
