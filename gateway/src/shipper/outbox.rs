//! What is committed to the journal and not yet in the store.

use crate::journal::{Kept, Written};
use policies::{
    ids::{OrgId, RequestId},
    usage::{Decision, UsageRecord},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// As many rows do not wait for company.
const GATHER_ROWS: usize = 2048;

/// A committed row of the journal on its way to the store.
pub struct Row {
    pub body: Body,
    /// The rows of the journal that can be let go when this is in the store.
    pub kept: [Option<Written>; 2],
    /// Its place among all rows; the outbox numbers them.
    pub number: u64,
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
    pub fn new(body: Body, kept: [Option<Written>; 2]) -> Self {
        Self { body, kept, number: 0 }
    }

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
    /// Rows that are not in the store, for those who only ask how many they are.
    waiting: AtomicUsize,
    ready: Notify,
    /// Somebody waits for the rows, or there are many.
    wanted: Notify,
}

#[derive(Default)]
struct Inner {
    rows: Vec<Row>,
    kept: Kept,
    /// Rows that were ever added.
    added: u64,
    /// The numbers of each org's rows that are not in the store, in order.
    pending: HashMap<OrgId, VecDeque<u64>>,
}

impl Inner {
    fn of(&self, org: Option<&OrgId>) -> impl Iterator<Item = &VecDeque<u64>> {
        let one = org.map(|org| self.pending.get(org));
        let all = org.is_none().then(|| self.pending.values());
        one.flatten().into_iter().chain(all.into_iter().flatten())
    }
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
        for mut row in batch.rows.drain(..) {
            inner.added += 1;
            row.number = inner.added;
            inner.pending.entry(row.org()).or_default().push_back(row.number);
            inner.rows.push(row);
        }
        self.waiting.fetch_add(count, Ordering::AcqRel);
        drop(inner);
        batch.kept = 0;
        if before == 0 && 0 < count {
            self.ready.notify_one();
        }
        if before < GATHER_ROWS && GATHER_ROWS <= before + count {
            self.wanted.notify_one();
        }
    }

    /// These rows are in the store, or in quarantine: the oldest of one org.
    pub fn release<'a>(&self, org: &OrgId, rows: impl IntoIterator<Item = &'a Row>) {
        let mut inner = self.inner();
        for row in rows {
            for written in row.kept.iter().flatten() {
                inner.kept.release(*written);
            }
            if let Some(pending) = inner.pending.get_mut(org)
                && let Ok(place) = pending.binary_search(&row.number)
            {
                pending.remove(place);
                self.waiting.fetch_sub(1, Ordering::AcqRel);
            }
        }
        if inner.pending.get(org).is_some_and(VecDeque::is_empty) {
            inner.pending.remove(org);
        }
    }

    /// The last row of this org, or of all, that is not in the store.
    pub(super) fn last_pending(&self, org: Option<&OrgId>) -> Option<u64> {
        self.inner().of(org).filter_map(|pending| pending.back().copied()).max()
    }

    /// Whether a row of this org, or of any, up to `number` is not in the store.
    pub(super) fn is_pending(&self, org: Option<&OrgId>, number: u64) -> bool {
        self.inner().of(org).any(|pending| pending.front().is_some_and(|first| *first <= number))
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

    /// Rows that are not in the store.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Ends the gathering at once.
    pub(super) fn want(&self) {
        self.wanted.notify_one();
        self.ready.notify_one();
    }

    /// Waits for a row, and then a little for company.
    pub(super) async fn gather(&self, patience: Duration, stop: &CancellationToken) {
        if stop.run_until_cancelled(self.ready.notified()).await.is_none()
            || GATHER_ROWS <= self.inner().rows.len()
        {
            return;
        }
        tokio::select! {
            biased;
            () = self.wanted.notified() => {}
            () = tokio::time::sleep(patience) => {}
            () = stop.cancelled() => {}
        }
    }

    pub(super) fn take(&self) -> Vec<Row> {
        std::mem::take(&mut self.inner().rows)
    }
}
