//! The frames that end a chat stream which the gateway cuts as if its output limit were reached.

use policies::usage::Tokens;

use crate::error::DONE;
use crate::json::quote_into;
use crate::stream::{ChatTap, Stamp};

/// A `finish_reason: length` for each choice that has not finished, a usage chunk if `usage` is
/// given, then `[DONE]`. A stream of which no choice was seen ends with choice 0.
pub fn at_length(tap: &ChatTap, usage: Option<&Tokens>) -> Vec<u8> {
    let unknown = Stamp::default();
    let stamp = tap.stamp().unwrap_or(&unknown);
    let mut out = Vec::with_capacity(512);
    let open = tap.choices().iter().filter(|choice| choice.finish.is_none());
    let mut indices: Vec<i64> = open.map(|choice| choice.index).collect();
    if tap.choices().is_empty() {
        indices.push(0);
    }
    for index in indices {
        begin(stamp, &mut out);
        let choice = format!("[{{\"index\":{index},\"delta\":{{}},\"finish_reason\":\"length\"}}]");
        out.extend_from_slice(choice.as_bytes());
        out.extend_from_slice(b"}\n\n");
    }
    if let Some(tokens) = usage {
        begin(stamp, &mut out);
        out.extend_from_slice(b"[],\"usage\":");
        out.extend_from_slice(report(tokens).as_bytes());
        out.extend_from_slice(b"}\n\n");
    }
    out.extend_from_slice(DONE);
    out
}

/// A usage object in OpenAI's words.
pub fn report(tokens: &Tokens) -> String {
    let (prompt, completion) = (tokens.all_input(), tokens.all_output());
    format!(
        "{{\"prompt_tokens\":{prompt},\"completion_tokens\":{completion},\"total_tokens\":{},\
         \"prompt_tokens_details\":{{\"cached_tokens\":{},\"audio_tokens\":{}}},\
         \"completion_tokens_details\":{{\"reasoning_tokens\":{},\"audio_tokens\":{}}}}}",
        tokens.total(),
        tokens.cache_read,
        tokens.audio_in,
        tokens.reasoning,
        tokens.audio_out,
    )
}

fn begin(stamp: &Stamp, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: {\"id\":");
    quote_into(&stamp.id, out);
    out.extend_from_slice(b",\"object\":\"chat.completion.chunk\",\"created\":");
    out.extend_from_slice(stamp.created.to_string().as_bytes());
    out.extend_from_slice(b",\"model\":");
    quote_into(&stamp.model, out);
    out.extend_from_slice(b",\"choices\":");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sse::Splitter;
    use crate::stream::Kind;

    #[test]
    fn a_cut_stream_ends_for_clients_as_at_the_output_limit() {
        let mut splitter = Splitter::new();
        let mut tap = ChatTap::new(100);
        splitter.push(
            "data: {\"id\":\"x\",\"created\":9,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":\
             {\"content\":\"a\"}},{\"index\":1,\"delta\":{\"content\":\"b\"}}]}\n\n"
                .into(),
        );
        tap.hear(&splitter.next_frame().unwrap().unwrap());
        let used = Tokens { input: 5, cache_read: 2, output: 3, ..Tokens::default() };

        splitter.push(at_length(&tap, Some(&used)).into());

        let mut kinds = Vec::new();
        while let Some(frame) = splitter.next_frame().unwrap() {
            kinds.push(tap.hear(&frame));
        }
        let alone = Kind::Usage { alone: true };
        assert_eq!(kinds, [Kind::Finish, Kind::Finish, alone, Kind::Done]);
        assert!(tap.finished());
        assert_eq!(tap.finish_reason(), Some("length"));
        assert_eq!((tap.usage().tokens, tap.usage().flaw), (used, None));
    }
}
