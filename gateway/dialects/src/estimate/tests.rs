//! The bound is never below a count, and the estimate is near it.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::chat;

fn request(body: &str) -> Request {
    chat::read(&Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

fn with_parts(parts: &str) -> Request {
    request(&format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{parts}]}}]}}"#))
}

#[test]
fn known_texts_have_their_known_count() {
    assert_eq!(count(""), 0);
    assert_eq!(count("hello world"), 2);
    assert_eq!(count("tiktoken is great!"), 6);
}

#[test]
fn an_estimate_is_text_and_four_for_each_message() {
    let body = r#"{"model":"m","messages":[{"role":"system","content":"hello world"},
        {"role":"user","content":[{"type":"text","text":"hello world"}]}]}"#;

    assert_eq!(input_estimate(&request(body)), 3 + 2 * 4 + 2 + 2);
}

#[test]
fn encoded_data_does_not_count_as_text() {
    let data = "A".repeat(100_000);
    let image = |detail: &str| {
        with_parts(&format!(
            r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"{detail}}}}}"#
        ))
    };

    let low = input_bound_for(&image(r#","detail":"low""#), Vision::TILES);
    let high = input_bound_for(&image(""), Vision::TILES);

    assert!(low < 85 + 500, "{low}");
    assert_eq!(high - low, 8 * 170 - "detaillow".len() as i64);
    assert_eq!(input_estimate(&image("")), 3 + 4 + 765);
    assert!(high < input_bound(&image("")));
}

#[test]
fn a_second_of_any_audio_is_covered() {
    // 1,000 bytes a second at the least, 32 tokens a second at the most.
    let seconds = 60;
    let data = "A".repeat(seconds * 1_000 * 4 / 3);
    let audio = with_parts(&format!(
        r#"{{"type":"input_audio","input_audio":{{"data":"{data}","format":"mp3"}}}}"#
    ));

    assert!(seconds as i64 * 32 <= input_bound(&audio));
    assert_eq!(unbounded(&audio), None);
}

#[test]
fn what_cannot_be_bounded_is_said() {
    let file = with_parts(r#"{"type":"file","file":{"file_id":"f"}}"#);
    let video = with_parts(r#"{"type":"video_url","video_url":{"url":"https://v.test/"}}"#);
    let hosted = request(
        r#"{"model":"m","messages":[{"role":"user","content":"x"}],"web_search_options":{}}"#,
    );

    let hidden = with_parts(r#"{"type":"text","text":"https://t.test","v":"https://v.test"}"#);
    assert_eq!(unbounded(&hidden), Some(Unbounded::Attachment));
    assert_eq!(unbounded(&with_parts(r#"{"type":"text","text":"https://t.test"}"#)), None);
    assert_eq!(unbounded(&file), Some(Unbounded::File));
    assert_eq!(unbounded(&video), Some(Unbounded::Attachment));
    assert_eq!(unbounded(&hosted), Some(Unbounded::HostedTool));
    assert_eq!(unbounded(&with_parts(r#"{"type":"text","text":"x"}"#)), None);
}

#[test]
fn embeddings_are_bounded_by_bytes_and_ids() {
    let read = |input: &str| {
        embeddings::read(&Bytes::from(format!(r#"{{"model":"m","input":{input}}}"#))).unwrap()
    };

    assert_eq!(embeddings_estimate(&read(r#"["hello world","hello world"]"#)), 4);
    assert_eq!(embeddings_estimate(&read("[[1,2],[3]]")), 3);
    assert!(22 <= embeddings_bound(&read(r#"["hello world","hello world"]"#)));
}

proptest! {
    #[test]
    fn the_bound_covers_every_count(texts in prop::collection::vec(".{0,60}", 1..5)) {
        let messages: Vec<_> = texts
            .iter()
            .map(|text| serde_json::json!({"role": "user", "content": text}))
            .collect();
        let tool = serde_json::json!({"type": "function", "function":
            {"name": "f", "description": texts[0], "parameters": {"type": "object"}}});
        let body = serde_json::json!({"model": "m", "messages": messages, "tools": [tool]});
        let request = request(&body.to_string());

        // As some templates render a definition: with white space.
        let rendered = count(&body["tools"][0].to_string().replace(',', ", ").replace(':', ": "));
        let sum: i64 = texts.iter().map(|text| count(text)).sum();

        prop_assert!(sum + rendered <= input_bound(&request));
        prop_assert!(input_estimate(&request) <= input_bound(&request));
    }
}
