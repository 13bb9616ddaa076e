//! The audit log: nothing is done without it, nobody can tamper with it unseen, and all of it
//! leaves the house.

mod leaving;
mod tampering;

use http::Method;
use rusqlite::Connection;
use serde_json::{Value, json};
use tests::{
    client,
    house::{House, Plan},
    json::At,
    settings::Settings,
    wait::{self, SOON},
};

const MODEL: &str = "sim-economy-out4-delay0-gap0";
const CHECKPOINTS: &str = "checkpoints.ndjson";

/// An org with an owner who has an admin key `<org>-boss`, and a caller `<org>-ada`.
fn org(name: &str) -> Settings {
    Settings::of(name)
        .model(&format!("{name}-model"), &[MODEL])
        .key(&format!("{name}-ada"))
        .and("User", "boss", json!({ "roles": ["owner"] }))
        .and("AdminKey", &format!("{name}-boss"), json!({ "owner": { "user": "boss" } }))
}

fn plan(settings: Settings) -> Plan {
    Plan::new(settings).with("audit", "checkpoints", &format!("[\"file:{CHECKPOINTS}\"]")).with(
        "audit",
        "checkpoint_secs",
        "1",
    )
}

async fn ask(house: &House, key: &str, method: Method, path: &str, body: &Value) -> (u16, String) {
    let url = format!("{}{path}", house.admin_url());
    let bearer = format!("Bearer {}", house.key(key));
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = house.client.send(client::build(method, &url, &headers, body.into())).await;
    (answer.status.as_u16(), answer.text().await)
}

async fn make_unit(house: &House, org: &str, name: &str) -> u16 {
    let body = json!({ "name": name });
    ask(house, &format!("{org}-boss"), Method::POST, "/admin/v1/units", &body).await.0
}

/// The rows of an org as the API exports them.
async fn rows(house: &House, org: &str) -> Vec<Value> {
    let key = format!("{org}-boss");
    let path = "/admin/v1/audit/export";
    let (status, text) = ask(house, &key, Method::GET, path, &Value::Null).await;
    assert_eq!(status, 200, "{text}");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn store(house: &House) -> Connection {
    let connection = Connection::open(house.path("penstock.db")).expect("the store");
    connection.busy_timeout(SOON).expect("a timeout");
    connection
}

#[tokio::test]
async fn a_change_whose_row_cannot_be_written_is_no_change_and_requests_go_on() {
    let house = House::open(org("acme")).await;
    assert_eq!(make_unit(&house, "acme", "before").await, 201);
    store(&house)
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT raise(ABORT, 'full'); END;",
        )
        .unwrap();

    let refused = make_unit(&house, "acme", "never").await;
    let served = house.chat("acme-ada", "acme-model", json!({})).await.status;
    let export = ask(&house, "acme-boss", Method::GET, "/admin/v1/audit/export", &Value::Null);
    let shown = export.await.0;

    assert!((500..600).contains(&refused), "{refused}");
    assert_eq!(served, 200);
    assert!((500..600).contains(&shown), "what cannot be written down is not shown");
    store(&house).execute_batch("DROP TRIGGER full").unwrap();
    let units = ask(&house, "acme-boss", Method::GET, "/admin/v1/units", &Value::Null).await.1;
    assert!(units.contains("before") && !units.contains("never"), "{units}");
    assert_eq!(make_unit(&house, "acme", "after").await, 201);
}

#[tokio::test]
async fn two_orgs_have_two_chains_and_neither_holds_a_row_of_the_other() {
    let house = House::open(org("acme").with(org("globex"))).await;
    for (org, unit) in [("acme", "anvils"), ("globex", "gadgets"), ("acme", "traps")] {
        assert_eq!(make_unit(&house, org, unit).await, 201);
    }

    let (acme, globex) = (rows(&house, "acme").await, rows(&house, "globex").await);

    for (rows, own, foreign) in
        [(&acme, ["anvils", "traps"], "gadgets"), (&globex, ["gadgets", "gadgets"], "anvils")]
    {
        let text = format!("{rows:?}");
        assert!(own.iter().all(|unit| text.contains(unit)) && !text.contains(foreign), "{text}");
        let org = rows[0].text("org");
        assert!(rows.iter().all(|row| row.text("org") == org));
        let seqs: Vec<i64> = rows.iter().map(|row| row.int("seq")).collect();
        assert_eq!(seqs, (1..=i64::try_from(rows.len()).unwrap()).collect::<Vec<_>>());
    }
    assert_ne!(acme[0].text("org"), globex[0].text("org"));
}

#[tokio::test]
async fn refusals_of_security_are_counted_in_the_log_with_their_requests() {
    let deny = json!({ "rules": [{ "label": "pci", "action": "deny" }] });
    let house = plan(org("acme").and("Policy", "no cards", deny)).open().await;
    let card = json!({ "messages": [{ "role": "user", "content": "4111 1111 1111 1111" }] });
    let mut ids = Vec::new();
    for _ in 0..3 {
        let answer = house.chat("acme-ada", "acme-model", card.clone()).await;
        assert_eq!(answer.status, 400);
        ids.push(answer.request_id());
    }
    let bearer = [("authorization", "Bearer psk_nobody")];
    for _ in 0..4 {
        let url = format!("{}/v1/models", house.url());
        let request = client::build(Method::GET, &url, &bearer, bytes::Bytes::new());
        assert_eq!(house.client.send(request).await.status, 401);
    }

    let denied = wait::until(SOON, "the refusals' rows", || async {
        let rows = rows(&house, "acme").await;
        let ours = rows.iter().filter(|row| row.text("act.action") == "request.policy_denied");
        let named = ours.flat_map(|row| row.list("act.after.requests").to_vec());
        let named: Vec<Value> = named.collect();
        if named.len() == ids.len() { Ok(named) } else { Err(format!("{named:?}")) }
    });
    let denied = denied.await;
    let failed = wait::until(SOON, "the failures' row", || async {
        let text = house.run(&["audit", "export", "--org", "penstock"]).await.stdout;
        let rows = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let ours = rows.filter(|row| row.text("act.action") == "authentication.failed");
        let count: i64 = ours.map(|row| row.int("act.after.count")).sum();
        if 0 < count { Ok(count) } else { Err(text) }
    });

    assert_eq!(denied, ids.iter().map(|id| json!(id)).collect::<Vec<_>>());
    // Those that came after the first row are told a minute later.
    assert!((1..=4).contains(&failed.await));
}

#[tokio::test]
async fn the_recipe_of_the_manual_works_with_the_tools_that_it_names() {
    let page = include_str!("../../admin/manual/audit.md");
    let folder = tempfile::tempdir().unwrap();
    for (name, begin) in
        [("row.ndjson", "{\"org\":\"org_"), ("checkpoint.ndjson", "{\"version\":1,")]
    {
        let line = page.lines().map(str::trim).find(|line| line.starts_with(begin)).unwrap();
        std::fs::write(folder.path().join(name), format!("{line}\n")).unwrap();
    }
    for name in ["row", "checkpoint"] {
        let (_, rest) = page.split_once(&format!("# recipe: {name}\n")).unwrap();
        let (script, rest) = rest.split_once("\n\nprints\n\n").unwrap();
        let expected = rest.lines().next().unwrap().trim();

        let ran = std::process::Command::new("sh")
            .args(["-c", script])
            .current_dir(folder.path())
            .output()
            .unwrap();

        let said = String::from_utf8_lossy(&ran.stdout);
        assert_eq!(said.trim(), expected, "{name}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}
