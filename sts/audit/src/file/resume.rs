//! Opens an audit file where it ended.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::FlockOperation;

use crate::chain::{ChainHead, SealedLine, Sha256};

/// The longest line that is looked for at the end of a file, in bytes.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;
/// How much of the end of a file is read first.
const FIRST_READ: u64 = 64 * 1024;

/// A file that can be written to.
pub(super) struct Found {
    pub(super) file: File,
    /// Its length. It ends in a whole line.
    pub(super) length: u64,
    /// Its last line, and whether that is signed.
    pub(super) last: Option<(ChainHead, bool)>,
    /// How many bytes of a torn line were removed.
    pub(super) torn_bytes: u64,
}

/// The last line of a full file.
pub(super) struct Predecessor {
    pub(super) head: ChainHead,
    /// The hash of the line before it.
    pub(super) prev: [u8; 32],
    /// Whether it is a checkpoint.
    pub(super) is_signed: bool,
    /// Whether its writer ended the file, so that another one followed.
    pub(super) is_ended: bool,
}

/// Opens the file at `path` and locks it. A torn last line is removed.
///
/// # Errors
/// The system's error. `Ok(Err(..))` is a file whose last line is not of a chain, as it is.
pub(super) fn resume(path: &Path, sha256: Sha256) -> io::Result<Result<Found, File>> {
    let mut file = open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
        rustix::io::Errno::WOULDBLOCK => io::Error::other("another process writes this file"),
        error => error.into(),
    })?;
    let length = file.metadata()?.len();
    let end = end_of(&mut file, length)?;
    let torn_bytes = length - end.whole;
    let last = match &end.last_line {
        None => None,
        Some(line) => match SealedLine::parse(line).filter(|line| line.is_intact(sha256)) {
            Some(line) => Some((line.head(), line.jws.is_some())),
            None => return Ok(Err(file)),
        },
    };
    if torn_bytes > 0 {
        file.set_len(end.whole)?;
        file.sync_data()?;
    }
    Ok(Ok(Found { file, length: end.whole, last, torn_bytes }))
}

/// Opens the file, or creates it for the owner of its folder: a command that root runs must not leave a
/// file that the server cannot write.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).mode(0o600);
    match options.clone().create_new(true).open(path) {
        Ok(file) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            sts_types::give_to_owner_of(folder, &file)?;
            Ok(file)
        }
        // A link whose target is not there yet exists, too.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.create(true).open(path),
        Err(error) => Err(error),
    }
}

/// The last line of the file before. `Ok(None)` if there is no such file.
///
/// # Errors
/// Why the chain cannot go on behind it.
pub(super) fn predecessor(path: &Path, sha256: Sha256) -> Result<Option<Predecessor>, String> {
    let unreadable = |error: io::Error| format!("{} cannot be read: {error}", path.display());
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let length = file.metadata().map_err(unreadable)?.len();
    let end = end_of(&mut file, length).map_err(unreadable)?;
    let line = end.last_line.as_deref().and_then(SealedLine::parse).filter(|line| line.is_intact(sha256));
    let line = line.ok_or_else(|| format!("{} does not end in a line of a chain", path.display()))?;
    let is_ended = line.event().get("cause").is_some_and(|cause| cause == "file_end");
    Ok(Some(Predecessor { head: line.head(), prev: line.prev, is_signed: line.jws.is_some(), is_ended }))
}

/// The end of a file.
struct End {
    /// The length up to the end of the last whole line.
    whole: u64,
    /// That line, without its line feed.
    last_line: Option<Vec<u8>>,
}

fn end_of(file: &mut File, length: u64) -> io::Result<End> {
    let mut size = FIRST_READ;
    loop {
        let size_now = size.min(length);
        let bytes = read_end(file, length, size_now)?;
        let is_all = size_now == length;
        let last = bytes.iter().rposition(|byte| *byte == b'\n');
        let before = |end: usize| bytes.get(..end).unwrap_or_default().iter().rposition(|byte| *byte == b'\n');
        match last.map(|end| (end, before(end))) {
            Some((end, begin)) if begin.is_some() || is_all => {
                let start = begin.map_or(0, |begin| begin + 1);
                let line = bytes.get(start..end).unwrap_or_default().to_vec();
                return Ok(End { whole: length - size_now + end as u64 + 1, last_line: Some(line) });
            }
            None if is_all => return Ok(End { whole: 0, last_line: None }),
            _ if size >= LONGEST_LINE => return Err(io::Error::other("its last line has no end")),
            _ => size *= 8,
        }
    }
}

fn read_end(file: &mut File, length: u64, size: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(length - size))?;
    let mut bytes = Vec::new();
    file.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}
