//! Sums in SQL that stop at the largest number.
//!
//! `SUM` of `bigint` is `numeric`, which has no largest number; the way back to `bigint` fails.

/// The sum over an expression, with a filter; 0 over nothing.
macro_rules! saturated_sum {
    ($of:literal) => {
        $crate::postgres::saturate::saturated_sum!($of, "")
    };
    ($of:literal, $filter:literal) => {
        concat!(
            "GREATEST(LEAST(COALESCE(SUM(",
            $of,
            ")",
            $filter,
            ", 0), 9223372036854775807), -9223372036854775807)::bigint"
        )
    };
}

pub(super) use saturated_sum;
