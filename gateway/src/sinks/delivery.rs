//! One sink of events: reads the log from where it stands, sends, and moves on once that is taken.

use super::{
    file,
    status::Status,
    syslog::{self, Syslog},
    webhook::Webhook,
};
use admin::service::audit::ocsf;
use policies::time::Timestamp;
use std::{path::PathBuf, sync::Arc, time::Duration};
use store::{
    audit::{AuditLog, Entry},
    clock,
};
use tokio_util::sync::CancellationToken;

/// Rows that are read at once.
const BATCH_ROWS: u32 = 100;
/// Between two looks at a log that had nothing new.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// After a failure, doubled by each further one, up to the second.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(60);
/// A sink that is farther behind is warned of.
const LAG_MILLIS_MAX: i64 = 60_000;

/// How events reach a sink.
pub(super) enum Way {
    File(PathBuf),
    Syslog(Box<Syslog>),
    Webhook(Box<Webhook>),
}

/// An event on its way.
pub(super) struct Outgoing {
    pub(super) event: ocsf::Event,
    pub(super) at: Timestamp,
    pub(super) position: i64,
}

pub(super) struct Delivery {
    name: String,
    way: Way,
    log: Arc<dyn AuditLog>,
    status: Arc<Status>,
}

/// Why not everything went out. No text here holds a secret.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
struct Held {
    cause: String,
    /// Rows that went out before.
    taken: usize,
    /// The moment of the oldest row that is still here.
    oldest: Option<Timestamp>,
}

impl Delivery {
    pub(super) fn new(name: String, way: Way, log: Arc<dyn AuditLog>, status: Arc<Status>) -> Self {
        Self { name, way, log, status }
    }

    /// Until `stop`; then what is left, within `last`.
    pub(super) async fn run(mut self, stop: &CancellationToken, last: Duration) {
        let mut retry = RETRY_FIRST;
        loop {
            // What is broken off in the middle is sent again.
            let pause = match stop.run_until_cancelled(self.round()).await {
                None => break,
                Some(Ok(0)) => LOOK_AGAIN,
                Some(Ok(_)) => {
                    retry = RETRY_FIRST;
                    continue;
                }
                Some(Err(held)) => {
                    self.complain(&held);
                    // A sink that takes some is not away.
                    let pause = if held.taken == 0 { retry } else { RETRY_FIRST };
                    retry = (pause * 2).min(RETRY_MOST);
                    pause
                }
            };
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                break;
            }
        }
        let rest = async { while self.round().await.is_ok_and(|rows| 0 < rows) {} };
        if tokio::time::timeout(last, rest).await.is_err() {
            tracing::warn!(sink = self.name, "some events go out at the next start");
        }
    }

    fn complain(&self, held: &Held) {
        let behind = self.status.failed(&self.name, held.oldest, clock::now());
        let (sink, failures, lag_millis) = (&self.name, behind.failures, behind.lag_millis);
        if LAG_MILLIS_MAX < lag_millis {
            tracing::warn!(sink, failures, lag_millis, cause = %held, "a sink of events lags");
        } else {
            tracing::info!(sink, failures, cause = %held, "events wait for their sink");
        }
    }

    /// Sends what is next; how many rows that were.
    async fn round(&mut self) -> Result<usize, Held> {
        let held = |cause: String| Held { cause, taken: 0, oldest: None };
        // It is read anew, because another gateway may feed a sink of the same name.
        let position = self.log.sink_position(&self.name).await;
        let position = position.map_err(|fault| held(fault.to_string()))?;
        let rows = self.log.arrivals(position, BATCH_ROWS).await;
        let rows = rows.map_err(|fault| held(fault.to_string()))?;
        if rows.is_empty() {
            self.status.delivered(&self.name, position);
            return Ok(0);
        }
        let events: Vec<Outgoing> = rows.iter().map(outgoing).collect();
        let (taken, cause) = self.send(&events).await;
        let oldest = events.get(taken).map(|event| event.at);
        let last = taken.checked_sub(1).and_then(|last| events.get(last));
        if let Some(last) = last {
            let kept = self.log.set_sink_position(&self.name, last.position).await;
            kept.map_err(|fault| Held { taken, oldest, ..held(fault.to_string()) })?;
            self.status.delivered(&self.name, last.position);
        }
        match cause {
            Some(cause) => Err(Held { cause, taken, oldest }),
            None => Ok(taken),
        }
    }

    /// How many of them the sink has taken, from the first on, and why not all.
    async fn send(&mut self, events: &[Outgoing]) -> (usize, Option<String>) {
        let whole = |sent: Result<(), String>| match sent {
            Ok(()) => (events.len(), None),
            Err(cause) => (0, Some(cause)),
        };
        match &mut self.way {
            Way::File(path) => {
                let lines = events.iter().map(|it| format!("{}\n", it.event.body)).collect();
                whole(file::append(path, lines).await.map_err(|fault| fault.to_string()))
            }
            Way::Syslog(syslog) => {
                let messages = events.iter().map(syslog::of_event).collect();
                whole(syslog.send(messages).await.map_err(|fault| fault.to_string()))
            }
            Way::Webhook(webhook) => {
                for (index, event) in events.iter().enumerate() {
                    if let Err(cause) = webhook.send(&event.event, clock::now()).await {
                        return (index, Some(cause.to_string()));
                    }
                }
                (events.len(), None)
            }
        }
    }
}

fn outgoing(entry: &Entry) -> Outgoing {
    let event = ocsf::event(entry);
    let at = Timestamp(event.body.get("time").and_then(serde_json::Value::as_i64).unwrap_or(0));
    Outgoing { event, at, position: entry.position }
}

#[cfg(test)]
mod tests;
