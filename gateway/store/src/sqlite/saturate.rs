//! Sums in SQL that stop at the largest number, where those of SQLite fail.
//!
//! `SUM` fails when it leaves 64 bits, and `+` then gives a float, which no column takes. A cast
//! of such a float to an integer gives the largest or the least one.

/// The sum over an expression, exact up to the largest number; 0 over nothing. Its upper and its
/// lower halves are added up apart, neither of which leaves 64 bits within 2^31 rows.
macro_rules! saturated_sum {
    ($of:literal) => {
        concat!(
            "CAST(COALESCE(SUM((",
            $of,
            ") >> 32) * 4294967296 + SUM((",
            $of,
            ") & 4294967295), 0) AS INTEGER)"
        )
    };
}

pub(super) use saturated_sum;
