//! The time limits of one connection, kept by a single timer.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long past a deadline a wait is still taken for a wait. If nobody asked for bytes at the
/// deadline, the delay was ours (a handler that does not read) and not the client's.
const ASKED_SLACK: Duration = Duration::from_secs(1);

/// How long a client may take for each part of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// From the first byte of a head to its last.
    pub header: Duration,
    /// From the end of an answer to the first byte of the next request.
    pub idle: Duration,
    /// The waiting time over which the body's rate is averaged; also the grace before it counts.
    pub body_grace: Duration,
    /// The least rate of a request body in bytes per second.
    pub body_bytes_per_second_min: u64,
    /// How long the client may accept no byte of an answer.
    pub write_stall: Duration,
    /// How long unread bytes are discarded after the last answer, so that it isn't reset away.
    pub linger: Duration,
}

/// What the reading side waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// For a request to begin.
    Idle,
    /// For the rest of a head.
    Head,
    /// For more of a body.
    Body,
    /// For a hang-up only: an answer is under way.
    Answer,
}

#[derive(Debug)]
pub(super) struct Clock {
    patience: Patience,
    // One timer for all limits. It may fire early (a limit that no longer holds), never late.
    sleep: Pin<Box<Sleep>>,
    reading: Option<(Waiting, Instant)>,
    writing: Option<Instant>,
    closing: Option<Instant>,
    pace: Pace,
}

/// Bytes and waiting time in the current window of a body.
#[derive(Debug, Default)]
struct Pace {
    waited: Duration,
    bytes: u64,
    since: Option<Instant>,
}

// === impl Clock ===

impl Clock {
    pub(super) fn new(patience: Patience) -> Self {
        Self {
            patience,
            sleep: Box::pin(sleep_until(Instant::now() + patience.header)),
            reading: None,
            writing: None,
            closing: None,
            pace: Pace::default(),
        }
    }

    /// The reading side waits; true once it has waited too long.
    pub(super) fn poll_reading(&mut self, cx: &mut Context<'_>, waiting: Waiting) -> bool {
        let now = Instant::now();
        let since = match self.reading {
            Some((same, since)) if same == waiting => since,
            Some(_) | None => {
                self.reading = Some((waiting, now));
                now
            }
        };
        match waiting {
            Waiting::Answer => false,
            Waiting::Idle => self.poll_until(cx, since + self.patience.idle),
            Waiting::Head => self.poll_until(cx, since + self.patience.header),
            Waiting::Body => loop {
                let deadline = self.pace.deadline(self.patience.body_grace, Instant::now());
                if !self.poll_until(cx, deadline) {
                    return false;
                }
                if self.pace.bytes < self.window_bytes_min() {
                    return true;
                }
                self.pace = Pace::default();
            },
        }
    }

    /// Bytes of a body have come.
    pub(super) fn received(&mut self, bytes: usize) {
        let Some(since) = self.pace.since.take() else {
            self.pace.bytes = self.pace.bytes.saturating_add(bytes as u64);
            return;
        };
        let now = Instant::now();
        let left = self.patience.body_grace.saturating_sub(self.pace.waited);
        if since + left + ASKED_SLACK < now {
            self.pace = Pace::default();
        }
        self.pace.waited += now.duration_since(since).min(left);
        self.pace.bytes = self.pace.bytes.saturating_add(bytes as u64);
    }

    /// A head is complete: what follows is timed anew.
    pub(super) fn restart(&mut self) {
        self.reading = None;
        self.pace = Pace::default();
    }

    /// The client took bytes of an answer.
    pub(super) fn wrote(&mut self) {
        self.writing = None;
    }

    /// The client takes no bytes; true once that has lasted too long.
    pub(super) fn poll_writing(&mut self, cx: &mut Context<'_>) -> bool {
        let since = *self.writing.get_or_insert_with(Instant::now);
        self.poll_until(cx, since + self.patience.write_stall)
    }

    /// The connection is being closed; true once the client had its time to read the answer.
    pub(super) fn poll_closing(&mut self, cx: &mut Context<'_>) -> bool {
        let since = *self.closing.get_or_insert_with(Instant::now);
        self.poll_until(cx, since + self.patience.linger)
    }

    fn window_bytes_min(&self) -> u64 {
        let millis = u64::try_from(self.patience.body_grace.as_millis()).unwrap_or(u64::MAX);
        self.patience.body_bytes_per_second_min.saturating_mul(millis) / 1_000
    }

    /// True if `at` is past; else the task is woken at `at` or before.
    fn poll_until(&mut self, cx: &mut Context<'_>, at: Instant) -> bool {
        loop {
            if at <= Instant::now() {
                return true;
            }
            if self.sleep.is_elapsed() || at < self.sleep.deadline() {
                self.sleep.as_mut().reset(at);
            }
            match self.sleep.as_mut().poll(cx) {
                Poll::Pending => return false,
                Poll::Ready(()) => {}
            }
        }
    }
}

// === impl Pace ===

impl Pace {
    /// When the current window ends if nothing comes; notes that somebody waits.
    fn deadline(&mut self, window: Duration, now: Instant) -> Instant {
        let since = *self.since.get_or_insert(now);
        let deadline = since + window.saturating_sub(self.waited);
        if deadline + ASKED_SLACK < now {
            *self = Self { since: Some(now), ..Self::default() };
            return now + window;
        }
        deadline
    }
}
