//! Stage 7: counting what passes, as it passes. Usage is read from the provider's own bytes.

use super::{
    admit::Worst,
    call::{Begun, Exchange},
    gathered::Gathered,
    lookback::Lookback,
};
use crate::{
    bill::{self, Bill, End, HEARD_BYTES_MAX},
    config::{self, Upstream as Deadlines},
};
use bytes::Bytes;
use dialects::{
    answer,
    sse::{Frame, Splitter},
    stream::Kind,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use policies::{refusal::Refusal, usage::Outcome};
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep};

/// How often the progress of a stream is noted for the bill of a crash.
const PROGRESS: Duration = Duration::from_secs(1);

/// An answer that knows, at any moment, what it has cost so far.
pub struct Metered {
    pub(super) bill: Bill,
    pub(super) worst: Worst,
    pub(super) headers: HeaderMap,
    pub(super) content_type: Option<HeaderValue>,
    pub(super) form: Form,
}

pub(super) enum Form {
    Stream(Box<Heard>),
    /// A whole answer and how it ended.
    Whole {
        body: Bytes,
        end: End,
    },
    Declined {
        status: StatusCode,
        body: Bytes,
    },
}

/// A streamed answer, frame by frame.
pub(super) struct Heard {
    incoming: Incoming,
    splitter: Splitter,
    idle: Duration,
    over: Instant,
    /// When the last piece came; the timer is set anew only when it fires.
    last: Instant,
    noted: Instant,
    timer: Pin<Box<Sleep>>,
    lookback: Lookback,
    /// The first frame, if it was waited for.
    first: Option<(Frame, Kind)>,
    ended: bool,
}

/// What came of a stream.
pub(super) enum Next {
    Frame(Frame, Kind),
    /// Nothing of the answer follows.
    Over(Why),
}

/// Why nothing follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The provider closed its answer.
    Closed,
    BrokenOff,
    Late,
    /// Whoever asked may not go on.
    Revoked,
}

pub async fn meter(exchange: Exchange, deadlines: &Deadlines) -> Result<Metered, Refusal> {
    let Exchange { mut bill, worst, headers, content_type, begun } = exchange;
    let form = match begun {
        Begun::Declined { status, body } => Form::Declined { status, body },
        Begun::Stream(heard) => Form::Stream(heard),
        Begun::Answer(incoming) => match whole(incoming, deadlines, &mut bill).await {
            Ok(body) => {
                let end = read(&body, &mut bill);
                Form::Whole { body, end }
            }
            Err(refusal) => {
                // Committed or not, the caller gets the failure; the journal keeps trying.
                let _ = bill.finish(End::Unknown).await;
                return Err(refusal);
            }
        },
    };
    Ok(Metered { bill, worst, headers, content_type, form })
}

async fn whole(
    mut incoming: Incoming,
    deadlines: &Deadlines,
    bill: &mut Bill,
) -> Result<Bytes, Refusal> {
    let over = Instant::now() + config::millis(deadlines.total_millis);
    let idle = config::millis(deadlines.idle_millis);
    let mut whole = Gathered::new(deadlines.answer_bytes_max);
    loop {
        let until = (Instant::now() + idle).min(over);
        let frame = match tokio::time::timeout_at(until, incoming.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => return Err(Refusal::UpstreamTruncated),
            Ok(None) => return Ok(whole.whole()),
            Err(_late) => return Err(Refusal::UpstreamTimeout),
        };
        bill.first_byte();
        let Ok(data) = frame.into_data() else { continue };
        whole.push(data).map_err(|_too_long| Refusal::UpstreamFailed)?;
    }
}

/// What a whole answer tells of its use. One that is no answer leaves its cost unknown.
fn read(body: &Bytes, bill: &mut Bill) -> End {
    match bill.stamp().surface {
        policies::usage::Surface::Chat => match answer::read_answer(body, HEARD_BYTES_MAX) {
            Ok(answer) if answer.error.is_none() => {
                bill::heard(answer.choices, bill);
                bill.told(answer.usage, Outcome::Finished)
            }
            Ok(_) | Err(_) => End::Unknown,
        },
        policies::usage::Surface::Embeddings => match answer::read_vectors(body) {
            Ok(vectors) => bill.told(vectors.usage, Outcome::Finished),
            Err(_) => End::Unknown,
        },
    }
}

// === impl Heard ===

impl Heard {
    pub(super) fn new(incoming: Incoming, deadlines: &Deadlines, lookback: Lookback) -> Self {
        let (now, idle) = (Instant::now(), config::millis(deadlines.idle_millis));
        Self {
            incoming,
            splitter: Splitter::new(),
            idle,
            over: now + config::millis(deadlines.total_millis),
            last: now,
            noted: now,
            timer: Box::pin(tokio::time::sleep_until(lookback.next().min(now + idle))),
            lookback,
            first: None,
            ended: false,
        }
    }

    /// Waits for the first frame that is more than a comment. Until it is shown, another
    /// deployment can still take over.
    pub(super) async fn open(&mut self, bill: &mut Bill) -> Result<(), Why> {
        loop {
            match poll_fn(|context| self.poll_next(bill, context)).await {
                Next::Frame(_, Kind::Comment) => {}
                Next::Frame(_, Kind::Error | Kind::Garbage) => return Err(Why::BrokenOff),
                Next::Frame(frame, kind) => {
                    self.first = Some((frame, kind));
                    return Ok(());
                }
                Next::Over(why) => return Err(why),
            }
        }
    }

    /// The next frame of what has come; pending when the provider has to be waited for.
    pub(super) fn poll_next(&mut self, bill: &mut Bill, context: &mut Context<'_>) -> Poll<Next> {
        if let Some((frame, kind)) = self.first.take() {
            return Poll::Ready(Next::Frame(frame, kind));
        }
        loop {
            match self.splitter.next_frame() {
                Ok(Some(frame)) => {
                    let kind = bill.tap.hear(&frame);
                    return Poll::Ready(Next::Frame(frame, kind));
                }
                Ok(None) if self.ended => return Poll::Ready(self.last_words(bill)),
                Ok(None) => {}
                Err(_too_long) => return Poll::Ready(Next::Over(Why::BrokenOff)),
            }
            match self.poll_piece(context) {
                Poll::Ready(Some(Ok(piece))) => {
                    bill.first_byte();
                    self.last = Instant::now();
                    if PROGRESS <= self.last - self.noted {
                        self.noted = self.last;
                        bill.note_progress();
                    }
                    if self.lookback.is_revoked(self.last) {
                        return Poll::Ready(Next::Over(Why::Revoked));
                    }
                    self.splitter.push(piece);
                }
                Poll::Ready(Some(Err(()))) => return Poll::Ready(Next::Over(Why::BrokenOff)),
                Poll::Ready(None) => self.ended = true,
                Poll::Pending => {
                    let why = ready!(self.poll_waited(context));
                    return Poll::Ready(Next::Over(why));
                }
            }
        }
    }

    /// A last frame may lack its empty line.
    fn last_words(&mut self, bill: &mut Bill) -> Next {
        match self.splitter.finish() {
            Some(frame) => {
                let kind = bill.tap.hear(&frame);
                Next::Frame(frame, kind)
            }
            None => Next::Over(Why::Closed),
        }
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, ()>>> {
        loop {
            let frame = ready!(Pin::new(&mut self.incoming).poll_frame(context));
            match frame {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(_)) => return Poll::Ready(Some(Err(()))),
                None => return Poll::Ready(None),
            }
        }
    }

    /// Ready when the provider need not be waited for any longer.
    fn poll_waited(&mut self, context: &mut Context<'_>) -> Poll<Why> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            let (now, until) = (Instant::now(), (self.last + self.idle).min(self.over));
            if until <= now {
                return Poll::Ready(Why::Late);
            }
            if self.lookback.is_revoked(now) {
                return Poll::Ready(Why::Revoked);
            }
            self.timer.as_mut().reset(until.min(self.lookback.next()));
        }
    }

    /// Reads what follows the end of the answer, so that the connection can serve again.
    pub(super) fn poll_drained(&mut self, context: &mut Context<'_>) {
        while !self.ended {
            match self.poll_piece(context) {
                Poll::Ready(Some(Ok(_beyond_the_end))) => {}
                Poll::Ready(Some(Err(())) | None) => self.ended = true,
                Poll::Pending => return,
            }
        }
    }
}
