//! A stream passes as it came, byte for byte, and ends as it ended.

use serde_json::{Value, json};
use std::time::Duration;
use tests::{
    client::Client,
    house::{House, Plan, chat_body, merged},
    json::At,
    scripted::{Act, Scripted},
    settings::Settings,
    sse::{self, End, Event},
};
use tokio::time::Instant;

/// Tries for a figure that a busy machine can only make worse.
const TRIES: usize = 21;
const FIRST_EVENT_MILLIS_MAX: u128 = 5;
const UPSTREAM_OPEN_MILLIS_MAX: u128 = 100;

/// A stream with characters of one to four bytes, a joined emoji, and escapes.
const CJK: &str = concat!(
    r#"data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"川é🌊👩‍🔬\u00e9\n"},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    "\n\ndata: [DONE]\n\n",
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_split_point_of_a_stream_of_wide_characters_is_byte_identical() {
    let with_comments = CJK.replace("\n\ndata", "\n\n: 川\n\ndata");
    for text in [CJK.to_owned(), CJK.replace('\n', "\r\n"), with_comments] {
        let bytes = text.clone().into_bytes();
        let upstream = Scripted::serve(move |_, body| Act::Pieces(split(&bytes, cut_of(body))));
        let house = Plan::new(one_model("m")).upstream(upstream.base_url()).open().await;

        for cut in 1..text.len() {
            let body = json!({ "stream": true, "messages": [{ "role": "user", "content": format!("cut {cut}.") }] });
            let answer = house.chat("ada", "m", body).await.bytes().await;

            let came = String::from_utf8_lossy(&answer);
            assert!(answer == text.as_bytes(), "cut at {cut}:\n{came:?}\nis not\n{text:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_whose_every_byte_comes_alone_is_byte_identical() {
    let bytes = CJK.as_bytes();
    let alone: Vec<Vec<u8>> = bytes.iter().map(|byte| vec![*byte]).collect();
    let upstream = Scripted::serve(move |_, _| Act::Pieces(alone.clone()));
    let house = Plan::new(one_model("m")).upstream(upstream.base_url()).open().await;

    let answer = house.chat("ada", "m", json!({ "stream": true })).await.bytes().await;

    assert!(answer == bytes, "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn what_passes_the_gateway_is_what_the_provider_says_directly() {
    let models = [
        "sim-economy-out30-cjk-bytewise-delay0-gap0",
        "sim-economy-out30-cjk-crlf-delay0-gap0",
        "sim-economy-out30-cjk-crlf-bytewise-comments-delay0-gap0",
        "sim-fixed",
    ];
    let settings = Settings::of("acme").key("ada");
    let settings = models.iter().fold(settings, |settings, model| settings.model(model, &[model]));
    let house = House::open(settings).await;

    for model in models {
        for stream in [true, false] {
            let body = json!({ "stream": stream, "seed": 3 });
            let direct = directly(&house, model, body.clone()).await;
            let through = house.chat("ada", model, body).await.bytes().await;

            let (came, sent) =
                (String::from_utf8_lossy(&through), String::from_utf8_lossy(&direct));
            assert!(through == direct, "{model}:\n{came:?}\nis not\n{sent:?}");
        }
    }
}

#[tokio::test]
async fn an_injected_usage_request_leaves_no_chunk_behind() {
    let model = "sim-economy-out5-delay0-gap0";
    let house = House::open(one_model(model)).await;

    let mut events = house.stream("ada", model, json!({})).await;
    let came = events.rest().await;

    let without_choices = |event: &&Event| match event {
        Event::Data(value) => value.list("choices").is_empty() || !value.at("usage").is_null(),
        Event::Comment(_) | Event::Done => false,
    };
    assert_eq!(came.iter().filter(without_choices).count(), 0, "{came:?}");
    let asked = house.oracle().all().await[0].body();
    assert_eq!(asked.at("stream_options.include_usage"), &json!(true));
}

#[tokio::test]
async fn a_usage_chunk_that_was_asked_for_tells_tier_and_cost() {
    let model = "sim-economy-out5-delay0-gap0";
    let house = House::open(one_model(model)).await;

    let body = json!({ "stream_options": { "include_usage": true } });
    let mut events = house.stream("ada", model, body).await;
    let most = events.answer().header("x-penstock-cost-max").unwrap_or_default().to_owned();
    let came = events.rest().await;

    let usage = came.iter().rev().find_map(|event| match event {
        Event::Data(value) if value.list("choices").is_empty() => Some(value.clone()),
        Event::Data(_) | Event::Comment(_) | Event::Done => None,
    });
    let usage = usage.unwrap_or_else(|| panic!("no usage chunk in {came:?}"));
    assert_eq!(usage.int("usage.completion_tokens"), 5);
    let cost = usage.to_string();
    assert!(cost.contains("0.000022"), "12 x 1000 + 5 x 2000 nano-USD: {cost}");
    assert!(tests::record::nano_usd("0.000022") <= tests::record::nano_usd(&most));
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_with_an_error_and_never_with_done() {
    for (model, pieces) in [
        ("sim-economy-out9-trunc4-delay0-gap0", 4),
        ("sim-economy-out9-eof4-delay0-gap0", 4),
        ("sim-economy-out9-err4-delay0-gap0", 4),
    ] {
        let house = House::open(one_model(model)).await;

        let mut events = house.stream("ada", model, json!({})).await;
        assert_eq!(events.answer().status, 200);
        let came = events.rest().await;

        let Some(Event::Data(last)) = came.last() else { panic!("{model}: {came:?}") };
        assert!(last.at("error").is_object(), "{model}: {came:?}");
        assert_eq!(sse::text_of(&came).split_whitespace().count(), pieces);
        assert_eq!(events.end(), Some(End::Whole));
    }
}

#[tokio::test]
async fn a_stream_with_nothing_to_show_is_promised_and_kept_alive_by_comments() {
    let model = "sim-economy-out3-delay1500-gap0";
    let house = Plan::new(one_model(model)).with("edge", "stream_head_millis", "100").open().await;

    let begin = Instant::now();
    let mut events = house.stream("ada", model, json!({})).await;
    let waited = begin.elapsed();
    let came = events.rest().await;

    assert!(waited < Duration::from_millis(1_400), "the head took {waited:?}");
    assert_eq!(came.last(), Some(&Event::Done));
    assert_eq!(sse::text_of(&came).split_whitespace().count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_small_event_is_not_held_back() {
    let model = "sim-economy-out2-delay0-gap200";
    let house = House::open(one_model(model)).await;
    let mut waits = Vec::new();

    for _ in 0..TRIES {
        let begin = Instant::now();
        let mut events = house.stream("ada", model, json!({})).await;
        assert!(matches!(events.next().await, Some(Event::Data(_))));
        waits.push(begin.elapsed().as_millis());
    }

    // Nagle's algorithm with a delayed acknowledgement would hold each of them for 40 ms.
    waits.sort_unstable();
    assert!(waits[TRIES / 4] <= FIRST_EVENT_MILLIS_MAX, "{waits:?} ms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_hangs_up_ends_the_upstream_request_at_once() {
    let model = "sim-economy-out1000-delay0-gap5";
    let house = House::open(one_model(model)).await;
    let mut waits = Vec::new();

    for _ in 0..5 {
        let mut events = house.stream("ada", model, json!({})).await;
        events.next().await;
        let request = events.answer().request_id();
        let begin = Instant::now();
        drop(events);
        house
            .oracle()
            .once("the end of the upstream request", |row| {
                row.joins().starts_with(&request) && row.outcome == "client_gone"
            })
            .await;
        waits.push(begin.elapsed().as_millis());
    }

    waits.sort_unstable();
    assert!(waits[2] <= UPSTREAM_OPEN_MILLIS_MAX, "{waits:?} ms");
}

#[tokio::test]
async fn a_whole_answer_that_breaks_off_is_an_error_and_no_success() {
    let model = "sim-economy-trunc3";
    let house = House::open(one_model(model)).await;

    let answer = house.chat("ada", model, json!({})).await;

    assert!(answer.status.is_server_error(), "{}", answer.status);
    let body = answer.json().await;
    assert_eq!(body.text("error.code"), "upstream_truncated", "{body}");
}

#[tokio::test]
async fn fields_that_the_gateway_does_not_know_reach_the_provider_as_they_are() {
    let model = "sim-economy-out2-delay0-gap0";
    let house = House::open(one_model(model)).await;

    let odd = json!({ "vendor": { "deep": [1, 2.50, "ü"], "big": 12345678901234567890_u64 } });
    house.chat("ada", model, odd.clone()).await.bytes().await;

    let saw = house.oracle().all().await[0].saw.clone().unwrap();
    assert!(
        saw.contains(r#""deep":[1,2.5,"ü"],"big":12345678901234567890"#)
            || saw.contains(r#""big":12345678901234567890"#),
        "{saw}"
    );
    let body: Value = serde_json::from_str(&saw).unwrap();
    assert_eq!(body.at("vendor"), odd.at("vendor"));
}

/// The same request, sent to the provider itself: with the usage request that the gateway adds,
/// without the chunk that answers it, and without comments before the first event (a stream
/// begins for its caller when there is something to show).
async fn directly(house: &House, model: &str, body: Value) -> Vec<u8> {
    let url = format!("{}/chat/completions", house.upstream());
    let mut body = chat_body(model, body);
    let stream = body.at("stream") == &json!(true);
    if stream {
        body = merged(body, json!({ "stream_options": { "include_usage": true } }));
    }
    let answer = Client::default().post(&url, &body).await.text().await;
    let gap = if answer.contains("\r\n\r\n") { "\r\n\r\n" } else { "\n\n" };
    let frames = answer.split_inclusive(gap).filter(|it| !it.contains("\"choices\":[],"));
    let frames = frames.skip_while(|it| it.starts_with(':'));
    if stream { frames.collect::<String>().into() } else { answer.into() }
}

fn one_model(model: &str) -> Settings {
    Settings::of("acme").key("ada").model(model, &[model])
}

/// The number in `cut N.`, which the test puts into its prompt.
fn cut_of(body: &str) -> usize {
    let rest = body.split("cut ").nth(1).and_then(|rest| rest.split('.').next());
    rest.and_then(|number| number.parse().ok()).unwrap_or(1)
}

fn split(bytes: &[u8], at: usize) -> Vec<Vec<u8>> {
    let (left, right) = bytes.split_at(at.min(bytes.len()));
    vec![left.to_vec(), right.to_vec()]
}
