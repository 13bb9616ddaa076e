//! Money in billionths of a US dollar, and what tokens cost. There is no floating point in a bill.

use crate::usage::Tokens;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// An amount of money: 1 USD is 1,000,000,000. Holds about +-9.2 billion USD.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct NanoUsd(pub i64);

pub const NANO_USD_PER_USD: i64 = 1_000_000_000;
const DECIMALS: usize = 9;

impl NanoUsd {
    pub const ZERO: Self = Self(0);
    pub const MAX: Self = Self(i64::MAX);

    /// Saturates at the rim: a sum that large blocks a budget rather than wraps into credit.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Saturates at the rim.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    #[must_use]
    pub fn at_least_zero(self) -> Self {
        self.max(Self::ZERO)
    }
}

impl std::iter::Sum for NanoUsd {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::ZERO, Self::plus)
    }
}

/// Exact decimal US dollars without exponent or trailing zeros: `0.00123`, `-2`, `20`.
impl fmt::Display for NanoUsd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let size = self.0.unsigned_abs();
        let whole = size / NANO_USD_PER_USD.unsigned_abs();
        let fraction = size % NANO_USD_PER_USD.unsigned_abs();
        let digits = format!("{fraction:09}");
        let digits = digits.trim_end_matches('0');
        let point = if digits.is_empty() { "" } else { "." };
        formatter.pad(&format!("{sign}{whole}{point}{digits}"))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an amount in US dollars such as `20` or `0.25` (at most 9 decimals)")]
pub struct NotAnAmount(String);

impl FromStr for NanoUsd {
    type Err = NotAnAmount;

    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        parse_usd(text).ok_or_else(|| NotAnAmount(text.chars().take(40).collect()))
    }
}

fn parse_usd(text: &str) -> Option<NanoUsd> {
    let (negative, size) = match text.strip_prefix('-') {
        Some(size) => (true, size),
        None => (false, text),
    };
    let (whole, fraction) = size.split_once('.').unwrap_or((size, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || DECIMALS < fraction.len() {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let fraction: i64 = format!("{fraction:0<9}").parse().ok()?;
    let size = whole.checked_mul(NANO_USD_PER_USD)?.checked_add(fraction)?;
    Some(NanoUsd(if negative { -size } else { size }))
}

/// Nano-USD per million units of each kind, at one moment. `per_request` is nano-USD per call.
///
/// A kind that is `None` has no price: under a hard budget it is refused, else `unpriced`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    pub input: Option<NanoUsd>,
    pub cache_read: Option<NanoUsd>,
    pub cache_write: Option<NanoUsd>,
    pub output: Option<NanoUsd>,
    pub reasoning: Option<NanoUsd>,
    pub audio_in: Option<NanoUsd>,
    pub audio_out: Option<NanoUsd>,
    pub image: Option<NanoUsd>,
    pub per_request: NanoUsd,
}

/// One line of a bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub kind: &'static str,
    pub units: i64,
    pub rate: NanoUsd,
    pub cost: NanoUsd,
}

/// A usage kind appeared that the price row does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no price for `{kind}` tokens")]
pub struct Unpriced {
    pub kind: &'static str,
}

const UNITS_PER_RATE: i128 = 1_000_000;

impl Rates {
    /// No charge for anything.
    pub const FREE: Self = {
        let zero = Some(NanoUsd::ZERO);
        Self {
            input: zero,
            cache_read: zero,
            cache_write: zero,
            output: zero,
            reasoning: zero,
            audio_in: zero,
            audio_out: zero,
            image: zero,
            per_request: NanoUsd::ZERO,
        }
    };

    /// The cost of `used`: each line is rounded up to a whole nano-USD, once.
    pub fn cost(&self, used: &Tokens) -> Result<NanoUsd, Unpriced> {
        let mut total = self.per_request;
        for (kind, units, rate) in self.kinds(used) {
            if units == 0 {
                continue;
            }
            total = total.plus(line_cost(units, rate.ok_or(Unpriced { kind })?));
        }
        Ok(total)
    }

    /// The lines that [`Rates::cost`] adds up; lines without units are left out.
    pub fn lines(&self, used: &Tokens) -> Vec<Line> {
        let request =
            Line { kind: "request", units: 1, rate: self.per_request, cost: self.per_request };
        let kinds = self.kinds(used).into_iter().filter_map(|(kind, units, rate)| {
            let rate = rate?;
            (units != 0).then(|| Line { kind, units, rate, cost: line_cost(units, rate) })
        });
        let charged = self.per_request != NanoUsd::ZERO;
        charged.then_some(request).into_iter().chain(kinds).collect()
    }

    /// Reasoning is billed as output, and cache traffic as input, where no own rate is given.
    fn kinds(&self, used: &Tokens) -> [(&'static str, i64, Option<NanoUsd>); 8] {
        [
            ("input", used.input, self.input),
            ("cache_read", used.cache_read, self.cache_read.or(self.input)),
            ("cache_write", used.cache_write, self.cache_write.or(self.input)),
            ("output", used.output, self.output),
            ("reasoning", used.reasoning, self.reasoning.or(self.output)),
            ("audio_in", used.audio_in, self.audio_in),
            ("audio_out", used.audio_out, self.audio_out),
            ("image", used.image, self.image.or(self.input)),
        ]
    }

    /// The dearest rate at which one token of input can be billed.
    pub fn dearest_input(&self) -> Option<NanoUsd> {
        [self.input, self.cache_read, self.cache_write].into_iter().flatten().max()
    }

    /// The dearest rate at which one token of output can be billed.
    pub fn dearest_output(&self) -> Option<NanoUsd> {
        [self.output, self.reasoning].into_iter().flatten().max()
    }
}

/// `units` at `rate` per million, rounded up; saturates at the rim.
pub fn line_cost(units: i64, rate: NanoUsd) -> NanoUsd {
    let exact = i128::from(units.max(0)) * i128::from(rate.0.max(0));
    let rounded_up = (exact + UNITS_PER_RATE - 1) / UNITS_PER_RATE;
    NanoUsd(i64::try_from(rounded_up).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dollars_are_written_exactly() {
        for (nano, text) in [
            (0, "0"),
            (1, "0.000000001"),
            (20_000_000_000, "20"),
            (-2_500_000_000, "-2.5"),
            (1_230_000, "0.00123"),
        ] {
            assert_eq!(NanoUsd(nano).to_string(), text);
            assert_eq!(text.parse(), Ok(NanoUsd(nano)));
        }
    }

    #[test]
    fn what_is_not_an_amount_is_refused() {
        for text in ["", "-", ".5", "5.", "1e3", "1,000", "0.1234567890", "99999999999", "+1", " 1"]
        {
            assert!(text.parse::<NanoUsd>().is_err(), "{text}");
        }
    }

    #[test]
    fn each_line_is_rounded_up_once() {
        let rates = Rates { input: Some(NanoUsd(1)), output: Some(NanoUsd(1)), ..Rates::default() };

        let cost = rates.cost(&Tokens { input: 1, output: 1, ..Tokens::default() });

        assert_eq!(cost, Ok(NanoUsd(2)));
    }

    #[test]
    fn reasoning_without_a_rate_of_its_own_is_output() {
        let rates = Rates { output: Some(NanoUsd(3_000_000)), ..Rates::default() };

        let cost = rates.cost(&Tokens { reasoning: 2, ..Tokens::default() });

        assert_eq!(cost, Ok(NanoUsd(6)));
        let unpriced = rates.cost(&Tokens { audio_in: 1, ..Tokens::default() });
        assert_eq!(unpriced, Err(Unpriced { kind: "audio_in" }));
    }

    proptest! {
        #[test]
        fn the_lines_add_up_to_the_cost(input in 0..1i64 << 40, output in 0..1i64 << 40,
                                        a in 0..1i64 << 40, b in 0..1i64 << 40, per in 0..1000i64) {
            let rates = Rates { input: Some(NanoUsd(a)), output: Some(NanoUsd(b)),
                                per_request: NanoUsd(per), ..Rates::default() };
            let used = Tokens { input, output, ..Tokens::default() };
            let sum: NanoUsd = rates.lines(&used).into_iter().map(|line| line.cost).sum();
            prop_assert_eq!(rates.cost(&used), Ok(sum));
        }
    }
}
