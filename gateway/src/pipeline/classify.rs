//! Stage 3: what is being asked, and what kind of data it carries.

mod body;
mod marks;
#[cfg(test)]
mod tests;

pub use self::marks::Marks;

use super::{Arrival, resolve::Scope};
use bytes::Bytes;
use dialects::{
    chat, embeddings, estimate,
    json::{Document, Edit, FreshKeys, Segment},
    malformed::{Code, Malformed},
};
use http::{HeaderMap, HeaderName};
use policies::{
    data::{
        Flow, Label, Level,
        detect::{Detectors, Finding},
        mask,
    },
    ids::RequestId,
    refusal::Refusal,
    usage::Surface,
};
use std::{collections::BTreeSet, ops::Range, sync::Arc, time::Instant};

const DATA_LEVEL: HeaderName = HeaderName::from_static("x-penstock-data-level");

/// Longer bodies are read and searched on a thread that may take its time.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// A request whose body was read and judged.
pub struct Ask {
    request: RequestId,
    surface: Surface,
    content: Content,
    flow: Flow,
    findings: Vec<Found>,
    marks: Marks,
    arrived: Instant,
}

enum Content {
    Chat(Box<chat::Request>),
    Embeddings(Box<embeddings::Request>),
}

/// What was found in one string of the body.
struct Found {
    segment: usize,
    findings: Vec<Finding>,
}

/// Reads the body and judges it. The level that the caller declares can only raise.
pub async fn classify(
    detectors: &Arc<Detectors>,
    scope: &Scope,
    mut arrival: Arrival,
) -> Result<Arc<Ask>, Refusal> {
    let declared = declared_level(&arrival.headers)?;
    let body = body::read(&mut arrival).await?;
    let surface = arrival.surface;
    let (content, findings) = if body.len() <= INLINE_BYTES_MAX {
        judge(detectors, surface, &body)?
    } else {
        let detectors = Arc::clone(detectors);
        let judged = tokio::task::spawn_blocking(move || judge(&detectors, surface, &body));
        // A thread that died decides nothing: closed.
        judged.await.map_err(|_| Refusal::Unavailable { retry_millis: 1_000 })??
    };
    let mut flow = Flow { caller: declared, ..Flow::new(scope.grant().floor) };
    let labels = findings.iter().flat_map(|found| &found.findings);
    flow.labels.extend(labels.map(|finding| finding.label.to_owned()));
    let marks = Marks::read(&arrival.headers, scope, &content)?;
    let (request, arrived) = (arrival.request, arrival.started);
    Ok(Arc::new(Ask { request, surface, content, flow, findings, marks, arrived }))
}

/// The highest of all that are declared. One that is not understood might have been the highest.
fn declared_level(headers: &HeaderMap) -> Result<Option<Level>, Refusal> {
    let mut highest = None;
    for value in headers.get_all(DATA_LEVEL) {
        let level = value.to_str().ok().and_then(Level::from_word);
        let level = level.ok_or_else(|| Refusal::Malformed {
            message: format!(
                "the header `{DATA_LEVEL}` must be public, internal, confidential or restricted"
            ),
            param: None,
        })?;
        highest = highest.max(Some(level));
    }
    Ok(highest)
}

fn judge(
    detectors: &Detectors,
    surface: Surface,
    body: &Bytes,
) -> Result<(Content, Vec<Found>), Refusal> {
    let content = match surface {
        Surface::Chat => Content::Chat(Box::new(chat::read(body).map_err(refuse)?)),
        Surface::Embeddings => {
            Content::Embeddings(Box::new(embeddings::read(body).map_err(refuse)?))
        }
    };
    let mut found = Vec::new();
    for (place, segment) in content.segments().iter().enumerate() {
        let text = content.text(segment);
        let findings = match content.document().key(segment) {
            Some(key) => detectors.scan_member(&key, &text),
            None => detectors.scan(&text),
        };
        if !findings.is_empty() {
            found.push(Found { segment: place, findings });
        }
    }
    Ok((content, found))
}

fn refuse(malformed: Malformed) -> Refusal {
    let Malformed { message, param, code } = malformed;
    match code {
        Code::Malformed => Refusal::Malformed { message, param },
        Code::UnsupportedParameter => Refusal::UnsupportedParameter { message, param },
    }
}

impl Content {
    fn document(&self) -> &Document {
        match self {
            Self::Chat(chat) => chat.document(),
            Self::Embeddings(embeddings) => embeddings.document(),
        }
    }

    fn segments(&self) -> &[Segment] {
        self.document().segments()
    }

    fn model_span(&self) -> &Range<usize> {
        match self {
            Self::Chat(chat) => &chat.model_span,
            Self::Embeddings(embeddings) => &embeddings.model_span,
        }
    }

    fn text(&self, segment: &Segment) -> std::borrow::Cow<'_, str> {
        match self {
            Self::Chat(chat) => chat.text(segment),
            Self::Embeddings(embeddings) => embeddings.text(segment),
        }
    }

    fn mask(&self, segment: &Segment, text: &str) -> Edit {
        match self {
            Self::Chat(chat) => chat.mask(segment, text),
            Self::Embeddings(embeddings) => embeddings.mask(segment, text),
        }
    }
}

impl Ask {
    pub fn request(&self) -> RequestId {
        self.request
    }

    pub fn surface(&self) -> Surface {
        self.surface
    }

    pub fn flow(&self) -> &Flow {
        &self.flow
    }

    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    pub fn arrived(&self) -> Instant {
        self.arrived
    }

    pub fn model(&self) -> &str {
        match &self.content {
            Content::Chat(chat) => &chat.model,
            Content::Embeddings(embeddings) => &embeddings.model,
        }
    }

    pub fn stream(&self) -> bool {
        match &self.content {
            Content::Chat(chat) => chat.stream,
            Content::Embeddings(_) => false,
        }
    }

    pub fn chat(&self) -> Option<&chat::Request> {
        match &self.content {
            Content::Chat(chat) => Some(chat),
            Content::Embeddings(_) => None,
        }
    }

    /// The body as it came.
    pub fn body(&self) -> &Bytes {
        match &self.content {
            Content::Chat(chat) => chat.body(),
            Content::Embeddings(embeddings) => embeddings.body(),
        }
    }

    pub fn set_model(&self, name: &str) -> Edit {
        match &self.content {
            Content::Chat(chat) => chat.set_model(name),
            Content::Embeddings(embeddings) => embeddings.set_model(name),
        }
    }

    /// The edits that mask every finding with one of `labels`.
    pub fn masks(&self, labels: &BTreeSet<Label>) -> Vec<Edit> {
        let masked = self.masked(labels);
        masked.map(|(segment, _, text)| self.content.mask(segment, &text)).collect()
    }

    /// Bytes by which [`Ask::masks`] can lengthen the text: a marker may be longer than what it
    /// stands for.
    pub fn mask_growth(&self, labels: &BTreeSet<Label>) -> i64 {
        let grown = self.masked(labels).map(|(_, bytes, text)| text.len().saturating_sub(bytes));
        i64::try_from(grown.sum::<usize>()).unwrap_or(i64::MAX)
    }

    /// Each string or number with such a finding: its place, its bytes as they are, its text when
    /// masked. The model's name is left out: it is ours, or [`Ask::set_model`] puts ours there.
    fn masked<'a>(
        &'a self,
        labels: &'a BTreeSet<Label>,
    ) -> impl Iterator<Item = (&'a Segment, usize, String)> {
        let segments = self.content.segments();
        let mut fresh = None;
        self.findings.iter().filter_map(move |found| {
            let segment = segments.get(found.segment)?;
            if segment.span == *self.content.model_span() {
                return None;
            }
            let masked = |finding: &&Finding| labels.contains(finding.label);
            let findings: Vec<Finding> = found.findings.iter().filter(masked).cloned().collect();
            if findings.is_empty() {
                return None;
            }
            let text = self.content.text(segment);
            let mut masked = mask::mask(&text, &findings);
            if segment.is_key {
                let fresh = fresh.get_or_insert_with(|| FreshKeys::of(self.content.document()));
                masked = fresh.name(&masked);
            }
            // A number that is masked becomes a string and gains its quotes.
            let quotes = if segment.is_number { 2 } else { 0 };
            Some((segment, text.len().saturating_sub(quotes), masked))
        })
    }

    /// The most input tokens that any provider can bill for this request.
    pub fn input_bound(&self) -> i64 {
        match &self.content {
            Content::Chat(chat) => estimate::input_bound(chat),
            Content::Embeddings(embeddings) => estimate::embeddings_bound(embeddings),
        }
    }

    /// Our own count of the input, where no provider has told one.
    pub fn input_estimate(&self) -> i64 {
        match &self.content {
            Content::Chat(chat) => estimate::input_estimate(chat),
            Content::Embeddings(embeddings) => estimate::embeddings_estimate(embeddings),
        }
    }
}
