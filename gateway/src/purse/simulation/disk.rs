//! A journal of which a crash may leave all, a part or nothing.

use super::dice::Dice;
use crate::shipper::{Body, Row};
use policies::{
    ids::{BootId, JournalId, RequestId},
    money::NanoUsd,
    time::Timestamp,
    usage::{Ending, Outcome, Source, Stamp, Tokens, UsageRecord},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub(super) type Name = (RequestId, u32);

/// A line, as far as the recovery needs it.
#[derive(Clone)]
pub(super) enum Line {
    Intent(Arc<Stamp>),
    Ending(Arc<UsageRecord>),
    NotBegun(Name),
    Progress(Name, NanoUsd),
}

/// An older boot, with what it left.
pub(super) struct Legacy {
    pub(super) boot: BootId,
    pub(super) torn: bool,
    pub(super) rows: Vec<Row>,
}

pub(super) struct Disk {
    pub(super) journal: JournalId,
    pages: Mutex<Pages>,
}

#[derive(Default)]
struct Pages {
    /// Commits: each is there whole or not at all.
    commits: Vec<Vec<Line>>,
    /// So many of them survive a power failure.
    flushed: usize,
    /// Boots that are not closed.
    boots: Vec<Begun>,
}

#[derive(Clone, Copy)]
struct Begun {
    boot: BootId,
    /// Behind so many commits.
    after: usize,
    /// Its last rows may be lost.
    torn: bool,
}

impl Disk {
    pub(super) fn new(dice: &Dice) -> Self {
        Self { journal: JournalId::from_bytes(dice.id()), pages: Mutex::default() }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, boot: BootId) {
        let mut pages = self.pages();
        if !pages.boots.iter().any(|known| known.boot == boot) {
            let after = pages.commits.len();
            pages.boots.push(Begun { boot, after, torn: false });
        }
    }

    pub(super) fn last_boot(&self) -> Option<BootId> {
        self.pages().boots.last().map(|last| last.boot)
    }

    pub(super) fn boots(&self) -> Vec<BootId> {
        self.pages().boots.iter().map(|begun| begun.boot).collect()
    }

    pub(super) fn commit(&self, lines: Vec<Line>) {
        self.pages().commits.push(lines);
    }

    pub(super) fn flush(&self) {
        let mut pages = self.pages();
        pages.flushed = pages.commits.len();
    }

    /// The machine goes down: of what was not flushed, some is lost. The boots
    /// that this may concern.
    pub(super) fn tear(&self, dice: &Dice) -> Vec<BootId> {
        let mut pages = self.pages();
        let left = pages.flushed + dice.below(pages.commits.len() - pages.flushed + 1);
        pages.commits.truncate(left);
        pages.flushed = left;
        let all = pages.boots.iter().map(|begun| begun.boot).collect();
        // That a boot began may be lost as well: then others give it up.
        pages.boots.retain(|begun| begun.after <= left);
        pages.boots.iter_mut().for_each(|begun| begun.torn = true);
        all
    }

    /// These boots are closed in the store.
    pub(super) fn closed(&self, boots: &[BootId]) {
        self.pages().boots.retain(|begun| !boots.contains(&begun.boot));
    }

    /// What every boot but `present` left.
    pub(super) fn legacy(
        &self,
        present: BootId,
        end: &dyn Fn(&Stamp, bool, NanoUsd) -> Ending,
    ) -> Vec<Legacy> {
        let pages = self.pages();
        let old = pages.boots.iter().filter(|begun| begun.boot != present);
        old.map(|Begun { boot, torn, .. }| {
            let rows = rows(&pages.commits, *boot, *torn, end);
            Legacy { boot: *boot, torn: *torn, rows }
        })
        .collect()
    }
}

fn rows(
    commits: &[Vec<Line>],
    boot: BootId,
    torn: bool,
    end: &dyn Fn(&Stamp, bool, NanoUsd) -> Ending,
) -> Vec<Row> {
    let mut open: BTreeMap<Name, (Arc<Stamp>, NanoUsd)> = BTreeMap::new();
    let mut records = Vec::new();
    for line in commits.iter().flatten() {
        match line {
            Line::Intent(stamp) if stamp.boot == boot => {
                let name = (stamp.request, stamp.attempt);
                open.insert(name, (Arc::clone(stamp), NanoUsd::ZERO));
            }
            Line::Ending(record) if record.stamp.boot == boot => {
                open.remove(&(record.stamp.request, record.stamp.attempt));
                records.push(Arc::clone(record));
            }
            Line::NotBegun(name) => drop(open.remove(name)),
            Line::Progress(name, seen) => {
                if let Some((_, cost)) = open.get_mut(name) {
                    *cost = *seen;
                }
            }
            Line::Intent(_) | Line::Ending(_) => {}
        }
    }
    let unknown = open.into_values().map(|(stamp, seen)| {
        let ending = end(&stamp, torn, seen);
        Arc::new(UsageRecord { stamp: Stamp::clone(&stamp), part: 0, ending })
    });
    let all = records.into_iter().chain(unknown);
    all.map(|record| Row::new(Body::Record(record), [None; 2])).collect()
}

/// An ending that says no more than what is billed and what is counted.
pub(super) fn ending(outcome: Outcome, cost: i64, counted: i64, over: i64) -> Ending {
    Ending {
        outcome,
        source: Source::Reported,
        tokens: Tokens::default(),
        cost: Some(NanoUsd(cost)),
        lines: BTreeMap::new(),
        counted: NanoUsd(counted),
        overrun: NanoUsd(over),
        finish_reason: None,
        flaw: None,
        first_byte_millis: None,
        total_millis: 0,
        ended_at: Timestamp(0),
    }
}
