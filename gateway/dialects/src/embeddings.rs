//! A request for `POST /v1/embeddings`: what it asks for, and how its model is changed.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use crate::json::reader::{Reader, Rules};
use crate::json::{self, Document, Edit, Kind, Segment};
use crate::malformed::{Malformed, refuse_folded};

/// Inputs of one request, as OpenAI has it.
pub const INPUTS_MAX: usize = 2048;

/// Largest `dimensions`; above any model.
pub const DIMENSIONS_MAX: i64 = 1 << 20;

const TOP_KEYS: [&str; 5] = ["model", "input", "encoding_format", "dimensions", "user"];

/// The facts of a request.
#[derive(Clone, Debug)]
pub struct Request {
    document: Document,
    pub model: String,
    /// Bytes of the model's literal, with its quotes.
    pub model_span: Range<usize>,
    /// Texts or arrays of token ids, 1 to [`INPUTS_MAX`].
    pub inputs: usize,
    /// Token ids given instead of text, over all inputs.
    pub token_ids: i64,
    /// Indices of the segments that are inputs.
    pub prompt: Vec<usize>,
    pub encoding_format: Option<String>,
    pub dimensions: Option<i64>,
    /// The caller's own word for its user: data, never identity.
    pub user: Option<String>,
}

#[derive(Default)]
struct Draft {
    model: Option<(String, Range<usize>)>,
    inputs: usize,
    token_ids: i64,
    prompt: Vec<usize>,
    encoding_format: Option<String>,
    dimensions: Option<i64>,
    user: Option<String>,
}

/// Reads a request.
///
/// # Errors
/// [`Malformed`] with the parameter: as [`crate::chat::read`], further an `input` that is no
/// string, array of strings, array of token ids or array of such arrays, is empty or mixes them.
pub fn read(body: &Bytes) -> Result<Request, Malformed> {
    let mut reader = Reader::new(body, Rules::Strict)?;
    let mut draft = Draft::default();
    let mut top = reader.open_object()?;
    while let Some(key) = reader.key(&mut top)? {
        match &*key.text() {
            "model" => {
                let literal = reader.string()?;
                draft.model = Some((literal.text().into_owned(), literal.span));
            }
            "input" => input(&mut reader, &mut draft)?,
            "encoding_format" => draft.encoding_format = string_or_null(&mut reader)?,
            "dimensions" => draft.dimensions = dimensions(&mut reader)?,
            "user" => draft.user = string_or_null(&mut reader)?,
            other => {
                refuse_folded(&reader, &TOP_KEYS, other)?;
                reader.skip()?;
            }
        }
    }
    reader.finish()?;
    let Some((model, model_span)) = draft.model.filter(|(model, _)| !model.is_empty()) else {
        return Err(Malformed::missing("model"));
    };
    if draft.inputs == 0 {
        return Err(Malformed::missing("input"));
    }
    Ok(Request {
        document: Document::new(body.clone(), reader),
        model,
        model_span,
        inputs: draft.inputs,
        token_ids: draft.token_ids,
        prompt: draft.prompt,
        encoding_format: draft.encoding_format,
        dimensions: draft.dimensions,
        user: draft.user,
    })
}

// === impl Request ===

impl Request {
    pub fn document(&self) -> &Document {
        &self.document
    }

    pub fn body(&self) -> &Bytes {
        self.document.body()
    }

    /// Every string and long number of the document, unknown fields and keys included.
    pub fn segments(&self) -> &[Segment] {
        self.document.segments()
    }

    pub fn text(&self, segment: &Segment) -> Cow<'_, str> {
        self.document.text(segment)
    }

    /// The RFC 6901 pointer of a segment.
    pub fn pointer(&self, segment: &Segment) -> String {
        self.document.pointer(segment)
    }

    /// Bytes of all string values after unescaping.
    pub fn text_bytes(&self) -> usize {
        self.document.value_bytes()
    }

    /// Asks for another model.
    pub fn set_model(&self, name: &str) -> Edit {
        Edit { span: self.model_span.clone(), replacement: json::quote(name) }
    }

    /// Puts another text in the place of a string or number, as a string.
    pub fn mask(&self, segment: &Segment, text: &str) -> Edit {
        Edit { span: segment.span.clone(), replacement: json::quote(text) }
    }
}

fn input(reader: &mut Reader<'_>, draft: &mut Draft) -> Result<(), Malformed> {
    match reader.kind()? {
        Kind::String => {
            text(reader, draft)?;
            draft.inputs = 1;
        }
        Kind::Array => inputs(reader, draft)?,
        Kind::Object | Kind::Number | Kind::Bool | Kind::Null => {
            return Err(reader.expected("a string or an array").into());
        }
    }
    if draft.inputs == 0 {
        return Err(Malformed::at("input", "`input` is empty".to_owned()));
    }
    Ok(())
}

fn inputs(reader: &mut Reader<'_>, draft: &mut Draft) -> Result<(), Malformed> {
    let mut first = None;
    let mut open = reader.open_array()?;
    while reader.item(&mut open)? {
        let kind = reader.kind()?;
        if *first.get_or_insert(kind) != kind {
            return Err(reader.expected("inputs of one kind").into());
        }
        match kind {
            Kind::String => {
                text(reader, draft)?;
                draft.inputs += 1;
            }
            Kind::Number => {
                token(reader, draft)?;
                draft.inputs = 1;
            }
            Kind::Array => {
                tokens(reader, draft)?;
                draft.inputs += 1;
            }
            Kind::Object | Kind::Bool | Kind::Null => {
                return Err(reader.expected("a string, a token id or an array of them").into());
            }
        }
        if INPUTS_MAX < draft.inputs {
            return Err(Malformed::at(
                "input",
                format!("`input` has more than {INPUTS_MAX} items"),
            ));
        }
    }
    Ok(())
}

fn tokens(reader: &mut Reader<'_>, draft: &mut Draft) -> Result<(), Malformed> {
    let before = draft.token_ids;
    let mut open = reader.open_array()?;
    while reader.item(&mut open)? {
        token(reader, draft)?;
    }
    if draft.token_ids == before {
        return Err(Malformed::at("input", "`input` holds an empty array".to_owned()));
    }
    Ok(())
}

fn token(reader: &mut Reader<'_>, draft: &mut Draft) -> Result<(), Malformed> {
    if reader.number()?.parse::<u32>().is_err() {
        return Err(reader.expected("a token id").into());
    }
    draft.token_ids = draft.token_ids.saturating_add(1);
    Ok(())
}

fn text(reader: &mut Reader<'_>, draft: &mut Draft) -> Result<(), Malformed> {
    draft.prompt.push(reader.kept());
    reader.string()?;
    Ok(())
}

fn dimensions(reader: &mut Reader<'_>) -> Result<Option<i64>, Malformed> {
    if reader.null()? {
        return Ok(None);
    }
    match reader.number()?.parse() {
        Ok(value) if (1..=DIMENSIONS_MAX).contains(&value) => Ok(Some(value)),
        Ok(_) | Err(_) => {
            let message = format!("`dimensions` must be an integer from 1 to {DIMENSIONS_MAX}");
            Err(Malformed::at("dimensions", message))
        }
    }
}

fn string_or_null(reader: &mut Reader<'_>) -> Result<Option<String>, Malformed> {
    if reader.null()? {
        return Ok(None);
    }
    Ok(Some(reader.string()?.text().into_owned()))
}
