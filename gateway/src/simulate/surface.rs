//! The OpenAI surface of the simulator: from a request to the answer its model's name scripts.

use crate::simulate::ask::ChatBody;
use crate::simulate::chat::Answer;
use crate::simulate::complaint::{Complaint, retry_after};
use crate::simulate::embed::EmbedBody;
use crate::simulate::events::Events;
use crate::simulate::fixed::{self, Glance};
use crate::simulate::model::{Base, MODELS, Mishap, Opening, RetryAfter, Script};
use crate::simulate::oracle::{Arrival, Oracle, Running};
use crate::simulate::play::{self, Body, CutOff, Whole};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What a request to the surface came with.
pub(super) struct Posted {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) arrived: Instant,
}

/// `POST /v1/chat/completions`.
pub(super) async fn chat(oracle: &Oracle, posted: Posted) -> Result<Response<Body>, CutOff> {
    if let Some(glance) = Glance::of(&posted.body)
        && let Some(script) = Script::read(glance.model)
    {
        return Ok(fixed_answer(oracle, &posted, glance, &script));
    }
    let head = match Head::of(&posted.body) {
        Ok(head) => head,
        Err(complaint) => return Ok(unread(oracle, &posted, &Head::default(), &complaint)),
    };
    let read = head.script(Base::Chat).and_then(|script| {
        let body = serde_json::from_slice::<ChatBody>(&posted.body)
            .map_err(|error| misread("a chat request", &error))?;
        Ok((script, body.understood(&script)?))
    });
    let (script, ask) = match read {
        Ok(read) => read,
        Err(complaint) => return Ok(unread(oracle, &posted, &head, &complaint)),
    };
    let running = oracle.record(posted.arrival(&head, ask.prompt_tokens), &posted.body);
    let answer = Answer::plan(&head.model, &script, &ask);
    let hidden = answer.usage().reasoning;
    let seen = if ask.stream { 0 } else { answer.tokens() };
    let waits = hidden.saturating_add(seen);
    let running = match open(oracle, &head, &script, waits, running).await? {
        Opened::Go(running) => running,
        Opened::Refused(response) => return Ok(response),
    };
    running.thought(hidden);
    if ask.stream {
        let mut response = answering(&running, StatusCode::OK, "text/event-stream; charset=utf-8");
        let events = Events::new(answer, script.framing.no_done);
        *response.body_mut() = play::play(&script, events, running);
        return Ok(response);
    }
    if script.base == Base::Lockstep {
        running.entry().may_send(answer.tokens().saturating_add(1)).await;
    }
    let (text, usage) = answer.whole();
    Ok(whole(&script, Whole::new(text, answer.tokens(), usage), running))
}

/// `POST /v1/embeddings`.
pub(super) async fn embeddings(oracle: &Oracle, posted: Posted) -> Result<Response<Body>, CutOff> {
    let head = match Head::of(&posted.body) {
        Ok(head) => head,
        Err(complaint) => return Ok(unread(oracle, &posted, &Head::default(), &complaint)),
    };
    let read = head.script(Base::Embed).and_then(|script| {
        let body = serde_json::from_slice::<EmbedBody>(&posted.body)
            .map_err(|error| misread("an embedding request", &error))?;
        Ok((script, body.prompt_tokens(), body.answer(&head.model, &script)?))
    });
    let (script, prompt_tokens, (text, usage)) = match read {
        Ok(read) => read,
        Err(complaint) => return Ok(unread(oracle, &posted, &head, &complaint)),
    };
    let running = oracle.record(posted.arrival(&head, prompt_tokens), &posted.body);
    Ok(match open(oracle, &head, &script, 0, running).await? {
        Opened::Go(running) => whole(&script, Whole::new(text, 0, usage), running),
        Opened::Refused(response) => response,
    })
}

/// `GET /v1/models`.
pub(super) fn models() -> Response<Body> {
    let data: Vec<Value> = MODELS.iter().map(|model| described(model.name)).collect();
    unfollowed(StatusCode::OK, &json!({"object": "list", "data": data}).to_string())
}

/// `GET /v1/models/{id}`; a name with directives is a model too.
pub(super) fn model(name: &str) -> Response<Body> {
    if Script::read(name).is_some() {
        unfollowed(StatusCode::OK, &described(name).to_string())
    } else {
        complain(&Complaint::no_model(name))
    }
}

/// A refusal the oracle does not follow.
pub(super) fn complain(complaint: &Complaint) -> Response<Body> {
    unfollowed(complaint.status, &complaint.text())
}

/// The fields every request has.
#[derive(Default, Deserialize)]
struct Head {
    #[serde(default)]
    model: String,
    #[serde(default)]
    stream: Option<bool>,
}

// === impl Head ===

impl Head {
    fn of(body: &[u8]) -> Result<Self, Complaint> {
        let head: Self =
            serde_json::from_slice(body).map_err(|error| misread("a request", &error))?;
        if head.model.is_empty() {
            return Err(Complaint::field("model", "`model` says which model is to answer"));
        }
        Ok(head)
    }

    fn script(&self, wanted: Base) -> Result<Script, Complaint> {
        let script = Script::read(&self.model).ok_or_else(|| Complaint::no_model(&self.model))?;
        let embeds = script.base == Base::Embed;
        if embeds != (wanted == Base::Embed) {
            return Err(Complaint::field("model", "this model does not answer such requests"));
        }
        Ok(script)
    }
}

// === impl Posted ===

impl Posted {
    fn arrival(&self, head: &Head, prompt_tokens: u64) -> Arrival {
        self.arrival_of(&head.model, head.stream.unwrap_or(false), prompt_tokens)
    }

    fn arrival_of(&self, model: &str, stream: bool, prompt_tokens: u64) -> Arrival {
        let id = self.headers.get("x-client-request-id").and_then(|id| id.to_str().ok());
        Arrival {
            client_request_id: id.map(Into::into),
            model: model.into(),
            stream,
            authorization: self.headers.contains_key(header::AUTHORIZATION),
            prompt_tokens,
            arrived: self.arrived,
        }
    }
}

// === impl Whole ===

impl Whole {
    fn new(text: String, tokens: u64, usage: Option<Box<str>>) -> Self {
        Self { bytes: Bytes::from(text), tokens, usage, running: None }
    }
}

/// How a request was opened.
enum Opened {
    Go(Running),
    Refused(Response<Body>),
}

/// Waits as the script has it, then opens the answer or fails as it has it. `waits` counts the
/// tokens made before the first byte.
async fn open(
    oracle: &Oracle,
    head: &Head,
    script: &Script,
    waits: u64,
    running: Running,
) -> Result<Opened, CutOff> {
    let status = match script.opening {
        Opening::Answer => None,
        Opening::Status(status) => Some(status),
        Opening::Flap(every) => (!oracle.flaps_up(&head.model, every)).then_some(503),
        Opening::Reset => {
            sleep_if_long(script.delay).await;
            running.struck("reset");
            running.end();
            return Err(CutOff);
        }
        Opening::Hang => {
            running.struck("hang");
            std::future::pending().await
        }
    };
    let Some(status) = status else {
        let tokens = u32::try_from(waits).unwrap_or(u32::MAX);
        sleep_if_long(script.delay.saturating_add(script.gap.saturating_mul(tokens))).await;
        return Ok(Opened::Go(running));
    };
    sleep_if_long(script.delay).await;
    running.struck("status");
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok(Opened::Refused(refused(&Complaint::scripted(status), script.retry_after, running)))
}

async fn sleep_if_long(wait: Duration) {
    if !wait.is_zero() {
        sleep(wait).await;
    }
}

fn fixed_answer(
    oracle: &Oracle,
    posted: &Posted,
    glance: Glance,
    script: &Script,
) -> Response<Body> {
    // The body is not kept: a bench must not pay for it.
    let arrival = posted.arrival_of(glance.model, glance.stream, fixed::PROMPT_TOKENS);
    let running = oracle.record(arrival, &[]);
    running.answered(StatusCode::OK.as_u16());
    let mut response = Response::new(fixed::answer(glance, script, running));
    let kind = if glance.stream { "text/event-stream; charset=utf-8" } else { "application/json" };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// The answer that is not a stream, spoilt where the script spoils it.
fn whole(script: &Script, whole: Whole, running: Running) -> Response<Body> {
    match script.mishap {
        None => {
            let mut response = answering(&running, StatusCode::OK, "application/json");
            *response.body_mut() = Body::Whole(Some(Whole { running: Some(running), ..whole }));
            response
        }
        Some((Mishap::Error, _)) => {
            running.struck(Mishap::Error.name());
            let complaint = Complaint::scripted(StatusCode::INTERNAL_SERVER_ERROR);
            refused(&complaint, RetryAfter::Unsaid, running)
        }
        Some((mishap, _)) => {
            let mut response = answering(&running, StatusCode::OK, "application/json");
            *response.body_mut() = play::spoilt(mishap, whole.bytes, running);
            response
        }
    }
}

/// A refusal of a request that could not be read or has no script.
fn unread(oracle: &Oracle, posted: &Posted, head: &Head, complaint: &Complaint) -> Response<Body> {
    let running = oracle.record(posted.arrival(head, 0), &posted.body);
    refused(complaint, RetryAfter::Unsaid, running)
}

fn refused(complaint: &Complaint, after: RetryAfter, running: Running) -> Response<Body> {
    let mut response = answering(&running, complaint.status, "application/json");
    if let Some((name, value)) = retry_after(after) {
        response.headers_mut().insert(name, value);
    }
    let whole = Whole { running: Some(running), ..Whole::new(complaint.text(), 0, None) };
    *response.body_mut() = Body::Whole(Some(whole));
    response
}

fn answering(running: &Running, status: StatusCode, kind: &'static str) -> Response<Body> {
    running.answered(status.as_u16());
    let mut response = Response::new(Body::Whole(None));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(id) = HeaderValue::from_str(&format!("sim-{}", running.entry().seq)) {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

fn unfollowed(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::plain(text.to_owned()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn described(name: &str) -> Value {
    let created = crate::simulate::chat::CREATED;
    json!({"id": name, "object": "model", "created": created, "owned_by": "simulated"})
}

/// Says where the JSON goes wrong, and nothing of what is in it.
fn misread(what: &str, error: &serde_json::Error) -> Complaint {
    let (line, column) = (error.line(), error.column());
    Complaint::bad(&format!("the body is not {what}: line {line}, column {column}"))
}
