//! The one source of chance: the same throws from the same seed, so that a failure is met again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014): SplitMix64.
#[derive(Clone)]
pub(super) struct Dice(Arc<AtomicU64>);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        let dice = Self(Arc::new(AtomicU64::new(seed)));
        // Seeds that are neighbours begin far from each other.
        let first = dice.throw();
        dice.0.store(first, Ordering::Relaxed);
        dice
    }

    fn throw(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to, but without, `most`.
    pub(super) fn below(&self, most: usize) -> usize {
        let most = u64::try_from(most.max(1)).unwrap();
        usize::try_from(self.throw() % most).unwrap()
    }

    /// Both ends included.
    pub(super) fn between(&self, least: i64, most: i64) -> i64 {
        let span = usize::try_from(most.saturating_sub(least).max(0) + 1).unwrap();
        least + i64::try_from(self.below(span)).unwrap()
    }

    pub(super) fn happens(&self, per_mille: u16) -> bool {
        self.below(1_000) < usize::from(per_mille)
    }

    pub(super) fn pick<T: Copy>(&self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub(super) fn millis(&self, least: i64, most: i64) -> Duration {
        Duration::from_millis(self.between(least, most).unsigned_abs())
    }

    pub(super) fn id(&self) -> [u8; 16] {
        let (high, low) = (u128::from(self.throw()), u128::from(self.throw()));
        (high << 64 | low).to_be_bytes()
    }
}
