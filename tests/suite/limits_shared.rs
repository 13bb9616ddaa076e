//! Limits over three gateways: exact together, through whatever happens to what they share.

mod row;

use row::{Redis, Row, Sharing, quoted, run_while, shop};
use serde_json::{Value, json};
use std::{fs, sync::Arc};
use tests::{
    house::Plan,
    json::At,
    process,
    redis::RedisServer,
    wait::{self, SOON},
};
use tokio::{sync::Mutex as Turn, task::JoinSet};

const MODEL: &str = "sim-economy-out4-delay0-gap0";
const LOCKSTEP: &str = "sim-lockstep-out4";
const GATEWAYS: usize = 3;
/// Three gateways are asked for 1,200 in a run.
const LIMIT: usize = 600;
/// Requests that were let through when something happens in the middle of a run.
const BEFORE: usize = 200;
/// Gateways that there may be, as far as one knows that never met the others.
const REPLICAS_MAX: usize = 8;
/// It must not be seen anywhere.
const PASSWORD: &str = "correct-horse-5521";
/// Other tests run on the same processors: where a limit is to be reached, late is no fault.
const PATIENT: u32 = 1_000;
const USUAL: u32 = 50;

fn per_minute() -> Value {
    json!({ "requests_per_minute": LIMIT })
}

async fn a_redis() -> Redis {
    Arc::new(Turn::new(RedisServer::start().await.expect("Redis")))
}

async fn three_on(redis: &Redis) -> Row {
    let sharing = Sharing { redis: Some(redis), patience_millis: USUAL };
    let row = Row::open(&per_minute(), sharing).await;
    row.all_are("shared").await;
    row
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_gateways_on_postgres_let_through_the_limit_and_no_more() {
    let sharing = Sharing { redis: None, patience_millis: PATIENT };
    let row = Row::open(&per_minute(), sharing).await;
    row.all_are("shared").await;

    let (_row, seen) = run_while(row, async |_, _| {}).await;

    assert!(LIMIT * 95 / 100 <= seen.admitted.len(), "{}", seen.admitted.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_gateways_on_redis_let_through_the_limit_and_no_more() {
    let redis = a_redis().await;
    let sharing = Sharing { redis: Some(&redis), patience_millis: PATIENT };
    let row = Row::open(&per_minute(), sharing).await;
    row.all_are("shared").await;

    let (_row, seen) = run_while(row, async |_, _| {}).await;

    assert!(LIMIT * 95 / 100 <= seen.admitted.len(), "{}", seen.admitted.len());
    let stats = redis.lock().await.command("INFO commandstats").await.expect("figures");
    let calls = stats.lines().find(|line| line.contains("evalsha")).unwrap_or_default();
    println!("{} requests; {calls}", seen.took.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_killed_stops_no_request_and_loosens_no_limit() {
    let redis = a_redis().await;
    let row = three_on(&redis).await;

    let (row, seen) = run_while(row, async |row, seen| {
        seen.once_let_through(BEFORE).await;
        redis.lock().await.kill();
        row.all_are("apart").await;
        let then = seen.lock().admitted.len();
        seen.once_let_through(then + 30).await;
        redis.lock().await.begin().await.expect("Redis");
        row.all_are("shared").await;
    })
    .await;

    assert!(BEFORE + 30 < seen.admitted.len());
    row.all_are("shared").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_frozen_stops_no_request_and_loosens_no_limit() {
    let redis = a_redis().await;
    let row = three_on(&redis).await;

    let (row, _seen) = run_while(row, async |row, seen| {
        seen.once_let_through(BEFORE).await;
        redis.lock().await.freeze();
        row.all_are("apart").await;
        let then = seen.lock().admitted.len();
        seen.once_let_through(then + 30).await;
        redis.lock().await.thaw();
        row.all_are("shared").await;
    })
    .await;

    row.all_are("shared").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_forgets_everything_loosens_no_limit() {
    let redis = a_redis().await;
    let row = three_on(&redis).await;

    let (_row, seen) = run_while(row, async |_, seen| {
        for count in [BEFORE / 2, BEFORE, BEFORE * 3 / 2] {
            seen.once_let_through(count).await;
            redis.lock().await.flush().await.expect("an answer");
        }
    })
    .await;

    assert!(BEFORE * 3 / 2 < seen.admitted.len(), "{}", seen.admitted.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_comes_late_is_shared_from_then_on() {
    let redis = Arc::new(Turn::new(RedisServer::unstarted(None).expect("a port")));
    let sharing = Sharing { redis: Some(&redis), patience_millis: USUAL };
    let row = Row::open(&per_minute(), sharing).await;
    row.all_are("apart").await;
    let alone = GATEWAYS * LIMIT / REPLICAS_MAX;

    let (_row, seen) = run_while(row, async |row, seen| {
        seen.once_let_through(alone - GATEWAYS).await;
        assert!(seen.lock().admitted.len() <= alone);
        redis.lock().await.begin().await.expect("Redis");
        row.all_are("shared").await;
    })
    .await;

    assert!(alone < seen.admitted.len(), "{}", seen.admitted.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_for_concurrent_requests_go_round_three_gateways() {
    let redis = a_redis().await;
    for sharing in [None, Some(&redis)] {
        let limit = json!({ "concurrent_requests": GATEWAYS });
        let row = Row::open(&limit, Sharing { redis: sharing, patience_millis: PATIENT }).await;
        row.all_are("shared").await;
        let (row, mut streams) = (Arc::new(row), JoinSet::new());
        for at in 0..GATEWAYS {
            let row = Arc::clone(&row);
            streams.spawn(async move {
                row.ask(at, LOCKSTEP, json!({ "stream": true })).await.text().await
            });
        }
        let all = |row: &tests::oracle::Seen| usize::try_from(row.seq).expect("few") == GATEWAYS;
        row.house.oracle().once("all streams", all).await;

        for at in 0..GATEWAYS {
            let refused = row.ask(at, MODEL, json!({})).await.json().await;
            assert_eq!(refused.text("error.code"), "concurrency_limited", "{refused}");
        }
        let first = row.house.oracle().all().await.first().expect("a stream").seq;
        row.house.oracle().finish(first).await;
        for at in 0..GATEWAYS {
            wait::until(SOON, "a place at each gateway", || async {
                let status = row.ask(at, MODEL, json!({})).await.status;
                if status == 200 { Ok(()) } else { Err(status.to_string()) }
            })
            .await;
        }
        for stream in row.house.oracle().all().await {
            row.house.oracle().finish(stream.seq).await;
        }
        streams.join_all().await;
    }
}

/// A gateway without any other server but Redis, run to its end.
async fn start_with(url: &str) -> process::Ran {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = Plan::new(shop(&per_minute())).with("redis", "url", &quoted(url));
    fs::write(folder.path().join("penstock.toml"), plan.toml()).expect("a file");
    process::run(folder.path(), &["serve", "--config", "penstock.toml"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_does_not_let_us_in_stops_the_start_and_says_so() {
    let redis = RedisServer::with_password("another").await.expect("Redis");
    let acl = format!("ACL SETUSER poor on >{PASSWORD} ~other:* +@all");
    redis.command(&acl).await.expect("an answer");
    for login in [format!(":{PASSWORD}"), format!("nobody:{PASSWORD}"), format!("poor:{PASSWORD}")]
    {
        let ran = start_with(&format!("redis://{login}@{}", redis.place())).await;

        assert_eq!(ran.code(), Some(1), "{login}");
        let said = "limits cannot be shared by `redis://";
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
        assert!(!ran.stderr.contains(PASSWORD) && !ran.stdout.contains(PASSWORD));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_that_the_manual_names_are_enough() {
    let redis = RedisServer::with_password("another").await.expect("Redis");
    let settings = gateway::config::DEFAULTS;
    let rights = settings.split("needs `").nth(1).and_then(|rest| rest.split('`').next());
    let rights = rights.expect("the rights are named");
    let acl = format!("ACL SETUSER gate on >{PASSWORD} {rights}");
    assert_eq!(redis.command(&acl).await.expect("an answer"), "+OK\r\n");
    let url = format!("redis://gate:{PASSWORD}@{}", redis.place());
    let limit = json!({ "requests_per_minute": 2 });
    let house = Plan::new(shop(&limit)).with("redis", "url", &quoted(&url)).open().await;

    let mut left = Vec::new();
    for _ in 0..2 {
        let answer = house.chat("ada", MODEL, json!({})).await;
        left.push(answer.header("x-ratelimit-remaining-requests").map(str::to_owned));
    }

    assert_eq!(left, [Some("1".to_owned()), Some("0".to_owned())]);
    assert_eq!(house.chat("ada", MODEL, json!({})).await.status, 429);
    let keys = redis.command("KEYS penstock:*").await.expect("keys");
    assert!(keys.contains(":rm"), "{keys}");
    assert!(!house.said().contains(PASSWORD));
}

#[tokio::test]
async fn contradictions_about_limits_stop_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = Plan::new(shop(&per_minute()))
        .with("limits", "share", "\"store\"")
        .with("limits", "replicas_max", "0")
        .with("redis", "url", &quoted(&format!("redis://:{PASSWORD}@cache")));
    fs::write(folder.path().join("penstock.toml"), plan.toml()).expect("a file");

    let ran = process::run(folder.path(), &["check-config", "--config", "penstock.toml"]).await;

    assert_ne!(ran.code(), Some(0));
    for setting in ["[limits] share:", "[limits] replicas_max:"] {
        assert!(ran.stderr.contains(setting), "{setting}: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains(PASSWORD));
}
