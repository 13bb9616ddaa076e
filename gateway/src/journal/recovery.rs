//! After a crash: what the older boots in the journal left, brought to the store.

use super::{
    Progress,
    entry::{self, Line},
    file::{File, OldBoot, OpenFault},
};
use crate::shipper::{self, Body, Quarantine, Row};
use policies::{
    ids::{BootId, JournalId, OrgId, RequestId},
    money::NanoUsd,
    time::Timestamp,
    usage::{Decision, Ending, Outcome, Source, Stamp, Tokens, UsageRecord},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use store::{Fault, Ledger, SHIPMENT_ROWS_MAX};

/// How long the store may take for one shipment.
const STORE_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a row that cannot be read which go into quarantine.
const UNREADABLE_BYTES_MAX: usize = 1 << 20;

/// What the recovery found, for the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    pub boots: usize,
    /// Records and decisions; most may have been in the store already.
    pub rows: usize,
    /// Attempts of which nobody knows the end: counted at their hold.
    pub indeterminate: usize,
    /// Rows that the store refuses or nobody can read: they are in quarantine.
    pub refused: usize,
}

/// What older boots left, read from the journal and not yet known to be in the store.
pub struct Legacy {
    boots: Vec<Ended>,
    found: Recovered,
    /// Something is missing, which may be of any of them: what they were lent is not given back.
    missing: bool,
}

/// One boot that was not closed.
struct Ended {
    boot: BootId,
    torn: bool,
    rows: Vec<Row>,
}

impl Legacy {
    /// Reads what the journal holds; what cannot be read goes into quarantine.
    pub fn read(file: &File, quarantine: &Quarantine, now: Timestamp) -> Result<Self, OpenFault> {
        let mut legacy = Self { boots: Vec::new(), found: Recovered::default(), missing: false };
        for boot in file.old_boots() {
            let left = Left::read(file, &boot, quarantine)?;
            legacy.missing |= 0 < left.wrong_lines;
            legacy.found.refused += left.wrong_lines;
            let (rows, indeterminate) = left.end(&boot, now);
            legacy.found.boots += 1;
            legacy.found.rows += rows.len();
            legacy.found.indeterminate += indeterminate;
            legacy.boots.push(Ended { boot: boot.boot, torn: boot.torn, rows });
        }
        Ok(legacy)
    }

    pub fn boots(&self) -> Vec<BootId> {
        self.boots.iter().map(|ended| ended.boot).collect()
    }

    /// Ships everything, and then closes the boots. Every step may be repeated, so that a crash or
    /// a store that is away in the middle of it is only one more recovery.
    pub async fn bring(
        &mut self,
        ledger: &dyn Ledger,
        journal: &JournalId,
        quarantine: &Quarantine,
    ) -> Result<Recovered, Fault> {
        for ended in &mut self.boots {
            ledger.open_boot(&ended.boot, journal).await?;
            let rows = std::mem::take(&mut ended.rows);
            for (org, mut rows) in shipper::by_org(rows) {
                let shipped = bring(&org, &mut rows, ledger, quarantine).await;
                ended.rows.append(&mut rows);
                let refused = shipped?;
                self.found.refused += refused;
                self.missing |= 0 < refused;
            }
        }
        for ended in &self.boots {
            // What is not told may have been spent, by any boot of the same process.
            ledger.close(&ended.boot, !ended.torn && !self.missing).await?;
        }
        Ok(self.found)
    }
}

/// Takes out of `rows` what is in the store or in quarantine; how many of them are refused.
async fn bring(
    org: &OrgId,
    rows: &mut Vec<Row>,
    ledger: &dyn Ledger,
    quarantine: &Quarantine,
) -> Result<usize, Fault> {
    let mut refused = 0;
    while !rows.is_empty() {
        let portion: Vec<Row> = rows.drain(..rows.len().min(SHIPMENT_ROWS_MAX)).collect();
        let bounded = shipper::bring(org, &portion, ledger);
        let outcome = match tokio::time::timeout(STORE_PATIENCE, bounded).await {
            Ok(brought) => {
                let kept = brought.refused.iter().any(|(row, fault)| {
                    refused += 1;
                    !shipper::set_aside(quarantine, row, fault)
                });
                match brought.away {
                    None if !kept => Ok(()),
                    None => Err(Fault::Away("the quarantine cannot be written".to_owned())),
                    Some(fault) => Err(fault),
                }
            }
            Err(_late) => Err(Fault::Away("rows could not be shipped in time".to_owned())),
        };
        if let Err(fault) = outcome {
            // All of them again: what is there already changes nothing.
            rows.splice(0..0, portion);
            return Err(fault);
        }
    }
    Ok(refused)
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
    fn read(file: &File, boot: &OldBoot, quarantine: &Quarantine) -> Result<Self, OpenFault> {
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
                        let bytes = row.get(..UNREADABLE_BYTES_MAX).unwrap_or(&row);
                        let kept = quarantine.put_unreadable(seq, bytes, &fault.to_string());
                        let path = quarantine.path().to_owned();
                        kept.map_err(|cause| OpenFault::Io { path, cause })?;
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
        let rows = bodies.into_iter().map(|body| Row::new(body, [None; 2]));
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
