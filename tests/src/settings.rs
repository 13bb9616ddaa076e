//! Settings for tests: one org in few words, at prices that are easy to reckon with.
//!
//! Every deployment costs 1 USD per million input tokens and 2 USD per million output tokens:
//! 1,000 and 2,000 nano-USD a token.

use crate::{house::merged, json::At};
use serde_json::{Value, json};

pub const INPUT_NANO: i64 = 1_000;
pub const OUTPUT_NANO: i64 = 2_000;

/// What stands for the base URL of the simulated provider until it is known.
const UPSTREAM: &str = "{upstream}";

/// A project with these fields, of which `user` is a developer: whose keys work in it.
pub fn worked_in_by(user: &str, fields: Value) -> Value {
    let member = json!({ "who": { "user": user }, "role": "developer" });
    merged(json!({ "members": [member] }), fields)
}

/// Documents of one org, to be given to `penstock apply`.
#[derive(Clone)]
pub struct Settings {
    org: String,
    documents: Vec<Value>,
}

impl Settings {
    /// An org with a provider `sim` that may receive anything, and a user `ada` who works in a
    /// project `main`.
    pub fn of(org: &str) -> Self {
        Self::bare(org)
            .and(
                "Provider",
                "sim",
                json!({
                    "dialect": "simulated", "base_url": UPSTREAM,
                    "terms": { "trains": false, "retention_days": 0 },
                }),
            )
            .and("Project", "main", worked_in_by("ada", json!({})))
            .and("User", "ada", json!({ "email": "ada@example.com" }))
    }

    /// An org with nothing in it.
    pub fn bare(org: &str) -> Self {
        let document = json!({
            "apiVersion": "penstock/v1", "kind": "Org", "name": org,
            "support": format!("data-desk@{org}.example"),
        });
        Self { org: org.to_owned(), documents: vec![document] }
    }

    /// Adds an object, or replaces the one of that kind and name.
    #[must_use]
    pub fn and(mut self, kind: &str, name: &str, fields: Value) -> Self {
        self.documents.retain(|it| it.text("kind") != kind || it.text("name") != name);
        let document = json!({
            "apiVersion": "penstock/v1", "kind": kind, "org": self.org, "name": name,
        });
        self.documents.push(merged(document, fields));
        self
    }

    /// A model that callers use by `name`, answered by these models of the provider, best first.
    #[must_use]
    pub fn model(self, name: &str, upstream: &[&str]) -> Self {
        self.model_cleared(name, upstream, "restricted")
    }

    /// The same, with deployments that are cleared up to `level`.
    #[must_use]
    pub fn model_cleared(mut self, name: &str, upstream: &[&str], level: &str) -> Self {
        let mut members = Vec::new();
        for (priority, model) in upstream.iter().enumerate() {
            let deployment = format!("{name}.{priority}");
            members.push(json!({ "deployment": deployment, "priority": priority }));
            self = self.deployment(&deployment, model, level);
        }
        self.and("Model", name, json!({ "deployments": members }))
    }

    /// A deployment at the usual price.
    #[must_use]
    pub fn deployment(self, name: &str, upstream: &str, level: &str) -> Self {
        self.and(
            "Deployment",
            name,
            json!({
                "provider": "sim", "model": upstream, "clearance": { "level": level },
                "max_output_tokens": 1000,
            }),
        )
        .and(
            "Price",
            &format!("{name} price"),
            json!({
                "deployment": name, "from": "2020-01-01", "input": "1", "output": "2",
            }),
        )
    }

    /// A key of the user `ada` in the project `main`.
    #[must_use]
    pub fn key(self, name: &str) -> Self {
        self.and("Key", name, json!({ "project": "main", "owner": { "user": "ada" } }))
    }

    /// A lifetime budget of `usd`.
    #[must_use]
    pub fn budget(self, name: &str, on: &Value, usd: &str) -> Self {
        self.and("Budget", name, json!({ "on": on, "limit": usd, "period": "lifetime" }))
    }

    /// The documents of both.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.documents.extend(other.documents);
        self
    }

    /// YAML (each document written as JSON, which YAML includes) with the provider's address.
    pub fn render(&self, upstream: &str) -> String {
        let text: Vec<String> = self.documents.iter().map(ToString::to_string).collect();
        format!("---\n{}\n", text.join("\n---\n")).replace(UPSTREAM, upstream)
    }
}
