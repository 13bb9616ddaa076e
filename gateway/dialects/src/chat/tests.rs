//! What is understood of a request, what is refused, and what an edit leaves alone.

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::json::splice;
use crate::malformed::Code;

const FULL: &str = r#"{
  "model": "gpt-4o\u002dmini", "stream": true, "n": 2, "max_completion_tokens": 100,
  "messages": [
    {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
    {"role": "system", "content": "second"},
    {"role": "user", "name": "ann", "content": [
      {"type": "text", "text": "https://example.test/in-text"},
      {"type": "image_url", "image_url": {"url": "HTTPS://pics.test/a.png", "detail": "low"}},
      {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
      {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
      {"type": "file", "file": {"file_data": "JVBERi0=", "filename": "a.pdf"}},
      {"type": "video_url", "video_url": {"url": "http://videos.test/v.mp4"}}
    ]},
    {"role": "assistant", "content": null, "tool_calls": [
      {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "ok"}
  ],
  "tools": [
    {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
    {"type": "mcp", "server_url": "https://mcp.test/"}
  ],
  "modalities": ["text", "audio"], "reasoning_effort": "low", "service_tier": "flex",
  "response_format": {"type": "json_schema", "json_schema": {}}, "store": false,
  "user": "u1", "safety_identifier": "s1", "prompt_cache_key": "k1",
  "metadata": {"team": "red"}, "unknown": {"deep": ["found"]}
}"#;

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn request(text: &str) -> Request {
    read(&bytes(text)).unwrap()
}

fn minimal(members: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{members}}}"#)
}

fn edited(request: &Request, edits: Vec<Edit>) -> Value {
    serde_json::from_slice(&splice(request.body(), edits).unwrap()).unwrap()
}

#[test]
fn the_facts_of_a_full_request_are_found() {
    let request = request(FULL);

    assert_eq!(request.model, "gpt-4o-mini");
    assert_eq!((request.stream, request.include_usage, request.choices), (true, false, 2));
    let bound = request.output_bound.as_ref().unwrap();
    assert_eq!((bound.tokens, bound.parameter), (100, "max_completion_tokens"));
    assert_eq!((request.messages, request.tools), (5, 1));
    assert_eq!(request.hosted_tools, ["mcp"]);
    assert_eq!(
        request.urls,
        ["HTTPS://pics.test/a.png", "http://videos.test/v.mp4", "https://mcp.test/"]
    );
    let low = Image { source: Source::Http, detail: Detail::Low };
    let inline = Image { source: Source::Inline { bytes: 26 }, detail: Detail::Auto };
    assert_eq!(request.images, [low, inline]);
    let kinds: Vec<_> = request.attachments.iter().map(|one| (one.kind, &one.source)).collect();
    let expected = [
        (AttachmentKind::Audio, &Source::Inline { bytes: 8 }),
        (AttachmentKind::File, &Source::Inline { bytes: 8 }),
        (AttachmentKind::Other, &Source::Http),
    ];
    assert_eq!(kinds, expected);
    assert_eq!((request.audio_output, request.store), (true, Some(false)));
    assert_eq!(request.reasoning_effort.as_deref(), Some("low"));
    assert_eq!(request.service_tier.as_deref(), Some("flex"));
    assert_eq!(request.response_format.as_deref(), Some("json_schema"));
    assert_eq!(request.caller.metadata, [("team".to_owned(), "red".to_owned())]);
    assert_eq!(request.caller.user.as_deref(), Some("u1"));
    let system = &request.body()[request.system.clone().unwrap()];
    assert_eq!(system, br#"[{"type": "text", "text": "Be brief."}]"#);
}

#[test]
fn text_before_the_model_is_told_from_data_and_names() {
    let request = request(FULL);

    let text = |index: &usize| request.text(&request.segments()[*index]).into_owned();
    let prompt: Vec<_> = request.prompt.iter().map(text).collect();
    let opaque: Vec<_> = request.opaque.iter().map(text).collect();

    for expected in ["Be brief.", "second", "ann", "f", "{\"a\":1}", "ok"] {
        assert!(prompt.contains(&expected.to_owned()), "{expected}");
    }
    assert_eq!(opaque, ["data:image/png;base64,AAAA", "UklGRg==", "JVBERi0="]);
}

#[test]
fn unknown_fields_are_visited_too() {
    let request = request(FULL);

    let found = request.segments().iter().find(|one| request.text(one) == "found").unwrap();

    assert_eq!(request.pointer(found), "/unknown/deep/0");
}

#[test]
fn a_minimal_request_has_the_documented_defaults() {
    let request = request(&minimal(r#","stream":null,"n":null,"max_tokens":null,"tools":null"#));

    assert_eq!((request.stream, request.choices, request.has_tools()), (false, 1, false));
    assert_eq!((request.output_bound, request.store), (None, None));
}

#[test]
fn what_cannot_be_interpreted_is_refused_with_its_parameter() {
    let message = |inner: &str| format!(r#"{{"model":"m","messages":[{inner}]}}"#);
    let part = |inner: &str| message(&format!(r#"{{"role":"user","content":[{inner}]}}"#));
    let cases = [
        (String::new(), None),
        ("[]".to_owned(), None),
        ("{".to_owned(), None),
        ("{}".to_owned(), Some("model")),
        (r#"{"model":"m"}"#.to_owned(), Some("messages")),
        (r#"{"model":"","messages":[]}"#.to_owned(), Some("model")),
        (r#"{"model":7,"messages":[]}"#.to_owned(), Some("model")),
        (message(""), Some("messages")),
        (message("7"), Some("messages[0]")),
        (message(r#"{"content":"x"}"#), Some("messages[0].role")),
        (message(r#"{"role":"user"},{"role":null}"#), Some("messages[1].role")),
        (message(r#"{"role":"user","content":{}}"#), Some("messages[0].content")),
        (part(r#"{"type":"text","text":7}"#), Some("messages[0].content[0].text")),
        (part(r#"{"image_url":{"url":[]}}"#), Some("messages[0].content[0].image_url.url")),
        (part("7"), Some("messages[0].content[0]")),
        (minimal(r#","stream":"yes""#), Some("stream")),
        (minimal(r#","stream_options":{"include_usage":1}"#), Some("stream_options.include_usage")),
        (minimal(r#","stream_options":[]"#), Some("stream_options")),
        (minimal(r#","n":0"#), Some("n")),
        (minimal(r#","n":129"#), Some("n")),
        (minimal(r#","n":1.0"#), Some("n")),
        (minimal(r#","max_tokens":-1"#), Some("max_tokens")),
        (minimal(r#","max_tokens":99999999999999999999"#), Some("max_tokens")),
        (minimal(r#","max_completion_tokens":"5""#), Some("max_completion_tokens")),
        (minimal(r#","max_tokens":5,"max_completion_tokens":6"#), Some("max_tokens")),
        (minimal(r#","tools":{}"#), Some("tools")),
        (minimal(r#","tools":[7]"#), Some("tools[0]")),
        (minimal(r#","tools":[{"type":7}]"#), Some("tools[0].type")),
        (minimal(r#","modalities":[7]"#), Some("modalities[0]")),
        (minimal(r#","store":"no""#), Some("store")),
        (minimal(r#","user":7"#), Some("user")),
        (minimal(r#","metadata":[]"#), Some("metadata")),
        (minimal(r#","response_format":{"type":7}"#), Some("response_format.type")),
        (minimal(r#","model":"other""#), Some("model")),
        (minimal(r#","x":{"y":1,"\u0079":2}"#), Some("x.y")),
    ];

    for (text, param) in cases {
        let refused = read(&bytes(&text)).expect_err(&text);
        assert_eq!(refused.param.as_deref(), param, "{text}: {refused}");
        assert_eq!(refused.code, Code::Malformed, "{text}");
    }
}

#[test]
fn keys_that_differ_by_case_from_ours_are_refused_where_we_interpret() {
    let refused = [
        (minimal(r#","Model":"other""#), "Model"),
        (minimal(r#","MAX_TOKENS":1"#), "MAX_TOKENS"),
        (minimal(r#","me\u017fsages":[]"#), "me\u{17f}sages"),
        (minimal(r#","max_to\u212aens":1"#), "max_to\u{212a}ens"),
        (minimal(r#","stream_options":{"Include_usage":true}"#), "stream_options.Include_usage"),
        (minimal(r#","tools":[{"Type":"mcp"}]"#), "tools[0].Type"),
        (
            r#"{"model":"m","messages":[{"role":"user","Content":"x"}]}"#.to_owned(),
            "messages[0].Content",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":[{"TEXT":"x"}]}]}"#.to_owned(),
            "messages[0].content[0].TEXT",
        ),
    ];

    for (text, param) in refused {
        let refused = read(&bytes(&text)).expect_err(&text);
        assert_eq!(refused.param.as_deref(), Some(param));
        assert_eq!(refused.code.word(), "unsupported_parameter");
    }
    request(&minimal(r#","x":{"Model":1},"metadata":{"Model":"x"},"modèle":1"#));
}

#[test]
fn bounds_that_agree_are_taken() {
    let request = request(&minimal(r#","max_tokens":5,"max_completion_tokens":5"#));

    assert_eq!(request.output_bound.unwrap().parameter, "max_completion_tokens");
}

#[test]
fn the_model_is_replaced_and_nothing_else() {
    let request = request(FULL);

    let out = splice(request.body(), vec![request.set_model("a\"b")]).unwrap();

    let expected = FULL.replace(r#""gpt-4o\u002dmini""#, r#""a\"b""#);
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn usage_is_asked_for_whatever_the_options_were() {
    let asked = json!({"include_usage": true});
    let cases = [
        (r#","stream":true  "#, asked.clone()),
        (r#","stream":true,"stream_options":null"#, asked.clone()),
        (r#","stream":true,"stream_options":{ }"#, asked.clone()),
        (r#","stream":true,"stream_options":{"include_usage":false}"#, asked.clone()),
        (r#","stream":true,"stream_options":{"include_usage": null }"#, asked),
        (
            r#","stream":true,"stream_options":{"include_obfuscation":false }"#,
            json!({"include_obfuscation": false, "include_usage": true}),
        ),
    ];
    for (members, options) in cases {
        let request = request(&minimal(members));
        let value = edited(&request, request.ask_usage().into_iter().collect());
        assert_eq!(value["stream_options"], options, "{members}");
    }
    for members in ["", r#","stream":true,"stream_options":{"include_usage":true}"#] {
        assert_eq!(request(&minimal(members)).ask_usage(), None);
    }
}

#[test]
fn one_bound_is_left_under_the_name_that_the_deployment_heeds() {
    for (members, expected) in [
        ("", r#","max_tokens":7"#),
        (r#","max_completion_tokens": 9 "#, r#","max_tokens": 7 "#),
        (r#","max_completion_tokens":7,"x":1"#, r#","max_tokens":7,"x":1"#),
        (r#","max_tokens" : 9,"x":1"#, r#","max_tokens" : 7,"x":1"#),
        (r#","max_tokens":null"#, r#","max_tokens":7"#),
        (r#","max_completion_tokens":null"#, r#","max_tokens":7"#),
        (
            r#","max_completion_tokens":7,"max_tokens":null"#,
            r#","max_completion_tokens":null,"max_tokens":7"#,
        ),
        (r#","max_tokens":7"#, r#","max_tokens":7"#),
        // The caller's own two, which agree, go as they came.
        (
            r#","max_completion_tokens":7,"max_tokens":7"#,
            r#","max_completion_tokens":7,"max_tokens":7"#,
        ),
    ] {
        let request = request(&minimal(members));
        let sent = splice(request.body(), request.set_output_bound("max_tokens", 7)).unwrap();
        assert_eq!(String::from_utf8(sent).unwrap(), minimal(expected), "{members}");
    }
}

#[test]
fn all_edits_go_together() {
    let request = request(&format!("{} \n", minimal(r#","stream":true"#)));
    let text = request.prompt[0];
    let mut edits = request.set_output_bound("max_tokens", 7);
    edits.extend([
        request.mask(&request.segments()[text], "[NAME]"),
        request.ask_usage().unwrap(),
        request.set_model("n"),
    ]);

    let value = edited(&request, edits);

    let expected = json!({"model": "n", "messages": [{"role": "user", "content": "[NAME]"}],
        "stream": true, "max_tokens": 7, "stream_options": {"include_usage": true}});
    assert_eq!(value, expected);
}
