//! Judges secrets that bear the mark of their issuer.

use super::{guard, rules::Verdict};
use std::ops::Range;

/// Least bits in each character of a marked secret, mark included.
const ENTROPY_MIN: f64 = 2.6;

/// Longest marked secret in which words are looked for.
const COPIED_BYTES_MAX: usize = 128;

/// The whole match, unless it is a placeholder in the shape of a key.
pub(super) fn varied(text: &str, found: Range<usize>) -> Verdict {
    let value = text.get(found.clone()).unwrap_or_default();
    // In a long value such letters come up by chance.
    let copied = value.len() <= COPIED_BYTES_MAX && {
        let low = value.to_ascii_lowercase();
        ["example", "xxxx", "your", "placeholder", "changeme", "here", "redacted", "----"]
            .iter()
            .any(|word| low.contains(word))
    };
    if copied || guard::entropy(value) < ENTROPY_MIN {
        return Verdict::Passed { resume: found.end };
    }
    Verdict::whole(found.start..found.end + overhang(text, found.end))
}

/// How far the word at the end of a match goes on: patterns have a greatest length, and what a
/// longer key has beyond it must not stay in the open.
fn overhang(text: &str, end: usize) -> usize {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let before = text.get(..end).and_then(|head| head.bytes().next_back());
    if !before.is_some_and(is_word) {
        return 0;
    }
    let mut rest = text.get(end..).unwrap_or_default().bytes().peekable();
    if !rest.peek().copied().is_some_and(is_word) {
        return 0;
    }
    rest.take_while(|byte| is_word(*byte) || *byte == b'-').count()
}

/// Like [`varied`], for short marks that words and names can hold: digits must occur too.
pub(super) fn mixed(text: &str, found: Range<usize>) -> Verdict {
    let value = text.get(found.clone()).unwrap_or_default();
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let before = text.get(..found.start).and_then(|head| head.bytes().next_back());
    let after = text.get(found.end..).map(str::as_bytes).unwrap_or_default();
    let is_file = matches!(after, [b'.', next, ..] if next.is_ascii_alphanumeric());
    if digits < 2 || matches!(before, Some(b'.' | b'/' | b'-')) || is_file {
        Verdict::Passed { resume: found.end }
    } else {
        varied(text, found)
    }
}

/// An access key id, with its secret when that stands right behind it.
pub(super) fn aws_id(text: &str, found: Range<usize>) -> Verdict {
    let verdict = varied(text, found.clone());
    let Verdict::Found { .. } = verdict else { return verdict };
    let limit = text.floor_char_boundary((found.end + AWS_GAP_BYTES_MAX + 41).min(text.len()));
    let rest = text.get(found.end..limit).unwrap_or_default();
    let mut at = 0;
    for word in rest.split(|letter: char| !letter.is_ascii_alphanumeric() && !"+/".contains(letter))
    {
        if word.len() == 40 && guard::is_random(word) && AWS_ENTROPY_MIN < guard::entropy(word) {
            return Verdict::whole(found.start..found.end + at + word.len());
        }
        at += word.len()
            + rest.get(at + word.len()..).and_then(|r| r.chars().next()).map_or(0, char::len_utf8);
    }
    verdict
}

const AWS_GAP_BYTES_MAX: usize = 48;
/// Above any hexadecimal digest, which has 4 bits at most.
const AWS_ENTROPY_MIN: f64 = 4.0;

/// The whole match: the mark alone proves it.
pub(super) fn marked(_text: &str, found: Range<usize>) -> Verdict {
    Verdict::whole(found)
}

/// The password of an address such as `scheme://user:password@host` (RFC 3986 section 3.2.1).
pub(super) fn in_address(text: &str, found: Range<usize>) -> Verdict {
    let resume = found.end;
    let passed = Verdict::Passed { resume };
    // The last `@` before the path ends the password: people do not escape theirs.
    let rest = text.get(found.end..).unwrap_or_default();
    let host = rest.find(|c: char| c.is_whitespace() || "/?#\"'`<>".contains(c));
    let more = rest.get(..host.unwrap_or(rest.len()).min(ADDRESS_BYTES_MAX)).unwrap_or_default();
    let at = more.rfind('@').map_or(found.end - 1, |at| found.end + at);
    let Some(user) = text.get(found.start + "://".len()..at).and_then(|all| all.find(':')) else {
        return passed;
    };
    let start = found.start + "://".len() + user + 1;
    let value = text.get(start..at).unwrap_or_default();
    let known = ["pass", "pw", "pwd", "secret", "token", "test", "user", "postgres", "root"];
    if value.len() < 2 || known.contains(&value) || guard::is_placeholder(value) && value.len() < 24
    {
        return passed;
    }
    Verdict::Found { span: start..at, resume: at }
}

const ADDRESS_BYTES_MAX: usize = 256;
