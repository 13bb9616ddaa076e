//! Errors as OpenAI's clients understand them, whole or within a stream.

use crate::json::quote_into;

/// A comment that keeps a stream alive. Clients take an event without data for an error, a comment
/// for nothing.
pub const KEEP_ALIVE: &[u8] = b":\n\n";

/// The end of a chat stream.
pub const DONE: &[u8] = b"data: [DONE]\n\n";

/// The four members of an error, in OpenAI's words. Clients retry by `kind` and `code` as much as
/// by the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorBody<'a> {
    pub message: &'a str,
    /// `type`, such as `invalid_request_error`.
    pub kind: &'a str,
    pub param: Option<&'a str>,
    pub code: Option<&'a str>,
}

// === impl ErrorBody ===

impl ErrorBody<'_> {
    /// The body of an answer: `{"error":{..}}`.
    pub fn to_body(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128 + self.message.len());
        self.write(&mut out);
        out
    }

    /// The frame of a chat stream. Its SDKs raise an error for it, with or without an event name;
    /// without one the proxies in between that filter by name let it pass.
    pub fn to_chat_frame(&self) -> Vec<u8> {
        let mut out = b"data: ".to_vec();
        self.write(&mut out);
        out.extend_from_slice(b"\n\n");
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"error\":{\"message\":");
        quote_into(self.message, out);
        out.extend_from_slice(b",\"type\":");
        quote_into(self.kind, out);
        for (name, value) in [("param", self.param), ("code", self.code)] {
            out.push(b',');
            quote_into(name, out);
            out.push(b':');
            match value {
                Some(value) => quote_into(value, out),
                None => out.extend_from_slice(b"null"),
            }
        }
        out.extend_from_slice(b"}}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERROR: ErrorBody<'_> = ErrorBody {
        message: "no \"such\"\nmodel \u{1}",
        kind: "invalid_request_error",
        param: Some("model"),
        code: None,
    };

    #[test]
    fn an_error_is_one_json_object_whatever_its_message() {
        let value: serde_json::Value = serde_json::from_slice(&ERROR.to_body()).unwrap();

        assert_eq!(value["error"]["message"], ERROR.message);
        assert_eq!(value["error"]["param"], "model");
        assert!(value["error"]["code"].is_null());
        assert_eq!(value["error"].as_object().unwrap().len(), 4);
    }

    #[test]
    fn an_error_in_a_stream_is_one_frame() {
        let mut splitter = crate::sse::Splitter::new();
        splitter.push(ERROR.to_chat_frame().into());

        let frame = splitter.next_frame().unwrap().unwrap();

        assert_eq!(frame.data().as_deref(), Some(ERROR.to_body().as_slice()));
        assert!(splitter.rest().is_empty());
    }
}
