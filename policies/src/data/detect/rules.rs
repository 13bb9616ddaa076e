//! The table of built-in rules; a new kind of data is a new row.

use super::{assignment, block, card, secret};
use std::ops::Range;

/// One kind of data: what proves it. How it begins to look is in the automata.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) id: &'static str,
    pub(super) label: &'static str,
    #[cfg(test)]
    pub(super) mark: &'static str,
    #[cfg(test)]
    pub(super) pattern: &'static str,
    pub(super) check: fn(&str, Range<usize>, &mut Seen) -> Verdict,
    pub(super) weight: Weight,
}

/// Which rule names a finding when several overlap: later is stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// Secret because of what stands near.
    Nearby,
    /// Has the mark or the check digit of its kind.
    Exact,
}

/// What a check says of a match, and where reading goes on: never before the match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Found { span: Range<usize>, resume: usize },
    Passed { resume: usize },
}

/// What checks of one text have read already, so that none reads it once more for each mark in it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Names that begin before here are part of one that was judged.
    pub(super) name: usize,
    /// The end of the word that holds the last value of a name, and the names judged in it.
    pub(super) word: usize,
    pub(super) word_names: usize,
    /// No web token begins before here.
    pub(super) jwt: usize,
}

impl Verdict {
    pub(super) fn whole(found: Range<usize>) -> Self {
        Self::Found { resume: found.end, span: found }
    }

    pub(super) fn resume(&self) -> usize {
        match self {
            Self::Found { resume, .. } | Self::Passed { resume } => *resume,
        }
    }
}

/// `id label weight check, mark => rest;`, where the pattern is the mark with the rest behind it.
///
/// The mark is what every value of the kind begins with, or has at its end where the check looks
/// back. All marks are one automaton that is built whole, so it must stay small for any text: no
/// long repetition of a class that holds the beginning of a mark. No part of the rest without a
/// bound may hold a mark, else text made of marks is read again and again; what is longer is for
/// the check. Both are ASCII only.
macro_rules! rules {
    ($($id:literal $label:literal $weight:ident $check:path,
        $mark:literal $(=> $($rest:literal),+)?;)*) => {
        &[$(Rule {
            id: $id,
            label: $label,
            #[cfg(test)]
            mark: $mark,
            #[cfg(test)]
            pattern: concat!($mark $($(, $rest)+)?),
            check: $check,
            weight: Weight::$weight,
        },)*]
    };
}

/// The table lies in a file of its own, because the build reads it too: it makes the automata.
/// Where two rules match at the same place, the earlier one is asked.
pub(super) const RULES: &[Rule] = include!("rules.in");
