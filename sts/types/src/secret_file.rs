//! The only reader of secret files: admin token, signing keys, seals, passwords, bearer tokens and
//! TLS keys.
//!
//! The check uses the same open file as the read, so nobody can swap the file in between. The file
//! must belong to the user of this process or to root, and must give nobody else access. A group is
//! accepted if this process is in it: Kubernetes' `fsGroup` leaves files like that.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use zeroize::Zeroizing;

use crate::{CheckCode, shown_path};

/// Limit of symbolic links on the way to a file, the same as in Linux.
const MAX_LINKS: usize = 40;

/// Who creates a secret file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretOwner {
    /// This software writes it, so a link there is refused.
    Ours,
    /// An operator or orchestrator provides it. Links are allowed, as in Kubernetes' mounts, if
    /// only this user and root can change the folders with the links.
    Configured,
}

/// The content of a secret file.
pub struct SecretFile {
    /// The content. It is wiped when dropped.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Set if a group has access too, which deserves a warning.
    pub group: Option<GroupAccess>,
}

impl std::fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretFile").field("group", &self.group).finish_non_exhaustive()
    }
}

/// A group of this process has access to a secret file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupAccess {
    path: PathBuf,
    gid: u32,
    mode: u32,
}

impl std::fmt::Display for GroupAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, gid, mode } = self;
        write!(f, "`{}` (mode {mode:04o}) is open to group {gid}, which this process is in", path.display())
    }
}

impl GroupAccess {
    /// The command that closes the access.
    #[must_use]
    pub fn help(&self) -> String {
        format!("run `chmod g-rwx {}`, unless Kubernetes' `fsGroup` opened it", shell_word(&self.path))
    }
}

/// Why a secret file or a private folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}; {}", self.message(), self.help())]
pub struct SecretFileError {
    path: PathBuf,
    fault: Fault,
}

#[derive(Debug)]
enum Fault {
    Io(io::Error),
    Link,
    NotAFile,
    NotAFolder,
    TooLarge(u64),
    Owner {
        kind: &'static str,
        actual: u32,
        mode: u32,
        process: u32,
    },
    OtherAccess {
        kind: &'static str,
        mode: u32,
    },
    ForeignGroup {
        kind: &'static str,
        mode: u32,
        gid: u32,
    },
    /// A link to the secret is in a folder that other users can change.
    LinkIn {
        folder: PathBuf,
        uid: u32,
        gid: u32,
        mode: u32,
        process: u32,
    },
}

impl Fault {
    /// What is wrong with `subject`. `named` adds the kind to it.
    fn of(&self, subject: &str, named: impl Fn(&str) -> String) -> String {
        match self {
            Self::Io(error) => format!("{subject} cannot be read: {}", reason(error)),
            Self::Link => {
                format!("{subject} is a symbolic link, and sts does not follow links to files that it writes itself")
            }
            Self::NotAFile => format!("{subject} is not a regular file"),
            Self::NotAFolder => format!("{subject} is not a folder"),
            Self::TooLarge(limit) => format!("{subject} is larger than {} KiB", limit / 1024),
            Self::Owner { kind, actual, mode, process } => format!(
                "{} (mode {mode:04o}) belongs to user {actual}: it must belong to user {process}, which runs sts, or to root",
                named(kind)
            ),
            Self::OtherAccess { kind: kind @ "folder", mode } => {
                format!("{} has mode {mode:04o}: any user can write to it, and only its owner may", named(kind))
            }
            Self::OtherAccess { kind, mode } => {
                format!("{} has mode {mode:04o}: any user has access, and only its owner may (mode 0600)", named(kind))
            }
            Self::ForeignGroup { kind, mode, gid } => format!(
                "{} has mode {mode:04o}: group {gid} has access, and this process is not in that group",
                named(kind)
            ),
            Self::LinkIn { folder, uid, gid, mode, process } => format!(
                "{subject} is reached through a symbolic link in `{}` (mode {mode:04o}, user {uid}, group {gid}), which users other than {process} and root can change",
                folder.display()
            ),
        }
    }
}

impl SecretFileError {
    /// The path of the file or folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(&self.fault, Fault::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// Whether this user lacks permission to read it.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(&self.fault, Fault::Io(error) if error.kind() == io::ErrorKind::PermissionDenied)
    }

    /// The violated rule.
    #[must_use]
    pub const fn code(&self) -> CheckCode {
        match &self.fault {
            Fault::Io(_) => CheckCode::MissingSecret,
            Fault::NotAFile | Fault::NotAFolder | Fault::TooLarge(_) => CheckCode::InvalidSecret,
            Fault::Owner { kind, .. } | Fault::OtherAccess { kind, .. } | Fault::ForeignGroup { kind, .. } => {
                // A folder contains no secret itself.
                if matches!(kind.as_bytes(), b"folder") { CheckCode::ExposedFolder } else { CheckCode::ExposedSecret }
            }
            Fault::Link | Fault::LinkIn { .. } => CheckCode::ExposedSecret,
        }
    }

    /// The path, the actual state and the expected one.
    #[must_use]
    pub fn message(&self) -> String {
        // An existing path can be shown. A missing one may be a secret, pasted instead of a path.
        let is_path = !matches!(self.fault, Fault::Io(_) | Fault::NotAFolder);
        let path = if is_path { format!("`{}`", self.path.display()) } else { shown_path(&self.path) };
        self.fault.of(&path, |kind| format!("the {kind} {path}"))
    }

    /// The same without the path, for a message that names the path already.
    #[must_use]
    pub fn reason(&self) -> String {
        self.fault.of("it", |_| "it".to_owned())
    }

    /// What the operator can do about it.
    #[must_use]
    pub fn help(&self) -> String {
        let path = shell_word(&self.path);
        match &self.fault {
            Fault::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                "create it, or correct the path; a relative path is relative to the file that names it".to_owned()
            }
            Fault::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                "let the user that runs sts read it".to_owned()
            }
            Fault::Io(_) => "correct the path".to_owned(),
            Fault::Link => {
                format!("put the file itself there: `cp --remove-destination \"$(readlink -f {path})\" {path}`")
            }
            Fault::NotAFile => "name a regular file".to_owned(),
            Fault::NotAFolder => "name a folder".to_owned(),
            Fault::TooLarge(_) => "correct the path: no secret is that large".to_owned(),
            Fault::Owner { process, .. } => format!("run `chown {process} {path}`, or run sts as the owner"),
            Fault::OtherAccess { kind: "folder", .. } => {
                format!("run `chmod o-w {path}`, or name a folder inside it: sts makes one that is its own")
            }
            Fault::OtherAccess { .. } => format!(
                "run `chmod 600 {path}`, and replace the secret if somebody may have read it; in Kubernetes set `defaultMode: 0440` and an `fsGroup`"
            ),
            Fault::ForeignGroup { .. } => {
                format!("run `chmod g-rwx {path}`, or add the user that runs sts to the group")
            }
            Fault::LinkIn { folder, process, .. } => {
                let folder = shell_word(folder);
                format!("name the file itself, or run `chown {process} {folder} && chmod go-w {folder}`")
            }
        }
    }
}

/// Reads a secret file of at most `max_bytes`. Only regular files are read, and none can block the
/// process.
///
/// # Errors
/// [`SecretFileError`] if the file cannot be read, or others may have read or written it.
pub fn read_secret_file(path: &Path, owner: SecretOwner, max_bytes: u64) -> Result<SecretFile, SecretFileError> {
    let fail = |fault| SecretFileError { path: path.to_owned(), fault };
    let process = Process::this().map_err(|error| fail(Fault::Io(error)))?;
    let (process, opened) = match owner {
        SecretOwner::Ours => (process.on_behalf_of(path), path.to_owned()),
        SecretOwner::Configured => {
            let resolved = resolve(path, &process).map_err(fail)?;
            (process, resolved)
        }
    };
    // Without NONBLOCK, opening a FIFO waits for a writer. NOFOLLOW refuses a link as the last part:
    // `Ours` allows none, and for `Configured` `resolve` has followed it already.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(
        rustix::fs::open(&opened, flags, Mode::empty())
            .map_err(|errno| fail(if errno == Errno::LOOP { Fault::Link } else { Fault::Io(errno.into()) }))?,
    );
    let metadata = file.metadata().map_err(|error| fail(Fault::Io(error)))?;
    if !metadata.is_file() {
        return Err(fail(Fault::NotAFile));
    }
    let group = process.check(&Access::of(&metadata), "file", 0o077).map_err(fail)?;
    // Allocate the whole buffer first: a growing vector would leave copies of the secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(metadata.len().min(max_bytes)).unwrap_or(0) + 1));
    file.take(max_bytes + 1).read_to_end(&mut bytes).map_err(|error| fail(Fault::Io(error)))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > max_bytes {
        return Err(fail(Fault::TooLarge(max_bytes)));
    }
    let group = group.map(|(gid, mode)| GroupAccess { path: path.to_owned(), gid, mode });
    Ok(SecretFile { bytes, group })
}

/// Checks an existing folder of ours. Only this user, root and a group of this process may write to
/// it. The sticky bit is not enough, because others could still add files.
///
/// # Errors
/// [`SecretFileError`] if others can write to it, or it is not a folder.
pub fn check_private_folder(path: &Path) -> Result<Option<GroupAccess>, SecretFileError> {
    let fail = |fault| SecretFileError { path: path.to_owned(), fault };
    let metadata = std::fs::metadata(path).map_err(|error| fail(Fault::Io(error)))?;
    if !metadata.is_dir() {
        return Err(fail(Fault::NotAFolder));
    }
    let process = Process::this().map_err(|error| fail(Fault::Io(error)))?;
    let group = process.check(&Access::of(&metadata), "folder", 0o022).map_err(fail)?;
    Ok(group.map(|(gid, mode)| GroupAccess { path: path.to_owned(), gid, mode }))
}

/// The user and groups that file permissions are checked for.
struct Process {
    uid: u32,
    /// Another user whose files count as this user's.
    also: Option<u32>,
    groups: Vec<u32>,
}

/// Owner, group and mode of a file.
struct Access {
    uid: u32,
    gid: u32,
    mode: u32,
}

impl Access {
    fn of(metadata: &Metadata) -> Self {
        Self { uid: metadata.uid(), gid: metadata.gid(), mode: metadata.mode() & 0o7777 }
    }

    const fn is_sticky(&self) -> bool {
        self.mode & 0o1000 != 0
    }
}

impl Process {
    fn this() -> io::Result<Self> {
        let groups = rustix::process::getgroups()?.into_iter().chain([rustix::process::getegid()]);
        Ok(Self {
            uid: rustix::process::geteuid().as_raw(),
            also: None,
            groups: groups.map(|gid| gid.as_raw()).collect(),
        })
    }

    /// When root runs a command for a server of another user, files of the folder's owner belong to
    /// that server.
    fn on_behalf_of(mut self, file: &Path) -> Self {
        if self.uid == 0 {
            let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            self.also = std::fs::metadata(folder).ok().map(|metadata| metadata.uid());
        }
        self
    }

    fn trusts(&self, uid: u32) -> bool {
        uid == self.uid || uid == 0 || self.also == Some(uid)
    }

    /// Checks the permissions in `mask` for group and others. Returns the group that has access.
    fn check(&self, access: &Access, kind: &'static str, mask: u32) -> Result<Option<(u32, u32)>, Fault> {
        let &Access { uid, gid, mode } = access;
        if !self.trusts(uid) {
            return Err(Fault::Owner { kind, actual: uid, mode, process: self.uid });
        }
        if mode & mask & 0o007 != 0 {
            return Err(Fault::OtherAccess { kind, mode });
        }
        match mode & mask & 0o070 {
            0 => Ok(None),
            _ if self.groups.contains(&gid) => Ok(Some((gid, mode))),
            _ => Err(Fault::ForeignGroup { kind, mode, gid }),
        }
    }

    /// Whether only this user and root can change the target of an entry in `folder`. In a sticky
    /// folder nobody else can replace an entry of ours.
    fn trusts_link(&self, folder: &Access, entry: &Access) -> bool {
        let is_closed = folder.mode & 0o002 == 0 && (folder.mode & 0o020 == 0 || self.groups.contains(&folder.gid));
        self.trusts(folder.uid) && (is_closed || (folder.is_sticky() && self.trusts(entry.uid)))
    }
}

/// Resolves the links of a path. Each link must be in a folder that only this user and root can
/// change.
fn resolve(path: &Path, process: &Process) -> Result<PathBuf, Fault> {
    let mut resolved = PathBuf::new();
    let mut pending: VecDeque<OsString> = parts(path).collect();
    let mut links = 0;
    while let Some(part) = pending.pop_front() {
        let candidate = resolved.join(&part);
        let metadata = std::fs::symlink_metadata(&candidate).map_err(Fault::Io)?;
        if !metadata.is_symlink() {
            resolved = candidate;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(Fault::Io(Errno::LOOP.into()));
        }
        let folder = if resolved.as_os_str().is_empty() { Path::new(".") } else { resolved.as_path() };
        let holder = Access::of(&std::fs::metadata(folder).map_err(Fault::Io)?);
        if !process.trusts_link(&holder, &Access::of(&metadata)) {
            let Access { uid, gid, mode } = holder;
            return Err(Fault::LinkIn { folder: folder.to_owned(), uid, gid, mode, process: process.uid });
        }
        let target = std::fs::read_link(&candidate).map_err(Fault::Io)?;
        // Joining an absolute part replaces the path so far.
        for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
            pending.push_front(part);
        }
    }
    Ok(resolved)
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter(|part| *part != Component::CurDir).map(|part| part.as_os_str().to_owned())
}

/// The system's error text, without the number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// The path, quoted for a shell.
fn shell_word(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests;
