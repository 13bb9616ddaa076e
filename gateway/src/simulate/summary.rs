//! Sums over what the oracle remembers.

use crate::simulate::oracle::{Oracle, Outcome};
use serde::Serialize;
use std::collections::BTreeMap;

/// Sums over the requests the oracle remembers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    pub requests: u64,
    pub running: u64,
    pub finished: u64,
    pub client_gone: u64,
    pub faulted: u64,
    pub prompt_tokens: u64,
    pub output_tokens_written: u64,
    pub reasoning_tokens: u64,
    /// Requests whose answer held a usage object.
    pub reported: u64,
    pub models: BTreeMap<String, u64>,
}

pub(super) fn summed(oracle: &Oracle) -> Summary {
    let mut sums = Summary::default();
    for entry in oracle.after(0) {
        let seen = oracle.observe(&entry);
        let of_outcome = match seen.outcome {
            Outcome::Running => &mut sums.running,
            Outcome::Finished => &mut sums.finished,
            Outcome::ClientGone => &mut sums.client_gone,
            Outcome::Faulted => &mut sums.faulted,
        };
        *of_outcome = of_outcome.saturating_add(1);
        let counted = [
            (&mut sums.requests, 1),
            (&mut sums.prompt_tokens, seen.prompt_tokens),
            (&mut sums.output_tokens_written, seen.output_tokens_written),
            (&mut sums.reasoning_tokens, seen.reasoning_tokens),
            (&mut sums.reported, u64::from(seen.usage_reported.is_some())),
            (sums.models.entry(seen.model).or_default(), 1),
        ];
        for (sum, more) in counted {
            *sum = sum.saturating_add(more);
        }
    }
    sums
}
