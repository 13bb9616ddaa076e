//! A strict JSON document (RFC 8259): its strings with their provenance, and edits by span.
//!
//! Accepts what `serde_json` accepts (nesting up to 127 containers, no lone surrogates, numbers
//! within a double), except that an object may not hold one key twice.

mod names;
pub(crate) mod reader;
mod rename;
mod scan;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use reader::{Reader, Rules};
pub use rename::FreshKeys;

/// Containers within one another. As `serde_json`, which refuses the 128th.
pub const DEPTH_MAX: usize = 127;

/// Strings (values and keys) and long numbers in one document, so that a body of `""` cannot cost
/// 20 times its size.
pub const STRINGS_MAX: usize = 262_144;

/// Objects and arrays in one document.
pub const CONTAINERS_MAX: usize = 262_144;

/// Digits of a number from which on it may be more than a quantity: the shortest card has so many.
pub const NUMBER_DIGITS_MIN: usize = 12;

/// Bytes of a pointer in an error; the rest is left out.
const ERROR_POINTER_BYTES_MAX: usize = 256;

/// A document that was read to its end, with every string and long number in it.
#[derive(Clone, Debug)]
pub struct Document {
    body: Bytes,
    segments: Vec<Segment>,
    containers: Vec<Container>,
    value_bytes: usize,
    key_bytes: usize,
}

/// One string of a document, a value or the key of a member, or a number of
/// [`NUMBER_DIGITS_MIN`] digits or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Bytes of the literal in the body, with its quotes where it is a string.
    pub span: Range<usize>,
    pub is_key: bool,
    pub is_number: bool,
    escaped: bool,
    container: u32,
    step: Step,
}

/// A change of a body: the bytes of `span` give way to `replacement`. An empty span inserts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    pub span: Range<usize>,
    pub replacement: Vec<u8>,
}

/// Why [`splice`] did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpliceError {
    #[error("two edits overlap at byte {at}")]
    Overlap { at: usize },
    #[error("an edit at byte {at} reaches outside of the body")]
    Outside { at: usize },
}

/// A document that is refused, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at byte {offset}")]
pub struct Invalid {
    pub problem: Problem,
    /// RFC 6901 pointer to the value being read, cut at 256 bytes.
    pub pointer: String,
    /// The same place as OpenAI writes it, such as `messages[0].role`; cut at 256 bytes.
    pub param: String,
    /// Offset in bytes from the beginning of the body.
    pub offset: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("the body is empty")]
    Empty,
    #[error("the body is not valid UTF-8")]
    Utf8,
    #[error("unexpected end of the JSON text")]
    End,
    #[error("expected a JSON value")]
    Value,
    #[error("expected {0}")]
    Expected(&'static str),
    #[error("invalid number")]
    Number,
    #[error("number out of range")]
    NumberRange,
    #[error("control character in a string")]
    Control,
    #[error("invalid escape in a string")]
    Escape,
    #[error("lone surrogate in a string")]
    Surrogate,
    #[error("the object holds this key twice")]
    DuplicateKey,
    #[error("containers are nested deeper than 127")]
    Depth,
    #[error("unexpected text after the JSON value")]
    Trailing,
    #[error("the document has too many strings, objects or arrays")]
    TooMany,
    #[error("the body is larger than 4 GiB")]
    TooLarge,
}

/// What kind of value stands next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

/// The way from a container to one of its values. Offsets are those of the key's literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Root,
    Index(u32),
    Key { start: u32, end: u32 },
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Container {
    parent: u32,
    step: Step,
}

/// Reads any JSON document.
///
/// # Errors
/// [`Invalid`] for everything that is not one JSON value, for duplicate keys and past the limits.
pub fn read(body: &Bytes) -> Result<Document, Invalid> {
    let mut reader = Reader::new(body, Rules::Strict)?;
    reader.skip()?;
    reader.finish()?;
    Ok(Document::new(body.clone(), reader))
}

/// Applies edits to a body. Insertions at one place keep the order in which they were given.
///
/// # Errors
/// When two edits overlap or one lies outside of the body.
pub fn splice(body: &[u8], mut edits: Vec<Edit>) -> Result<Vec<u8>, SpliceError> {
    // Stable, and by the end too: an insertion goes before a replacement that starts there.
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    let added: usize = edits.iter().map(|edit| edit.replacement.len()).sum();
    let mut out = Vec::with_capacity(body.len().saturating_add(added));
    let mut at = 0;
    for edit in edits {
        let Range { start, end } = edit.span;
        if start < at {
            return Err(SpliceError::Overlap { at: start });
        }
        if end < start {
            return Err(SpliceError::Outside { at: start });
        }
        let kept = body.get(at..start).ok_or(SpliceError::Outside { at: start })?;
        out.extend_from_slice(kept);
        out.extend_from_slice(&edit.replacement);
        at = end;
    }
    out.extend_from_slice(body.get(at..).ok_or(SpliceError::Outside { at })?);
    Ok(out)
}

/// Text as a JSON string literal, with the shortest escapes (RFC 8259, section 7).
pub fn quote(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    quote_into(text, &mut out);
    out
}

pub(crate) fn quote_into(text: &str, out: &mut Vec<u8>) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    out.push(b'"');
    for &byte in text.as_bytes() {
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0x00..=0x1f => {
                let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
                continue;
            }
            _ => {
                out.push(byte);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.push(b'"');
}

// === impl Segment ===

impl Segment {
    /// The literal without its quotes.
    fn inner(&self) -> Range<usize> {
        let quote = usize::from(!self.is_number);
        self.span.start.saturating_add(quote)..self.span.end.saturating_sub(quote)
    }
}

// === impl Document ===

impl Document {
    pub(crate) fn new(body: Bytes, reader: Reader<'_>) -> Self {
        let Reader { segments, containers, value_bytes, key_bytes, .. } = reader;
        Self { body, segments, containers, value_bytes, key_bytes }
    }

    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Every string, values and keys, and every long number, in the order of the bytes.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Bytes of all string values after unescaping.
    pub fn value_bytes(&self) -> usize {
        self.value_bytes
    }

    /// Bytes of all keys after unescaping.
    pub fn key_bytes(&self) -> usize {
        self.key_bytes
    }

    /// What a segment of this document says; borrowed where it holds no escape.
    pub fn text(&self, segment: &Segment) -> Cow<'_, str> {
        let raw = self.raw(segment.inner());
        if segment.escaped { Cow::Owned(scan::unescape(raw)) } else { Cow::Borrowed(raw) }
    }

    /// The key of the member whose value a segment is; none for a key or an item of an array.
    pub fn key(&self, segment: &Segment) -> Option<Cow<'_, str>> {
        let Step::Key { start, end } = segment.step else { return None };
        let raw = self.raw(start as usize + 1..(end as usize).saturating_sub(1));
        let text = || match raw.contains('\\') {
            true => Cow::Owned(scan::unescape(raw)),
            false => Cow::Borrowed(raw),
        };
        (!segment.is_key).then(text)
    }

    fn raw(&self, span: Range<usize>) -> &str {
        // INVARIANT: the body was checked as UTF-8 and a literal begins and ends on a character.
        std::str::from_utf8(self.body.get(span).unwrap_or_default()).unwrap_or_default()
    }

    /// The RFC 6901 pointer of a segment; that of a key is the pointer of its member.
    pub fn pointer(&self, segment: &Segment) -> String {
        let text = std::str::from_utf8(&self.body).unwrap_or_default();
        pointer(text, &self.containers, segment.container, segment.step)
    }
}

/// Steps from the value upwards to the root.
fn steps(containers: &[Container], container: u32, step: Step) -> Vec<Step> {
    let mut way = Vec::new();
    let (mut container, mut step) = (container, step);
    while step != Step::Root {
        way.push(step);
        let Some(above) = containers.get(container as usize) else { break };
        (container, step) = (above.parent, above.step);
    }
    way.reverse();
    way
}

fn key_text(text: &str, start: u32, end: u32) -> String {
    let inner = start as usize + 1..(end as usize).saturating_sub(1);
    scan::unescape(text.get(inner).unwrap_or_default())
}

pub(crate) fn pointer(text: &str, containers: &[Container], container: u32, step: Step) -> String {
    let mut out = String::new();
    for step in steps(containers, container, step) {
        out.push('/');
        match step {
            Step::Root => {}
            Step::Index(index) => out.push_str(&index.to_string()),
            Step::Key { start, end } => {
                out.push_str(&key_text(text, start, end).replace('~', "~0").replace('/', "~1"));
            }
        }
    }
    out
}

pub(crate) fn param(text: &str, containers: &[Container], container: u32, step: Step) -> String {
    let mut out = String::new();
    for step in steps(containers, container, step) {
        match step {
            Step::Root => {}
            Step::Index(index) => out.push_str(&format!("[{index}]")),
            Step::Key { start, end } => {
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(&key_text(text, start, end));
            }
        }
    }
    out
}
