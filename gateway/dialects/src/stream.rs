//! Listens to a chat stream: what came, how it ended, what was used.

#[cfg(test)]
mod tests;

use crate::chunk::{self, Chunk, ErrorSeen, Sink};
use crate::sse::Frame;
use crate::usage::{Flaw, Report};

/// Choices that are told apart; the text of further ones is counted but not kept.
pub const CHOICES_MAX: usize = 128;

/// Bytes of a finish reason that are kept.
const REASON_BYTES_MAX: usize = 64;

/// Bytes of an id or model name that are kept.
const STAMP_BYTES_MAX: usize = 256;

/// What a frame is. One that is several things is the first of: error, usage alone, finish, delta,
/// usage beside empty choices, other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Comment,
    /// Holds output: text, refusal, reasoning, a tool call.
    Delta,
    /// Holds a usage report; `alone` when no choice is beside it, as `include_usage` asks for.
    Usage {
        alone: bool,
    },
    Finish,
    /// `[DONE]`.
    Done,
    /// An error object, or an event named `error`.
    Error,
    /// A chunk without output, such as the role; also an event without data.
    Other,
    /// Data that is not a JSON object in UTF-8.
    Garbage,
}

/// What was heard so far. Feed it each frame once.
#[derive(Debug)]
pub struct ChatTap {
    heard: Heard,
    stamp: Option<Stamp>,
    usage: Option<Report>,
    usage_alone_seen: bool,
    error: Option<ErrorSeen>,
    done: bool,
    garbage: u64,
}

/// What every chunk of a stream repeats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    pub id: String,
    pub model: String,
    /// Unix time in seconds.
    pub created: i64,
}

/// The output of one choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    pub index: i64,
    /// All kinds of output in the order they came, up to the limit of the tap.
    pub text: String,
    /// The provider's own word.
    pub finish: Option<String>,
}

/// The output of all choices.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) choices: Vec<Choice>,
    text_bytes_left: usize,
    pub(crate) text_bytes: u64,
    pub(crate) pieces: u64,
    finishes: u64,
}

// === impl ChatTap ===

impl ChatTap {
    /// Keeps at most so many bytes of output text, over all choices.
    pub fn new(text_bytes_max: usize) -> Self {
        Self {
            heard: Heard::new(text_bytes_max),
            stamp: None,
            usage: None,
            usage_alone_seen: false,
            error: None,
            done: false,
            garbage: 0,
        }
    }

    pub fn hear(&mut self, frame: &Frame) -> Kind {
        if frame.is_comment() {
            return Kind::Comment;
        }
        let is_error = frame.event() == Some("error");
        let Some(data) = frame.data() else {
            return if is_error { self.fail(ErrorSeen::default()) } else { Kind::Other };
        };
        if data.trim_ascii() == b"[DONE]" {
            self.done = true;
            return Kind::Done;
        }
        let (pieces, finishes) = (self.heard.pieces, self.heard.finishes);
        let Ok(chunk) = chunk::read(&data, &mut self.heard) else {
            self.garbage = self.garbage.saturating_add(1);
            return if is_error { self.fail(ErrorSeen::default()) } else { Kind::Garbage };
        };
        if self.stamp.is_none() {
            self.stamp = Stamp::of(&chunk);
        }
        let usage = chunk.usage.is_some();
        if let Some(report) = chunk.usage {
            self.report(report, chunk.choices == 0);
        }
        match chunk.error {
            Some(error) => return self.fail(error),
            None if is_error => return self.fail(ErrorSeen::default()),
            None => {}
        }
        if usage && chunk.choices == 0 {
            Kind::Usage { alone: true }
        } else if finishes != self.heard.finishes {
            Kind::Finish
        } else if pieces != self.heard.pieces {
            Kind::Delta
        } else if usage {
            Kind::Usage { alone: false }
        } else {
            Kind::Other
        }
    }

    /// Id, model and time of the first chunk that had an id.
    pub fn stamp(&self) -> Option<&Stamp> {
        self.stamp.as_ref()
    }

    /// The output of each choice, in the order of their first frames.
    pub fn choices(&self) -> &[Choice] {
        &self.heard.choices
    }

    /// As [`ChatTap::choices`], to take them out or to put those of a whole answer in.
    pub fn choices_mut(&mut self) -> &mut Vec<Choice> {
        &mut self.heard.choices
    }

    /// Bytes of output text that came, kept or not.
    pub fn text_bytes(&self) -> u64 {
        self.heard.text_bytes
    }

    /// Non-empty pieces of output that came. Most servers send a token in each.
    pub fn deltas(&self) -> u64 {
        self.heard.pieces
    }

    /// The native finish reason of the first choice that finished.
    pub fn finish_reason(&self) -> Option<&str> {
        self.heard.finish_reason()
    }

    /// Whether every choice that was heard of has finished, and there was one.
    pub fn finished(&self) -> bool {
        let choices = &self.heard.choices;
        !choices.is_empty() && choices.iter().all(|choice| choice.finish.is_some())
    }

    /// Whether a usage report came.
    pub fn has_usage(&self) -> bool {
        self.usage.is_some()
    }

    /// The usage report, with what is wrong with it; [`Flaw::Missing`] if none came.
    pub fn usage(&self) -> Report {
        let report = self.usage.clone().unwrap_or_else(Report::missing);
        report.with_output_seen(self.heard.text_bytes).with_prompt_taken()
    }

    /// Whether `[DONE]` came.
    pub fn done(&self) -> bool {
        self.done
    }

    /// The first error that came.
    pub fn error(&self) -> Option<&ErrorSeen> {
        self.error.as_ref()
    }

    /// Frames that were not JSON.
    pub fn garbage(&self) -> u64 {
        self.garbage
    }

    fn report(&mut self, report: Report, alone: bool) {
        let second = alone && self.usage_alone_seen;
        self.usage_alone_seen |= alone;
        let mut report = match self.usage.take() {
            None => report,
            Some(before) => before.followed_by(report),
        };
        if second {
            report.note(Flaw::TwoReports);
        }
        self.usage = Some(report);
    }

    fn fail(&mut self, error: ErrorSeen) -> Kind {
        self.error.get_or_insert(error);
        Kind::Error
    }
}

// === impl Stamp ===

impl Stamp {
    fn of(chunk: &Chunk<'_>) -> Option<Self> {
        let bounded = |text: &str| {
            let end = text.floor_char_boundary(STAMP_BYTES_MAX);
            text.get(..end).unwrap_or_default().to_owned()
        };
        Some(Self {
            id: bounded(chunk.id.as_deref()?),
            model: chunk.model.as_deref().map(bounded).unwrap_or_default(),
            created: chunk.created.and_then(|literal| literal.parse().ok()).unwrap_or_default(),
        })
    }
}

// === impl Heard ===

impl Heard {
    pub(crate) fn new(text_bytes_max: usize) -> Self {
        Self {
            choices: Vec::new(),
            text_bytes_left: text_bytes_max,
            text_bytes: 0,
            pieces: 0,
            finishes: 0,
        }
    }

    pub(crate) fn finish_reason(&self) -> Option<&str> {
        self.choices.iter().find_map(|choice| choice.finish.as_deref())
    }

    fn choice(&mut self, index: i64) -> Option<&mut Choice> {
        let place = match self.choices.iter().position(|choice| choice.index == index) {
            Some(place) => place,
            None if self.choices.len() < CHOICES_MAX => {
                self.choices.push(Choice { index, ..Choice::default() });
                self.choices.len() - 1
            }
            None => return None,
        };
        self.choices.get_mut(place)
    }
}

impl Sink for Heard {
    fn text(&mut self, choice: i64, text: &str) {
        if text.is_empty() {
            return;
        }
        self.pieces = self.pieces.saturating_add(1);
        self.text_bytes = self.text_bytes.saturating_add(text.len() as u64);
        let end = text.floor_char_boundary(self.text_bytes_left);
        let kept = text.get(..end).unwrap_or_default();
        // Once something is left out nothing more is kept: the text stays a beginning.
        self.text_bytes_left = if end < text.len() { 0 } else { self.text_bytes_left - end };
        if let Some(choice) = self.choice(choice) {
            choice.text.push_str(kept);
        }
    }

    fn finish(&mut self, choice: i64, reason: &str) {
        self.finishes = self.finishes.saturating_add(1);
        let end = reason.floor_char_boundary(REASON_BYTES_MAX);
        let reason = reason.get(..end).unwrap_or_default().to_owned();
        if let Some(choice) = self.choice(choice) {
            choice.finish.get_or_insert(reason);
        }
    }
}
