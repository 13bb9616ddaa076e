//! From the journal to the store: rows in batches, each batch as often as it takes.

mod outbox;

pub use self::outbox::{Batch, Body, Outbox, Row};

use policies::ids::OrgId;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use store::{Ledger, SHIPMENT_ROWS_MAX, Shipment};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Rows wait this long for company, unless somebody wants them shipped now.
const GATHER: Duration = Duration::from_millis(100);
const RETRY: Duration = Duration::from_millis(250);

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
        let target = self.outbox.pushed();
        let mut shipped = self.shipped.subscribe();
        if target <= *shipped.borrow_and_update() {
            return true;
        }
        self.outbox.want();
        let reached = shipped.wait_for(|shipped| target <= *shipped);
        matches!(tokio::time::timeout(patience, reached).await, Ok(Ok(_)))
    }

    /// Runs until `stop`, then ships what is left and ends.
    pub async fn run(&self, ledger: Arc<dyn Ledger>, stop: CancellationToken) {
        loop {
            self.outbox.gather(GATHER, &stop).await;
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
        for (org, rows) in by_org(rows) {
            for portion in rows.chunks(SHIPMENT_ROWS_MAX) {
                self.outbox.release(bring(&org, portion, ledger, stop).await);
            }
        }
        self.shipped.send_modify(|shipped| *shipped += count);
    }
}

/// Ships rows of one org, however often it takes, and returns those that are in the store.
///
/// The others stay in the journal for the next start: all of them when it is time to stop, and a
/// row that the store calls wrong, so that it holds up no other.
pub(crate) async fn bring<'a>(
    org: &OrgId,
    rows: &'a [Row],
    ledger: &dyn Ledger,
    stop: &CancellationToken,
) -> Vec<&'a Row> {
    let (mut left, mut shipped) = (vec![rows], Vec::with_capacity(rows.len()));
    while let Some(portion) = left.pop() {
        match ledger.ship(org, shipment(portion)).await {
            Ok(()) => shipped.extend(portion),
            Err(fault) if fault.is_about_data() => match portion {
                [] => {}
                [row] => {
                    tracing::error!(%org, request = %row.request(), %fault,
                        "a row stays in the journal: the store refuses it");
                }
                // Halves until the wrong row is alone; the first half goes first.
                both => {
                    let (first, second) = both.split_at(both.len() / 2);
                    left.extend([second, first]);
                }
            },
            Err(fault) => {
                tracing::error!(%org, %fault, "rows of the journal are not in the store yet");
                if stop.is_cancelled() {
                    break;
                }
                left.push(portion);
                tokio::time::sleep(RETRY).await;
            }
        }
    }
    shipped
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
