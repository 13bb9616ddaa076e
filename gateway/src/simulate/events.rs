//! A chat answer as a stream: its events in the order an OpenAI client expects them.

use crate::simulate::chat::{Answer, Token};
use crate::simulate::model::Report;

/// What an event of a stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Role,
    /// Exactly one token.
    Token,
    Finish,
    Usage,
    Done,
}

/// One event of a stream.
pub(super) struct Event {
    pub(super) kind: Kind,
    /// What follows `data: `.
    pub(super) data: String,
    pub(super) usage: Option<Box<str>>,
}

/// Where a stream of events stands.
pub(super) struct Events {
    answer: Answer,
    head: String,
    at: Place,
    no_done: bool,
}

#[derive(Clone, Copy)]
enum Place {
    /// The role of this choice.
    Role(usize),
    /// The token of this number, of this choice; past its last, the finish.
    Token(usize, usize),
    /// How often usage has been told.
    Usage(usize),
    Done,
    Over,
}

// === impl Events ===

impl Events {
    pub(super) fn new(answer: Answer, no_done: bool) -> Self {
        let head = answer.head("chat.completion.chunk");
        Self { answer, head, at: Place::Role(0), no_done }
    }

    /// The events of `answer`, one after another, choices taking turns.
    pub(super) fn next(&mut self) -> Option<Event> {
        loop {
            match self.at {
                Place::Role(at) => {
                    self.at = Place::Role(at.saturating_add(1));
                    let Some(choice) = self.answer.choices.get(at) else {
                        self.at = Place::Token(0, 0);
                        continue;
                    };
                    let content = match choice.tokens.first() {
                        Some(Token::Call(..)) => "null",
                        Some(Token::Text(_) | Token::Arguments(..)) | None => "\"\"",
                    };
                    let delta = format!(
                        "{{\"role\":\"assistant\",\"content\":{content},\"refusal\":null}}"
                    );
                    return Some(self.event(Kind::Role, (at, &delta, "null", "null")));
                }
                Place::Token(number, at) => {
                    if let Some(event) = self.token(number, at) {
                        return Some(event);
                    }
                }
                Place::Usage(told) => {
                    if let Some(event) = self.usage(told) {
                        return Some(event);
                    }
                }
                Place::Done => {
                    let late = self.answer.report == Report::Late;
                    self.at = if late { Place::Usage(0) } else { Place::Over };
                    if !self.no_done {
                        let data = "[DONE]".to_owned();
                        return Some(Event { kind: Kind::Done, data, usage: None });
                    }
                }
                Place::Over => return None,
            }
        }
    }

    fn token(&mut self, number: usize, at: usize) -> Option<Event> {
        let Some(choice) = self.answer.choices.get(at) else {
            let longest = self.answer.choices.iter().map(|choice| choice.tokens.len()).max();
            let next = number.saturating_add(1);
            self.at = if next <= longest.unwrap_or(0) {
                Place::Token(next, 0)
            } else if self.answer.report == Report::Late {
                Place::Done
            } else {
                Place::Usage(0)
            };
            return None;
        };
        self.at = Place::Token(number, at.saturating_add(1));
        if let Some(token) = choice.tokens.get(number) {
            let logprobs = self.answer.logprobs(&[token.text()]);
            return Some(self.event(Kind::Token, (at, &token.delta(), &logprobs, "null")));
        }
        if number != choice.tokens.len() {
            return None;
        }
        let finish = format!("\"{}\"", choice.finish);
        Some(self.event(Kind::Finish, (at, "{}", "null", &finish)))
    }

    /// How often usage is to be told in an event of its own.
    fn told(&self) -> usize {
        if !self.answer.include_usage && self.answer.report != Report::Always {
            return 0;
        }
        let early = self.answer.report == Report::Early;
        if early { 0 } else { self.answer.report.times() }
    }

    fn usage(&mut self, told: usize) -> Option<Event> {
        if self.told() <= told {
            let late = self.answer.report == Report::Late;
            self.at = if late { Place::Over } else { Place::Done };
            return None;
        }
        self.at = Place::Usage(told.saturating_add(1));
        let usage = self.answer.usage().text(self.answer.report);
        let data = format!("{},\"choices\":[],\"usage\":{usage}}}", self.head);
        Some(Event { kind: Kind::Usage, data, usage: Some(usage.into_boxed_str()) })
    }

    fn event(&self, kind: Kind, choice: (usize, &str, &str, &str)) -> Event {
        let (at, delta, logprobs, finish) = choice;
        let last = at.saturating_add(1) == self.answer.choices.len();
        let early = self.answer.report == Report::Early && kind == Kind::Finish && last;
        let usage = (early && self.answer.include_usage)
            .then(|| self.answer.usage().text(Report::Early).into_boxed_str());
        let told = match &usage {
            Some(usage) => format!(",\"usage\":{usage}"),
            None if self.answer.include_usage => ",\"usage\":null".to_owned(),
            None => String::new(),
        };
        let data = format!(
            "{},\"choices\":[{{\"index\":{at},\"delta\":{delta},\"logprobs\":{logprobs},\
             \"finish_reason\":{finish}}}]{told}}}",
            self.head
        );
        Event { kind, data, usage }
    }
}
