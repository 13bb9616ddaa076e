//! One org's book: leases and limits under one lock.

use super::{
    Hold, OrgBook, Seat, TakenLimit,
    end_users::{EndUser, EndUsers},
};
use policies::{
    budget::{Lease, Pot},
    ids::LimitId,
    money::NanoUsd,
    rate::{Refused, Stretch, Window},
    refusal::Refusal,
    tenant::{BudgetRule, LimitRule},
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

/// A limit that a request counts under.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    pub rule: &'a Arc<LimitRule>,
    /// Whose own part of it is meant; none: all share it.
    pub end_user: Option<EndUser>,
}

/// The tightest limit of one kind, after the take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge {
    pub limit: i64,
    pub remaining: i64,
    pub reset_millis: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    pub requests: Option<Gauge>,
    pub tokens: Option<Gauge>,
}

pub(super) enum Take {
    Taken(Seat, Hold, Gauges),
    Refused(Refusal),
    /// A lease does not cover it; `room`: too little is left on this budget whatever comes back.
    Short {
        exhausted: Option<(usize, NanoUsd)>,
    },
}

#[derive(Default)]
pub(super) struct Book {
    leases: HashMap<Pot, Slice>,
    limits: HashMap<LimitId, Windows>,
    end_users: EndUsers,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    lease: Lease,
    /// Limit - settled - overrun as last told; it only falls while the settings stay.
    room: Option<NanoUsd>,
}

pub(super) struct Windows {
    requests: [Window; 2],
    tokens: [Window; 2],
    concurrent: i64,
}

impl Default for Windows {
    fn default() -> Self {
        let pair = || [Window::new(Stretch::Minute), Window::new(Stretch::Day)];
        Self { requests: pair(), tokens: pair(), concurrent: 0 }
    }
}

impl Book {
    /// Takes all of `want`, or nothing.
    pub(super) fn take(&mut self, own: &Arc<OrgBook>, want: &Want<'_>, ticks: i64) -> Take {
        for counted in &want.limits {
            let windows = self.windows(counted);
            if let Err(refusal) = windows.check(counted.rule, want, ticks) {
                return Take::Refused(refusal);
            }
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
        let (taken, gauges) = self.take_limits(want, ticks);
        let pots = want.budgets.iter().map(|(_, pot)| *pot).collect();
        let seat = Seat { org: Arc::clone(own), taken, estimate: want.tokens };
        Take::Taken(seat, Hold { org: Arc::clone(own), pots, amount: want.amount }, gauges)
    }

    fn windows(&mut self, counted: &Counted<'_>) -> &mut Windows {
        match counted.end_user {
            None => self.limits.entry(counted.rule.id).or_default(),
            Some(who) => self.end_users.windows(counted.rule.id, who),
        }
    }

    fn exhausted(&self, want: &Want<'_>) -> Option<(usize, NanoUsd)> {
        let room = |pot| self.leases.get(pot).and_then(|slice: &Slice| slice.room);
        let mut rooms = want.budgets.iter().enumerate();
        rooms.find_map(|(place, (_, pot))| {
            room(pot).filter(|room| *room < want.amount).map(|room| (place, room))
        })
    }

    fn take_limits(&mut self, want: &Want<'_>, ticks: i64) -> (Vec<TakenLimit>, Gauges) {
        let (mut taken, mut gauges) = (Vec::with_capacity(want.limits.len()), Gauges::default());
        for counted in &want.limits {
            let (rule, windows) = (counted.rule, self.windows(counted));
            windows.concurrent += 1;
            let [minute, day] = &mut windows.requests;
            minute.take(i64::from(rule.requests_per_minute.is_some()), ticks);
            day.take(i64::from(rule.requests_per_day.is_some()), ticks);
            gauges.requests = tighter(gauges.requests, rule.requests_per_minute, minute, ticks);
            gauges.requests = tighter(gauges.requests, rule.requests_per_day, day, ticks);
            let [minute, day] = &mut windows.tokens;
            let marks = TakenLimit {
                rule: Arc::clone(rule),
                end_user: counted.end_user,
                minute: rule.tokens_per_minute.map(|_| minute.take(want.tokens, ticks)),
                day: rule.tokens_per_day.map(|_| day.take(want.tokens, ticks)),
            };
            gauges.tokens = tighter(gauges.tokens, rule.tokens_per_minute, minute, ticks);
            gauges.tokens = tighter(gauges.tokens, rule.tokens_per_day, day, ticks);
            taken.push(marks);
        }
        (taken, gauges)
    }

    pub(super) fn leave(&mut self, taken: &[TakenLimit], change: i64) {
        for limit in taken {
            let id = limit.rule.id;
            let windows = match limit.end_user {
                None => self.limits.get_mut(&id),
                Some(who) => self.end_users.known(id, who),
            };
            let Some(windows) = windows else { continue };
            windows.concurrent = windows.concurrent.saturating_sub(1).max(0);
            let [minute, day] = &mut windows.tokens;
            if let Some(mark) = limit.minute {
                minute.adjust(mark, change);
            }
            if let Some(mark) = limit.day {
                day.adjust(mark, change);
            }
        }
    }

    pub(super) fn settle(&mut self, pots: &[Pot], held: NanoUsd, counted: NanoUsd) {
        for pot in pots {
            if let Some(slice) = self.leases.get_mut(pot) {
                slice.lease.settle(held, counted);
            }
        }
    }

    pub(super) fn need(&self, want: &Want<'_>) -> Need {
        let chain = want.budgets.iter().map(|(_, pot)| *pot).collect();
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

    /// True: a pot of the chain has never been asked for.
    pub(super) fn is_new(&self, want: &Want<'_>) -> bool {
        want.budgets.iter().any(|(_, pot)| !self.leases.contains_key(pot))
    }

    /// Gives back the unused part of the pots that `which` picks; the totals to tell the ledger.
    pub(super) fn give_back(&mut self, which: impl Fn(&Pot) -> bool) -> Vec<(Pot, NanoUsd)> {
        let picked = self.leases.iter_mut().filter(|(pot, _)| which(pot));
        picked.map(|(pot, slice)| (*pot, slice.lease.give_back())).collect()
    }

    pub(super) fn learn(&mut self, states: &[LeaseState]) {
        for state in states {
            let slice = self.leases.entry(state.pot).or_default();
            slice.lease.grant(state.granted);
            slice.room = Some(state.room);
        }
    }

    /// The settings have changed: what was known of the limits of budgets may be wrong.
    pub(super) fn forget_rooms(&mut self) {
        self.leases.values_mut().for_each(|slice| slice.room = None);
    }
}

impl Windows {
    #[cfg(test)]
    pub(super) fn sit(&mut self) {
        self.concurrent += 1;
    }

    #[cfg(test)]
    pub(super) fn concurrent(&self) -> i64 {
        self.concurrent
    }

    fn check(&mut self, rule: &LimitRule, want: &Want<'_>, ticks: i64) -> Result<(), Refusal> {
        let place = || rule.place.clone();
        if rule.concurrent_requests.is_some_and(|most| most <= self.concurrent) {
            return Err(Refusal::ConcurrencyLimited { place: place() });
        }
        let limits = [rule.requests_per_minute, rule.requests_per_day];
        for (window, limit) in self.requests.iter_mut().zip(limits) {
            let Some(limit) = limit else { continue };
            if let Err(refused) = window.check(limit, 1, ticks) {
                let retry_millis = wait(refused).unwrap_or(Stretch::Day.millis());
                return Err(Refusal::RateLimited { place: place(), limit, retry_millis });
            }
        }
        let limits = [rule.tokens_per_minute, rule.tokens_per_day];
        for (window, limit) in self.tokens.iter_mut().zip(limits) {
            let Some(limit) = limit else { continue };
            if let Err(refused) = window.check(limit, want.tokens, ticks) {
                let retry_millis = wait(refused);
                return Err(Refusal::TokensLimited { place: place(), limit, retry_millis });
            }
        }
        Ok(())
    }
}

fn wait(refused: Refused) -> Option<i64> {
    match refused {
        Refused::Wait { millis } => Some(millis),
        Refused::Never => None,
    }
}

fn tighter(
    known: Option<Gauge>,
    limit: Option<i64>,
    window: &mut Window,
    ticks: i64,
) -> Option<Gauge> {
    let Some(limit) = limit else { return known };
    let remaining = limit.saturating_sub(window.used(ticks)).max(0);
    if known.is_some_and(|known| known.remaining <= remaining) {
        return known;
    }
    Some(Gauge { limit, remaining, reset_millis: window.reset_millis(ticks) })
}
