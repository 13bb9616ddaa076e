//! The product on PostgreSQL: what it does on SQLite, and two gateways on one budget.

use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};
use store::{Balances, Directory, PotState, postgres::Postgres, seal::MasterKey};
use tests::{
    house::{House, Plan, chat_body},
    json::At,
    postgres::Server,
    process::Running,
    record::{Record, true_cost},
    settings::Settings,
    wait::{self, LONG, SOON},
};
use tokio::{sync::Barrier, task::JoinSet};

const MODEL: &str = "sim-economy-out4-delay0-gap0";
const LOCKSTEP: &str = "sim-lockstep-out4";
/// Requests before each kill, and requests under way when it comes.
const ENDED: usize = 12;
const OPEN: usize = 3;
const KILLS: usize = 3;
/// Clients of two gateways, half of them of each, and holds that fit in their budget.
const CLIENTS: usize = 200;
const FIT: usize = 9;
/// It opens nothing here: the server trusts its socket. It must not be seen anywhere.
const PASSWORD: &str = "correct-horse-7319";

/// A database, and the file with its URL.
pub(crate) struct Base {
    /// Outlives the gateways.
    pub(crate) server: Arc<Server>,
    folder: tempfile::TempDir,
    url: String,
}

impl Base {
    fn new() -> Self {
        Self::on(Server::shared().expect("PostgreSQL"))
    }

    pub(crate) fn on(server: Arc<Server>) -> Self {
        let url = server.database().expect("a database");
        let url = url.replace("owner@", &format!("owner:{PASSWORD}@"));
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("url"), format!("{url}\n")).expect("a file");
        // Gateways that share a store share its master key.
        let key = MasterKey::generate().expect("randomness").1;
        let path = folder.path().join("master.key");
        fs::write(&path, key.expose()).expect("a file");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        Self { server, folder, url }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("url")
    }

    pub(crate) fn plan(&self, settings: Settings) -> Plan {
        let file = format!("{:?}", self.file().display().to_string());
        let key = format!("{:?}", self.folder.path().join("master.key").display().to_string());
        Plan::new(settings).with("store", "url_file", &file).with(
            "secrets",
            "master_key_file",
            &key,
        )
    }

    /// Every org's pots, seen beside the product.
    pub(crate) async fn pots(&self) -> Vec<PotState> {
        let store = Postgres::open(&self.url).await.expect("the database");
        let mut pots = Vec::new();
        for (org, _) in store.revisions().await.expect("orgs") {
            pots.extend(store.pots(&org, policies::time::Timestamp(0)).await.expect("pots"));
        }
        pots
    }
}

fn shop() -> Settings {
    Settings::of("acme").model(MODEL, &[MODEL]).model(LOCKSTEP, &[LOCKSTEP]).key("ada")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_stays_exact_on_postgres_through_kills() {
    let base = Base::new();
    let settings = shop().budget("all", &json!("org"), "1000");
    let mut house = base.plan(settings).open().await;

    for kill in 1..=KILLS {
        for _ in 0..ENDED {
            let answer = house.chat("ada", MODEL, json!({ "stream": true })).await;
            assert!(answer.text().await.ends_with("[DONE]\n\n"));
        }
        let before = house.oracle().all().await.last().map_or(0, |row| row.seq);
        let shared = Arc::new(house);
        let mut open = JoinSet::new();
        for _ in 0..OPEN {
            let house = Arc::clone(&shared);
            let body = json!({ "stream": true });
            open.spawn(async move { house.try_chat("ada", LOCKSTEP, body).await.is_ok() });
        }
        wait::until(SOON, "the open requests", || async {
            let rows = shared.oracle().after(before).await;
            if rows.len() == OPEN { Ok(()) } else { Err(rows.len().to_string()) }
        })
        .await;
        shared.gateway_signal("KILL");
        open.join_all().await;
        house = Arc::into_inner(shared).expect("every client has ended");
        house.kill9();
        house.start().await;
        let rows = kill * (ENDED + OPEN);
        house.usage_once("acme", "the records", |records| records.len() == rows).await;
    }
    let seen = house.oracle().at_rest().await;
    assert!(house.terminate().await.success());

    let records = Record::all(&house.usage("acme").await);
    let by_key: BTreeMap<String, &Record> = records.iter().map(|it| (it.key(), it)).collect();
    assert_eq!((by_key.len(), seen.len()), (records.len(), records.len()), "none twice, none lost");
    for row in &seen {
        let record = by_key.get(row.joins()).unwrap_or_else(|| panic!("no record of {row:?}"));
        assert!(true_cost(row) <= record.counted, "{record:?} counts less than {row:?}");
    }
    let sum = |of: fn(&Record) -> i64| records.iter().map(of).sum::<i64>();
    let balance = base.pots().await.first().expect("the budget").balance;
    assert_eq!(balance.settled.0, sum(|it| it.cost));
    assert_eq!(balance.held.0, sum(|it| it.counted - it.cost), "what is not known");
    assert_eq!((balance.leased.0, balance.unattributed.0, balance.overrun.0), (0, 0, 0));
    assert!(0 < balance.held.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_works_on_postgres_and_none_shows_the_password() {
    let base = Base::new();
    let house = base.plan(shop().budget("all", &json!("org"), "1000")).open().await;
    let example = gateway::cli::demo::EXAMPLE.replace("${SIMULATED_URL}", house.upstream());
    house.try_apply(&example).await.ok();
    house.chat("ada", MODEL, json!({})).await.bytes().await;
    house.usage_once("acme", "the record", |rows| rows.len() == 1).await;

    let config = ["--config", "penstock.toml"];
    let ran = async |args: &[&str]| house.run(&[args, &config].concat()).await.ok();
    let settings = ran(&["export-config"]).await;
    fs::write(house.path("again.yaml"), &settings).expect("a file");
    let again = ran(&["apply", "-f", "again.yaml", "--dry-run"]).await;
    let csv = ran(&["export", "usage", "--org", "acme", "--format", "csv"]).await;
    let report = ran(&["usage", "--org", "acme", "--by", "model,day", "--format", "json"]).await;
    let checked = ran(&["check-config"]).await;

    assert!(settings.contains("kind: Org") && settings.contains("acme"), "{settings}");
    assert!(again.starts_with("no changes"), "{again}");
    assert_eq!(csv.lines().count(), 2, "{csv}");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert!(report.to_string().contains(MODEL), "{report}");
    assert!(checked.contains("postgres://owner@localhost/"), "{checked}");
    let told = [settings, again, csv, checked, house.said()].concat();
    assert!(!told.contains(PASSWORD));
    for (file, bytes) in house.written() {
        assert!(!String::from_utf8_lossy(&bytes).contains(PASSWORD), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_stops_the_start_and_says_no_password() {
    let base = Base::new();
    let house = base.plan(shop()).open().await;
    let nowhere =
        format!("postgres://ada:{PASSWORD}@localhost/x?host={}", house.folder().display());
    fs::write(base.file(), nowhere).expect("a file");

    let ran = house.run(&["export-config", "--config", "penstock.toml"]).await;

    assert_eq!(ran.code(), Some(1));
    assert!(
        ran.stderr.contains("opening the store `postgres://ada@localhost/x`"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_on_one_postgres_never_spend_more_than_the_budget() {
    let base = Base::new();
    let plan = || base.plan(shop()).with("budget", "wait_millis", "0");
    let mut house = plan().open().await;
    let hold = hold_of_one_request(&house).await;
    let nano = hold * i64::try_from(FIT).expect("few") + hold / 2;
    let usd = format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000);
    house.apply(&shop().key("poor").budget("poor", &json!({ "key": "poor" }), &usd)).await;
    let second = plan().with("journal", "path", "\"second.db\"").toml();
    let (mut other, url) = start_second(house.folder(), &second).await;
    house.knows("poor").await;
    let house = Arc::new(house);
    let urls = [house.url().to_owned(), url];

    let before = house.oracle().all().await.last().map_or(0, |row| row.seq);
    let told = wait::within(LONG, "all clients", hammer(&house, &urls, before)).await;

    let admitted = told.get(&200).copied().unwrap_or_default();
    assert!((1..=FIT).contains(&admitted), "{told:?}");
    assert_eq!(told.values().sum::<usize>(), CLIENTS, "{told:?}");
    let mut house = Arc::into_inner(house).expect("every client has ended");
    assert!(house.terminate().await.success());
    assert!(other.terminate().await.success());
    let records = Record::all(&house.usage("acme").await);
    assert_eq!(records.len(), 1 + admitted);
    let pots = base.pots().await;
    let balance = pots.first().expect("the budget").balance;
    let cost: i64 = records.iter().skip(1).map(|record| record.cost).sum();
    assert_eq!((pots.len(), balance.settled.0, balance.held.0), (1, cost, 0));
    assert_eq!((balance.leased.0, balance.unattributed.0, balance.overrun.0), (0, 0, 0));
    assert!(balance.settled <= balance.limit, "{balance:?}");
}

/// A second gateway on the same store, and its URL.
async fn start_second(folder: &Path, config: &str) -> (Running, String) {
    fs::write(folder.join("second.toml"), config).expect("a file");
    let mut other = Running::start(folder, "second", &["serve", "--config", "second.toml"]);
    let url = other.said("client listener on ").await.trim().to_owned();
    (other, url)
}

/// All clients at once, each at one of the gateways: how many had which status. The answers of
/// those that are admitted begin and do not end before all others are refused.
async fn hammer(house: &Arc<House>, urls: &[String; 2], before: u64) -> BTreeMap<u16, usize> {
    let barrier = Arc::new(Barrier::new(CLIENTS));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (house, barrier) = (Arc::clone(house), Arc::clone(&barrier));
        let url = format!("{}/v1/chat/completions", urls[client % 2]);
        clients.spawn(async move {
            let bearer = format!("Bearer {}", house.key("poor"));
            let body = chat_body(LOCKSTEP, json!({ "stream": true })).to_string();
            let headers =
                [("authorization", bearer.as_str()), ("content-type", "application/json")];
            let request = tests::client::build(http::Method::POST, &url, &headers, body.into());
            barrier.wait().await;
            let answer = house.client.send(request).await;
            let status = answer.status.as_u16();
            (status, answer.text().await)
        });
    }
    let mut told: BTreeMap<u16, usize> = BTreeMap::new();
    while told.values().sum::<usize>() < CLIENTS {
        let running = house.oracle().after(before).await.len();
        let refused = told.values().sum::<usize>();
        if running + refused == CLIENTS {
            break;
        }
        let next = tokio::time::timeout(SOON / 20, clients.join_next()).await;
        let Ok(Some(ended)) = next else { continue };
        let (status, text) = ended.expect("no panic");
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        assert!(body.text("error.code").starts_with("budget_"), "{status} {text}");
        *told.entry(status).or_default() += 1;
    }
    for row in house.oracle().after(before).await {
        house.oracle().finish(row.seq).await;
    }
    while let Some(ended) = clients.join_next().await {
        let (status, text) = ended.expect("no panic");
        assert!(status != 200 || text.ends_with("[DONE]\n\n"), "{text}");
        *told.entry(status).or_default() += 1;
    }
    told
}

/// What a gateway sets aside for one of the requests that the clients send.
async fn hold_of_one_request(house: &House) -> i64 {
    let stream = async {
        let body = chat_body(LOCKSTEP, json!({ "stream": true }));
        house.post("ada", "/v1/chat/completions", &body).await.bytes().await
    };
    let finish = async {
        let row = house.oracle().once("the probe", |_| true).await;
        house.oracle().finish(row.seq).await;
    };
    tokio::join!(stream, finish);
    let rows = house.usage_once("acme", "the probe's record", |rows| !rows.is_empty()).await;
    Record::all(&rows).first().expect("a record").hold
}
