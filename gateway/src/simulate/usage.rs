//! What a script says of the tokens it used, true or not.

use crate::simulate::model::Report;

/// The tokens a whole answer takes, as they truly are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) prompt: u64,
    pub(super) cached: u64,
    /// Hidden and seen tokens together.
    pub(super) completion: u64,
    pub(super) reasoning: u64,
}

// === impl Usage ===

impl Usage {
    /// The usage object as JSON text, bent as `report` says; may not be valid JSON, on purpose.
    pub(super) fn text(self, report: Report) -> String {
        let [prompt, completion, total] = self.numbers(report);
        if report == Report::Half {
            return format!("{{\"completion_tokens\":{completion}}}");
        }
        let zero = matches!(report, Report::Zero | Report::Zeros | Report::Odd);
        let (hidden, cached) = if zero { (0, 0) } else { (self.reasoning, self.cached) };
        format!(
            "{{\"prompt_tokens\":{prompt},\"completion_tokens\":{completion},\
             \"total_tokens\":{total},\"prompt_tokens_details\":{{\"cached_tokens\":{cached},\
             \"audio_tokens\":0}},\"completion_tokens_details\":{{\"reasoning_tokens\":{hidden},\
             \"audio_tokens\":0,\"accepted_prediction_tokens\":0,\
             \"rejected_prediction_tokens\":0}}}}"
        )
    }

    /// The same for an embedding, which has no output.
    pub(super) fn input_text(self, report: Report) -> String {
        let [prompt, completion, total] = self.numbers(report);
        if report == Report::Half {
            return format!("{{\"completion_tokens\":{completion}}}");
        }
        format!("{{\"prompt_tokens\":{prompt},\"total_tokens\":{total}}}")
    }

    fn numbers(self, report: Report) -> [String; 3] {
        let plain = |prompt: u64, completion: u64| {
            [prompt, completion, prompt.saturating_add(completion)].map(|count| count.to_string())
        };
        match report {
            Report::True
            | Report::Always
            | Report::Never
            | Report::Twice
            | Report::Half
            | Report::Early
            | Report::Late => plain(self.prompt, self.completion),
            Report::Negative => ["-3", "-5", "-8"].map(str::to_owned),
            Report::NotANumber => ["NaN", "NaN", "NaN"].map(str::to_owned),
            Report::Huge => plain(self.prompt, 1 << 63),
            Report::Zero | Report::Zeros => plain(0, 0),
            Report::Odd => ["0", "0", "1"].map(str::to_owned),
            Report::Vast => plain(1 << 39, 1 << 39),
            Report::Tenfold => plain(self.prompt, self.completion.saturating_mul(10)),
            Report::Text => plain(self.prompt, self.completion).map(|count| format!("\"{count}\"")),
        }
    }
}
