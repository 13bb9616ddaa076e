//! One limit over several replicas: what each of them has taken, and what one may take now.
//!
//! Each replica states its own column, whole: how many cells it has taken in which slot, those
//! that it has leased and not used yet among them. A column that is stated again changes nothing,
//! whatever became of the messages between. A cell is good in the slot in which it was taken and
//! is gone with it, so that the sum over 61 slots is never less than what was let through in a
//! stretch of the window's length.

use super::{SLOTS, Stretch, Window};
use crate::ids::BootId;
use std::collections::{BTreeMap, BTreeSet};

/// What is told to wait where only a silent replica stands in the way: by then it is known again,
/// or more is known of it.
const SILENT_WAIT_MILLIS: i64 = 1_000;

/// What is counted of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Meter {
    Requests(Stretch),
    Tokens(Stretch),
    /// Requests under way: no stretch, and one slot for ever, with the number 0.
    Seats,
}

impl Meter {
    pub const ALL: [Self; 5] = [
        Self::Requests(Stretch::Minute),
        Self::Requests(Stretch::Day),
        Self::Tokens(Stretch::Minute),
        Self::Tokens(Stretch::Day),
        Self::Seats,
    ];

    pub const fn stretch(self) -> Option<Stretch> {
        match self {
            Self::Requests(stretch) | Self::Tokens(stretch) => Some(stretch),
            Self::Seats => None,
        }
    }

    /// A name of two letters: the key of a window ends with it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Requests(Stretch::Minute) => "rm",
            Self::Requests(Stretch::Day) => "rd",
            Self::Tokens(Stretch::Minute) => "tm",
            Self::Tokens(Stretch::Day) => "td",
            Self::Seats => "st",
        }
    }

    /// How long after a moment what was taken then counts, at most, in milliseconds; none: for as
    /// long as its replica is heard.
    pub const fn counts_millis(self) -> Option<i64> {
        match self.stretch() {
            Some(stretch) => Some(stretch.millis() + stretch.slot_millis()),
            None => None,
        }
    }
}

/// What a replica asks of one window: as many cells as it needs now, and as it could use soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub limit: i64,
    pub least: i64,
    pub most: i64,
}

/// The circumstances of an ask. `now` is milliseconds of the clock that all replicas share.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    pub now: i64,
    /// How many replicas are alive, the asking one included.
    pub replicas: i64,
    /// Those of them of which nothing is heard: each may take its share without asking.
    pub silent: &'a [BootId],
}

impl Scene<'_> {
    fn share(&self, limit: i64) -> i64 {
        limit / self.replicas.max(1)
    }
}

/// What all replicas have taken of one window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    columns: BTreeMap<BootId, BTreeMap<i64, i64>>,
}

impl Claims {
    /// From what [`Claims::rows`] gave.
    pub fn of(rows: impl IntoIterator<Item = (BootId, i64, i64)>) -> Self {
        let mut claims = Self::default();
        for (boot, slot, cells) in rows {
            claims.columns.entry(boot).or_default().insert(slot, cells);
        }
        claims
    }

    /// Replica, slot and cells of everything that counts.
    pub fn rows(&self) -> impl Iterator<Item = (BootId, i64, i64)> {
        self.columns
            .iter()
            .flat_map(|(boot, column)| column.iter().map(|(slot, cells)| (*boot, *slot, *cells)))
    }

    /// The replica's whole column is this from now on.
    pub fn tell(&mut self, boot: BootId, taken: &[(i64, i64)]) {
        let column: BTreeMap<i64, i64> =
            taken.iter().copied().filter(|(_, cells)| 0 < *cells).collect();
        if column.is_empty() {
            self.columns.remove(&boot);
        } else {
            self.columns.insert(boot, column);
        }
    }

    /// Forgets the columns of replicas that `is_known` does not know.
    pub fn retain(&mut self, is_known: impl Fn(&BootId) -> bool) {
        self.columns.retain(|boot, _| is_known(boot));
    }

    /// Forgets what has left the window, and what a clock that erred has put too far ahead. The
    /// slot in progress, which never goes back while anything is counted in it.
    pub fn advance(&mut self, meter: Meter, now: i64) -> i64 {
        let Some(stretch) = meter.stretch() else { return 0 };
        let present = stretch.slot(now);
        let slots = self.columns.values().flat_map(|column| column.keys().copied());
        let head = slots.filter(|slot| *slot <= present + SLOTS).fold(present, i64::max);
        for column in self.columns.values_mut() {
            column.retain(|slot, _| head - SLOTS <= *slot && *slot <= head);
        }
        self.columns.retain(|_, column| !column.is_empty());
        head
    }

    /// What all have taken; a silent replica at least its share.
    pub fn used(&self, limit: i64, scene: Scene<'_>) -> i64 {
        let sum = |column: &BTreeMap<i64, i64>| {
            column.values().fold(0i64, |sum, cells| sum.saturating_add(*cells))
        };
        let told = self.columns.values().map(sum).fold(0i64, i64::saturating_add);
        let silent: BTreeSet<&BootId> = scene.silent.iter().collect();
        silent.into_iter().fold(told, |used, boot| {
            let taken = self.columns.get(boot).map_or(0, sum);
            used.saturating_add(scene.share(limit).saturating_sub(taken).max(0))
        })
    }

    /// How many cells `part` is granted in the slot `head`, of which nothing is taken yet. If not
    /// even the least: the milliseconds until it would fit.
    pub fn check(
        &self,
        (meter, head): (Meter, i64),
        part: Part,
        scene: Scene<'_>,
    ) -> Result<i64, i64> {
        let free = part.limit.saturating_sub(self.used(part.limit, scene));
        if part.least <= free {
            // Whoever takes only a part of what is free leaves something to each of the others.
            let slice = free / scene.replicas.max(1).saturating_mul(2);
            return Ok(part.most.min(slice).max(part.least));
        }
        let excess = part.least.saturating_sub(free);
        let Some(stretch) = meter.stretch() else { return Err(SILENT_WAIT_MILLIS) };
        let mut window = Window { head, ..Window::new(stretch) };
        for (_, slot, cells) in self.rows() {
            window.add(slot, cells);
        }
        if window.sum < i128::from(excess) {
            return Err(SILENT_WAIT_MILLIS);
        }
        Err(window.wait(excess, scene.now))
    }

    /// Counts what was granted.
    pub fn give(&mut self, boot: BootId, slot: i64, cells: i64) {
        if 0 < cells {
            let count = self.columns.entry(boot).or_default().entry(slot).or_default();
            *count = count.saturating_add(cells);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Meter = Meter::Requests(Stretch::Minute);

    fn boot(number: u8) -> BootId {
        BootId::from_bytes([number; 16])
    }

    fn scene(now: i64, silent: &[BootId]) -> Scene<'_> {
        Scene { now, replicas: 3, silent }
    }

    fn part(limit: i64, least: i64, most: i64) -> Part {
        Part { limit, least, most }
    }

    #[test]
    fn a_column_that_is_told_again_changes_nothing() {
        let mut claims = Claims::default();
        claims.tell(boot(1), &[(7, 3), (8, 2)]);
        let before = claims.clone();

        claims.tell(boot(1), &[(7, 3), (8, 2)]);

        assert_eq!(claims, before);
        assert_eq!(claims.used(10, scene(8_000, &[])), 5);
    }

    #[test]
    fn a_grant_leaves_something_to_the_others_and_the_last_cell_is_granted() {
        let mut claims = Claims::default();

        assert_eq!(claims.check((MINUTE, 0), part(60, 1, 1_000), scene(0, &[])), Ok(10));
        claims.give(boot(1), 0, 59);
        assert_eq!(claims.check((MINUTE, 0), part(60, 1, 1_000), scene(0, &[])), Ok(1));
        claims.give(boot(2), 0, 1);
        assert_eq!(claims.check((MINUTE, 0), part(60, 1, 1_000), scene(0, &[])), Err(61_000));
    }

    #[test]
    fn a_silent_replica_is_reckoned_with_at_its_share() {
        let mut claims = Claims::default();
        claims.tell(boot(1), &[(0, 5)]);

        assert_eq!(claims.used(60, scene(0, &[boot(1), boot(2), boot(2)])), 40);
        claims.tell(boot(1), &[(0, 25)]);
        assert_eq!(claims.used(60, scene(0, &[boot(1), boot(2)])), 45);
        assert_eq!(claims.check((MINUTE, 0), part(40, 1, 1), scene(0, &[boot(3)])), Ok(1));
        let full = claims.check((MINUTE, 0), part(26, 26, 26), scene(0, &[boot(3)]));
        assert_eq!(full, Err(SILENT_WAIT_MILLIS));
    }

    #[test]
    fn a_clock_that_erred_does_not_close_the_window_for_longer_than_it_is() {
        let mut claims = Claims::default();
        claims.tell(boot(1), &[(3_600, 60)]);

        assert_eq!(claims.advance(MINUTE, 0), 0);

        assert_eq!(claims.used(60, scene(0, &[])), 0);
    }

    #[test]
    fn seats_do_not_leave_by_themselves() {
        let mut claims = Claims::default();
        claims.give(boot(1), 0, 2);

        assert_eq!(claims.advance(Meter::Seats, 86_400_000_000), 0);
        assert!(claims.check((Meter::Seats, 0), part(2, 1, 1), scene(0, &[])).is_err());
        claims.retain(|known| *known != boot(1));
        assert_eq!(claims.check((Meter::Seats, 0), part(2, 1, 1), scene(0, &[])), Ok(1));
    }

    proptest! {
        /// Replicas that lease, use, and lose what they do not use.
        #[test]
        fn no_stretch_lets_more_through_than_the_limit(
            steps in prop::collection::vec((0..3u8, 0..900i64, 1..9i64, any::<bool>()), 1..400),
        ) {
            let (mut claims, mut now, mut used) = (Claims::default(), 0, Vec::new());
            let mut own: BTreeMap<BootId, BTreeMap<i64, i64>> = BTreeMap::new();
            for (who, gap, most, lost) in steps {
                now += gap;
                let by = boot(who);
                let column = own.entry(by).or_default();
                let told: Vec<_> = column.iter().map(|(at, count)| (*at, *count)).collect();
                claims.tell(by, &told);
                let head = claims.advance(MINUTE, now);
                let part = part(25, 1, most);
                if let Ok(cells) = claims.check((MINUTE, head), part, scene(now, &[])) {
                    claims.give(by, head, cells);
                    // A reply that is lost gives nothing; one that comes is used in part.
                    let taken = if lost { 0 } else { 1 + cells / 2 };
                    *column.entry(head).or_default() += taken;
                    used.extend((0..taken).map(|_| now));
                }
                let recent = used.iter().filter(|at| now - 60_000 < **at).count();
                prop_assert!(recent <= 25, "{recent}");
            }
        }
    }
}
