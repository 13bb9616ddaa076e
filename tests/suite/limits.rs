//! Limits bind, say how much is left, and say truly how long to wait.

use serde_json::{Value, json};
use std::sync::Arc;
use tests::{
    client::Answer,
    house::House,
    json::At,
    settings::{Settings, worked_in_by},
};
use tokio::task::JoinSet;

const QUICK: &str = "sim-economy-out4-delay0-gap0";
const LOCKSTEP: &str = "sim-lockstep-out4";

#[tokio::test]
async fn a_limit_of_requests_admits_as_many_and_tells_the_wait() {
    let house = limited(&json!({ "key": "ada" }), json!({ "requests_per_minute": 3 })).await;

    for left in ["2", "1", "0"] {
        let answer = house.chat("ada", QUICK, json!({})).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("3"));
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some(left));
        assert!(answer.header("x-ratelimit-reset-requests").is_some());
    }
    let refused = house.chat("ada", QUICK, json!({})).await;

    assert_eq!(refused.header("x-ratelimit-remaining-requests"), Some("0"));
    let wait = retry_after(&refused);
    assert!((1..=61).contains(&wait), "{wait}");
    limited_as(refused, "rate_limited").await;
    assert_eq!(house.oracle().all().await.len(), 3);
}

#[tokio::test]
async fn a_limit_of_tokens_counts_what_was_used_and_not_what_was_feared() {
    let house = limited(&json!({ "key": "ada" }), json!({ "tokens_per_minute": 5_000 })).await;

    // Each could produce 1,000 tokens, and produces 4: trued up, many more than five fit.
    for _ in 0..20 {
        let answer = house.chat("ada", QUICK, json!({})).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit-tokens"), Some("5000"));
        answer.bytes().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_running_requests_may_still_use_are_set_aside() {
    let house = limited(&json!({ "key": "ada" }), json!({ "tokens_per_minute": 800 })).await;
    let running = house.chat("ada", LOCKSTEP, json!({ "stream": true }));
    let refused = async {
        let row = house.oracle().once("the running request", |_| true).await;
        let refused = house.chat("ada", QUICK, json!({})).await;
        house.oracle().finish(row.seq).await;
        refused
    };

    let (running, refused) = tokio::join!(running, refused);

    running.bytes().await;
    assert!(refused.header("retry-after").is_some(), "{}", refused.text().await);
    limited_as(refused, "tokens_limited").await;
}

#[tokio::test]
async fn a_request_that_is_larger_than_the_whole_limit_is_told_not_to_wait() {
    let house = limited(&json!({ "key": "ada" }), json!({ "tokens_per_minute": 500 })).await;

    let refused = house.chat("ada", QUICK, json!({})).await;

    assert_eq!(refused.header("retry-after"), None);
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    limited_as(refused, "tokens_limited").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_concurrent_requests_counts_a_stream_until_it_ends() {
    let house = limited(&json!({ "user": "ada" }), json!({ "concurrent_requests": 2 })).await;
    let house = Arc::new(house);
    let mut streams = JoinSet::new();
    for _ in 0..2 {
        let house = Arc::clone(&house);
        streams.spawn(async move {
            house.chat("ada", LOCKSTEP, json!({ "stream": true })).await.text().await
        });
    }
    house.oracle().once("two running requests", |row| 1 < row.seq).await;

    let refused = house.chat("ada", QUICK, json!({})).await;
    assert!(1 <= retry_after(&refused));
    limited_as(refused, "concurrency_limited").await;
    for row in house.oracle().all().await {
        house.oracle().finish(row.seq).await;
    }
    for text in streams.join_all().await {
        assert!(text.ends_with("[DONE]\n\n"), "{text}");
    }

    // The place is free as soon as the last byte was given to the caller.
    assert_eq!(house.chat("ada", QUICK, json!({})).await.status, 200);
}

#[tokio::test]
async fn a_limit_binds_on_every_level_of_the_chain() {
    let levels = [
        json!("org"),
        json!({ "unit": "lab" }),
        json!({ "project": "main" }),
        json!({ "group": "all" }),
        json!({ "user": "ada" }),
        json!({ "key": "ada" }),
        json!({ "tier": "economy" }),
        json!({ "deployment": "d" }),
    ];
    for on in levels {
        let settings = Settings::of("acme")
            .and("Unit", "lab", json!({}))
            .and("Project", "main", worked_in_by("ada", json!({ "unit": "lab" })))
            .and("Group", "all", json!({ "members": ["ada"] }))
            .deployment("d", QUICK, "restricted")
            .and("Tier", "economy", json!({ "rank": 1, "deployments": [{ "deployment": "d" }] }))
            .and("Model", QUICK, json!({ "tier": "economy" }))
            .key("ada")
            .and("Limit", "one", json!({ "on": on, "requests_per_minute": 1 }));
        let house = House::open(settings).await;

        let first = house.chat("ada", QUICK, json!({})).await;
        let second = house.chat("ada", QUICK, json!({})).await;

        assert_eq!(first.status, 200, "{on}");
        assert_eq!(second.status, 429, "{on}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_gets_exactly_what_the_limit_allows() {
    let house = limited(&json!("org"), json!({ "requests_per_minute": 25 })).await;
    let house = Arc::new(house);
    let mut clients = JoinSet::new();
    for _ in 0..100 {
        let house = Arc::clone(&house);
        clients.spawn(async move { house.chat("ada", QUICK, json!({})).await.status.as_u16() });
    }

    let statuses = clients.join_all().await;

    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 25);
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 75);
    assert_eq!(house.oracle().all().await.len(), 25);
}

#[tokio::test]
async fn a_request_that_is_refused_later_gives_its_place_in_the_limit_back() {
    let settings = shop()
        .and("Limit", "rate", json!({ "on": { "key": "ada" }, "requests_per_minute": 2 }))
        .budget("small", &json!({ "key": "ada" }), "0.0005");
    let house = House::open(settings).await;
    let dear = json!({ "max_completion_tokens": 1_000 });

    // Too dear for the budget; the cheap ones after them find the whole limit.
    for _ in 0..3 {
        let refused = house.chat("ada", QUICK, dear.clone()).await.json().await;
        assert_eq!(refused.text("error.code"), "budget_exhausted", "{refused}");
    }
    for _ in 0..2 {
        let cheap = json!({ "max_completion_tokens": 4 });
        assert_eq!(house.chat("ada", QUICK, cheap).await.status, 200);
    }
}

fn shop() -> Settings {
    Settings::of("acme").model(QUICK, &[QUICK]).model(LOCKSTEP, &[LOCKSTEP]).key("ada")
}

async fn limited(on: &Value, limits: Value) -> House {
    let limit = tests::house::merged(json!({ "on": on }), limits);
    House::open(shop().and("Limit", "limit", limit)).await
}

async fn limited_as(answer: Answer, code: &str) {
    assert_eq!(answer.status, 429);
    let body = answer.json().await;
    assert_eq!(body.text("error.code"), code, "{body}");
    assert_eq!(body.text("error.type"), "rate_limit_exceeded");
}

fn retry_after(answer: &Answer) -> u64 {
    let text = answer.header("retry-after").expect("a wait is told");
    text.parse().expect("whole seconds")
}
