//! Requests as bytes made beforehand, and answers read with as little work as can be: the load
//! shares its core with the simulated provider.

use crate::stand::Target;
use anyhow::{bail, ensure};

/// The size of a request's body, in bytes.
pub(crate) const BODY_BYTES: usize = 919;
/// The longest head of an answer.
const HEAD_BYTES_MAX: usize = 16 << 10;
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Whole,
    /// All events at once.
    Stream,
    /// An event every ten milliseconds.
    Paced,
}

/// A whole request for `target`.
pub(crate) fn request(target: &Target, ask: Ask) -> Vec<u8> {
    let body = body(ask);
    let (path, accept) = match ask {
        Ask::Whole => (target.path, "application/json"),
        Ask::Stream | Ask::Paced => (target.stream_path, "text/event-stream"),
    };
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\naccept: {accept}\r\nuser-agent: bench/1\r\n\
         content-length: {}\r\n\r\n",
        target.address,
        target.key,
        body.len(),
    );
    [head.into_bytes(), body.into_bytes()].concat()
}

/// Ordinary prose with numbers, names and an address in it, so that detectors have to look; there
/// is nothing in it that they mask.
fn body(ask: Ask) -> String {
    let (model, stream) = match ask {
        Ask::Whole => ("sim-fixed", false),
        Ask::Stream => ("sim-fixed", true),
        Ask::Paced => ("sim-fixed-paced", true),
    };
    let system = "You answer the questions of our field engineers. Be brief, name the manual and \
                  its page, and say so when you do not know.";
    let user = "Pump 4471-B at the north basin reads 3.2 bar where 4.1 were measured on the 14th. \
                Order 2026-11-0093 replaced the seal kit (part 88-104-7, batch 5512), and \
                j.miller@example.com reports 47 hours of service since. Which of the valves \
                should be checked first, and what does a drop of 0.9 bar point to?";
    let build = |padding: &str| {
        format!(
            "{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"system\",\"content\":\"{system}\"\
             }},{{\"role\":\"user\",\"content\":\"{user}{padding}\"}}],\"temperature\":0.2,\
             \"max_completion_tokens\":256,\"stream\":{stream}}}"
        )
    };
    let missing = BODY_BYTES.saturating_sub(build("").len());
    let filler = " The log of the last week is quiet, but for one restart.".chars().cycle();
    build(&filler.take(missing).collect::<String>())
}

/// Reads answers that tell their length.
pub(crate) struct Answer {
    buffer: Vec<u8>,
    filled: usize,
    /// Head and body, once the head has come.
    whole: Option<usize>,
}

impl Answer {
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; ANSWER_BYTES_MAX], filled: 0, whole: None }
    }

    /// Where the next bytes go.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.filled..).unwrap_or_default()
    }

    /// `count` bytes have come. True: the answer is whole, and the next one may follow.
    pub(crate) fn took(&mut self, count: usize) -> anyhow::Result<bool> {
        ensure!(0 < count, "the connection was closed before an answer's end");
        self.filled += count;
        if self.whole.is_none() {
            let bytes = self.buffer.get(..self.filled).unwrap_or_default();
            let Some(head) = head_bytes(bytes)? else { return Ok(false) };
            self.whole = Some(head + content_length(bytes.get(..head).unwrap_or_default())?);
        }
        let whole = self.whole.unwrap_or(usize::MAX);
        ensure!(self.filled <= whole, "an answer is longer than it says");
        if self.filled < whole {
            return Ok(false);
        }
        (self.filled, self.whole) = (0, None);
        Ok(true)
    }
}

/// The length of the head with its empty line. An answer that is no success ends the bench.
fn head_bytes(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        ensure!(bytes.len() < HEAD_BYTES_MAX, "an answer's head has no end");
        return Ok(None);
    };
    if !bytes.starts_with(b"HTTP/1.1 200 ") {
        bail!("not an answer: {}", String::from_utf8_lossy(bytes));
    }
    Ok(Some(end + 4))
}

fn content_length(head: &[u8]) -> anyhow::Result<usize> {
    const NAME: &[u8] = b"content-length:";
    for line in head.split(|byte| *byte == b'\n') {
        let Some((name, value)) = line.split_at_checked(NAME.len()) else { continue };
        if name.eq_ignore_ascii_case(NAME) {
            return Ok(std::str::from_utf8(value)?.trim().parse()?);
        }
    }
    bail!("an answer does not tell its length")
}

/// Counts the events of one chunked stream.
#[derive(Default)]
pub(crate) struct Events {
    head: Vec<u8>,
    begun: bool,
    chunk: Chunk,
    /// Whether the last byte of the stream was a line feed.
    newline: bool,
    pub(crate) count: u64,
}

/// Where in the chunked coding (RFC 9112 section 7.1) the next byte lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    Size(usize),
    Data(usize),
    /// The line end after data.
    Gap,
    /// The line end after the last chunk; there are no trailers here.
    Last,
    Over,
}

/// How far a stream has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Head,
    Body,
    End,
}

impl Default for Chunk {
    fn default() -> Self {
        Self::Size(0)
    }
}

impl Events {
    pub(crate) fn take(&mut self, bytes: &[u8]) -> anyhow::Result<Heard> {
        ensure!(!bytes.is_empty(), "the connection was closed before a stream's end");
        if self.begun {
            return self.body(bytes);
        }
        self.head.extend_from_slice(bytes);
        let Some(end) = head_bytes(&self.head)? else { return Ok(Heard::Head) };
        self.begun = true;
        let body = self.head.split_off(end);
        if body.is_empty() { Ok(Heard::Head) } else { self.body(&body) }
    }

    fn body(&mut self, mut bytes: &[u8]) -> anyhow::Result<Heard> {
        while let Some((byte, rest)) = bytes.split_first() {
            if let Chunk::Data(left) = self.chunk {
                let (data, after) = bytes.split_at(left.min(bytes.len()));
                self.data(data);
                let left = left - data.len();
                self.chunk = if left == 0 { Chunk::Gap } else { Chunk::Data(left) };
                bytes = after;
                continue;
            }
            self.chunk = match (self.chunk, *byte) {
                (Chunk::Size(0), b'\n') => Chunk::Last,
                (Chunk::Size(size), b'\n') => Chunk::Data(size),
                (Chunk::Size(size), digit) => match char::from(digit).to_digit(16) {
                    Some(digit) => Chunk::Size(size * 16 + usize::try_from(digit)?),
                    None => Chunk::Size(size),
                },
                (Chunk::Gap, b'\n') => Chunk::Size(0),
                (Chunk::Last, b'\n') => Chunk::Over,
                (Chunk::Over, _) => bail!("bytes behind a stream's end"),
                (same @ (Chunk::Gap | Chunk::Last | Chunk::Data(_)), _) => same,
            };
            bytes = rest;
        }
        Ok(if self.chunk == Chunk::Over { Heard::End } else { Heard::Body })
    }

    /// An event ends with an empty line.
    fn data(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let newline = *byte == b'\n';
            self.count += u64::from(newline && self.newline);
            self.newline = newline;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_body_has_the_same_size() {
        for ask in [Ask::Whole, Ask::Stream, Ask::Paced] {
            let body = body(ask);
            assert_eq!(body.len(), BODY_BYTES, "{ask:?}");
            assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok(), "{ask:?}");
        }
    }

    #[test]
    fn events_are_counted_at_any_cut() {
        let text = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
                     8\r\ndata: a\n\r\n1\r\n\n\r\n9\r\ndata: b\n\n\r\n0\r\n\r\n";
        for cut in 1..text.len() - 1 {
            let mut events = Events::default();
            let (first, second) = text.split_at(cut);
            assert_ne!(events.take(first).unwrap(), Heard::End, "{cut}");
            assert_eq!(events.take(second).unwrap(), Heard::End, "{cut}");
            assert_eq!(events.count, 2, "{cut}");
        }
    }

    #[test]
    fn an_answer_is_whole_when_its_length_has_come() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        let mut answer = Answer::new();
        for (at, byte) in text.iter().enumerate() {
            answer.space()[0] = *byte;
            assert_eq!(answer.took(1).unwrap(), at + 1 == text.len());
        }
    }
}
