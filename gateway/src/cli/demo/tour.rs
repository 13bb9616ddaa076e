//! The tour: eight requests through the real endpoint, each with what must come of it.

mod wire;

use self::wire::{Answer, Wire};
use super::Keys;
use crate::simulate::Simulator;
use anyhow::Context;
use policies::{ids::OrgId, money::NanoUsd};
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::SocketAddr};
use store::{Directory, Store};

const CARD: &str = "4111 1111 1111 1111";

pub(super) struct Tour<'a> {
    wire: Wire,
    keys: &'a Keys,
    simulator: &'a Simulator,
    store: &'a dyn Store,
}

/// One row of the table.
struct Row {
    what: &'static str,
    key: &'static str,
    model: &'static str,
    came: String,
    cost: Option<NanoUsd>,
    tokens: Option<(i64, i64)>,
    deployment: String,
    as_stated: bool,
    note: String,
}

impl<'a> Tour<'a> {
    pub(super) fn new(
        address: SocketAddr,
        keys: &'a Keys,
        simulator: &'a Simulator,
        store: &'a dyn Store,
    ) -> Self {
        Self { wire: Wire::new(address), keys, simulator, store }
    }

    /// Sends everything and prints the table. True: every step went as stated.
    pub(super) async fn run(self) -> anyhow::Result<bool> {
        let names = self.names().await?;
        let rows = [
            self.answer(&names).await?,
            self.stream(&names).await?,
            self.masked(&names).await?,
            self.kept_inside(&names).await?,
            self.refused(&names).await?,
            self.over_its_rate(&names).await?,
            self.over_its_budget(&names).await?,
            self.fallback(&names).await?,
        ];
        print(&rows);
        Ok(rows.iter().all(|row| row.as_stated))
    }

    async fn answer(&self, names: &Names) -> anyhow::Result<Row> {
        let answer = self.ask("ada-laptop", &chat("standard", "What is a penstock?")).await?;
        let row = self.row("an answer", "ada-laptop", "standard", &answer, names).await?;
        Ok(row.stated(answer.status == 200 && answer.header("x-penstock-decision") == "allowed"))
    }

    async fn stream(&self, names: &Names) -> anyhow::Result<Row> {
        let body = json!({
            "model": "economy",
            "messages": [{ "role": "user", "content": "Tell me about rivers." }],
            "stream": true,
            "stream_options": { "include_usage": true },
        });
        let answer = self.ask("ada-laptop", &body).await?;
        let events = answer.body.matches("data: ").count();
        let row = self.row("a stream", "ada-laptop", "economy", &answer, names).await?;
        let whole = answer.body.trim_end().ends_with("data: [DONE]") && 10 < events;
        Ok(row.note(format!("{events} events")).stated(answer.status == 200 && whole))
    }

    async fn masked(&self, names: &Names) -> anyhow::Result<Row> {
        let text = format!("My card is {CARD}, why was it declined?");
        let answer = self.ask("ada-laptop", &chat("economy", &text)).await?;
        let sent = self.sent(&answer);
        let row = self.row("a card number", "ada-laptop", "economy", &answer, names).await?;
        let hidden = sent.contains("[masked:pci.card]") && !sent.contains(CARD);
        let masked = answer.header("x-penstock-decision") == "masked";
        Ok(row.note("the provider saw [masked:pci.card]").stated(hidden && masked))
    }

    async fn kept_inside(&self, names: &Names) -> anyhow::Result<Row> {
        let text = format!("Refund the card {CARD}.");
        let answer = self.ask("support-desk", &chat("standard", &text)).await?;
        let sent = self.sent(&answer);
        let row = self.row("a card, cleared", "support-desk", "standard", &answer, names).await?;
        let inside = row.deployment == "onprem-standard" && sent.contains(CARD);
        Ok(row.note("only our own hardware may see it").stated(inside))
    }

    async fn refused(&self, names: &Names) -> anyhow::Result<Row> {
        // Built at run time, so that no scanner takes it for a real one.
        let secret = ["gh", "p_", "16C7e42F292c6912E7710c838347Ae178B4a"].concat();
        let answer = self.ask("ci", &chat("economy", &format!("Push with {secret}"))).await?;
        let row = self.row("a credential", "ci", "economy", &answer, names).await?;
        let note = answer.message();
        Ok(row.note(note).stated(answer.code() == "policy_denied"))
    }

    async fn over_its_rate(&self, names: &Names) -> anyhow::Result<Row> {
        for _ in 0..2 {
            self.ask("slow-lane", &chat("economy", "Hello")).await?;
        }
        let answer = self.ask("slow-lane", &chat("economy", "Hello again")).await?;
        let row = self.row("a third in a minute", "slow-lane", "economy", &answer, names).await?;
        let told = !answer.header("retry-after").is_empty();
        let note = format!("retry after {} s", answer.header("retry-after"));
        Ok(row.note(note).stated(answer.code() == "rate_limited" && told))
    }

    async fn over_its_budget(&self, names: &Names) -> anyhow::Result<Row> {
        let answer = self.ask("tight-budget", &chat("standard", "Hello")).await?;
        let row = self.row("too dear", "tight-budget", "standard", &answer, names).await?;
        Ok(row.note(answer.message()).stated(answer.code() == "budget_exhausted"))
    }

    async fn fallback(&self, names: &Names) -> anyhow::Result<Row> {
        let answer = self.ask("ada-laptop", &chat("resilient", "Are you there?")).await?;
        let row =
            self.row("a failed deployment", "ada-laptop", "resilient", &answer, names).await?;
        let took_over = answer.status == 200 && row.deployment == "cloud-standard";
        Ok(row.note("the first answered 503, the second took over").stated(took_over))
    }

    async fn ask(&self, key: &str, body: &Value) -> anyhow::Result<Answer> {
        self.wire.post("/v1/chat/completions", self.secret(key)?, body).await
    }

    fn secret(&self, key: &str) -> anyhow::Result<&str> {
        let secret = self.keys.get(&("acme".to_owned(), key.to_owned()));
        secret.map(String::as_str).with_context(|| {
            format!("the secret of the key `{key}` is not in keys.ndjson: run with --fresh")
        })
    }

    /// What the provider was sent for this request.
    fn sent(&self, answer: &Answer) -> String {
        let attempt = format!("{}/1", answer.header("x-request-id"));
        self.simulator.request(&attempt).and_then(|seen| seen.saw).unwrap_or_default()
    }

    /// What the gateway itself tells about the request.
    async fn row(
        &self,
        what: &'static str,
        key: &'static str,
        model: &'static str,
        answer: &Answer,
        names: &Names,
    ) -> anyhow::Result<Row> {
        let path = format!("/v1/penstock/requests/{}", answer.header("x-request-id"));
        let told = self.wire.get(&path, self.secret(key)?).await?;
        let told: Value = serde_json::from_str(&told.body).unwrap_or_default();
        let attempts = told.get("attempts").and_then(Value::as_array).cloned().unwrap_or_default();
        let last = attempts.last();
        let count = |kinds: [&str; 3]| -> i64 {
            let each =
                |attempt| kinds.map(|kind| whole(attempt, &format!("/ending/tokens/{kind}")));
            attempts.iter().flat_map(each).flatten().sum()
        };
        let cost = attempts.iter().filter_map(|attempt| whole(attempt, "/ending/cost"));
        let text = |pointer| last.and_then(|it| it.pointer(pointer)).and_then(Value::as_str);
        let (deployment, tier) = (text("/stamp/deployment"), text("/stamp/tier"));
        Ok(Row {
            what,
            key,
            model,
            came: match (answer.status, answer.code()) {
                (200, _) => tier.unwrap_or("answered").to_owned(),
                (status, code) => format!("{status} {code}"),
            },
            cost: last.map(|_| NanoUsd(cost.sum())),
            tokens: last.map(|_| {
                (
                    count(["input", "cache_read", "image"]),
                    count(["output", "reasoning", "audio_out"]),
                )
            }),
            deployment: deployment.and_then(|id| names.get(id)).cloned().unwrap_or_default(),
            as_stated: false,
            note: String::new(),
        })
    }

    async fn names(&self) -> anyhow::Result<Names> {
        let mut names = Names::new();
        let orgs: Vec<(OrgId, _)> = Directory::revisions(self.store).await?;
        for (org, _) in orgs {
            let settings = Directory::settings(self.store, &org).await?;
            for object in settings.into_iter().flat_map(|settings| settings.objects) {
                let id = object.document.kind().id_text(object.id);
                names.insert(id, object.document.name().to_owned());
            }
        }
        Ok(names)
    }
}

/// Names of objects by the text of their ids.
type Names = BTreeMap<String, String>;

fn whole(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer)?.as_i64()
}

fn chat(model: &str, text: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": text }] })
}

impl Row {
    fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    fn stated(self, as_stated: bool) -> Self {
        Self { as_stated, ..self }
    }
}

fn print(rows: &[Row]) {
    println!(
        "    {:<20} {:<13} {:<10} {:<22} {:<16} {:>9} {:>12}",
        "request", "key", "model", "tier or refusal", "deployment", "tokens", "USD"
    );
    let mut total = NanoUsd::ZERO;
    for row in rows {
        let mark = if row.as_stated { "ok" } else { "!!" };
        let tokens = row.tokens.map_or("-".to_owned(), |(into, out)| format!("{into}+{out}"));
        let cost = row.cost.map_or("-".to_owned(), |cost| cost.to_string());
        total = total.plus(row.cost.unwrap_or_default());
        println!(
            " {mark} {:<20} {:<13} {:<10} {:<22} {:<16} {tokens:>9} {cost:>12}",
            row.what, row.key, row.model, row.came, row.deployment
        );
        if !row.note.is_empty() {
            println!("    {:>22} {}", "->", row.note);
        }
    }
    println!("    {:>109}", format!("total {total}"));
    if rows.iter().any(|row| !row.as_stated) {
        println!("\nSteps marked !! did not go as stated.");
    }
}
