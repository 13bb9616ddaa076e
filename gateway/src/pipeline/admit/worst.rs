//! The most that one attempt can cost at one deployment.

#[cfg(test)]
mod tests;

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
/// Lines of a bill for text that goes in: new, read from a cache, written to one.
const INPUT_LINES: i64 = 3;
/// Lines of a bill for text that comes out: answer and reasoning.
const OUTPUT_LINES: i64 = 2;
/// A report above so many times the bounds cannot be true: what is hidden, and bounds that a
/// provider reads in its own way, stay below.
const POSSIBLE_FACTOR: i64 = 4;
/// Tokens that any report may name: no single answer comes near.
const POSSIBLE_TOKENS_MIN: i64 = 1 << 27;

#[derive(Clone, Copy, Debug)]
pub(in crate::pipeline) struct Worst {
    pub amount: NanoUsd,
    /// A bound on output tokens that we send because the caller sent none and a budget needs it.
    pub bound_added: Option<i64>,
    /// The bound on output tokens of each choice that `amount` rests on, where a budget applies:
    /// what is sent must state it by the name that the deployment heeds.
    pub bound_needed: Option<i64>,
    /// Output tokens that `amount` covers, over all choices.
    pub output_tokens: i64,
    /// A report of more tokens than this, input and output together, cannot be true.
    pub tokens_possible: i64,
    /// What the request will probably use, for limits of tokens.
    pub tokens_likely: i64,
}

impl Worst {
    /// Without a bound a request is refused where a budget applies.
    pub(in crate::pipeline) fn of(step: &Step, ask: &Ask, grant: &Grant) -> Result<Self, Refusal> {
        let input = ask.input_bound().saturating_add(ask.mask_growth(&step.masked));
        Self::reckon(step, ask.chat(), input, !grant.budgets.is_empty())
    }

    /// `input` is a bound on tokens. Without `chat` it asks for embeddings.
    fn reckon(
        step: &Step,
        chat: Option<&chat::Request>,
        input: i64,
        budgeted: bool,
    ) -> Result<Self, Refusal> {
        let Some(chat) = chat else {
            let rate = step.rates.dearest_input();
            let part = Part { kind: "input", units: input, rate, lines: INPUT_LINES };
            return Ok(Self {
                amount: cost(step, &[part], budgeted)?,
                bound_added: None,
                bound_needed: None,
                output_tokens: 0,
                tokens_possible: possible(input, 0),
                tokens_likely: input / BYTES_PER_TOKEN_LIKELY + 1,
            });
        };
        if let Some(reason) = estimate::unbounded(chat).filter(|_| budgeted) {
            return Err(Refusal::UnboundedCost { what: what(reason).to_owned() });
        }
        let asked = chat.output_bound.as_ref().map(|bound| bound.tokens);
        let bound = asked.unwrap_or(step.deployment.max_output_tokens);
        // A rejected prediction is billed as output; it is part of the input's text.
        let predicted = if chat.prediction { input } else { 0 };
        let output_tokens = bound.saturating_add(predicted).saturating_mul(chat.choices);
        let parts = [input_part(step, chat, input), output_part(step, chat, output_tokens)];
        let expected = asked.unwrap_or(OUTPUT_TOKENS_LIKELY.min(bound));
        let tokens_likely = (input / BYTES_PER_TOKEN_LIKELY)
            .saturating_add(expected.saturating_mul(chat.choices))
            .saturating_add(1);
        Ok(Self {
            amount: cost(step, &parts, budgeted)?,
            bound_added: (asked.is_none() && budgeted).then_some(bound),
            bound_needed: budgeted.then_some(bound),
            output_tokens,
            tokens_possible: possible(input, output_tokens),
            tokens_likely,
        })
    }
}

fn possible(input: i64, output: i64) -> i64 {
    input.saturating_add(output).saturating_mul(POSSIBLE_FACTOR).max(POSSIBLE_TOKENS_MIN)
}

/// Units that can be billed in up to `lines` lines, none of them dearer than `rate`.
struct Part {
    kind: &'static str,
    units: i64,
    rate: Option<NanoUsd>,
    lines: i64,
}

fn cost(step: &Step, parts: &[Part], budgeted: bool) -> Result<NanoUsd, Refusal> {
    let mut amount = step.rates.per_request;
    for Part { kind, units, rate, lines } in parts {
        match rate {
            Some(NanoUsd::ZERO) => {}
            Some(rate) => {
                // Each line is rounded up by itself, `line_cost` rounds one of them.
                let rounding = NanoUsd((*lines).min(*units) - 1).at_least_zero();
                amount = amount.plus(line_cost(*units, *rate)).plus(rounding);
            }
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

fn input_part(step: &Step, chat: &chat::Request, units: i64) -> Part {
    let rates = &step.rates;
    let (mut rate, mut lines) = (rates.dearest_input(), INPUT_LINES);
    for (present, own) in
        [(!chat.images.is_empty(), rates.image), (!chat.attachments.is_empty(), rates.audio_in)]
    {
        if present {
            rate = rate.map(|text| text.max(own.unwrap_or_default()));
            lines += 1;
        }
    }
    Part { kind: "input", units, rate, lines }
}

fn output_part(step: &Step, chat: &chat::Request, units: i64) -> Part {
    let text = step.rates.dearest_output();
    if !chat.audio_output {
        return Part { kind: "output", units, rate: text, lines: OUTPUT_LINES };
    }
    let rate = text.zip(step.rates.audio_out).map(|(text, audio)| text.max(audio));
    Part { kind: "output", units, rate, lines: OUTPUT_LINES + 1 }
}

const fn what(reason: Unbounded) -> &'static str {
    match reason {
        Unbounded::HostedTool => "a tool runs at the provider",
        Unbounded::File => "a file of unknown size is attached",
        Unbounded::Attachment => "an attachment of unknown size is fetched by the provider",
    }
}
