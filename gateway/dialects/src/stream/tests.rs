//! What is heard of streams, well-formed and not.

use bytes::Bytes;

use super::*;
use crate::sse::Splitter;

fn hear(stream: &str) -> (ChatTap, Vec<Kind>) {
    hear_within(stream, 1 << 20)
}

fn hear_within(stream: &str, text_bytes_max: usize) -> (ChatTap, Vec<Kind>) {
    let mut splitter = Splitter::new();
    let mut tap = ChatTap::new(text_bytes_max);
    splitter.push(Bytes::copy_from_slice(stream.as_bytes()));
    let mut kinds = Vec::new();
    while let Some(frame) = splitter.next_frame().unwrap() {
        kinds.push(tap.hear(&frame));
    }
    (tap, kinds)
}

fn frames(chunks: &[&str]) -> String {
    // Line ends between tokens are there for the reader of this file.
    let line = |chunk: &&str| format!("data: {}\n\n", chunk.replace('\n', " "));
    chunks.iter().map(line).collect()
}

fn delta(content: &str) -> String {
    format!(
        r#"{{"id":"x","created":5,"model":"m","usage":null,
        "choices":[{{"index":0,"delta":{{"content":"{content}"}},"finish_reason":null}}]}}"#
    )
}

const FINISH: &str = r#"{"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const USAGE: &str = r#"{"id":"x","choices":[],
    "usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"#;
const ALONE: Kind = Kind::Usage { alone: true };

#[test]
fn a_plain_stream_is_understood_frame_by_frame() {
    let role = r#"{"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#;
    let stream =
        format!(": hi\n\n{}", frames(&[role, &delta("你"), &delta("好"), FINISH, USAGE, "[DONE]"]));

    let (tap, kinds) = hear(&stream);

    use Kind::{Comment, Delta, Done, Finish, Other};
    assert_eq!(kinds, [Comment, Other, Delta, Delta, Finish, ALONE, Done]);
    assert_eq!(tap.choices()[0].text, "你好");
    assert_eq!((tap.deltas(), tap.text_bytes()), (2, 6));
    assert_eq!(tap.finish_reason(), Some("stop"));
    assert!(tap.finished() && tap.done() && tap.error().is_none());
    assert_eq!((tap.usage().tokens.input, tap.usage().tokens.output), (5, 2));
    assert_eq!(tap.usage().flaw, None);
    assert_eq!(tap.stamp().map(|stamp| stamp.id.as_str()), Some("x"));
}

#[test]
fn all_kinds_of_output_are_collected_for_each_choice() {
    let (tap, kinds) = hear(&frames(&[
        r#"{"choices":[{"index":0,"delta":{"reasoning_content":"think "}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"reasoning":"more "}}]}"#,
        r#"{"choices":[{"index":1,"delta":{"refusal":"no"}},
            {"index":0,"delta":{"content":"yes"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[
            {"index":0,"id":"c","type":"function","function":{"name":"f","arguments":""}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[
            {"index":0,"function":{"arguments":"{\"a\""}}]}}]}"#,
    ]));

    assert_eq!(kinds, [Kind::Delta; 5]);
    assert_eq!(tap.choices()[0].text, "think more yesf{\"a\"");
    assert_eq!(tap.choices()[1].text, "no");
    assert!(!tap.finished());
    assert_eq!(tap.usage().flaw, Some(Flaw::Missing));
}

#[test]
fn kept_text_is_bounded_and_the_count_goes_on() {
    let (tap, _) = hear_within(&frames(&[&delta("日本"), &delta("語"), &delta("x")]), 5);

    assert_eq!(tap.choices()[0].text, "日");
    assert_eq!((tap.text_bytes(), tap.deltas()), (10, 3));
}

#[test]
fn many_choices_are_bounded() {
    let chunks: Vec<String> = (0..300)
        .map(|index| format!(r#"{{"choices":[{{"index":{index},"delta":{{"content":"x"}}}}]}}"#))
        .collect();
    let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();

    let (tap, _) = hear(&frames(&chunks));

    assert_eq!((tap.choices().len(), tap.deltas()), (CHOICES_MAX, 300));
}

#[test]
fn errors_are_seen_with_and_without_an_event_name() {
    let plain = frames(&[r#"{"error":{"message":"boom","type":"server_error","code":500}}"#]);
    let named = format!("event: error\n{}", frames(&[r#"{"message":"boom"}"#]));
    let text = frames(&[r#"{"error":"boom"}"#]);
    let garbage = "event: error\ndata: boom\n\n".to_owned();
    let bare = "event: error\n\n".to_owned();

    for stream in [&plain, &named, &text, &garbage, &bare] {
        let (tap, kinds) = hear(stream);
        assert_eq!(kinds, [Kind::Error], "{stream}");
        assert!(tap.error().is_some());
    }
    let (tap, _) = hear(&plain);
    let error = tap.error().unwrap();
    assert_eq!((error.message.as_str(), error.code.as_deref()), ("boom", Some("500")));
    assert_eq!(hear(&frames(&[r#"{"error":null,"choices":[]}"#])).1, [Kind::Other]);
}

#[test]
fn what_is_not_a_json_object_is_garbage() {
    let stream = frames(&["{", "hello", "[]", "7", r#"{"choices":[{]}"#]);

    let (tap, kinds) = hear(&stream);

    assert_eq!(kinds, [Kind::Garbage; 5]);
    assert_eq!(tap.garbage(), 5);
}

#[test]
fn odd_shapes_are_passed_over() {
    let (_, kinds) = hear(&frames(&[
        r#"{"choices":null}"#,
        r#"{"choices":[null,7,{"delta":null},{"delta":{"tool_calls":null,"content":null}}]}"#,
        r#"{"choices":[{"index":"a","delta":{"tool_calls":[null,{"function":null},[]]}}]}"#,
        r#"{"choices":[],"prompt_filter_results":[]}"#,
        r#"{"choices":[{"delta":{"content":7}}],"choices":[]}"#,
    ]));

    assert_eq!(kinds, [Kind::Other; 5]);
}

#[test]
fn usage_beside_choices_is_told_from_usage_alone() {
    let beside = r#"{"choices":[{"index":0,"delta":{"content":"a"}}],
        "usage":{"prompt_tokens":5,"completion_tokens":1}}"#;
    let grown = r#"{"choices":[{"index":0,"delta":{}}],
        "usage":{"prompt_tokens":5,"completion_tokens":2}}"#;

    let (tap, kinds) = hear(&frames(&[beside, grown]));

    assert_eq!(kinds, [Kind::Delta, Kind::Usage { alone: false }]);
    assert_eq!((tap.usage().tokens.output, tap.usage().flaw), (2, None));
    assert!(tap.has_usage());
}

#[test]
fn lies_of_a_stream_are_flawed() {
    let shrunk = r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
    let zero = r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":0}}"#;
    let odd = r#"{"choices":[],
        "usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":1}}"#;
    let half = r#"{"choices":[],"usage":{"completion_tokens":5}}"#;
    let cases = [
        (frames(&[&delta("a"), USAGE, shrunk]), 2, Some(Flaw::TwoReports)),
        (frames(&[&delta("a"), USAGE, USAGE]), 2, Some(Flaw::TwoReports)),
        (frames(&[&delta("a"), zero]), 0, Some(Flaw::ZeroWithText)),
        (frames(&[&delta("a"), zero, zero]), 0, Some(Flaw::ZeroWithText)),
        (frames(&[&delta("a"), odd]), 0, Some(Flaw::ZeroWithText)),
        (frames(&[&delta("a"), half]), 5, Some(Flaw::ZeroPrompt)),
        (frames(&[odd]), 0, Some(Flaw::ZeroPrompt)),
        (frames(&[&delta("a"), shrunk, odd]), 1, Some(Flaw::TwoReports)),
        (frames(&[&delta("a"), odd, shrunk]), 1, Some(Flaw::Inconsistent)),
        (frames(&[&delta("a"), FINISH, "[DONE]"]), 0, Some(Flaw::Missing)),
        (frames(&[&delta("a"), FINISH, "[DONE]", USAGE]), 2, None),
    ];
    for (stream, output, flaw) in cases {
        let usage = hear(&stream).0.usage();
        assert_eq!((usage.tokens.output, usage.flaw), (output, flaw), "{stream}");
    }
}
