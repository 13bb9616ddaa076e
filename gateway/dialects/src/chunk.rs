//! One JSON object of an answer: a chunk of a chat stream, or a whole chat completion.

use std::borrow::Cow;

use crate::json::reader::{Reader, Rules};
use crate::json::{Invalid, Kind};
use crate::usage::{self, Report};

/// What is passed on of an object besides its choices.
#[derive(Debug, Default)]
pub(crate) struct Chunk<'a> {
    pub(crate) choices: usize,
    pub(crate) usage: Option<Report>,
    pub(crate) error: Option<ErrorSeen>,
    pub(crate) model: Option<Cow<'a, str>>,
    pub(crate) id: Option<Cow<'a, str>>,
    /// Unix time in seconds, as written.
    pub(crate) created: Option<&'a str>,
}

/// An error object as the provider words it. Bounded, for logs and mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorSeen {
    pub message: String,
    pub kind: Option<String>,
    pub code: Option<String>,
}

/// Takes what the choices hold, as it is read.
pub(crate) trait Sink {
    /// Output that is billed as tokens: text, refusal, reasoning, tool names and arguments.
    fn text(&mut self, choice: i64, text: &str);
    fn finish(&mut self, choice: i64, reason: &str);
}

/// Bytes of an error's texts that are kept.
const ERROR_TEXT_BYTES_MAX: usize = 2048;

/// Reads one object.
pub(crate) fn read<'a>(json: &'a [u8], sink: &mut impl Sink) -> Result<Chunk<'a>, Invalid> {
    let mut reader = Reader::new(json, Rules::Lenient)?;
    let mut chunk = Chunk::default();
    let mut open = reader.open_object()?;
    while let Some(key) = reader.key(&mut open)? {
        match &*key.text() {
            "choices" if reader.kind()? == Kind::Array => {
                let mut open = reader.open_array()?;
                while reader.item(&mut open)? {
                    choice(&mut reader, chunk.choices, sink)?;
                    chunk.choices += 1;
                }
            }
            "usage" => chunk.usage = usage::read(&mut reader)?,
            "error" => chunk.error = error(&mut reader)?,
            "model" => chunk.model = text(&mut reader)?,
            "id" => chunk.id = text(&mut reader)?,
            "created" if reader.kind()? == Kind::Number => chunk.created = Some(reader.number()?),
            _ => reader.skip()?,
        }
    }
    reader.finish()?;
    Ok(chunk)
}

fn choice(reader: &mut Reader<'_>, place: usize, sink: &mut impl Sink) -> Result<(), Invalid> {
    if reader.kind()? != Kind::Object {
        reader.skip()?;
        return Ok(());
    }
    let mut index = i64::try_from(place).unwrap_or_default();
    let mut reason = None;
    let mut open = reader.open_object()?;
    while let Some(key) = reader.key(&mut open)? {
        match &*key.text() {
            // Servers put it first; one that does not has its only choice at place 0.
            "index" if reader.kind()? == Kind::Number => {
                index = reader.number()?.parse().unwrap_or(index);
            }
            "delta" | "message" => output(reader, index, sink)?,
            "finish_reason" => reason = text(reader)?,
            _ => reader.skip()?,
        }
    }
    if let Some(reason) = reason {
        sink.finish(index, &reason);
    }
    Ok(())
}

/// A delta, a message, or something within them that holds output.
fn output(reader: &mut Reader<'_>, index: i64, sink: &mut impl Sink) -> Result<(), Invalid> {
    if reader.kind()? != Kind::Object {
        reader.skip()?;
        return Ok(());
    }
    let mut open = reader.open_object()?;
    while let Some(key) = reader.key(&mut open)? {
        match (&*key.text(), reader.kind()?) {
            (
                "content" | "refusal" | "reasoning_content" | "reasoning" | "text" | "name"
                | "arguments" | "input" | "transcript" | "thinking",
                Kind::String,
            ) => sink.text(index, &reader.string()?.text()),
            ("content" | "tool_calls", Kind::Array) => {
                let mut open = reader.open_array()?;
                while reader.item(&mut open)? {
                    output(reader, index, sink)?;
                }
            }
            ("function" | "custom" | "function_call" | "audio", Kind::Object) => {
                output(reader, index, sink)?;
            }
            (_, _) => reader.skip()?,
        }
    }
    Ok(())
}

/// An error object or text; none for null.
fn error(reader: &mut Reader<'_>) -> Result<Option<ErrorSeen>, Invalid> {
    let mut seen = ErrorSeen::default();
    match reader.kind()? {
        Kind::Null => return reader.null().map(|_| None),
        Kind::String => seen.message = bounded(&reader.string()?.text()),
        Kind::Object => {
            let mut open = reader.open_object()?;
            while let Some(key) = reader.key(&mut open)? {
                let key = key.text();
                let number = reader.kind()? == Kind::Number;
                match &*key {
                    "message" => {
                        seen.message = text(reader)?.as_deref().map(bounded).unwrap_or_default()
                    }
                    "type" => seen.kind = text(reader)?.as_deref().map(bounded),
                    "code" if number => seen.code = Some(bounded(reader.number()?)),
                    "code" => seen.code = text(reader)?.as_deref().map(bounded),
                    _ => reader.skip()?,
                }
            }
        }
        Kind::Bool => return reader.bool().map(|_| None),
        Kind::Array | Kind::Number => reader.skip()?,
    }
    Ok(Some(seen))
}

/// A string; none for a value of another kind.
fn text<'a>(reader: &mut Reader<'a>) -> Result<Option<Cow<'a, str>>, Invalid> {
    if reader.kind()? == Kind::String {
        return Ok(Some(reader.string()?.text()));
    }
    reader.skip()?;
    Ok(None)
}

fn bounded(text: &str) -> String {
    let end = text.floor_char_boundary(ERROR_TEXT_BYTES_MAX);
    text.get(..end).unwrap_or_default().to_owned()
}
