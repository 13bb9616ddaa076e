//! The conversation with the ledger, and what each reply teaches: its time, and what was lent.

use super::OrgBook;
use policies::{
    ids::{BootId, OrgId},
    time::Timestamp,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use store::{Answer, Fault, Ledger, SyncAsk, SyncReply, clock};
use tokio::sync::{Notify, OwnedMutexGuard};

/// How long a `sync` may stay under way. Whoever waits for it waits for less, and it goes on: what
/// it grants is lent all the same.
const SYNC_PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Talk {
    pub(super) ledger: Arc<dyn Ledger>,
    /// When this process began, on a clock that goes on while the machine sleeps.
    started: Duration,
    /// Ledger time minus own time, in milliseconds.
    offset: AtomicI64,
    /// When the ledger heard this boot last, in ticks.
    heard: AtomicI64,
    /// The ledger has given this boot up.
    pub(super) closed: Notify,
}

/// The ledger cannot be asked, or has closed this boot.
pub(super) struct NoReply;

impl Talk {
    pub(super) fn new(ledger: Arc<dyn Ledger>) -> Self {
        let offset = AtomicI64::new(clock::now().0);
        let (heard, closed) = (AtomicI64::new(0), Notify::new());
        Self { ledger, started: clock::since_boot(), offset, heard, closed }
    }

    /// Milliseconds of a clock that never goes back, and goes on while the machine sleeps.
    pub(super) fn ticks(&self) -> i64 {
        let elapsed = clock::since_boot().saturating_sub(self.started);
        i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
    }

    /// The ledger's present time.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp(self.offset.load(Ordering::Relaxed).saturating_add(self.ticks()))
    }

    /// The ledger has heard this boot, and told its time.
    pub(super) fn heard(&self, ledger_now: Timestamp) {
        let ticks = self.ticks();
        self.offset.store(ledger_now.0.saturating_sub(ticks), Ordering::Relaxed);
        self.was_heard();
    }

    pub(super) fn was_heard(&self) {
        self.heard.store(self.ticks(), Ordering::Relaxed);
    }

    /// Milliseconds since the ledger heard this boot.
    pub(super) fn unheard(&self) -> i64 {
        self.ticks().saturating_sub(self.heard.load(Ordering::Relaxed))
    }

    /// Sends `ask` and learns from the reply, however long it takes within limits: it is not given
    /// up with the one who waits for it, and no other goes out before (`turn`). The boot is the one
    /// whose totals `ask` tells: another may have begun since.
    pub(super) async fn sync(
        self: Arc<Self>,
        org: OrgId,
        own: Arc<OrgBook>,
        turn: OwnedMutexGuard<()>,
        (boot, ask): (BootId, SyncAsk),
    ) -> Result<Vec<Answer>, NoReply> {
        let reply = tokio::time::timeout(SYNC_PATIENCE, self.ledger.sync(&org, &boot, ask)).await;
        let late = |_| Fault::Away("no reply in time".to_owned());
        let answers = match reply.map_err(late).and_then(|reply| reply) {
            Ok(SyncReply::Open { answers, leases, now }) => {
                self.heard(now);
                let mut book = own.lock();
                if book.boot() == boot {
                    book.learn(&leases);
                    Ok(answers)
                } else {
                    Err(NoReply)
                }
            }
            Ok(SyncReply::Closed) => {
                tracing::warn!(%org, "the ledger has closed this boot: another one begins");
                self.closed.notify_one();
                Err(NoReply)
            }
            Err(fault) => {
                tracing::error!(%org, %fault, "the ledger cannot be asked");
                Err(NoReply)
            }
        };
        drop(turn);
        own.freed.notify_waiters();
        answers
    }
}
