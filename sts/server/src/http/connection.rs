//! A connection, between its socket or TLS and the HTTP library: nobody holds one by being slow.
//!
//! The library's own deadline is for the head of the first request only, and it waits for ever for a peer that does not read.

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
/// The longest that a peer may take to read what was written: as long as a body may take.
const READER_DEADLINE: Duration = Duration::from_secs(10);

/// How long a peer may take to close a connection that was closed on our side.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// Which of a connection's requests are being handled: told by the handler, seen by the connection.
#[derive(Clone, Default)]
pub(super) struct InFlight(Rc<Count>);

#[derive(Default)]
struct Count {
    begun: Cell<u64>,
    ended: Cell<u64>,
    is_last: Cell<bool>,
}

impl InFlight {
    /// A request's head was read; it is handled until what is returned is dropped.
    pub(super) fn begin(&self) -> Handling {
        self.0.begun.set(self.0.begun.get() + 1);
        Handling(self.clone())
    }

    /// No further request is read: what still comes belongs to nothing.
    pub(super) fn end(&self) {
        self.0.is_last.set(true);
    }

    /// Whether what comes now is no head.
    fn is_ours(&self) -> bool {
        self.0.is_last.get() || self.0.begun.get() != self.0.ended.get()
    }
}

/// A request that is being handled.
pub(super) struct Handling(InFlight);

impl Drop for Handling {
    fn drop(&mut self) {
        let Self(InFlight(count)) = self;
        count.ended.set(count.ended.get() + 1);
    }
}

/// Makes a request's id.
pub(super) type NewRequestId = Rc<dyn Fn() -> RequestId>;

/// A connection.
pub(super) struct Connection<T> {
    io: T,
    in_flight: InFlight,
    new_request_id: NewRequestId,
    /// Runs while some bytes of a head are here and others are not; beside it, the requests that had begun before.
    head: Option<(Pin<Box<Sleep>>, u64)>,
    /// How large that head is so far.
    head_length: HeadLength,
    /// What is sent in the end to a peer whose head is too large; nothing more is read of what it sends.
    farewell: Option<Bytes>,
    /// Runs while such a peer is waited for, so that it reads the answer before the connection is gone.
    lingering: Option<Pin<Box<Sleep>>>,
    /// Runs from the first byte that the peer did not take until it has taken all.
    reader: Option<Pin<Box<Sleep>>>,
    /// What is sent in place of an answer of the library's.
    instead: Bytes,
}

impl<T> Connection<T> {
    pub(super) fn new(io: T, new_request_id: NewRequestId) -> Self {
        Self {
            io,
            in_flight: InFlight::default(),
            new_request_id,
            head: None,
            head_length: HeadLength::default(),
            farewell: None,
            lingering: None,
            reader: None,
            instead: Bytes::new(),
        }
    }

    pub(super) fn in_flight(&self) -> InFlight {
        self.in_flight.clone()
    }

    /// Stops waiting for a head that has been read.
    fn settle_head(&mut self) {
        let begun = self.in_flight.0.begun.get();
        if self.head.as_ref().is_some_and(|(_, before)| *before != begun) {
            self.head = None;
        }
    }

    /// Ends the connection of a peer that has not taken what was written for too long.
    fn bounded<R>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if outcome.is_pending() {
            let reader = self.reader.get_or_insert_with(|| Box::pin(sleep(READER_DEADLINE)));
            ready!(reader.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        outcome
    }
}

impl<T: AsyncRead + Unpin> Connection<T> {
    /// Throws away what the peer still sends: a connection that is closed with bytes unread is reset, and the answer lost with it.
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
        self.bounded(cx, outcome)
    }

    fn write_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            let bytes = self.instead.clone();
            let count = ready!(self.write(cx, &bytes))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.instead.advance(count);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Connection<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.settle_head();
        if this.farewell.is_some() {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut this.io).poll_read(cx, buffer);
        // A body has a deadline of its own.
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
                this.farewell = Some(head_too_large(&(this.new_request_id)()));
                buffer.set_filled(before);
                return Poll::Ready(Ok(()));
            }
        }
        if outcome.is_pending()
            && let Some((deadline, _)) = &mut this.head
        {
            ready!(deadline.as_mut().poll(cx));
            // As if the peer had said that nothing more comes.
            return Poll::Ready(Ok(()));
        }
        outcome
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Connection<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.write_instead(cx))?;
        match rewritten(bytes, &*this.new_request_id) {
            Some((0, answer)) => {
                this.instead = answer.into();
                Poll::Ready(Ok(bytes.len()))
            }
            // First what stands before it; it comes again as the rest.
            Some((begins, _)) => this.write(cx, bytes.get(..begins).unwrap_or(bytes)),
            None => this.write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.settle_head();
        ready!(this.write_instead(cx))?;
        let outcome = Pin::new(&mut this.io).poll_flush(cx);
        ready!(this.bounded(cx, outcome))?;
        this.reader = None;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(farewell) = this.farewell.as_mut().filter(|farewell| !farewell.is_empty()) {
            this.instead = std::mem::take(farewell);
        }
        ready!(this.write_instead(cx))?;
        if this.lingering.is_none() {
            let outcome = Pin::new(&mut this.io).poll_shutdown(cx);
            ready!(this.bounded(cx, outcome))?;
        }
        if this.farewell.is_none() {
            return Poll::Ready(Ok(()));
        }
        this.linger(cx).map(Ok)
    }
}
