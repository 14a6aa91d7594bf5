//! Whose a new file is.

use std::fs::File;
use std::io;
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
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt as _, fchown};
        let (directory, own) = (std::fs::metadata(directory)?, file.metadata()?);
        if own.uid() == 0 && directory.uid() != 0 && own.nlink() == 1 {
            match fchown(file, Some(directory.uid()), Some(directory.gid())) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                given => given?,
            }
        }
    }
    #[cfg(not(unix))]
    let _ = (directory, file);
    Ok(())
}
