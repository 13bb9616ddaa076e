//! Strict HTTP/1 framing beneath hyper: what is ambiguous never reaches the parser above.
//!
//! hyper reads `Content-Length` together with `Transfer-Encoding`, accepts bare LF and needs no
//! `Host`. A gateway that agrees with itself but not with the proxy before it can be made to see
//! a request that nobody sent (request smuggling), so [`Strict`] follows the framing of RFC 9112
//! over the bytes that pass and refuses whatever two readers could read in two ways.
//!
//! - A head goes up only whole and checked. A bad one is replaced by a harmless request of our
//!   own, which the service above answers from [`Notice::refusal`]; so hyper keeps the order of
//!   answers, and no byte behind the violation is ever parsed.
//! - A bad body ends in a read error; the service above turns the answer into the refusal if it
//!   has not begun.
//! - The next request goes up once the answer before it is complete. In between the socket is
//!   still read, within [`PIPELINE_BYTES_MAX`], so that a hang-up is seen.

mod answer;
mod clock;
mod head;
mod notice;
mod scan;
mod violation;

#[cfg(test)]
mod tests;

pub use answer::{Answer, Answering};
pub use clock::Patience;
pub use notice::{Notice, Serving};
pub use violation::Violation;

use bytes::{Buf, BytesMut};
use clock::{Clock, Waiting};
use scan::{Scanner, Step, Stop};
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The longest request line, without its CRLF: 414 above.
pub const REQUEST_LINE_BYTES_MAX: usize = 16 << 10;
/// The longest head, request line and blank line included: 431 above.
pub const HEAD_BYTES_MAX: usize = 64 << 10;
/// The most field lines of a head: 431 above.
pub const HEAD_LINES_MAX: usize = 128;
/// The most bytes of chunk extensions in one body.
pub const CHUNK_EXTENSION_BYTES_MAX: usize = 4 << 10;
/// The longest block of trailers.
pub const TRAILER_BYTES_MAX: usize = 8 << 10;
/// The most lines of trailers.
pub const TRAILER_LINES_MAX: usize = 32;
/// While an answer is under way no more is read ahead once so many bytes wait.
pub const PIPELINE_BYTES_MAX: usize = 64 << 10;
/// The most bytes that are discarded after the last answer.
pub const LINGER_BYTES_MAX: usize = 256 << 10;

const DISCARD_BYTES: usize = 8 << 10;

/// What hyper parses in the place of a head that was refused.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

/// A connection whose requests are checked while they pass.
#[derive(Debug)]
pub struct Strict<T> {
    io: T,
    notice: Arc<Notice>,
    clock: Clock,
    scanner: Scanner,
    /// Bytes that were read and not yet handed up. INVARIANT: the first `clear` are checked.
    held: BytesMut,
    clear: usize,
    /// Whether `held` has bytes that the scanner was not shown.
    unseen: bool,
    course: Course,
    /// Whether a request has gone up whose answer is not yet written to its last byte. The
    /// service's own count ends earlier, while the answer still lies in hyper's buffer.
    answering: bool,
    discarded: usize,
    shut: bool,
}

/// How far the reading side is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    Open,
    /// A head was bad: after the stand-in nothing more goes up.
    Refused,
    /// A body was bad.
    Broken(Violation),
    Ended,
}

// === impl Strict ===

impl<T: AsyncRead + AsyncWrite + Unpin> Strict<T> {
    /// Wraps a fresh connection. The `notice` is shared with the service above hyper, which must
    /// hold a [`Serving`] for each request until its answer is complete.
    pub fn new(io: T, patience: Patience, notice: Arc<Notice>) -> Self {
        Self {
            io,
            notice,
            clock: Clock::new(patience),
            scanner: Scanner::new(),
            held: BytesMut::new(),
            clear: 0,
            unseen: false,
            course: Course::Open,
            answering: false,
            discarded: 0,
            shut: false,
        }
    }

    /// Hands up checked bytes; true if there were any.
    fn release(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let count = self.clear.min(buf.remaining());
        let Some(bytes) = self.held.get(..count).filter(|bytes| !bytes.is_empty()) else {
            return false;
        };
        buf.put_slice(bytes);
        self.held.advance(count);
        self.clear -= count;
        if self.held.is_empty() {
            // A connection between requests keeps no buffer.
            self.held = BytesMut::new();
        }
        true
    }

    /// Whether the scanner may go on: not into a second request before the first is answered.
    fn may_scan(&self) -> bool {
        !(self.scanner.is_between() && self.answering)
    }

    fn waiting(&self) -> Waiting {
        if self.scanner.is_between() {
            if self.answering { Waiting::Answer } else { Waiting::Idle }
        } else if self.scanner.is_in_head() {
            Waiting::Head
        } else {
            Waiting::Body
        }
    }

    /// Takes note of what the scanner found.
    fn note(&mut self, step: &Step) {
        if step.began {
            self.begin();
        }
        match step.stop {
            Stop::More => self.unseen = false,
            Stop::Complete => self.unseen = true,
            Stop::Broken(violation) => self.break_off(violation),
        }
    }

    fn begin(&mut self) {
        self.notice.begin();
        self.answering = true;
        self.clock.restart();
    }

    fn break_off(&mut self, violation: Violation) {
        tracing::debug!(?violation, "request refused by its framing");
        self.notice.refuse(violation);
        self.held.truncate(self.clear);
        self.unseen = false;
        if self.scanner.is_in_head() || self.scanner.is_between() {
            // No answer is under way: the scanner enters no head before the last is complete.
            self.begin();
            self.held.extend_from_slice(STAND_IN);
            self.clear = self.held.len();
            self.course = Course::Refused;
        } else {
            self.course = Course::Broken(violation);
        }
    }

    /// Shows the scanner what is held; `buf` then has its turn in [`Self::release`].
    fn scan_held(&mut self) {
        let step = self.scanner.advance(self.held.get(self.clear..).unwrap_or_default());
        self.clear += step.clear;
        self.note(&step);
    }

    /// Bytes have come into `buf` behind its first `before`: leaves there what is checked.
    fn take_in(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let fresh = buf.filled().get(before..).unwrap_or_default();
        if self.waiting() == Waiting::Body {
            self.clock.received(fresh.len());
        }
        if !self.held.is_empty() || !self.may_scan() {
            self.held.extend_from_slice(fresh);
            self.unseen = true;
            buf.set_filled(before);
            return;
        }
        // The usual case: whole heads and bodies are checked where they lie.
        let step = self.scanner.advance(fresh);
        self.held.extend_from_slice(fresh.get(step.clear..).unwrap_or_default());
        buf.set_filled(before + step.clear);
        self.note(&step);
    }

    /// Nothing has come: true if that has lasted too long and the course has changed.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> bool {
        let waiting = self.waiting();
        if !self.clock.poll_reading(cx, waiting) {
            return false;
        }
        match waiting {
            Waiting::Idle | Waiting::Answer => self.course = Course::Ended,
            Waiting::Head => self.break_off(Violation::HeadTimeout),
            Waiting::Body => self.break_off(Violation::BodyTimeout),
        }
        true
    }

    /// Whether the client may still be sending what nobody will read.
    fn owes_reading(&self) -> bool {
        match self.course {
            Course::Ended => false,
            Course::Refused | Course::Broken(_) => true,
            Course::Open => !self.scanner.is_between() || !self.held.is_empty(),
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Strict<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if this.release(buf) {
                return Poll::Ready(Ok(()));
            }
            match this.course {
                Course::Open => {}
                Course::Ended => return Poll::Ready(Ok(())),
                Course::Refused => return Poll::Pending,
                Course::Broken(violation) => {
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        violation.message(),
                    )));
                }
            }
            if this.may_scan() {
                if this.unseen && !this.held.is_empty() {
                    this.scan_held();
                    continue;
                }
            } else if PIPELINE_BYTES_MAX <= this.held.len() {
                // `poll_flush` wakes us at the end of the answer.
                return Poll::Pending;
            }
            let before = buf.filled().len();
            match Pin::new(&mut this.io).poll_read(cx, buf) {
                Poll::Pending if this.poll_patience(cx) => {}
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => {
                    this.course = Course::Ended;
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(Ok(())) if buf.filled().len() == before => {
                    this.course = Course::Ended;
                }
                Poll::Ready(Ok(())) => {
                    this.take_in(buf, before);
                    if before < buf.filled().len() {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Strict<T> {
    /// Passes the outcome of a write on, unless the client has taken nothing for too long.
    fn judge<R>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        match outcome {
            Poll::Ready(outcome) => {
                self.clock.wrote();
                Poll::Ready(outcome)
            }
            Poll::Pending if self.clock.poll_writing(cx) => {
                tracing::debug!("client stopped reading its answer");
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Strict<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.judge(cx, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.io).poll_write_vectored(cx, slices);
        this.judge(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.io).poll_flush(cx);
        ready!(this.judge(cx, outcome))?;
        // hyper flushes once its buffer is empty. At the end of an answer it may not read again by
        // itself: what waits for that end is woken here, and the idle time begins here.
        this.answering &= this.notice.is_serving();
        let idle = this.course == Course::Open && this.waiting() == Waiting::Idle;
        if idle && (!this.held.is_empty() || this.clock.poll_reading(cx, Waiting::Idle)) {
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    /// Closes the writing side. If the client may still be sending, its bytes are then discarded
    /// within [`LINGER_BYTES_MAX`] and [`Patience::linger`]: closing at once would reset the
    /// connection, and the reset could overtake the answer (RFC 9112 section 9.6).
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.shut {
            let outcome = Pin::new(&mut this.io).poll_shutdown(cx);
            ready!(this.judge(cx, outcome))?;
            this.shut = true;
        }
        let mut space = [0_u8; DISCARD_BYTES];
        while this.owes_reading() && this.discarded < LINGER_BYTES_MAX {
            let mut buf = ReadBuf::new(&mut space);
            match Pin::new(&mut this.io).poll_read(cx, &mut buf) {
                Poll::Pending if this.clock.poll_closing(cx) => break,
                Poll::Pending => return Poll::Pending,
                // An error means that the client is gone, and so is the reason to linger.
                Poll::Ready(Err(_)) => break,
                Poll::Ready(Ok(())) if buf.filled().is_empty() => break,
                Poll::Ready(Ok(())) => this.discarded += buf.filled().len(),
            }
        }
        Poll::Ready(Ok(()))
    }
}
