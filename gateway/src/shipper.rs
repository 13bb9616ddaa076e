//! From the journal to the store: rows in batches, each batch as often as it takes.

use crate::journal::{Written, portions_of, rows_by_org};
use policies::{
    ids::OrgId,
    usage::{Decision, UsageRecord},
};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use store::{Fault, Ledger, Shipment};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Rows wait this long for company, unless somebody wants them shipped now.
const GATHER: Duration = Duration::from_millis(100);
/// As many rows do not wait.
const GATHER_ROWS: usize = 512;
/// Rows that one round takes, at most.
const ROUND_ROWS_MAX: usize = 8192;
const RETRY: Duration = Duration::from_millis(250);

/// A committed row of the journal on its way to the store.
pub enum Row {
    Record { record: Box<UsageRecord>, kept: [Written; 2] },
    Decision { decision: Box<Decision>, kept: Written },
}

/// What is committed and not yet shipped.
#[derive(Default)]
pub struct Outbox {
    inner: Mutex<Inner>,
    ready: Notify,
    /// Somebody waits for the rows.
    wanted: Notify,
    pushed: AtomicU64,
}

#[derive(Default)]
struct Inner {
    rows: Vec<Row>,
    kept: crate::journal::Kept,
}

impl Outbox {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The row of the journal must stay until it is released as often as it was kept.
    pub fn keep(&self, written: Written) {
        self.inner().kept.keep(written);
    }

    pub fn release(&self, written: Written) {
        self.inner().kept.release(written);
    }

    pub fn push(&self, row: Row) {
        let mut inner = self.inner();
        inner.rows.push(row);
        self.pushed.fetch_add(1, Ordering::AcqRel);
        let waiting = inner.rows.len();
        drop(inner);
        if waiting == 1 {
            self.ready.notify_one();
        } else if waiting == GATHER_ROWS {
            self.wanted.notify_one();
        }
    }

    /// Rows of the journal below this are shipped and closed.
    pub fn done(&self) -> Option<i64> {
        let inner = self.inner();
        Some(inner.kept.done()).filter(|done| 0 < *done)
    }

    /// True: nothing is open and everything is shipped.
    pub fn is_empty(&self) -> bool {
        let inner = self.inner();
        inner.rows.is_empty() && inner.kept.is_empty()
    }

    /// Rows that wait to be shipped.
    pub fn waiting(&self) -> usize {
        self.inner().rows.len()
    }

    fn take(&self) -> Vec<Row> {
        let mut inner = self.inner();
        let count = inner.rows.len().min(ROUND_ROWS_MAX);
        inner.rows.drain(..count).collect()
    }
}

/// The task that ships, and the handle for those who cannot wait.
pub struct Shipper {
    outbox: Arc<Outbox>,
    shipped: watch::Sender<u64>,
}

impl Shipper {
    pub fn new(outbox: Arc<Outbox>) -> Self {
        Self { outbox, shipped: watch::Sender::new(0) }
    }

    /// Ships what is committed by now, and returns when it is in the store. Bounded by
    /// `patience`; false: the store is away or slow.
    pub async fn flush(&self, patience: Duration) -> bool {
        let target = self.outbox.pushed.load(Ordering::Acquire);
        let mut shipped = self.shipped.subscribe();
        if target <= *shipped.borrow_and_update() {
            return true;
        }
        self.outbox.wanted.notify_one();
        self.outbox.ready.notify_one();
        let reached = shipped.wait_for(|shipped| target <= *shipped);
        matches!(tokio::time::timeout(patience, reached).await, Ok(Ok(_)))
    }

    /// Runs until `stop`, then ships what is left and ends.
    pub async fn run(&self, ledger: Arc<dyn Ledger>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = self.outbox.ready.notified() => {}
                () = stop.cancelled() => {}
            }
            if !stop.is_cancelled() && self.outbox.waiting() < GATHER_ROWS {
                tokio::select! {
                    () = self.outbox.wanted.notified() => {}
                    () = tokio::time::sleep(GATHER) => {}
                    () = stop.cancelled() => {}
                }
            }
            loop {
                let rows = self.outbox.take();
                if rows.is_empty() {
                    break;
                }
                self.ship(rows, ledger.as_ref(), &stop).await;
            }
            if stop.is_cancelled() && self.outbox.waiting() == 0 {
                return;
            }
        }
    }

    async fn ship(&self, rows: Vec<Row>, ledger: &dyn Ledger, stop: &CancellationToken) {
        let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let (mut records, mut decisions, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            match row {
                Row::Record { record, kept: both } => {
                    records.push(*record);
                    kept.extend(both);
                }
                Row::Decision { decision, kept: one } => {
                    decisions.push(*decision);
                    kept.push(one);
                }
            }
        }
        let mut all = true;
        for (org, rows) in rows_by_org(records, decisions) {
            for portion in portions_of(rows) {
                all &= bring(&org, portion, ledger, stop).await;
            }
        }
        if all {
            let mut inner = self.outbox.inner();
            kept.into_iter().for_each(|written| inner.kept.release(written));
        }
        self.shipped.send_modify(|shipped| *shipped += count);
    }
}

/// Ships one portion, however often it takes. False: the journal must keep its rows, and the next
/// start tries again; so it is with rows that the store calls wrong, which must not hold up other
/// orgs.
async fn bring(
    org: &OrgId,
    portion: Shipment,
    ledger: &dyn Ledger,
    stop: &CancellationToken,
) -> bool {
    loop {
        match ledger.ship(org, portion.clone()).await {
            Ok(()) => return true,
            Err(fault @ (Fault::Broken(_) | Fault::Unreadable { .. })) => {
                tracing::error!(%org, %fault, "rows stay in the journal: the store refuses them");
                return false;
            }
            Err(fault) => {
                tracing::error!(%org, %fault, "rows of the journal are not in the store yet");
            }
        }
        if stop.is_cancelled() {
            return false;
        }
        tokio::time::sleep(RETRY).await;
    }
}
