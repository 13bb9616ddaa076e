//! Gateways and stores that die, freeze, sleep too long, or run twice.

use super::{LOCKSTEP, QUICK, Trio, own, shared, shop, start, whole};
use serde_json::json;
use std::{collections::BTreeMap, fs, sync::Arc};
use tests::{
    house::chat_body,
    json::At,
    process::Running,
    record::{Record, true_cost},
    wait::{self, SOON},
};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_dies_loses_nothing_and_stops_nobody() {
    let settings = shop().key("ada").budget("all", &json!("org"), "1000");
    let mut trio = Trio::open(shared(), settings, &[]).await;
    trio.knows("ada").await;
    let mut ended = 0;

    for kill in 0..3 {
        let mut open = JoinSet::new();
        for client in 0..9 {
            let (house, url) = (Arc::clone(&trio.house), trio.urls[client % 3].clone());
            open.spawn(async move {
                let (bearer, body) = (
                    format!("Bearer {}", house.key("ada")),
                    chat_body(QUICK, json!({ "stream": true })).to_string(),
                );
                let headers =
                    [("authorization", bearer.as_str()), ("content-type", "application/json")];
                let url = format!("{url}/v1/chat/completions");
                let request = tests::client::build(http::Method::POST, &url, &headers, body.into());
                match house.client.try_send(request).await {
                    Ok(answer) => {
                        answer.try_bytes().await.is_ok_and(|it| it.ends_with(b"[DONE]\n\n"))
                    }
                    Err(_) => false,
                }
            });
        }
        let victim = kill % 2;
        trio.others[victim].kill9();
        let whole = open.join_all().await.into_iter().filter(|whole| *whole).count();
        assert!(3 <= whole, "the others go on: {whole}");
        ended += whole;
        let name = ["second", "third"][victim];
        let (other, url) = start(&trio.house, name).await;
        trio.others[victim] = other;
        trio.urls[victim + 1] = url;
    }

    let seen = trio.house.oracle().at_rest().await;
    let (base, house) = trio.end().await;
    let records = Record::all(&house.usage("acme").await);
    let by_key: BTreeMap<String, &Record> = records.iter().map(|it| (it.key(), it)).collect();
    assert_eq!(by_key.len(), records.len(), "none twice");
    assert!(ended <= records.len());
    for row in &seen {
        let record = by_key.get(row.joins()).unwrap_or_else(|| panic!("no record of {row:?}"));
        assert!(true_cost(row) <= record.counted, "{record:?} counts less than {row:?}");
    }
    let sum = |of: fn(&Record) -> i64| records.iter().map(of).sum::<i64>();
    let balance = base.pots().await.first().expect("the budget").balance;
    assert_eq!(balance.settled.0, sum(|it| it.cost));
    assert_eq!(balance.held.0, sum(|it| it.counted - it.cost), "what is not known");
    assert_eq!((balance.leased.0, balance.unattributed.0, balance.overrun.0), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_store_serves_what_is_lent_and_never_calls_a_good_key_bad() {
    let settings = shop()
        .key("rich")
        .key("free")
        .key("late")
        .budget("rich", &json!({ "key": "rich" }), "1000")
        .budget("late", &json!({ "key": "late" }), "1000");
    let trio = Trio::open(own(), settings, &[]).await;
    trio.knows("late").await;
    for at in 0..3 {
        whole(trio.ask(at, "rich", QUICK).await).await;
    }

    for fault in ["frozen", "dead"] {
        match fault {
            "frozen" => trio.base.server.freeze(),
            _ => trio.base.server.kill9(),
        }
        for at in 0..3 {
            for key in ["rich", "free"] {
                let answer = trio.ask(at, key, QUICK).await;
                assert_eq!(answer.status, 200, "{fault}: {key} at {at}");
                assert!(answer.text().await.ends_with("[DONE]\n\n"));
            }
            if fault == "frozen" {
                let answer = trio.ask(at, "late", QUICK).await;
                assert_eq!(answer.status, 503, "nothing is lent for it");
                assert!(answer.header("retry-after").is_some());
                assert_eq!(answer.json().await.text("error.code"), "unavailable");
            }
        }
        match fault {
            "frozen" => trio.base.server.thaw(),
            _ => trio.base.server.start_again().expect("it recovers"),
        }
        for at in 0..3 {
            wait::until(SOON, "an answer under a budget that is new", || async {
                let answer = trio.ask(at, "late", QUICK).await;
                let status = answer.status.as_u16();
                answer.text().await;
                assert_ne!(status, 401, "{fault}: a good key");
                if status == 200 { Ok(()) } else { Err(status.to_string()) }
            })
            .await;
        }
    }

    let seen = trio.house.oracle().at_rest().await;
    let (base, house) = trio.end().await;
    let records = Record::all(&house.usage("acme").await);
    assert_eq!(records.len(), seen.len(), "one record for each answer");
    let pots = base.pots().await;
    assert_eq!(pots.len(), 2);
    for pot in pots {
        let balance = pot.balance;
        assert_eq!((balance.leased.0, balance.held.0, balance.unattributed.0), (0, 0, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_sleeps_too_long_begins_anew_and_ends_what_it_had() {
    let short = [("budget", "self_fence_secs", "1"), ("budget", "silence_secs", "2")];
    let settings = shop().key("ada").budget("all", &json!("org"), "1000");
    let trio = Trio::open(shared(), settings, &short).await;
    trio.knows("ada").await;
    let open = async { trio.ask(1, "ada", LOCKSTEP).await.text().await };

    let sleep = async {
        let oracle = trio.house.oracle();
        let row = oracle.once("the request under way", |row| row.model == LOCKSTEP).await;
        trio.others[0].signal("STOP");
        wait::until(SOON, "the silent one given up", || async {
            let pots = trio.base.pots().await;
            let lost = pots.first().map_or(0, |pot| pot.balance.unattributed.0);
            if 0 < lost { Ok(()) } else { Err(format!("{pots:?}")) }
        })
        .await;
        trio.others[0].signal("CONT");
        trio.house.oracle().finish(row.seq).await;
    };
    let (text, ()) = tokio::join!(open, sleep);
    assert!(text.ends_with("[DONE]\n\n"), "{text}");
    wait::until(SOON, "what was lent comes back", || async {
        let balance = trio.base.pots().await.first().map(|pot| pot.balance).unwrap_or_default();
        let done = balance.unattributed.0 == 0 && 0 < balance.settled.0;
        if done { Ok(()) } else { Err(format!("{balance:?}")) }
    })
    .await;
    wait::until(SOON, "new requests at the one that slept", || async {
        let answer = trio.ask(1, "ada", QUICK).await;
        let status = answer.status;
        answer.text().await;
        if status == 200 { Ok(()) } else { Err(status.to_string()) }
    })
    .await;

    let (base, house) = trio.end().await;
    let records = Record::all(&house.usage("acme").await);
    let balance = base.pots().await.first().expect("the budget").balance;
    assert_eq!(balance.settled.0, records.iter().map(|it| it.cost).sum::<i64>());
    assert_eq!((balance.leased.0, balance.held.0, balance.unattributed.0), (0, 0, 0));
    assert_eq!(balance.overrun.0, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_a_journal_is_not_believed_while_its_gateway_lives() {
    let settings = shop().key("ada").budget("all", &json!("org"), "1000");
    let trio = Trio::open(shared(), settings, &[]).await;
    trio.knows("ada").await;
    whole(trio.ask(1, "ada", QUICK).await).await;

    for file in fs::read_dir(trio.house.folder()).expect("the folder") {
        let path = file.expect("a file").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if let Some(rest) = name.strip_prefix("second.db") {
            fs::copy(&path, trio.house.path(&format!("copy.db{rest}"))).expect("a copy");
        }
    }
    let config = fs::read_to_string(trio.house.path("second.toml")).expect("a file");
    fs::write(trio.house.path("copy.toml"), config.replace("second.db", "copy.db")).expect("it");
    let mut copy = Running::start(trio.house.folder(), "copy", &["serve", "--config", "copy.toml"]);
    wait::until(SOON, "the copy waits", || async {
        let told = copy.stderr();
        if told.contains("another gateway had this journal") { Ok(()) } else { Err(told) }
    })
    .await;
    whole(trio.ask(1, "ada", QUICK).await).await;
    copy.kill9();

    let (base, house) = trio.end().await;
    let balance = base.pots().await.first().expect("the budget").balance;
    assert_eq!(Record::all(&house.usage("acme").await).len(), 2);
    assert_eq!((balance.leased.0, balance.unattributed.0, balance.overrun.0), (0, 0, 0));
}
