//! Small files that appear whole or not at all.
//!
//! The content is written to a file of a drawn name in the same folder, which then takes the place
//! of `path`. Only the owner may read the file. A crash in between leaves the old file, and perhaps
//! one named `<file>.<letters>.tmp`.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::give_to_owner_of;

/// What a crash of the machine may undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: content and name are on the disk when the call returns.
    Durable,
    /// The write, which may also be left torn. For content that shows when it is torn.
    Volatile,
}

/// Who owns a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewFileOwner {
    /// The user of this process.
    Process,
    /// The owner of the folder, as with [`give_to_owner_of`].
    OwnerOfFolder,
}

/// Writes `content` to `path` and replaces the file there, if any. The file goes to the owner of
/// the folder. Blocks.
///
/// # Errors
/// The system's error. The file at `path` is then as it was.
pub fn replace_file(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    let temporary = write_beside(path, content, NewFileOwner::OwnerOfFolder, durability)?;
    temporary.persist(path)?;
    if durability == Durability::Durable { sync_folder_of(path) } else { Ok(()) }
}

/// Writes `content` to a new file at `path`, durably. Blocks.
///
/// # Errors
/// The system's error; `AlreadyExists` if anything has that name, a dangling link included.
pub fn create_file(path: &Path, content: &[u8], owner: NewFileOwner) -> io::Result<()> {
    let temporary = write_beside(path, content, owner, Durability::Durable)?;
    temporary.persist_noclobber(path)?;
    sync_folder_of(path)
}

fn write_beside(path: &Path, content: &[u8], owner: NewFileOwner, durability: Durability) -> io::Result<NamedTempFile> {
    let mut prefix = path.file_name().unwrap_or_default().to_owned();
    prefix.push(".");
    let folder = folder_of(path);
    // The crate creates the file with mode 0600 and never opens one that exists.
    let mut temporary = tempfile::Builder::new().prefix(&prefix).suffix(".tmp").tempfile_in(folder)?;
    if owner == NewFileOwner::OwnerOfFolder {
        give_to_owner_of(folder, temporary.as_file())?;
    }
    temporary.write_all(content)?;
    if durability == Durability::Durable {
        temporary.as_file().sync_all()?;
    }
    Ok(temporary)
}

/// Without it a crash may undo the change of names.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_file_is_replaced_whole_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mark.json");
        for (content, durability) in [("one", Durability::Durable), ("2", Durability::Volatile)] {
            replace_file(&path, content.as_bytes(), durability).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(names(folder.path()), ["mark.json"]);
    }

    #[test]
    fn a_link_is_replaced_and_never_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("mark"), folder.path().join("other"));
        std::fs::write(&other, "theirs").unwrap();
        symlink(&other, &path).unwrap();
        replace_file(&path, b"ours", Durability::Durable).unwrap();
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "theirs");
        assert!(path.symlink_metadata().unwrap().is_file());
    }

    #[test]
    fn a_new_file_never_takes_the_place_of_another_and_a_failure_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("key"), folder.path().join("link"));
        create_file(&path, b"first", NewFileOwner::OwnerOfFolder).unwrap();
        symlink(folder.path().join("nowhere"), &link).unwrap();
        for taken in [&path, &link] {
            let error = create_file(taken, b"second", NewFileOwner::Process).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{}", taken.display());
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "first");
        std::fs::create_dir(folder.path().join("full")).unwrap();
        std::fs::write(folder.path().join("full/file"), "").unwrap();
        replace_file(&folder.path().join("full"), b"x", Durability::Durable).unwrap_err();
        replace_file(&folder.path().join("absent/file"), b"x", Durability::Durable).unwrap_err();
        assert_eq!(names(folder.path()), ["full", "key", "link"]);
    }
}
