//! A wrapper between the socket or TLS stream and the HTTP library, which stops slow peers from
//! holding a connection.
//!
//! The library has a deadline for the head of the first request only. It waits for ever for a peer
//! that does not read.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use sts_types::RequestId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::head::HeadLength;
use super::library_answer::{head_too_large, rewritten};

/// The longest that a request's head may take.
pub(super) const HEADER_DEADLINE: Duration = Duration::from_secs(5);
/// The longest that a peer may take to read what was written. The same as for a body.
const READER_DEADLINE: Duration = Duration::from_secs(10);

/// How long a peer may take to close a connection after our side has closed it.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// Counts a connection's requests in progress. The handler writes it, the connection reads it.
#[derive(Clone, Default)]
pub(super) struct InFlight(Rc<Count>);

#[derive(Default)]
struct Count {
    begun: Cell<u64>,
    ended: Cell<u64>,
    is_last: Cell<bool>,
}

impl InFlight {
    /// Records that a request's head was read. The request is in progress until the result is
    /// dropped.
    pub(super) fn begin(&self) -> Handling {
        self.0.begun.set(self.0.begun.get() + 1);
        Handling(self.clone())
    }

    /// Records that no further request is read. Later octets belong to none.
    pub(super) fn end(&self) {
        self.0.is_last.set(true);
    }

    /// Whether the next octets are no head.
    fn is_ours(&self) -> bool {
        self.0.is_last.get() || self.0.begun.get() != self.0.ended.get()
    }
}

/// A request in progress.
pub(super) struct Handling(InFlight);

impl Drop for Handling {
    fn drop(&mut self) {
        let Self(InFlight(count)) = self;
        count.ended.set(count.ended.get() + 1);
    }
}

/// Makes a request's id.
pub(super) type NewRequestId = Rc<dyn Fn() -> RequestId>;

pub(super) struct Connection<T> {
    io: T,
    in_flight: InFlight,
    new_request_id: NewRequestId,
    /// The deadline of a partly received head, with the number of requests that had begun before
    /// it.
    head: Option<(Pin<Box<Sleep>>, u64)>,
    /// The length of that head so far.
    head_length: HeadLength,
    /// The last answer, for a peer whose head is too large. Nothing more is read from that peer.
    final_answer: Option<Bytes>,
    /// The deadline for such a peer to read the answer before the connection is dropped.
    lingering: Option<Pin<Box<Sleep>>>,
    /// Runs from the first octet that the peer did not take until it has taken all.
    reader: Option<Pin<Box<Sleep>>>,
    /// Replaces an answer of the library's.
    replacement: Bytes,
}

impl<T> Connection<T> {
    pub(super) fn new(io: T, new_request_id: NewRequestId) -> Self {
        Self {
            io,
            in_flight: InFlight::default(),
            new_request_id,
            head: None,
            head_length: HeadLength::default(),
            final_answer: None,
            lingering: None,
            reader: None,
            replacement: Bytes::new(),
        }
    }

    pub(super) fn in_flight(&self) -> InFlight {
        self.in_flight.clone()
    }

    /// Ends the deadline of a head that has been read.
    fn finish_head(&mut self) {
        let begun = self.in_flight.0.begun.get();
        if self.head.as_ref().is_some_and(|(_, before)| *before != begun) {
            self.head = None;
        }
    }

    /// Fails the write if the peer has not read for too long.
    fn with_deadline<R>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if outcome.is_pending() {
            let reader = self.reader.get_or_insert_with(|| Box::pin(sleep(READER_DEADLINE)));
            ready!(reader.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        outcome
    }
}

impl<T: AsyncRead + Unpin> Connection<T> {
    /// Discards what the peer still sends. Closing a connection with unread octets resets it, and
    /// the peer would lose the answer.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.lingering.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        let mut scratch = [0; 4096];
        while deadline.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.io).poll_read(cx, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => break,
            }
        }
        Poll::Ready(())
    }
}

impl<T: AsyncWrite + Unpin> Connection<T> {
    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.with_deadline(cx, outcome)
    }

    fn write_replacement(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.replacement.is_empty() {
            let bytes = self.replacement.clone();
            let count = ready!(self.write(cx, &bytes))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.replacement.advance(count);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Connection<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.finish_head();
        if this.final_answer.is_some() {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut this.io).poll_read(cx, buffer);
        // A body has its own deadline.
        if this.in_flight.is_ours() {
            return outcome;
        }
        let fresh = buffer.filled().get(before..).unwrap_or_default();
        if !fresh.is_empty() {
            if this.head.is_none() {
                this.head = Some((Box::pin(sleep(HEADER_DEADLINE)), this.in_flight.0.begun.get()));
                this.head_length = HeadLength::default();
            }
            this.head_length.observe(fresh);
            if this.head_length.is_too_large() {
                this.final_answer = Some(head_too_large(&(this.new_request_id)()));
                buffer.set_filled(before);
                return Poll::Ready(Ok(()));
            }
        }
        if outcome.is_pending()
            && let Some((deadline, _)) = &mut this.head
        {
            ready!(deadline.as_mut().poll(cx));
            // Pretend that the peer has closed its side.
            return Poll::Ready(Ok(()));
        }
        outcome
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Connection<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.write_replacement(cx))?;
        match rewritten(bytes, &*this.new_request_id) {
            Some((0, answer)) => {
                this.replacement = answer.into();
                Poll::Ready(Ok(bytes.len()))
            }
            // First write what comes before the library's answer. That answer comes again with the
            // next call.
            Some((begins, _)) => this.write(cx, bytes.get(..begins).unwrap_or(bytes)),
            None => this.write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.finish_head();
        ready!(this.write_replacement(cx))?;
        let outcome = Pin::new(&mut this.io).poll_flush(cx);
        ready!(this.with_deadline(cx, outcome))?;
        this.reader = None;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(final_answer) = this.final_answer.as_mut().filter(|final_answer| !final_answer.is_empty()) {
            this.replacement = std::mem::take(final_answer);
        }
        ready!(this.write_replacement(cx))?;
        if this.lingering.is_none() {
            let outcome = Pin::new(&mut this.io).poll_shutdown(cx);
            ready!(this.with_deadline(cx, outcome))?;
        }
        if this.final_answer.is_none() {
            return Poll::Ready(Ok(()));
        }
        this.linger(cx).map(Ok)
    }
}
