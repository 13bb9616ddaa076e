//! A budget is never exceeded, and what fits in it is admitted.

use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};
use tests::{
    house::{House, Plan, chat_body},
    json::At,
    ledger::Ledger,
    record::Record,
    settings::Settings,
    wait::{self, LONG},
};
use tokio::{sync::Barrier, task::JoinSet};

const ROUNDS: usize = 100;
const CLIENTS: usize = 200;
/// Holds that fit in the budget of each round: from 1 on, in turn.
const FIT_MAX: usize = 7;
const MODEL: &str = "sim-lockstep-out4";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_clients_at_one_barrier_get_exactly_what_fits_a_hundred_times() {
    let plan = Plan::new(shop().key("probe")).with("budget", "wait_millis", "0");
    let mut house = plan.open().await;
    let hold = hold_of_one_request(&house).await;
    house.apply(&rounds(hold)).await;
    house.knows(&key(0)).await;
    let house = Arc::new(house);

    let all = async {
        for round in 0..ROUNDS {
            hammer(&house, round).await;
        }
    };
    wait::within(LONG, "all rounds", all).await;

    let rows = house
        .usage_once("acme", "the records of all rounds", |rows| rows.len() == 1 + admitted())
        .await;
    let billed: i64 = Record::all(&rows).iter().map(|record| record.cost).sum();
    let pots = Ledger::open(house.folder()).pots();
    assert_eq!(pots.len(), ROUNDS);
    for pot in pots {
        assert!(pot.counted() <= pot.limit && pot.overrun == 0, "{pot:?}");
    }
    assert!(0 < billed);
}

/// One round: all clients at once, as many answers as fit, all others refused at once.
async fn hammer(house: &Arc<House>, round: usize) {
    let before = house.oracle().all().await.last().map_or(0, |row| row.seq);
    let barrier = Arc::new(Barrier::new(CLIENTS));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (house, barrier) = (Arc::clone(house), Arc::clone(&barrier));
        clients.spawn(async move {
            barrier.wait().await;
            let answer = house.chat(&key(round), MODEL, json!({ "stream": true })).await;
            let (status, headers) = (answer.status.as_u16(), answer.headers.clone());
            let text = answer.text().await;
            assert!(status == 200 || headers.contains_key("x-request-id"));
            (status, text)
        });
    }

    let mut told: BTreeMap<(u16, String), usize> = BTreeMap::new();
    for _ in 0..CLIENTS - fit(round) {
        let (status, text) = clients.join_next().await.expect("a client").expect("no panic");
        let body: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        *told.entry((status, body.text("error.code").to_owned())).or_default() += 1;
    }
    let refused = BTreeMap::from([((429, "budget_held".to_owned()), CLIENTS - fit(round))]);
    assert_eq!(told, refused, "round {round}");

    let running = house.oracle().after(before).await;
    assert_eq!(running.len(), fit(round), "round {round}");
    for row in running {
        house.oracle().finish(row.seq).await;
    }
    while let Some(ended) = clients.join_next().await {
        let (status, text) = ended.expect("no panic");
        assert!(status == 200 && text.ends_with("[DONE]\n\n"), "{status} {text}");
    }
}

#[tokio::test]
async fn a_budget_that_is_spent_says_so_and_for_good() {
    let settings = shop()
        .model("sim-economy-out4-delay0-gap0", &["sim-economy-out4-delay0-gap0"])
        .key("poor")
        .budget("poor", &json!({ "key": "poor" }), "0.00000001");
    let house = House::open(settings).await;

    let answer = house.chat("poor", "sim-economy-out4-delay0-gap0", json!({})).await;

    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert_eq!(answer.header("retry-after"), None);
    let body = answer.json().await;
    assert_eq!(body.text("error.type"), "insufficient_quota");
    assert_eq!(body.text("error.code"), "budget_exhausted");
    assert!(house.oracle().all().await.is_empty(), "nothing may go upstream");
}

#[tokio::test]
async fn what_is_free_is_served_when_there_is_no_money_at_all() {
    let model = "sim-economy-out4-delay0-gap0";
    let settings = shop().key("poor").budget("poor", &json!({ "key": "poor" }), "0").and(
        "Deployment",
        "free",
        json!({
            "provider": "sim", "model": model, "free": true, "clearance": { "level": "internal" },
        }),
    );
    let members = json!({ "deployments": [{ "deployment": "free" }] });
    let house = House::open(settings.and("Model", "free", members)).await;

    for _ in 0..3 {
        let answer = house.chat("poor", "free", json!({})).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-penstock-cost"), Some("0"));
        answer.bytes().await;
    }
}

#[tokio::test]
async fn the_bound_that_a_hold_rests_on_is_sent_by_the_name_that_the_deployment_heeds() {
    let model = "sim-economy-out40-delay0-gap0";
    let old = json!({
        "provider": "sim", "model": model, "clearance": { "level": "internal" },
        "output_bound_parameter": "max_tokens",
    });
    let settings = Settings::of("acme")
        .model("old", &[model])
        .and("Deployment", "old.0", old)
        .key("ada")
        .key("unbound")
        .budget("ada", &json!({ "key": "ada" }), "5");
    let house = House::open(settings).await;

    for (key, asked, heeded) in [
        ("ada", json!({ "max_completion_tokens": 7 }), ["max_tokens", "max_completion_tokens"]),
        ("ada", json!({ "max_tokens": 7 }), ["max_tokens", "max_completion_tokens"]),
        // No budget: the caller's own word passes as it is.
        ("unbound", json!({ "max_completion_tokens": 7 }), ["max_completion_tokens", "max_tokens"]),
    ] {
        let answer = house.chat(key, "old", asked).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-penstock-output-bound")), (200, None));
        answer.bytes().await;
        let saw = house.oracle().all().await.pop().expect("a request").body();
        let [there, gone] = heeded.map(|name| saw.get(name));
        assert_eq!((there, gone), (Some(&json!(7)), None), "{saw}");
    }
}

#[tokio::test]
async fn a_refusal_tells_the_amount_of_the_callers_own_budget_only() {
    let model = "sim-economy-out4-delay0-gap0";
    let settings = shop().model(model, &[model]).key("own").budget(
        "own",
        &json!({ "key": "own" }),
        "0.000000123",
    );
    let mut house = House::open(settings.clone()).await;

    let own = house.chat("own", model, json!({})).await.json().await;
    let on_org = settings.budget("own", &json!({ "key": "own" }), "5").budget(
        "all",
        &json!("org"),
        "0.000000123",
    );
    house.apply(&on_org).await;
    let of_org = wait::until(wait::SOON, "the new budgets", || async {
        let body = house.chat("own", model, json!({})).await.json().await;
        let message = body.text("error.message").to_owned();
        if message.contains("organization") { Ok(message) } else { Err(message) }
    })
    .await;

    assert!(own.text("error.message").contains("0.000000123"), "{own}");
    assert!(!of_org.contains("0.000000123"), "{of_org}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_comes_back_in_time_is_given_to_who_waits() {
    let plan = Plan::new(shop().key("probe")).with("budget", "wait_millis", "15000");
    let mut house = plan.open().await;
    let hold = hold_of_one_request(&house).await;
    house.apply(&rounds(hold)).await;
    house.knows(&key(0)).await;
    let before = house.oracle().all().await.last().map_or(0, |row| row.seq);
    let ask = || async { house.chat(&key(0), MODEL, json!({ "stream": true })).await.text().await };

    // Room for one and a half: the second has to wait for what the first gives back.
    let finish_both = async {
        let first = house.oracle().once("the first", |row| before < row.seq).await;
        assert_eq!(house.oracle().after(before).await.len(), 1);
        house.oracle().finish(first.seq).await;
        let second = house.oracle().once("the second", |row| first.seq < row.seq).await;
        house.oracle().finish(second.seq).await;
    };
    let (one, two, ()) = tokio::join!(ask(), ask(), finish_both);

    assert!(one.ends_with("[DONE]\n\n") && two.ends_with("[DONE]\n\n"), "{one}\n{two}");
}

fn shop() -> Settings {
    Settings::of("acme").model(MODEL, &[MODEL])
}

fn key(round: usize) -> String {
    format!("round-{round}")
}

const fn fit(round: usize) -> usize {
    round % FIT_MAX + 1
}

fn admitted() -> usize {
    (0..ROUNDS).map(fit).sum()
}

/// A fresh key with a fresh budget for each round.
fn rounds(hold: i64) -> Settings {
    let settings = shop().key("probe");
    (0..ROUNDS).fold(settings, |settings, round| {
        let nano = hold * i64::try_from(fit(round)).expect("few") + hold / 2;
        let usd = format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000);
        settings.key(&key(round)).budget(&key(round), &json!({ "key": key(round) }), &usd)
    })
}

/// What the gateway sets aside for one of the requests that the rounds send.
async fn hold_of_one_request(house: &House) -> i64 {
    let stream = async {
        let body = chat_body(MODEL, json!({ "stream": true }));
        house.post("probe", "/v1/chat/completions", &body).await.bytes().await
    };
    let finish = async {
        let row = house.oracle().once("the probe", |_| true).await;
        house.oracle().finish(row.seq).await;
    };
    tokio::join!(stream, finish);
    let rows = house.usage_once("acme", "the probe's record", |rows| !rows.is_empty()).await;
    Record::all(&rows).first().expect("a record").hold
}
