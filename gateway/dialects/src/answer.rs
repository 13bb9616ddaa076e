//! Whole answers, when the caller did not ask for a stream.

use crate::chunk::{self, ErrorSeen};
use crate::json::reader::{Reader, Rules};
use crate::json::{Invalid, Kind};
use crate::stream::{Choice, Heard};
use crate::usage::{self, Report};

/// A chat completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The report, with what is wrong with it.
    pub usage: Report,
    /// The provider's own word, of the first choice.
    pub finish_reason: Option<String>,
    /// What each choice says: text, refusal, reasoning, tool calls.
    pub choices: Vec<Choice>,
    /// Bytes of output text, kept or not.
    pub text_bytes: u64,
    pub model: Option<String>,
    pub error: Option<ErrorSeen>,
}

/// An embeddings answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vectors {
    pub usage: Report,
    pub model: Option<String>,
    /// Items of `data`.
    pub count: usize,
}

/// Reads a chat completion, keeping at most `text_bytes_max` of what it says.
///
/// # Errors
/// When the body is not one JSON object.
pub fn read_answer(body: &[u8], text_bytes_max: usize) -> Result<Answer, Invalid> {
    let mut heard = Heard::new(text_bytes_max);
    let chunk = chunk::read(body, &mut heard)?;
    let usage = chunk.usage.unwrap_or_else(Report::missing);
    let usage = usage.with_output_seen(heard.text_bytes).with_prompt_taken();
    Ok(Answer {
        usage,
        finish_reason: heard.finish_reason().map(str::to_owned),
        text_bytes: heard.text_bytes,
        choices: heard.choices,
        model: chunk.model.map(std::borrow::Cow::into_owned),
        error: chunk.error,
    })
}

/// Reads an embeddings answer.
///
/// # Errors
/// When the body is not one JSON object.
pub fn read_vectors(body: &[u8]) -> Result<Vectors, Invalid> {
    let mut reader = Reader::new(body, Rules::Lenient)?;
    let (mut usage, mut model, mut count) = (None, None, 0);
    let mut open = reader.open_object()?;
    while let Some(key) = reader.key(&mut open)? {
        match (&*key.text(), reader.kind()?) {
            ("usage", _) => usage = usage::read(&mut reader)?,
            ("model", Kind::String) => model = Some(reader.string()?.text().into_owned()),
            ("data", Kind::Array) => {
                let mut open = reader.open_array()?;
                while reader.item(&mut open)? {
                    reader.skip()?;
                    count += 1;
                }
            }
            (_, _) => reader.skip()?,
        }
    }
    reader.finish()?;
    let usage = usage.unwrap_or_else(Report::missing);
    let usage = if count == 0 { usage } else { usage.with_prompt_taken() };
    Ok(Vectors { usage, model, count })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::Flaw;

    #[test]
    fn a_completion_gives_its_text_reason_and_usage() {
        let body = br#"{"id":"x","model":"m","choices":[{"index":0,"message":{"role":"assistant",
            "content":"Gr\u00fc\u00df","tool_calls":[{"id":"c","type":"function","function":
            {"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],
            "usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}}"#;

        let answer = read_answer(body, 100).unwrap();

        assert_eq!(answer.choices[0].text, "Grüßf{}");
        assert_eq!(answer.finish_reason.as_deref(), Some("tool_calls"));
        assert_eq!((answer.usage.tokens.input, answer.usage.tokens.output), (5, 3));
        assert_eq!((answer.model.as_deref(), answer.usage.flaw), (Some("m"), None));
    }

    #[test]
    fn vectors_are_counted() {
        let body = br#"{"object":"list","data":[{"embedding":[0.1,-2e-3]},{"embedding":"AAAA"}],
            "model":"e","usage":{"prompt_tokens":7,"total_tokens":7}}"#;

        let vectors = read_vectors(body).unwrap();

        assert_eq!((vectors.count, vectors.usage.tokens.input), (2, 7));
        assert_eq!(vectors.usage.flaw, None);
    }

    #[test]
    fn vectors_of_no_input_are_a_lie() {
        let answer = |data: &str, usage: &str| {
            let body = format!(r#"{{"data":{data},"usage":{usage}}}"#);
            read_vectors(body.as_bytes()).unwrap().usage.flaw
        };
        let zero = r#"{"prompt_tokens":0,"total_tokens":0}"#;
        let odd = r#"{"prompt_tokens":0,"total_tokens":1}"#;

        assert_eq!(answer("[{}]", zero), Some(Flaw::ZeroPrompt));
        assert_eq!(answer("[{}]", odd), Some(Flaw::ZeroPrompt));
        assert_eq!(answer("[{}]", r#"{"completion_tokens":3}"#), Some(Flaw::ZeroPrompt));
        assert_eq!(answer("[]", zero), None);
    }

    #[test]
    fn a_completion_always_has_a_prompt() {
        let answer = |text: &str, usage: &str| {
            let body =
                format!(r#"{{"choices":[{{"message":{{"content":"{text}"}}}}],"usage":{usage}}}"#);
            read_answer(body.as_bytes(), 100).unwrap().usage.flaw
        };
        let odd = r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":1}"#;

        assert_eq!(answer("a", odd), Some(Flaw::ZeroWithText));
        assert_eq!(answer("", odd), Some(Flaw::ZeroPrompt));
        assert_eq!(answer("a", r#"{"completion_tokens":5}"#), Some(Flaw::ZeroPrompt));
        assert_eq!(
            answer("a", r#"{"prompt_tokens":0,"completion_tokens":5}"#),
            Some(Flaw::ZeroPrompt)
        );
        assert_eq!(answer("a", r#"{"prompt_tokens":1,"completion_tokens":5}"#), None);
    }
}
