//! A streamed answer that bills itself.

use crate::{
    bill::{Bill, End},
    edge::problem,
    journal::{Unwritten, Written},
    pipeline::screen::{Piece, Pieces},
};
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use policies::refusal::Refusal;
use std::{
    convert::Infallible,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::sync::oneshot;

/// What has come is handed on in one piece up to this many bytes.
const PIECE_BYTES_SOFT_MAX: usize = 64 * 1024;

pub struct StreamBody {
    pieces: Box<Pieces>,
    /// Taken when the answer ends; dropped with it when the caller leaves.
    bill: Option<Bill>,
    state: State,
}

enum State {
    Open,
    /// The bill is on its way to the journal; then these bytes are the last.
    Settling {
        written: oneshot::Receiver<Result<Written, Unwritten>>,
        last: Bytes,
    },
    Over,
}

impl StreamBody {
    pub(super) fn new(bill: Bill, pieces: Box<Pieces>) -> Self {
        Self { pieces, bill: Some(bill), state: State::Open }
    }

    fn close(&mut self, last: Bytes, end: End) {
        self.state = match self.bill.take() {
            Some(bill) => State::Settling { written: bill.finish(end), last },
            None => State::Over,
        };
    }

    /// All that has come, in one piece.
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut first = Bytes::new();
        let mut more = BytesMut::new();
        while let Some(bill) = &mut self.bill {
            let polled = self.pieces.poll_next(bill, context);
            let bytes = match polled {
                Poll::Pending if first.is_empty() => return Poll::Pending,
                Poll::Pending => break,
                Poll::Ready(Piece::Bytes(bytes)) => bytes,
                Poll::Ready(Piece::Last { bytes, end }) => {
                    self.close(bytes, end);
                    break;
                }
                Poll::Ready(Piece::Failed { refusal, end }) => {
                    self.close(problem::frame(&refusal).into(), end);
                    break;
                }
            };
            if first.is_empty() {
                first = bytes;
            } else {
                if more.is_empty() {
                    more.extend_from_slice(&first);
                }
                more.extend_from_slice(&bytes);
            }
            if PIECE_BYTES_SOFT_MAX < more.len() {
                break;
            }
        }
        let all = if more.is_empty() { first } else { more.freeze() };
        Poll::Ready((!all.is_empty()).then_some(all))
    }

    pub(crate) fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match &mut self.state {
                State::Open => {
                    if let Some(bytes) = ready!(self.poll_open(context)) {
                        return Poll::Ready(Some(bytes));
                    }
                }
                State::Settling { written, last } => {
                    self.pieces.poll_drained(context);
                    let written = ready!(Pin::new(written).poll(context));
                    let last = mem::take(last);
                    self.state = State::Over;
                    return Poll::Ready(Some(match written {
                        Ok(Ok(_)) => last,
                        Ok(Err(_)) | Err(_) => {
                            problem::frame(&Refusal::Unavailable { retry_millis: 1_000 }).into()
                        }
                    }));
                }
                State::Over => return Poll::Ready(None),
            }
        }
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.poll_bytes(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Over)
    }
}
