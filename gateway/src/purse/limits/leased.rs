//! One window of a limit that replicas share: the cells that are leased here, and those used.

use super::commons::Moment;
use policies::rate::{Mark, Refused, Stretch, Window, claims::Part};
use store::cells::Standing;

/// After the shared window had nothing, it is not asked again for so long.
const LACKED_MILLIS: i64 = 100;
/// What is told to wait where only the share of this replica is used up.
pub(super) const SHARE_WAIT_MILLIS: i64 = 1_000;

/// Whether a take is covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cover {
    Full,
    /// The shared window has to be asked.
    Lacks,
    /// No; it may be after so many milliseconds, or never.
    Refused(Option<i64>),
}

/// What the shared window said last.
#[derive(Clone, Copy, Debug)]
struct Told {
    at: i64,
    /// What all replicas had taken then, and this one of it.
    used: i64,
    own: i64,
}

/// A need that the shared window did not cover.
#[derive(Clone, Copy, Debug)]
struct Lacked {
    at: i64,
    least: i64,
    until: i64,
}

pub(super) struct Leased {
    stretch: Stretch,
    /// What was used here, by the slots of the time that all replicas share.
    own: Window,
    /// Cells that are leased and not used; they are of `slot`, and die with it.
    spare: i64,
    slot: i64,
    told: Option<Told>,
    lacked: Option<Lacked>,
    pace: Pace,
}

impl Leased {
    pub(super) fn new(stretch: Stretch) -> Self {
        let (own, pace) = (Window::new(stretch), Pace::default());
        Self { stretch, own, spare: 0, slot: 0, told: None, lacked: None, pace }
    }

    /// Cells of a slot that is over are gone. True: what the shared window knows is too much.
    pub(super) fn expire(&mut self, moment: Moment) -> bool {
        let gathered = self.own.gather(moment.now);
        let over = 0 < self.spare && (gathered || self.slot < self.stretch.slot(moment.now));
        if over {
            self.spare = 0;
        }
        gathered || over
    }

    /// Gives back what will not be taken in the next second. True as above.
    pub(super) fn idle(&mut self, moment: Moment) -> bool {
        let soon = self.pace.per_second(moment.ticks);
        let idle = soon.saturating_mul(2) < self.spare;
        if idle {
            self.spare = soon;
        }
        self.expire(moment) || idle
    }

    /// Whether `cost` may be taken now. Cells of a slot that is over must be gone.
    pub(super) fn cover(&mut self, limit: i64, cost: i64, moment: Moment) -> Cover {
        if let Err(refused) = self.own.check(limit, cost, moment.now) {
            return Cover::Refused(wait(refused));
        }
        if cost <= self.spare {
            return Cover::Full;
        }
        if moment.apart {
            let share = self.share(limit, moment);
            return match self.own.check(share, cost, moment.now) {
                Ok(()) => Cover::Full,
                Err(refused) => Cover::Refused(Some(wait(refused).unwrap_or(SHARE_WAIT_MILLIS))),
            };
        }
        match self.lacked {
            Some(lacked) if lacked.least <= cost && moment.ticks < lacked.at + LACKED_MILLIS => {
                Cover::Refused(Some((lacked.until - moment.ticks).max(1)))
            }
            Some(_) | None => Cover::Lacks,
        }
    }

    /// What this replica may use in a stretch without asking: its part of the limit; and as long as
    /// what others had taken may still count, no more than its part of what they had left.
    fn share(&self, limit: i64, moment: Moment) -> i64 {
        let replicas = moment.replicas.max(1);
        let share = limit / replicas;
        match self.told {
            Some(told) if moment.ticks < told.at.saturating_add(self.stretch.millis()) => {
                let left = limit.saturating_sub(told.used).max(0) / replicas;
                share.min(told.own.saturating_add(left))
            }
            Some(_) | None => share,
        }
    }

    /// Counts `cost`, which is covered. True: the shared window does not know of it.
    pub(super) fn take(&mut self, cost: i64, moment: Moment) -> (Mark, bool) {
        self.pace.took(cost, moment.ticks);
        if cost <= self.spare {
            self.spare -= cost;
            let mark = self.own.take(cost, moment.now.max(self.stretch.begins(self.slot)));
            return (mark, mark.slot() != self.slot && cost != 0);
        }
        (self.own.take(cost, moment.now), true)
    }

    /// Corrects a take. True as above.
    pub(super) fn true_up(&mut self, mark: Mark, change: i64, moment: Moment) -> bool {
        let expired = self.expire(moment);
        let leased = mark.slot() == self.slot && self.slot == self.stretch.slot(moment.now);
        let before = self.own.used(moment.now);
        self.own.adjust(mark, change);
        let change = self.own.used(moment.now).saturating_sub(before);
        if !leased {
            return expired || change != 0;
        }
        // What was not used after all is a spare cell of the same slot.
        let spare = self.spare.saturating_sub(change);
        self.spare = spare.max(0);
        expired || spare < 0
    }

    /// All that counts of this replica.
    pub(super) fn column(&mut self, moment: Moment) -> Vec<(i64, i64)> {
        self.own.used(moment.now);
        let mut column: Vec<(i64, i64)> = self.own.counts().collect();
        if 0 < self.spare {
            match column.iter_mut().find(|(slot, _)| *slot == self.slot) {
                Some((_, cells)) => *cells += self.spare,
                None => column.push((self.slot, self.spare)),
            }
        }
        column
    }

    /// What to ask for, so that the next second needs no more asking.
    pub(super) fn part(&self, limit: i64, cost: i64, moment: Moment) -> Part {
        let least = cost.saturating_sub(self.spare).max(0);
        Part { limit, least, most: least.saturating_add(self.pace.per_second(moment.ticks)) }
    }

    /// True: what the shared window knows is too much.
    pub(super) fn learn(&mut self, standing: Standing, moment: Moment) -> bool {
        let over = standing.slot != self.slot && 0 < self.spare;
        if 0 < standing.granted {
            if standing.slot != self.slot {
                self.spare = 0;
            }
            self.slot = standing.slot;
            self.spare = self.spare.saturating_add(standing.granted);
            self.lacked = None;
        }
        let own = self.own.used(moment.now).saturating_add(self.spare);
        self.told = Some(Told { at: moment.ticks, used: standing.used, own });
        over && 0 < standing.granted
    }

    pub(super) fn lack(&mut self, least: i64, wait_millis: i64, moment: Moment) {
        let until = moment.ticks.saturating_add(wait_millis);
        self.lacked = Some(Lacked { at: moment.ticks, least, until });
    }

    /// What is left of the limit, as far as it is known here, and when all of it is free again.
    pub(super) fn gauge(&mut self, limit: i64, moment: Moment) -> (i64, i64) {
        let own = self.own.used(moment.now);
        let here = if moment.apart { self.share(limit, moment) } else { limit };
        let here = here.saturating_sub(own);
        let left = match self.told {
            Some(told) if !moment.apart => {
                limit.saturating_sub(told.used).saturating_add(self.spare).min(here)
            }
            Some(_) | None => here,
        };
        (left.max(0), self.own.reset_millis(moment.now))
    }
}

fn wait(refused: Refused) -> Option<i64> {
    match refused {
        Refused::Wait { millis } => Some(millis),
        Refused::Never => None,
    }
}

/// How much was taken in the second in progress and the one before.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    second: i64,
    before: i64,
    now: i64,
}

impl Pace {
    fn took(&mut self, cost: i64, ticks: i64) {
        let second = ticks.div_euclid(1_000);
        if second != self.second {
            self.before = if second == self.second + 1 { self.now } else { 0 };
            (self.second, self.now) = (second, 0);
        }
        self.now = self.now.saturating_add(cost);
    }

    fn per_second(self, ticks: i64) -> i64 {
        let second = ticks.div_euclid(1_000);
        if second.saturating_sub(self.second) <= 1 { self.now.max(self.before) } else { 0 }
    }
}
