//! Lines and fields of one event.

use std::ops::Range;

use memchr::memchr2;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// How far the frame at the front was looked at; offsets are from its first byte.
#[derive(Clone, Debug)]
pub(super) struct Scan {
    /// Begin of the line being read.
    line: usize,
    /// Bytes before this hold no end of that line.
    searched: usize,
    /// How the line before it ended.
    ended: Ended,
    first: bool,
    /// A LF right at the begin is the second half of the CRLF that ended the frame before.
    after_cr: bool,
    /// The frame is whole if no more bytes come.
    held_back: Option<usize>,
    pub(super) start: usize,
    pub(super) data: Range<usize>,
    pub(super) data_lines: usize,
    pub(super) event: Option<Range<usize>>,
    pub(super) fields: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// No line was read yet, or the last one ended in LF or CRLF.
    Feed,
    /// In a CR alone.
    Return,
}

impl Scan {
    /// At the begin of a stream.
    pub(super) fn first() -> Self {
        Self { first: true, ..Self::fresh(false) }
    }

    fn fresh(after_cr: bool) -> Self {
        Self {
            line: 0,
            searched: 0,
            ended: Ended::Feed,
            first: false,
            after_cr,
            held_back: None,
            start: 0,
            data: 0..0,
            data_lines: 0,
            event: None,
            fields: false,
        }
    }

    /// Begins the next frame and gives back what was seen of this one.
    pub(super) fn restart(&mut self) -> Self {
        let ended_in_return = self.ended == Ended::Return;
        std::mem::replace(self, Self::fresh(ended_in_return))
    }

    pub(super) fn held_back(&self) -> Option<usize> {
        self.held_back
    }

    /// Looks at what is new; the end of the frame if it is whole.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.after_cr && self.line == 0 {
            if *bytes.first()? == b'\n' {
                (self.line, self.searched, self.start) = (1, 1, 1);
            }
            self.after_cr = false;
        }
        loop {
            let rest = bytes.get(self.searched..)?;
            let Some(found) = memchr2(b'\n', b'\r', rest) else {
                self.searched = bytes.len();
                return None;
            };
            let end = self.searched + found;
            let next = self.line_end(bytes, end)?;
            let begin = std::mem::replace(&mut self.line, next);
            self.searched = next;
            if begin == end {
                return Some(next);
            }
            let line = bytes.get(begin..end)?;
            if self.first && line.starts_with(BYTE_ORDER_MARK) {
                self.first = false;
                self.start = BYTE_ORDER_MARK.len();
                if line.len() == BYTE_ORDER_MARK.len() {
                    return Some(next);
                }
                self.field(bytes, begin + BYTE_ORDER_MARK.len(), end);
                continue;
            }
            self.first = false;
            self.field(bytes, begin, end);
        }
    }

    /// Where the next line begins, given the first byte of a line's end; none if the byte after a
    /// CR must be awaited.
    ///
    /// An empty line that ends in CR ends the frame at once where the line before ended in a bare
    /// CR as well: such a stream would else be late by one event. A LF that comes all the same is
    /// put in front of the next frame. So the frames never depend on where the bytes were cut.
    fn line_end(&mut self, bytes: &[u8], end: usize) -> Option<usize> {
        self.held_back = None;
        if bytes.get(end) == Some(&b'\n') {
            self.ended = Ended::Feed;
            return Some(end + 1);
        }
        let empty = end == self.line;
        if empty && self.ended == Ended::Return {
            return Some(end + 1);
        }
        match bytes.get(end + 1) {
            Some(b'\n') => {
                self.ended = Ended::Feed;
                Some(end + 2)
            }
            Some(_) => {
                self.ended = Ended::Return;
                Some(end + 1)
            }
            None => {
                self.searched = end;
                self.held_back = empty.then_some(end + 1);
                None
            }
        }
    }

    fn field(&mut self, bytes: &[u8], begin: usize, end: usize) {
        let (name, value) = split(bytes, begin, end);
        match bytes.get(name).unwrap_or_default() {
            b"" => return,
            b"data" => {
                self.data_lines += 1;
                self.data = value;
            }
            b"event" => self.event = Some(value),
            _ => {}
        }
        self.fields = true;
    }
}

/// Name and value of a line; a comment has the empty name.
fn split(bytes: &[u8], begin: usize, end: usize) -> (Range<usize>, Range<usize>) {
    let line = bytes.get(begin..end).unwrap_or_default();
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return (begin..end, end..end);
    };
    let value = begin + colon + 1;
    let space = usize::from(value < end && bytes.get(value) == Some(&b' '));
    (begin..begin + colon, value + space..end)
}

/// The data lines of a whole frame, joined by LF.
pub(super) fn joined_data(frame: &[u8], start: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(frame.len());
    let mut seen = false;
    let mut begin = start;
    while let Some(found) = memchr2(b'\n', b'\r', frame.get(begin..).unwrap_or_default()) {
        let end = begin + found;
        let (name, value) = split(frame, begin, end);
        if frame.get(name) == Some(b"data") {
            if seen {
                out.push(b'\n');
            }
            seen = true;
            out.extend_from_slice(frame.get(value).unwrap_or_default());
        }
        begin = end + 1;
    }
    out
}
