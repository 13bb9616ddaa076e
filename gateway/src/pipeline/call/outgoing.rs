//! The body that goes out: the caller's bytes, but for what must be changed.
//!
//! The whole list: the model's name, the request for usage in a stream, a bound on output tokens
//! where a budget needs one and the caller sent none, or sent it by a name that the deployment may
//! not heed, and masked findings.

use crate::pipeline::{admit::Worst, classify::Ask};
use bytes::Bytes;
use dialects::json::{SpliceError, splice};
use policies::tier::Step;

pub(super) fn body(ask: &Ask, step: &Step, worst: Worst) -> Result<Bytes, SpliceError> {
    let mut edits = Vec::new();
    if step.deployment.model != ask.model() {
        edits.push(ask.set_model(&step.deployment.model));
    }
    if let Some(chat) = ask.chat() {
        edits.extend(chat.ask_usage());
        if let Some(bound) = worst.bound_needed {
            edits.extend(chat.set_output_bound(&step.deployment.output_bound_parameter, bound));
        }
    }
    if !step.masked.is_empty() {
        edits.extend(ask.masks(&step.masked));
    }
    if edits.is_empty() {
        return Ok(ask.body().clone());
    }
    splice(ask.body(), edits).map(Bytes::from)
}
