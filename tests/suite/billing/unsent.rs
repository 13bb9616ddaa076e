//! What was never sent costs nothing, whoever gave it up.

use super::market;
use serde_json::{Value, json};
use tests::{
    house::{House, Plan, chat_body},
    ledger::Ledger,
    wait::{self, LONG},
};
use tokio::task::JoinSet;

#[tokio::test]
async fn a_request_that_never_left_costs_nothing() {
    let provider = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = provider.local_addr().expect("it is bound");
    let settings = market();
    let plan = Plan::new(settings.clone()).upstream(&format!("https://{address}/v1"));
    let mut house = plan.open().await;
    let ask = |house: &House| {
        let client = house.client.clone();
        let body = chat_body("sim-economy-status500", json!({ "stream": true }));
        let request =
            house.request("ada", http::Method::POST, "/v1/chat/completions", &[], body.to_string());
        async move { client.try_send(request).await }
    };

    // The provider takes the connection, and never says a word of its handshake.
    let connected = async { provider.accept().await.expect("a connection").0 };
    let held = tokio::select! {
        connection = connected => connection,
        _answer = ask(&house) => wait::fail("an answer without a provider"),
    };
    let mut asked = JoinSet::new();
    asked.spawn(ask(&house));
    let held = (held, provider.accept().await.expect("a connection").0);
    let revoked = json!({ "project": "main", "owner": { "user": "ada" }, "active": false });
    house.apply(&settings.and("Key", "ada", revoked)).await;
    let answer = wait::within(LONG, "the refusal", asked.join_next()).await.expect("one was asked");
    let answer = answer.expect("it does not panic");

    let status = answer.map(|answer| answer.status).expect("an answer");
    assert_eq!(status, 403, "revoked while the connection was being made");
    assert!(house.terminate().await.success());
    drop(held);
    assert_eq!(house.usage("acme").await, Vec::<Value>::new());
    let pot = Ledger::open(house.folder()).pot();
    assert_eq!((pot.counted(), pot.overrun), (0, 0), "{pot:?}");
}
