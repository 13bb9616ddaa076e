//! Chat answers: what an answer says, token by token, and how it looks on the wire.

use crate::simulate::ask::{Ask, Function, Wish};
use crate::simulate::model::{Report, Script};
use crate::simulate::schema;
use crate::simulate::usage::Usage;
use crate::simulate::words::{Sequence, WIDE, WORDS};
use serde_json::{Value, json};
use std::borrow::Cow;

/// When the simulator claims to have answered, in Unix seconds: always the same, so that the same
/// request gets the same bytes.
pub(super) const CREATED: u64 = 1_767_225_600;

/// The longest piece of JSON that is sent as one token, in bytes.
const FRAGMENT_BYTES: usize = 8;

/// One output token.
pub(super) enum Token {
    Text(Cow<'static, str>),
    /// The start of a tool call: its place, id and function.
    Call(usize, String, String),
    /// A piece of the arguments of the call at this place.
    Arguments(usize, String),
}

pub(super) struct Choice {
    pub(super) tokens: Vec<Token>,
    pub(super) finish: &'static str,
}

/// An answer, decided whole before its first byte.
pub(super) struct Answer {
    model: String,
    mark: u64,
    pub(super) choices: Vec<Choice>,
    logprobs: Option<u64>,
    pub(super) include_usage: bool,
    pub(super) report: Report,
    usage: Usage,
}

// === impl Answer ===

impl Answer {
    pub(super) fn plan(model: &str, script: &Script, ask: &Ask) -> Self {
        let bound = ask.bound.unwrap_or(u64::MAX);
        let hidden = ask.thinking_tokens.min(bound);
        let seen = usize::try_from(bound.saturating_sub(hidden)).unwrap_or(usize::MAX);
        let choice = |index: u64| choice(script, ask, ask.seed.with(&index.to_le_bytes()), seen);
        let choices: Vec<Choice> = (0..ask.choices).map(choice).collect();
        let tokens =
            choices.iter().map(|choice| choice.tokens.len()).fold(0, usize::saturating_add);
        let reasoning = hidden.saturating_mul(ask.choices);
        let usage = Usage {
            prompt: ask.prompt_tokens,
            cached: script.cached_tokens.min(ask.prompt_tokens),
            completion: u64::try_from(tokens).unwrap_or(u64::MAX).saturating_add(reasoning),
            reasoning,
        };
        Self {
            model: model.to_owned(),
            mark: ask.seed.mark(),
            choices,
            logprobs: ask.logprobs,
            include_usage: ask.include_usage,
            report: script.report,
            usage,
        }
    }

    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    /// Tokens that are seen.
    pub(super) fn tokens(&self) -> u64 {
        self.usage.completion.saturating_sub(self.usage.reasoning)
    }

    /// The whole answer as one JSON object, with what it says of its usage.
    pub(super) fn whole(&self) -> (String, Option<Box<str>>) {
        let choices: Vec<String> =
            self.choices.iter().enumerate().map(|(at, choice)| self.message(at, choice)).collect();
        let mut text = self.head("chat.completion");
        text.push_str(&format!(",\"choices\":[{}]", choices.join(",")));
        let usage = self.usage.text(self.report);
        let times = self.report.times();
        for _ in 0..times {
            text.push_str(&format!(",\"usage\":{usage}"));
        }
        text.push('}');
        (text, (0 < times).then(|| usage.into_boxed_str()))
    }

    pub(super) fn head(&self, object: &str) -> String {
        format!(
            "{{\"id\":\"chatcmpl-{:016x}\",\"object\":\"{object}\",\"created\":{CREATED},\
             \"model\":{},\"service_tier\":\"default\",\"system_fingerprint\":\"fp_simulated\"",
            self.mark,
            quoted(&self.model),
        )
    }

    fn message(&self, at: usize, choice: &Choice) -> String {
        let text: String = choice.tokens.iter().map(Token::text).collect();
        let calls = calls(&choice.tokens);
        let (content, calls) = if calls.is_empty() {
            (quoted(&text), String::new())
        } else {
            ("null".to_owned(), format!(",\"tool_calls\":[{}]", calls.join(",")))
        };
        let texts: Vec<&str> = choice.tokens.iter().map(Token::text).collect();
        format!(
            "{{\"index\":{at},\"message\":{{\"role\":\"assistant\",\"content\":{content}{calls},\
             \"refusal\":null,\"annotations\":[]}},\"logprobs\":{},\"finish_reason\":\"{}\"}}",
            self.logprobs(&texts),
            choice.finish,
        )
    }

    pub(super) fn logprobs(&self, tokens: &[&str]) -> String {
        let Some(alternatives) = self.logprobs else { return "null".to_owned() };
        let alternatives = usize::try_from(alternatives).unwrap_or(0);
        let shown = |token: &str, logprob: f64| {
            let bytes = token.as_bytes();
            json!({"token": token, "logprob": logprob, "bytes": bytes})
        };
        let of = |token: &&str| {
            let others = std::iter::once(*token).chain(WORDS.into_iter().filter(|w| w != token));
            let top: Vec<Value> = others
                .zip((0..20).map(|rank| -0.25 - f64::from(rank)))
                .take(alternatives)
                .map(|(other, logprob)| shown(other, logprob))
                .collect();
            let mut own = shown(token, -0.25);
            if let Some(fields) = own.as_object_mut() {
                fields.insert("top_logprobs".to_owned(), Value::from(top));
            }
            own
        };
        let content: Vec<Value> = tokens.iter().map(of).collect();
        json!({"content": content, "refusal": null}).to_string()
    }
}

// === impl Token ===

impl Token {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Call(..) | Self::Arguments(..) => "",
        }
    }

    pub(super) fn delta(&self) -> String {
        match self {
            Self::Text(text) => format!("{{\"content\":{}}}", quoted(text)),
            Self::Call(at, id, name) => format!(
                "{{\"tool_calls\":[{{\"index\":{at},\"id\":\"{id}\",\"type\":\"function\",\
                 \"function\":{{\"name\":{},\"arguments\":\"\"}}}}]}}",
                quoted(name)
            ),
            Self::Arguments(at, piece) => format!(
                "{{\"tool_calls\":[{{\"index\":{at},\"function\":{{\"arguments\":{}}}}}]}}",
                quoted(piece)
            ),
        }
    }
}

fn choice(script: &Script, ask: &Ask, mut words: Sequence, seen: usize) -> Choice {
    let (mut tokens, natural) = match &ask.wish {
        Wish::Words => {
            let length = usize::try_from(script.output_tokens).unwrap_or(usize::MAX);
            let length = length.min(seen.saturating_add(1));
            (said(script.wide, length, &mut words), "stop")
        }
        Wish::Json(schema) => {
            let text = schema::example(schema, &mut words).to_string();
            let token = |piece: String| Token::Text(Cow::Owned(piece));
            (fragments(&text).into_iter().map(token).collect(), "stop")
        }
        Wish::Calls(functions) => {
            let call = |(at, function)| called(at, function, &mut words);
            (functions.iter().enumerate().flat_map(call).collect(), "tool_calls")
        }
    };
    let finish = if seen < tokens.len() { "length" } else { natural };
    tokens.truncate(seen);
    Choice { tokens, finish }
}

fn said(wide: bool, length: usize, words: &mut Sequence) -> Vec<Token> {
    let mut one = |at: usize| match (wide, at) {
        (true, _) => words.pick(&WIDE),
        (false, 0) => words.pick(&WORDS).trim_start(),
        (false, _) => words.pick(&WORDS),
    };
    (0..length).map(|at| Token::Text(Cow::Borrowed(one(at)))).collect()
}

fn called(at: usize, function: &Function, words: &mut Sequence) -> Vec<Token> {
    let schema = function.parameters.clone().unwrap_or_else(|| json!({"type": "object"}));
    let arguments = schema::example(&schema, words).to_string();
    let id = format!("call_{:016x}", words.next());
    let pieces = fragments(&arguments).into_iter().map(|piece| Token::Arguments(at, piece));
    std::iter::once(Token::Call(at, id, function.name.clone())).chain(pieces).collect()
}

/// Cuts JSON into pieces: before each space, and where a piece is long enough.
fn fragments(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for letter in text.chars() {
        match pieces.last_mut() {
            Some(piece) if letter != ' ' && piece.len() < FRAGMENT_BYTES => piece.push(letter),
            Some(_) | None => pieces.push(letter.to_string()),
        }
    }
    pieces
}

/// The tool calls among `tokens`, each as JSON.
fn calls(tokens: &[Token]) -> Vec<String> {
    let mut calls: Vec<(&str, &str, String)> = Vec::new();
    for token in tokens {
        match token {
            Token::Text(_) => {}
            Token::Call(_, id, name) => calls.push((id, name, String::new())),
            Token::Arguments(at, piece) => {
                if let Some((_, _, arguments)) = calls.get_mut(*at) {
                    arguments.push_str(piece);
                }
            }
        }
    }
    let json = |(id, name, arguments): (&str, &str, String)| {
        format!(
            "{{\"id\":\"{id}\",\"type\":\"function\",\"function\":{{\"name\":{},\
             \"arguments\":{}}}}}",
            quoted(name),
            quoted(&arguments)
        )
    };
    calls.into_iter().map(json).collect()
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
