//! After a crash: what the older boots in the journal left, brought to the store.

use super::{
    Progress,
    entry::{self, Line},
    file::{File, OldBoot, OpenFault},
};
use crate::shipper::{self, Body, Row};
use policies::{
    ids::{OrgId, RequestId},
    money::NanoUsd,
    time::Timestamp,
    usage::{Decision, Ending, Outcome, Source, Stamp, Tokens, UsageRecord},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use store::{Ledger, SHIPMENT_ROWS_MAX};
use tokio_util::sync::CancellationToken;

/// How long the store may take for one shipment.
const STORE_PATIENCE: Duration = Duration::from_secs(10);

/// What the recovery found, for the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    pub boots: usize,
    /// Records and decisions; most may have been in the store already.
    pub rows: usize,
    /// Attempts of which nobody knows the end: counted at their hold.
    pub indeterminate: usize,
    /// Rows that the store refuses or nobody can read: they stay in the journal.
    pub refused: usize,
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
    for boot in file.old_boots() {
        let left = Left::read(file, &boot)?;
        let wrong_lines = left.wrong_lines;
        let (rows, indeterminate) = left.end(&boot, now);
        total.boots += 1;
        total.rows += rows.len();
        total.indeterminate += indeterminate;
        let mut refused = rows.len();
        ledger.open_boot(&boot.boot, &file.id()).await?;
        for (org, rows) in shipper::by_org(rows) {
            for portion in rows.chunks(SHIPMENT_ROWS_MAX) {
                refused -= bring(&org, portion, ledger).await?;
            }
        }
        // What cannot be told may have been spent: the rest of the leases does not go back.
        let complete = !boot.torn && refused == 0 && wrong_lines == 0;
        ledger.close(&boot.boot, complete).await?;
        let closed = file.mark_closed(boot.boot);
        closed.map_err(|cause| OpenFault::Io { path: file.path().to_owned(), cause })?;
        total.refused += refused + wrong_lines;
    }
    Ok(total)
}

/// How many of the rows are in the store. A store that is away stops the recovery: the start
/// fails, and the next one begins it again.
async fn bring(org: &OrgId, portion: &[Row], ledger: &dyn Ledger) -> Result<usize, store::Fault> {
    let (stop, wanted) = (CancellationToken::new(), portion.len());
    let bounded = shipper::bring(org, portion, ledger, &stop);
    match tokio::time::timeout(STORE_PATIENCE, bounded).await {
        Ok(shipped) => Ok(shipped.len()),
        Err(_late) => {
            let message = format!("{wanted} rows could not be shipped in time");
            Err(store::Fault::Away(message))
        }
    }
}

/// What one boot wrote and nobody is known to have shipped.
#[derive(Default)]
struct Left {
    stamps: BTreeMap<(RequestId, u32), Stamp>,
    endings: BTreeMap<(RequestId, u32), Option<Ending>>,
    progress: BTreeMap<(RequestId, u32), (NanoUsd, i64)>,
    decisions: Vec<Decision>,
    wrong_lines: usize,
}

impl Left {
    fn read(file: &File, boot: &OldBoot) -> Result<Self, OpenFault> {
        let mut left = Self::default();
        let found = file.rows(boot)?;
        if found.damaged {
            tracing::error!(boot = %boot.boot, "rows of the journal are missing or damaged");
            left.wrong_lines += 1;
        }
        for (seq, row) in found.rows {
            for line in entry::read(&row) {
                match line {
                    Ok(line) => left.take(line),
                    Err(fault) => {
                        tracing::error!(seq, %fault, "a line of the journal cannot be read");
                        left.wrong_lines += 1;
                    }
                }
            }
        }
        Ok(left)
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Intent(stamp) => {
                self.stamps.insert((stamp.request, stamp.attempt), *stamp);
            }
            Line::Ending(request, attempt, ending) => {
                self.endings.insert((request, attempt), ending.map(|ending| *ending));
            }
            Line::Decision(decision) => self.decisions.push(*decision),
            Line::Progress(Progress { request, attempt, cost, output_tokens }) => {
                self.progress.insert((request, attempt), (cost, output_tokens));
            }
        }
    }

    /// A record for every attempt that cost something, or may have; and every decision.
    fn end(mut self, boot: &OldBoot, now: Timestamp) -> (Vec<Row>, usize) {
        let (mut bodies, mut indeterminate) = (Vec::new(), 0);
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
            bodies.push(Body::Record(Arc::new(UsageRecord { stamp, part: 0, ending })));
        }
        bodies.extend(self.decisions.into_iter().map(|it| Body::Decision(Arc::new(it))));
        let rows = bodies.into_iter().map(|body| Row { body, kept: [None; 2] });
        (rows.collect(), indeterminate)
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
