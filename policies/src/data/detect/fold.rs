//! A view of text in which look-alike characters are ASCII, with the way back.

use std::ops::Range;

/// Text after folding, and where each part of it came from.
pub(super) struct Folded {
    text: String,
    /// Places where the two texts part: (byte in the folded text, byte in the raw text).
    /// INVARIANT: both rise; between two marks the texts run in step.
    marks: Vec<(usize, usize)>,
}

/// The folded view, or nothing when it would equal the text: almost always.
///
/// Full-width forms and decimal digits of all scripts become ASCII, wide spaces a space, dashes
/// a hyphen; invisible characters go; `\uXXXX` (RFC 8259 section 7) becomes its character.
pub(super) fn fold(text: &str) -> Option<Folded> {
    let first = first_change(text)?;
    let mut folded = Folded { text: String::with_capacity(text.len()), marks: vec![(0, 0)] };
    folded.text.push_str(text.get(..first)?);
    let mut at = first;
    while let Some((change, len)) = text.get(at..).and_then(step) {
        match change {
            Change::Keep(kept) => folded.text.push(kept),
            Change::Put(ascii) => {
                folded.mark(at);
                folded.text.push(ascii);
                folded.mark(at + len);
            }
            Change::Drop => {
                folded.mark(at);
                folded.mark(at + len);
            }
        }
        at += len;
    }
    Some(folded)
}

impl Folded {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The bytes of the raw text that a span of the folded text stands for.
    pub(super) fn raw(&self, span: &Range<usize>) -> Range<usize> {
        let after = self.marks.partition_point(|(folded, _)| *folded <= span.start);
        let start = self.offset(after.saturating_sub(1), span.start);
        let next = self.marks.partition_point(|(folded, _)| *folded < span.end);
        let end = match self.marks.get(next) {
            Some((folded, raw)) if *folded == span.end => *raw,
            Some(_) | None => self.offset(next.saturating_sub(1), span.end),
        };
        start..end.max(start)
    }

    fn offset(&self, mark: usize, at: usize) -> usize {
        self.marks.get(mark).map_or(at, |(folded, raw)| raw + at.saturating_sub(*folded))
    }

    fn mark(&mut self, raw: usize) {
        let mark = (self.text.len(), raw);
        if self.marks.last() != Some(&mark) {
            self.marks.push(mark);
        }
    }
}

enum Change {
    Keep(char),
    Put(char),
    Drop,
}

fn first_change(text: &str) -> Option<usize> {
    let escape = text.match_indices('\\').find_map(|(at, _)| {
        text.get(at..).and_then(escaped).filter(|_| !is_escaped(text, at)).map(|_| at)
    });
    if text.is_ascii() {
        return escape;
    }
    let mut before = ' ';
    let letter = text.char_indices().find(|(_, letter)| {
        let found = !letter.is_ascii() && matters(before, *letter);
        before = *letter;
        found
    });
    let letter = letter.map(|(at, _)| at);
    [escape, letter].into_iter().flatten().min()
}

/// Whether a character can hide something: punctuation of CJK text, dashes of prose and what
/// holds an emoji together cannot, and are far too common to read a text twice for.
fn matters(before: char, letter: char) -> bool {
    match change(letter) {
        Change::Keep(_) => false,
        Change::Put(ascii) if ascii.is_ascii_alphanumeric() => true,
        Change::Put(_) => before.is_ascii_digit(),
        Change::Drop => before.is_ascii_graphic(),
    }
}

/// Whether the backslash at `at` is itself escaped; then it starts no escape.
fn is_escaped(text: &str, at: usize) -> bool {
    let slashes = text.bytes().take(at).rev().take_while(|byte| *byte == b'\\').count();
    slashes % 2 == 1
}

fn step(rest: &str) -> Option<(Change, usize)> {
    let letter = rest.chars().next()?;
    if letter == '\\'
        && let Some(value) = escaped(rest)
    {
        let put = match change(value) {
            Change::Keep(kept) | Change::Put(kept) => Change::Put(kept),
            Change::Drop => Change::Drop,
        };
        return Some((put, ESCAPE_BYTES));
    }
    Some((change(letter), letter.len_utf8()))
}

const ESCAPE_BYTES: usize = 6;

/// The character of a `\uXXXX` at the start of `rest`, when folding it can matter.
fn escaped(rest: &str) -> Option<char> {
    let hex = rest.strip_prefix("\\u")?.get(..4)?;
    if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let value = u32::from_str_radix(hex, 16).ok().and_then(char::from_u32)?;
    (value.is_ascii_graphic() || value == ' ' || !matches!(change(value), Change::Keep(_)))
        .then_some(value)
}

fn change(letter: char) -> Change {
    match letter {
        '\0'..='\u{7f}' => Change::Keep(letter),
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
            Change::Put(' ')
        }
        '\u{85}' | '\u{2028}' | '\u{2029}' => Change::Put('\n'),
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' => Change::Put('-'),
        // Soft hyphen, joiners, marks of direction, variation selectors, tags.
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{180b}'..='\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{e0000}'..='\u{e01ef}' => Change::Drop,
        '\u{ff01}'..='\u{ff5e}' => {
            char::from_u32(u32::from(letter) - 0xfee0).map_or(Change::Keep(letter), Change::Put)
        }
        _ => digit(letter).map_or(Change::Keep(letter), Change::Put),
    }
}

fn digit(letter: char) -> Option<char> {
    let code = u32::from(letter);
    let after = ZEROS.partition_point(|zero| *zero <= code);
    let zero = ZEROS.get(after.checked_sub(1)?)?;
    let value = code.checked_sub(*zero)?;
    // The mathematical digits are five alphabets in a row.
    let rows = if *zero == MATHEMATICAL_ZERO { 5 } else { 1 };
    (value < 10 * rows).then(|| char::from_digit(value % 10, 10)).flatten()
}

const MATHEMATICAL_ZERO: u32 = 0x1d7ce;

/// The digit nought of every decimal script (Unicode general category Nd), sorted.
#[rustfmt::skip]
const ZEROS: &[u32] = &[
    0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66,
    0x0ce6, 0x0d66, 0x0de6, 0x0e50, 0x0ed0, 0x0f20, 0x1040, 0x1090, 0x17e0, 0x1810,
    0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0,
    0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136,
    0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50,
    0x11d50, 0x11da0, 0x16a60, 0x16ac0, 0x16b50, 0x1d7ce, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn plain_text_needs_no_second_view() {
        assert!(fold("plain, with \\n and \\\\u0031 and \\ux").is_none());
        assert!(fold("café 日本 ß").is_none());
    }

    #[test]
    fn digits_of_every_script_become_ascii_and_map_back() {
        let raw = "é ４\u{200b}٢\u{2014}\\u0037 𝟗";

        let folded = fold(raw).unwrap();

        assert_eq!(folded.text(), "é 42-7 9");
        let at = folded.text().find("42-7").unwrap();
        let span = folded.raw(&(at..at + 4));
        assert_eq!(&raw[span], "４\u{200b}٢\u{2014}\\u0037");
        let last = folded.text().len();
        assert_eq!(&raw[folded.raw(&(last - 1..last))], "𝟗");
    }

    #[test]
    fn invisible_characters_at_the_rim_are_left_out() {
        let raw = "a\u{200b}42\u{200b}b";

        let folded = fold(raw).unwrap();

        assert_eq!(&raw[folded.raw(&(1..3))], "42");
    }
}
