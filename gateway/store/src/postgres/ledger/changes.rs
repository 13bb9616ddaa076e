//! What the rows of a shipment change in pots and leases, added up before anything is written.

use policies::{
    budget::Pot,
    ids::BootId,
    money::NanoUsd,
    usage::{Outcome, UsageRecord},
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub(super) struct Changes<'r> {
    /// What each lease spent; never nothing.
    pub(super) spent: BTreeMap<(Pot, BootId), NanoUsd>,
    pub(super) pots: BTreeMap<Pot, Growth>,
    /// What attempts with unknown ends count above their cost, until they are resolved.
    pub(super) holds: Vec<(&'r UsageRecord, Pot, NanoUsd)>,
}

/// What one pot's columns grow by.
#[derive(Clone, Copy, Default)]
pub(super) struct Growth {
    pub(super) settled: NanoUsd,
    pub(super) held: NanoUsd,
    pub(super) overrun: NanoUsd,
    pub(super) leased: NanoUsd,
    pub(super) unattributed: NanoUsd,
}

impl<'r> Changes<'r> {
    /// What an attempt cost and counts.
    pub(super) fn record(&mut self, record: &'r UsageRecord) {
        let ending = &record.ending;
        let counted = ending.counted;
        let unknown = ending.outcome == Outcome::Indeterminate;
        // What has no price yet counts in full; what nobody has seen costs nothing yet.
        let without = if unknown { NanoUsd::ZERO } else { counted };
        let settled = ending.cost.unwrap_or(without).min(counted);
        let held = if unknown { counted.minus(settled) } else { NanoUsd::ZERO };
        for pot in chain(record) {
            if counted != NanoUsd::ZERO {
                let spent = self.spent.entry((pot, record.stamp.boot)).or_default();
                *spent = spent.plus(counted);
            }
            let growth = self.pots.entry(pot).or_default();
            growth.settled = growth.settled.plus(settled);
            growth.held = growth.held.plus(held);
            growth.overrun = growth.overrun.plus(ending.overrun);
            if NanoUsd::ZERO < held {
                self.holds.push((record, pot, held));
            }
        }
    }

    /// The lease has spent what it has: a correction moves what was settled.
    pub(super) fn correction(&mut self, record: &UsageRecord) {
        let cost = record.ending.cost.unwrap_or_default();
        for pot in chain(record) {
            let growth = self.pots.entry(pot).or_default();
            growth.settled = growth.settled.plus(cost.minus(record.ending.overrun));
            growth.overrun = growth.overrun.plus(record.ending.overrun);
        }
    }

    /// The attempt's hold on this pot has ended.
    pub(super) fn freed(&mut self, pot: Pot, amount: NanoUsd) {
        let growth = self.pots.entry(pot).or_default();
        growth.held = growth.held.minus(amount);
    }
}

fn chain(record: &UsageRecord) -> BTreeSet<Pot> {
    record.stamp.chain.iter().copied().collect()
}
