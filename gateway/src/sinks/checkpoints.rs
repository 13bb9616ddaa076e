//! Signed checkpoints of every chain whose end has moved, sent to where the store cannot reach.
//!
//! No checkpoint ever contradicts an earlier one: a chain that is not a continuation of what was
//! stated is not stated again, and an alarm is raised.

use super::{
    file,
    syslog::{self, Syslog},
};
use admin::{
    outbound::{Fetch, Outbound},
    service::audit::{checkpoint::Checkpoint, ocsf::Severity},
};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use http::{HeaderMap, HeaderValue, Method, header};
use policies::ids::OrgId;
use serde_json::json;
use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use store::{
    Fault, INSTALLATION,
    audit::{Act, ActFilter, Actor, ActorKind, AuditLog, Head, Order, Outcome, Target},
    clock,
};
use tokio_util::sync::CancellationToken;

/// Bytes at the end of a file that are read at start, to know what was stated: some 40,000 lines.
const TAIL_BYTES_MAX: u64 = 16 << 20;

/// How checkpoints go out.
pub(super) enum Way {
    File(PathBuf),
    Syslog(Box<Syslog>),
    Web(String, Arc<dyn Outbound>),
}

struct Outlet {
    way: Way,
    /// What it has last been given of each chain.
    given: HashMap<OrgId, Head>,
}

pub(super) struct Checkpoints {
    log: Arc<dyn AuditLog>,
    key: Ed25519KeyPair,
    outlets: Vec<Outlet>,
    every: Duration,
    /// What was stated last of each chain.
    stated: HashMap<OrgId, Head>,
    /// Chains for which the alarm was raised.
    alarmed: HashSet<OrgId>,
}

impl Checkpoints {
    pub(super) fn new(
        log: Arc<dyn AuditLog>,
        key: Ed25519KeyPair,
        ways: Vec<Way>,
        every: Duration,
    ) -> Self {
        let outlet = |way| Outlet { way, given: HashMap::new() };
        let outlets = ways.into_iter().map(outlet).collect();
        let (stated, alarmed) = (HashMap::new(), HashSet::new());
        Self { log, key, outlets, every, stated, alarmed }
    }

    /// At once, every so often until `stop`, and once more after it, within `last`.
    pub(super) async fn run(mut self, stop: &CancellationToken, last: Duration) {
        if self.outlets.is_empty() {
            return;
        }
        self.recall().await;
        loop {
            self.round_or_log().await;
            if stop.run_until_cancelled(tokio::time::sleep(self.every)).await.is_none() {
                break;
            }
        }
        if tokio::time::timeout(last, self.round_or_log()).await.is_err() {
            tracing::warn!("the last checkpoints go out at the next start");
        }
    }

    /// What earlier starts have stated, as far as a file has it.
    async fn recall(&mut self) {
        let own = hex::encode(self.key.public_key());
        for outlet in &mut self.outlets {
            let Way::File(path) = &outlet.way else { continue };
            let lines = match file::tail(path.clone(), TAIL_BYTES_MAX).await {
                Ok(lines) => lines,
                Err(fault) => {
                    tracing::error!(%fault, "earlier checkpoints cannot be read");
                    continue;
                }
            };
            for line in lines.lines() {
                let read = serde_json::from_str::<Checkpoint>(line).ok();
                // Whoever can write to the file must not be able to silence us.
                let ours = read.filter(|it| it.public_key == own && it.is_signed());
                let Some(it) = ours else { continue };
                if let Some(head) = it.stated() {
                    outlet.given.insert(it.org, head);
                    let known = self.stated.entry(it.org).or_insert(head);
                    if known.size < head.size {
                        *known = head;
                    }
                }
            }
        }
    }

    async fn round_or_log(&mut self) {
        if let Err(fault) = self.round().await {
            tracing::warn!(%fault, "no checkpoints: the store does not tell the chains' heads");
        }
    }

    async fn round(&mut self) -> Result<(), Fault> {
        let heads = self.log.heads().await?;
        let present: HashSet<OrgId> = heads.iter().map(|(org, _)| *org).collect();
        let gone = self.stated.keys().filter(|org| !present.contains(*org)).copied();
        // A chain that is gone altogether went back to nothing.
        let gone: Vec<(OrgId, Head)> = gone.map(|org| (org, Head::default())).collect();
        let mut moved = Vec::new();
        for (org, head) in heads.into_iter().chain(gone) {
            match self.stated.get(&org).copied() {
                Some(known) if !self.continues(&org, known, head).await? => {
                    self.alarm(org, known, head).await;
                }
                Some(_) | None => {
                    self.alarmed.remove(&org);
                    moved.push((org, head));
                }
            }
        }
        for (org, head) in moved {
            self.stated.insert(org, head);
            self.hand_out(org, head).await;
        }
        Ok(())
    }

    /// Whether the chain that ends at `head` is the one that ended at `known`, or goes on from it.
    async fn continues(&self, org: &OrgId, known: Head, head: Head) -> Result<bool, Fault> {
        if head.size <= known.size {
            return Ok(head == known);
        }
        let (all, before) = (ActFilter::default(), known.size.saturating_sub(1));
        let rows = self.log.acts(org, &all, Order::Oldest, Some(before), 1).await?;
        Ok(rows.first().is_some_and(|row| row.head() == known))
    }

    async fn alarm(&mut self, org: OrgId, known: Head, head: Head) {
        let (stated, found) = (known.size, head.size);
        tracing::error!(%org, stated, found, "an audit chain contradicts its own checkpoint");
        if !self.alarmed.insert(org) {
            return;
        }
        let act = contradiction(org, known, head);
        if let Err(fault) = self.log.append(&INSTALLATION, vec![act]).await {
            self.alarmed.remove(&org);
            tracing::error!(%fault, "the alarm is not in the audit log");
        }
    }

    async fn hand_out(&mut self, org: OrgId, head: Head) {
        let mut signed = None;
        for outlet in &mut self.outlets {
            if outlet.given.get(&org) == Some(&head) {
                continue;
            }
            let sign = || Checkpoint::sign(&self.key, org, head, clock::now());
            let checkpoint = signed.get_or_insert_with(sign);
            match outlet.way.give(checkpoint).await {
                Ok(()) => {
                    outlet.given.insert(org, head);
                }
                Err(cause) => tracing::warn!(%org, cause, "a checkpoint was not taken"),
            }
        }
    }
}

impl Way {
    async fn give(&mut self, checkpoint: &Checkpoint) -> Result<(), String> {
        let text = serde_json::to_string(checkpoint).map_err(|fault| fault.to_string())?;
        match self {
            Self::File(path) => {
                file::append(path, text + "\n").await.map_err(|fault| fault.to_string())
            }
            Self::Syslog(syslog) => {
                let message =
                    syslog::message(Severity::Informational, clock::now(), "checkpoint", &text);
                syslog.send(vec![message]).await.map_err(|fault| fault.to_string())
            }
            Self::Web(url, outbound) => {
                let json = HeaderValue::from_static("application/json");
                let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, json)]);
                let (method, url, body) = (Method::POST, url.clone(), text.into());
                let sent = outbound.fetch(Fetch { method, url, headers, body }).await;
                let status = sent.map_err(|fault| fault.to_string())?.status;
                match status.is_success() {
                    true => Ok(()),
                    false => Err(format!("the receiver answered {status}")),
                }
            }
        }
    }
}

fn contradiction(org: OrgId, known: Head, head: Head) -> Act {
    let told = |head: Head| json!({ "size": head.size, "hash": hex::encode(head.hash) });
    Act {
        at: clock::now(),
        actor: Actor { kind: ActorKind::System, id: String::new(), name: "penstock".to_owned() },
        address: None,
        action: "audit.head_went_back".to_owned(),
        outcome: Outcome::Refused,
        target: Some(Target {
            kind: "org".to_owned(),
            id: org.to_string(),
            name: org.to_string(),
            project: None,
        }),
        before: Some(told(known)),
        after: Some(told(head)),
        reason: Some("the chain is no continuation of its last signed checkpoint".to_owned()),
        request: None,
        via: "system".to_owned(),
        revision: None,
    }
}

#[cfg(test)]
mod tests;
