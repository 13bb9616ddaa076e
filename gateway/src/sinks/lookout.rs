//! What the request path refuses for reasons of security, counted into the audit log.
//!
//! The request path only puts a note into a bounded queue. A task adds equal notes up and writes
//! one row for each of them, so that a flood of refusals makes some rows and no flood of rows: of
//! what a known caller is refused, one in a second for each principal, key and reason; of what an
//! address fails to authenticate, one at once and then one in a minute.

mod known;
mod tally;

pub use self::known::Known;

use self::tally::Tallies;
use policies::{ids::RequestId, refusal::Refusal, time::Timestamp};
use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use store::{audit::AuditLog, clock};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Notes that wait to be added up, at most; more are counted as missed.
const NOTES_MAX: usize = 8_192;
/// The level of a refusal for an address that fails too often.
const ADDRESS: &str = "your address";
/// How often what is due is written.
const WRITE: Duration = Duration::from_millis(250);

/// The request path's end. Cheap to clone.
#[derive(Clone)]
pub struct Lookout {
    notes: mpsc::Sender<Note>,
    missed: Arc<AtomicU64>,
}

/// One refusal.
#[derive(Clone, Debug)]
struct Note {
    at: Timestamp,
    address: IpAddr,
    request: Option<RequestId>,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    /// An address whose credential nobody knows.
    Stranger,
    Known {
        known: Known,
        code: &'static str,
        reason: String,
    },
}

/// Whether a refusal is one of security, and not of limits, money or form.
pub fn concerns(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Unauthenticated
        | Refusal::AdminKey
        | Refusal::AmbiguousCredentials
        | Refusal::PermissionDenied { .. }
        | Refusal::PolicyDenied { .. }
        | Refusal::ApprovalRequired { .. } => true,
        Refusal::ModelNotFound { .. }
        | Refusal::Malformed { .. }
        | Refusal::UnsupportedParameter { .. }
        | Refusal::BodyTooLarge { .. }
        | Refusal::RateLimited { .. }
        | Refusal::TokensLimited { .. }
        | Refusal::ConcurrencyLimited { .. }
        | Refusal::BudgetExhausted { .. }
        | Refusal::BudgetHeld { .. }
        | Refusal::BudgetUnsettled { .. }
        | Refusal::UnboundedCost { .. }
        | Refusal::Capacity { .. }
        | Refusal::NotSetUp { .. }
        | Refusal::UpstreamFailed
        | Refusal::UpstreamTimeout
        | Refusal::UpstreamTruncated
        | Refusal::Unavailable { .. } => false,
    }
}

impl Lookout {
    /// An address has failed to authenticate, or does so too often. Never waits.
    pub fn unknown(&self, address: IpAddr, refusal: &Refusal) {
        let floods = matches!(refusal, Refusal::RateLimited { place, .. }
            if place.level == ADDRESS);
        if floods || concerns(refusal) {
            self.stranger(address);
        }
    }

    fn stranger(&self, address: IpAddr) {
        self.note(Note { at: clock::now(), address, request: None, what: What::Stranger });
    }

    /// A known caller was refused. Never waits; what does not concern security is passed over.
    pub fn refused(
        &self,
        address: IpAddr,
        request: Option<RequestId>,
        refusal: &Refusal,
        known: impl FnOnce() -> Known,
    ) {
        if !concerns(refusal) {
            return;
        }
        let (code, reason) = (refusal.code(), refusal.to_string());
        let what = What::Known { known: known(), code, reason };
        self.note(Note { at: clock::now(), address, request, what });
    }

    fn note(&self, note: Note) {
        if self.notes.try_send(note).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Where notes arrive.
pub(super) struct Log {
    log: Arc<dyn AuditLog>,
    notes: mpsc::Receiver<Note>,
    missed: Arc<AtomicU64>,
}

/// The two ends.
pub(super) fn lookout(log: Arc<dyn AuditLog>) -> (Lookout, Log) {
    let (sender, notes) = mpsc::channel(NOTES_MAX);
    let missed = Arc::new(AtomicU64::new(0));
    let lookout = Lookout { notes: sender, missed: Arc::clone(&missed) };
    (lookout, Log { log, notes, missed })
}

impl Log {
    /// Until `stop`; then what is left is written whether it is due or not.
    pub(super) async fn run(mut self, stop: &CancellationToken) {
        let mut tallies = Tallies::default();
        let mut write = tokio::time::interval(WRITE);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(note) = self.notes.recv() => tallies.add(note),
                _ = write.tick() => self.write(&mut tallies, clock::now()).await,
            }
        }
        while let Ok(note) = self.notes.try_recv() {
            tallies.add(note);
        }
        self.write(&mut tallies, Timestamp::NEVER).await;
    }

    /// Writes what is due at `now`. What cannot be written is kept, and added to.
    async fn write(&self, tallies: &mut Tallies, now: Timestamp) {
        tallies.missed(self.missed.swap(0, Ordering::Relaxed));
        for (org, rows) in tallies.due(now) {
            let (keys, acts) = rows.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
            match self.log.append(&org, acts).await {
                Ok(()) => tallies.written(&keys, now),
                Err(fault) => {
                    tracing::warn!(%fault, %org, "refusals are not in the audit log yet");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
