//! Everything that is counted of one limit, where replicas share it.

use super::{
    super::{TakenLimit, Want},
    Gauge, Gauges,
    commons::Moment,
    concurrency_limited,
    leased::{Cover, Leased, SHARE_WAIT_MILLIS},
    rate_limited, tighter, tokens_limited,
};
use policies::{
    rate::{
        Mark, Stretch,
        claims::{Meter, Part},
    },
    refusal::Refusal,
    tenant::LimitRule,
};
use store::cells::Standing;

/// Seats that nobody took for so long go back.
const IDLE_SEATS_MILLIS: i64 = 500;
/// Of so many seats in use, one more is leased ahead.
const SEATS_FOR_ONE_AHEAD: i64 = 4;
const LACKED_MILLIS: i64 = 100;

pub(super) struct Meters {
    requests: [Leased; 2],
    tokens: [Leased; 2],
    seats: Seats,
    /// Which of [`Meter::ALL`] were ever used: the others are not told.
    used: [bool; 5],
    /// The shared windows do not know all of it.
    dirty: bool,
    /// The message that tells it, if nothing has changed since.
    told_in: Option<u64>,
}

impl Default for Meters {
    fn default() -> Self {
        let pair = || [Leased::new(Stretch::Minute), Leased::new(Stretch::Day)];
        let (seats, used) = (Seats::default(), [false; 5]);
        Self { requests: pair(), tokens: pair(), seats, used, dirty: false, told_in: None }
    }
}

/// Requests under way.
#[derive(Default)]
struct Seats {
    /// Leased; not less than those in use.
    claimed: i64,
    in_use: i64,
    taken: i64,
    lacked: Option<i64>,
}

/// What a request takes of one meter of a limit.
struct Take {
    meter: Meter,
    limit: i64,
    cost: i64,
}

fn takes(rule: &LimitRule, tokens: i64) -> impl Iterator<Item = Take> {
    let limits = [
        (Meter::Seats, rule.concurrent_requests, 1),
        (Meter::Requests(Stretch::Minute), rule.requests_per_minute, 1),
        (Meter::Requests(Stretch::Day), rule.requests_per_day, 1),
        (Meter::Tokens(Stretch::Minute), rule.tokens_per_minute, tokens),
        (Meter::Tokens(Stretch::Day), rule.tokens_per_day, tokens),
    ];
    limits.into_iter().filter_map(|(meter, limit, cost)| Some(Take { meter, limit: limit?, cost }))
}

// === impl Meters ===

impl Meters {
    /// `Ok(true)`: covered. `Ok(false)`: the shared windows have to be asked.
    pub(super) fn check(
        &mut self,
        rule: &LimitRule,
        want: &Want<'_>,
        moment: Moment,
    ) -> Result<bool, Refusal> {
        let mut covered = true;
        for take in takes(rule, want.tokens) {
            match self.cover(&take, moment) {
                Cover::Full => {}
                Cover::Lacks => covered = false,
                Cover::Refused(wait) => {
                    return Err(match take.meter {
                        Meter::Seats => concurrency_limited(rule),
                        Meter::Requests(_) => rate_limited(rule, take.limit, wait),
                        Meter::Tokens(_) => tokens_limited(rule, take.limit, wait),
                    });
                }
            }
        }
        Ok(covered)
    }

    fn cover(&mut self, take: &Take, moment: Moment) -> Cover {
        let Some(leased) = self.leased(take.meter) else {
            return self.seats.cover(take.limit, moment);
        };
        let expired = leased.expire(moment);
        let cover = leased.cover(take.limit, take.cost, moment);
        self.touch(expired);
        cover
    }

    fn leased(&mut self, meter: Meter) -> Option<&mut Leased> {
        let ([request_minute, request_day], [token_minute, token_day]) =
            (&mut self.requests, &mut self.tokens);
        Some(match meter {
            Meter::Requests(Stretch::Minute) => request_minute,
            Meter::Requests(Stretch::Day) => request_day,
            Meter::Tokens(Stretch::Minute) => token_minute,
            Meter::Tokens(Stretch::Day) => token_day,
            Meter::Seats => return None,
        })
    }

    /// The shared windows know too much or too little, if `changed`.
    fn touch(&mut self, changed: bool) {
        if changed {
            (self.dirty, self.told_in) = (true, None);
        }
    }

    /// What has to be leased before the request fits.
    pub(super) fn lacking(
        &mut self,
        rule: &LimitRule,
        want: &Want<'_>,
        moment: Moment,
    ) -> Vec<(Meter, Part)> {
        let mut parts = Vec::new();
        for take in takes(rule, want.tokens) {
            if self.cover(&take, moment) == Cover::Lacks {
                // It will be told, even if the answer to this need is never heard.
                self.mark_used(take.meter);
                let part = match self.leased(take.meter) {
                    Some(leased) => leased.part(take.limit, take.cost, moment),
                    None => self.seats.part(take.limit),
                };
                parts.push((take.meter, part));
            }
        }
        parts
    }

    /// Counts a request that is covered. The marks of its tokens: minute and day.
    pub(super) fn take(
        &mut self,
        rule: &LimitRule,
        want: &Want<'_>,
        moment: Moment,
    ) -> [Option<Mark>; 2] {
        let mut marks = [None; 2];
        for take in takes(rule, want.tokens) {
            self.mark_used(take.meter);
            let changed = match self.leased(take.meter) {
                None => self.seats.take(moment),
                Some(leased) => {
                    let (mark, changed) = leased.take(take.cost, moment);
                    match take.meter {
                        Meter::Tokens(Stretch::Minute) => marks[0] = Some(mark),
                        Meter::Tokens(Stretch::Day) => marks[1] = Some(mark),
                        Meter::Requests(_) | Meter::Seats => {}
                    }
                    changed
                }
            };
            self.touch(changed);
        }
        marks
    }

    fn mark_used(&mut self, meter: Meter) {
        let used = Meter::ALL.iter().zip(&mut self.used).find(|(it, _)| **it == meter);
        if let Some((_, used)) = used {
            *used = true;
        }
    }

    pub(super) fn gauge(&mut self, rule: &LimitRule, gauges: &mut Gauges, moment: Moment) {
        for Take { meter, limit, .. } in takes(rule, 0) {
            let Some(leased) = self.leased(meter) else { continue };
            let (remaining, reset_millis) = leased.gauge(limit, moment);
            let gauge = Gauge { limit, remaining, reset_millis };
            match meter {
                Meter::Requests(_) => gauges.requests = tighter(gauges.requests, gauge),
                Meter::Tokens(_) => gauges.tokens = tighter(gauges.tokens, gauge),
                Meter::Seats => {}
            }
        }
    }

    pub(super) fn leave(&mut self, taken: &TakenLimit, change: i64, moment: Moment) {
        if taken.rule.concurrent_requests.is_some() {
            self.seats.leave();
        }
        let [minute, day] = &mut self.tokens;
        let marks = [(minute, taken.minute), (day, taken.day)];
        let mut changed = false;
        for (leased, mark) in marks {
            if let Some(mark) = mark {
                changed |= leased.true_up(mark, change, moment);
            }
        }
        self.touch(changed);
    }

    /// Gives back what nobody uses. True: the shared windows have to hear of it.
    pub(super) fn tidy(&mut self, moment: Moment) -> bool {
        let mut changed = self.seats.idle(moment);
        for leased in self.requests.iter_mut().chain(&mut self.tokens) {
            changed |= leased.idle(moment);
        }
        self.touch(changed);
        self.dirty
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.dirty
    }

    pub(super) fn has_seats(&self) -> bool {
        0 < self.seats.claimed
    }

    /// All that counts of this replica, to be told in the message `seq`.
    pub(super) fn columns(&mut self, seq: u64, moment: Moment) -> Vec<(Meter, Vec<(i64, i64)>)> {
        (self.dirty, self.told_in) = (true, Some(seq));
        let used = Meter::ALL.into_iter().zip(self.used).filter(|(_, used)| *used);
        let used: Vec<Meter> = used.map(|(meter, _)| meter).collect();
        let column = |meter| match self.leased(meter) {
            Some(leased) => (meter, leased.column(moment)),
            None => (meter, vec![(0, self.seats.claimed)]),
        };
        used.into_iter().map(column).collect()
    }

    /// The message `seq` was heard. True: the shared windows know everything.
    pub(super) fn heard(&mut self, seq: u64) -> bool {
        if self.told_in == Some(seq) {
            (self.dirty, self.told_in) = (false, None);
        }
        !self.dirty
    }

    /// All of it has to be told again.
    pub(super) fn forgotten(&mut self) {
        let any = self.used.iter().any(|used| *used);
        self.touch(any);
    }

    pub(super) fn learn(&mut self, standing: Standing, moment: Moment) {
        self.mark_used(standing.window.meter);
        let changed = match self.leased(standing.window.meter) {
            Some(leased) => leased.learn(standing, moment),
            None => {
                self.seats.claimed = self.seats.claimed.saturating_add(standing.granted);
                false
            }
        };
        self.touch(changed);
    }

    pub(super) fn lack(&mut self, meter: Meter, least: i64, wait_millis: i64, moment: Moment) {
        match self.leased(meter) {
            Some(leased) => leased.lack(least, wait_millis, moment),
            None => self.seats.lacked = Some(moment.ticks),
        }
    }
}

// === impl Seats ===

impl Seats {
    fn cover(&self, limit: i64, moment: Moment) -> Cover {
        if limit <= self.in_use {
            return Cover::Refused(Some(SHARE_WAIT_MILLIS));
        }
        if self.in_use < self.claimed {
            return Cover::Full;
        }
        if moment.apart {
            let share = limit / moment.replicas.max(1);
            let fits = self.in_use < share;
            return if fits { Cover::Full } else { Cover::Refused(Some(SHARE_WAIT_MILLIS)) };
        }
        match self.lacked {
            Some(at) if moment.ticks < at + LACKED_MILLIS => {
                Cover::Refused(Some(SHARE_WAIT_MILLIS))
            }
            Some(_) | None => Cover::Lacks,
        }
    }

    /// True: the shared window does not know of it.
    fn take(&mut self, moment: Moment) -> bool {
        self.in_use += 1;
        self.taken = moment.ticks;
        let changed = self.claimed < self.in_use;
        self.claimed = self.claimed.max(self.in_use);
        changed
    }

    fn leave(&mut self) {
        self.in_use = self.in_use.saturating_sub(1).max(0);
    }

    fn idle(&mut self, moment: Moment) -> bool {
        let idle = self.in_use < self.claimed
            && self.taken.saturating_add(IDLE_SEATS_MILLIS) < moment.ticks;
        if idle {
            self.claimed = self.in_use;
        }
        idle
    }

    fn part(&self, limit: i64) -> Part {
        Part { limit, least: 1, most: 1 + self.in_use / SEATS_FOR_ONE_AHEAD }
    }
}
