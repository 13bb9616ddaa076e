//! What nobody knows is listed, and ended by an act of somebody who does.

use serde_json::json;
use std::sync::Arc;
use tests::{
    house::Plan,
    ledger::Ledger,
    record::Record,
    settings::Settings,
    wait::{self, SOON},
};
use tokio::task::JoinSet;

const MODEL: &str = "sim-lockstep-out4";
const CONFIG: [&str; 2] = ["--config", "penstock.toml"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_of_which_nobody_knows_the_end_is_resolved_once_and_by_name() {
    let settings =
        Settings::of("acme").model(MODEL, &[MODEL]).key("ada").budget("all", &json!("org"), "10");
    let shared = Arc::new(Plan::new(settings).open().await);
    let mut open = JoinSet::new();
    open.spawn({
        let house = Arc::clone(&shared);
        async move { house.try_chat("ada", MODEL, json!({ "stream": true })).await.is_ok() }
    });
    wait::until(SOON, "the request under way", || async {
        let rows = shared.oracle().all().await;
        if rows.is_empty() { Err("none".to_owned()) } else { Ok(()) }
    })
    .await;
    shared.gateway_signal("KILL");
    open.join_all().await;
    let mut house = Arc::into_inner(shared).expect("the client has ended");
    house.kill9();
    house.start().await;
    let rows = house.usage_once("acme", "the record", |rows| rows.len() == 1).await;
    let record = Record::all(&rows).pop().expect("a record");
    assert_eq!(record.outcome, "indeterminate");
    let ran = async |args: &[&str]| house.run(&[&["reconcile"], args, &CONFIG].concat()).await;

    let listed = ran(&["list"]).await.ok();
    let resolve = ["resolve", record.request.as_str(), "--cost", "0.000001", "--reason", "invoice"];
    let stranger = ["resolve", record.request.as_str(), "--attempt", "7", "--cost", "1"];
    let stranger = ran(&[&stranger[..], &["--reason", "x"]].concat()).await;
    let below = ["resolve", record.request.as_str(), "--cost=-1", "--reason", "x"];
    let below = ran(&below).await;
    let first = ran(&resolve).await.ok();
    let second = ran(&resolve).await;
    let after = ran(&["list"]).await.ok();

    assert!(listed.contains(&record.request) && listed.contains("all"), "{listed}");
    assert!(!stranger.status.success() && !below.status.success(), "{stranger:?} {below:?}");
    assert!(first.contains("0.000001"), "{first}");
    assert_eq!(second.code(), Some(1), "{second:?}");
    assert!(second.stderr.contains("is known"), "{second:?}");
    assert!(after.contains("is known") && !after.contains(&record.request), "{after}");
    let log = ["audit", "export", "--org", "acme", "-o", "acme.ndjson"];
    house.run(&[&log[..], &CONFIG].concat()).await.ok();
    let log = std::fs::read_to_string(house.path("acme.ndjson")).expect("the log");
    assert_eq!(log.matches("attempt.resolved").count(), 1, "{log}");
    assert!(house.terminate().await.success());
    let billed: i64 = Record::all(&house.usage("acme").await).iter().map(|it| it.cost).sum();
    let pot = Ledger::open(house.folder()).pot();
    assert_eq!((billed, pot.counted()), (1_000, 1_000), "{pot:?}");
}

#[tokio::test]
async fn nothing_is_released_that_was_not_lost() {
    let house = tests::house::House::open(Settings::of("acme").key("ada")).await;
    let boot = policies::ids::BootId::from_bytes([7; 16]).to_string();
    let args = ["reconcile", "release", boot.as_str(), "--reason", "its disk burnt"];

    let refused = house.run(&[&args[..], &CONFIG].concat()).await;

    assert_eq!(refused.code(), Some(1), "{refused:?}");
    assert!(refused.stderr.contains("has lost nothing"), "{refused:?}");
}
