//! Response bodies that tell the oracle what they hand to the socket, as they hand it.

use crate::simulate::complaint::Complaint;
use crate::simulate::events::{Event, Events, Kind};
use crate::simulate::model::{Framing, Mishap, Script};
use crate::simulate::oracle::Running;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use http::StatusCode;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// A response body.
pub(super) enum Body {
    Whole(Option<Whole>),
    Parts(Pin<Box<dyn Stream<Item = Result<Bytes, CutOff>> + Send>>),
}

/// The script closes the connection here.
#[derive(Debug, thiserror::Error)]
#[error("the script closes the connection")]
pub(super) struct CutOff;

/// A body sent at once, and what it means for the oracle.
pub(super) struct Whole {
    pub(super) bytes: Bytes,
    pub(super) tokens: u64,
    pub(super) usage: Option<Box<str>>,
    /// Nothing where the oracle does not follow the request.
    pub(super) running: Option<Running>,
}

// === impl Body ===

impl Body {
    /// A body that the oracle does not follow.
    pub(super) fn plain(text: impl Into<Bytes>) -> Self {
        Self::Whole(Some(Whole { bytes: text.into(), tokens: 0, usage: None, running: None }))
    }

    pub(super) fn stream(
        stream: impl Stream<Item = Result<Bytes, CutOff>> + Send + 'static,
    ) -> Self {
        Self::Parts(Box::pin(stream))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        match &mut *self {
            Self::Whole(whole) => Poll::Ready(whole.take().map(|whole| Ok(whole.handed_over()))),
            Self::Parts(stream) => {
                let part = ready!(stream.as_mut().poll_next(context));
                Poll::Ready(part.map(|bytes| bytes.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_none(),
            Self::Parts(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => {
                let bytes = whole.as_ref().map_or(0, |whole| whole.bytes.len());
                SizeHint::with_exact(u64::try_from(bytes).unwrap_or(u64::MAX))
            }
            Self::Parts(_) => SizeHint::default(),
        }
    }
}

// === impl Whole ===

impl Whole {
    fn handed_over(self) -> Frame<Bytes> {
        if let Some(running) = self.running {
            running.wrote(self.tokens);
            if let Some(usage) = self.usage {
                running.reported(usage);
            }
            running.end();
        }
        Frame::data(self.bytes)
    }
}

/// Plays `events` as server-sent events (WHATWG HTML, section 9.2), as the script wants.
pub(super) fn play(script: &Script, mut events: Events, running: Running) -> Body {
    let player = Player {
        upcoming: events.next(),
        events,
        framing: script.framing,
        lockstep: script.base == crate::simulate::model::Base::Lockstep,
        gap: script.gap,
        mishap: script.mishap,
        sent: 0,
        dribble: Bytes::new(),
        tokens: 0,
        usage: None,
        ending: Ending::Open,
        running,
    };
    Body::stream(unfold(player, |mut player| async move {
        let part = player.part().await?;
        Some((part, player))
    }))
}

/// The start of a body that promises `bytes`, then breaks as `mishap` says.
pub(super) fn spoilt(mishap: Mishap, mut bytes: Bytes, running: Running) -> Body {
    let half = bytes.split_to(bytes.len() / 2);
    Body::stream(unfold((0_u8, half, running), move |(step, half, running)| async move {
        if step == 0 {
            running.struck(mishap.name());
            return Some((Ok(half.clone()), (1, half, running)));
        }
        match mishap {
            Mishap::Stall => std::future::pending().await,
            Mishap::Truncate if step == 1 => {
                tokio::task::yield_now().await;
                running.end();
                Some((Err(CutOff), (2, half, running)))
            }
            Mishap::Truncate | Mishap::End | Mishap::Error | Mishap::Garbage => {
                running.end();
                None
            }
        }
    }))
}

struct Player {
    events: Events,
    upcoming: Option<Event>,
    framing: Framing,
    lockstep: bool,
    gap: Duration,
    mishap: Option<(Mishap, u64)>,
    /// Tokens sent.
    sent: u64,
    /// What is left of an event that goes out byte by byte, and what its last byte completes.
    dribble: Bytes,
    tokens: u64,
    usage: Option<Box<str>>,
    ending: Ending,
    running: Running,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Open,
    /// What goes out now is the last.
    Near,
    Over,
}

// === impl Player ===

impl Player {
    async fn part(&mut self) -> Option<Result<Bytes, CutOff>> {
        // Each part is a write of its own: the server sends what it has when nothing is ready.
        tokio::task::yield_now().await;
        if !self.dribble.is_empty() {
            return Some(Ok(self.hand_over()));
        }
        if self.ending != Ending::Open {
            self.running.end();
            return None;
        }
        if self.strikes() {
            return self.strike().await;
        }
        let event = self.upcoming.take()?;
        self.pace(event.kind).await;
        self.upcoming = self.events.next();
        if self.upcoming.is_none() {
            self.ending = Ending::Near;
        }
        self.tokens = u64::from(event.kind == Kind::Token);
        self.sent = self.sent.saturating_add(self.tokens);
        self.usage = event.usage;
        self.dribble = self.framed(&event.data);
        Some(Ok(self.hand_over()))
    }

    /// Hands over the next byte or the whole event; only a whole event counts as sent.
    fn hand_over(&mut self) -> Bytes {
        let bytes = if self.framing.bytewise { 1 } else { self.dribble.len() };
        let part = self.dribble.split_to(bytes.min(self.dribble.len()));
        if self.dribble.is_empty() {
            self.running.wrote(std::mem::take(&mut self.tokens));
            if let Some(usage) = self.usage.take() {
                self.running.reported(usage);
            }
            if self.ending == Ending::Near {
                self.running.end();
                self.ending = Ending::Over;
            }
        }
        part
    }

    /// Waits until the script lets the next event go.
    async fn pace(&self, kind: Kind) {
        match kind {
            Kind::Token if self.lockstep => {
                self.running.entry().may_send(self.sent.saturating_add(1)).await;
            }
            Kind::Finish if self.lockstep => {
                self.running.entry().may_send(self.sent.saturating_add(1)).await;
            }
            Kind::Token if 0 < self.sent && !self.gap.is_zero() => {
                tokio::time::sleep(self.gap).await;
            }
            Kind::Role | Kind::Token | Kind::Finish | Kind::Usage | Kind::Done => {}
        }
    }

    fn strikes(&self) -> bool {
        let (Some((_, after)), Some(event)) = (self.mishap, &self.upcoming) else { return false };
        match event.kind {
            Kind::Role => after == 0,
            Kind::Token => after <= self.sent,
            Kind::Finish | Kind::Usage | Kind::Done => true,
        }
    }

    async fn strike(&mut self) -> Option<Result<Bytes, CutOff>> {
        let (mishap, _) = self.mishap.take()?;
        self.running.struck(mishap.name());
        match mishap {
            Mishap::Stall => std::future::pending().await,
            Mishap::Truncate => {
                self.running.end();
                self.ending = Ending::Over;
                Some(Err(CutOff))
            }
            Mishap::End => {
                self.running.end();
                None
            }
            Mishap::Error => {
                self.ending = Ending::Near;
                let error = Complaint::scripted(StatusCode::INTERNAL_SERVER_ERROR).text();
                self.dribble = self.framed(&error);
                Some(Ok(self.hand_over()))
            }
            Mishap::Garbage => {
                self.dribble = self.framed("{\"id\":\"chatcmpl-broken\",\"choices\":[{");
                Some(Ok(self.hand_over()))
            }
        }
    }

    fn framed(&self, data: &str) -> Bytes {
        let line = if self.framing.crlf { "\r\n" } else { "\n" };
        let mut text = String::with_capacity(data.len().saturating_add(32));
        if self.framing.comments {
            text.push_str(": keep-alive");
            text.push_str(line);
            text.push_str(line);
        }
        text.push_str("data: ");
        text.push_str(data);
        text.push_str(line);
        text.push_str(line);
        Bytes::from(text)
    }
}
