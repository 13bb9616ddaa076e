//! A usage record as the export gives it, with money as whole nano-USD.

use crate::{json::At, oracle::Seen};
use serde_json::Value;

/// A line of the export. `key()` joins it to what the provider saw.
#[derive(Clone, Debug)]
pub struct Record {
    pub request: String,
    pub attempt: i64,
    pub part: i64,
    pub outcome: String,
    pub source: String,
    pub leg: String,
    pub flaw: String,
    pub input: i64,
    pub cache_read: i64,
    pub output: i64,
    pub reasoning: i64,
    pub cost: i64,
    pub counted: i64,
    pub overrun: i64,
    pub hold: i64,
}

impl Record {
    pub fn of(row: &Value) -> Self {
        let text = |name: &str| row.text(name).to_owned();
        Self {
            request: text("request"),
            attempt: row.int("attempt"),
            part: row.int("part"),
            outcome: text("outcome"),
            source: text("source"),
            leg: text("leg"),
            flaw: text("flaw"),
            input: row.int("input_tokens"),
            cache_read: row.int("cache_read_tokens"),
            output: row.int("output_tokens"),
            reasoning: row.int("reasoning_tokens"),
            cost: row.int("cost_nano_usd"),
            counted: row.int("counted_nano_usd"),
            overrun: row.int("overrun_nano_usd"),
            hold: row.int("hold_nano_usd"),
        }
    }

    pub fn all(rows: &[Value]) -> Vec<Self> {
        rows.iter().map(Self::of).collect()
    }

    /// As the provider knows the attempt.
    pub fn key(&self) -> String {
        format!("{}/{}", self.request, self.attempt)
    }

    /// Input of every kind.
    pub fn all_input(&self) -> i64 {
        self.input + self.cache_read
    }
}

/// What an attempt truly cost at the usual price, by the provider's own count.
pub fn true_cost(seen: &Seen) -> i64 {
    let output = seen.output_tokens_written + seen.reasoning_tokens;
    seen.prompt_tokens * crate::settings::INPUT_NANO + output * crate::settings::OUTPUT_NANO
}

/// Reads decimal US dollars exactly; 0 where there are none.
pub fn nano_usd(text: &str) -> i64 {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    assert!(part.len() <= 9, "`{text}` is finer than nano-USD");
    let digits = |text: &str| match text {
        "" => 0,
        _ => text.parse::<i64>().expect("decimal digits"),
    };
    sign * (digits(whole) * 1_000_000_000 + digits(&format!("{part:0<9}")))
}

#[cfg(test)]
mod tests {
    use super::nano_usd;

    #[test]
    fn decimal_dollars_are_read_exactly() {
        for (text, nano) in
            [("", 0), ("0.000001", 1_000), ("12.5", 12_500_000_000), ("-1", -1_000_000_000)]
        {
            assert_eq!(nano_usd(text), nano);
        }
    }
}
