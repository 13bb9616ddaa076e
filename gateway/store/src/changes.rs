//! What the rows of a shipment change in pots and leases, added up before anything is written.

use policies::{
    budget::Pot,
    ids::{BootId, OrgId},
    money::NanoUsd,
    usage::{Outcome, UsageRecord},
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub(super) struct Changes<'r> {
    /// What each lease spent; never nothing.
    pub(super) spent: BTreeMap<(Pot, BootId), Spent>,
    pub(super) pots: BTreeMap<Pot, Growth>,
    /// What attempts with unknown ends count above their cost, until they are resolved.
    pub(super) holds: Vec<(&'r UsageRecord, Pot, NanoUsd)>,
}

/// What comes out of one lease.
#[derive(Clone, Copy, Default)]
pub(super) struct Spent {
    pub(super) counted: NanoUsd,
    /// The part of it whose cost is known.
    settled: NanoUsd,
}

/// Where a lease's money is counted in its pot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Open,
    Lost,
    /// The lease is closed, or there never was one: all of it was given back.
    Gone,
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
                spent.counted = spent.counted.plus(counted);
                spent.settled = spent.settled.plus(settled);
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

    /// What was spent comes out of the lease; where that is gone, what it cost is an overrun: the
    /// bill stays true, and no further grant is made of what was spent twice.
    pub(super) fn take_out(&mut self, org: &OrgId, (pot, boot): (Pot, BootId), side: Side) {
        let Some(spent) = self.spent.get(&(pot, boot)).copied() else { return };
        let growth = self.pots.entry(pot).or_default();
        match side {
            Side::Open => growth.leased = growth.leased.minus(spent.counted),
            Side::Lost => growth.unattributed = growth.unattributed.minus(spent.counted),
            Side::Gone => {
                tracing::error!(%org, budget = %pot.budget, %boot, amount = %spent.counted,
                    "spent without a lease: counted as an overrun");
                growth.settled = growth.settled.minus(spent.settled);
                growth.overrun = growth.overrun.plus(spent.settled);
            }
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
