//! Finds data of a known class in text: payment cards and secrets.
//!
//! One automaton over the marks of all rules reads the text once. At a mark a second one reads the
//! whole pattern, and each match is then judged by a check of its rule, because a shape alone
//! proves little. Both automata are built whole and never change, so that no text, however
//! hostile, can make the next one slower. Text with look-alike digits, invisible characters or
//! `\u` escapes is read a second time in a folded view and its hits are mapped back.

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
    dfa::{Automaton, StartKind, dense, regex::Regex},
    nfa::thompson,
    util::syntax,
};
use rules::{RULES, Rule, Seen, Verdict, Weight};
use std::ops::Range;

/// Bytes that one automaton may have; more cannot come about but by a change of the rules.
const AUTOMATON_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A key longer than this tells nothing of the value beside it.
const KEY_BYTES_MAX: usize = 64;
/// A value longer than this is a text of its own.
const VALUE_BYTES_MAX: usize = 1024;

/// The rules made ready. Costly to build (some 200 milliseconds), cheap to use: build once, share.
#[derive(Debug)]
pub struct Detectors {
    /// Where a pattern can begin.
    marks: Regex,
    /// All patterns, read from a mark on.
    patterns: dense::DFA<Vec<u32>>,
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

/// The built-in rules do not compile; only a change of this crate can cause it.
#[derive(Debug, thiserror::Error)]
#[error("the built-in detectors do not compile")]
pub struct BuildError(#[from] Box<dense::BuildError>);

impl Detectors {
    /// Compiles the built-in rules.
    ///
    /// # Errors
    /// [`BuildError`] when a pattern is not valid or is too large.
    pub fn builtin() -> Result<Self, BuildError> {
        let marks = marks();
        let patterns: Vec<&str> = RULES.iter().map(|rule| rule.pattern).collect();
        let bytes = syntax::Config::new().unicode(false).utf8(false);
        let any_bytes = thompson::Config::new().utf8(false);
        let bounded = dense::Config::new()
            .dfa_size_limit(Some(AUTOMATON_BYTES_MAX))
            .determinize_size_limit(Some(2 * AUTOMATON_BYTES_MAX));
        let marks = Regex::builder()
            .dense(bounded.clone().start_kind(StartKind::Unanchored))
            .syntax(bytes)
            .thompson(any_bytes.clone())
            .build(&marks)
            .map_err(Box::new)?;
        let patterns = dense::Builder::new()
            .configure(bounded.start_kind(StartKind::Anchored))
            .syntax(bytes)
            .thompson(any_bytes)
            .build_many(&patterns)
            .map_err(Box::new)?;
        Ok(Self { marks, patterns })
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

/// All marks as one pattern. What they have in common is written once, which halves the work of
/// building the automaton.
fn marks() -> String {
    let (mut words, mut others) = (Vec::new(), Vec::new());
    for rule in RULES {
        match rule.mark.strip_prefix(WORD_BEGINS) {
            Some(mark) => words.push(mark),
            None => others.push(rule.mark),
        }
    }
    format!("{WORD_BEGINS}(?:{})|{}", words.join("|"), others.join("|"))
}

const WORD_BEGINS: &str = r"\b";

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
