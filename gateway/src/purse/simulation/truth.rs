//! What really happened, and whether the ledger says so after each message.

use super::disk::Name;
use policies::{
    budget::{Balance, Pot},
    ids::{BootId, BudgetId},
    usage::{Outcome, UsageRecord},
};
use std::collections::{BTreeMap, BTreeSet};
use store::{Answer, Lent, PotState, SyncAsk, SyncReply};

/// One attempt, as whoever sees everything knows it.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) boot: BootId,
    pub(super) pots: Vec<Pot>,
    pub(super) hold: i64,
    /// What its provider charges in the end.
    pub(super) actual: i64,
    /// What its hold was settled with.
    pub(super) counted: Option<i64>,
    pub(super) record: Option<Recorded>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Recorded {
    pub(super) cost: i64,
    pub(super) counted: i64,
    /// Its end is not known, and no act has told it.
    pub(super) open: bool,
}

/// What one live gateway has in memory.
pub(super) struct View {
    pub(super) boot: BootId,
    pub(super) unused: BTreeMap<Pot, i64>,
}

#[derive(Default)]
pub(super) struct Truth {
    pub(super) attempts: BTreeMap<Name, Attempt>,
    /// Attempts whose name another one has by now.
    shadowed: Vec<(Name, Attempt)>,
    /// What leases have to stand for: attempts that are not in the store.
    due: BTreeMap<(BootId, Pot), i64>,
    /// What providers charged, as far as records came.
    billed: BTreeMap<Pot, i64>,
    granted: BTreeMap<(BootId, Pot), i64>,
    taken: BTreeMap<Pot, i64>,
    /// What unknown ends of boots hold whose leases an act gave back: it is counted all the same.
    unforeseen: BTreeMap<Pot, i64>,
    pub(super) balances: BTreeMap<Pot, Balance>,
    pub(super) limits: BTreeMap<BudgetId, i64>,
    /// The least need that was refused for ever.
    refused: BTreeMap<Pot, i64>,
    /// Boots whose leases an act gave back, whatever they spent.
    pub(super) released: BTreeSet<BootId>,
    /// Boots of which no journal tells all.
    pub(super) untold: BTreeSet<BootId>,
    /// Boots whose journals are torn.
    pub(super) torn: BTreeSet<BootId>,
}

pub(super) type Finding = Result<(), String>;

macro_rules! hold_true {
    ($holds:expr, $($else:tt)+) => {
        if !$holds {
            return Err(format!($($else)+));
        }
    };
}

impl Truth {
    pub(super) fn limit(&self, pot: &Pot) -> i64 {
        let known = self.balances.get(pot).map(|balance| balance.limit.0);
        known.or_else(|| self.limits.get(&pot.budget).copied()).unwrap_or_default()
    }

    /// What this boot's attempts may have spent of this pot, as far as no record has come.
    pub(super) fn due(&self, boot: BootId, pot: &Pot) -> i64 {
        self.due.get(&(boot, *pot)).copied().unwrap_or(0)
    }

    /// What is neither settled nor overrun.
    pub(super) fn room(&self, pot: &Pot) -> i64 {
        self.balances.get(pot).map_or_else(|| self.limit(pot), |balance| balance.room().0)
    }

    pub(super) fn free(&self, pot: &Pot) -> i64 {
        self.balances.get(pot).map_or_else(|| self.limit(pot), |balance| balance.free().0)
    }

    /// An intent is on its way to the journal.
    pub(super) fn intend(&mut self, name: Name, attempt: Attempt) {
        for pot in &attempt.pots {
            *self.due.entry((attempt.boot, *pot)).or_default() += attempt.hold;
        }
        if let Some(before) = self.attempts.insert(name, attempt) {
            self.shadowed.push((name, before));
        }
    }

    /// Its first byte goes upstream: from now on it costs.
    pub(super) fn send(&mut self, name: Name, actual: i64) -> Finding {
        let Some(attempt) = self.attempts.get_mut(&name) else { return Ok(()) };
        attempt.actual = actual;
        let boot = attempt.boot;
        hold_true!(!self.released.contains(&boot), "{boot} was released, and sends");
        Ok(())
    }

    /// Its hold is settled: what it did not count may be given back.
    pub(super) fn settle(&mut self, name: Name, counted: i64) {
        let Some(attempt) = self.attempts.get_mut(&name) else { return };
        attempt.counted = Some(counted);
        for pot in &attempt.pots {
            *self.due.entry((attempt.boot, *pot)).or_default() -= attempt.hold - counted;
        }
    }

    /// A row is in the store now.
    pub(super) fn record(&mut self, record: &UsageRecord) -> Finding {
        let (stamp, ending) = (&record.stamp, &record.ending);
        let name = (stamp.request, stamp.attempt);
        let Some(attempt) = self.attempts.get_mut(&name) else {
            return Err(format!("a record of no attempt: {name:?}"));
        };
        if attempt.record.is_some() {
            return Ok(());
        }
        let (cost, counted) = (ending.cost.unwrap_or_default().0, ending.counted.0);
        let (actual, hold, over) = (attempt.actual, attempt.hold, ending.overrun.0);
        let unknown = ending.outcome == Outcome::Indeterminate;
        let torn = self.torn.contains(&stamp.boot) && counted == 0;
        let is_true = if unknown {
            cost <= actual.min(hold) && (counted == hold || torn) && over == 0
        } else {
            cost == actual && counted == actual.min(hold) && over == actual - counted
        };
        hold_true!(
            is_true && stamp.boot == attempt.boot && stamp.hold.0 == hold,
            "the record says {} of {cost}, {counted} counted, {over} over; it was {attempt:?}",
            ending.outcome
        );
        attempt.record = Some(Recorded { cost, counted, open: unknown });
        for pot in &attempt.pots {
            *self.due.entry((attempt.boot, *pot)).or_default() -= counted;
            *self.billed.entry(*pot).or_default() += cost;
            if unknown && self.released.contains(&attempt.boot) {
                *self.unforeseen.entry(*pot).or_default() += counted - cost;
            }
        }
        Ok(())
    }

    /// An act has told what an attempt cost.
    pub(super) fn resolve(&mut self, name: Name) {
        let Some(attempt) = self.attempts.get_mut(&name) else { return };
        let Some(recorded) = &mut attempt.record else { return };
        for pot in &attempt.pots {
            *self.billed.entry(*pot).or_default() += attempt.actual - recorded.cost;
        }
        (recorded.cost, recorded.open) = (attempt.actual, false);
    }

    pub(super) fn set_limit(&mut self, budget: BudgetId, limit: i64) {
        self.limits.insert(budget, limit);
        self.refused.retain(|pot, _| pot.budget != budget);
    }

    /// Whoever asked was told that `need` can never be had. `known` are the limits that the
    /// gateway was told of.
    pub(super) fn refuse(
        &mut self,
        need: i64,
        pots: &[Pot],
        known: &BTreeMap<BudgetId, i64>,
    ) -> Finding {
        let untold = |pot: &Pot| {
            let known = known.get(&pot.budget).copied();
            known.map_or(0, |known| (self.limit(pot) - known).max(0))
        };
        let exhausted: Vec<Pot> =
            pots.iter().filter(|pot| self.room(pot) - untold(pot) < need).copied().collect();
        let rooms: Vec<i64> = pots.iter().map(|pot| self.room(pot)).collect();
        hold_true!(!exhausted.is_empty(), "{need} was refused for ever, and {rooms:?} are left");
        let final_now: Vec<Pot> =
            exhausted.into_iter().filter(|pot| self.room(pot) < need).collect();
        for pot in final_now {
            let least = self.refused.entry(pot).or_insert(need);
            *least = need.min(*least);
        }
        Ok(())
    }

    /// A `sync` was executed: what was granted to it whole.
    pub(super) fn learn(
        &mut self,
        boot: BootId,
        ask: &SyncAsk,
        reply: &SyncReply,
    ) -> Result<BTreeSet<Pot>, String> {
        let mut whole = BTreeMap::<Pot, i64>::new();
        let SyncReply::Open { answers, leases, .. } = reply else { return Ok(BTreeSet::new()) };
        let granted =
            ask.needs.iter().zip(answers).filter(|(_, answer)| **answer == Answer::Granted);
        for (need, _) in granted {
            for pot in &need.chain {
                *whole.entry(*pot).or_default() += need.amount.0;
            }
        }
        for lease in leases {
            let before = self.granted.insert((boot, lease.pot), lease.granted.0).unwrap_or(0);
            let grown = lease.granted.0 - before;
            let need = whole.get(&lease.pot).copied().unwrap_or(0);
            hold_true!(need <= grown, "{need} were granted of {:?}, and {grown} lent", lease.pot);
        }
        Ok(whole.into_keys().collect())
    }

    /// Every sum after one message; `granted` are the pots of which it took.
    pub(super) fn check(
        &mut self,
        (pots, lent): (&[PotState], &[Lent]),
        granted: &BTreeSet<Pot>,
        views: &[View],
    ) -> Finding {
        for state in pots {
            self.check_pot(state, lent, granted.contains(&state.pot))?;
        }
        let has: BTreeMap<(BootId, Pot), i64> =
            lent.iter().map(|lent| ((lent.boot, lent.pot), lent.outstanding.0)).collect();
        let has = |key: &(BootId, Pot)| has.get(key).copied().unwrap_or(0);
        for (key, due) in self.due.iter().filter(|(key, _)| !self.released.contains(&key.0)) {
            hold_true!(0 <= *due, "more was counted than held: {key:?}");
            hold_true!(*due <= has(key), "{due} of {key:?} are spent, and {} are lent", has(key));
        }
        for view in views.iter().filter(|view| !self.released.contains(&view.boot)) {
            for (pot, unused) in &view.unused {
                let key = (view.boot, *pot);
                hold_true!(0 <= *unused, "{unused} are unused of {key:?}");
                let open = self.due.get(&key).copied().unwrap_or(0);
                let most = has(&key) - open;
                hold_true!(*unused <= most, "{unused} are unused, {most} are lent: {key:?}");
            }
        }
        for (pot, need) in &self.refused {
            let there = self.could_be_had(pot, lent, views);
            hold_true!(
                there < *need,
                "{need} were refused for ever, and {there} are there: {pot:?}"
            );
        }
        Ok(())
    }

    /// Free, or unused at a gateway that can be asked.
    pub(super) fn could_be_had(&self, pot: &Pot, lent: &[Lent], views: &[View]) -> i64 {
        let is_open = |boot: BootId| {
            lent.iter().any(|lent| lent.boot == boot && lent.pot == *pot && !lent.lost)
        };
        let unused = views.iter().filter(|view| is_open(view.boot));
        let unused = unused.filter_map(|view| view.unused.get(pot)).sum::<i64>();
        self.free(pot) + unused
    }

    fn check_pot(&mut self, state: &PotState, lent: &[Lent], granted: bool) -> Finding {
        let (pot, balance) = (state.pot, state.balance);
        let columns =
            [balance.settled, balance.held, balance.leased, balance.unattributed, balance.overrun];
        let [settled, held, leased, lost, over] = columns.map(|sum| sum.0);
        hold_true!(columns.iter().all(|sum| 0 <= sum.0), "below nothing: {state:?}");
        let taken = settled + held + leased + lost;
        let before = self.taken.insert(pot, taken).unwrap_or(0);
        let before = before + self.unforeseen.remove(&pot).unwrap_or(0);
        hold_true!(!granted || taken + over <= balance.limit.0, "granted above all: {state:?}");
        hold_true!(granted || taken <= before, "{before} grew without a grant: {state:?}");
        let of = |is_lost: bool| -> i64 {
            let lent = lent.iter().filter(|lent| lent.pot == pot && lent.lost == is_lost);
            lent.map(|lent| lent.outstanding.0).sum()
        };
        hold_true!((leased, lost) == (of(false), of(true)), "leases do not add up: {state:?}");
        let open: i64 = state.indeterminate.iter().map(|(.., amount)| amount.0).sum();
        hold_true!(held == open, "holds do not add up: {state:?}");
        let billed = self.billed.get(&pot).copied().unwrap_or(0);
        hold_true!(settled + over == billed, "{billed} were charged: {state:?}");
        self.balances.insert(pot, balance);
        Ok(())
    }

    /// At the end: each attempt has one true record, or is covered by a lease that is lost.
    pub(super) fn audit(&self, records: &[UsageRecord], lent: &[Lent]) -> Finding {
        let mut missing = BTreeMap::<(BootId, Pot), i64>::new();
        let all = self.attempts.iter().chain(self.shadowed.iter().map(|(name, it)| (name, it)));
        for (name, attempt) in all {
            let of = |part: &&UsageRecord| (part.stamp.request, part.stamp.attempt) == *name;
            let parts: Vec<_> = records.iter().filter(of).collect();
            let sum =
                parts.iter().filter_map(|part| part.ending.cost).map(|cost| cost.0).sum::<i64>();
            match attempt.record {
                Some(known) => {
                    hold_true!(sum == known.cost, "{name:?}: {sum} in the store, of {attempt:?}");
                    let open = known.open && known.counted < attempt.actual.min(attempt.hold);
                    hold_true!(!open || known.counted == 0, "{name:?} counts too little");
                }
                None => hold_true!(parts.is_empty(), "{name:?}: nobody shipped its record"),
            }
            let counted = attempt.record.map_or(0, |known| known.counted);
            let uncovered = attempt.actual.min(attempt.hold) - counted;
            if 0 < uncovered && attempt.record.is_none_or(|known| known.open) {
                for pot in &attempt.pots {
                    *missing.entry((attempt.boot, *pot)).or_default() += uncovered;
                }
            }
        }
        for ((boot, pot), amount) in missing {
            let covers = |lent: &Lent| lent.boot == boot && lent.pot == pot && lent.lost;
            let covered = lent.iter().find(|lent| covers(lent));
            let covered = covered.map_or(0, |lent| lent.outstanding.0);
            hold_true!(
                amount <= covered || self.released.contains(&boot),
                "{amount} of {boot} are in no record, and {covered} unattributed: {pot:?}"
            );
        }
        Ok(())
    }
}
