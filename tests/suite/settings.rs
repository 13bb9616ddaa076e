//! Settings are checked whole before anything changes, and every mistake is told with its place.

mod applying;
mod commands;

use serde_json::{Value, json};
use std::fs;
use tests::{
    house::{House, Plan},
    json::At,
    process::{self, Ran},
    settings::Settings,
    wait::{self, SOON},
};

const QUICK: &str = "sim-economy-out4-delay0-gap0";
const EXPORT: [&str; 3] = ["export-config", "--config", "penstock.toml"];
const APPLIED_MILLIS_MAX: u128 = 1_000;

#[tokio::test]
async fn every_mistake_of_a_config_is_told_at_once() {
    let text = "\
[client]
listen = \"127.0.0.1:0\"
lisen = \"127.0.0.1:0\"
[edge]
header_millis = \"soon\"
[jounal]
path = \"x\"
[log]
format = \"xml\"
";
    for command in ["check-config", "serve"] {
        let ran = with_config(text, command).await;

        assert!(matches!(ran.code(), Some(code) if code != 0), "{command}: {ran:?}");
        for word in ["lisen", "header_millis", "jounal", "format"] {
            assert!(ran.stderr.contains(word), "{command} does not tell `{word}`:\n{}", ran.stderr);
        }
    }
}

#[tokio::test]
async fn a_config_that_contradicts_itself_does_not_start() {
    let contradictions = [
        ("[client]\nlisten = \"127.0.0.1:7777\"\n[admin]\nlisten = \"127.0.0.1:7777\"\n", "listen"),
        ("[journal]\nrequests_in_flight_max = 0\n", "requests_in_flight_max"),
        ("[store]\nurl = \"mysql://somewhere\"\n", "url"),
    ];
    for (text, word) in contradictions {
        let ran = with_config(text, "check-config").await;

        assert!(matches!(ran.code(), Some(code) if code != 0), "{text}: {ran:?}");
        assert!(ran.stderr.contains(word), "`{word}` is not told:\n{}", ran.stderr);
    }
}

#[tokio::test]
async fn a_good_config_is_said_to_be_good() {
    let text = Plan::new(Settings::of("acme")).toml();

    let ran = with_config(&text, "check-config").await;

    assert!(ran.status.success(), "{ran:?}");
}

#[tokio::test]
async fn every_mistake_of_an_apply_file_is_told_with_its_place_and_nothing_changes() {
    let house = House::open(shop()).await;
    let before = house.run(&EXPORT).await.ok();
    let mistaken = "\
apiVersion: penstock/v1
kind: User
org: acme
name: bob
---
apiVersion: penstock/v1
kind: Budget
org: acme
name: wrong amount
on: org
limit: \"twelve\"
period: month
---
apiVersion: penstock/v1
kind: Key
org: acme
name: lost
project: nowhere
owner: {user: nobody}
---
apiVersion: penstock/v1
kind: Tier
org: acme
name: t
rank: 1
colour: red
deployments: []
---
apiVersion: penstock/v1
kind: Castle
name: x
";

    let ran = house.try_apply(mistaken).await;

    assert!(!ran.status.success());
    let told = format!("{}{}", ran.stdout, ran.stderr);
    for (line, word) in
        [(11, "limit"), (18, "nowhere"), (19, "nobody"), (26, "colour"), (30, "Castle")]
    {
        let near = (line - 5..=line).any(|line| {
            told.lines().any(|told| {
                told.starts_with(&format!("settings.yaml:{line}:")) && told.contains(word)
            })
        });
        assert!(near, "`{word}` near line {line} is not told:\n{told}");
    }
    assert_eq!(house.run(&EXPORT).await.ok(), before, "something was applied");
}

#[tokio::test]
async fn a_file_that_is_no_yaml_changes_nothing_and_says_where() {
    let house = House::open(shop()).await;
    let before = house.run(&EXPORT).await.ok();

    for text in
        ["kind: [Org", "- a\n- b\n", "kind: Org\nkind: Org\nname: x\n", "{\"kind\": \"Org\""]
    {
        let ran = house.try_apply(text).await;
        assert!(!ran.status.success(), "{text}");
        assert!(ran.stderr.contains("settings.yaml"), "{}", ran.stderr);
    }

    assert_eq!(house.run(&EXPORT).await.ok(), before);
}

#[tokio::test]
async fn a_deployment_without_a_price_is_refused() {
    let house = House::open(shop()).await;
    let unpriced = Settings::bare("acme").and(
        "Deployment",
        "dear",
        json!({ "provider": "sim", "model": QUICK }),
    );

    let ran = house.try_apply(&unpriced.render(house.upstream())).await;

    assert!(!ran.status.success());
    assert!(ran.stderr.contains("dear") && ran.stderr.contains("price"), "{}", ran.stderr);
}

#[tokio::test]
async fn applying_twice_changes_nothing_and_makes_no_key_anew() {
    let mut house = House::open(shop()).await;
    let (key, before) = (house.key("ada").to_owned(), house.run(&EXPORT).await.ok());

    let said = house.apply(&shop()).await;

    assert!(said.contains("no changes"), "{said}");
    assert_eq!(house.key("ada"), key);
    assert_eq!(house.run(&EXPORT).await.ok(), before);
}

#[tokio::test]
async fn what_export_config_says_apply_takes_and_gets_the_same() {
    let house = House::open(shop()).await;
    let text = house.run(&EXPORT).await.ok();
    assert!(!text.contains(house.key("ada")), "a secret is exported");

    let again = house.try_apply(&text).await.ok();
    let elsewhere = House::open(Settings::of("other")).await;
    elsewhere.try_apply(&text).await.ok();
    let there = ["export-config", "--config", "penstock.toml", "--org", "acme"];

    assert!(again.contains("no changes"), "{again}");
    assert_eq!(elsewhere.run(&there).await.ok(), text);
}

#[tokio::test]
async fn a_dry_run_shows_the_change_and_does_not_make_it() {
    let house = House::open(shop()).await;
    let before = house.run(&EXPORT).await.ok();
    let more = shop().and("User", "bob", json!({})).render(house.upstream());
    fs::write(house.path("more.yaml"), more).unwrap();

    let args = ["apply", "-f", "more.yaml", "--config", "penstock.toml", "--dry-run"];
    let said = house.run(&args).await.ok();

    assert!(said.contains("bob"), "{said}");
    assert_eq!(house.run(&EXPORT).await.ok(), before);
}

#[tokio::test]
async fn a_change_is_in_force_within_a_second_and_shows_its_revision() {
    let mut house = House::open(shop()).await;
    let first = house.chat("ada", QUICK, json!({})).await;
    let before: u64 = first.header("x-penstock-revision").unwrap().parse().unwrap();
    first.bytes().await;

    let stopped = json!({ "project": "main", "owner": { "user": "ada" }, "active": false });
    house.apply(&shop().and("Key", "ada", stopped)).await;
    let begin = tokio::time::Instant::now();
    wait::until(SOON, "the end of the key", || async {
        let status = house.chat("ada", QUICK, json!({})).await.status;
        if status == 401 { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    let took = begin.elapsed();
    house.apply(&shop()).await;
    let after = wait::until(SOON, "the key again", || async {
        let answer = house.chat("ada", QUICK, json!({})).await;
        let revision = answer.header("x-penstock-revision").map(str::to_owned);
        if answer.status == 200 { Ok(revision.unwrap()) } else { Err(answer.status.to_string()) }
    })
    .await;

    assert!(took.as_millis() <= APPLIED_MILLIS_MAX, "{took:?}");
    assert_eq!(after.parse::<u64>().unwrap(), before + 2);
}

#[tokio::test]
async fn a_stream_keeps_the_revision_that_it_began_with() {
    let model = "sim-economy-out60-delay0-gap10";
    let mut house = House::open(shop().model(model, &[model])).await;

    let mut events = house.stream("ada", model, json!({})).await;
    events.next().await;
    house.apply(&shop().model(model, &[QUICK]).key("new")).await;
    house.knows("new").await;
    let rest = events.rest().await;

    assert_eq!(rest.last(), Some(&tests::sse::Event::Done));
}

#[tokio::test]
async fn help_teaches_and_nonsense_is_refused_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();

    let help = process::run(folder.path(), &["--help"]).await.ok();
    let nonsense = process::run(folder.path(), &["sreve"]).await;

    for command in
        ["demo", "serve", "apply", "export-config", "export", "usage", "check-config", "simulate"]
    {
        assert!(help.contains(command), "{command} is not in\n{help}");
    }
    assert_eq!(nonsense.code(), Some(2));
    assert!(nonsense.stderr.contains("serve"), "{}", nonsense.stderr);
}

#[tokio::test]
async fn the_admin_listener_tells_life_and_readiness_and_the_client_listener_has_no_admin_routes() {
    let house = House::open(shop()).await;

    for path in ["/healthz", "/readyz"] {
        let answer = house.client.get(&format!("{}{path}", house.admin_url())).await;
        assert_eq!(answer.status, 200, "{path}");
    }
    let there = house.get("ada", "/admin/v1/orgs").await;

    assert_eq!(there.status, 404);
    let body: Value = there.json().await;
    assert!(!body.text("error.message").is_empty());
}

fn shop() -> Settings {
    Settings::of("acme").model(QUICK, &[QUICK]).key("ada")
}

async fn with_config(text: &str, command: &str) -> Ran {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("penstock.toml"), text).expect("a file");
    process::run(folder.path(), &[command, "--config", "penstock.toml"]).await
}
