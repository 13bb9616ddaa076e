//! What a provider reports to have used, made safe to bill from.
//!
//! A provider may lie or err: every number is brought into 0 to 2^40, every part into its whole,
//! and what was wrong is said in a [`Flaw`] instead of being repaired silently.

#[cfg(test)]
mod tests;

use policies::usage::Tokens;

use crate::json::reader::Reader;
use crate::json::{Invalid, Kind};

/// Tokens of one count; a larger number is cut to this and flawed.
pub const TOKENS_MAX: i64 = 1 << 40;

/// A usage report by kinds that do not overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub tokens: Tokens,
    pub totals: Totals,
    /// What was found wrong: the first thing because of which its numbers cannot be billed, else
    /// the first thing.
    pub flaw: Option<Flaw>,
}

/// The numbers as reported, each within 0 to [`TOKENS_MAX`]; 0 where absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub prompt: i64,
    pub completion: i64,
    pub total: i64,
    pub cached: i64,
    pub cache_write: i64,
    pub reasoning: i64,
    pub audio_in: i64,
    pub audio_out: i64,
    pub image: i64,
    pub accepted_prediction: i64,
    pub rejected_prediction: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// No report, or one without the counts that are billed.
    Missing,
    Negative,
    /// Not a whole number: text, a fraction, a boolean, an array.
    NotANumber,
    /// Above 2^40, or above what can be true of its request.
    TooLarge,
    /// No output tokens although text came.
    ZeroWithText,
    /// No input tokens although something was asked.
    ZeroPrompt,
    /// A second report that is not the first one grown.
    TwoReports,
    /// A part is larger than its whole, or the total is not the sum.
    Inconsistent,
}

// === impl Report ===

impl Report {
    pub fn missing() -> Self {
        Self { flaw: Some(Flaw::Missing), ..Self::default() }
    }

    /// Notes that this much output came, in bytes, which a report of nothing cannot cover.
    #[must_use]
    pub fn with_output_seen(mut self, bytes: u64) -> Self {
        if self.totals.completion == 0 && bytes != 0 {
            note(&mut self.flaw, Flaw::ZeroWithText);
        }
        self
    }

    /// Notes that input was taken, which a report of none cannot cover.
    #[must_use]
    pub fn with_prompt_taken(mut self) -> Self {
        if self.totals.prompt == 0 {
            note(&mut self.flaw, Flaw::ZeroPrompt);
        }
        self
    }

    /// Notes that no true report names more than `most` tokens, input and output together.
    #[must_use]
    pub fn within(mut self, most: i64) -> Self {
        if most < self.tokens.total() {
            note(&mut self.flaw, Flaw::TooLarge);
        }
        self
    }

    /// Follows one report by another. Some servers report running counts in each chunk: one that
    /// has grown replaces the one before. Else the larger stays, flawed.
    #[must_use]
    pub fn followed_by(self, next: Self) -> Self {
        let (old, new) = (self.totals, next.totals);
        if old.prompt <= new.prompt && old.completion <= new.completion {
            let mut flaw = self.flaw;
            next.flaw.into_iter().for_each(|found| note(&mut flaw, found));
            return Self { flaw, ..next };
        }
        let sum = |totals: Totals| totals.prompt.saturating_add(totals.completion);
        let mut larger = if sum(old) < sum(new) { next } else { self };
        note(&mut larger.flaw, Flaw::TwoReports);
        larger
    }

    pub(crate) fn note(&mut self, found: Flaw) {
        note(&mut self.flaw, found);
    }
}

// === impl Flaw ===

impl Flaw {
    /// Whether the numbers can be billed all the same: they are the provider's own, and only do
    /// not add up. With any other flaw our own count is billed.
    pub const fn is_billable(self) -> bool {
        match self {
            Self::TwoReports | Self::Inconsistent => true,
            Self::Missing
            | Self::Negative
            | Self::NotANumber
            | Self::TooLarge
            | Self::ZeroWithText
            | Self::ZeroPrompt => false,
        }
    }
}

/// The first flaw stays, but that one which forbids to bill the numbers hides behind no other.
fn note(known: &mut Option<Flaw>, found: Flaw) {
    if known.is_none_or(|known| known.is_billable() && !found.is_billable()) {
        *known = Some(found);
    }
}

/// Reads the usage object that stands next. None for null.
pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Option<Report>, Invalid> {
    if reader.null()? {
        return Ok(None);
    }
    let mut sheet = Sheet::default();
    if reader.kind()? != Kind::Object {
        reader.skip()?;
        sheet.flaw = Some(Flaw::NotANumber);
        return Ok(Some(sheet.report()));
    }
    let mut open = reader.open_object()?;
    while let Some(key) = reader.key(&mut open)? {
        match &*key.text() {
            "prompt_tokens" => sheet.prompt = sheet.count(reader)?,
            "completion_tokens" => sheet.completion = sheet.count(reader)?,
            "total_tokens" => sheet.total = sheet.count(reader)?,
            "prompt_tokens_details" => prompt_details(reader, &mut sheet)?,
            "completion_tokens_details" => completion_details(reader, &mut sheet)?,
            _ => reader.skip()?,
        }
    }
    Ok(Some(sheet.report()))
}

/// The numbers while they are read; none where absent or null.
#[derive(Debug, Default)]
struct Sheet {
    prompt: Option<i64>,
    completion: Option<i64>,
    total: Option<i64>,
    details: Totals,
    flaw: Option<Flaw>,
}

impl Sheet {
    fn count(&mut self, reader: &mut Reader<'_>) -> Result<Option<i64>, Invalid> {
        if reader.null()? {
            return Ok(None);
        }
        let read = if reader.kind()? == Kind::Number {
            number(reader.number()?)
        } else {
            reader.skip()?;
            (0, Some(Flaw::NotANumber))
        };
        read.1.into_iter().for_each(|found| note(&mut self.flaw, found));
        Ok(Some(read.0))
    }

    fn detail(&mut self, reader: &mut Reader<'_>) -> Result<i64, Invalid> {
        Ok(self.count(reader)?.unwrap_or(0))
    }

    /// Takes the parts out of their wholes, so that no token is in two kinds.
    fn report(mut self) -> Report {
        let mut totals = self.details;
        // An embeddings report has no completion; one with neither is no report.
        if self.prompt.is_none() && self.completion.is_none() {
            note(&mut self.flaw, Flaw::Missing);
        }
        totals.prompt = self.prompt.unwrap_or(0);
        totals.completion = self.completion.unwrap_or(0);
        let sum = totals.prompt + totals.completion;
        totals.total = self.total.unwrap_or(sum);
        // Some providers count reasoning beside the completion; the total tells.
        let beside = totals.reasoning != 0 && totals.total == sum + totals.reasoning;
        let mut short = !beside && totals.total != sum;

        let mut input = totals.prompt;
        let tokens = Tokens {
            cache_read: part(&mut input, totals.cached, &mut short),
            cache_write: part(&mut input, totals.cache_write, &mut short),
            audio_in: part(&mut input, totals.audio_in, &mut short),
            image: part(&mut input, totals.image, &mut short),
            ..Tokens::default()
        };
        let mut output = totals.completion;
        let reasoning =
            if beside { totals.reasoning } else { part(&mut output, totals.reasoning, &mut short) };
        let audio_out = part(&mut output, totals.audio_out, &mut short);
        if short {
            note(&mut self.flaw, Flaw::Inconsistent);
        }
        Report {
            tokens: Tokens { input, output, reasoning, audio_out, ..tokens },
            totals,
            flaw: self.flaw,
        }
    }
}

/// Takes `wanted` out of `whole`, at most what is there.
fn part(whole: &mut i64, wanted: i64, short: &mut bool) -> i64 {
    *short |= *whole < wanted;
    let taken = wanted.min(*whole);
    *whole -= taken;
    taken
}

fn prompt_details(reader: &mut Reader<'_>, sheet: &mut Sheet) -> Result<(), Invalid> {
    details(reader, |reader, key| {
        match key {
            "cached_tokens" => sheet.details.cached = sheet.detail(reader)?,
            "cache_write_tokens" | "cache_creation_tokens" => {
                sheet.details.cache_write = sheet.detail(reader)?;
            }
            "audio_tokens" => sheet.details.audio_in = sheet.detail(reader)?,
            "image_tokens" => sheet.details.image = sheet.detail(reader)?,
            _ => reader.skip()?,
        }
        Ok(())
    })
}

fn completion_details(reader: &mut Reader<'_>, sheet: &mut Sheet) -> Result<(), Invalid> {
    details(reader, |reader, key| {
        match key {
            "reasoning_tokens" => sheet.details.reasoning = sheet.detail(reader)?,
            "audio_tokens" => sheet.details.audio_out = sheet.detail(reader)?,
            "accepted_prediction_tokens" => {
                sheet.details.accepted_prediction = sheet.detail(reader)?;
            }
            "rejected_prediction_tokens" => {
                sheet.details.rejected_prediction = sheet.detail(reader)?;
            }
            _ => reader.skip()?,
        }
        Ok(())
    })
}

fn details<'a>(
    reader: &mut Reader<'a>,
    mut member: impl FnMut(&mut Reader<'a>, &str) -> Result<(), Invalid>,
) -> Result<(), Invalid> {
    if reader.kind()? != Kind::Object {
        reader.skip()?;
        return Ok(());
    }
    let mut open = reader.open_object()?;
    while let Some(key) = reader.key(&mut open)? {
        member(reader, &key.text())?;
    }
    Ok(())
}

/// A JSON number as a count of tokens. `12.0` and `1e2` are whole numbers (RFC 8259 knows but one
/// kind of number).
fn number(literal: &str) -> (i64, Option<Flaw>) {
    let whole = literal.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let value = match literal.parse::<i64>() {
        Ok(value) => value,
        Err(_) if whole && literal.starts_with('-') => i64::MIN,
        Err(_) if whole => i64::MAX,
        Err(_) => return fraction(literal),
    };
    bounded(value)
}

fn fraction(literal: &str) -> (i64, Option<Flaw>) {
    let Ok(value) = literal.parse::<f64>() else { return (0, Some(Flaw::NotANumber)) };
    if value.fract() != 0.0 {
        return (0, Some(Flaw::NotANumber));
    }
    // Its decimal form has no exponent and is exact up to 2^53; far above, it is too large anyhow.
    bounded(format!("{value:.0}").parse().unwrap_or(if value < 0.0 { i64::MIN } else { i64::MAX }))
}

fn bounded(value: i64) -> (i64, Option<Flaw>) {
    if value < 0 {
        (0, Some(Flaw::Negative))
    } else if TOKENS_MAX < value {
        (TOKENS_MAX, Some(Flaw::TooLarge))
    } else {
        (value, None)
    }
}
