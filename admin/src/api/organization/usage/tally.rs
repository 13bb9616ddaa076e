//! What was used in one bucket by one group.

use super::{Group, ask::Column};
use policies::{
    ids::RequestId,
    usage::{Surface, Tokens, UsageRecord},
};
use serde_json::{Map, Value, json};
use std::collections::HashSet;

#[derive(Default)]
pub(super) struct Tally {
    /// A request whose first attempt failed has several records.
    requests: HashSet<RequestId>,
    tokens: Tokens,
}

impl Tally {
    /// A record that corrects another one states differences, so that every part counts.
    pub(super) fn add(&mut self, record: &UsageRecord) {
        self.requests.insert(record.stamp.request);
        let (sum, more) = (&mut self.tokens, &record.ending.tokens);
        for (sum, more) in [
            (&mut sum.input, more.input),
            (&mut sum.cache_read, more.cache_read),
            (&mut sum.cache_write, more.cache_write),
            (&mut sum.output, more.output),
            (&mut sum.reasoning, more.reasoning),
            (&mut sum.audio_in, more.audio_in),
            (&mut sum.audio_out, more.audio_out),
            (&mut sum.image, more.image),
        ] {
            *sum = sum.saturating_add(more);
        }
    }

    pub(super) fn view(
        &self,
        surface: Surface,
        columns: &[Column],
        by: &[Column],
        group: &Group,
    ) -> Value {
        let tokens = &self.tokens;
        let own = match surface {
            Surface::Embeddings => json!({
                "object": "organization.usage.embeddings.result",
                "input_tokens": tokens.all_input(),
            }),
            Surface::Chat => json!({
                "object": "organization.usage.completions.result",
                "input_tokens": tokens.all_input(),
                "output_tokens": tokens.all_output(),
                "input_cached_tokens": tokens.cache_read,
                "input_cache_write_tokens": tokens.cache_write,
                "input_uncached_tokens": tokens.all_input().saturating_sub(tokens.cache_read),
                "input_text_tokens": tokens.input,
                "input_audio_tokens": tokens.audio_in,
                "input_image_tokens": tokens.image,
                "output_text_tokens": tokens.output.saturating_add(tokens.reasoning),
                "output_audio_tokens": tokens.audio_out,
            }),
        };
        let mut fields = named(columns, by, group);
        fields.insert("num_model_requests".to_owned(), json!(self.requests.len()));
        if let Value::Object(own) = own {
            fields.extend(own);
        }
        Value::Object(fields)
    }
}

/// Every column with its value; null for one that was not grouped by.
pub(super) fn named(columns: &[Column], by: &[Column], group: &Group) -> Map<String, Value> {
    let value = |column: &Column| {
        let grouped = by.iter().position(|it| it == column);
        let text = grouped.and_then(|at| group.get(at)?.clone());
        match (column, text) {
            (Column::Batch, Some(text)) => Value::from(text == "true"),
            (_, text) => json!(text),
        }
    };
    columns.iter().map(|column| (column.word().to_owned(), value(column))).collect()
}
