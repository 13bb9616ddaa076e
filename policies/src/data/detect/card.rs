//! Judges whether a run of digits is a payment card number.
//!
//! A number counts when its issuer prefix allows its length (ISO/IEC 7812-1), its check digit
//! holds (Luhn, annex B of the same), its groups are ones that people write, and it is not a
//! piece of something longer.

use super::{
    guard,
    rules::{Seen, Verdict},
};
use std::ops::Range;

/// The most characters between two digits of one number: a line break with some indent.
const SEPARATOR_BYTES_MAX: usize = 6;
/// Digits of the issuer's prefix.
const LEAD_DIGITS: usize = 6;
const DIGITS_MAX: usize = 19;
/// How far words such as `card` may stand from a number, in bytes before and after.
const CONTEXT_BYTES_BEFORE: usize = 64;
const CONTEXT_BYTES_AFTER: usize = 32;

/// Groups that one check looks at; past them reading starts anew, so that no run is read twice.
const GROUPS_MAX: usize = 64;
/// Letters and digits looked at before a number: the longest part of a UUID has 12.
const PART_BYTES_MAX: usize = 16;

pub(super) fn check(text: &str, found: Range<usize>, _: &mut Seen) -> Verdict {
    let mut run = Run::open(found.start);
    for first in 0..GROUPS_MAX {
        run.read(text, first);
        if let Some(span) = run.card_from(text, first) {
            return Verdict::Found { resume: span.end, span };
        }
        if run.next.is_none() && run.groups.len() <= first + 1 {
            break;
        }
    }
    // The last group may begin something else, as the number of a bot does; so read it again.
    let last = run.groups.get(1..).unwrap_or_default().last();
    let place = if run.next.is_none() { last } else { run.groups.get(GROUPS_MAX) };
    Verdict::Passed { resume: place.map_or(run.end().max(found.start + 1), |group| group.start) }
}

/// Digits that stand side by side.
#[derive(Clone, Copy)]
struct Group {
    start: usize,
    end: usize,
    /// What parts it from the group before.
    before: Gap,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gap {
    None,
    Space,
    Dot,
    Hyphen,
    Line,
}

/// Groups in a row, read as far as they were asked for.
struct Run {
    groups: Vec<Group>,
    /// Where the next group begins and what parts it from the last; none at the end of the run.
    next: Option<(usize, Gap)>,
}

impl Run {
    fn open(start: usize) -> Self {
        Self { groups: Vec::new(), next: Some((start, Gap::None)) }
    }

    /// Reads on until there are more digits from the group `first` than any card has, and one
    /// group behind them; or until something other than a digit or a separator comes.
    fn read(&mut self, text: &str, first: usize) {
        let bytes = text.as_bytes();
        let from = self.groups.get(first..).unwrap_or_default();
        let mut digits: usize = from.iter().map(|group| group.end - group.start).sum();
        while let Some((start, before)) = self.next {
            if DIGITS_MAX < digits && first + 1 < self.groups.len() {
                return;
            }
            let end = start + count(bytes, start, |byte| byte.is_ascii_digit());
            self.next = None;
            if end == start {
                return;
            }
            digits += end - start;
            self.groups.push(Group { start, end, before });
            let gap = count(bytes, end, is_separator);
            self.next = bytes.get(end..end + gap).and_then(gap_kind).map(|kind| (end + gap, kind));
        }
    }

    fn end(&self) -> usize {
        self.groups.last().map_or(0, |group| group.end)
    }

    /// The longest card number that starts with the group `first`.
    fn card_from(&self, text: &str, first: usize) -> Option<Range<usize>> {
        let groups = self.groups.get(first..)?;
        let mut digits = Digits::default();
        let mut issued = None;
        let mut best = None;
        for (index, group) in groups.iter().enumerate() {
            let value = text.get(group.start..group.end)?;
            if !digits.push(value) {
                break;
            }
            if digits.len < LEAD_DIGITS {
                continue;
            }
            // One look at the table for all lengths, and none at digits behind a foreign prefix.
            let issued: &Issued = issued.get_or_insert_with(|| Issued::of(digits.lead()));
            if issued.number == 0 && issued.context == 0 {
                break;
            }
            let Some(proof) = issued.proof(digits.len) else { continue };
            let window = groups.get(..=index)?;
            let span = groups.first()?.start..group.end;
            if digits.luhn()
                && self.stands_alone(text, first, first + index)
                && is_written_so(text, window, digits.len)
                && match proof {
                    Proof::Number => true,
                    Proof::Context => has_context(text, &span),
                }
            {
                best = Some(span);
            }
        }
        best
    }

    /// Not a piece of a longer number, word, version or UUID.
    fn stands_alone(&self, text: &str, first: usize, last: usize) -> bool {
        let tied = |gap: Option<&Group>| {
            gap.is_some_and(|group| matches!(group.before, Gap::Dot | Gap::Hyphen))
        };
        let (Some(head), Some(tail)) = (self.groups.get(first), self.groups.get(last)) else {
            return false;
        };
        let inside = (0 < first && tied(Some(head))) || tied(self.groups.get(last + 1));
        !inside && open_before(text, head.start) && open_after(text, tail.end)
    }
}

fn count(bytes: &[u8], at: usize, wanted: impl Fn(u8) -> bool) -> usize {
    bytes.get(at..).unwrap_or_default().iter().take_while(|byte| wanted(**byte)).count()
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'.' | b'-' | b'\r' | b'\n' | b'>')
}

fn gap_kind(gap: &[u8]) -> Option<Gap> {
    match gap {
        b" " | b"  " | b"\t" => Some(Gap::Space),
        b"." => Some(Gap::Dot),
        b"-" | b" - " => Some(Gap::Hyphen),
        longer if longer.len() <= SEPARATOR_BYTES_MAX => {
            let breaks = longer.iter().filter(|byte| **byte == b'\n').count();
            let blank = longer
                .iter()
                .all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'>' | b'-'));
            (breaks == 1 && blank).then_some(Gap::Line)
        }
        _ => None,
    }
}

fn open_before(text: &str, start: usize) -> bool {
    let Some(head) = text.get(..start) else { return false };
    let mut back = head.chars().rev();
    match back.next() {
        None => true,
        Some('.' | '-') => {
            let mut word =
                back.take_while(char::is_ascii_alphanumeric).take(PART_BYTES_MAX).peekable();
            word.peek().is_none() || !word.all(|letter| letter.is_ascii_hexdigit())
        }
        Some('+') => false,
        Some(letter) if letter.is_ascii_alphabetic() => {
            let letters = head.bytes().rev().take(PART_BYTES_MAX);
            let tail = head.len() - letters.take_while(u8::is_ascii_alphabetic).count();
            head.get(tail..).is_some_and(guard::is_card_word)
        }
        Some(other) => !other.is_ascii_digit(),
    }
}

fn open_after(text: &str, end: usize) -> bool {
    let mut ahead = text.get(end..).unwrap_or_default().chars();
    match ahead.next() {
        Some('.' | '-') => !ahead.next().is_some_and(|letter| letter.is_ascii_alphanumeric()),
        Some('_') => false,
        Some(other) => !other.is_ascii_alphanumeric(),
        None => true,
    }
}

/// Whether people write a number of `len` digits in these groups.
fn is_written_so(text: &str, groups: &[Group], len: usize) -> bool {
    let inner = groups.get(1..).unwrap_or_default();
    let breaks = inner.iter().filter(|group| group.before == Gap::Line).count();
    let mut kinds = inner.iter().map(|group| group.before).filter(|gap| *gap != Gap::Line);
    let kind = kinds.next();
    if 1 < breaks || !kinds.all(|other| Some(other) == kind) {
        return false;
    }
    let apart: Vec<usize> = groups.iter().map(|group| group.end - group.start).collect();
    if breaks == 0 {
        return is_grouping(&apart, len);
    }
    // Numbers below each other in a column are no wrapped number.
    let Some(head) = groups.first() else { return false };
    let span = head.start..groups.last().map_or(head.end, |group| group.end);
    let opens_line = text.get(..head.start).is_none_or(|before| {
        before.trim_end_matches([' ', '\t', '>', '|']).chars().next_back().is_none_or(|c| c == '\n')
    });
    if opens_line && !has_context(text, &span) {
        return false;
    }
    let mut joined: Vec<usize> = Vec::with_capacity(groups.len());
    for group in groups {
        match joined.last_mut() {
            Some(last) if group.before == Gap::Line => *last += group.end - group.start,
            Some(_) | None => joined.push(group.end - group.start),
        }
    }
    is_grouping(&apart, len) || is_grouping(&joined, len)
}

fn is_grouping(groups: &[usize], len: usize) -> bool {
    let fours = |from: &[usize]| match from.split_last() {
        Some((last, rest)) => rest.iter().all(|size| *size == 4) && (1..=4).contains(last),
        None => false,
    };
    groups.len() == 1
        || groups.len() == len
        || fours(groups)
        || matches!(groups, [4, 6, 4 | 5] | [4, 5, 6] | [6, 6..=13] | [8, 8] | [4, 4, 5] | [4, 12])
}

#[derive(Default)]
struct Digits {
    values: [u8; DIGITS_MAX],
    len: usize,
}

impl Digits {
    /// False when there are more digits than any card has.
    fn push(&mut self, digits: &str) -> bool {
        for byte in digits.bytes() {
            let Some(slot) = self.values.get_mut(self.len) else { return false };
            *slot = byte.wrapping_sub(b'0');
            self.len += 1;
        }
        true
    }

    fn luhn(&self) -> bool {
        let digits = self.values.iter().take(self.len).rev().enumerate();
        let sum: u32 = digits
            .map(|(place, digit)| match (place % 2, u32::from(*digit)) {
                (1, digit) if 4 < digit => 2 * digit - 9,
                (1, digit) => 2 * digit,
                (_, digit) => digit,
            })
            .sum();
        sum.is_multiple_of(10)
    }

    /// Only of [`LEAD_DIGITS`] or more.
    fn lead(&self) -> u32 {
        let lead = self.values.iter().take(LEAD_DIGITS);
        lead.fold(0, |lead, digit| lead * 10 + u32::from(*digit))
    }
}

fn has_context(text: &str, span: &Range<usize>) -> bool {
    let from = text.floor_char_boundary(span.start.saturating_sub(CONTEXT_BYTES_BEFORE));
    let to = text.ceil_char_boundary((span.end + CONTEXT_BYTES_AFTER).min(text.len()));
    let near = |range: Range<usize>| text.get(range).is_some_and(guard::speaks_of_cards);
    near(from..span.start) || near(span.end..to)
}

/// The lengths that a prefix allows, a bit for each, by what else must speak for the number.
#[derive(Default)]
struct Issued {
    number: u32,
    context: u32,
}

impl Issued {
    fn of(lead: u32) -> Self {
        let mut issued = Self::default();
        for issuer in ISSUERS.iter().filter(|issuer| issuer.leads.contains(&lead)) {
            let lengths = issuer.lengths.iter().fold(0, |bits, length| bits | 1 << length);
            let left = lengths & !(issued.number | issued.context);
            match issuer.proof {
                Proof::Number => issued.number |= left,
                Proof::Context => issued.context |= left,
            }
        }
        issued
    }

    fn proof(&self, length: usize) -> Option<Proof> {
        let holds = |bits: u32| bits >> length & 1 == 1;
        match (holds(self.number), holds(self.context)) {
            (true, _) => Some(Proof::Number),
            (false, true) => Some(Proof::Context),
            (false, false) => None,
        }
    }
}

/// What must speak for a number besides prefix, length and check digit.
#[derive(Clone, Copy)]
enum Proof {
    Number,
    /// The prefix is wide or the length rare: a word such as `card` must stand near.
    Context,
}

struct Issuer {
    /// The first six digits.
    leads: std::ops::RangeInclusive<u32>,
    lengths: &'static [usize],
    proof: Proof,
}

macro_rules! issuers {
    ($($leads:expr, $lengths:expr, $proof:ident;)*) => {
        &[$(Issuer { leads: $leads, lengths: &$lengths, proof: Proof::$proof },)*]
    };
}

/// Issuer prefixes, most certain first. The order matters: the first fitting row decides.
const ISSUERS: &[Issuer] = issuers! {
    400_000..=499_999, [16], Number;                      // Visa
    400_000..=499_999, [13, 18, 19], Context;             // Visa, old or rare lengths
    510_000..=559_999, [16], Number;                      // Mastercard
    222_100..=272_099, [16], Number;                      // Mastercard
    340_000..=349_999, [15], Number;                      // American Express
    370_000..=379_999, [15], Number;                      // American Express
    300_000..=305_999, [14, 16], Number;                  // Diners Club
    309_500..=309_599, [14, 16], Number;                  // Diners Club
    360_000..=369_999, [14], Number;                      // Diners Club
    360_000..=369_999, [16, 17, 18, 19], Context;         // Diners Club
    380_000..=399_999, [14, 16], Number;                  // Diners Club
    352_800..=358_999, [16], Number;                      // JCB
    350_000..=359_999, [16, 17, 18, 19], Context;         // JCB, rows not yet given out too
    213_100..=213_199, [15], Number;                      // JCB
    180_000..=180_099, [15], Number;                      // JCB
    601_100..=601_199, [16], Number;                  // Discover
    644_000..=659_999, [16], Number;                  // Discover
    620_000..=629_999, [16, 17, 18, 19], Number;          // UnionPay
    810_000..=817_199, [16, 17, 18, 19], Context;         // UnionPay
    220_000..=220_499, [16, 17, 18, 19], Number;          // Mir
    979_200..=979_299, [16], Number;                      // Troy
    508_500..=508_999, [16], Number;                      // RuPay
    606_985..=608_500, [16], Number;                      // RuPay
    636_297..=636_368, [16], Number;                      // Elo
    506_699..=506_778, [16], Number;                      // Elo
    60_400..=60_499, [12, 13, 14, 15, 16, 17, 18, 19], Context; // Maestro in Ukraine
    500_000..=509_999, [12, 13, 14, 15, 16, 17, 18, 19], Context; // Maestro
    560_000..=599_999, [12, 13, 14, 15, 16, 17, 18, 19], Context; // Maestro
    600_000..=699_999, [12, 13, 14, 15, 16, 17, 18, 19], Context; // Maestro
};
