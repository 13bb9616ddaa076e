//! One org's book: leases of budgets, beside its limits, under one lock.

use super::{
    Boot, Hold, OrgBook, Seat, TakenLimit,
    limits::{Check, Counted, Gauges, Limits, Shared},
};
use policies::{
    budget::{Lease, Pot},
    ids::BootId,
    money::NanoUsd,
    refusal::Refusal,
    tenant::BudgetRule,
    time::Timestamp,
};
use std::{collections::HashMap, sync::Arc};
use store::{LeaseState, Need};

/// Books of an ended period are kept this long: longer than any request of it can run.
const ENDED_KEPT_MILLIS: i64 = 48 * 3_600_000;

/// What one attempt wants to take.
#[derive(Debug)]
pub struct Want<'a> {
    pub limits: Vec<Counted<'a>>,
    /// The budgets of the chain, each with its pot.
    pub budgets: Vec<(&'a Arc<BudgetRule>, Pot)>,
    pub amount: NanoUsd,
    /// Tokens that it will probably use, for limits of tokens.
    pub tokens: i64,
}

pub(super) enum Take {
    Taken(Seat, Hold, Gauges),
    Refused(Refusal),
    /// The cells that are leased do not cover it.
    LackCells,
    /// A lease does not cover it; `room`: too little is left on this budget whatever comes back.
    Short {
        exhausted: Option<(usize, NanoUsd)>,
    },
}

pub(super) struct Book {
    /// Whose leases these are.
    boot: Arc<Boot>,
    leases: HashMap<Pot, Slice>,
    limits: Limits,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    lease: Lease,
    /// Limit - settled - overrun as last told; it only falls while the settings stay.
    room: Option<NanoUsd>,
    /// The ledger has spoken of it.
    heard: bool,
}

impl Book {
    pub(super) fn new(boot: Arc<Boot>, limits: Limits) -> Self {
        Self { boot, leases: HashMap::new(), limits }
    }

    /// The limits, if other processes count them as well.
    pub(super) fn shared(&mut self) -> Option<&mut Shared> {
        self.limits.shared()
    }

    pub(super) fn boot(&self) -> BootId {
        self.boot.id()
    }

    /// The leases of the boot before are given up; what they hold is settled without them.
    pub(super) fn begin(&mut self, boot: Arc<Boot>) {
        self.boot = boot;
        self.leases.clear();
    }

    /// Takes all of `want`, or nothing.
    pub(super) fn take(&mut self, own: &Arc<OrgBook>, want: &Want<'_>, ticks: i64) -> Take {
        match self.limits.check(want, ticks) {
            Check::Fits => {}
            Check::Lacks => return Take::LackCells,
            Check::Refused(refusal) => return Take::Refused(refusal),
        }
        if !want.budgets.iter().all(|(_, pot)| self.covers(pot, want.amount)) {
            return Take::Short { exhausted: self.exhausted(want) };
        }
        for (_, pot) in &want.budgets {
            let slice = self.leases.entry(*pot).or_default();
            // It was covered a moment ago, under the same lock.
            let held = slice.lease.hold(want.amount);
            debug_assert!(held);
        }
        let (taken, gauges) = self.limits.take(want, ticks);
        let pots = want.budgets.iter().map(|(_, pot)| *pot).collect();
        let seat = Seat { org: Arc::clone(own), taken, estimate: want.tokens };
        let (org, boot) = (Arc::clone(own), Arc::clone(&self.boot));
        Take::Taken(seat, Hold { org, boot, pots, amount: want.amount, sent: false }, gauges)
    }

    fn exhausted(&self, want: &Want<'_>) -> Option<(usize, NanoUsd)> {
        let room = |pot| self.leases.get(pot).and_then(|slice: &Slice| slice.room);
        let mut rooms = want.budgets.iter().enumerate();
        rooms.find_map(|(place, (_, pot))| {
            room(pot).filter(|room| *room < want.amount).map(|room| (place, room))
        })
    }

    pub(super) fn leave(&mut self, taken: &[TakenLimit], change: i64) {
        self.limits.leave(taken, change);
    }

    /// An attempt of an older boot is settled in the ledger only, when its record is there.
    pub(super) fn settle(&mut self, boot: &Boot, pots: &[Pot], held: NanoUsd, counted: NanoUsd) {
        if boot.id() != self.boot.id() {
            return;
        }
        for pot in pots {
            if let Some(slice) = self.leases.get_mut(pot) {
                slice.lease.settle(held, counted);
            }
        }
    }

    /// The reply may be lost, and what it grants lent all the same. So what is asked for is known
    /// from now on: whoever recalls it makes this boot name it, and hear what it has.
    pub(super) fn need(&mut self, want: &Want<'_>) -> Need {
        let chain: Vec<Pot> = want.budgets.iter().map(|(_, pot)| *pot).collect();
        for pot in &chain {
            self.leases.entry(*pot).or_default();
        }
        Need { chain, amount: want.amount }
    }

    pub(super) fn covers(&self, pot: &Pot, amount: NanoUsd) -> bool {
        self.leases.get(pot).is_some_and(|slice| slice.lease.covers(amount))
    }

    /// Forgets pots of ended periods that nobody uses any more.
    pub(super) fn drop_ended(&mut self, now: Timestamp) {
        self.leases.retain(|pot, slice| {
            now.plus_millis(-ENDED_KEPT_MILLIS) < pot.span.ends
                || slice.lease.unused() != NanoUsd::ZERO
        });
    }

    /// True: of a pot of the chain the ledger has never been heard.
    pub(super) fn is_new(&self, want: &Want<'_>) -> bool {
        let heard = |pot| self.leases.get(pot).is_some_and(|slice| slice.heard);
        want.budgets.iter().any(|(_, pot)| !heard(pot))
    }

    /// Gives back the unused part of the pots that `which` picks; the totals to tell the ledger.
    pub(super) fn give_back(&mut self, which: impl Fn(&Pot) -> bool) -> Vec<(Pot, NanoUsd)> {
        let picked = self.leases.iter_mut().filter(|(pot, _)| which(pot));
        picked.map(|(pot, slice)| (*pot, slice.lease.give_back())).collect()
    }

    pub(super) fn has_leases(&self) -> bool {
        !self.leases.is_empty()
    }

    pub(super) fn learn(&mut self, states: &[LeaseState]) {
        for state in states {
            let slice = self.leases.entry(state.pot).or_default();
            slice.lease.grant(state.granted);
            slice.room = Some(state.room);
            slice.heard = true;
        }
    }

    /// The settings have changed: what was known of the limits of budgets may be wrong.
    pub(super) fn forget_rooms(&mut self) {
        self.leases.values_mut().for_each(|slice| slice.room = None);
    }
}
