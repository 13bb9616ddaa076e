//! Tokens before or without a report: a safe upper bound for holds, a likely number for bills.
//!
//! The bound rests on one fact: a token of a byte-level vocabulary is never less than a byte. What
//! a provider adds around the text is covered by fixed overheads, pictures and sound by tables.

#[cfg(test)]
mod tests;

use crate::chat::{AttachmentKind, Detail, Request, Schema, Source};
use crate::embeddings;
use crate::stream::Choice;

/// Tokens around each message in the bound. Chat templates use 4 to 8 (role and delimiters).
pub const MESSAGE_TOKENS_BOUND: i64 = 16;

/// Tokens of a request that are in none of its texts: what a template puts in front (dates,
/// default system texts, channel rules; the longest known take about 150).
pub const REQUEST_TOKENS_BOUND: i64 = 256;

/// Tokens in front of the first tool; Anthropic documents up to 530 for its tool-use prompt.
pub const TOOLS_TOKENS_BOUND: i64 = 640;

/// Tokens around each tool definition.
pub const TOOL_TOKENS_BOUND: i64 = 32;

/// Inline audio, decoded bytes for a token. The thinnest codec of the formats taken is MP3 at
/// 8 kbit/s, 1,000 bytes a second; the densest known count is 32 tokens a second (Gemini; OpenAI
/// has 10): 31 bytes for a token, halved for safety.
const AUDIO_BYTES_PER_TOKEN_BOUND: i64 = 16;

/// Inline audio, base64 bytes for a token in the estimate: 128 kbit/s MP3 at 10 tokens a second.
const AUDIO_BYTES_PER_TOKEN_LIKELY: i64 = 2_133;

/// Tokens around a message and in front of an answer, as OpenAI's counting guide has it.
const MESSAGE_TOKENS_LIKELY: i64 = 4;
const REQUEST_TOKENS_LIKELY: i64 = 3;

/// The most tokens of one image for a family of models, by detail.
///
/// OpenAI (guide "Images and vision", section on costs): tile models scale an image into
/// 2048 x 2048, then its short side to 768, so 8 tiles of 512 at the most; patch models count
/// squares of 32 pixels up to a budget, times a factor of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vision {
    pub low: i64,
    pub high: i64,
}

/// Why no bound on the input can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unbounded {
    /// A tool that runs at the provider puts its results into the context.
    HostedTool,
    /// A file is compressed, or not in the request.
    File,
    /// Audio or another part that the provider fetches or already has.
    Attachment,
}

// === impl Vision ===

impl Vision {
    /// gpt-4o, gpt-4.1: 85 and 170 a tile.
    pub const TILES: Self = Self { low: 85, high: 85 + 8 * 170 };
    /// gpt-4o-mini: 2,833 and 5,667 a tile.
    pub const TILES_MINI: Self = Self { low: 2_833, high: 2_833 + 8 * 5_667 };
    /// Patch models with a budget of 1,536, at the largest factor, 2.46 (gpt-4.1-nano). They do
    /// not heed `detail`.
    pub const PATCHES: Self = Self { low: 3_779, high: 3_779 };
    /// Patch models that take an image as it is: 10,000 patches, factor 1.2.
    pub const PATCHES_ORIGINAL: Self = Self { low: 12_000, high: 12_000 };
    /// Claude, larger images: 4,784.
    pub const CLAUDE: Self = Self { low: 4_784, high: 4_784 };
    /// Open models with a budget of pixels: Qwen-VL takes 16,384 patches.
    pub const PIXELS: Self = Self { low: 16_384, high: 16_384 };
    /// The most of all above.
    pub const UNKNOWN: Self = Self { low: 16_384, high: Self::TILES_MINI.high };

    const fn most(self, detail: Detail) -> i64 {
        match detail {
            Detail::Low => self.low,
            Detail::High | Detail::Auto => self.high,
        }
    }
}

/// Loads the tables of the tokenizer: about 100 ms and 80 MB, once in a process.
pub fn warm() {
    let _ = count("warm");
}

/// Tokens of a text in the o200k vocabulary. Linear in the text, about 15 us for a kilobyte.
pub fn count(text: &str) -> i64 {
    i64::try_from(bpe_openai::o200k_base().count(text)).unwrap_or(i64::MAX)
}

/// The most input tokens that a request can be billed for by any known model.
///
/// Not safe where [`unbounded`] names a reason.
pub fn input_bound(request: &Request) -> i64 {
    input_bound_for(request, Vision::UNKNOWN)
}

/// As [`input_bound`], for a model whose way with images is known.
pub fn input_bound_for(request: &Request, vision: Vision) -> i64 {
    let document = request.document();
    let inline = inline_bytes(request);
    let text = document.value_bytes().saturating_add(document.key_bytes()).saturating_sub(inline);
    let schemas: usize = request.schemas.iter().map(rendering_bytes).sum();
    let tools = size(request.tools + request.hosted_tools.len());
    let preamble = if tools == 0 { 0 } else { TOOLS_TOKENS_BOUND };
    let images = request.images.iter().map(|image| vision.most(image.detail));
    let attachments = request.attachments.iter().map(|attachment| match attachment.kind {
        AttachmentKind::Audio => bytes_of(&attachment.source) / AUDIO_BYTES_PER_TOKEN_BOUND + 1,
        AttachmentKind::File | AttachmentKind::Other => bytes_of(&attachment.source),
    });
    [
        size(text),
        size(schemas),
        REQUEST_TOKENS_BOUND,
        size(request.messages).saturating_mul(MESSAGE_TOKENS_BOUND),
        preamble,
        tools.saturating_mul(TOOL_TOKENS_BOUND),
    ]
    .into_iter()
    .chain(images)
    .chain(attachments)
    .fold(0, i64::saturating_add)
}

/// Why [`input_bound`] does not hold for this request, if so.
pub fn unbounded(request: &Request) -> Option<Unbounded> {
    if !request.hosted_tools.is_empty() {
        return Some(Unbounded::HostedTool);
    }
    request.attachments.iter().find_map(|attachment| match (attachment.kind, &attachment.source) {
        (AttachmentKind::Audio, Source::Inline { .. }) => None,
        (AttachmentKind::Audio | AttachmentKind::Other, _) => Some(Unbounded::Attachment),
        (AttachmentKind::File, _) => Some(Unbounded::File),
    })
}

/// The likely input of a request, for an attempt whose provider never reported: o200k tokens of
/// messages and definitions, and what surrounds them.
pub fn input_estimate(request: &Request) -> i64 {
    let segments = request.segments();
    let prompt = request.prompt.iter().filter_map(|index| segments.get(*index));
    let texts = prompt.map(|segment| count(&request.text(segment)));
    let schemas = request.schemas.iter().map(|schema| {
        let bytes = request.body().get(schema.span.clone()).unwrap_or_default();
        count(std::str::from_utf8(bytes).unwrap_or_default())
    });
    // A square of 1024 pixels in a tile model: four tiles.
    let images = request.images.iter().map(|image| match image.detail {
        Detail::Low => 85,
        Detail::High | Detail::Auto => 765,
    });
    let attachments = request.attachments.iter().map(|attachment| match attachment.kind {
        AttachmentKind::Audio => bytes_of(&attachment.source) / AUDIO_BYTES_PER_TOKEN_LIKELY + 1,
        AttachmentKind::File | AttachmentKind::Other => bytes_of(&attachment.source) / 4,
    });
    let messages = size(request.messages).saturating_mul(MESSAGE_TOKENS_LIKELY);
    [REQUEST_TOKENS_LIKELY, messages]
        .into_iter()
        .chain(texts)
        .chain(schemas)
        .chain(images)
        .chain(attachments)
        .fold(0, i64::saturating_add)
}

/// The o200k tokens of what the choices of an answer say.
pub fn output_estimate(choices: &[Choice]) -> i64 {
    choices.iter().map(|choice| count(&choice.text)).fold(0, i64::saturating_add)
}

/// The most tokens that an embeddings request can be billed for: bytes, ids given, and the two
/// marks that some models put around each input.
pub fn embeddings_bound(request: &embeddings::Request) -> i64 {
    size(request.text_bytes())
        .saturating_add(request.token_ids)
        .saturating_add(size(request.inputs).saturating_mul(MESSAGE_TOKENS_BOUND))
}

/// The likely tokens of an embeddings request.
pub fn embeddings_estimate(request: &embeddings::Request) -> i64 {
    let segments = request.segments();
    let prompt = request.prompt.iter().filter_map(|index| segments.get(*index));
    let texts = prompt.map(|segment| count(&request.text(segment)));
    texts.fold(request.token_ids, i64::saturating_add)
}

/// Bytes that a definition can take beyond the text of its strings, when it is put before a model
/// as JSON again: quotes, escapes, brackets, and white space after each colon and comma.
fn rendering_bytes(schema: &Schema) -> usize {
    let structure = schema.span.len().saturating_sub(schema.literal_bytes);
    let quoting = schema.literal_bytes.saturating_sub(schema.text_bytes);
    structure.saturating_mul(2).saturating_add(quoting)
}

/// Bytes of encoded data, which is not text to a model.
fn inline_bytes(request: &Request) -> usize {
    let images = request.images.iter().map(|image| &image.source);
    let attachments = request.attachments.iter().map(|attachment| &attachment.source);
    let bytes = images.chain(attachments).map(|source| match source {
        Source::Inline { bytes } => *bytes,
        Source::Http | Source::Reference => 0,
    });
    bytes.fold(0, usize::saturating_add)
}

fn bytes_of(source: &Source) -> i64 {
    match source {
        Source::Inline { bytes } => size(*bytes),
        Source::Http | Source::Reference => 0,
    }
}

fn size(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
