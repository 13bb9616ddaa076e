//! Judges secrets that bear the mark of their issuer.

use super::{
    guard,
    rules::{Seen, Verdict},
    words::Words,
};
use std::ops::Range;

/// Least bits in each character of a marked secret, mark included.
const ENTROPY_MIN: f64 = 2.6;

/// Longest marked secret in which words are looked for.
const COPIED_BYTES_MAX: usize = 128;

const COPIED: Words =
    Words::new(&["example", "xxxx", "your", "placeholder", "changeme", "here", "redacted", "----"]);

/// The whole match, unless it is a placeholder in the shape of a key.
pub(super) fn varied(text: &str, found: Range<usize>, _: &mut Seen) -> Verdict {
    let value = text.get(found.clone()).unwrap_or_default();
    // In a long value such letters come up by chance.
    let copied =
        value.len() <= COPIED_BYTES_MAX && COPIED.within(value.to_ascii_lowercase().as_bytes());
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
pub(super) fn mixed(text: &str, found: Range<usize>, seen: &mut Seen) -> Verdict {
    let value = text.get(found.clone()).unwrap_or_default();
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let before = text.get(..found.start).and_then(|head| head.bytes().next_back());
    let after = text.get(found.end..).map(str::as_bytes).unwrap_or_default();
    let is_file = matches!(after, [b'.', next, ..] if next.is_ascii_alphanumeric());
    if digits < 2 || matches!(before, Some(b'.' | b'/' | b'-')) || is_file {
        Verdict::Passed { resume: found.end }
    } else {
        varied(text, found, seen)
    }
}

/// An access key id, with its secret when that stands right behind it.
pub(super) fn aws_id(text: &str, found: Range<usize>, seen: &mut Seen) -> Verdict {
    let verdict = varied(text, found.clone(), seen);
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
pub(super) fn marked(_: &str, found: Range<usize>, _: &mut Seen) -> Verdict {
    Verdict::whole(found)
}

/// A token whose mark comes behind 14 letters or digits.
pub(super) fn terraform(text: &str, found: Range<usize>, seen: &mut Seen) -> Verdict {
    behind(text, &found, 14, |byte| byte.is_ascii_alphanumeric())
        .map_or(Verdict::Passed { resume: found.end }, |whole| varied(text, whole, seen))
}

/// A secret whose mark comes behind three letters, digits or signs.
pub(super) fn azure_ad(text: &str, found: Range<usize>, seen: &mut Seen) -> Verdict {
    let wanted = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'~' | b'.');
    behind(text, &found, 3, wanted)
        .map_or(Verdict::Passed { resume: found.end }, |whole| varied(text, whole, seen))
}

/// A token whose mark comes behind 76 letters or digits.
pub(super) fn azure_devops(text: &str, found: Range<usize>, seen: &mut Seen) -> Verdict {
    behind(text, &found, 76, |byte| byte.is_ascii_alphanumeric())
        .map_or(Verdict::Passed { resume: found.end }, |whole| varied(text, whole, seen))
}

/// A key that ends in the name of its data centre, behind 32 hexadecimal digits.
pub(super) fn mailchimp(text: &str, found: Range<usize>, seen: &mut Seen) -> Verdict {
    behind(text, &found, 32, is_hex)
        .map_or(Verdict::Passed { resume: found.end }, |whole| varied(text, whole, seen))
}

/// A key that ends in two short groups, behind 32 hexadecimal digits.
pub(super) fn mailgun(text: &str, found: Range<usize>, seen: &mut Seen) -> Verdict {
    // Of several groups in a row the last two are meant; so the next mark may overlap this one.
    behind(text, &found, 32, is_hex)
        .map_or(Verdict::Passed { resume: found.start + 1 }, |whole| mixed(text, whole, seen))
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// The match with the word of exactly `len` bytes before it.
fn behind(
    text: &str,
    found: &Range<usize>,
    len: usize,
    wanted: fn(u8) -> bool,
) -> Option<Range<usize>> {
    let start = found.start.checked_sub(len)?;
    let word = text.as_bytes().get(start..found.start)?;
    let before = start.checked_sub(1).and_then(|at| text.as_bytes().get(at));
    let part = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    (!part && word.iter().all(|byte| wanted(*byte))).then_some(start..found.end)
}

/// A web token (RFC 7519 section 3): two parts that begin a JSON object, and a signature.
pub(super) fn jwt(text: &str, found: Range<usize>, seen: &mut Seen) -> Verdict {
    let passed = Verdict::Passed { resume: found.start + 1 };
    if found.start < seen.jwt {
        return passed;
    }
    let bytes = text.as_bytes();
    let run = |at: usize, wanted: fn(u8) -> bool| {
        at + bytes.get(at..).unwrap_or_default().iter().take_while(|byte| wanted(**byte)).count()
    };
    let head = run(found.start, is_base64url);
    // All marks in this part have the same end, so what is not behind it is behind none of them.
    seen.jwt = head;
    if !bytes.get(head..).is_some_and(|rest| rest.starts_with(b".ey")) {
        return passed;
    }
    let body = run(head + 1, is_quoted_base64url);
    if body < head + 1 + JWT_PART_BYTES_MIN || bytes.get(body) != Some(&b'.') {
        return passed;
    }
    let signature = run(body + 1, is_quoted_base64url);
    let padding = bytes.get(signature..).unwrap_or_default().iter().take(2);
    let end = signature + padding.take_while(|byte| **byte == b'=').count();
    varied(text, found.start..end, seen)
}

const JWT_PART_BYTES_MIN: usize = 17;

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Slashes come in where a token is quoted or in the other alphabet.
fn is_quoted_base64url(byte: u8) -> bool {
    is_base64url(byte) || matches!(byte, b'/' | b'\\')
}

/// The password of an address such as `scheme://user:password@host` (RFC 3986 section 3.2.1).
pub(super) fn in_address(text: &str, found: Range<usize>, _: &mut Seen) -> Verdict {
    let resume = found.end;
    let passed = Verdict::Passed { resume };
    // The last `@` before the path ends the password: people do not escape theirs.
    let limit = text.floor_char_boundary((found.end + ADDRESS_BYTES_MAX).min(text.len()));
    let rest = text.get(found.end..limit).unwrap_or_default();
    let host = rest.find(|c: char| c.is_whitespace() || "/?#\"'`<>".contains(c));
    let more = rest.get(..host.unwrap_or(rest.len())).unwrap_or_default();
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
