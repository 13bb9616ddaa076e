//! Server-sent events as a client reads them, written apart from the product's own reader.

use crate::{client::Answer, json::At};
use bytes::Bytes;
use serde_json::Value;

/// What a stream brings.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Data(Value),
    Comment(String),
    /// The `[DONE]` that ends a chat stream.
    Done,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By HTTP's own rules.
    Whole,
    /// The connection broke first.
    Broken,
}

/// Reads an answer event by event, at the pace at which it comes.
pub struct Events {
    answer: Answer,
    unread: Vec<u8>,
    end: Option<End>,
}

impl Events {
    pub fn new(answer: Answer) -> Self {
        Self { answer, unread: Vec::new(), end: None }
    }

    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// How it ended, once `next` has given none.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.take() {
                return Some(event);
            }
            match self.answer.piece().await {
                Some(Ok(bytes)) => self.unread.extend_from_slice(&bytes),
                Some(Err(_)) => {
                    self.end = Some(End::Broken);
                    return None;
                }
                None => {
                    self.end = self.end.or(Some(End::Whole));
                    return None;
                }
            }
        }
    }

    /// The next event with data; comments are passed over.
    pub async fn next_data(&mut self) -> Option<Value> {
        while let Some(event) = self.next().await {
            match event {
                Event::Data(value) => return Some(value),
                Event::Comment(_) => (),
                Event::Done => return None,
            }
        }
        None
    }

    /// Everything that is left.
    pub async fn rest(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }

    fn take(&mut self) -> Option<Event> {
        loop {
            let (length, gap) = blank_line(&self.unread)?;
            let frame: Vec<u8> = self.unread.drain(..length + gap).take(length).collect();
            if let Some(event) = read(&String::from_utf8(frame).expect("frames are UTF-8")) {
                return Some(event);
            }
        }
    }
}

/// The text of all choices' content, joined as it came.
pub fn text_of(events: &[Event]) -> String {
    let mut text = String::new();
    for event in events {
        let Event::Data(value) = event else { continue };
        for choice in value.list("choices") {
            text.push_str(choice.text("delta.content"));
        }
    }
    text
}

/// Events of a body that has come as a whole.
pub fn parse(body: &Bytes) -> Vec<Event> {
    let text = String::from_utf8(body.to_vec()).expect("a body of UTF-8");
    text.replace("\r\n", "\n").split("\n\n").filter_map(read).collect()
}

fn read(frame: &str) -> Option<Event> {
    let mut data = Vec::new();
    for line in frame.lines() {
        if let Some(comment) = line.strip_prefix(':') {
            return Some(Event::Comment(comment.trim().to_owned()));
        }
        if let Some(rest) = line.strip_prefix("data:") {
            data.push(rest.strip_prefix(' ').unwrap_or(rest));
        }
    }
    match data.join("\n").as_str() {
        "" => None,
        "[DONE]" => Some(Event::Done),
        text => Some(Event::Data(serde_json::from_str(text).expect("data is JSON"))),
    }
}

/// Where the first frame ends, and how long the blank line after it is.
fn blank_line(bytes: &[u8]) -> Option<(usize, usize)> {
    let find = |gap: &[u8]| bytes.windows(gap.len()).position(|window| window == gap);
    let (lf, crlf) = (find(b"\n\n"), find(b"\r\n\r\n"));
    match (lf, crlf) {
        (Some(lf), Some(crlf)) if crlf < lf => Some((crlf, 4)),
        (Some(lf), _) => Some((lf, 2)),
        (None, Some(crlf)) => Some((crlf, 4)),
        (None, None) => None,
    }
}
