//! Messages and their content parts.

use std::borrow::Cow;

use super::read::{Draft, urls_from};
use super::{Attachment, AttachmentKind, Detail, Image, Source, is_http};
use crate::json::Kind;
use crate::json::reader::Reader;
use crate::malformed::{Malformed, refuse_folded};

const MESSAGE_KEYS: [&str; 7] =
    ["role", "content", "name", "refusal", "tool_calls", "function_call", "reasoning_content"];
const PART_KEYS: [&str; 6] = ["type", "text", "refusal", "image_url", "input_audio", "file"];
const IMAGE_KEYS: [&str; 2] = ["url", "detail"];
const AUDIO_KEYS: [&str; 1] = ["data"];
const FILE_KEYS: [&str; 4] = ["file_data", "file_id", "file_url", "filename"];

/// Payloads shorter than this are taken for text: names, ids and short words.
const PAYLOAD_BYTES_MIN: usize = 256;

pub(super) fn messages(reader: &mut Reader<'_>, draft: &mut Draft) -> Result<(), Malformed> {
    let mut open = reader.open_array()?;
    while reader.item(&mut open)? {
        message(reader, draft)?;
        draft.messages += 1;
    }
    if draft.messages == 0 {
        return Err(Malformed::at("messages", "`messages` is empty".to_owned()));
    }
    Ok(())
}

fn message(reader: &mut Reader<'_>, draft: &mut Draft) -> Result<(), Malformed> {
    let mut role = None;
    let mut span = None;
    let here = draft.messages;
    let mut open = reader.open_object()?;
    while let Some(key) = reader.key(&mut open)? {
        match &*key.text() {
            "role" => role = Some(reader.string()?.text()),
            "content" => {
                let start = reader.offset();
                content(reader, draft)?;
                span = Some(start..reader.offset());
            }
            "name" | "refusal" | "reasoning_content" => prompt_or_null(reader, draft)?,
            "tool_calls" | "function_call" => calls(reader, draft)?,
            other => {
                refuse_folded(reader, &MESSAGE_KEYS, other)?;
                reader.skip()?;
            }
        }
    }
    let Some(role) = role else {
        let param = format!("messages[{here}].role");
        return Err(Malformed::missing(&param));
    };
    if draft.system.is_none() && matches!(&*role, "system" | "developer") {
        draft.system = span;
    }
    Ok(())
}

fn content(reader: &mut Reader<'_>, draft: &mut Draft) -> Result<(), Malformed> {
    match reader.kind()? {
        Kind::Null => {
            reader.null()?;
        }
        Kind::String => prompt_or_null(reader, draft)?,
        Kind::Array => {
            let mut open = reader.open_array()?;
            while reader.item(&mut open)? {
                // A bare string in the place of a part: undocumented, but taken by some servers.
                if reader.kind()? == Kind::String {
                    prompt_or_null(reader, draft)?;
                } else {
                    part(reader, draft)?;
                }
            }
        }
        Kind::Object | Kind::Number | Kind::Bool => {
            return Err(reader.expected("a string, an array or null").into());
        }
    }
    Ok(())
}

/// A string that is put before the model.
fn prompt_or_null(reader: &mut Reader<'_>, draft: &mut Draft) -> Result<(), Malformed> {
    if !reader.null()? {
        let index = reader.kept();
        reader.string()?;
        draft.prompt.push(index);
    }
    Ok(())
}

/// All string values of tool calls are text to the model: names, arguments, inputs.
fn calls(reader: &mut Reader<'_>, draft: &mut Draft) -> Result<(), Malformed> {
    let first = reader.kept();
    reader.skip()?;
    let kept = reader.segments().iter().enumerate().skip(first);
    draft.prompt.extend(kept.filter(|(_, segment)| !segment.is_key).map(|(index, _)| index));
    Ok(())
}

fn part(reader: &mut Reader<'_>, draft: &mut Draft) -> Result<(), Malformed> {
    let mut known = false;
    let first = reader.kept();
    let (images, attachments) = (draft.images.len(), draft.attachments.len());
    let mut text = None;
    let mut open = reader.open_object()?;
    while let Some(key) = reader.key(&mut open)? {
        match &*key.text() {
            "type" => {
                reader.string()?;
            }
            "text" | "refusal" => {
                known = true;
                text = Some(reader.kept());
                prompt_or_null(reader, draft)?;
            }
            "image_url" => {
                known = true;
                image(reader, draft)?;
            }
            "input_audio" => {
                known = true;
                payload(reader, draft, &AUDIO_KEYS, AttachmentKind::Audio)?;
            }
            "file" => {
                known = true;
                payload(reader, draft, &FILE_KEYS, AttachmentKind::File)?;
            }
            other => {
                refuse_folded(reader, &PART_KEYS, other)?;
                reader.skip()?;
            }
        }
    }
    let mut fetched = Vec::new();
    urls_from(reader, first, &mut fetched);
    if let Some(own) = text.and_then(|index| reader.segments().get(index)) {
        // Text that begins with a URL is text, not something to fetch.
        let own = reader.text_of(own);
        if is_http(&own) {
            let place = fetched.iter().position(|url| *url == own);
            place.map(|place| fetched.remove(place));
        }
    }
    let images = draft.images.iter().skip(images).map(|image| &image.source);
    let attachments = draft.attachments.iter().skip(attachments).map(|one| &one.source);
    let understood = images.chain(attachments).filter(|source| **source == Source::Http).count();
    if !known {
        other_part(reader, draft, first, !fetched.is_empty());
    } else if understood < fetched.len() {
        // A member that we do not know sends the provider somewhere.
        let kind = AttachmentKind::Other;
        draft.attachments.push(Attachment { kind, source: Source::Http });
    }
    draft.urls.append(&mut fetched);
    Ok(())
}

/// A part of a type that we do not know: all of its text reaches the model, and long payloads or
/// URLs count as an attachment without a bound.
fn other_part(reader: &Reader<'_>, draft: &mut Draft, first: usize, fetches: bool) {
    let mut bytes = 0;
    for (index, segment) in reader.segments().iter().enumerate().skip(first) {
        if segment.is_key {
            continue;
        }
        let text = reader.text_of(segment);
        if PAYLOAD_BYTES_MIN <= text.len() && matches!(Source::of_url(&text), Source::Inline { .. })
        {
            bytes += text.len();
            draft.opaque.push(index);
        } else {
            draft.prompt.push(index);
        }
    }
    let source = match (bytes, fetches) {
        (0, true) => Source::Http,
        (0, false) => return,
        (bytes, _) => Source::Inline { bytes },
    };
    draft.attachments.push(Attachment { kind: AttachmentKind::Other, source });
}

fn image(reader: &mut Reader<'_>, draft: &mut Draft) -> Result<(), Malformed> {
    let mut detail = Detail::Auto;
    let mut source = Source::Reference;
    if reader.kind()? == Kind::String {
        source = url(reader, draft)?;
    } else {
        let mut open = reader.open_object()?;
        while let Some(key) = reader.key(&mut open)? {
            match &*key.text() {
                "url" => source = url(reader, draft)?,
                "detail" if !reader.null()? => {
                    detail = match &*reader.string()?.text() {
                        "low" => Detail::Low,
                        "high" => Detail::High,
                        _ => Detail::Auto,
                    };
                }
                "detail" => {}
                other => {
                    refuse_folded(reader, &IMAGE_KEYS, other)?;
                    reader.skip()?;
                }
            }
        }
    }
    draft.images.push(Image { source, detail });
    Ok(())
}

fn url(reader: &mut Reader<'_>, draft: &mut Draft) -> Result<Source, Malformed> {
    let index = reader.kept();
    let source = Source::of_url(&reader.string()?.text());
    if let Source::Inline { .. } = source {
        draft.opaque.push(index);
    }
    Ok(source)
}

fn payload(
    reader: &mut Reader<'_>,
    draft: &mut Draft,
    known: &[&str],
    kind: AttachmentKind,
) -> Result<(), Malformed> {
    let mut source = Source::Reference;
    let mut open = reader.open_object()?;
    while let Some(key) = reader.key(&mut open)? {
        let key = key.text();
        match &*key {
            "data" | "file_data" | "file_url" if !reader.null()? => {
                let index = reader.kept();
                let text: Cow<'_, str> = reader.string()?.text();
                source = if is_http(&text) {
                    Source::Http
                } else {
                    draft.opaque.push(index);
                    Source::Inline { bytes: text.len() }
                };
            }
            "data" | "file_data" | "file_url" => {}
            other => {
                refuse_folded(reader, known, other)?;
                reader.skip()?;
            }
        }
    }
    draft.attachments.push(Attachment { kind, source });
    Ok(())
}
