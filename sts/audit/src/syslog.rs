//! A syslog receiver: one message of RFC 5424 for each event, as a datagram on a socket of this
//! machine, or in a stream over TLS (RFC 5425).

use std::fmt;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::LineWriter;

/// `<PRIVAL>` of every message: facility `log audit` (13), severity `informational` (6).
const PRIORITY: u8 = 13 * 8 + 6;
/// The longest wait for a receiver that does not read.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A value that is not known (RFC 5424 section 6).
const NIL: &str = "-";
/// A datagram that the receiver's socket is too small for.
const MESSAGE_TOO_LONG: i32 = rustix::io::Errno::MSGSIZE.raw_os_error();

/// A stream to a receiver.
pub trait SyslogStream: Write + Send {
    /// Whether the receiver has closed the stream. Does not wait.
    fn is_closed(&mut self) -> bool;
}

/// Opens a stream to a receiver over TLS. It may block.
pub type Connect = Box<dyn FnMut() -> io::Result<Box<dyn SyslogStream>> + Send>;

/// A syslog receiver.
pub struct Syslog {
    connection: Connection,
    /// `HOSTNAME`, `APP-NAME` and `PROCID` of each message.
    sender: String,
    skipped: u64,
}

impl fmt::Debug for Syslog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Syslog").field("sender", &self.sender).finish_non_exhaustive()
    }
}

/// How the receiver is reached, and the open socket or stream if there is one.
enum Connection {
    Datagrams(PathBuf, Option<UnixDatagram>),
    Stream(Connect, Option<Box<dyn SyslogStream>>),
}

impl Syslog {
    /// The receiver whose datagram socket is at `path`.
    #[must_use]
    pub fn unix(path: PathBuf) -> Self {
        Self::new(Connection::Datagrams(path, None))
    }

    /// The receiver at the end of the streams that `connect` opens.
    #[must_use]
    pub fn stream(connect: Connect) -> Self {
        Self::new(Connection::Stream(connect, None))
    }

    fn new(connection: Connection) -> Self {
        let system = rustix::system::uname();
        let host = system.nodename().to_string_lossy();
        let host: String = host.chars().filter(char::is_ascii_graphic).take(255).collect();
        let host = if host.is_empty() { NIL } else { &host };
        Self { connection, sender: format!("{host} sts {}", std::process::id()), skipped: 0 }
    }

    /// The message for a line, without its line feed.
    fn message(&self, line: &[u8]) -> Vec<u8> {
        let event: Value = serde_json::from_slice(line).unwrap_or_default();
        let member = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or(NIL);
        let head = format!("<{PRIORITY}>1 {} {} {} {NIL} ", member("time"), self.sender, member("event"));
        [head.as_bytes(), line].concat()
    }
}

impl Connection {
    fn is_connected(&self) -> bool {
        match self {
            Self::Datagrams(_, socket) => socket.is_some(),
            Self::Stream(_, stream) => stream.is_some(),
        }
    }

    fn connect(&mut self) -> io::Result<()> {
        match self {
            Self::Datagrams(path, socket) => {
                let new = UnixDatagram::unbound()?;
                new.connect(&*path).map_err(|error| with_place(&error, &path.display()))?;
                new.set_write_timeout(Some(TIMEOUT))?;
                *socket = Some(new);
            }
            Self::Stream(connect, stream) => *stream = Some(connect()?),
        }
        Ok(())
    }

    fn disconnect(&mut self) {
        match self {
            Self::Datagrams(_, socket) => *socket = None,
            Self::Stream(_, stream) => *stream = None,
        }
    }

    /// Drops a stream that the receiver has closed. The system would still take some messages for it,
    /// and they would be lost.
    fn drop_if_closed(&mut self) {
        if let Self::Stream(_, Some(stream)) = self
            && stream.is_closed()
        {
            self.disconnect();
        }
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        if !self.is_connected() {
            self.connect()?;
        }
        match self {
            Self::Datagrams(_, Some(socket)) => socket.send(message).map(drop),
            Self::Stream(_, Some(stream)) => {
                // The frame of RFC 5425 section 4.3.
                let mut frame = format!("{} ", message.len()).into_bytes();
                frame.extend_from_slice(message);
                stream.write_all(&frame).and_then(|()| stream.flush())
            }
            Self::Datagrams(_, None) | Self::Stream(_, None) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Sends over the connection that there is, and over a new one if the receiver has ended it.
    fn send_again(&mut self, message: &[u8]) -> io::Result<()> {
        let was_connected = self.is_connected();
        let sent = self.send(message);
        if sent.as_ref().is_err_and(|error| was_connected && has_ended(error)) {
            self.disconnect();
            return self.send(message).inspect_err(|_| self.disconnect());
        }
        sent.inspect_err(|error| {
            if !is_too_long(error) {
                self.disconnect();
            }
        })
    }
}

impl LineWriter for Syslog {
    fn write_lines(&mut self, lines: &[u8]) -> Result<(), (usize, io::Error)> {
        if lines.is_empty() {
            return self.tick().map_err(|error| (0, error));
        }
        self.connection.drop_if_closed();
        let mut written = 0;
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let message = self.message(line.strip_suffix(b"\n").unwrap_or(line));
            match self.connection.send_again(&message) {
                Ok(()) => {}
                // Another attempt would fail like this one, and hold every later event back.
                Err(error) if is_too_long(&error) => self.skipped += 1,
                Err(error) => return Err((written, error)),
            }
            written += line.len();
        }
        Ok(())
    }

    fn tick(&mut self) -> io::Result<()> {
        self.connection.drop_if_closed();
        if self.connection.is_connected() { Ok(()) } else { self.connection.connect() }
    }

    fn take_skipped(&mut self) -> u64 {
        std::mem::take(&mut self.skipped)
    }
}

fn has_ended(error: &io::Error) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, NotConnected, UnexpectedEof,
    };
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionRefused | ConnectionReset | NotConnected | UnexpectedEof
    )
}

fn is_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(MESSAGE_TOO_LONG)
}

fn with_place(error: &io::Error, place: &impl fmt::Display) -> io::Error {
    io::Error::new(error.kind(), format!("{place}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const LINE: &[u8] = b"{\"event\":\"revocation\",\"time\":\"2026-11-29T12:00:00.000Z\"}\n";

    fn received(receiver: &UnixDatagram) -> String {
        let mut buffer = [0; 4096];
        let count = receiver.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..count].to_vec()).unwrap()
    }

    #[test]
    fn each_event_is_a_message_with_its_time_and_type() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::unix(path);
        syslog.write_lines(&[LINE, b"not JSON\n"].concat()).unwrap();
        let (first, second) = (received(&receiver), received(&receiver));
        let words: Vec<&str> = first.splitn(8, ' ').collect();
        assert_eq!((words[0], words[1]), ("<110>1", "2026-11-29T12:00:00.000Z"));
        assert_eq!((words[3], words[4]), ("sts", std::process::id().to_string().as_str()));
        assert_eq!((words[5], words[6]), ("revocation", "-"));
        assert_eq!(words[7].as_bytes(), LINE.strip_suffix(b"\n").unwrap());
        assert!(second.starts_with("<110>1 - ") && second.ends_with(" - - not JSON"), "{second}");
    }

    #[test]
    fn a_receiver_that_is_not_there_is_named_and_one_that_comes_back_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut syslog = Syslog::unix(path.clone());
        let error = syslog.tick().unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert_eq!(syslog.write_lines(LINE).unwrap_err().0, 0);
        let receiver = UnixDatagram::bind(&path).unwrap();
        syslog.write_lines(LINE).unwrap();
        received(&receiver);
        // It is started anew.
        drop(receiver);
        std::fs::remove_file(&path).unwrap();
        let receiver = UnixDatagram::bind(&path).unwrap();
        syslog.write_lines(LINE).unwrap();
        received(&receiver);
    }

    #[test]
    fn a_message_that_no_receiver_takes_is_left_out_and_counted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::unix(path);
        let long = [&vec![b'a'; 8 * 1024 * 1024][..], b"\n", LINE].concat();
        syslog.write_lines(&long).unwrap();
        assert_eq!((syslog.take_skipped(), syslog.take_skipped()), (1, 0));
        assert!(received(&receiver).contains("revocation"));
    }

    /// A stream that breaks after a number of writes.
    struct Brittle(Arc<Mutex<Vec<u8>>>, usize);

    impl SyslogStream for Brittle {
        fn is_closed(&mut self) -> bool {
            false
        }
    }

    impl Write for Brittle {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 = self.1.checked_sub(1).ok_or(io::ErrorKind::BrokenPipe)?;
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stream_has_frames_and_is_opened_again_when_it_breaks() {
        let (sent, opened) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let (sink, count) = (Arc::clone(&sent), Arc::clone(&opened));
        let mut syslog = Syslog::stream(Box::new(move || {
            *count.lock().unwrap() += 1;
            Ok(Box::new(Brittle(Arc::clone(&sink), 2)))
        }));
        for _ in 0..5 {
            syslog.write_lines(LINE).unwrap();
        }
        assert_eq!(*opened.lock().unwrap(), 3);
        let text = String::from_utf8(sent.lock().unwrap().clone()).unwrap();
        let mut rest = text.as_str();
        for _ in 0..5 {
            let (length, message) = rest.split_once(' ').unwrap();
            let (message, next) = message.split_at(length.parse().unwrap());
            assert!(message.starts_with("<110>1 ") && message.ends_with('}'), "{message}");
            rest = next;
        }
        assert_eq!(rest, "");
    }

    /// A stream that the receiver closes after each message. Writing to it still succeeds.
    struct Closing(Arc<Mutex<Vec<Vec<u8>>>>, bool);

    impl SyslogStream for Closing {
        fn is_closed(&mut self) -> bool {
            self.1
        }
    }

    impl Write for Closing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !std::mem::replace(&mut self.1, true) {
                self.0.lock().unwrap().push(bytes.to_vec());
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stream_that_the_receiver_has_closed_is_noticed_before_an_event_is_written_to_it() {
        let read = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&read);
        let mut syslog = Syslog::stream(Box::new(move || Ok(Box::new(Closing(Arc::clone(&sink), false)))));
        for _ in 0..3 {
            syslog.write_lines(LINE).unwrap();
        }
        assert_eq!(read.lock().unwrap().len(), 3);
    }
}
