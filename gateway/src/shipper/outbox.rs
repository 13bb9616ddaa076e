//! What is committed to the journal and not yet in the store.

use crate::journal::{Kept, Written};
use policies::{
    ids::{OrgId, RequestId},
    usage::{Decision, UsageRecord},
};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// As many rows do not wait for company.
const GATHER_ROWS: usize = 2048;
/// Rows that one round takes, at most.
const ROUND_ROWS_MAX: usize = 8192;

/// A committed row of the journal on its way to the store.
pub struct Row {
    pub body: Body,
    /// The rows of the journal that can be let go when this is in the store.
    pub kept: [Option<Written>; 2],
}

pub enum Body {
    Record(Arc<UsageRecord>),
    Decision(Arc<Decision>),
}

/// What one commit brings.
#[derive(Default)]
pub struct Batch {
    pub rows: Vec<Row>,
    /// How often the journal's row must be released before it may go.
    pub kept: u32,
    /// Rows of the journal to be released once more.
    pub released: Vec<Written>,
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
    /// The length of its `rows`, for those who only ask how many they are.
    waiting: AtomicUsize,
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

    /// Takes what the commit of `written` brought, and leaves `batch` empty.
    pub fn add(&self, written: Written, batch: &mut Batch) {
        let count = batch.rows.len();
        let mut inner = self.inner();
        inner.kept.keep(written, batch.kept);
        batch.released.drain(..).for_each(|released| inner.kept.release(released));
        let before = inner.rows.len();
        inner.rows.append(&mut batch.rows);
        self.waiting.store(inner.rows.len(), Ordering::Release);
        self.pushed.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::AcqRel);
        drop(inner);
        batch.kept = 0;
        if before == 0 && 0 < count {
            self.ready.notify_one();
        }
        if before < GATHER_ROWS && GATHER_ROWS <= before + count {
            self.wanted.notify_one();
        }
    }

    /// These rows are in the store.
    pub fn release<'a>(&self, rows: impl IntoIterator<Item = &'a Row>) {
        let mut inner = self.inner();
        for written in rows.into_iter().flat_map(|row| row.kept.iter().flatten()) {
            inner.kept.release(*written);
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
        self.waiting.load(Ordering::Acquire)
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
        let later = inner.rows.split_off(count);
        self.waiting.store(later.len(), Ordering::Release);
        std::mem::replace(&mut inner.rows, later)
    }
}
