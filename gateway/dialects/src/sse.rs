//! Cuts the bytes of an event stream into frames without changing one of them.
//!
//! The rules are those of the WHATWG HTML standard, section 9.2.6: lines end in CR, LF or CRLF, an
//! empty line ends an event, a line that begins with a colon is a comment, one byte order mark may
//! stand in front.

mod lines;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

use lines::Scan;

/// Bytes of one frame, unless another limit is asked for.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// Takes pieces of a stream as they come and gives back whole frames.
///
/// All `raw` of its frames and then [`Splitter::rest`] are, byte for byte, what was pushed; where
/// the pieces were cut changes no frame.
#[derive(Debug)]
pub struct Splitter {
    frame_bytes_max: usize,
    /// The piece being cut; frames that lie in it whole are slices of it.
    // INVARIANT: `piece` or `carried` is empty.
    piece: Bytes,
    /// The beginning of a frame that came in several pieces, with what followed it.
    carried: BytesMut,
    scan: Scan,
}

/// An event with its terminating empty line, or one or more comments with theirs.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The bytes as they came.
    pub raw: Bytes,
    data: Range<usize>,
    data_lines: usize,
    event: Option<Range<usize>>,
    fields: bool,
    // Where the first line begins, after a byte order mark or the LF of the frame before.
    start: usize,
}

/// A frame grew past the limit; the stream cannot be trusted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is larger than {frame_bytes_max} bytes")]
pub struct TooLong {
    pub frame_bytes_max: usize,
}

impl Default for Splitter {
    fn default() -> Self {
        Self::with_limit(FRAME_BYTES_MAX)
    }
}

// === impl Splitter ===

impl Splitter {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn with_limit(frame_bytes_max: usize) -> Self {
        Self { frame_bytes_max, piece: Bytes::new(), carried: BytesMut::new(), scan: Scan::first() }
    }

    /// Adds the next piece. Take all frames before the next push, else the pieces are copied.
    pub fn push(&mut self, piece: Bytes) {
        if !self.piece.is_empty() {
            self.carry();
        }
        if self.carried.is_empty() {
            self.piece = piece;
        } else {
            self.carried.extend_from_slice(&piece);
        }
    }

    /// The next whole frame; none until more bytes come.
    ///
    /// # Errors
    /// When a frame, whole or not, is larger than the limit; then for ever.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, TooLong> {
        let bytes: &[u8] = if self.carried.is_empty() { &self.piece } else { &self.carried };
        let end = self.scan.advance(bytes);
        if self.frame_bytes_max < end.unwrap_or(bytes.len()) {
            return Err(TooLong { frame_bytes_max: self.frame_bytes_max });
        }
        match end {
            Some(end) => Ok(Some(self.cut(end))),
            None => {
                self.carry();
                Ok(None)
            }
        }
    }

    /// At the end of the stream: a last frame whose empty line ended in a CR that might have been
    /// the first half of a CRLF. An event without its empty line is none (WHATWG HTML, 9.2.6).
    pub fn finish(&mut self) -> Option<Frame> {
        let end = self.scan.held_back()?;
        Some(self.cut(end))
    }

    /// What was pushed and is in no frame yet.
    pub fn rest(&self) -> &[u8] {
        if self.carried.is_empty() { &self.piece } else { &self.carried }
    }

    fn cut(&mut self, end: usize) -> Frame {
        let raw = if self.carried.is_empty() {
            self.piece.split_to(end.min(self.piece.len()))
        } else {
            self.carried.split_to(end.min(self.carried.len())).freeze()
        };
        let scan = self.scan.restart();
        Frame {
            raw,
            data: scan.data,
            data_lines: scan.data_lines,
            event: scan.event,
            fields: scan.fields,
            start: scan.start,
        }
    }

    fn carry(&mut self) {
        if !self.piece.is_empty() {
            self.carried.extend_from_slice(&self.piece);
            self.piece.advance(self.piece.len());
        }
    }
}

// === impl Frame ===

impl Frame {
    /// The payload: data lines joined by LF, borrowed when there is one; none without a data line.
    pub fn data(&self) -> Option<Cow<'_, [u8]>> {
        match self.data_lines {
            0 => None,
            1 => Some(Cow::Borrowed(self.raw.get(self.data.clone()).unwrap_or_default())),
            _ => Some(Cow::Owned(lines::joined_data(&self.raw, self.start))),
        }
    }

    /// The event's name, if it has one that is UTF-8 and not empty.
    pub fn event(&self) -> Option<&str> {
        let name = self.raw.get(self.event.clone()?)?;
        std::str::from_utf8(name).ok().filter(|name| !name.is_empty())
    }

    /// Whether nothing but comments and empty lines are in it.
    pub fn is_comment(&self) -> bool {
        !self.fields
    }
}
