//! The fixed answers: bytes made beforehand, so that a bench measures what stands in front.

use crate::simulate::chat::CREATED;
use crate::simulate::model::Report;
use crate::simulate::model::Script;
use crate::simulate::oracle::Running;
use crate::simulate::play::{Body, Whole};
use crate::simulate::usage::Usage;
use crate::simulate::words::Sequence;
use bytes::Bytes;
use futures_util::stream::unfold;
use std::sync::LazyLock;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// The size of the answer that is not a stream, in bytes.
const ANSWER_BYTES: usize = 1_056;
/// The tokens of every fixed answer, each an event of a stream.
pub(super) const TOKENS: usize = 100;
/// The tokens every prompt is said to have.
pub(super) const PROMPT_TOKENS: u64 = 12;

/// A request for a fixed answer, as far as it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Glance {
    pub(super) model: &'static str,
    pub(super) stream: bool,
    include_usage: bool,
}

// === impl Glance ===

impl Glance {
    /// Looks for the model's name without reading the JSON. A quotation mark inside a JSON string
    /// is escaped, so what matches here is a field and never a prompt's text.
    pub(super) fn of(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let rest = after_field(text, "\"model\":", "\"sim-fixed")?;
        let model = if rest.starts_with('"') {
            "sim-fixed"
        } else if rest.starts_with("-paced\"") {
            "sim-fixed-paced"
        } else {
            return None;
        };
        let stream = after_field(text, "\"stream\":", "true").is_some();
        let include_usage = stream && after_field(text, "\"include_usage\":", "true").is_some();
        Some(Self { model, stream, include_usage })
    }
}

/// The answer to a fixed request.
pub(super) fn answer(glance: Glance, script: &Script, running: Running) -> Body {
    if glance.stream {
        return stream(glance, script, running);
    }
    let tokens = u64::try_from(TOKENS).unwrap_or(0);
    let usage = Some(USAGE.as_str().into());
    Body::Whole(Some(Whole { bytes: ANSWER.clone(), tokens, usage, running: Some(running) }))
}

/// What follows the first `field` whose value begins with `value`; a space may stand between.
fn after_field<'a>(text: &'a str, field: &str, value: &str) -> Option<&'a str> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(field) {
        if let Some(found) = after.strip_prefix(' ').unwrap_or(after).strip_prefix(value) {
            return Some(found);
        }
        rest = after;
    }
    None
}

struct Playing {
    at: usize,
    include_usage: bool,
    pace: Option<Interval>,
    running: Running,
}

fn stream(glance: Glance, script: &Script, running: Running) -> Body {
    let pace = (!script.gap.is_zero()).then(|| {
        let mut pace = interval(script.gap);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pace
    });
    let playing = Playing { at: 0, include_usage: glance.include_usage, pace, running };
    Body::stream(unfold(playing, |mut playing| async move {
        let bytes = playing.next().await?;
        Some((Ok(bytes), playing))
    }))
}

// === impl Playing ===

impl Playing {
    /// The role, the tokens, the finish, the usage where asked, and the end.
    async fn next(&mut self) -> Option<Bytes> {
        let event = EVENTS.get(self.at)?;
        let token = (1..=TOKENS).contains(&self.at);
        if token && let Some(pace) = &mut self.pace {
            pace.tick().await;
        }
        self.running.wrote(u64::from(token));
        self.at = self.at.saturating_add(1);
        // The finish, then the usage that not everybody asks for, then the end.
        if self.at == TOKENS.saturating_add(2) {
            if self.include_usage {
                self.running.reported(USAGE.as_str().into());
            } else {
                self.at = self.at.saturating_add(1);
            }
        }
        if EVENTS.len() <= self.at {
            self.running.end();
        }
        Some(event.clone())
    }
}

static USAGE: LazyLock<String> = LazyLock::new(|| {
    let completion = u64::try_from(TOKENS).unwrap_or(0);
    Usage { prompt: PROMPT_TOKENS, cached: 0, completion, reasoning: 0 }.text(Report::True)
});

static ANSWER: LazyLock<Bytes> = LazyLock::new(|| {
    let usage = USAGE.as_str();
    let text = |padding: usize| {
        // As many words as usage says cannot fill the size alone, so the fingerprint is padded.
        format!(
            "{{\"id\":\"chatcmpl-fixed\",\"object\":\"chat.completion\",\"created\":{CREATED},\
             \"model\":\"sim-fixed\",\"choices\":[{{\"index\":0,\"message\":{{\"role\":\
             \"assistant\",\"content\":\"{}\",\"refusal\":null}},\"logprobs\":null,\
             \"finish_reason\":\"stop\"}}],\"usage\":{usage},\"system_fingerprint\":\"fp_{}\"}}",
            Sequence::new().sentence(TOKENS),
            "0".repeat(padding),
        )
    };
    Bytes::from(text(ANSWER_BYTES.saturating_sub(text(0).len())))
});

static EVENTS: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
    let head = format!(
        "data: {{\"id\":\"chatcmpl-fixed\",\"object\":\"chat.completion.chunk\",\"created\":\
         {CREATED},\"model\":\"sim-fixed\",\"system_fingerprint\":\"fp_simulated\",\"choices\":["
    );
    let event = |delta: &str, finish: &str| {
        format!(
            "{head}{{\"index\":0,\"delta\":{{{delta}}},\"logprobs\":null,\
             \"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let sentence = Sequence::new().sentence(TOKENS);
    let words = sentence.split_inclusive(' ').enumerate();
    // The space goes with the word after it, as a tokenizer has it.
    let token = |(at, word): (usize, &str)| {
        let word = word.trim_end();
        let space = if at == 0 { "" } else { " " };
        event(&format!("\"content\":\"{space}{word}\""), "null")
    };
    let first = event("\"role\":\"assistant\",\"content\":\"\",\"refusal\":null", "null");
    let usage = format!("{head}],\"usage\":{}}}\n\n", USAGE.as_str());
    let last = [event("", "\"stop\""), usage, "data: [DONE]\n\n".to_owned()];
    std::iter::once(first).chain(words.map(token)).chain(last).map(Bytes::from).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_has_its_promised_size_and_the_stream_its_promised_events() {
        assert_eq!(ANSWER.len(), ANSWER_BYTES);
        assert!(serde_json::from_slice::<serde_json::Value>(&ANSWER).is_ok());
        assert_eq!(EVENTS.len(), 1 + TOKENS + 3);
    }

    #[test]
    fn a_glance_is_not_fooled_by_a_prompt() {
        let seen = |body: &str| Glance::of(body.as_bytes());
        let fooled =
            r#"{"messages":[{"content":"\"model\":\"sim-fixed\""}],"model":"sim-economy"}"#;

        assert_eq!(seen(fooled), None);
        assert_eq!(seen(r#"{"model":"sim-fixed-out5"}"#), None);
        assert_eq!(seen(r#"{"model": "sim-fixed"}"#).unwrap().model, "sim-fixed");
        let paced = seen(r#"{"model":"sim-fixed-paced","stream":true}"#).unwrap();
        assert_eq!((paced.model, paced.stream), ("sim-fixed-paced", true));
    }
}
