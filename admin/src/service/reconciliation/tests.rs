//! Sums of an attempt and its correction.

use super::*;
use policies::usage::Outcome;
use proptest::prelude::*;
use store::contract::unknown_attempt;

proptest! {
    #[test]
    fn after_a_correction_the_parts_say_what_it_cost(
        seen in 0..500_i64,
        held in 0..1_000_i64,
        actual in 0..2_000_i64,
    ) {
        let (seen, held) = (seen.min(held), held);
        let first = unknown_attempt(seen, held);
        let so_far = sum(std::slice::from_ref(&first));

        let correction = correction(&first, 1, so_far, NanoUsd(actual));

        let total = sum(&[first, correction.clone()]);
        prop_assert_eq!(total.cost, NanoUsd(actual));
        prop_assert_eq!(total.counted, NanoUsd(actual.min(held)));
        prop_assert_eq!(total.overrun, NanoUsd((actual - held).max(0)));
        prop_assert_eq!((correction.part, correction.ending.outcome), (1, Outcome::Finished));
    }
}
