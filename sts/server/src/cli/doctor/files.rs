//! Who can access our files, and the room for them.

use std::path::{Path, PathBuf};

use rustix::fs::Access;
use sts_config::Settings;
use sts_types::{GroupAccess, check_private_folder};

use super::row::Row;
use crate::file_permissions::{admin_token_access, check_everything};

const FILES: &str = "files";
const DISK: &str = "disk";
const MIB: u64 = 1 << 20;
/// With less, the store soon takes no more records.
const TOO_LITTLE: u64 = 32 * MIB;
/// With less, somebody should look.
const LITTLE: u64 = 256 * MIB;

/// The rows of our folders and files.
pub(super) fn rows(settings: &Settings) -> Vec<Row> {
    let mut rows = vec![folder("data_dir", &settings.data_dir)];
    rows.extend(settings.keyring.store.directory().map(|keys| folder("signing.keys_dir", keys)));
    rows.extend([
        match admin_token_access(&settings.data_dir) {
            Err(error) => Row::fault(FILES, "admin token", error.message(), error.help()),
            Ok(None) => Row::ok(FILES, "admin token", "only its owner can read it, or it is not there yet"),
            Ok(Some(group)) => open_to_group("admin token", &group),
        },
        match check_everything(settings) {
            Err(error) => {
                Row::fault(FILES, "keys", error.to_string(), "close the access of others, or restore the file")
            }
            Ok(_) => Row::ok(FILES, "keys", "only their owner can read them, or there are none yet"),
        },
    ]);
    let audit = settings.audit.file.as_ref().and_then(|file| Some(file.path.parent()?.to_owned()));
    let audit = audit.map(|folder| if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder });
    if let Some(path) = &audit {
        rows.push(writable("audit.file", path));
    }
    rows.push(disk("data_dir", &settings.data_dir));
    rows.extend(audit.filter(|path| device(path) != device(&settings.data_dir)).map(|path| disk("audit.file", &path)));
    rows
}

/// A folder that only its owner may write to.
fn folder(key: &str, path: &Path) -> Row {
    let subject = format!("`{key}` {}", path.display());
    match check_private_folder(path) {
        Err(error) if error.is_missing() => {
            Row::ok(FILES, subject, "it is not there yet; the server makes it when it starts")
        }
        Err(error) => Row::fault(FILES, subject, error.message(), error.help()),
        Ok(Some(group)) => open_to_group(&subject, &group),
        Ok(None) => writable(key, path),
    }
}

fn writable(key: &str, path: &Path) -> Row {
    let subject = format!("`{key}` {}", path.display());
    match rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Row::ok(FILES, subject, "this user may write to it"),
        Err(error) => {
            let found = format!("this user may not write to it: {}", std::io::Error::from(error));
            Row::fault(FILES, subject, found, "run `sts doctor` as the user of the server, or give it the folder")
        }
    }
}

fn open_to_group(subject: &str, group: &GroupAccess) -> Row {
    Row::warning(FILES, subject, group.to_string(), group.help())
}

/// The room on the file system of `path`, or of the nearest folder above it that exists.
fn disk(key: &str, path: &Path) -> Row {
    let subject = format!("`{key}` {}", path.display());
    let existing = path.ancestors().find(|path| path.exists()).filter(|path| !path.as_os_str().is_empty());
    match rustix::fs::statvfs(existing.unwrap_or(Path::new("."))) {
        Err(error) => {
            let found = format!("its free space is unknown: {}", std::io::Error::from(error));
            Row::fault(DISK, subject, found, "check the file system")
        }
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            // Some file systems have no fixed number of files, and tell 0 of 0.
            let has_files = stat.f_files == 0 || stat.f_favail > 0;
            room(subject, free, has_files)
        }
    }
}

fn room(subject: String, free: u64, has_files: bool) -> Row {
    let found = format!("{} MiB are free", free / MIB);
    let cure = "make room, or move the folder to a larger file system";
    if !has_files {
        return Row::fault(DISK, subject, "no more files can be made on its file system", cure);
    }
    match free {
        ..TOO_LITTLE => Row::fault(DISK, subject, found, cure),
        TOO_LITTLE..LITTLE => Row::warning(DISK, subject, found, cure),
        _ => Row::ok(DISK, subject, found),
    }
}

fn device(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;
    path.ancestors().find_map(|path| Some(std::fs::metadata(path).ok()?.dev()))
}

#[cfg(test)]
mod tests {
    use super::super::row::Status;
    use super::*;

    #[test]
    fn a_disk_is_judged_by_the_room_that_is_left() {
        let status = |free, has_files| room("x".to_owned(), free, has_files).status;
        assert_eq!(status(LITTLE, true), Status::Ok);
        assert_eq!(status(LITTLE - 1, true), Status::Warning);
        assert_eq!(status(TOO_LITTLE - 1, true), Status::Fault);
        assert_eq!(status(u64::MAX, false), Status::Fault);
    }
}
