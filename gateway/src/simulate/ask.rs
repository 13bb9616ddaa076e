//! What a chat request asks for, read from its JSON.

use crate::simulate::complaint::Complaint;
use crate::simulate::model::{OUTPUT_TOKENS_MAX, Script};
use crate::simulate::words::{IMAGE_TOKENS, MESSAGE_TOKENS, REQUEST_TOKENS, Sequence, count};
use serde::Deserialize;
use serde_json::Value;

/// The most choices one request may ask for, and alternatives for one token.
const CHOICES_MAX: u64 = 128;
const ALTERNATIVES_MAX: u64 = 20;

/// The fields of a request that the simulator heeds; others may be there.
#[derive(Deserialize)]
pub(super) struct ChatBody {
    messages: Vec<Message>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    n: Option<u64>,
    #[serde(default)]
    max_tokens: Option<u64>,
    #[serde(default)]
    max_completion_tokens: Option<u64>,
    #[serde(default)]
    tools: Option<Vec<Tool>>,
    #[serde(default)]
    tool_choice: Option<Value>,
    #[serde(default)]
    parallel_tool_calls: Option<bool>,
    #[serde(default)]
    response_format: Option<Value>,
    #[serde(default)]
    logprobs: Option<bool>,
    #[serde(default)]
    top_logprobs: Option<u64>,
    #[serde(default)]
    reasoning_effort: Option<String>,
    #[serde(default)]
    seed: Option<i64>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Option<Content>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
}

#[derive(Deserialize)]
struct Tool {
    #[serde(default)]
    function: Option<Function>,
}

/// A function the model may call.
#[derive(Clone, Deserialize)]
pub(super) struct Function {
    pub(super) name: String,
    #[serde(default)]
    pub(super) parameters: Option<Value>,
}

/// What an answer is to be made of.
pub(super) enum Wish {
    Words,
    /// JSON of this schema.
    Json(Value),
    Calls(Vec<Function>),
}

/// A chat request, understood.
pub(super) struct Ask {
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) choices: u64,
    /// The most tokens one choice may take, hidden ones included.
    pub(super) bound: Option<u64>,
    pub(super) thinking_tokens: u64,
    pub(super) wish: Wish,
    /// Alternatives to show for each token, where log probabilities are asked for at all.
    pub(super) logprobs: Option<u64>,
    pub(super) prompt_tokens: u64,
    pub(super) seed: Sequence,
}

// === impl ChatBody ===

impl ChatBody {
    pub(super) fn streams(&self) -> bool {
        self.stream.unwrap_or(false)
    }

    pub(super) fn prompt_tokens(&self) -> u64 {
        let of = |message: &Message| MESSAGE_TOKENS.saturating_add(message.tokens());
        self.messages.iter().map(of).fold(REQUEST_TOKENS, u64::saturating_add)
    }

    /// Checks the request and decides what its answer is made of.
    pub(super) fn understood(&self, script: &Script) -> Result<Ask, Complaint> {
        if self.messages.is_empty() {
            return Err(Complaint::field("messages", "`messages` must not be empty"));
        }
        let choices = self.n.unwrap_or(1);
        if !(1..=CHOICES_MAX).contains(&choices) {
            return Err(Complaint::field("n", "`n` must be between 1 and 128"));
        }
        let bound = self.max_completion_tokens.or(self.max_tokens);
        if bound == Some(0) {
            return Err(Complaint::field("max_tokens", "the token limit must be at least 1"));
        }
        if OUTPUT_TOKENS_MAX.saturating_mul(4) < choices.saturating_mul(script.output_tokens) {
            return Err(Complaint::field("n", "so many choices of this length are too much"));
        }
        if Some(ALTERNATIVES_MAX) < self.top_logprobs {
            return Err(Complaint::field("top_logprobs", "`top_logprobs` must be at most 20"));
        }
        let asked = |options: &StreamOptions| options.include_usage.unwrap_or(false);
        Ok(Ask {
            stream: self.streams(),
            include_usage: self.stream_options.as_ref().is_some_and(asked),
            choices,
            bound,
            thinking_tokens: self.thinking(script.thinking_tokens),
            wish: self.wish(script),
            logprobs: (self.logprobs == Some(true)).then(|| self.top_logprobs.unwrap_or(0)),
            prompt_tokens: self.prompt_tokens(),
            seed: self.sequence(),
        })
    }

    fn thinking(&self, usual: u64) -> u64 {
        match self.reasoning_effort.as_deref() {
            Some("none" | "minimal") => 0,
            Some("low") => usual / 2,
            Some("high" | "xhigh" | "max") => usual.saturating_mul(2),
            _ => usual,
        }
    }

    fn sequence(&self) -> Sequence {
        let seed = self.seed.unwrap_or(0).to_le_bytes();
        let texts = self.messages.iter().flat_map(Message::texts);
        texts.fold(Sequence::new().with(&seed), |sequence, text| sequence.with(text.as_bytes()))
    }

    fn wish(&self, script: &Script) -> Wish {
        let calls = self.calls(script);
        if !calls.is_empty() {
            return Wish::Calls(calls);
        }
        let Some(format) = &self.response_format else { return Wish::Words };
        match format.get("type").and_then(Value::as_str) {
            Some("json_schema") => {
                Wish::Json(format.pointer("/json_schema/schema").cloned().unwrap_or_default())
            }
            Some("json_object") => Wish::Json(Value::Null),
            _ => Wish::Words,
        }
    }

    /// The calls to make: those forced, those the model's name asks for, or one of each tool up to
    /// two where the last message speaks of tools. Results are answered with words, so loops end.
    fn calls(&self, script: &Script) -> Vec<Function> {
        let tools = self.tools.as_deref().unwrap_or_default();
        let functions: Vec<&Function> =
            tools.iter().filter_map(|tool| tool.function.as_ref()).collect();
        let choice = self.tool_choice.as_ref();
        let word = choice.and_then(Value::as_str).unwrap_or("auto");
        let last = self.messages.last();
        if functions.is_empty() || word == "none" || last.is_some_and(|last| last.role == "tool") {
            return Vec::new();
        }
        let named =
            choice.and_then(|choice| choice.pointer("/function/name")).and_then(Value::as_str);
        if let Some(name) = named {
            let forced = functions.into_iter().find(|function| function.name == name);
            return forced.cloned().into_iter().collect();
        }
        let spoken = last.is_some_and(|last| last.texts().any(|text| text.contains("tool")));
        let usual = if spoken || word == "required" { functions.len().min(2) } else { 0 };
        let wanted = script.tool_calls.and_then(|calls| usize::try_from(calls).ok());
        let most = if self.parallel_tool_calls == Some(false) { 1 } else { usize::MAX };
        let count = wanted.unwrap_or(usual).min(most);
        functions.into_iter().cycle().take(count).cloned().collect()
    }
}

// === impl Message ===

impl Message {
    fn texts(&self) -> impl Iterator<Item = &str> {
        let (whole, parts) = match &self.content {
            Some(Content::Text(text)) => (Some(text.as_str()), &[][..]),
            Some(Content::Parts(parts)) => (None, parts.as_slice()),
            None => (None, &[][..]),
        };
        whole.into_iter().chain(parts.iter().filter_map(|part: &Part| part.text.as_deref()))
    }

    fn tokens(&self) -> u64 {
        let images = match &self.content {
            Some(Content::Parts(parts)) => {
                parts.iter().filter(|part| part.kind == "image_url").count()
            }
            Some(Content::Text(_)) | None => 0,
        };
        let images = IMAGE_TOKENS.saturating_mul(u64::try_from(images).unwrap_or(u64::MAX));
        self.texts().map(count).fold(images, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt_tokens(body: &str) -> u64 {
        serde_json::from_str::<ChatBody>(body).unwrap().prompt_tokens()
    }

    #[test]
    fn a_prompt_costs_three_and_four_for_each_message_and_one_for_each_word() {
        let body = r#"{"messages":[{"role":"system","content":"be brief"},
            {"role":"user","content":"  how\tmany\nwords here "}]}"#;

        assert_eq!(prompt_tokens(body), 3 + (4 + 2) + (4 + 4));
    }

    #[test]
    fn text_parts_count_their_words_and_images_eighty_five() {
        let body = r#"{"messages":[{"role":"user","content":[
            {"type":"text","text":"what is this"},
            {"type":"image_url","image_url":{"url":"https://example.com/a.png"}},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]}"#;

        assert_eq!(prompt_tokens(body), 3 + 4 + 3 + 2 * 85);
    }

    #[test]
    fn a_message_without_content_costs_four() {
        let body = r#"{"messages":[{"role":"assistant","content":null,"tool_calls":[]}]}"#;

        assert_eq!(prompt_tokens(body), 3 + 4);
    }
}
