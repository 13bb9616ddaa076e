//! The simulated provider's own account of what it was asked and what it sent.

use crate::{
    client::Client,
    wait::{self, SOON},
};
use serde::Deserialize;
use serde_json::{Value, json};

/// One request as the provider saw it: the truth that bills are held against.
#[derive(Clone, Debug, Deserialize)]
pub struct Seen {
    pub seq: u64,
    /// `<our request id>/<attempt>`: what joins it to a usage record.
    pub client_request_id: Option<String>,
    pub model: String,
    pub stream: bool,
    pub prompt_tokens: i64,
    pub output_tokens_written: i64,
    pub reasoning_tokens: i64,
    pub usage_reported: Option<Value>,
    /// `running`, `finished`, `client_gone` or `faulted`.
    pub outcome: String,
    pub fault: Option<String>,
    pub status: Option<u16>,
    pub started_ms: u64,
    pub ended_ms: Option<u64>,
    /// The body that it was sent.
    pub saw: Option<String>,
}

impl Seen {
    pub fn joins(&self) -> &str {
        self.client_request_id.as_deref().unwrap_or_default()
    }

    pub fn body(&self) -> Value {
        let saw = self.saw.as_deref().expect("the oracle remembers the body");
        serde_json::from_str(saw).expect("what goes upstream is JSON")
    }
}

pub struct Oracle {
    client: Client,
    /// Without a slash at its end: `http://127.0.0.1:PORT`.
    base: String,
}

impl Oracle {
    pub fn new(client: Client, base: String) -> Self {
        Self { client, base }
    }

    /// Every request since the start, oldest first.
    pub async fn all(&self) -> Vec<Seen> {
        self.after(0).await
    }

    /// The requests that came after the one with this `seq`.
    pub async fn after(&self, seq: u64) -> Vec<Seen> {
        let url = format!("{}/oracle/requests?since={seq}", self.base);
        let text = self.client.get(&url).await.text().await;
        text.lines().map(|line| serde_json::from_str(line).expect("a row")).collect()
    }

    /// The attempts of one of our requests, in order.
    pub async fn of(&self, request: &str) -> Vec<Seen> {
        let mut seen = self.all().await;
        seen.retain(|row| row.joins().starts_with(&format!("{request}/")));
        seen
    }

    /// The newest request, once one that `is` what is meant has come.
    pub async fn once(&self, what: &str, is: impl Fn(&Seen) -> bool) -> Seen {
        wait::until(SOON, what, || async {
            let all = self.all().await;
            let found = all.iter().rev().find(|row| is(row)).cloned();
            found.ok_or_else(|| format!("{:?}", all.last()))
        })
        .await
    }

    /// All requests, once none of them is running any more.
    pub async fn at_rest(&self) -> Vec<Seen> {
        wait::until(SOON, "the end of every upstream request", || async {
            let all = self.all().await;
            match all.iter().find(|row| row.outcome == "running") {
                Some(row) => Err(format!("{row:?}")),
                None => Ok(all),
            }
        })
        .await
    }

    /// Lets the lockstep answer `seq` send so many tokens more.
    pub async fn step(&self, seq: u64, tokens: u64) {
        self.tell(&json!({ "seq": seq, "chunks": tokens })).await;
    }

    /// Lets the lockstep answer `seq` go on to its end.
    pub async fn finish(&self, seq: u64) {
        self.tell(&json!({ "seq": seq, "end": true })).await;
    }

    async fn tell(&self, step: &Value) {
        let answer = self.client.post(&format!("{}/oracle/step", self.base), step).await;
        assert!(answer.status.is_success(), "step: {}", answer.text().await);
    }
}
