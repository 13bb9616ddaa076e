//! A request for `POST /v1/chat/completions`: what it asks for, and how it may be changed.

mod content;
mod read;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use crate::json::{self, Document, Edit, Segment};
use crate::malformed::Malformed;

/// Answers that one request may ask for (`n`), as OpenAI has it.
pub const CHOICES_MAX: i64 = 128;

/// Tokens that a bound may name; far above any model, and safe in all sums.
pub const OUTPUT_BOUND_TOKENS_MAX: i64 = 1 << 40;

/// Members of `metadata` that are kept; OpenAI allows 16.
pub const METADATA_MAX: usize = 64;

/// The facts of a request. Everything that a provider might read is in the document's segments.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) document: Document,
    pub model: String,
    /// Bytes of the model's literal, with its quotes.
    pub model_span: Range<usize>,
    pub stream: bool,
    /// Whether the caller asked for usage in the stream; also of use without `stream`.
    pub include_usage: bool,
    pub output_bound: Option<OutputBound>,
    /// Answers asked for, 1 to [`CHOICES_MAX`].
    pub choices: i64,
    pub messages: usize,
    /// Function and custom tools, those of the old `functions` too.
    pub tools: usize,
    /// What runs at the provider: `web_search_options`, and tool types other than function and
    /// custom, as named by the caller.
    pub hosted_tools: Vec<String>,
    pub images: Vec<Image>,
    /// Audio, files and video in messages.
    pub attachments: Vec<Attachment>,
    /// Every http(s) URL in a content part or hosted tool, which the provider would fetch.
    pub urls: Vec<String>,
    /// Whether `modalities` asks for spoken output.
    pub audio_output: bool,
    /// Whether a `prediction` is given, whose rejected part is billed as output.
    pub prediction: bool,
    pub reasoning_effort: Option<String>,
    pub service_tier: Option<String>,
    pub store: Option<bool>,
    /// `type` of `response_format`.
    pub response_format: Option<String>,
    pub caller: CallerData,
    /// Bytes of the content (a string or an array) of the first system or developer message.
    pub system: Option<Range<usize>>,
    /// Indices of the segments whose text is put before the model: text of messages, names and
    /// arguments of tool calls. Tool definitions are in [`Request::schemas`].
    pub prompt: Vec<usize>,
    /// Bytes of tool definitions and of the response format, whole JSON values.
    pub schemas: Vec<Schema>,
    /// Indices of the segments that are encoded data (data URLs, audio, files), ascending.
    pub opaque: Vec<usize>,
    edits: Places,
}

/// The caller's limit on output tokens for each answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputBound {
    /// 1 to [`OUTPUT_BOUND_TOKENS_MAX`].
    pub tokens: i64,
    /// `max_completion_tokens`, else `max_tokens`.
    pub parameter: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub source: Source,
    pub detail: Detail,
}

/// Where the bytes of an image or attachment are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The provider fetches them.
    Http,
    /// In the request, so many bytes of base64 or other text.
    Inline { bytes: usize },
    /// Neither: an id at the provider, or something unknown.
    Reference,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    Low,
    High,
    /// Not given, `auto`, or a value that we do not know: costs up to the most.
    Auto,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    pub kind: AttachmentKind,
    pub source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachmentKind {
    Audio,
    File,
    /// A part of another type that holds data or a URL, such as video.
    Other,
}

/// What the caller says about itself and its users: data, never identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallerData {
    pub user: Option<String>,
    pub safety_identifier: Option<String>,
    pub prompt_cache_key: Option<String>,
    /// Members with string values, at most [`METADATA_MAX`].
    pub metadata: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    pub span: Range<usize>,
    /// Bytes of the string literals in it, with their quotes.
    pub(crate) literal_bytes: usize,
    /// Bytes of the same strings after unescaping.
    pub(crate) text_bytes: usize,
}

/// Where the edits go.
#[derive(Clone, Debug, Default)]
struct Places {
    top: Insertion,
    stream_options: Option<Options>,
    /// At most one of each name.
    bounds: Vec<BoundPlace>,
}

/// A member that bounds the output, null included.
#[derive(Clone, Debug)]
struct BoundPlace {
    parameter: &'static str,
    key: Range<usize>,
    value: Range<usize>,
    tokens: Option<i64>,
}

/// The place of a new last member of an object.
#[derive(Clone, Copy, Debug, Default)]
struct Insertion {
    at: usize,
    first: bool,
}

#[derive(Clone, Debug)]
enum Options {
    Null(Range<usize>),
    Object { end: Insertion, include_usage: Option<Range<usize>> },
}

/// Reads a request.
///
/// # Errors
/// [`Malformed`] with the parameter: no JSON object, a duplicate key anywhere, an interpreted
/// field of a wrong type, a key that differs from an interpreted one by case, no `model`, no
/// `messages`, `n` outside of 1 to 128, two output bounds that differ.
pub fn read(body: &Bytes) -> Result<Request, Malformed> {
    read::request(body)
}

// === impl Request ===

impl Request {
    /// The body, its strings and their pointers.
    pub fn document(&self) -> &Document {
        &self.document
    }

    pub fn body(&self) -> &Bytes {
        self.document.body()
    }

    /// Every string of the document, unknown fields and keys included.
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

    pub fn has_tools(&self) -> bool {
        self.tools != 0 || !self.hosted_tools.is_empty()
    }

    /// Asks for another model.
    pub fn set_model(&self, name: &str) -> Edit {
        Edit { span: self.model_span.clone(), replacement: json::quote(name) }
    }

    /// Asks for the usage chunk; none where it was asked for, or the answer is not a stream.
    pub fn ask_usage(&self) -> Option<Edit> {
        if !self.stream || self.include_usage {
            return None;
        }
        let whole = b"{\"include_usage\":true}";
        Some(match &self.edits.stream_options {
            None => self.edits.top.member("stream_options", whole),
            Some(Options::Null(span)) => Edit { span: span.clone(), replacement: whole.to_vec() },
            Some(Options::Object { include_usage: Some(span), .. }) => {
                Edit { span: span.clone(), replacement: b"true".to_vec() }
            }
            Some(Options::Object { end, include_usage: None }) => {
                end.member("include_usage", b"true")
            }
        })
    }

    /// Makes `parameter` the bound on the output of each answer; nothing where it is that already.
    ///
    /// A member of this name gets the value, else a member of the other name is replaced by it,
    /// else it is added. Never are two names left with a number (OpenAI refuses a request with
    /// both), or one name twice.
    pub fn set_output_bound(&self, parameter: &str, tokens: i64) -> Vec<Edit> {
        let literal = tokens.to_string().into_bytes();
        let named = |place: &&BoundPlace| place.parameter == parameter;
        let own = self.edits.bounds.iter().find(named);
        let other = self.edits.bounds.iter().find(|place| !named(place));
        let Some(own) = own else {
            let Some(BoundPlace { key, value, .. }) = other else {
                return vec![self.edits.top.member(parameter, &literal)];
            };
            let name = Edit { span: key.clone(), replacement: json::quote(parameter) };
            return vec![name, Edit { span: value.clone(), replacement: literal }];
        };
        if own.tokens == Some(tokens) {
            return Vec::new();
        }
        let mut edits = vec![Edit { span: own.value.clone(), replacement: literal }];
        if let Some(BoundPlace { value, tokens: Some(_), .. }) = other {
            edits.push(Edit { span: value.clone(), replacement: b"null".to_vec() });
        }
        edits
    }

    /// Puts another text in the place of a string.
    pub fn mask(&self, segment: &Segment, text: &str) -> Edit {
        Edit { span: segment.span.clone(), replacement: json::quote(text) }
    }
}

// === impl Insertion ===

impl Insertion {
    fn member(self, name: &str, literal: &[u8]) -> Edit {
        let mut replacement = Vec::with_capacity(name.len() + literal.len() + 4);
        if !self.first {
            replacement.push(b',');
        }
        json::quote_into(name, &mut replacement);
        replacement.push(b':');
        replacement.extend_from_slice(literal);
        Edit { span: self.at..self.at, replacement }
    }
}

// === impl Source ===

impl Source {
    /// What a URL or payload says of its place.
    fn of_url(url: &str) -> Self {
        if is_http(url) {
            Self::Http
        } else if has_prefix(url, "data:") {
            Self::Inline { bytes: url.len() }
        } else {
            Self::Reference
        }
    }
}

fn is_http(text: &str) -> bool {
    has_prefix(text, "http://") || has_prefix(text, "https://")
}

/// Schemes are compared without regard to case (RFC 3986, section 3.1); servers trim white space.
fn has_prefix(text: &str, prefix: &str) -> bool {
    text.trim_start().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}
