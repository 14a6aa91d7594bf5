//! Ownership of new files and folders.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::Path;

/// Gives `file`, which this process just created in `directory`, to the owner of that directory. A
/// command that root runs for a server of another user thus leaves files that the server can read.
///
/// The file must have been opened with `create_new`. Otherwise the owner of the directory may have
/// placed a link there to a file that is not theirs. Does nothing for users other than root.
///
/// # Errors
/// The system's error. Missing permission to change the owner is no error.
pub fn give_to_owner_of(directory: &Path, file: &File) -> io::Result<()> {
    let (directory, created) = (std::fs::metadata(directory)?, file.metadata()?);
    // A file with a second link is not new, and giving it away would change that path, too.
    if created.nlink() == 1 { give(file, &directory) } else { Ok(()) }
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

/// Creates the folder `path`. It goes to the owner of the folder that contains it, as with
/// [`give_to_owner_of`]. Missing parents are not created: a volume that is not mounted must not be
/// replaced by a folder where its mount point was.
///
/// # Errors
/// The system's error. An existing folder is no error.
pub fn create_folder(path: &Path) -> io::Result<()> {
    use rustix::fs::{Mode, OFlags};
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        created => created?,
    }
    // NOFOLLOW: the owner of `parent` may have replaced the new folder by a link.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let (folder, parent) = (File::from(rustix::fs::open(path, flags, Mode::empty())?), std::fs::metadata(parent)?);
    give(&folder, &parent)
}
