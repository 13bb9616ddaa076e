//! Three gateways on one PostgreSQL: one budget, one truth, whoever dies or falls silent.

mod faults;

use super::postgres_store::Base;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, sync::Arc};
use tests::{
    client::Answer,
    house::{House, Plan, chat_body},
    json::At,
    postgres::Server,
    process::Running,
    record::Record,
    settings::Settings,
    wait::{self, LONG, SOON},
};
use tokio::{sync::Barrier, task::JoinSet};

const QUICK: &str = "sim-economy-out4-delay0-gap0";
const LOCKSTEP: &str = "sim-lockstep-out4";
const CLIENTS: usize = 200;
/// Rounds at the barrier in the suite; `tests/run replicas` makes more.
const ROUNDS: usize = 12;
/// Holds that fit in the budget of each round: from 1 on, in turn.
const FIT_MAX: usize = 7;

/// A house with two more gateways on its store.
struct Trio {
    base: Base,
    house: Arc<House>,
    others: Vec<Running>,
    urls: Vec<String>,
}

impl Trio {
    async fn open(base: Base, settings: Settings, with: &[(&str, &str, &str)]) -> Self {
        let plan = |settings| {
            let plan: Plan = base.plan(settings);
            with.iter().fold(plan, |plan, (section, key, value)| plan.with(section, key, value))
        };
        let house = plan(settings.clone()).open().await;
        let (mut others, mut urls) = (Vec::new(), vec![house.url().to_owned()]);
        for name in ["second", "third"] {
            let journal = format!("\"{name}.db\"");
            let config = plan(settings.clone()).with("journal", "path", &journal).toml();
            fs::write(house.folder().join(format!("{name}.toml")), config).expect("a file");
            let (other, url) = start(&house, name).await;
            others.push(other);
            urls.push(url);
        }
        Self { base, house: Arc::new(house), others, urls }
    }

    async fn ask(&self, at: usize, key: &str, model: &str) -> Answer {
        ask(&self.house, &self.urls[at], key, model).await
    }

    /// Every gateway knows this key.
    async fn knows(&self, key: &str) {
        for url in &self.urls {
            wait::until(SOON, "the key at every gateway", || async {
                let bearer = format!("Bearer {}", self.house.key(key));
                let headers = [("authorization", bearer.as_str())];
                let url = format!("{url}/v1/models");
                let request = tests::client::build(http::Method::GET, &url, &headers, "".into());
                let status = self.house.client.send(request).await.status;
                if status == 200 { Ok(()) } else { Err(status.to_string()) }
            })
            .await;
        }
    }

    /// All of them end in order.
    async fn end(self) -> (Base, House) {
        let mut house = Arc::into_inner(self.house).expect("every client has ended");
        assert!(house.terminate().await.success());
        for mut other in self.others {
            assert!(other.terminate().await.success());
        }
        (self.base, house)
    }
}

async fn start(house: &House, name: &str) -> (Running, String) {
    let config = format!("{name}.toml");
    let mut other = Running::start(house.folder(), name, &["serve", "--config", &config]);
    let url = other.said("client listener on ").await.trim().to_owned();
    (other, url)
}

async fn ask(house: &House, url: &str, key: &str, model: &str) -> Answer {
    let bearer = format!("Bearer {}", house.key(key));
    let body = chat_body(model, json!({ "stream": true })).to_string();
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let url = format!("{url}/v1/chat/completions");
    let request = tests::client::build(http::Method::POST, &url, &headers, body.into());
    house.client.send(request).await
}

/// The answer came, to its end.
async fn whole(answer: Answer) {
    assert_eq!(answer.status, 200);
    assert!(answer.text().await.ends_with("[DONE]\n\n"));
}

fn shop() -> Settings {
    Settings::of("acme").model(QUICK, &[QUICK]).model(LOCKSTEP, &[LOCKSTEP]).key("probe")
}

fn own() -> Base {
    Base::on(Arc::new(Server::own().expect("PostgreSQL")))
}

fn shared() -> Base {
    Base::on(Server::shared().expect("PostgreSQL"))
}

fn usd(nano: i64) -> String {
    format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000)
}

/// What a gateway sets aside for one request, and what it costs.
async fn probe(trio: &Trio) -> (i64, i64) {
    whole(trio.ask(0, "probe", QUICK).await).await;
    let rows = trio.house.usage_once("acme", "the probe", |rows| !rows.is_empty()).await;
    let record = Record::all(&rows).pop().expect("a record");
    (record.hold, record.cost)
}

async fn apply(trio: &mut Trio, settings: &Settings) {
    Arc::get_mut(&mut trio.house).expect("no client is under way").apply(settings).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_gateway_does_not_use_is_had_by_another_that_lacks_it() {
    let mut trio = Trio::open(shared(), shop(), &[]).await;
    let (hold, _) = probe(&trio).await;
    let settings = shop().key("tight").budget("tight", &json!({ "key": "tight" }), &usd(3 * hold));
    apply(&mut trio, &settings).await;
    trio.knows("tight").await;

    // The first gateway is lent two holds, and has nearly all of it unused.
    for _ in 0..2 {
        whole(trio.ask(0, "tight", QUICK).await).await;
    }
    let lent = wait::until(SOON, "the shipped records", || async {
        let pots = trio.base.pots().await;
        let balance = pots.first().map(|pot| pot.balance).unwrap_or_default();
        if 0 < balance.settled.0 { Ok(balance) } else { Err(format!("{balance:?}")) }
    })
    .await;
    assert!(lent.free().0 < 2 * hold, "{lent:?}: else nothing has to be recalled");
    // The second needs the last free hold, and then what the first does not use.
    let second = async {
        let (one, two) =
            tokio::join!(trio.ask(1, "tight", LOCKSTEP), trio.ask(2, "tight", LOCKSTEP));
        let statuses = (one.status.as_u16(), two.status.as_u16());
        (statuses, one.text().await, two.text().await)
    };
    let finish = async {
        for nth in 1..=2 {
            let rows = || async {
                let rows = trio.house.oracle().all().await;
                let open: Vec<_> = rows.into_iter().filter(|row| row.model == LOCKSTEP).collect();
                if open.len() == nth { Ok(open) } else { Err(open.len().to_string()) }
            };
            let open = wait::until(SOON, "a request under way", rows).await;
            if nth == 2 {
                for row in open {
                    trio.house.oracle().finish(row.seq).await;
                }
            }
        }
    };
    let ((statuses, one, two), ()) = tokio::join!(second, finish);

    assert_eq!(statuses, (200, 200), "{one} {two}");
    let (base, _house) = trio.end().await;
    let balance = base.pots().await.first().expect("the budget").balance;
    assert!(balance.settled <= balance.limit);
    assert_eq!((balance.leased.0, balance.held.0, balance.unattributed.0), (0, 0, 0));
}

fn rounds() -> usize {
    #[expect(clippy::disallowed_methods, reason = "`tests/run replicas N` has no other way")]
    let told = std::env::var("PENSTOCK_TEST_ROUNDS");
    told.ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS)
}

fn key(round: usize) -> String {
    format!("round-{round}")
}

const fn fit(round: usize) -> usize {
    round % FIT_MAX + 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_clients_of_three_gateways_get_exactly_what_fits() {
    let mut trio = Trio::open(shared(), shop(), &[]).await;
    let (hold, _) = probe(&trio).await;
    let settings = (0..rounds()).fold(shop(), |settings, round| {
        let nano = hold * i64::try_from(fit(round)).expect("few") + hold / 2;
        let (key, on) = (key(round), json!({ "key": key(round) }));
        settings.key(&key).budget(&key, &on, &usd(nano))
    });
    apply(&mut trio, &settings).await;
    trio.knows(&key(rounds() - 1)).await;

    for round in 0..rounds() {
        let told = wait::within(LONG, "all clients", hammer(&trio, round)).await;
        assert_eq!(told.get(&200), Some(&fit(round)), "round {round}: {told:?}");
        assert_eq!(told.values().sum::<usize>(), CLIENTS, "round {round}: {told:?}");
    }

    let (base, house) = trio.end().await;
    let admitted: usize = (0..rounds()).map(fit).sum();
    let records = Record::all(&house.usage("acme").await);
    assert_eq!(records.len(), 1 + admitted);
    let pots = base.pots().await;
    assert_eq!(pots.len(), rounds());
    for pot in pots {
        let balance = pot.balance;
        assert!(balance.settled <= balance.limit && balance.overrun.0 == 0, "{balance:?}");
        let set_aside = (balance.leased.0, balance.held.0, balance.unattributed.0);
        assert_eq!(set_aside, (0, 0, 0), "{balance:?}");
    }
}

/// One round: all clients at once over three gateways, none of whose answers ends before all
/// others are refused: how many had which status. None is told that the budget is used up.
async fn hammer(trio: &Trio, round: usize) -> BTreeMap<u16, usize> {
    let before = trio.house.oracle().all().await.last().map_or(0, |row| row.seq);
    let barrier = Arc::new(Barrier::new(CLIENTS));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (house, barrier) = (Arc::clone(&trio.house), Arc::clone(&barrier));
        let url = trio.urls[client % trio.urls.len()].clone();
        clients.spawn(async move {
            barrier.wait().await;
            let answer = ask(&house, &url, &key(round), LOCKSTEP).await;
            (answer.status.as_u16(), answer.text().await)
        });
    }
    let mut told: BTreeMap<u16, usize> = BTreeMap::new();
    while told.values().sum::<usize>() < CLIENTS - fit(round) {
        let Some(ended) = clients.join_next().await else { break };
        let (status, text) = ended.expect("no panic");
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        // Money may come back: whether all who have some are heard of, or one is not.
        let open = ["budget_held", "budget_unsettled"].contains(&body.text("error.code"));
        assert!(open, "{status} {text}");
        *told.entry(status).or_default() += 1;
    }
    for row in trio.house.oracle().after(before).await {
        trio.house.oracle().finish(row.seq).await;
    }
    while let Some(ended) = clients.join_next().await {
        let (status, text) = ended.expect("no panic");
        assert!(status == 200 && text.ends_with("[DONE]\n\n"), "{status} {text}");
        *told.entry(status).or_default() += 1;
    }
    told
}
