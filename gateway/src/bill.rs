//! The bill of one attempt: written exactly once, however the attempt ends.

use crate::{
    counter::{Count, Counter},
    journal::{Closing, Entry, Journal, Place, Progress, Unwritten, Written},
    pipeline::classify::Ask,
    purse::{Hold, Seat},
    upstream::Departure,
};
use dialects::{
    stream::{ChatTap, Choice},
    usage::{Flaw, Report},
};
use policies::{
    money::{NanoUsd, Rates},
    time::Timestamp,
    usage::{Ending, Outcome, Source, Stamp, Tokens},
};
use std::{collections::BTreeMap, mem, sync::Arc, time::Instant};
use store::clock;
use tokio::sync::oneshot;

/// Output text that is kept for counting it ourselves, in bytes.
pub const HEARD_BYTES_MAX: usize = 1 << 20;

/// How an attempt ended.
#[derive(Debug)]
pub enum End {
    /// Surely not begun: nothing was bought.
    NotBegun,
    /// The provider told what was used.
    Reported { report: Report, outcome: Outcome },
    /// It did not, or what it told cannot be: we count what we sent and heard.
    Counted { outcome: Outcome, flaw: Option<Flaw> },
    /// It was sent, and nobody knows what it cost: billed as far as it was seen.
    Unknown,
}

/// What stays with the request from one attempt to the next.
#[derive(Debug)]
pub struct Kept {
    /// One of the request itself, and one of each further attempt.
    pub seats: Vec<Seat>,
    pub place: Place,
}

/// Where bills go.
#[derive(Clone)]
pub struct Desk {
    pub journal: Arc<Journal>,
    pub counter: Counter,
}

pub struct Bill {
    desk: Desk,
    ask: Arc<Ask>,
    stamp: Arc<Stamp>,
    rates: Rates,
    tokens_possible: i64,
    hold: Option<Hold>,
    kept: Option<Kept>,
    started: Instant,
    first_byte: Option<i64>,
    /// How it ends if it is dropped now.
    dropped: Dropped,
    /// What was heard of a streamed answer.
    pub tap: ChatTap,
}

/// What a drop of a bill means.
#[derive(Clone, Debug)]
enum Dropped {
    /// Nothing was sent yet, or it was turned away: nothing was bought.
    NotBegun,
    /// It was sent, and failed in a way that leaves its cost unknown.
    Unknown,
    /// Its caller left, and it was sent if it has departed.
    HungUp(Departure),
}

/// An attempt whose intent is about to be committed.
pub struct Opened {
    pub stamp: Arc<Stamp>,
    pub rates: Rates,
    /// A report of more tokens cannot be true.
    pub tokens_possible: i64,
    pub hold: Hold,
    pub kept: Kept,
}

impl Bill {
    /// To be opened before the intent is given to the journal: if the caller leaves while that is
    /// committed, the drop of the bill ends the intent that is in the queue by then.
    pub fn open(desk: Desk, ask: Arc<Ask>, opened: Opened) -> Self {
        let Opened { stamp, rates, tokens_possible, hold, kept } = opened;
        Self {
            desk,
            ask,
            stamp,
            rates,
            tokens_possible,
            hold: Some(hold),
            kept: Some(kept),
            started: clock::monotonic(),
            first_byte: None,
            dropped: Dropped::NotBegun,
            tap: ChatTap::new(HEARD_BYTES_MAX),
        }
    }

    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// From here on, a drop is a hang-up, and the hold is kept by whoever loses it.
    pub fn sent(&mut self, departure: Departure) {
        self.dropped = Dropped::HungUp(departure);
        if let Some(hold) = &mut self.hold {
            hold.sent();
        }
    }

    /// The attempt has failed; what follows decides only who comes next.
    pub fn failed(&mut self, end: &End) {
        self.dropped = match end {
            End::NotBegun => Dropped::NotBegun,
            End::Reported { .. } | End::Counted { .. } | End::Unknown => Dropped::Unknown,
        };
    }

    /// The first byte of the answer came.
    pub fn first_byte(&mut self) {
        self.first_byte.get_or_insert_with(|| elapsed(self.started));
    }

    /// What `tokens` cost, if every kind of them has a price.
    pub fn cost(&self, tokens: &Tokens) -> Option<NanoUsd> {
        self.rates.cost(tokens).ok()
    }

    /// Notes how far a stream has come, for the bill of a crash.
    pub fn note_progress(&self) {
        let output_tokens = i64::try_from(self.tap.deltas()).unwrap_or(i64::MAX);
        let seen = Tokens { output: output_tokens, ..Tokens::default() };
        let cost = self.cost(&seen).unwrap_or_default().min(self.stamp.hold);
        let (request, attempt) = (self.stamp.request, self.stamp.attempt);
        self.desk.journal.note(Progress { request, attempt, cost, output_tokens });
    }

    /// What ended an answer that was heard to its end, by what the provider told.
    pub fn told(&self, report: Report, outcome: Outcome) -> End {
        told(report.within(self.tokens_possible), outcome)
    }

    /// What the report is worth that came before the end of the answer: it counts only if it
    /// covers what came. Some servers tell a running count, or zeros, in each chunk.
    pub fn unfinished(&self, outcome: Outcome) -> Option<End> {
        let report = self.tap.has_usage().then(|| self.tap.usage())?;
        let pieces = i64::try_from(self.tap.deltas()).unwrap_or(i64::MAX);
        if report.tokens.all_output() < pieces {
            return None;
        }
        match self.told(report, outcome) {
            end @ End::Reported { .. } => Some(end),
            End::Counted { .. } | End::NotBegun | End::Unknown => None,
        }
    }

    /// The request is over. The receiver learns when the ending is committed.
    pub fn finish(mut self, end: End) -> oneshot::Receiver<Result<Written, Unwritten>> {
        self.close(end)
    }

    /// This attempt is over and another one follows: the ending, to be committed together with
    /// the next intent.
    pub fn fail_over(mut self, end: End) -> (Option<Closing>, Option<Kept>) {
        let kept = self.kept.take();
        let ending = self.ending(end);
        let closing = self.hold.take().map(|hold| self.closing(ending, hold, None));
        (closing, kept)
    }

    fn close(&mut self, end: End) -> oneshot::Receiver<Result<Written, Unwritten>> {
        let Some(hold) = self.hold.take() else { return oneshot::channel().1 };
        let kept = self.kept.take();
        let counted = match &end {
            End::Counted { .. } => true,
            // What was seen is billed: output came, so the input was bought too.
            End::Unknown => 0 < self.tap.deltas(),
            End::NotBegun | End::Reported { .. } => false,
        };
        if !counted {
            let ending = self.ending(end);
            let closing = Some(self.closing(ending, hold, kept));
            return self.desk.journal.send(Entry { closing, ..Entry::default() });
        }
        let (done, receiver) = oneshot::channel();
        let (draft, unknown) = match end {
            End::Counted { outcome, flaw } => (self.draft(outcome, flaw), false),
            End::NotBegun | End::Reported { .. } | End::Unknown => {
                (self.draft(Outcome::Indeterminate, None), true)
            }
        };
        let choices = mem::take(self.tap.choices_mut());
        let ask = Arc::clone(&self.ask);
        let closing = self.closing(None, hold, kept);
        self.desk.counter.count(Count { ask, choices, draft, unknown, closing, done });
        receiver
    }

    fn closing(&self, ending: Option<Ending>, hold: Hold, kept: Option<Kept>) -> Closing {
        let (seats, place) = kept.map(|kept| (kept.seats, kept.place)).unzip();
        let (stamp, seats) = (Arc::clone(&self.stamp), seats.unwrap_or_default());
        Closing { stamp, ending, hold, seats, place }
    }

    fn draft(&self, outcome: Outcome, flaw: Option<Flaw>) -> Draft {
        Draft {
            rates: self.rates,
            hold: self.stamp.hold,
            budgeted: !self.stamp.chain.is_empty(),
            outcome,
            flaw: flaw.map(word),
            finish_reason: self.tap.finish_reason().map(str::to_owned),
            first_byte_millis: self.first_byte,
            total_millis: elapsed(self.started),
            ended_at: clock::now(),
        }
    }

    fn ending(&self, end: End) -> Option<Ending> {
        match end {
            End::NotBegun => None,
            End::Reported { report, outcome } => {
                Some(self.draft(outcome, report.flaw).reported(report.tokens))
            }
            End::Counted { outcome, flaw } => {
                Some(self.draft(outcome, flaw).counted(Tokens::default()))
            }
            End::Unknown => {
                let output = i64::try_from(self.tap.deltas()).unwrap_or(i64::MAX);
                let seen = Tokens { output, ..Tokens::default() };
                Some(self.draft(Outcome::Indeterminate, None).unknown(seen))
            }
        }
    }
}

/// A bill that is dropped was hung up on. What was never sent costs nothing; a stream is billed by
/// our own count of what went in and what came; of a whole answer nothing was seen yet.
impl Drop for Bill {
    fn drop(&mut self) {
        let end = match &self.dropped {
            Dropped::NotBegun => End::NotBegun,
            Dropped::Unknown => End::Unknown,
            Dropped::HungUp(departure) if departure.call_off() => End::NotBegun,
            Dropped::HungUp(_) if !self.stamp.stream => End::Unknown,
            Dropped::HungUp(_) => self
                .unfinished(Outcome::HungUp)
                .unwrap_or(End::Counted { outcome: Outcome::HungUp, flaw: None }),
        };
        // The journal takes care of it; there is nobody left to tell.
        drop(self.close(end));
    }
}

/// An ending but for the tokens.
#[derive(Clone, Debug)]
pub struct Draft {
    rates: Rates,
    hold: NanoUsd,
    /// Whether any budget holds it: without one, nothing can be overrun.
    budgeted: bool,
    outcome: Outcome,
    flaw: Option<String>,
    finish_reason: Option<String>,
    first_byte_millis: Option<i64>,
    total_millis: i64,
    ended_at: Timestamp,
}

impl Draft {
    /// As the provider reported. What it reports above the hold is billed, and is overrun.
    fn reported(self, tokens: Tokens) -> Ending {
        let cost = self.rates.cost(&tokens).ok();
        if !self.budgeted {
            let counted = cost.unwrap_or_default();
            return self.ending(Source::Reported, tokens, cost, counted, NanoUsd::ZERO);
        }
        let counted = cost.unwrap_or(self.hold).min(self.hold);
        let overrun = cost.unwrap_or_default().minus(self.hold).at_least_zero();
        if NanoUsd::ZERO < overrun {
            tracing::warn!(%overrun, "a provider reported more than its bound allows");
        }
        self.ending(Source::Reported, tokens, cost, counted, overrun)
    }

    /// As we counted, never above the hold.
    pub fn counted(self, tokens: Tokens) -> Ending {
        let impossible = self.flaw.as_deref().is_some_and(|flaw| flaw != word(Flaw::Missing));
        let source = if impossible { Source::Capped } else { Source::Estimated };
        let cost = self.rates.cost(&tokens).ok().map(|cost| cost.min(self.hold));
        let counted = cost.unwrap_or(self.hold);
        self.ending(source, tokens, cost, counted, NanoUsd::ZERO)
    }

    /// Billed as far as it was seen; counted at the whole hold until somebody knows.
    pub fn unknown(self, seen: Tokens) -> Ending {
        let cost = self.rates.cost(&seen).ok().map(|cost| cost.min(self.hold));
        let hold = self.hold;
        self.ending(Source::Estimated, seen, cost, hold, NanoUsd::ZERO)
    }

    fn ending(
        self,
        source: Source,
        tokens: Tokens,
        cost: Option<NanoUsd>,
        counted: NanoUsd,
        overrun: NanoUsd,
    ) -> Ending {
        let lines = match cost {
            None => BTreeMap::new(),
            Some(cost) => {
                let lines = self.rates.lines(&tokens).into_iter();
                let lines: BTreeMap<_, _> = lines.map(|it| (it.kind.to_owned(), it.cost)).collect();
                let whole = lines.values().copied().sum::<NanoUsd>() == cost;
                if whole { lines } else { capped_line(cost) }
            }
        };
        Ending {
            outcome: self.outcome,
            source,
            tokens,
            cost,
            lines,
            counted,
            overrun,
            finish_reason: self.finish_reason,
            flaw: self.flaw,
            first_byte_millis: self.first_byte_millis,
            total_millis: self.total_millis,
            ended_at: self.ended_at,
        }
    }
}

/// The bill of a cost that its tokens do not explain line by line.
pub(crate) fn capped_line(cost: NanoUsd) -> BTreeMap<String, NanoUsd> {
    let charged = cost != NanoUsd::ZERO;
    charged.then(|| ("capped".to_owned(), cost)).into_iter().collect()
}

fn elapsed(since: Instant) -> i64 {
    i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX)
}

fn word(flaw: Flaw) -> String {
    let word = match flaw {
        Flaw::Missing => "missing",
        Flaw::Negative => "negative",
        Flaw::NotANumber => "not_a_number",
        Flaw::TooLarge => "too_large",
        Flaw::ZeroWithText => "zero_with_text",
        Flaw::ZeroPrompt => "zero_prompt",
        Flaw::TwoReports => "two_reports",
        Flaw::Inconsistent => "inconsistent",
    };
    word.to_owned()
}

/// Parts that do not add up are still the provider's own numbers: they are billed, flagged.
fn told(report: Report, outcome: Outcome) -> End {
    match report.flaw.filter(|flaw| !flaw.is_billable()) {
        None => End::Reported { report, outcome },
        flaw @ Some(_) => End::Counted { outcome, flaw },
    }
}

/// The choices of a whole answer, in place of what a tap would have heard.
pub fn heard(choices: Vec<Choice>, bill: &mut Bill) {
    *bill.tap.choices_mut() = choices;
}
