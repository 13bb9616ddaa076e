//! After a crash: what the older boots in the journal left, brought to the store.

use super::{
    entry::{self, LineRead},
    file::{File, OldBoot, OpenFault},
};
use policies::{
    ids::{OrgId, RequestId},
    money::NanoUsd,
    time::Timestamp,
    usage::{Decision, Ending, Outcome, Source, Stamp, Tokens, UsageRecord},
};
use std::collections::BTreeMap;
use store::{Ledger, Shipment};

/// Rows that one shipment to the store carries, at most.
const SHIPMENT_ROWS_MAX: usize = 256;

/// What the recovery found, for the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    pub boots: usize,
    pub records: usize,
    /// Attempts of which nobody knows the end: counted at their hold.
    pub indeterminate: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum RecoveryFault {
    #[error(transparent)]
    Journal(#[from] OpenFault),
    #[error(transparent)]
    Store(#[from] store::Fault),
}

/// Ships what older boots left and closes them. Every step may be repeated, so that a crash in
/// the middle of it is only one more recovery.
pub async fn recover(
    file: &File,
    ledger: &dyn Ledger,
    now: Timestamp,
) -> Result<Recovered, RecoveryFault> {
    let mut total = Recovered::default();
    for boot in file.old_boots()? {
        let left = Left::read(file, &boot)?;
        let (records, decisions, indeterminate) = left.end(&boot, now);
        total.boots += 1;
        total.records += records.len();
        total.indeterminate += indeterminate;
        ledger.open_boot(&boot.boot, &file.id()).await?;
        for (org, rows) in by_org(records, decisions) {
            for shipment in portions(rows) {
                ledger.ship(&org, shipment).await?;
            }
        }
        ledger.close(&boot.boot, !boot.torn).await?;
        file.mark_closed(boot.boot).map_err(OpenFault::from)?;
    }
    Ok(total)
}

/// What one boot wrote and nobody is known to have shipped.
#[derive(Default)]
struct Left {
    stamps: BTreeMap<(RequestId, u32), Stamp>,
    endings: BTreeMap<(RequestId, u32), Option<Ending>>,
    progress: BTreeMap<(RequestId, u32), (NanoUsd, i64)>,
    decisions: Vec<Decision>,
}

impl Left {
    fn read(file: &File, boot: &OldBoot) -> Result<Self, OpenFault> {
        let mut left = Self::default();
        for (seq, row) in file.rows(boot)? {
            let lines = entry::read(&row)
                .map_err(|fault| OpenFault::Unreadable { seq, cause: fault.to_string() })?;
            lines.into_iter().for_each(|line| left.take(line));
        }
        Ok(left)
    }

    fn take(&mut self, line: LineRead) {
        match line {
            LineRead::Intent(stamp) => {
                self.stamps.insert((stamp.request, stamp.attempt), *stamp);
            }
            LineRead::Ending { request, attempt, ending } => {
                self.endings.insert((request, attempt), ending.map(|ending| *ending));
            }
            LineRead::Decision(decision) => self.decisions.push(*decision),
            LineRead::Progress { request, attempt, cost, output_tokens } => {
                self.progress.insert((request, attempt), (cost, output_tokens));
            }
        }
    }

    /// A record for every attempt that cost something, or may have.
    fn end(mut self, boot: &OldBoot, now: Timestamp) -> (Vec<UsageRecord>, Vec<Decision>, usize) {
        let (mut records, mut indeterminate) = (Vec::new(), 0);
        for (attempt, stamp) in std::mem::take(&mut self.stamps) {
            let ending = match self.endings.remove(&attempt) {
                Some(Some(ending)) => ending,
                Some(None) => continue,
                None => {
                    indeterminate += 1;
                    let seen = self.progress.get(&attempt).copied().unwrap_or_default();
                    unknown(&stamp, seen, boot, now)
                }
            };
            records.push(UsageRecord { stamp, part: 0, ending });
        }
        (records, self.decisions, indeterminate)
    }
}

/// The ending of an attempt that the crash cut off. In a torn journal the true end may be lost
/// while its surplus was already given back: counting the hold again would count it twice, so it
/// counts nothing here, and the lease's unattributed part covers it.
fn unknown(stamp: &Stamp, seen: (NanoUsd, i64), boot: &OldBoot, now: Timestamp) -> Ending {
    let (cost, output) = seen;
    let counted = if boot.torn { NanoUsd::ZERO } else { stamp.hold };
    let cost = cost.min(counted);
    Ending {
        outcome: Outcome::Indeterminate,
        source: Source::Estimated,
        tokens: Tokens { output, ..Tokens::default() },
        cost: Some(cost),
        lines: crate::bill::capped_line(cost),
        counted,
        overrun: NanoUsd::ZERO,
        finish_reason: None,
        flaw: None,
        first_byte_millis: None,
        total_millis: now.0.saturating_sub(stamp.admitted_at.0).max(0),
        ended_at: now,
    }
}

pub(crate) fn by_org(
    records: Vec<UsageRecord>,
    decisions: Vec<Decision>,
) -> BTreeMap<OrgId, Shipment> {
    let mut orgs: BTreeMap<OrgId, Shipment> = BTreeMap::new();
    for record in records {
        orgs.entry(record.stamp.org).or_default().records.push(record);
    }
    for decision in decisions {
        orgs.entry(decision.org).or_default().decisions.push(decision);
    }
    orgs
}

/// Shipments of at most [`SHIPMENT_ROWS_MAX`] rows of each kind.
pub(crate) fn portions(mut rows: Shipment) -> Vec<Shipment> {
    let mut portions = Vec::new();
    while !rows.records.is_empty() || !rows.decisions.is_empty() {
        let records = rows.records.len().min(SHIPMENT_ROWS_MAX);
        let decisions = rows.decisions.len().min(SHIPMENT_ROWS_MAX);
        portions.push(Shipment {
            records: rows.records.drain(..records).collect(),
            decisions: rows.decisions.drain(..decisions).collect(),
        });
    }
    portions
}
