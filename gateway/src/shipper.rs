//! From the journal to the store: rows in batches, each batch as often as it takes.

mod outbox;
mod quarantine;

pub use self::{
    outbox::{Batch, Body, Outbox, Row},
    quarantine::Quarantine,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use policies::ids::{BootId, OrgId};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use store::{Fault, Ledger, SHIPMENT_ROWS_MAX, Shipment};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

/// Rows wait this long for company, unless somebody wants them shipped now.
const GATHER: Duration = Duration::from_millis(100);
const RETRY: Duration = Duration::from_millis(250);
/// Orgs whose rows are on their way at once: one that the store is slow about holds up no other.
const LANES_MAX: usize = 8;

/// The task that ships, and the handle for those who cannot wait.
pub struct Shipper {
    outbox: Arc<Outbox>,
    quarantine: Arc<Quarantine>,
    /// Rows have left. Whoever waits is woken in order, so that a schedule can be run again.
    moved: Notify,
    /// Boots of which a row is not in the store and will not be.
    refused: Mutex<BTreeSet<BootId>>,
}

/// What became of some rows of one org.
#[derive(Default)]
pub(crate) struct Brought<'a> {
    pub(crate) shipped: Vec<&'a Row>,
    /// The store calls them wrong.
    pub(crate) refused: Vec<(&'a Row, Fault)>,
    /// Why the others are not in the store yet.
    pub(crate) away: Option<Fault>,
}

/// One org's rows, oldest first.
#[derive(Default)]
struct Lane {
    rows: Vec<Row>,
    /// Some of them are on their way, and nothing else goes before they are back.
    busy: bool,
    /// Not before then: the store was away.
    pause: Option<Instant>,
    /// The last try before the end.
    tried_last: bool,
}

impl Shipper {
    pub fn new(outbox: Arc<Outbox>, quarantine: Arc<Quarantine>) -> Self {
        let refused = Mutex::default();
        Self { outbox, quarantine, moved: Notify::new(), refused }
    }

    /// Ships what is committed of this org by now, or of all, and returns when it is in the store.
    /// Bounded by `patience`; false: the store is away or slow.
    pub async fn flush(&self, org: Option<&OrgId>, patience: Duration) -> bool {
        let Some(target) = self.outbox.last_pending(org) else { return true };
        self.outbox.want();
        let reached = async {
            loop {
                // Registered before the look, so that nothing which moves meanwhile is missed.
                let moved = self.moved.notified();
                if !self.outbox.is_pending(org, target) {
                    return;
                }
                moved.await;
            }
        };
        timeout(patience, reached).await.is_ok()
    }

    /// Whether all that this boot spent is, or will be, in the store.
    pub fn knows_all_of(&self, boot: &BootId) -> bool {
        !self.refused.lock().unwrap_or_else(PoisonError::into_inner).contains(boot)
    }

    /// Runs until `stop`, then tries what is left once more and ends.
    pub async fn run(&self, ledger: Arc<dyn Ledger>, stop: CancellationToken) {
        let mut lanes: BTreeMap<OrgId, Lane> = BTreeMap::new();
        let mut running = FuturesUnordered::new();
        let gathering = self.outbox.gather(GATHER, &stop);
        tokio::pin!(gathering);
        let mut stopping = false;
        loop {
            let next = lanes.values().filter_map(|lane| lane.pause).min();
            let gathered = tokio::select! {
                biased;
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    true
                }
                () = &mut gathering, if !stopping => {
                    gathering.set(self.outbox.gather(GATHER, &stop));
                    true
                }
                Some((org, rows)) = running.next() => {
                    put_back(&mut lanes, org, rows);
                    false
                }
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => false,
            };
            // Whoever comes while a shipment is under way still waits for company.
            for (org, rows) in by_org(if gathered { self.outbox.take() } else { Vec::new() }) {
                lanes.entry(org).or_default().rows.extend(rows);
            }
            for (org, lane) in &mut lanes {
                if LANES_MAX <= running.len() {
                    break;
                }
                if let Some(rows) = lane.due(stopping) {
                    running.push(self.ship(*org, rows, Arc::clone(&ledger)));
                }
            }
            lanes.retain(|_, lane| lane.busy || !lane.rows.is_empty());
            if stopping && lanes.values().all(Lane::is_given_up) {
                return;
            }
        }
    }

    /// What is left: the store was away.
    async fn ship(&self, org: OrgId, mut rows: Vec<Row>, ledger: Arc<dyn Ledger>) -> Left {
        let mut done = BTreeSet::new();
        for portion in rows.chunks(SHIPMENT_ROWS_MAX) {
            let brought = bring(&org, portion, ledger.as_ref()).await;
            done.extend(brought.shipped.iter().map(|row| row.number));
            self.outbox.release(&org, brought.shipped);
            for (row, fault) in brought.refused {
                if self.set_aside(row, &fault) {
                    done.insert(row.number);
                    self.outbox.release(&org, [row]);
                }
            }
            self.moved.notify_waiters();
            if let Some(fault) = brought.away {
                tracing::error!(%org, %fault, "rows of the journal are not in the store yet");
                break;
            }
        }
        rows.retain(|row| !done.contains(&row.number));
        (org, rows)
    }

    /// False: it could not be written down, and stays in the journal.
    fn set_aside(&self, row: &Row, fault: &Fault) -> bool {
        if let Body::Record(record) = &row.body {
            let boot = record.stamp.boot;
            self.refused.lock().unwrap_or_else(PoisonError::into_inner).insert(boot);
        }
        set_aside(&self.quarantine, row, fault)
    }
}

type Left = (OrgId, Vec<Row>);

fn put_back(lanes: &mut BTreeMap<OrgId, Lane>, org: OrgId, mut rows: Vec<Row>) {
    let lane = lanes.entry(org).or_default();
    lane.busy = false;
    lane.pause = (!rows.is_empty()).then(|| Instant::now() + RETRY);
    rows.append(&mut lane.rows);
    lane.rows = rows;
}

impl Lane {
    /// What is to be shipped now.
    fn due(&mut self, stopping: bool) -> Option<Vec<Row>> {
        let waits = self.pause.is_some_and(|pause| Instant::now() < pause);
        if self.busy || self.rows.is_empty() || (waits && !stopping) || self.tried_last {
            return None;
        }
        (self.busy, self.pause, self.tried_last) = (true, None, stopping);
        Some(std::mem::take(&mut self.rows))
    }

    fn is_given_up(&self) -> bool {
        !self.busy && self.tried_last
    }
}

/// Writes a refused row down for people. False: that failed too.
pub(crate) fn set_aside(quarantine: &Quarantine, row: &Row, fault: &Fault) -> bool {
    let (org, request, path) = (row.org(), row.request(), quarantine.path().display());
    match quarantine.put(row, &fault.to_string()) {
        Ok(()) => {
            tracing::error!(%org, %request, %fault, %path,
                "the store refuses a row of the journal: it is in quarantine");
            true
        }
        Err(cause) => {
            tracing::error!(%org, %request, %fault, %path, %cause,
                "the store refuses a row of the journal, and the quarantine cannot be written");
            false
        }
    }
}

/// Ships rows of one org until the store is away; a row that it calls wrong holds up no other.
pub(crate) async fn bring<'a>(org: &OrgId, rows: &'a [Row], ledger: &dyn Ledger) -> Brought<'a> {
    let (mut left, mut brought) = (vec![rows], Brought::default());
    while let Some(portion) = left.pop() {
        match ledger.ship(org, shipment(portion)).await {
            Ok(()) => brought.shipped.extend(portion),
            Err(fault) if fault.is_about_data() => match portion {
                [] => {}
                [row] => brought.refused.push((row, fault)),
                // Halves until the wrong row is alone; the first half goes first.
                both => {
                    let (first, second) = both.split_at(both.len() / 2);
                    left.extend([second, first]);
                }
            },
            Err(fault) => {
                brought.away = Some(fault);
                break;
            }
        }
    }
    brought
}

fn shipment(rows: &[Row]) -> Shipment {
    let mut shipment = Shipment::default();
    for row in rows {
        match &row.body {
            Body::Record(record) => shipment.records.push(Arc::clone(record)),
            Body::Decision(decision) => shipment.decisions.push(Arc::clone(decision)),
        }
    }
    shipment
}

pub(crate) fn by_org(rows: Vec<Row>) -> BTreeMap<OrgId, Vec<Row>> {
    let mut orgs: BTreeMap<OrgId, Vec<Row>> = BTreeMap::new();
    for row in rows {
        orgs.entry(row.org()).or_default().push(row);
    }
    orgs
}
