//! The simulator over loopback: what a client sees, and what the oracle says of it.

mod loopback;

use crate::simulate::oracle::Outcome;
use loopback::House;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn ask(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "say a few words"}]})
}

fn with(model: &str, more: &Value) -> Value {
    let mut body = ask(model);
    for (field, value) in more.as_object().unwrap() {
        body[field] = value.clone();
    }
    body
}

fn text_of(events: &[String]) -> String {
    let parsed = events.iter().filter_map(|event| serde_json::from_str::<Value>(event).ok());
    let content =
        |event: Value| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
    parsed.filter_map(content).collect()
}

#[tokio::test]
async fn an_answer_has_as_many_words_as_usage_says() {
    let house = House::open().await;

    let answer = house.chat(&ask("sim-economy")).await;

    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!(text.split(' ').count(), 24);
    assert_eq!(answer["usage"]["prompt_tokens"], 3 + 4 + 4);
    assert_eq!(answer["usage"]["completion_tokens"], 24);
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    let seen = house.last();
    assert_eq!((seen.outcome, seen.output_tokens_written), (Outcome::Finished, 24));
    assert_eq!(seen.usage_reported.unwrap(), answer["usage"]);
    assert!(seen.saw.unwrap().contains("say a few words"));
}

#[tokio::test]
async fn a_stream_says_the_same_as_the_whole_answer_and_usage_only_where_asked() {
    let house = House::open().await;
    let whole = house.chat(&ask("sim-economy")).await;

    let plain = house.stream(&with("sim-economy", &json!({"stream": true}))).await;
    let asked = json!({"stream": true, "stream_options": {"include_usage": true}});
    let told = house.stream(&with("sim-economy", &asked)).await;

    assert_eq!(text_of(&plain), whole["choices"][0]["message"]["content"].as_str().unwrap());
    assert_eq!(plain.len(), 1 + 24 + 2);
    assert_eq!(plain.last().unwrap(), "[DONE]");
    assert!(!plain.iter().any(|event| event.contains("usage")));
    let usage: Value = serde_json::from_str(&told[told.len() - 2]).unwrap();
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"], whole["usage"]);
}

#[tokio::test]
async fn a_token_limit_cuts_and_says_so_and_hidden_tokens_count_against_it() {
    let house = House::open().await;

    let cut = house.chat(&with("sim-economy", &json!({"max_tokens": 5}))).await;
    let thought = house.chat(&with("sim-reasoner", &json!({"max_completion_tokens": 45}))).await;

    assert_eq!(cut["usage"]["completion_tokens"], 5);
    assert_eq!(cut["choices"][0]["finish_reason"], "length");
    assert_eq!(thought["usage"]["completion_tokens"], 45);
    assert_eq!(thought["usage"]["completion_tokens_details"]["reasoning_tokens"], 40);
    let seen = house.last();
    assert_eq!((seen.output_tokens_written, seen.reasoning_tokens), (5, 40));
}

#[tokio::test]
async fn parallel_tool_calls_are_streamed_in_fragments_that_join_to_json() {
    let house = House::open().await;
    let tool = |name: &str| {
        let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
        json!({"type": "function", "function": {"name": name, "parameters": parameters}})
    };
    let more = json!({"stream": true, "tools": [tool("weather"), tool("clock")]});

    let events = house.stream(&with("sim-standard-tools2-gap0", &more)).await;

    let mut calls = [(String::new(), String::new()), (String::new(), String::new())];
    for event in events.iter().filter_map(|event| serde_json::from_str::<Value>(event).ok()) {
        for delta in event["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let call = &mut calls[usize::try_from(delta["index"].as_u64().unwrap()).unwrap()];
            call.0.push_str(delta["function"]["name"].as_str().unwrap_or(""));
            call.1.push_str(delta["function"]["arguments"].as_str().unwrap());
        }
    }
    assert_eq!((calls[0].0.as_str(), calls[1].0.as_str()), ("weather", "clock"));
    for (_, arguments) in &calls {
        assert!(serde_json::from_str::<Value>(arguments).unwrap()["city"].is_string());
    }
    assert!(events[events.len() - 2].contains("\"finish_reason\":\"tool_calls\""));
}

#[tokio::test]
async fn several_choices_json_and_logprobs_have_their_shapes() {
    let house = House::open().await;
    let schema = json!({"type": "object", "properties": {"answer": {"type": "integer"}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": schema}});

    let several = house.chat(&with("sim-economy", &json!({"n": 3, "seed": 7}))).await;
    let made = house.chat(&with("sim-economy", &json!({"response_format": format}))).await;
    let probable = json!({"logprobs": true, "top_logprobs": 2, "max_tokens": 3});
    let probable = house.chat(&with("sim-economy", &probable)).await;

    assert_eq!(several["choices"].as_array().unwrap().len(), 3);
    assert_eq!(several["usage"]["completion_tokens"], 72);
    let content = made["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(serde_json::from_str::<Value>(content).unwrap()["answer"].is_u64());
    let tokens = probable["choices"][0]["logprobs"]["content"].as_array().unwrap();
    assert_eq!((tokens.len(), tokens[0]["top_logprobs"].as_array().unwrap().len()), (3, 2));
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_in_the_providers_shape() {
    let house = House::open().await;
    let chat = "POST /v1/chat/completions";

    let (unknown, error) = house.json(chat, &ask("sim-unheard")).await;
    let (broken, _, text) = house.raw(chat, "{\"model\":").await;
    let (limited, head, _) = house.raw(chat, &ask("sim-economy-status429-ra2").to_string()).await;

    assert_eq!((unknown, &error["error"]["code"]), (404, &json!("model_not_found")));
    assert_eq!(broken, 400);
    assert!(String::from_utf8(text).unwrap().contains("invalid_request_error"));
    assert_eq!(limited, 429);
    assert!(head.contains("retry-after: 2"));
}

#[tokio::test]
async fn a_mishap_strikes_after_the_tokens_it_names() {
    let house = House::open().await;
    for (directive, events, fault) in [
        ("trunc5", 6, "trunc"),
        ("eof5", 6, "eof"),
        ("err5", 7, "err"),
        ("garbage5", 6 + 1 + 19 + 2, "garbage"),
        ("trunc0", 0, "trunc"),
    ] {
        let body = with(&format!("sim-economy-gap0-{directive}"), &json!({"stream": true}));

        let sent = house.stream(&body).await;

        let seen = house.last();
        assert_eq!(sent.len(), events, "{directive}");
        assert_eq!((seen.outcome, seen.fault), (Outcome::Faulted, Some(fault)), "{directive}");
        let tokens = if fault == "garbage" { 24 } else { (events.max(1) as u64 - 1).min(5) };
        assert_eq!(seen.output_tokens_written, tokens, "{directive}");
    }
}

#[tokio::test]
async fn usage_is_told_as_crookedly_as_the_name_says() {
    let house = House::open().await;
    let asked = json!({"stream": true, "stream_options": {"include_usage": true}});
    for (directive, needle, times) in [
        ("nousage", "\"usage\":{", 0),
        ("uneg", "\"completion_tokens\":-5", 1),
        ("unan", "\"completion_tokens\":NaN", 1),
        ("uhuge", "\"completion_tokens\":9223372036854775808", 1),
        ("uzero", "\"completion_tokens\":0", 1),
        ("uzeros", "\"completion_tokens\":0", 2),
        ("uodd", "\"completion_tokens\":0,\"total_tokens\":1", 1),
        ("uhalf", "\"usage\":{\"completion_tokens\":24}", 1),
        ("uvast", "\"completion_tokens\":549755813888", 1),
        ("uover", "\"completion_tokens\":240", 1),
        ("utwice", "\"completion_tokens\":24,", 2),
        ("uearly", "\"finish_reason\":\"stop\"}],\"usage\":{", 1),
        ("ustring", "\"completion_tokens\":\"24\"", 1),
    ] {
        let sent = house.stream(&with(&format!("sim-economy-gap0-{directive}"), &asked)).await;

        let found = sent.iter().filter(|event| event.contains(needle)).count();
        assert_eq!(found, times, "{directive}");
        assert_eq!(house.last().usage_reported.is_some(), 0 < times, "{directive}");
    }
    let late = house.stream(&with("sim-economy-gap0-ulate", &asked)).await;
    assert_eq!(late[late.len() - 2], "[DONE]");
    let open = house.stream(&with("sim-economy-gap0-nodone", &asked)).await;
    assert!(!open.contains(&"[DONE]".to_owned()));
}

#[tokio::test]
async fn byte_by_byte_with_crlf_and_comments_the_text_is_the_same() {
    let house = House::open().await;
    let plain = house.stream(&with("sim-economy-cjk-gap0", &json!({"stream": true}))).await;

    let body = with("sim-economy-cjk-gap0-bytewise-crlf-comments", &json!({"stream": true}));
    let (_, _, raw) = house.raw("POST /v1/chat/completions", &body.to_string()).await;

    let raw = String::from_utf8(raw).unwrap();
    assert!(raw.starts_with(": keep-alive\r\n\r\ndata: {"));
    let events: Vec<String> =
        raw.lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_owned).collect();
    assert_eq!(text_of(&events), text_of(&plain));
    assert_eq!(house.last().output_tokens_written, 24);
}

#[tokio::test]
async fn in_lockstep_a_client_who_hangs_up_has_got_what_the_oracle_says() {
    let house = House::open().await;
    let body = with("sim-lockstep", &json!({"stream": true})).to_string();
    let client = house.start("POST /v1/chat/completions", "req_a/1", &body).await;
    let wait = "wait?client_request_id=req_a%2F1&state=";
    assert_eq!(house.told(&format!("{wait}started")).await.0, 200);

    let step = json!({"client_request_id": "req_a/1", "chunks": 3});
    assert_eq!(house.json("POST /oracle/step", &step).await.0, 200);
    assert_eq!(house.told(&format!("{wait}chunks:3")).await.0, 200);
    drop(client);
    let (status, ended) = house.told(&format!("{wait}ended")).await;

    assert_eq!((status, &ended["outcome"]), (200, &json!("client_gone")));
    assert_eq!(ended["output_tokens_written"], 3);
    assert!(ended["ended_ms"].is_u64());
    assert_eq!(house.told(&format!("{wait}chunks:4")).await.0, 409);
    assert_eq!(house.told("requests/req_a/1").await.1["seq"], ended["seq"]);
}

#[tokio::test]
async fn in_lockstep_the_end_comes_when_it_is_allowed() {
    let house = House::open().await;
    let body = with("sim-lockstep-out4", &json!({"stream": true})).to_string();
    let mut client = house.start("POST /v1/chat/completions", "b", &body).await;
    house.told("wait?client_request_id=b&state=started").await;

    house.json("POST /oracle/step", &json!({"client_request_id": "b", "end": true})).await;
    let mut all = String::new();
    client.read_to_string(&mut all).await.unwrap();

    assert!(all.contains("[DONE]"));
    assert_eq!(house.last().outcome, Outcome::Finished);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_is_gone_with_nothing_written() {
    let house = House::open().await;
    for model in ["sim-standard-hang", "sim-standard-delay60000", "sim-standard-stall0"] {
        let body = with(model, &json!({"stream": true})).to_string();
        let client = house.start("POST /v1/chat/completions", model, &body).await;
        house.told(&format!("wait?client_request_id={model}&state=started")).await;

        drop(client);
        let (_, ended) = house.told(&format!("wait?client_request_id={model}")).await;

        assert_eq!(ended["outcome"], "client_gone", "{model}");
        assert_eq!(ended["output_tokens_written"], 0, "{model}");
    }
}

#[tokio::test]
async fn a_reset_answers_nothing_and_flapping_answers_each_nth() {
    let house = House::open().await;
    let chat = "POST /v1/chat/completions";

    let (status, _, bytes) = house.raw(chat, &ask("sim-economy-reset").to_string()).await;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(house.json(chat, &ask("sim-economy-flap3")).await.0);
    }

    assert_eq!((status, bytes.len()), (0, 0));
    assert_eq!(statuses, [503, 503, 200, 503, 503, 200]);
}

#[tokio::test]
async fn two_requests_on_one_connection_are_answered_in_order() {
    let house = House::open().await;
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let get = |name: &str, end: &str| format!("GET /v1/models/{name} HTTP/1.1\r\nhost: a\r\n{end}");
    let both = [get("sim-embed", "\r\n"), get("sim-economy", "connection: close\r\n\r\n")].concat();

    stream.write_all(both.as_bytes()).await.unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();

    assert!(all.find("sim-embed").unwrap() < all.find("sim-economy").unwrap());
}

#[tokio::test]
async fn the_fixed_answer_is_1056_bytes_and_its_stream_a_hundred_tokens() {
    let house = House::open().await;
    let asked = json!({"stream": true, "stream_options": {"include_usage": true}});

    let (_, _, whole) = house.raw("POST /v1/chat/completions", &ask("sim-fixed").to_string()).await;
    let plain = house.stream(&with("sim-fixed", &json!({"stream": true}))).await;
    let told = house.stream(&with("sim-fixed", &asked)).await;

    assert_eq!(whole.len(), 1_056);
    assert_eq!((plain.len(), told.len()), (102 + 1, 103 + 1));
    let whole: Value = serde_json::from_slice(&whole).unwrap();
    assert_eq!(text_of(&told), whole["choices"][0]["message"]["content"].as_str().unwrap());
    assert_eq!(house.last().output_tokens_written, 100);
    assert_eq!(house.last().outcome, Outcome::Finished);
}

#[tokio::test]
async fn the_oracle_lists_sums_and_forgets() {
    let house = House::open().await;
    house.chat(&ask("sim-economy")).await;
    let embed = json!({"model": "sim-embed", "input": ["a boat", "a ship"]});
    assert_eq!(house.json("POST /v1/embeddings", &embed).await.0, 200);

    let (_, _, lines) = house.raw("GET /oracle/requests?since=1", "").await;
    let (_, summary) = house.told("summary").await;
    house.json("DELETE /oracle/requests", &Value::Null).await;
    let (_, emptied) = house.told("summary").await;
    house.chat(&ask("sim-economy")).await;

    let lines = String::from_utf8(lines).unwrap();
    assert_eq!(lines.lines().count(), 1);
    assert!(lines.contains("\"prompt_tokens\":4"));
    assert_eq!((&summary["finished"], &summary["output_tokens_written"]), (&json!(2), &json!(24)));
    assert_eq!(emptied["requests"], 0);
    assert_eq!(house.last().seq, 3);
}
