//! A machine that follows the framing of HTTP/1 requests over bytes cut anywhere.

use super::{
    CHUNK_EXTENSION_BYTES_MAX, HEAD_BYTES_MAX, HEAD_LINES_MAX, REQUEST_LINE_BYTES_MAX,
    TRAILER_BYTES_MAX, TRAILER_LINES_MAX, Violation,
    head::{self, Head, Length},
};

/// Digits of a chunk size that fit in 64 bits.
const CHUNK_SIZE_DIGITS_MAX: u8 = 16;

#[derive(Debug)]
pub(super) struct Scanner {
    phase: Phase,
    extension_bytes: usize,
}

/// What one look at the bytes found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// So many bytes from the front are sound and may go up.
    pub(super) clear: usize,
    /// Whether the head of a request is among them.
    pub(super) began: bool,
    pub(super) stop: Stop,
}

/// Why a look ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The bytes ran out; what is not clear must be shown again with more behind it.
    More,
    /// A request is complete; another may begin behind the clear bytes.
    Complete,
    /// The bytes behind the clear ones break the rules.
    Broken(Violation),
}

#[derive(Debug)]
enum Phase {
    Head { lines: Lines, head: Head },
    Fixed { left: u64 },
    Size { digits: u8, size: u64 },
    Extension { size: u64 },
    SizeEnd { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Trailers { lines: Lines },
}

/// Where we are in a block of lines; offsets count from its first byte.
#[derive(Clone, Copy, Debug, Default)]
struct Lines {
    /// The current line begins here.
    start: usize,
    /// Up to here no LF was found.
    searched: usize,
    /// Complete lines so far.
    count: usize,
    /// Whether the one blank line that may precede a request was seen.
    blank: bool,
}

/// What a phase made of the bytes it was shown.
enum Turn {
    /// Took so many and goes on.
    Next(usize, Phase),
    /// Took so many and needs more.
    Wait(usize),
    /// Took so many, and the request is complete.
    End(usize),
}

// === impl Scanner ===

impl Scanner {
    pub(super) fn new() -> Self {
        Self { phase: Phase::head(), extension_bytes: 0 }
    }

    /// Whether no byte of the next request has been looked at.
    pub(super) fn is_between(&self) -> bool {
        matches!(self.phase, Phase::Head { lines, .. } if lines.searched == 0)
    }

    /// Whether a head has begun.
    pub(super) fn is_in_head(&self) -> bool {
        matches!(self.phase, Phase::Head { lines, .. } if lines.searched != 0)
    }

    /// Looks at bytes, the first of which is the first that was not clear before.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Step {
        let mut clear = 0;
        let mut began = false;
        loop {
            let rest = bytes.get(clear..).unwrap_or_default();
            let in_head = matches!(self.phase, Phase::Head { .. });
            match self.turn(rest) {
                Ok(Turn::Next(taken, phase)) => {
                    clear += taken;
                    began |= in_head;
                    self.phase = phase;
                }
                Ok(Turn::Wait(taken)) => {
                    return Step { clear: clear + taken, began, stop: Stop::More };
                }
                Ok(Turn::End(taken)) => {
                    *self = Self::new();
                    let clear = clear + taken;
                    return Step { clear, began: began | in_head, stop: Stop::Complete };
                }
                Err(violation) => {
                    return Step { clear, began, stop: Stop::Broken(violation) };
                }
            }
        }
    }

    fn turn(&mut self, bytes: &[u8]) -> Result<Turn, Violation> {
        match &mut self.phase {
            Phase::Head { lines, head } => turn_head(lines, head, bytes),
            Phase::Trailers { lines } => turn_trailers(lines, bytes),
            Phase::Fixed { left } => Ok(match skip(left, bytes) {
                (taken, true) => Turn::End(taken),
                (taken, false) => Turn::Wait(taken),
            }),
            Phase::Data { left } => Ok(match skip(left, bytes) {
                (taken, true) => Turn::Next(taken, Phase::DataCr),
                (taken, false) => Turn::Wait(taken),
            }),
            Phase::Size { .. }
            | Phase::Extension { .. }
            | Phase::SizeEnd { .. }
            | Phase::DataCr
            | Phase::DataLf => match bytes.first() {
                Some(byte) => Ok(Turn::Next(1, self.turn_byte(*byte)?)),
                None => Ok(Turn::Wait(0)),
            },
        }
    }

    /// The phases between chunk data go byte by byte: they are a few bytes long.
    fn turn_byte(&mut self, byte: u8) -> Result<Phase, Violation> {
        match (&self.phase, byte) {
            (Phase::Size { digits: 1.., size }, b'\r') => Ok(Phase::SizeEnd { size: *size }),
            (Phase::Size { digits: 1.., size }, b';') => Ok(Phase::Extension { size: *size }),
            (Phase::Size { digits, size }, _) => {
                let digit = char::from(byte).to_digit(16).ok_or(Violation::ChunkSize)?;
                if *digits == CHUNK_SIZE_DIGITS_MAX {
                    return Err(Violation::ChunkSize);
                }
                Ok(Phase::Size { digits: digits + 1, size: (size << 4) | u64::from(digit) })
            }
            (Phase::Extension { size }, b'\r') => Ok(Phase::SizeEnd { size: *size }),
            (Phase::Extension { .. }, b'\n') => Err(Violation::BareLf),
            (Phase::Extension { size }, _) => {
                self.extension_bytes += 1;
                if head::is_control(byte) || CHUNK_EXTENSION_BYTES_MAX < self.extension_bytes {
                    return Err(Violation::ChunkExtension);
                }
                Ok(Phase::Extension { size: *size })
            }
            (Phase::SizeEnd { size: 0 }, b'\n') => Ok(Phase::Trailers { lines: Lines::default() }),
            (Phase::SizeEnd { size }, b'\n') => Ok(Phase::Data { left: *size }),
            (Phase::SizeEnd { .. }, _) => Err(Violation::BareCr),
            (Phase::DataCr, b'\r') => Ok(Phase::DataLf),
            (Phase::DataLf, b'\n') => Ok(Phase::Size { digits: 0, size: 0 }),
            (
                Phase::DataCr
                | Phase::DataLf
                | Phase::Head { .. }
                | Phase::Fixed { .. }
                | Phase::Data { .. }
                | Phase::Trailers { .. },
                _,
            ) => Err(Violation::ChunkEnd),
        }
    }
}

// === impl Phase ===

impl Phase {
    fn head() -> Self {
        Self::Head { lines: Lines::default(), head: Head::default() }
    }
}

fn turn_head(lines: &mut Lines, head: &mut Head, bytes: &[u8]) -> Result<Turn, Violation> {
    while let Some(line) = lines.next(bytes)? {
        if HEAD_BYTES_MAX < lines.start {
            return Err(Violation::HeadTooLarge);
        }
        match (lines.count, line) {
            // RFC 9112 section 2.2: one blank line before a request is ignored.
            (0, []) if !lines.blank => lines.blank = true,
            (0, _) if REQUEST_LINE_BYTES_MAX < line.len() => {
                return Err(Violation::RequestLineTooLong);
            }
            (0, _) => {
                head.request_line(line)?;
                lines.count = 1;
            }
            (_, []) => {
                return Ok(match head.end()? {
                    Length::Fixed(0) => Turn::End(lines.start),
                    Length::Fixed(left) => Turn::Next(lines.start, Phase::Fixed { left }),
                    Length::Chunked => Turn::Next(lines.start, Phase::Size { digits: 0, size: 0 }),
                });
            }
            (count, _) if HEAD_LINES_MAX < count => return Err(Violation::HeadTooLarge),
            (count, _) => {
                head.field_line(line)?;
                lines.count = count + 1;
            }
        }
    }
    let partial = bytes.get(lines.start..).unwrap_or_default();
    if lines.count == 0 {
        if REQUEST_LINE_BYTES_MAX < partial.len() {
            return Err(Violation::RequestLineTooLong);
        }
        if partial != b"\r" || lines.blank {
            head::plausible(partial.strip_suffix(b"\r").unwrap_or(partial))?;
        }
    }
    if HEAD_BYTES_MAX < bytes.len() {
        return Err(Violation::HeadTooLarge);
    }
    Ok(Turn::Wait(0))
}

fn turn_trailers(lines: &mut Lines, bytes: &[u8]) -> Result<Turn, Violation> {
    while let Some(line) = lines.next(bytes)? {
        if line.is_empty() {
            return Ok(Turn::End(lines.start));
        }
        if TRAILER_LINES_MAX <= lines.count || TRAILER_BYTES_MAX < lines.start {
            return Err(Violation::Trailer);
        }
        head::check_trailer(line)?;
        lines.count += 1;
    }
    if TRAILER_BYTES_MAX < bytes.len() { Err(Violation::Trailer) } else { Ok(Turn::Wait(0)) }
}

/// Takes what is there of `left`; true if that was the rest.
fn skip(left: &mut u64, bytes: &[u8]) -> (usize, bool) {
    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
    *left -= taken as u64;
    (taken, *left == 0)
}

// === impl Lines ===

impl Lines {
    /// The next line that is complete, without its CRLF.
    fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<&'a [u8]>, Violation> {
        let fresh = bytes.get(self.searched..).unwrap_or_default();
        let Some(found) = memchr::memchr(b'\n', fresh) else {
            self.searched = bytes.len();
            return Ok(None);
        };
        let end = self.searched + found;
        let line = bytes.get(self.start..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").ok_or(Violation::BareLf)?;
        if memchr::memchr(b'\r', line).is_some() {
            return Err(Violation::BareCr);
        }
        self.start = end + 1;
        self.searched = self.start;
        Ok(Some(line))
    }
}
