//! What is committed to the journal and not yet in the store.

use crate::journal::{Kept, Written};
use policies::{
    ids::{OrgId, RequestId},
    usage::{Decision, UsageRecord},
};
use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// As many rows do not wait for company.
const GATHER_ROWS: usize = 512;
/// Rows that one round takes, at most.
const ROUND_ROWS_MAX: usize = 8192;

/// A committed row of the journal on its way to the store.
pub struct Row {
    pub body: Body,
    /// The rows of the journal that can be let go when this is in the store.
    pub kept: [Option<Written>; 2],
}

pub enum Body {
    Record(Box<UsageRecord>),
    Decision(Box<Decision>),
}

impl Row {
    pub fn org(&self) -> OrgId {
        match &self.body {
            Body::Record(record) => record.stamp.org,
            Body::Decision(decision) => decision.org,
        }
    }

    pub fn request(&self) -> RequestId {
        match &self.body {
            Body::Record(record) => record.stamp.request,
            Body::Decision(decision) => decision.request,
        }
    }
}

#[derive(Default)]
pub struct Outbox {
    inner: Mutex<Inner>,
    ready: Notify,
    /// Somebody waits for the rows, or there are many.
    wanted: Notify,
    pushed: AtomicU64,
}

#[derive(Default)]
struct Inner {
    rows: Vec<Row>,
    kept: Kept,
}

impl Outbox {
    fn inner(&self) -> MutexGuard<'_, Inner> {
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

    /// Rows that were ever pushed.
    pub(super) fn pushed(&self) -> u64 {
        self.pushed.load(Ordering::Acquire)
    }

    /// Ends the gathering at once.
    pub(super) fn want(&self) {
        self.wanted.notify_one();
        self.ready.notify_one();
    }

    /// Waits for a row, and then a little for company.
    pub(super) async fn gather(&self, patience: Duration, stop: &CancellationToken) {
        if stop.run_until_cancelled(self.ready.notified()).await.is_none()
            || GATHER_ROWS <= self.waiting()
        {
            return;
        }
        tokio::select! {
            () = self.wanted.notified() => {}
            () = tokio::time::sleep(patience) => {}
            () = stop.cancelled() => {}
        }
    }

    pub(super) fn take(&self) -> Vec<Row> {
        let mut inner = self.inner();
        let count = inner.rows.len().min(ROUND_ROWS_MAX);
        inner.rows.drain(..count).collect()
    }
}
