//! Finds data of a known class in text: payment cards and secrets.
//!
//! One automaton over all rules reads the text once; each hit is then judged by a check of its
//! rule, because a shape alone proves little. Text with look-alike digits, invisible characters
//! or `\u` escapes is read a second time in a folded view and its hits are mapped back.

mod assignment;
mod block;
mod card;
mod fold;
mod guard;
mod rules;
mod secret;

use regex_automata::{Input, meta::Regex, util::syntax};
use rules::{RULES, Rule, Verdict, Weight};
use std::ops::Range;

/// Bytes of automaton states that one thread may keep; past it the states are made anew.
const AUTOMATON_CACHE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The rules made ready. Costly to build (milliseconds), cheap to use: build once, share.
#[derive(Debug)]
pub struct Detectors {
    automaton: Regex,
}

/// One stretch of the text that carries a label.
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
pub struct BuildError(#[from] Box<regex_automata::meta::BuildError>);

impl Detectors {
    /// Compiles the built-in rules.
    ///
    /// # Errors
    /// [`BuildError`] when a pattern is not valid or is too large.
    pub fn builtin() -> Result<Self, BuildError> {
        let patterns: Vec<&str> = RULES.iter().map(|rule| rule.pattern).collect();
        let automaton = Regex::builder()
            .configure(Regex::config().hybrid_cache_capacity(AUTOMATON_CACHE_BYTES_MAX))
            .syntax(syntax::Config::new().unicode(false).utf8(false))
            .build_many(&patterns)
            .map_err(Box::new)?;
        Ok(Self { automaton })
    }

    /// All findings in `text`, in order, none overlapping another.
    ///
    /// Time grows with the length of the text alone. Where rules overlap, one finding covers
    /// them all and bears the name of the most telling one.
    pub fn scan(&self, text: &str) -> Vec<Finding> {
        let mut hits = Vec::new();
        self.read(text, 0..text.len(), &mut hits);
        if let Some(folded) = fold::fold(text) {
            let mut seen = Vec::new();
            self.read(folded.text(), 0..folded.text().len(), &mut seen);
            hits.extend(seen.into_iter().map(|hit| Hit { span: folded.raw(&hit.span), ..hit }));
        }
        settle(hits, text)
    }

    fn read(&self, text: &str, range: Range<usize>, hits: &mut Vec<Hit>) {
        let mut at = range.start;
        while at < range.end {
            let Some(found) = self.automaton.search(&Input::new(text).range(at..range.end)) else {
                return;
            };
            let Some(rule) = RULES.get(found.pattern().as_usize()) else { return };
            let verdict = (rule.check)(text, found.range());
            // A key in front of its value can itself hold a secret: `token.<secret>: x`.
            // The stretch stops before the `=`, so that no rule of that kind matches again.
            if rule.weight == Weight::Nearby && found.range().len() > KEY_BYTES_PLAIN_MAX {
                let inside = found.start() + 1..found.end().saturating_sub(1);
                self.read_exact(text, inside, hits);
            }
            at = verdict.resume().max(found.start() + 1);
            if let Verdict::Found { span, .. } = verdict {
                hits.push(Hit { rule, span });
            }
        }
    }

    /// Like `read`, for a stretch of a key: rules that look at what is near are left out.
    fn read_exact(&self, text: &str, range: Range<usize>, hits: &mut Vec<Hit>) {
        let mut at = range.start;
        while at < range.end {
            let Some(found) = self.automaton.search(&Input::new(text).range(at..range.end)) else {
                return;
            };
            let Some(rule) = RULES.get(found.pattern().as_usize()) else { return };
            at = found.end();
            if rule.weight == Weight::Exact
                && let Verdict::Found { span, .. } = (rule.check)(text, found.range())
            {
                hits.push(Hit { rule, span });
            }
        }
    }
}

/// Keys up to this length cannot hold a secret of any exact rule.
const KEY_BYTES_PLAIN_MAX: usize = 32;

struct Hit {
    rule: &'static Rule,
    span: Range<usize>,
}

/// Joins what overlaps: masking the union leaves no rest of a losing hit in the open.
fn settle(mut hits: Vec<Hit>, text: &str) -> Vec<Finding> {
    hits.retain(|hit| text.get(hit.span.clone()).is_some_and(|value| !value.is_empty()));
    hits.sort_by_key(|hit| (hit.span.start, hit.span.end));
    let mut settled: Vec<Finding> = Vec::with_capacity(hits.len());
    let mut best = (Weight::Nearby, 0);
    for hit in hits {
        let strength = (hit.rule.weight, hit.span.len());
        match settled.last_mut() {
            Some(last) if hit.span.start < last.span.end => {
                last.span.end = last.span.end.max(hit.span.end);
                if best < strength {
                    best = strength;
                    last.rule = hit.rule.id;
                    last.label = hit.rule.label;
                }
            }
            Some(_) | None => {
                best = strength;
                let Rule { id, label, .. } = hit.rule;
                settled.push(Finding { rule: id, label, span: hit.span });
            }
        }
    }
    settled
}

#[cfg(test)]
mod tests;
