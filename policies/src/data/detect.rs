//! Finds data of a known class in text: payment cards and secrets.
//!
//! One automaton over the marks of all rules reads the text once. At a mark a second one reads the
//! whole pattern, and each match is then judged by a check of its rule, because a shape alone
//! proves little. Both automata are built whole, with the program, and never change, so that no
//! text, however hostile, can make the next one slower. Text with look-alike digits, invisible
//! characters or `\u` escapes is read a second time in a folded view and its hits are mapped back.

mod assignment;
mod block;
mod card;
mod fold;
mod guard;
mod rules;
mod secret;
mod words;

use regex_automata::{
    Anchored, Input,
    dfa::{Automaton, dense, regex::Regex},
    util::wire::DeserializeError,
};
use rules::{RULES, Rule, Seen, Verdict, Weight};
use std::ops::Range;

/// A key longer than this tells nothing of the value beside it.
const KEY_BYTES_MAX: usize = 64;
/// A value longer than this is a text of its own.
const VALUE_BYTES_MAX: usize = 1024;

/// An automaton that lies in the program as the build has made it.
type Automata = dense::DFA<&'static [u32]>;

/// The rules made ready. Its automata are checked when they are read: read once, share.
#[derive(Debug)]
pub struct Detectors {
    /// Where a pattern can begin.
    marks: Regex<Automata>,
    /// All patterns, read from a mark on.
    patterns: Automata,
}

/// One stretch of the text and a label that it carries.
///
/// A stretch with several labels comes once for each, the most telling one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule that found it, for explanations: `card`, `github_token`.
    pub rule: &'static str,
    /// The class of data: `pci.card` or `secret.<kind>`.
    pub label: &'static str,
    /// Bytes of the scanned text, always on character boundaries.
    pub span: Range<usize>,
}

/// The automata are not those that this build made.
#[derive(Debug, thiserror::Error)]
#[error("the built-in detectors cannot be read: {0}")]
pub struct BuildError(#[from] DeserializeError);

impl Detectors {
    /// Makes the built-in rules ready.
    ///
    /// # Errors
    /// [`BuildError`] when what the build made of them cannot be read.
    pub fn builtin() -> Result<Self, BuildError> {
        let marks = Regex::builder().build_from_dfas(read(MARKS)?, read(MARKS_REVERSE)?);
        Ok(Self { marks, patterns: read(PATTERNS)? })
    }

    /// All findings in `text`, in order. Two overlap only where they are one stretch with several
    /// labels.
    ///
    /// Time grows with the length of the text alone. Where hits overlap, the stretch that covers
    /// them all bears the labels of each.
    pub fn scan(&self, text: &str) -> Vec<Finding> {
        settle(self.hits(text), text)
    }

    /// Like [`scan`](Self::scan) for the value of an object's member, whose key may tell that the
    /// whole value is a secret: `{"password": "…"}`.
    pub fn scan_member(&self, key: &str, value: &str) -> Vec<Finding> {
        let mut hits = self.hits(value);
        if key.len() <= KEY_BYTES_MAX
            && value.len() <= VALUE_BYTES_MAX
            && let Some(rule) = self.told_by(key, value)
        {
            hits.push(Hit { rule, span: 0..value.len() });
        }
        settle(hits, value)
    }

    fn told_by(&self, key: &str, value: &str) -> Option<&'static Rule> {
        let mut at = 0;
        while let Some(start) = self.mark(key, at) {
            if let Some((rule, found)) = self.pattern(key, start)
                && rule.weight == Weight::Nearby
            {
                return assignment::member(key, &found, value).then_some(rule);
            }
            at = start + 1;
        }
        None
    }

    fn hits(&self, text: &str) -> Vec<Hit> {
        let mut hits = Vec::new();
        self.read(text, &mut hits);
        if let Some(folded) = fold::fold(text) {
            let mut seen = Vec::new();
            self.read(folded.text(), &mut seen);
            hits.extend(seen.into_iter().map(|hit| Hit { span: folded.raw(&hit.span), ..hit }));
        }
        hits
    }

    fn read(&self, text: &str, hits: &mut Vec<Hit>) {
        let mut seen = Seen::default();
        let mut at = 0;
        while let Some(start) = self.mark(text, at) {
            at = start + 1;
            let Some((rule, found)) = self.pattern(text, start) else { continue };
            let verdict = (rule.check)(text, found, &mut seen);
            at = at.max(verdict.resume());
            if let Verdict::Found { span, .. } = verdict {
                hits.push(Hit { rule, span });
            }
        }
    }

    /// The next place from `at` on where a mark stands.
    fn mark(&self, text: &str, at: usize) -> Option<usize> {
        let input = Input::new(text).range(at.min(text.len())..);
        // INVARIANT: no search fails, as neither automaton has bytes at which it gives up.
        self.marks.try_search(&input).ok().flatten().map(|mark| mark.start())
    }

    /// The first rule in the table whose pattern begins at `start`, and what it matches.
    fn pattern(&self, text: &str, start: usize) -> Option<(&'static Rule, Range<usize>)> {
        let input = Input::new(text).range(start..).anchored(Anchored::Yes);
        let end = self.patterns.try_search_fwd(&input).ok().flatten()?;
        Some((RULES.get(end.pattern().as_usize())?, start..end.offset()))
    }
}

fn read(automaton: &'static Aligned<[u8]>) -> Result<Automata, BuildError> {
    Ok(dense::DFA::from_bytes(&automaton.bytes)?.0)
}

/// Bytes that lie where numbers of 32 bits may.
#[repr(C)]
struct Aligned<B: ?Sized> {
    _numbers: [u32; 0],
    bytes: B,
}

macro_rules! automaton {
    ($name:ident = $file:literal) => {
        static $name: &Aligned<[u8]> =
            &Aligned { _numbers: [], bytes: *include_bytes!(concat!(env!("OUT_DIR"), "/", $file)) };
    };
}

automaton!(MARKS = "marks.dfa");
automaton!(MARKS_REVERSE = "marks_reverse.dfa");
automaton!(PATTERNS = "patterns.dfa");

struct Hit {
    rule: &'static Rule,
    span: Range<usize>,
}

/// Joins what overlaps: masking the union leaves no rest of any hit in the open.
fn settle(mut hits: Vec<Hit>, text: &str) -> Vec<Finding> {
    hits.retain(|hit| text.get(hit.span.clone()).is_some_and(|value| !value.is_empty()));
    hits.sort_by_key(|hit| (hit.span.start, hit.span.end));
    let mut settled = Vec::with_capacity(hits.len());
    let mut union: Vec<Hit> = Vec::new();
    let mut end = 0;
    for hit in hits {
        if end <= hit.span.start {
            label(&mut union, end, &mut settled);
        }
        end = end.max(hit.span.end);
        union.push(hit);
    }
    label(&mut union, end, &mut settled);
    settled
}

/// One finding up to `end` for each label of `union`, and none left in it.
fn label(union: &mut Vec<Hit>, end: usize, settled: &mut Vec<Finding>) {
    let Some(start) = union.first().map(|hit| hit.span.start) else { return };
    let first = settled.len();
    union.sort_by_key(|hit| std::cmp::Reverse((hit.rule.weight, hit.span.len())));
    for Hit { rule: Rule { id, label, .. }, .. } in union.drain(..) {
        let labelled = settled.get(first..).unwrap_or_default();
        if labelled.iter().all(|finding: &Finding| finding.label != *label) {
            settled.push(Finding { rule: id, label, span: start..end });
        }
    }
}

#[cfg(test)]
mod tests;
