//! The oracle over HTTP: reading it, waiting on it, and telling a lockstep answer to go on.

use crate::simulate::complaint::Complaint;
use crate::simulate::oracle::{Entry, Observed, Oracle};
use crate::simulate::play::Body;
use crate::simulate::summary::summed;
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use url::form_urlencoded;

/// The longest a caller may wait for a state.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A request to the oracle.
pub(super) struct Question<'a> {
    pub(super) method: &'a Method,
    /// What follows `/oracle/`.
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) body: &'a Bytes,
}

/// Answers a request under `/oracle/`.
pub(super) async fn reply(oracle: &Oracle, question: Question<'_>) -> Response<Body> {
    let found = match (question.method.as_str(), question.path) {
        ("GET", "requests") => Ok(listed(oracle, &question)),
        ("DELETE", "requests") => {
            oracle.reset();
            Ok(shown(StatusCode::OK, &json!({"reset": true})))
        }
        ("GET", "summary") => Ok(shown(StatusCode::OK, &summed(oracle))),
        ("GET", "wait") => waited(oracle, &question).await,
        ("POST", "step") => stepped(oracle, question.body),
        ("GET", path) => one(oracle, path),
        _ => Err(Complaint::nothing_here()),
    };
    found.unwrap_or_else(|complaint| {
        let mut response = Response::new(Body::plain(complaint.text()));
        *response.status_mut() = complaint.status;
        response
    })
}

/// Every request after `?since=`, a line of JSON each; a line is made when it is sent.
fn listed(oracle: &Oracle, question: &Question<'_>) -> Response<Body> {
    let since = question.field("since").and_then(|seq| seq.parse().ok()).unwrap_or(0);
    let (oracle, entries) = (oracle.clone(), oracle.after(since));
    let lines = entries.into_iter().map(move |entry| {
        let mut line = serde_json::to_vec(&oracle.observe(&entry)).unwrap_or_default();
        line.push(b'\n');
        Ok(Bytes::from(line))
    });
    let mut response = Response::new(Body::stream(futures_util::stream::iter(lines)));
    let kind = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn one(oracle: &Oracle, path: &str) -> Result<Response<Body>, Complaint> {
    let id = path.strip_prefix("requests/").ok_or_else(Complaint::nothing_here)?;
    // Ids are plain but for the slash before the attempt, which some clients escape.
    let id = id.replace("%2F", "/").replace("%2f", "/");
    let entry = oracle.by_client(&id).ok_or_else(unknown)?;
    Ok(shown(StatusCode::OK, &oracle.observe(&entry)))
}

#[derive(Deserialize)]
struct Step {
    #[serde(default)]
    client_request_id: Option<String>,
    #[serde(default)]
    seq: Option<u64>,
    #[serde(default)]
    chunks: u64,
    #[serde(default)]
    end: bool,
}

fn stepped(oracle: &Oracle, body: &Bytes) -> Result<Response<Body>, Complaint> {
    let step: Step = serde_json::from_slice(body)
        .map_err(|_| Complaint::bad("a step is {seq or client_request_id, chunks or end}"))?;
    let entry = find(oracle, step.client_request_id.as_deref(), step.seq).ok_or_else(unknown)?;
    let allowed = entry.step(if step.end { u64::MAX } else { step.chunks });
    Ok(shown(StatusCode::OK, &json!({"seq": entry.seq, "allowed": allowed})))
}

/// A state that can be waited for.
#[derive(Clone, Copy)]
enum Awaited {
    Started,
    Ended,
    Tokens(u64),
}

/// What waiting came to.
enum Waited {
    Reached(Observed),
    /// It ended, and will never get there.
    Missed(Observed),
}

async fn waited(oracle: &Oracle, question: &Question<'_>) -> Result<Response<Body>, Complaint> {
    let awaited = match question.field("state").as_deref() {
        None | Some("ended") => Awaited::Ended,
        Some("started") => Awaited::Started,
        Some(state) => {
            let number = state.strip_prefix("chunks:").and_then(|number| number.parse().ok());
            let wrong = || Complaint::bad("a state is started, ended or chunks:N");
            Awaited::Tokens(number.ok_or_else(wrong)?)
        }
    };
    let millis = question.field("timeout_ms").and_then(|millis| millis.parse().ok());
    let limit = millis.map_or(WAIT_MAX, Duration::from_millis).min(WAIT_MAX);
    let id = question.field("client_request_id");
    let seq = question.field("seq").and_then(|seq| seq.parse().ok());
    if id.is_none() && seq.is_none() {
        return Err(Complaint::bad("`client_request_id` or `seq` says which request"));
    }
    let wait = async {
        let entry = appeared(oracle, id.as_deref(), seq).await;
        reached(oracle, &entry, awaited).await
    };
    Ok(match timeout(limit, wait).await {
        Ok(Waited::Reached(seen)) => shown(StatusCode::OK, &seen),
        Ok(Waited::Missed(seen)) => shown(StatusCode::CONFLICT, &seen),
        Err(_elapsed) => shown(StatusCode::GATEWAY_TIMEOUT, &json!({"timeout": true})),
    })
}

async fn appeared(oracle: &Oracle, id: Option<&str>, seq: Option<u64>) -> Arc<Entry> {
    loop {
        let arrival = oracle.arrival();
        if let Some(entry) = find(oracle, id, seq) {
            return entry;
        }
        arrival.await;
    }
}

async fn reached(oracle: &Oracle, entry: &Entry, awaited: Awaited) -> Waited {
    loop {
        let changed = entry.changed.notified();
        let ended = entry.has_ended();
        let there = match awaited {
            Awaited::Started => true,
            Awaited::Ended => ended,
            Awaited::Tokens(number) => number <= entry.written(),
        };
        if there {
            return Waited::Reached(oracle.observe(entry));
        }
        if ended {
            return Waited::Missed(oracle.observe(entry));
        }
        changed.await;
    }
}

fn find(oracle: &Oracle, id: Option<&str>, seq: Option<u64>) -> Option<Arc<Entry>> {
    match (id, seq) {
        (_, Some(seq)) => oracle.by_seq(seq),
        (Some(id), None) => oracle.by_client(id),
        (None, None) => None,
    }
}

fn unknown() -> Complaint {
    Complaint::missing("no such request is remembered")
}

fn shown(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    let mut response = Response::new(Body::plain(serde_json::to_vec(value).unwrap_or_default()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

// === impl Question ===

impl Question<'_> {
    fn field(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes())
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.into_owned())
    }
}
