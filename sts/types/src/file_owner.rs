//! Whose a new file or folder is.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::Path;

/// Gives `file`, which this process has just made in `directory`, to the owner of that directory. A command that root
/// runs beside a server of another user leaves files that the server can read.
///
/// The file must have been opened with `create_new`: anything else may have been put there by the owner of the
/// directory, as a link to what is not theirs. For any user but root it changes nothing.
///
/// # Errors
/// What the system says; that this user may give nothing away is no error.
pub fn give_to_owner_of(directory: &Path, file: &File) -> io::Result<()> {
    let (directory, own) = (std::fs::metadata(directory)?, file.metadata()?);
    if own.nlink() == 1 { give(file, &directory) } else { Ok(()) }
}

fn give(file: &File, folder: &Metadata) -> io::Result<()> {
    if file.metadata()?.uid() != 0 || folder.uid() == 0 {
        return Ok(());
    }
    match fchown(file, Some(folder.uid()), Some(folder.gid())) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        given => given,
    }
}

/// Makes the folder `path` and those that lead to it, each for the owner of the folder it is in; see [`give_to_owner_of`].
///
/// # Errors
/// What the system says; that a folder is there already is no error.
pub fn create_folder(path: &Path) -> io::Result<()> {
    use rustix::fs::{Mode, OFlags};
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_folder(parent)?;
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        created => created?,
    }
    // The owner of `parent` may have put a link in its place by now.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let (folder, parent) = (File::from(rustix::fs::open(path, flags, Mode::empty())?), std::fs::metadata(parent)?);
    give(&folder, &parent)
}
