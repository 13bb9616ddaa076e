//! Stage 8: what of an answer its caller sees.
//!
//! The provider's bytes pass as they are, but for the usage chunk: one that only we asked for is
//! taken out again, and one that the caller asked for also tells tier and cost.

use super::{
    admit::Worst,
    classify::Ask,
    meter::{Form, Heard, Metered, Next, Why},
    route::Routed,
};
use crate::bill::{Bill, End};
use bytes::Bytes;
use dialects::{
    annotate::{self, Value},
    ending,
    sse::Frame,
    stream::Kind,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use policies::{refusal::Refusal, usage::Outcome};
use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

/// An answer as its caller may see it.
pub struct Screened {
    pub(super) bill: Bill,
    pub(super) headers: HeaderMap,
    pub(super) content_type: Option<HeaderValue>,
    pub(super) shown: Shown,
}

pub(super) enum Shown {
    Stream(Box<Pieces>),
    Whole { body: Bytes, end: End },
    Declined { status: StatusCode, body: Bytes },
}

/// What a streamed answer shows, piece by piece.
pub(super) struct Pieces {
    heard: Box<Heard>,
    usage: UsageChunk,
    tier: Option<String>,
    worst: Worst,
}

/// What becomes of the chunk that only tells the usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UsageChunk {
    /// The caller asked for it.
    Shown,
    /// Only we asked for it.
    Hidden,
}

/// What the caller gets next.
pub(super) enum Piece {
    Bytes(Bytes),
    /// The last bytes of the answer, to be shown once its bill is written.
    Last {
        bytes: Bytes,
        end: End,
    },
    /// It ends here, as a failure.
    Failed {
        refusal: Refusal,
        end: End,
    },
}

pub fn screen(ask: &Arc<Ask>, routed: &Routed, metered: Metered) -> Screened {
    let Metered { bill, worst, headers, content_type, form } = metered;
    let shown = match form {
        Form::Whole { body, end } => Shown::Whole { body, end },
        Form::Declined { status, body } => Shown::Declined { status, body },
        Form::Stream(heard) => {
            let asked = ask.chat().is_some_and(|chat| chat.include_usage);
            let usage = if asked { UsageChunk::Shown } else { UsageChunk::Hidden };
            let tier = routed.plan().tier.as_ref().map(|tier| tier.name.clone());
            Shown::Stream(Box::new(Pieces { heard, usage, tier, worst }))
        }
    };
    Screened { bill, headers, content_type, shown }
}

impl Pieces {
    pub(super) fn poll_next(&mut self, bill: &mut Bill, context: &mut Context<'_>) -> Poll<Piece> {
        loop {
            let (frame, kind) = match ready!(self.heard.poll_next(bill, context)) {
                Next::Frame(frame, kind) => (frame, kind),
                Next::Over(why) => return Poll::Ready(over(why, bill)),
            };
            match kind {
                Kind::Usage { alone: true } => {
                    if let Some(bytes) = self.usage_chunk(&frame, bill) {
                        return Poll::Ready(Piece::Bytes(bytes));
                    }
                }
                Kind::Done => return Poll::Ready(done(frame.raw, bill)),
                Kind::Error => return Poll::Ready(failed(frame.raw, bill)),
                Kind::Garbage => {
                    let refusal = Refusal::UpstreamTruncated;
                    return Poll::Ready(Piece::Failed { refusal, end: unfinished(bill) });
                }
                Kind::Delta | Kind::Finish | Kind::Usage { alone: false } => {
                    if kind == Kind::Delta && self.is_beyond_hold(bill) {
                        return Poll::Ready(self.cut(bill));
                    }
                    return Poll::Ready(Piece::Bytes(frame.raw));
                }
                Kind::Comment | Kind::Other => return Poll::Ready(Piece::Bytes(frame.raw)),
            }
        }
    }

    fn usage_chunk(&self, frame: &Frame, bill: &Bill) -> Option<Bytes> {
        match self.usage {
            UsageChunk::Hidden => None,
            UsageChunk::Shown => {
                let cost = bill.cost(&bill.tap.usage().tokens).map(|cost| cost.to_string());
                let tier = self.tier.as_deref().map(|tier| ("penstock_tier", Value::Text(tier)));
                let cost = cost.as_deref().map(|cost| ("penstock_cost_usd", Value::Text(cost)));
                let members: Vec<_> = tier.into_iter().chain(cost).collect();
                Some(annotate::frame(frame, &members).unwrap_or_else(|| frame.raw.clone()))
            }
        }
    }

    /// Each piece of output is at least one token: more pieces than tokens held cannot be paid.
    fn is_beyond_hold(&self, bill: &Bill) -> bool {
        let pieces = i64::try_from(bill.tap.deltas()).unwrap_or(i64::MAX);
        !bill.stamp().chain.is_empty() && self.worst.output_tokens < pieces
    }

    /// Ends the stream as if its output limit were reached.
    fn cut(&self, bill: &Bill) -> Piece {
        let bytes = match self.usage {
            UsageChunk::Shown => ending::at_length(&bill.tap, Some(&bill.tap.usage().tokens)),
            UsageChunk::Hidden => ending::at_length(&bill.tap, None),
        };
        Piece::Last { bytes: bytes.into(), end: End::Counted { outcome: Outcome::Cut, flaw: None } }
    }

    /// See [`Heard::poll_drained`].
    pub(super) fn poll_drained(&mut self, context: &mut Context<'_>) {
        self.heard.poll_drained(context);
    }
}

fn done(bytes: Bytes, bill: &Bill) -> Piece {
    Piece::Last { bytes, end: bill.told(bill.tap.usage(), Outcome::Finished) }
}

/// The provider's own error event goes to the caller as it is.
fn failed(bytes: Bytes, bill: &Bill) -> Piece {
    Piece::Last { bytes, end: unfinished(bill) }
}

/// The answer was not finished: billed as reported if the report covers it, else nobody knows.
fn unfinished(bill: &Bill) -> End {
    bill.unfinished(Outcome::Truncated).unwrap_or(End::Unknown)
}

/// We end it: billed as reported if the report covers it, else by our own count.
fn stopped(bill: &Bill) -> End {
    let counted = End::Counted { outcome: Outcome::Cut, flaw: None };
    bill.unfinished(Outcome::Cut).unwrap_or(counted)
}

/// A stream that just ends is whole only if every choice has finished: some servers send no
/// `[DONE]`. Clients take a silent end for success, so any other end is told as a failure.
fn over(why: Why, bill: &Bill) -> Piece {
    match why {
        Why::Closed if bill.tap.finished() => done(Bytes::from_static(dialects::error::DONE), bill),
        Why::Closed | Why::BrokenOff => {
            Piece::Failed { refusal: Refusal::UpstreamTruncated, end: unfinished(bill) }
        }
        Why::Late => Piece::Failed { refusal: Refusal::UpstreamTimeout, end: unfinished(bill) },
        Why::Revoked => Piece::Failed { refusal: super::lookback::revoked(), end: stopped(bill) },
    }
}
