//! Embeddings: vectors that are the same for the same text, and nothing more.

use crate::simulate::complaint::Complaint;
use crate::simulate::model::{Report, Script};
use crate::simulate::usage::Usage;
use crate::simulate::words::{Sequence, count};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

/// The length of a vector nobody bounds, the longest there is, and the most inputs of a request.
const DIMENSIONS: usize = 256;
const DIMENSIONS_MAX: usize = 3_072;
const INPUTS_MAX: usize = 2_048;

/// The fields of an embedding request that the simulator heeds.
#[derive(Deserialize)]
pub(super) struct EmbedBody {
    input: Input,
    #[serde(default)]
    dimensions: Option<usize>,
    #[serde(default)]
    encoding_format: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    TokenLists(Vec<Vec<u32>>),
}

// === impl EmbedBody ===

impl EmbedBody {
    /// A word is a token, and so is a token.
    pub(super) fn prompt_tokens(&self) -> u64 {
        let length = |tokens: &Vec<u32>| u64::try_from(tokens.len()).unwrap_or(u64::MAX);
        match &self.input {
            Input::Text(text) => count(text),
            Input::Texts(texts) => texts.iter().map(|text| count(text)).sum(),
            Input::Tokens(tokens) => length(tokens),
            Input::TokenLists(lists) => lists.iter().map(length).sum(),
        }
    }

    /// The answer as JSON, with what it says of its usage.
    pub(super) fn answer(
        &self,
        model: &str,
        script: &Script,
    ) -> Result<(String, Option<Box<str>>), Complaint> {
        let dimensions = self.dimensions.unwrap_or(DIMENSIONS);
        if dimensions == 0 || DIMENSIONS_MAX < dimensions {
            return Err(Complaint::field("dimensions", "`dimensions` must be from 1 to 3072"));
        }
        let seeds = self.seeds();
        if seeds.is_empty() || INPUTS_MAX < seeds.len() {
            return Err(Complaint::field("input", "`input` must hold from 1 to 2048 inputs"));
        }
        let encode = match self.encoding_format.as_deref() {
            None | Some("float") => floats,
            Some("base64") => packed,
            Some(_) => {
                let message = "`encoding_format` must be `float` or `base64`";
                return Err(Complaint::field("encoding_format", message));
            }
        };
        let row = |(at, seed): (usize, &Sequence)| {
            let vector = encode(&vector(*seed, dimensions));
            format!("{{\"object\":\"embedding\",\"index\":{at},\"embedding\":{vector}}}")
        };
        let rows: Vec<String> = seeds.iter().enumerate().map(row).collect();
        let prompt = self.prompt_tokens();
        let usage = Usage { prompt, cached: 0, completion: 0, reasoning: 0 };
        let usage: Option<Box<str>> =
            (script.report != Report::Never).then(|| usage.input_text(script.report).into());
        let told = usage.as_deref().map(|usage| format!(",\"usage\":{usage}"));
        let text = format!(
            "{{\"object\":\"list\",\"data\":[{}],\"model\":{}{}}}",
            rows.join(","),
            Value::from(model),
            told.unwrap_or_default()
        );
        Ok((text, usage))
    }

    fn seeds(&self) -> Vec<Sequence> {
        let text = |text: &String| Sequence::new().with(text.as_bytes());
        let tokens = |tokens: &Vec<u32>| {
            let mix = |seed: Sequence, token: &u32| seed.with(&token.to_le_bytes());
            tokens.iter().fold(Sequence::new(), mix)
        };
        match &self.input {
            Input::Text(one) => vec![text(one)],
            Input::Texts(texts) => texts.iter().map(text).collect(),
            Input::Tokens(one) => vec![tokens(one)],
            Input::TokenLists(lists) => lists.iter().map(tokens).collect(),
        }
    }
}

/// A vector of length one.
fn vector(mut seed: Sequence, dimensions: usize) -> Vec<f32> {
    let mut one = || {
        let high = u16::try_from(seed.next() >> 48).unwrap_or(0);
        f32::from(high) / 32_768.0 - 1.0
    };
    let raw: Vec<f32> = (0..dimensions).map(|_| one()).collect();
    let length = raw.iter().map(|value| value * value).sum::<f32>().sqrt();
    raw.into_iter().map(|value| if length == 0.0 { 0.0 } else { value / length }).collect()
}

fn floats(vector: &[f32]) -> String {
    let numbers: Vec<String> = vector.iter().map(f32::to_string).collect();
    format!("[{}]", numbers.join(","))
}

/// The little-endian bytes of the numbers, in base64, as OpenAI packs them.
fn packed(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
    format!("\"{}\"", STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(body: &str) -> Value {
        let body: EmbedBody = serde_json::from_str(body).unwrap();
        let script = Script::read("sim-embed").unwrap();
        serde_json::from_str(&body.answer("sim-embed", &script).unwrap().0).unwrap()
    }

    #[test]
    fn base64_and_floats_are_the_same_vector() {
        let floats = answered(r#"{"input":"a small boat","dimensions":8}"#);
        let packed =
            answered(r#"{"input":["a small boat"],"dimensions":8,"encoding_format":"base64"}"#);

        let bytes = STANDARD.decode(packed["data"][0]["embedding"].as_str().unwrap()).unwrap();
        let unpacked: Vec<f32> =
            bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
        let plain: Vec<f32> =
            serde_json::from_value(floats["data"][0]["embedding"].clone()).unwrap();
        assert_eq!(unpacked, plain);
        assert_eq!(floats["usage"]["prompt_tokens"], 3);
    }
}
