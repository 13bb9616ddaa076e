//! A pull reader over one JSON text: the caller asks for what it interprets and skips the rest.
//!
//! Skipping visits as well: under strict rules every string and long number is kept with its
//! place, whoever reads it, so that no field escapes the data policy because nobody knew it.

use std::borrow::Cow;
use std::ops::Range;

use super::names::{Names, Scope};
use super::{
    CONTAINERS_MAX, Container, DEPTH_MAX, ERROR_POINTER_BYTES_MAX, Invalid, Kind,
    NUMBER_DIGITS_MIN, Problem, STRINGS_MAX, Segment, Step, scan,
};

/// What the reader insists on and keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// A caller's request: duplicate keys are refused, every string is kept.
    Strict,
    /// A provider's answer: nothing is kept, the first of two equal keys is as good as the last.
    Lenient,
}

#[derive(Debug)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    rules: Rules,
    depth: usize,
    container: u32,
    step: Step,
    names: Names<'a>,
    pub(super) segments: Vec<Segment>,
    pub(super) containers: Vec<Container>,
    pub(super) value_bytes: usize,
    pub(super) key_bytes: usize,
    literal_bytes: usize,
}

/// A string literal of the text.
#[derive(Clone, Debug)]
pub(crate) struct Literal<'a> {
    /// Its bytes with the quotes.
    pub(crate) span: Range<usize>,
    raw: &'a str,
    escaped: bool,
}

/// An object or array that is open. Ends when its `key` or `item` returned none.
#[derive(Debug)]
pub(crate) struct Open<'a> {
    outer: (u32, Step),
    container: u32,
    scope: Scope<'a>,
    count: u32,
    /// Offset after the last value, or after the opening bracket.
    pub(crate) last: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(body: &'a [u8], rules: Rules) -> Result<Self, Invalid> {
        let fault = |problem, offset| Invalid {
            problem,
            pointer: String::new(),
            param: String::new(),
            offset,
        };
        if u32::try_from(body.len()).is_err() {
            return Err(fault(Problem::TooLarge, 0));
        }
        let text =
            std::str::from_utf8(body).map_err(|error| fault(Problem::Utf8, error.valid_up_to()))?;
        let reserve = if rules == Rules::Strict { 32 } else { 0 };
        let mut reader = Self {
            text,
            at: 0,
            rules,
            depth: 0,
            container: 0,
            step: Step::Root,
            names: Names::default(),
            segments: Vec::with_capacity(reserve),
            containers: Vec::with_capacity(reserve / 2),
            value_bytes: 0,
            key_bytes: 0,
            literal_bytes: 0,
        };
        reader.space();
        if reader.at == text.len() {
            return Err(fault(Problem::Empty, 0));
        }
        Ok(reader)
    }

    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// Strings kept up to here: the index that the next one gets.
    pub(crate) fn kept(&self) -> usize {
        self.segments.len()
    }

    /// Bytes of all string literals up to here, with their quotes.
    pub(crate) fn literal_bytes(&self) -> usize {
        self.literal_bytes
    }

    /// Bytes of the same strings after unescaping.
    pub(crate) fn text_bytes(&self) -> usize {
        self.value_bytes + self.key_bytes
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(crate) fn raw(&self, span: Range<usize>) -> &'a str {
        self.text.get(span).unwrap_or_default()
    }

    /// The text of a kept segment.
    pub(crate) fn text_of(&self, segment: &Segment) -> Cow<'a, str> {
        let raw = self.raw(segment.inner());
        if segment.escaped { Cow::Owned(scan::unescape(raw)) } else { Cow::Borrowed(raw) }
    }

    /// A fault at the value being read.
    pub(crate) fn fault(&self, problem: Problem, offset: usize) -> Invalid {
        let mut pointer = super::pointer(self.text, &self.containers, self.container, self.step);
        let mut param = super::param(self.text, &self.containers, self.container, self.step);
        pointer.truncate(pointer.floor_char_boundary(ERROR_POINTER_BYTES_MAX));
        param.truncate(param.floor_char_boundary(ERROR_POINTER_BYTES_MAX));
        Invalid { problem, pointer, param, offset }
    }

    pub(crate) fn expected(&self, what: &'static str) -> Invalid {
        self.fault(Problem::Expected(what), self.at)
    }

    /// The kind of the value that stands next.
    pub(crate) fn kind(&self) -> Result<Kind, Invalid> {
        match self.peek() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            Some(_) => Err(self.fault(Problem::Value, self.at)),
            None => Err(self.fault(Problem::End, self.at)),
        }
    }

    pub(crate) fn open_object(&mut self) -> Result<Open<'a>, Invalid> {
        self.open(b'{', "an object")
    }

    pub(crate) fn open_array(&mut self) -> Result<Open<'a>, Invalid> {
        self.open(b'[', "an array")
    }

    /// The key of the next member, whose value stands next; none at the end of the object.
    pub(crate) fn key(&mut self, open: &mut Open<'a>) -> Result<Option<Literal<'a>>, Invalid> {
        if !self.more(open, b'}')? {
            return Ok(None);
        }
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key in double quotes"));
        }
        let start = self.at;
        let scanned = scan::string(self.text.as_bytes(), start)
            .map_err(|(problem, offset)| self.fault(problem, offset))?;
        self.at = scanned.end;
        let literal = self.literal(start, scanned.escaped);
        // INVARIANT: the body is shorter than 4 GiB, checked in `new`.
        self.step = Step::Key { start: narrow(start), end: narrow(scanned.end) };
        if self.rules == Rules::Strict {
            if !self.names.note(&mut open.scope, literal.raw, literal.escaped) {
                return Err(self.fault(Problem::DuplicateKey, start));
            }
            self.key_bytes += scanned.bytes;
            self.literal_bytes += literal.span.len();
            self.keep(literal.span.clone(), true, literal.escaped)?;
        }
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.expected("`:`"));
        }
        self.at += 1;
        self.space();
        Ok(Some(literal))
    }

    /// Whether an item of the array stands next; false at its end.
    pub(crate) fn item(&mut self, open: &mut Open<'a>) -> Result<bool, Invalid> {
        if !self.more(open, b']')? {
            return Ok(false);
        }
        self.step = Step::Index(open.count - 1);
        Ok(true)
    }

    pub(crate) fn string(&mut self) -> Result<Literal<'a>, Invalid> {
        if self.peek() != Some(b'"') {
            self.kind()?;
            return Err(self.expected("a string"));
        }
        let start = self.at;
        let scanned = scan::string(self.text.as_bytes(), start)
            .map_err(|(problem, offset)| self.fault(problem, offset))?;
        self.at = scanned.end;
        let literal = self.literal(start, scanned.escaped);
        if self.rules == Rules::Strict {
            self.value_bytes += scanned.bytes;
            self.literal_bytes += literal.span.len();
            self.keep(literal.span.clone(), false, literal.escaped)?;
        }
        Ok(literal)
    }

    /// The literal of a number, as written.
    pub(crate) fn number(&mut self) -> Result<&'a str, Invalid> {
        if self.kind()? != Kind::Number {
            return Err(self.expected("a number"));
        }
        let start = self.at;
        self.at = scan::number(self.text, start)
            .map_err(|(problem, offset)| self.fault(problem, offset))?;
        let literal = self.raw(start..self.at);
        if self.rules == Rules::Strict && NUMBER_DIGITS_MIN <= literal.len() {
            let digits = literal.bytes().filter(u8::is_ascii_digit).count();
            if NUMBER_DIGITS_MIN <= digits {
                self.keep(start..self.at, false, false)?;
            }
        }
        Ok(literal)
    }

    pub(crate) fn bool(&mut self) -> Result<bool, Invalid> {
        match self.peek() {
            Some(b't') => self.word("true").map(|()| true),
            Some(b'f') => self.word("false").map(|()| false),
            _ => Err(self.expected("a boolean")),
        }
    }

    /// Passes a `null`; false and nothing read if the next value is another.
    pub(crate) fn null(&mut self) -> Result<bool, Invalid> {
        if self.peek() != Some(b'n') {
            return Ok(false);
        }
        self.word("null").map(|()| true)
    }

    /// Passes a value of any kind, visiting what is in it.
    pub(crate) fn skip(&mut self) -> Result<(), Invalid> {
        match self.kind()? {
            Kind::Object => {
                let mut open = self.open_object()?;
                while self.key(&mut open)?.is_some() {
                    self.skip()?;
                }
                Ok(())
            }
            Kind::Array => {
                let mut open = self.open_array()?;
                while self.item(&mut open)? {
                    self.skip()?;
                }
                Ok(())
            }
            Kind::String => self.string().map(|_| ()),
            Kind::Number => self.number().map(|_| ()),
            Kind::Bool => self.bool().map(|_| ()),
            Kind::Null => self.null().map(|_| ()),
        }
    }

    /// Nothing but white space may follow the value.
    pub(crate) fn finish(&mut self) -> Result<(), Invalid> {
        self.space();
        if self.at < self.text.len() {
            return Err(self.fault(Problem::Trailing, self.at));
        }
        Ok(())
    }

    fn open(&mut self, bracket: u8, what: &'static str) -> Result<Open<'a>, Invalid> {
        if self.peek() != Some(bracket) {
            self.kind()?;
            return Err(self.expected(what));
        }
        if DEPTH_MAX <= self.depth {
            return Err(self.fault(Problem::Depth, self.at));
        }
        let outer = (self.container, self.step);
        let scope = self.names.enter();
        if self.rules == Rules::Strict {
            if CONTAINERS_MAX <= self.containers.len() {
                return Err(self.fault(Problem::TooMany, self.at));
            }
            self.container = narrow(self.containers.len());
            self.containers.push(Container { parent: outer.0, step: outer.1 });
        }
        self.depth += 1;
        self.at += 1;
        Ok(Open { outer, container: self.container, scope, count: 0, last: self.at })
    }

    /// Stands at the next member or item, or closes the container.
    fn more(&mut self, open: &mut Open<'a>, close: u8) -> Result<bool, Invalid> {
        if open.count != 0 {
            open.last = self.at;
        }
        self.container = open.container;
        self.space();
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                self.depth -= 1;
                self.names.leave(&open.scope);
                (self.container, self.step) = open.outer;
                return Ok(false);
            }
            Some(b',') if open.count != 0 => {
                self.at += 1;
                self.space();
            }
            None => return Err(self.fault(Problem::End, self.at)),
            Some(_) if open.count != 0 => return Err(self.expected("`,` or the closing bracket")),
            Some(_) => {}
        }
        // No overflow: an item takes a byte, and the body is shorter than 4 GiB.
        open.count = open.count.saturating_add(1);
        Ok(true)
    }

    fn keep(&mut self, span: Range<usize>, is_key: bool, escaped: bool) -> Result<(), Invalid> {
        if STRINGS_MAX <= self.segments.len() {
            return Err(self.fault(Problem::TooMany, span.start));
        }
        let is_number = self.text.as_bytes().get(span.start) != Some(&b'"');
        let (container, step) = (self.container, self.step);
        self.segments.push(Segment { span, is_key, is_number, escaped, container, step });
        Ok(())
    }

    fn literal(&self, start: usize, escaped: bool) -> Literal<'a> {
        let raw = self.raw(start + 1..self.at.saturating_sub(1));
        Literal { span: start..self.at, raw, escaped }
    }

    fn word(&mut self, word: &str) -> Result<(), Invalid> {
        if !self
            .text
            .as_bytes()
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word.as_bytes()))
        {
            return Err(self.fault(Problem::Value, self.at));
        }
        self.at += word.len();
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }
}

// === impl Literal ===

impl<'a> Literal<'a> {
    pub(crate) fn text(&self) -> Cow<'a, str> {
        if self.escaped { Cow::Owned(scan::unescape(self.raw)) } else { Cow::Borrowed(self.raw) }
    }
}

// === impl Open ===

impl Open<'_> {
    /// Whether nothing was read in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// INVARIANT: offsets and counts fit, as `Reader::new` refuses bodies of 4 GiB.
fn narrow(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}
