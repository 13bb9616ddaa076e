//! The most that one attempt can cost at one deployment.

use crate::pipeline::classify::Ask;
use dialects::{
    chat,
    estimate::{self, Unbounded},
};
use policies::{
    money::{NanoUsd, line_cost},
    refusal::Refusal,
    tenant::Grant,
    tier::Step,
};

/// Output tokens that a request without a bound is expected to use, for limits of tokens only.
const OUTPUT_TOKENS_LIKELY: i64 = 512;
/// Bytes of text for a token, for limits of tokens only; what is used trues it up.
const BYTES_PER_TOKEN_LIKELY: i64 = 4;

#[derive(Clone, Copy, Debug)]
pub(in crate::pipeline) struct Worst {
    pub amount: NanoUsd,
    /// A bound on output tokens that we send because the caller sent none and a budget needs it.
    pub bound_added: Option<i64>,
    /// Output tokens that `amount` covers, over all choices.
    pub output_tokens: i64,
    /// What the request will probably use, for limits of tokens.
    pub tokens_likely: i64,
}

impl Worst {
    /// Without a bound a request is refused where a budget applies.
    pub(in crate::pipeline) fn of(step: &Step, ask: &Ask, grant: &Grant) -> Result<Self, Refusal> {
        let budgeted = !grant.budgets.is_empty();
        let input = ask.input_bound();
        let Some(chat) = ask.chat() else {
            let amount = cost(step, &[("input", input, step.rates.dearest_input())], budgeted)?;
            let tokens_likely = input / BYTES_PER_TOKEN_LIKELY + 1;
            return Ok(Self { amount, bound_added: None, output_tokens: 0, tokens_likely });
        };
        if let Some(reason) = estimate::unbounded(chat).filter(|_| budgeted) {
            return Err(Refusal::UnboundedCost { what: what(reason).to_owned() });
        }
        let asked = chat.output_bound.as_ref().map(|bound| bound.tokens);
        let bound = asked.unwrap_or(step.deployment.max_output_tokens);
        // A rejected prediction is billed as output; it is part of the input's text.
        let predicted = if chat.prediction { input } else { 0 };
        let output_tokens = bound.saturating_add(predicted).saturating_mul(chat.choices);
        let kinds = [
            ("input", input, input_rate(step, chat)),
            ("output", output_tokens, output_rate(step, chat)),
        ];
        let amount = cost(step, &kinds, budgeted)?;
        let expected = asked.unwrap_or(OUTPUT_TOKENS_LIKELY.min(bound));
        let tokens_likely = (input / BYTES_PER_TOKEN_LIKELY)
            .saturating_add(expected.saturating_mul(chat.choices))
            .saturating_add(1);
        let bound_added = (asked.is_none() && budgeted).then_some(bound);
        Ok(Self { amount, bound_added, output_tokens, tokens_likely })
    }
}

fn cost(
    step: &Step,
    kinds: &[(&str, i64, Option<NanoUsd>)],
    budgeted: bool,
) -> Result<NanoUsd, Refusal> {
    let mut amount = step.rates.per_request;
    for (kind, units, rate) in kinds {
        match rate {
            // Each kind of tokens is rounded up by itself: at most eight lines.
            Some(rate) => amount = amount.plus(line_cost(*units, *rate)).plus(NanoUsd(8)),
            None if budgeted => {
                let name = &step.deployment.name;
                let what = format!("`{name}` has no price for {kind} tokens");
                return Err(Refusal::UnboundedCost { what });
            }
            None => {}
        }
    }
    Ok(amount)
}

fn input_rate(step: &Step, chat: &chat::Request) -> Option<NanoUsd> {
    let rates = &step.rates;
    let text = rates.dearest_input()?;
    let image = if chat.images.is_empty() { None } else { rates.image };
    let audio = if chat.attachments.is_empty() { None } else { rates.audio_in };
    Some(text.max(image.unwrap_or_default()).max(audio.unwrap_or_default()))
}

fn output_rate(step: &Step, chat: &chat::Request) -> Option<NanoUsd> {
    let text = step.rates.dearest_output()?;
    if chat.audio_output { Some(text.max(step.rates.audio_out?)) } else { Some(text) }
}

const fn what(reason: Unbounded) -> &'static str {
    match reason {
        Unbounded::HostedTool => "a tool runs at the provider",
        Unbounded::File => "a file of unknown size is attached",
        Unbounded::Attachment => "an attachment of unknown size is fetched by the provider",
    }
}
