//! Three gateways in a row, and steady demand at each of them.

use super::{GATEWAYS, LIMIT, LOCKSTEP, MODEL, REPLICAS_MAX};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    fs,
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use store::seal::MasterKey;
use tests::{
    client,
    house::{House, Plan, chat_body},
    json::At,
    postgres::Server,
    process::Running,
    redis::RedisServer,
    settings::Settings,
    wait::{self, LONG, SOON},
};
use tokio::{
    sync::Mutex as Turn,
    task::JoinSet,
    time::{Instant, interval},
};

/// Requests that one gateway is asked for in a second, and how long a run of them takes.
const PACE: u32 = 20;
const RUN: Duration = Duration::from_secs(20);

/// Three gateways on one PostgreSQL, which is the first one's house.
pub(super) struct Row {
    pub(super) house: House,
    /// The second and the third.
    _others: Vec<Running>,
    clients: Vec<String>,
    admins: Vec<String>,
    _server: Arc<Server>,
    _folder: tempfile::TempDir,
}

pub(super) type Redis = Arc<Turn<RedisServer>>;

/// What limits are shared by, and how long it may take to answer.
pub(super) struct Sharing<'r> {
    pub(super) redis: Option<&'r Redis>,
    pub(super) patience_millis: u32,
}

pub(super) fn shop(limit: &Value) -> Settings {
    let limit = tests::house::merged(json!({ "on": "org" }), limit.clone());
    Settings::of("acme")
        .model(MODEL, &[MODEL])
        .model(LOCKSTEP, &[LOCKSTEP])
        .key("ada")
        .and("Limit", "limit", limit)
}

impl Row {
    pub(super) async fn open(limit: &Value, sharing: Sharing<'_>) -> Self {
        let server = Server::shared().expect("PostgreSQL");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("master.key");
        fs::write(&path, MasterKey::generate().expect("randomness").1.expose()).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        let mut plan = Plan::new(shop(limit))
            .with("store", "url", &quoted(&server.database().expect("a database")))
            .with("secrets", "master_key_file", &quoted(&path.display().to_string()))
            .with("limits", "patience_millis", &sharing.patience_millis.to_string())
            .with("limits", "replicas_max", &REPLICAS_MAX.to_string());
        if let Some(redis) = sharing.redis {
            plan = plan.with("redis", "url", &quoted(&redis.lock().await.url()));
        }
        let house = plan.clone().open().await;
        let mut clients = vec![house.url().to_owned()];
        let mut admins = vec![house.admin_url().to_owned()];
        let mut others = Vec::new();
        for name in ["second", "third"] {
            let text = plan.clone().with("journal", "path", &quoted(&format!("{name}.db"))).toml();
            let config = format!("{name}.toml");
            fs::write(house.path(&config), text).expect("a file");
            let args = ["serve", "--config", config.as_str()];
            let mut gateway = Running::start(house.folder(), name, &args);
            clients.push(gateway.said("client listener on ").await.trim().to_owned());
            admins.push(gateway.said("admin listener on ").await.trim().to_owned());
            others.push(gateway);
        }
        Self { house, _others: others, clients, admins, _server: server, _folder: folder }
    }

    /// Waits until each gateway counts limits like this.
    pub(super) async fn all_are(&self, state: &str) {
        for admin in &self.admins {
            wait::until(SOON, state, || async {
                let url = format!("{admin}/readyz");
                let request = client::build(http::Method::GET, &url, &[], Vec::new().into());
                let facts = self.house.client.send(request).await.json().await;
                if facts.text("limits") == state { Ok(()) } else { Err(facts.to_string()) }
            })
            .await;
        }
    }

    pub(super) async fn ask(&self, at: usize, model: &str, body: Value) -> client::Answer {
        let bearer = format!("Bearer {}", self.house.key("ada"));
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let url = format!("{}/v1/chat/completions", self.clients[at % GATEWAYS]);
        let body = chat_body(model, body).to_string();
        let request = client::build(http::Method::POST, &url, &headers, body.into());
        self.house.client.send(request).await
    }
}

pub(super) fn quoted(text: &str) -> String {
    format!("{text:?}")
}

/// When requests were let through, and how long each took.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) admitted: Vec<Instant>,
    pub(super) took: Vec<Duration>,
    odd: Vec<u16>,
}

impl Seen {
    /// The most that any minute held.
    fn most_in_a_minute(&self) -> usize {
        let mut at = self.admitted.clone();
        at.sort_unstable();
        let (mut window, mut most) = (VecDeque::new(), 0);
        for moment in at {
            window.push_back(moment);
            while window.front().is_some_and(|first| *first + Duration::from_secs(60) <= moment) {
                window.pop_front();
            }
            most = most.max(window.len());
        }
        most
    }

    fn percentile(&self, percent: usize) -> Duration {
        let mut took = self.took.clone();
        took.sort_unstable();
        let place = (took.len() * percent / 100).min(took.len().saturating_sub(1));
        took.get(place).copied().unwrap_or_default()
    }
}

/// What is seen of a run, while it goes on.
#[derive(Clone, Default)]
pub(super) struct Watched(Arc<Mutex<Seen>>);

impl Watched {
    pub(super) fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn once_let_through(&self, count: usize) {
        wait::until(LONG, "requests let through", || {
            let admitted = self.lock().admitted.len();
            let seen = if count <= admitted { Ok(()) } else { Err(admitted.to_string()) };
            std::future::ready(seen)
        })
        .await;
    }
}

/// Steady demand at one gateway, in an open loop.
async fn demand(row: Arc<Row>, at: usize, run: Duration, seen: Watched) {
    let (mut tick, end) = (interval(Duration::from_secs(1) / PACE), Instant::now() + run);
    let mut asked = JoinSet::new();
    while Instant::now() < end {
        tick.tick().await;
        let (row, seen) = (Arc::clone(&row), seen.clone());
        asked.spawn(async move {
            let begin = Instant::now();
            let answer = row.ask(at, MODEL, json!({})).await;
            let status = answer.status.as_u16();
            answer.bytes().await;
            let mut seen = seen.lock();
            seen.took.push(begin.elapsed());
            match status {
                200 => seen.admitted.push(begin),
                429 => {}
                odd => seen.odd.push(odd),
            }
        });
    }
    asked.join_all().await;
}

/// A whole run of demand at all gateways while `meanwhile` happens. No request fails or hangs, and
/// no minute holds more than the limit.
pub(super) async fn run_while(
    row: Row,
    meanwhile: impl AsyncFnOnce(&Row, &Watched),
) -> (Row, Seen) {
    let (row, seen) = (Arc::new(row), Watched::default());
    let mut lines = JoinSet::new();
    for at in 0..GATEWAYS {
        lines.spawn(demand(Arc::clone(&row), at, RUN, seen.clone()));
    }
    let both = async { tokio::join!(lines.join_all(), meanwhile(&row, &seen)) };
    wait::within(LONG, "the run", both).await;
    let seen = std::mem::take(&mut *seen.lock());
    let (asked, most) = (seen.took.len(), seen.most_in_a_minute());
    let [half, nearly_all, all] = [50, 99, 100].map(|percent| seen.percentile(percent));
    println!("{most} of {asked} let through; p50 {half:?}, p99 {nearly_all:?}, max {all:?}");
    assert_eq!(seen.odd, [0u16; 0], "only 200 and 429");
    assert!(most <= LIMIT, "{most}");
    (Arc::into_inner(row).expect("every client has ended"), seen)
}
