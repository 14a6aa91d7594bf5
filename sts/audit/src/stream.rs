//! Writers for standard output and standard error, which may be full, closed, slow or gone.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;

use crate::LineWriter;

/// Bytes that one write to a pipe writes atomically (POSIX guarantees 512, Linux 4096).
const ATOMIC: usize = 4096;
/// The same for a file, whose writers take turns. Bounded, so that a failure costs few lines.
const ATOMIC_IN_FILE: usize = 64 * 1024;

/// A standard stream, without the standard library's lock and buffer.
#[derive(Debug)]
pub struct Stream {
    file: File,
    /// The most bytes that one write does not mix with those of another writer.
    atomic: usize,
    /// Whether the last write ended within a line.
    is_torn: bool,
}

impl Stream {
    /// Standard output.
    ///
    /// # Errors
    /// If it was closed before the process began.
    pub fn stdout() -> Result<Self, String> {
        Self::of(rustix::stdio::stdout())
    }

    /// Standard error.
    ///
    /// # Errors
    /// If it was closed before the process began.
    pub fn stderr() -> Result<Self, String> {
        Self::of(rustix::stdio::stderr())
    }

    fn of(stream: BorrowedFd<'static>) -> Result<Self, String> {
        if is_stand_in(stream).map_err(|error| error.to_string())? {
            return Err("it was closed when sts began".to_owned());
        }
        let file = stream.try_clone_to_owned().map(File::from).map_err(|error| error.to_string())?;
        let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
        Ok(Self { file, atomic: if is_file { ATOMIC_IN_FILE } else { ATOMIC }, is_torn: false })
    }

    /// Writes all of `bytes`, or tells how many it wrote.
    fn write_whole(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.file.write(rest) {
                Ok(0) => return Err((written, ErrorKind::WriteZero.into())),
                Ok(count) => {
                    written += count;
                    self.is_torn = bytes.get(..written).is_some_and(|written| !written.ends_with(b"\n"));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Another process that shares the stream has made it non-blocking.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait_for_room().map_err(|error| (written, error))?;
                }
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }

    fn wait_for_room(&self) -> io::Result<()> {
        const SECOND: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
        let mut polled = [PollFd::from_borrowed_fd(self.file.as_fd(), PollFlags::OUT)];
        match rustix::event::poll(&mut polled, Some(&SECOND)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl LineWriter for Stream {
    fn write_lines(&mut self, lines: &[u8]) -> Result<(), (usize, io::Error)> {
        if self.is_torn {
            self.write_whole(b"\n").map_err(|(_, error)| (0, error))?;
        }
        let mut written = 0;
        while let Some(rest) = lines.get(written..).filter(|rest| !rest.is_empty()) {
            let end = chunk(rest, self.atomic);
            let chunk = rest.get(..end).unwrap_or(rest);
            self.write_whole(chunk).map_err(|(count, error)| (written + whole_lines(chunk, count), error))?;
            written += end;
        }
        Ok(())
    }
}

/// The length of as many whole lines as an atomic write of `limit` bytes takes, but of at least one
/// line.
fn chunk(lines: &[u8], limit: usize) -> usize {
    let within = lines.get(..limit).unwrap_or(lines);
    let last = within.iter().rposition(|byte| *byte == b'\n');
    let first = || lines.iter().position(|byte| *byte == b'\n');
    last.or_else(first).map_or(lines.len(), |index| index + 1)
}

/// The length of the whole lines among the first `count` bytes.
fn whole_lines(lines: &[u8], count: usize) -> usize {
    let written = lines.get(..count).unwrap_or(lines);
    written.iter().rposition(|byte| *byte == b'\n').map_or(0, |index| index + 1)
}

/// Whether `stream` is the /dev/null that the standard library opens in place of a stream that was
/// closed when the process began. It opens that for reading and writing. A user's redirection to
/// /dev/null is open for writing only.
fn is_stand_in(stream: BorrowedFd<'_>) -> io::Result<bool> {
    let metadata = File::from(stream.try_clone_to_owned()?).metadata()?;
    let null = std::fs::metadata("/dev/null");
    let is_null = metadata.file_type().is_char_device() && null.is_ok_and(|null| null.rdev() == metadata.rdev());
    Ok(is_null && rustix::fs::fcntl_getfl(stream)?.contains(OFlags::RDWR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_as_many_whole_lines_as_a_pipe_takes_at_once() {
        let chunk = |lines: &[u8]| chunk(lines, ATOMIC);
        assert_eq!(chunk(b"a\nb\n"), 4);
        let long = [vec![b'x'; 5000], b"\nb\n".to_vec()].concat();
        assert_eq!(chunk(&long), 5001);
        let lines = [vec![b'x'; 3000], vec![b'\n'], vec![b'y'; 3000], vec![b'\n']].concat();
        assert_eq!(chunk(&lines), 3001);
    }

    #[test]
    fn a_file_gets_many_lines_in_one_write() {
        let lines = b"123456789\n".repeat(ATOMIC_IN_FILE);
        assert_eq!(chunk(&lines, ATOMIC_IN_FILE), ATOMIC_IN_FILE / 10 * 10);
    }

    #[test]
    fn of_a_write_that_ends_early_the_whole_lines_count() {
        assert_eq!([0, 1, 2, 3, 5].map(|count| whole_lines(b"a\nbc\nd", count)), [0, 0, 2, 2, 5]);
    }
}
