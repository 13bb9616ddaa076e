//! Limits: how many requests or tokens in any stretch of a minute or a day.
//!
//! A sliding window of 60 slots. The slot in progress and the 60 before it are counted whole, so
//! no stretch of the window's length ever holds more than the limit, and under steady demand at
//! least 60/61 of the limit is let through. A take can be trued up when the real cost is known.

pub mod claims;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const SLOTS: i64 = 60;
/// The slot in progress and the whole window before it.
const SLOTS_COUNTED: usize = 61;

/// The stretch of time that a limit speaks of.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Stretch {
    Minute,
    Day,
}

impl Stretch {
    pub const fn millis(self) -> i64 {
        match self {
            Self::Minute => 60_000,
            Self::Day => 86_400_000,
        }
    }

    const fn slot_millis(self) -> i64 {
        self.millis() / SLOTS
    }

    /// The slot that a moment is in.
    pub const fn slot(self, now: i64) -> i64 {
        now.div_euclid(self.slot_millis())
    }

    /// The moment at which a slot begins.
    pub const fn begins(self, slot: i64) -> i64 {
        slot.saturating_mul(self.slot_millis())
    }
}

/// Why a take was not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It would fit after so many milliseconds, if nothing else is taken.
    Wait { millis: i64 },
    /// It is larger than the whole limit.
    Never,
}

/// What was taken in the last stretch. Moments are milliseconds of a clock that never goes back.
#[derive(Clone, Debug)]
pub struct Window {
    stretch: Stretch,
    /// Counts by slot number modulo the length; valid for the slots up to `head`.
    slots: [i64; SLOTS_COUNTED],
    /// INVARIANT: the sum of `slots`.
    sum: i128,
    head: i64,
}

/// Where a take was counted, for truing it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(i64);

impl Mark {
    pub const fn slot(self) -> i64 {
        self.0
    }
}

impl Window {
    pub fn new(stretch: Stretch) -> Self {
        Self { stretch, slots: [0; SLOTS_COUNTED], sum: 0, head: i64::MIN }
    }

    pub fn used(&mut self, now: i64) -> i64 {
        self.advance(now);
        i64::try_from(self.sum).unwrap_or(i64::MAX)
    }

    /// Whether `cost` more fits under `limit` now.
    pub fn check(&mut self, limit: i64, cost: i64, now: i64) -> Result<(), Refused> {
        if limit < cost {
            return Err(Refused::Never);
        }
        let used = self.used(now);
        if used.saturating_add(cost) <= limit {
            return Ok(());
        }
        Err(Refused::Wait { millis: self.wait(used.saturating_add(cost) - limit, now) })
    }

    /// Counts `cost` now, whatever the limit: call [`Window::check`] first.
    pub fn take(&mut self, cost: i64, now: i64) -> Mark {
        self.advance(now);
        self.add(self.head, cost);
        Mark(self.head)
    }

    /// Corrects an earlier take by `change`. One that has left the window stays as it was.
    pub fn adjust(&mut self, mark: Mark, change: i64) {
        if self.head - SLOTS <= mark.0 && mark.0 <= self.head {
            self.add(mark.0, change);
        }
    }

    /// Where the clock went back by more than a slot, all that counts is counted at `now`: for
    /// longer than it would be, never for less. True: so it was.
    pub fn gather(&mut self, now: i64) -> bool {
        if self.head <= self.stretch.slot(now).saturating_add(1) {
            return false;
        }
        let sum = i64::try_from(self.sum).unwrap_or(i64::MAX);
        *self = Self::new(self.stretch);
        self.take(sum, now);
        true
    }

    /// The slots in which something is counted, with how much.
    pub fn counts(&self) -> impl Iterator<Item = (i64, i64)> {
        let slots = self.head.saturating_sub(SLOTS)..=self.head;
        slots.map(|slot| (slot, self.at(slot))).filter(|(_, count)| *count != 0)
    }

    /// Milliseconds until everything that is counted now has left the window.
    pub fn reset_millis(&mut self, now: i64) -> i64 {
        self.advance(now);
        let last = (self.head.saturating_sub(SLOTS)..=self.head).rev().find(|it| self.at(*it) != 0);
        last.map_or(0, |slot| self.leaves(slot, now))
    }

    fn wait(&self, excess: i64, now: i64) -> i64 {
        let mut freed: i64 = 0;
        for slot in self.head - SLOTS..=self.head {
            freed = freed.saturating_add(self.at(slot));
            if excess <= freed {
                return self.leaves(slot, now);
            }
        }
        self.stretch.millis()
    }

    /// Milliseconds until `slot` has left the window.
    fn leaves(&self, slot: i64, now: i64) -> i64 {
        let leaves = (slot + SLOTS + 1) * self.stretch.slot_millis();
        (leaves - now).max(1)
    }

    fn advance(&mut self, now: i64) {
        let head = self.stretch.slot(now);
        if head <= self.head {
            return;
        }
        let first = self.head.saturating_add(1).max(head - SLOTS);
        for slot in first..=head {
            if let Some(count) = self.slots.get_mut(Self::index(slot)) {
                self.sum -= i128::from(*count);
                *count = 0;
            }
        }
        self.head = head;
    }

    fn add(&mut self, slot: i64, change: i64) {
        if let Some(count) = self.slots.get_mut(Self::index(slot)) {
            let before = *count;
            *count = before.saturating_add(change).max(0);
            self.sum += i128::from(*count) - i128::from(before);
        }
    }

    fn at(&self, slot: i64) -> i64 {
        self.slots.get(Self::index(slot)).copied().unwrap_or(0)
    }

    fn index(slot: i64) -> usize {
        usize::try_from(slot.rem_euclid(SLOTS + 1)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_wait_that_is_told_is_enough_and_not_too_long() {
        let mut window = Window::new(Stretch::Minute);
        window.take(10, 500);

        let Err(Refused::Wait { millis }) = window.check(10, 1, 30_000) else { panic!("it fits") };

        assert!(window.check(10, 1, 30_000 + millis - 1).is_err());
        assert!(window.check(10, 1, 30_000 + millis).is_ok());
        assert_eq!(millis, 31_000);
    }

    #[test]
    fn what_is_larger_than_the_limit_never_fits() {
        assert_eq!(Window::new(Stretch::Day).check(5, 6, 0), Err(Refused::Never));
    }

    #[test]
    fn a_refund_makes_room_at_once() {
        let mut window = Window::new(Stretch::Minute);
        let mark = window.take(10, 0);
        window.adjust(mark, -4);

        assert!(window.check(10, 4, 1).is_ok());
        assert!(window.check(10, 5, 1).is_err());
    }

    #[test]
    fn a_clock_that_goes_back_frees_nothing() {
        let mut window = Window::new(Stretch::Minute);
        window.take(10, 3_600_000);

        assert!(!window.gather(3_599_500));
        assert!(window.gather(1_800_000));

        assert_eq!(window.used(1_859_999), 10);
        assert_eq!(window.counts().collect::<Vec<_>>(), [(1_800, 10)]);
    }

    proptest! {
        #[test]
        fn no_stretch_holds_more_than_the_limit(
            gaps in prop::collection::vec(0..4_000i64, 1..400),
        ) {
            let (mut window, mut now, mut taken) = (Window::new(Stretch::Minute), 0, Vec::new());
            for gap in gaps {
                now += gap;
                if window.check(25, 1, now).is_ok() {
                    window.take(1, now);
                    taken.push(now);
                }
                let recent = taken.iter().filter(|at| now - 60_000 < **at).count();
                prop_assert!(recent <= 25);
            }
        }

        #[test]
        fn steady_demand_gets_nearly_all_of_it(gap in 1..500i64) {
            let (mut window, mut passed) = (Window::new(Stretch::Minute), 0);
            let limit = 60;
            for step in 0..600_000 / gap {
                if window.check(limit, 1, step * gap).is_ok() {
                    window.take(1, step * gap);
                    passed += 1;
                }
            }
            prop_assert!(10 * limit * 95 / 100 <= passed, "{} of {}", passed, 10 * limit);
        }
    }
}
