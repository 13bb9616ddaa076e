//! Budgets: what is free, what is set aside, what is spent.
//!
//! The protocol is in ARCHITECTURE.md, "Money". Here are its sums, for both sides: the
//! [`Balance`] that the ledger keeps for each budget and period, and the [`Lease`] that a running
//! gateway keeps of the slice it was given. Time never frees money: nothing here knows a clock.

use crate::{ids::BudgetId, money::NanoUsd, time::Span};
use serde::{Deserialize, Serialize};

/// One budget in one of its periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pot {
    pub budget: BudgetId,
    pub span: Span,
}

/// The budgets that one request counts against, pinned when it was admitted.
pub type Chain = Vec<Pot>;

/// Budgets on one chain, at most.
pub const CHAIN_POTS_MAX: usize = 32;

/// What the ledger knows of one pot.
///
/// INVARIANT: `settled + held + leased + unattributed <= limit`, at the time of the last grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    pub limit: NanoUsd,
    pub settled: NanoUsd,
    pub held: NanoUsd,
    pub leased: NanoUsd,
    pub unattributed: NanoUsd,
    pub overrun: NanoUsd,
}

impl Balance {
    /// What nobody has been given yet; negative after an overrun or a lowered limit.
    #[must_use]
    pub fn free(&self) -> NanoUsd {
        self.room().minus(self.held).minus(self.leased).minus(self.unattributed)
    }

    /// What could still be had if everything set aside came back unspent. It only falls, but for
    /// a raised limit or a correction: below it, a refusal is final.
    #[must_use]
    pub fn room(&self) -> NanoUsd {
        self.limit.minus(self.settled).minus(self.overrun)
    }
}

/// The slice to grant to a need that fits: 1 % of what is free while that is plenty, exactly the
/// need when eight such needs of each live gateway would empty the pot.
pub fn slice(free: NanoUsd, need: NanoUsd, boots: i64) -> NanoUsd {
    let plenty = need.0.saturating_mul(8).saturating_mul(boots.max(1));
    if free.0 < plenty {
        return need;
    }
    NanoUsd(need.0.max(free.0.min(free.0 / 100)))
}

/// A gateway's slice of one pot: totals that only grow, so that messages may be lost or repeated.
///
/// INVARIANT: `unused >= 0`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    granted: NanoUsd,
    returned: NanoUsd,
    /// Held and spent.
    used: NanoUsd,
}

impl Lease {
    #[must_use]
    pub fn unused(&self) -> NanoUsd {
        self.granted.minus(self.returned).minus(self.used)
    }

    #[must_use]
    pub fn returned(&self) -> NanoUsd {
        self.returned
    }

    #[must_use]
    pub fn used(&self) -> NanoUsd {
        self.used
    }

    #[must_use]
    pub fn covers(&self, amount: NanoUsd) -> bool {
        amount <= self.unused()
    }

    /// Takes `amount` out of the unused part. False, and nothing changed, if it is not covered.
    #[must_use]
    pub fn hold(&mut self, amount: NanoUsd) -> bool {
        let covered = self.covers(amount);
        if covered {
            self.used = self.used.plus(amount);
        }
        covered
    }

    /// An attempt that held `held` ended; the budget counts `counted` of it (at most `held`).
    pub fn settle(&mut self, held: NanoUsd, counted: NanoUsd) {
        let surplus = held.minus(counted).at_least_zero();
        self.used = self.used.minus(surplus).at_least_zero();
    }

    /// Learns of a grant. An old message, with a smaller total, teaches nothing.
    pub fn grant(&mut self, granted: NanoUsd) {
        self.granted = self.granted.max(granted);
    }

    /// Gives all that is unused back: the new total to tell the ledger, after this.
    pub fn give_back(&mut self) -> NanoUsd {
        self.returned = self.returned.plus(self.unused().at_least_zero());
        self.returned
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_hold_that_is_not_covered_changes_nothing() {
        let mut lease = Lease::default();
        lease.grant(NanoUsd(100));

        assert!(lease.hold(NanoUsd(80)));
        assert!(!lease.hold(NanoUsd(21)));
        assert_eq!(lease.unused(), NanoUsd(20));
    }

    #[test]
    fn an_old_grant_teaches_nothing() {
        let mut lease = Lease::default();
        lease.grant(NanoUsd(100));
        lease.grant(NanoUsd(60));

        assert_eq!(lease.unused(), NanoUsd(100));
    }

    #[test]
    fn near_the_end_a_slice_is_exactly_the_need() {
        assert_eq!(slice(NanoUsd(799), NanoUsd(100), 1), NanoUsd(100));
        assert_eq!(slice(NanoUsd(100_000), NanoUsd(100), 1), NanoUsd(1_000));
        assert_eq!(slice(NanoUsd(1_500), NanoUsd(100), 2), NanoUsd(100));
    }

    proptest! {
        #[test]
        fn nothing_is_created_or_lost(
            acts in prop::collection::vec((0..4u8, 0..1_000i64), 0..200),
        ) {
            let mut lease = Lease::default();
            let (mut granted, mut held) = (0, Vec::new());
            let mut spent = NanoUsd::ZERO;
            for (act, amount) in acts {
                match act {
                    0 => { granted += amount; lease.grant(NanoUsd(granted)); }
                    1 => if lease.hold(NanoUsd(amount)) { held.push(NanoUsd(amount)); },
                    2 => { lease.give_back(); }
                    _ => if let Some(held) = held.pop() {
                        let counted = NanoUsd(held.0.min(amount));
                        spent = spent.plus(counted);
                        lease.settle(held, counted);
                    },
                }
                let open: NanoUsd = held.iter().copied().sum();
                prop_assert!(NanoUsd::ZERO <= lease.unused());
                prop_assert_eq!(lease.used(), open.plus(spent));
                let sum = lease.unused().plus(lease.returned()).plus(lease.used());
                prop_assert_eq!(sum, NanoUsd(granted));
            }
        }
    }
}
