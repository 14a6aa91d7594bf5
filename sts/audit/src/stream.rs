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

/// A standard stream, without the standard library's lock and buffer.
#[derive(Debug)]
pub struct Stream {
    file: File,
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
        Ok(Self { file, is_torn: false })
    }

    fn write_whole(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    bytes = bytes.get(count..).unwrap_or_default();
                    self.is_torn = !bytes.is_empty();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Another process that shares the stream has made it non-blocking.
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait_for_room()?,
                Err(error) => return Err(error),
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
            self.write_whole(b"\n").map_err(|error| (0, error))?;
        }
        let mut written = 0;
        while let Some(rest) = lines.get(written..).filter(|rest| !rest.is_empty()) {
            let end = chunk(rest);
            self.write_whole(rest.get(..end).unwrap_or(rest)).map_err(|error| (written, error))?;
            written += end;
        }
        Ok(())
    }
}

/// The length of as many whole lines as one atomic write takes, but of at least one line.
fn chunk(lines: &[u8]) -> usize {
    let within = lines.get(..ATOMIC).unwrap_or(lines);
    let last = within.iter().rposition(|byte| *byte == b'\n');
    let first = || lines.iter().position(|byte| *byte == b'\n');
    last.or_else(first).map_or(lines.len(), |index| index + 1)
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
        assert_eq!(chunk(b"a\nb\n"), 4);
        let long = [vec![b'x'; 5000], b"\nb\n".to_vec()].concat();
        assert_eq!(chunk(&long), 5001);
        let lines = [vec![b'x'; 3000], vec![b'\n'], vec![b'y'; 3000], vec![b'\n']].concat();
        assert_eq!(chunk(&lines), 3001);
    }
}
