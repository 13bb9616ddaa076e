//! The oracle: what was asked of the simulator and what it sent, for tests to compare with.

use serde::Serialize;
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Requests remembered; the oldest are forgotten first.
const REQUESTS_MAX: usize = 200_000;
/// Requests whose body is remembered too.
const SAW_REQUESTS_MAX: usize = 10_000;
/// How much is remembered of one body, and of all.
const SAW_BYTES_MAX: usize = 64 * 1024;
const SAW_BYTES_ALL_MAX: usize = 256 * 1024 * 1024;

/// How a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Running,
    Finished,
    /// The other side went away before all was sent.
    ClientGone,
    /// The script broke the answer off, or spoilt it; `fault` says how.
    Faulted,
}

/// One request, as it stands when it is asked for. Milliseconds count from the simulator's start.
#[derive(Clone, Debug, Serialize)]
pub struct Observed {
    pub seq: u64,
    /// The request's `x-client-request-id`.
    pub client_request_id: Option<String>,
    pub model: String,
    pub stream: bool,
    /// Whether an authorization header came along; never what was in it.
    pub authorization: bool,
    pub prompt_tokens: u64,
    /// Tokens handed to the socket so far; hidden ones not included.
    pub output_tokens_written: u64,
    pub reasoning_tokens: u64,
    /// The usage object that was sent; a string where it is not valid JSON.
    pub usage_reported: Option<Value>,
    pub outcome: Outcome,
    /// The directive that has struck, if one has.
    pub fault: Option<&'static str>,
    /// The status answered, once there is one.
    pub status: Option<u16>,
    pub started_ms: u64,
    pub ended_ms: Option<u64>,
    /// The start of the request's body, while it is remembered.
    pub saw: Option<String>,
}

/// What is known of a request when it has been read.
pub(super) struct Arrival {
    pub(super) client_request_id: Option<Box<str>>,
    pub(super) model: Box<str>,
    pub(super) stream: bool,
    pub(super) authorization: bool,
    pub(super) prompt_tokens: u64,
    pub(super) arrived: Instant,
}

/// A request in the oracle's memory. What changes once for each token takes no lock.
pub(super) struct Entry {
    pub(super) seq: u64,
    arrival: Arrival,
    written: AtomicU64,
    reasoning: AtomicU64,
    /// Tokens that may be sent in lockstep; `u64::MAX` once the end is allowed.
    allowed: AtomicU64,
    told: Notify,
    pub(super) changed: Notify,
    state: Mutex<State>,
}

struct State {
    outcome: Outcome,
    fault: Option<&'static str>,
    usage: Option<Box<str>>,
    status: Option<u16>,
    ended: Option<Instant>,
    saw: Option<Box<str>>,
}

/// The memory of all requests. Clones share it.
#[derive(Clone)]
pub(super) struct Oracle(Arc<Shared>);

struct Shared {
    start: Instant,
    arrived: Notify,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    next: u64,
    entries: VecDeque<Arc<Entry>>,
    by_client: HashMap<Box<str>, u64>,
    /// Entries whose body is held, oldest first, with its size.
    saw: VecDeque<(Arc<Entry>, usize)>,
    saw_bytes: usize,
    flaps: HashMap<Box<str>, u64>,
}

// === impl Oracle ===

impl Oracle {
    pub(super) fn new() -> Self {
        let memory = Mutex::new(Memory { next: 1, ..Memory::default() });
        Self(Arc::new(Shared { start: Instant::now(), arrived: Notify::new(), memory }))
    }

    /// Writes a request down. The guard returned follows it to its end.
    pub(super) fn record(&self, arrival: Arrival, saw: &[u8]) -> Running {
        let saw = (!saw.is_empty()).then(|| clipped(saw));
        let held = saw.as_ref().map(|text| text.len());
        let state = State {
            outcome: Outcome::Running,
            fault: None,
            usage: None,
            status: None,
            ended: None,
            saw,
        };
        let mut memory = locked(&self.0.memory);
        let entry = Arc::new(Entry {
            seq: memory.next,
            arrival,
            written: AtomicU64::new(0),
            reasoning: AtomicU64::new(0),
            allowed: AtomicU64::new(0),
            told: Notify::new(),
            changed: Notify::new(),
            state: Mutex::new(state),
        });
        memory.remember(&entry, held);
        drop(memory);
        self.0.arrived.notify_waiters();
        Running(entry)
    }

    pub(super) fn by_seq(&self, seq: u64) -> Option<Arc<Entry>> {
        locked(&self.0.memory).entry(seq)
    }

    /// The newest request with this id.
    pub(super) fn by_client(&self, id: &str) -> Option<Arc<Entry>> {
        let memory = locked(&self.0.memory);
        memory.by_client.get(id).and_then(|seq| memory.entry(*seq))
    }

    /// The requests after `since`, oldest first.
    pub(super) fn after(&self, since: u64) -> Vec<Arc<Entry>> {
        let memory = locked(&self.0.memory);
        memory.entries.iter().filter(|entry| since < entry.seq).cloned().collect()
    }

    /// Waits until the next request is written down. Enable the future before looking.
    pub(super) fn arrival(&self) -> tokio::sync::futures::Notified<'_> {
        self.0.arrived.notified()
    }

    /// Forgets everything but the count, so that `seq` never repeats.
    pub(super) fn reset(&self) {
        let mut memory = locked(&self.0.memory);
        let next = memory.next;
        *memory = Memory { next, ..Memory::default() };
    }

    /// Counts a request to a flapping model; true when it is each `every`th one's turn.
    pub(super) fn flaps_up(&self, model: &str, every: u64) -> bool {
        let mut memory = locked(&self.0.memory);
        // As many models may flap as requests are remembered; past that, counting starts over.
        if REQUESTS_MAX <= memory.flaps.len() {
            memory.flaps.clear();
        }
        let count = memory.flaps.entry(model.into()).or_insert(0);
        *count = count.wrapping_add(1);
        count.is_multiple_of(every)
    }

    pub(super) fn observe(&self, entry: &Entry) -> Observed {
        let state = locked(&entry.state);
        let millis = |at: Instant| {
            let since = at.saturating_duration_since(self.0.start);
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        };
        let valid = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
        Observed {
            seq: entry.seq,
            client_request_id: entry.arrival.client_request_id.as_deref().map(str::to_owned),
            model: entry.arrival.model.as_ref().to_owned(),
            stream: entry.arrival.stream,
            authorization: entry.arrival.authorization,
            prompt_tokens: entry.arrival.prompt_tokens,
            output_tokens_written: entry.written(),
            reasoning_tokens: entry.reasoning.load(Ordering::Acquire),
            usage_reported: state.usage.as_deref().map(valid),
            outcome: state.outcome,
            fault: state.fault,
            status: state.status,
            started_ms: millis(entry.arrival.arrived),
            ended_ms: state.ended.map(millis),
            saw: state.saw.as_deref().map(str::to_owned),
        }
    }
}

// === impl Memory ===

impl Memory {
    fn entry(&self, seq: u64) -> Option<Arc<Entry>> {
        let first = self.entries.front()?.seq;
        self.entries.get(usize::try_from(seq.checked_sub(first)?).ok()?).cloned()
    }

    fn remember(&mut self, entry: &Arc<Entry>, held: Option<usize>) {
        self.next = self.next.saturating_add(1);
        if let Some(id) = &entry.arrival.client_request_id {
            self.by_client.insert(id.clone(), entry.seq);
        }
        self.entries.push_back(Arc::clone(entry));
        if REQUESTS_MAX < self.entries.len()
            && let Some(oldest) = self.entries.pop_front()
            && let Some(id) = &oldest.arrival.client_request_id
            && self.by_client.get(id) == Some(&oldest.seq)
        {
            self.by_client.remove(id);
        }
        let Some(bytes) = held else { return };
        self.saw.push_back((Arc::clone(entry), bytes));
        self.saw_bytes = self.saw_bytes.saturating_add(bytes);
        while SAW_REQUESTS_MAX < self.saw.len() || SAW_BYTES_ALL_MAX < self.saw_bytes {
            let Some((oldest, bytes)) = self.saw.pop_front() else { return };
            self.saw_bytes = self.saw_bytes.saturating_sub(bytes);
            locked(&oldest.state).saw = None;
        }
    }
}

// === impl Entry ===

impl Entry {
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    pub(super) fn has_ended(&self) -> bool {
        locked(&self.state).ended.is_some()
    }

    /// Lets `tokens` more be sent in lockstep.
    pub(super) fn step(&self, tokens: u64) -> u64 {
        let more = |allowed: u64| Some(allowed.saturating_add(tokens));
        let before = self.allowed.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        self.told.notify_waiters();
        before.unwrap_or(u64::MAX).saturating_add(tokens)
    }

    /// Waits until the token of this number, counted from one, may be sent.
    pub(super) async fn may_send(&self, number: u64) {
        loop {
            let told = self.told.notified();
            if number <= self.allowed.load(Ordering::Acquire) {
                return;
            }
            told.await;
        }
    }
}

/// Follows one request; if it is dropped before it is told the end, the client has gone.
pub(super) struct Running(Arc<Entry>);

// === impl Running ===

impl Running {
    pub(super) fn entry(&self) -> &Entry {
        &self.0
    }

    /// Tokens have been handed to the socket.
    pub(super) fn wrote(&self, tokens: u64) {
        if 0 < tokens {
            self.0.written.fetch_add(tokens, Ordering::AcqRel);
            self.0.changed.notify_waiters();
        }
    }

    pub(super) fn thought(&self, tokens: u64) {
        self.0.reasoning.store(tokens, Ordering::Release);
    }

    pub(super) fn reported(&self, usage: Box<str>) {
        locked(&self.0.state).usage = Some(usage);
    }

    pub(super) fn answered(&self, status: u16) {
        locked(&self.0.state).status = Some(status);
    }

    /// A directive has struck.
    pub(super) fn struck(&self, fault: &'static str) {
        locked(&self.0.state).fault = Some(fault);
    }

    /// All has been sent that the script has.
    pub(super) fn end(&self) {
        let mut state = locked(&self.0.state);
        let outcome = state.fault.map_or(Outcome::Finished, |_| Outcome::Faulted);
        close(&mut state, outcome);
        drop(state);
        self.0.changed.notify_waiters();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        close(&mut locked(&self.0.state), Outcome::ClientGone);
        self.0.changed.notify_waiters();
    }
}

/// Ends the request; the first end counts.
fn close(state: &mut State, outcome: Outcome) {
    if state.ended.is_none() {
        state.outcome = outcome;
        state.ended = Some(Instant::now());
    }
}

fn clipped(body: &[u8]) -> Box<str> {
    let most = body.get(..SAW_BYTES_MAX).unwrap_or(body);
    String::from_utf8_lossy(most).into_owned().into_boxed_str()
}

/// What the locks guard is whole after every statement, so a panic elsewhere spoils nothing.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
