//! A gateway with its simulated provider, started as processes in a folder of its own.

use crate::{
    client::{self, Answer, Client, NoAnswer},
    json::At,
    oracle::Oracle,
    process::{self, Ran, Running},
    settings::Settings,
    sse::Events,
    wait::{self, SOON},
    wire::Wire,
};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};
use tempfile::TempDir;

const CONFIG: &str = "penstock.toml";
const SETTINGS: &str = "settings.yaml";
const KEYS: &str = "keys.ndjson";

/// How a house is to be, before it is opened.
#[derive(Clone)]
pub struct Plan {
    settings: Settings,
    config: BTreeMap<String, BTreeMap<String, String>>,
    upstream: Option<String>,
}

impl Plan {
    pub fn new(settings: Settings) -> Self {
        Self { settings, config: BTreeMap::new(), upstream: None }
            .with("client", "listen", "\"127.0.0.1:0\"")
            .with("admin", "listen", "\"127.0.0.1:0\"")
            .with("store", "url", "\"sqlite:penstock.db\"")
            .with("journal", "path", "\"journal.db\"")
            // Tests open as many connections from one address as a busy office.
            .with("edge", "connections_per_address_max", "4096")
    }

    /// Sets `key` of the table `section` to `value`, written as in TOML.
    #[must_use]
    pub fn with(mut self, section: &str, key: &str, value: &str) -> Self {
        let table = self.config.entry(section.to_owned()).or_default();
        table.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Uses this base URL in place of a simulated provider of the house's own.
    #[must_use]
    pub fn upstream(mut self, base_url: &str) -> Self {
        self.upstream = Some(base_url.to_owned());
        self
    }

    /// The configuration as a file.
    pub fn toml(&self) -> String {
        let mut text = String::new();
        for (section, keys) in &self.config {
            text.push_str(&format!("[{section}]\n"));
            for (key, value) in keys {
                text.push_str(&format!("{key} = {value}\n"));
            }
        }
        text
    }

    pub async fn open(self) -> House {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let (simulator, upstream) = match &self.upstream {
            Some(url) => (None, url.clone()),
            None => {
                let (simulator, url) = simulate(folder.path()).await;
                (Some(simulator), url)
            }
        };
        fs::write(folder.path().join(CONFIG), self.toml()).expect("a file");
        let mut house = House {
            folder,
            _simulator: simulator,
            upstream,
            client: Client::default(),
            keys: BTreeMap::new(),
            gateway: None,
            url: String::new(),
            admin_url: String::new(),
        };
        house.apply(&self.settings).await;
        house.start().await;
        house
    }
}

async fn simulate(folder: &Path) -> (Running, String) {
    let args = ["simulate", "--listen", "127.0.0.1:0"];
    let mut simulator = Running::start(folder, "simulator", &args);
    let url = simulator.said("simulated provider on ").await;
    (simulator, url.trim().to_owned())
}

pub struct House {
    folder: TempDir,
    /// Ends with the house, not with the gateway.
    _simulator: Option<Running>,
    /// The base URL of the provider.
    upstream: String,
    pub client: Client,
    keys: BTreeMap<String, String>,
    gateway: Option<Running>,
    url: String,
    admin_url: String,
}

impl House {
    /// The usual house.
    pub async fn open(settings: Settings) -> Self {
        Plan::new(settings).open().await
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The client listener: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// The provider's base URL.
    pub fn upstream(&self) -> &str {
        &self.upstream
    }

    /// The secret of a key, by its name.
    pub fn key(&self, name: &str) -> &str {
        self.keys.get(name).unwrap_or_else(|| wait::fail(&format!("no key `{name}` was made")))
    }

    pub fn keys(&self) -> impl Iterator<Item = (&String, &String)> {
        self.keys.iter()
    }

    /// A raw connection to the client listener.
    pub async fn wire(&self) -> Wire {
        Wire::connect(self.url.trim_start_matches("http://")).await
    }

    pub fn oracle(&self) -> Oracle {
        let base = self.upstream.trim_end_matches("/v1").to_owned();
        Oracle::new(self.client.clone(), base)
    }

    pub fn gateway(&mut self) -> &mut Running {
        self.gateway.as_mut().expect("the gateway was started")
    }

    // === the gateway's life

    /// Starts the gateway and waits until it answers; how long that took.
    pub async fn start(&mut self) -> Duration {
        let begin = tokio::time::Instant::now();
        let args = ["serve", "--config", CONFIG];
        let mut gateway = Running::start(self.folder.path(), "gateway", &args);
        self.url = gateway.said("client listener on ").await.trim().to_owned();
        self.admin_url = gateway.said("admin listener on ").await.trim().to_owned();
        let took = begin.elapsed();
        self.gateway = Some(gateway);
        took
    }

    /// SIGKILL: what was not yet written is lost.
    pub fn kill9(&mut self) {
        self.gateway().kill9();
    }

    /// Sends the gateway a signal, by the name that `kill` knows.
    pub fn gateway_signal(&self, name: &str) {
        self.gateway.as_ref().expect("the gateway was started").signal(name);
    }

    /// SIGTERM, and the status with which it ends.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.gateway().terminate().await
    }

    // === the command line

    /// Runs `penstock` with these arguments in the house's folder.
    pub async fn run(&self, args: &[&str]) -> Ran {
        process::run(self.folder.path(), args).await
    }

    /// Applies settings and keeps the keys that were made.
    pub async fn apply(&mut self, settings: &Settings) -> String {
        let text = settings.render(&self.upstream);
        let said = self.try_apply(&text).await.ok();
        self.keep_keys();
        said
    }

    /// Keeps the keys that the last file made.
    pub fn keep_keys(&mut self) {
        let made = fs::read_to_string(self.path(KEYS)).unwrap_or_default();
        for line in made.lines() {
            let row: Value = serde_json::from_str(line).expect("a line of JSON");
            self.keys.insert(row.text("key").to_owned(), row.text("secret").to_owned());
        }
    }

    /// Waits until the running gateway knows a key that was applied.
    pub async fn knows(&self, key: &str) {
        wait::until(SOON, "the gateway's notice of a key", || async {
            let status = self.get(key, "/v1/models").await.status;
            if status == 200 { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
    }

    /// Applies a file with this text, whatever comes of it.
    pub async fn try_apply(&self, text: &str) -> Ran {
        // It must not exist yet. A file that was not there needs no removing.
        let _ = fs::remove_file(self.path(KEYS));
        fs::write(self.path(SETTINGS), text).expect("a file");
        let args = ["apply", "-f", SETTINGS, "--config", CONFIG, "--yes", "--keys-out", KEYS];
        self.run(&args).await
    }

    /// All usage records of an org as they are in the store now.
    pub async fn usage(&self, org: &str) -> Vec<Value> {
        let args = ["export", "usage", "--config", CONFIG, "--org", org, "--format", "ndjson"];
        let text = self.run(&args).await.ok();
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// The usage records of an org, once they are `enough`.
    pub async fn usage_once(
        &self,
        org: &str,
        what: &str,
        enough: impl Fn(&[Value]) -> bool,
    ) -> Vec<Value> {
        wait::until(SOON, what, || async {
            let rows = self.usage(org).await;
            if enough(&rows) { Ok(rows) } else { Err(summary(&rows)) }
        })
        .await
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    // === requests

    /// A request with a key, by the key's name.
    pub fn request(
        &self,
        key: &str,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Request<Full<Bytes>> {
        let bearer = format!("Bearer {}", self.key(key));
        let mut all =
            vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
        all.extend_from_slice(headers);
        client::build(method, &format!("{}{path}", self.url), &all, body.into())
    }

    pub async fn post(&self, key: &str, path: &str, body: &Value) -> Answer {
        self.client.send(self.request(key, Method::POST, path, &[], body.to_string())).await
    }

    pub async fn get(&self, key: &str, path: &str) -> Answer {
        self.client.send(self.request(key, Method::GET, path, &[], "")).await
    }

    /// A chat request; the fields of `body` are added to the model and one user message.
    pub async fn chat(&self, key: &str, model: &str, body: Value) -> Answer {
        self.try_chat(key, model, body).await.unwrap_or_else(|why| wait::fail(&why))
    }

    pub async fn try_chat(&self, key: &str, model: &str, body: Value) -> Result<Answer, NoAnswer> {
        let body = chat_body(model, body).to_string();
        let request = self.request(key, Method::POST, "/v1/chat/completions", &[], body);
        self.client.try_send(request).await
    }

    /// A chat request with further headers.
    pub async fn chat_with(
        &self,
        key: &str,
        model: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Answer {
        let body = chat_body(model, body).to_string();
        self.client
            .send(self.request(key, Method::POST, "/v1/chat/completions", headers, body))
            .await
    }

    /// A chat request whose answer is a stream.
    pub async fn stream(&self, key: &str, model: &str, body: Value) -> Events {
        let body = merged(json!({ "stream": true }), body);
        Events::new(self.chat(key, model, body).await)
    }

    /// The request as its caller may see it, once it has an attempt that ended.
    pub async fn request_view(&self, key: &str, id: &str) -> Value {
        wait::until(SOON, "the request's own view", || async {
            let answer = self.get(key, &format!("/v1/penstock/requests/{id}")).await;
            let (status, view) = (answer.status, answer.json().await);
            let ended = !view.list("attempts").is_empty();
            if status == 200 && ended { Ok(view) } else { Err(format!("{status} {view}")) }
        })
        .await
    }

    // === what was written

    /// Everything that the processes have printed or logged.
    pub fn said(&self) -> String {
        let names = ["gateway.out", "gateway.err", "simulator.out", "simulator.err"];
        names.map(|name| fs::read_to_string(self.path(name)).unwrap_or_default()).concat()
    }

    /// Every file that the gateway has written, by name: logs, store, journal.
    pub fn written(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.folder.path()).expect("the house's folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // The keys were asked for; the oracle's own process is not the product's memory.
            if path.is_file() && name != KEYS && !name.starts_with("simulator") {
                files.push((name, fs::read(&path).unwrap_or_default()));
            }
        }
        files
    }
}

/// A chat request's body: the model and one user message, unless `fields` says otherwise.
pub fn chat_body(model: &str, fields: Value) -> Value {
    let message = json!({ "role": "user", "content": "the river and the light" });
    merged(json!({ "model": model, "messages": [message] }), fields)
}

/// The fields of both objects; those of `over` win.
pub fn merged(mut under: Value, over: Value) -> Value {
    if let (Some(into), Value::Object(over)) = (under.as_object_mut(), over) {
        into.extend(over);
    }
    under
}

fn summary(rows: &[Value]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows {
        *counts.entry(row.text("outcome").to_owned()).or_default() += 1;
    }
    format!("{} records: {counts:?}", rows.len())
}
