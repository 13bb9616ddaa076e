//! The one pass over the body of a chat request.

use std::ops::Range;

use bytes::Bytes;

use super::{
    BoundPlace, CHOICES_MAX, CallerData, Insertion, METADATA_MAX, OUTPUT_BOUND_TOKENS_MAX, Options,
    OutputBound, Places, Request, Schema, content, is_http,
};
use crate::json::reader::{Literal, Open, Reader, Rules};
use crate::json::{Document, Kind};
use crate::malformed::{Malformed, refuse_folded};

const TOP_KEYS: [&str; 23] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "tools",
    "functions",
    "web_search_options",
    "modalities",
    "audio",
    "prediction",
    "reasoning_effort",
    "service_tier",
    "store",
    "response_format",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "metadata",
    "tool_choice",
    "function_call",
];
const STREAM_OPTION_KEYS: [&str; 1] = ["include_usage"];
const TOOL_KEYS: [&str; 3] = ["type", "function", "custom"];
const FORMAT_KEYS: [&str; 1] = ["type"];

/// A request in the making. `model` and `messages` are all that must come.
#[derive(Default)]
pub(super) struct Draft {
    model: Option<(String, Range<usize>)>,
    pub(super) stream: bool,
    include_usage: bool,
    choices: Option<i64>,
    pub(super) messages: usize,
    tools: usize,
    hosted_tools: Vec<String>,
    pub(super) images: Vec<super::Image>,
    pub(super) attachments: Vec<super::Attachment>,
    pub(super) urls: Vec<String>,
    audio_output: bool,
    prediction: bool,
    reasoning_effort: Option<String>,
    service_tier: Option<String>,
    store: Option<bool>,
    response_format: Option<String>,
    caller: CallerData,
    pub(super) system: Option<Range<usize>>,
    pub(super) prompt: Vec<usize>,
    schemas: Vec<Schema>,
    pub(super) opaque: Vec<usize>,
    edits: Places,
}

/// Where a schema begins, and what was counted before it.
struct Mark {
    start: usize,
    literal_bytes: usize,
    text_bytes: usize,
}

pub(super) fn request(body: &Bytes) -> Result<Request, Malformed> {
    let mut reader = Reader::new(body, Rules::Strict)?;
    let mut draft = Draft::default();
    let mut top = reader.open_object()?;
    while let Some(key) = reader.key(&mut top)? {
        member(&mut reader, &mut draft, &key)?;
    }
    reader.finish()?;
    draft.edits.top = insertion(&top);
    let Some((model, model_span)) = draft.model else { return Err(Malformed::missing("model")) };
    if draft.messages == 0 {
        return Err(Malformed::missing("messages"));
    }
    let output_bound = output_bound(&draft.edits.bounds)?;
    Ok(Request {
        document: Document::new(body.clone(), reader),
        model,
        model_span,
        stream: draft.stream,
        include_usage: draft.include_usage,
        output_bound,
        choices: draft.choices.unwrap_or(1),
        messages: draft.messages,
        tools: draft.tools,
        hosted_tools: draft.hosted_tools,
        images: draft.images,
        attachments: draft.attachments,
        urls: draft.urls,
        audio_output: draft.audio_output,
        prediction: draft.prediction,
        reasoning_effort: draft.reasoning_effort,
        service_tier: draft.service_tier,
        store: draft.store,
        response_format: draft.response_format,
        caller: draft.caller,
        system: draft.system,
        prompt: draft.prompt,
        schemas: draft.schemas,
        opaque: draft.opaque,
        edits: draft.edits,
    })
}

fn member(reader: &mut Reader<'_>, draft: &mut Draft, key: &Literal<'_>) -> Result<(), Malformed> {
    match &*key.text() {
        "model" => {
            let literal = reader.string()?;
            let model = literal.text().into_owned();
            if model.is_empty() {
                return Err(Malformed::at("model", "`model` is empty".to_owned()));
            }
            draft.model = Some((model, literal.span));
        }
        "messages" => content::messages(reader, draft)?,
        "stream" => draft.stream = bool_or_null(reader)?.unwrap_or(false),
        "stream_options" => stream_options(reader, draft)?,
        "max_completion_tokens" => bound(reader, draft, key, "max_completion_tokens")?,
        "max_tokens" => bound(reader, draft, key, "max_tokens")?,
        "n" => draft.choices = integer_or_null(reader, CHOICES_MAX)?.0,
        "tools" => tools(reader, draft)?,
        "functions" => {
            let (schema, count) = definitions(reader)?;
            draft.tools += count;
            draft.schemas.push(schema);
        }
        "web_search_options" => {
            let first = reader.kept();
            if !reader.null()? {
                reader.skip()?;
                draft.hosted_tools.push("web_search_options".to_owned());
                urls_from(reader, first, &mut draft.urls);
            }
        }
        "modalities" => modalities(reader, draft)?,
        "prediction" => draft.prediction = !reader.null()? && reader.skip().map(|()| true)?,
        "reasoning_effort" => draft.reasoning_effort = string_or_null(reader)?,
        "service_tier" => draft.service_tier = string_or_null(reader)?,
        "store" => draft.store = bool_or_null(reader)?,
        "response_format" => response_format(reader, draft)?,
        "user" => draft.caller.user = string_or_null(reader)?,
        "safety_identifier" => draft.caller.safety_identifier = string_or_null(reader)?,
        "prompt_cache_key" => draft.caller.prompt_cache_key = string_or_null(reader)?,
        "metadata" => metadata(reader, draft)?,
        other => {
            refuse_folded(reader, &TOP_KEYS, other)?;
            reader.skip()?;
        }
    }
    Ok(())
}

fn stream_options(reader: &mut Reader<'_>, draft: &mut Draft) -> Result<(), Malformed> {
    let start = reader.offset();
    if reader.null()? {
        draft.edits.stream_options = Some(Options::Null(start..reader.offset()));
        return Ok(());
    }
    let mut place = None;
    let mut open = reader.open_object()?;
    while let Some(key) = reader.key(&mut open)? {
        let key = key.text();
        if key == "include_usage" {
            let start = reader.offset();
            draft.include_usage = bool_or_null(reader)?.unwrap_or(false);
            place = Some(start..reader.offset());
        } else {
            refuse_folded(reader, &STREAM_OPTION_KEYS, &key)?;
            reader.skip()?;
        }
    }
    draft.edits.stream_options =
        Some(Options::Object { end: insertion(&open), include_usage: place });
    Ok(())
}

fn tools(reader: &mut Reader<'_>, draft: &mut Draft) -> Result<(), Malformed> {
    if reader.null()? {
        return Ok(());
    }
    let mark = Mark::here(reader);
    let mut open = reader.open_array()?;
    while reader.item(&mut open)? {
        tool(reader, draft)?;
    }
    draft.schemas.push(mark.schema(reader));
    Ok(())
}

fn tool(reader: &mut Reader<'_>, draft: &mut Draft) -> Result<(), Malformed> {
    let first = reader.kept();
    let mut kind = None;
    let mut open = reader.open_object()?;
    while let Some(key) = reader.key(&mut open)? {
        let key = key.text();
        if key == "type" {
            kind = Some(reader.string()?.text());
        } else {
            refuse_folded(reader, &TOOL_KEYS, &key)?;
            reader.skip()?;
        }
    }
    match kind.as_deref() {
        // Without a type a server can only take it for a function.
        None | Some("function" | "custom") => draft.tools += 1,
        Some(hosted) => {
            draft.hosted_tools.push(hosted.to_owned());
            urls_from(reader, first, &mut draft.urls);
        }
    }
    Ok(())
}

/// Passes an array of definitions; what was passed, and how many there are.
fn definitions(reader: &mut Reader<'_>) -> Result<(Schema, usize), Malformed> {
    let mark = Mark::here(reader);
    let mut count = 0;
    if !reader.null()? {
        let mut open = reader.open_array()?;
        while reader.item(&mut open)? {
            reader.skip()?;
            count += 1;
        }
    }
    Ok((mark.schema(reader), count))
}

fn modalities(reader: &mut Reader<'_>, draft: &mut Draft) -> Result<(), Malformed> {
    if reader.null()? {
        return Ok(());
    }
    let mut open = reader.open_array()?;
    while reader.item(&mut open)? {
        draft.audio_output |= reader.string()?.text() == "audio";
    }
    Ok(())
}

fn response_format(reader: &mut Reader<'_>, draft: &mut Draft) -> Result<(), Malformed> {
    if reader.null()? {
        return Ok(());
    }
    let mark = Mark::here(reader);
    let mut open = reader.open_object()?;
    while let Some(key) = reader.key(&mut open)? {
        let key = key.text();
        if key == "type" {
            draft.response_format = Some(reader.string()?.text().into_owned());
        } else {
            refuse_folded(reader, &FORMAT_KEYS, &key)?;
            reader.skip()?;
        }
    }
    draft.schemas.push(mark.schema(reader));
    Ok(())
}

// === impl Mark ===

impl Mark {
    fn here(reader: &Reader<'_>) -> Self {
        Self {
            start: reader.offset(),
            literal_bytes: reader.literal_bytes(),
            text_bytes: reader.text_bytes(),
        }
    }

    fn schema(&self, reader: &Reader<'_>) -> Schema {
        Schema {
            span: self.start..reader.offset(),
            literal_bytes: reader.literal_bytes() - self.literal_bytes,
            text_bytes: reader.text_bytes() - self.text_bytes,
        }
    }
}

fn metadata(reader: &mut Reader<'_>, draft: &mut Draft) -> Result<(), Malformed> {
    if reader.null()? {
        return Ok(());
    }
    let mut open = reader.open_object()?;
    while let Some(key) = reader.key(&mut open)? {
        if reader.kind()? == Kind::String {
            let value = reader.string()?;
            if draft.caller.metadata.len() < METADATA_MAX {
                let pair = (key.text().into_owned(), value.text().into_owned());
                draft.caller.metadata.push(pair);
            }
        } else {
            reader.skip()?;
        }
    }
    Ok(())
}

fn bound(
    reader: &mut Reader<'_>,
    draft: &mut Draft,
    key: &Literal<'_>,
    parameter: &'static str,
) -> Result<(), Malformed> {
    let (tokens, value) = integer_or_null(reader, OUTPUT_BOUND_TOKENS_MAX)?;
    let key = key.span.clone();
    draft.edits.bounds.push(BoundPlace { parameter, key, value, tokens });
    Ok(())
}

/// The bound that the caller sent: `max_completion_tokens`, else `max_tokens`.
fn output_bound(places: &[BoundPlace]) -> Result<Option<OutputBound>, Malformed> {
    let mut sent: Vec<OutputBound> = places
        .iter()
        .filter_map(|place| Some(OutputBound { tokens: place.tokens?, parameter: place.parameter }))
        .collect();
    sent.sort_by_key(|bound| bound.parameter);
    if let [new, old] = sent.as_slice()
        && new.tokens != old.tokens
    {
        let message = "`max_tokens` and `max_completion_tokens` differ: send one of them";
        return Err(Malformed::at("max_tokens", message.to_owned()));
    }
    Ok(sent.into_iter().next())
}

/// An integer from 1 to `max` and its bytes; null is as good as absent.
fn integer_or_null(
    reader: &mut Reader<'_>,
    max: i64,
) -> Result<(Option<i64>, Range<usize>), Malformed> {
    let start = reader.offset();
    if reader.null()? {
        return Ok((None, start..reader.offset()));
    }
    match reader.number()?.parse::<i64>() {
        Ok(value) if (1..=max).contains(&value) => Ok((Some(value), start..reader.offset())),
        Ok(_) | Err(_) => {
            let param = reader.expected("an integer").param;
            let message = format!("`{param}` must be an integer from 1 to {max}");
            Err(Malformed::at(&param, message))
        }
    }
}

pub(super) fn string_or_null(reader: &mut Reader<'_>) -> Result<Option<String>, Malformed> {
    if reader.null()? {
        return Ok(None);
    }
    Ok(Some(reader.string()?.text().into_owned()))
}

fn bool_or_null(reader: &mut Reader<'_>) -> Result<Option<bool>, Malformed> {
    if reader.null()? { Ok(None) } else { Ok(Some(reader.bool()?)) }
}

fn insertion(open: &Open<'_>) -> Insertion {
    Insertion { at: open.last, first: open.is_empty() }
}

/// Adds every http(s) URL among the string values kept since `first`.
pub(super) fn urls_from(reader: &Reader<'_>, first: usize, urls: &mut Vec<String>) {
    for segment in reader.segments().get(first..).unwrap_or_default() {
        if segment.is_key {
            continue;
        }
        let text = reader.text_of(segment);
        if is_http(&text) {
            urls.push(text.into_owned());
        }
    }
}
