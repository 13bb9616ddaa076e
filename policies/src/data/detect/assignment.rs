//! Judges values that are secret because of the name in front of them: `db_password = "…"`.

use super::{
    guard,
    rules::{Seen, Verdict},
    words::Words,
};
use std::ops::Range;

const VALUE_BYTES_MAX: usize = 1024;
const GAP_BYTES_MAX: usize = 24;

/// Names inside of one word whose values are judged: real text has one or two.
const WORD_NAMES_MAX: usize = 4;

/// What stands after a telling name and an operator, judged by how much the name tells.
pub(super) fn value(text: &str, found: Range<usize>, seen: &mut Seen) -> Verdict {
    let passed = Verdict::Passed { resume: found.end };
    if found.start < seen.name {
        return passed;
    }
    let run = found.end + name_len(text, found.end);
    // Names in the rest of this one are followed by the same operator or by none.
    seen.name = run;
    let Some(end) = operator(text, run) else { return passed };
    if end < seen.word {
        seen.word_names += 1;
        if WORD_NAMES_MAX <= seen.word_names {
            return passed;
        }
    } else {
        seen.word = end + word_len(text.get(end..).unwrap_or_default());
        seen.word_names = 0;
    }
    let secret = |value: &Value<'_>| may_be_secret(value) && tells(text, found.start, value);
    match judge(text, found.start..end, secret) {
        Verdict::Found { span, .. } => {
            seen.name = seen.name.max(span.end);
            Verdict::Found { span, resume: found.end }
        }
        Verdict::Passed { .. } => passed,
    }
}

/// Whether `value` is secret because of the key of its member: `{"password": "…"}`. `found` is
/// where a telling name matches in the key.
pub(super) fn member(key: &str, found: &Range<usize>, value: &str) -> bool {
    let whole = found.end + name_len(key, found.end) == key.len();
    let value = unschemed(Value { text: value, span: 0..value.len(), quoted: true });
    whole && !value.text.contains('\n') && tells(key, found.start, &value)
}

fn tells(text: &str, name: usize, value: &Value<'_>) -> bool {
    let name = name_of(text, name);
    if HARMLESS.within(&name) {
        return false;
    }
    if PASSWORDS.within(&name) {
        return guard::is_password(value.text, value.quoted);
    }
    if TOKENS.within(&name) {
        return guard::is_random(value.text) || is_long_number(value.text);
    }
    NAMED_BYTES_MIN <= value.text.len()
        && guard::is_random(value.text)
        && !guard::is_uuid(value.text)
}

/// Small letters alone are never enough, and most of what follows a name in code is that.
fn may_be_secret(value: &Value<'_>) -> bool {
    value.text.bytes().any(|byte| !byte.is_ascii_lowercase())
}

fn name_len(text: &str, at: usize) -> usize {
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    rest.iter().take_while(|byte| is_name(**byte)).count()
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

/// The end of what stands between a name and its value: quotes, a type, an operator.
fn operator(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let run = |at: usize, most: usize, wanted: &[u8]| {
        let rest = bytes.get(at..).unwrap_or_default().iter();
        at + rest.take(most).take_while(|byte| wanted.contains(byte)).count()
    };
    let starts =
        |at: usize, word: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(word));
    let blank = |at: usize| run(at, usize::MAX, b" \t");
    let quotes = run(at, 3, b"\"'`])\\");
    let mut at = blank(quotes);
    if quotes < at && (starts(at, b"string") || starts(at, b"String")) {
        at = blank(at + "string".len());
    } else if quotes < at && starts(at, b"value") {
        at = blank(at + "value".len());
        return starts(at, b"=").then_some(at + 1);
    }
    let lead = run(at, 3, b":?.|<");
    if starts(lead, b"=") {
        return Some(lead + 1 + usize::from(starts(lead + 1, b">")));
    }
    let bars = run(at, 2, b"|");
    if starts(bars, b":") {
        return Some(bars + 1);
    }
    (starts(at, b",") || starts(at, b">")).then_some(at + 1)
}

/// After the name of a service or a bare `key`, shorter values are names of things.
const NAMED_BYTES_MIN: usize = 16;

const PASSWORDS: Words = Words::new(&["pass", "pwd"]);
const TOKENS: Words = Words::new(&[
    "secret",
    "token",
    "apikey",
    "accesskey",
    "authkey",
    "privatekey",
    "encryptionkey",
    "credential",
    "signingkey",
    "masterkey",
    "accountkey",
    "clientkey",
    "adminkey",
    "webhook",
    "bearer",
]);
/// Names of what is random but no secret.
const HARMLESS: Words = Words::new(&[
    "csrf",
    "xsrf",
    "authenticity",
    "nonce",
    "pagetoken",
    "nexttoken",
    "continuationtoken",
    "cursor",
    "publickey",
    "cachekey",
    "primarykey",
    "foreignkey",
    "idempotency",
    "sortkey",
    "partitionkey",
    "keyword",
    "tokenizer",
    "maxtoken",
    "keyid",
    "fingerprint",
    "checksum",
    "keyhash",
    "tokenhash",
    "etag",
    "publickeytoken",
    "integrity",
    "passthrough",
    "compass",
    "bypass",
    "keycode",
]);

/// The whole name in small letters without its separators: `db.API_Key` is `dbapikey`.
fn name_of(text: &str, at: usize) -> Vec<u8> {
    let (head, tail) = text.as_bytes().split_at_checked(at).unwrap_or_default();
    let before = head.iter().rev().take(NAME_BYTES_MAX).take_while(|byte| is_name(**byte)).count();
    let tail =
        tail.iter().take(NAME_BYTES_MAX).take_while(|byte| is_name(**byte) || **byte == b' ');
    let name = head.iter().skip(at - before).chain(tail);
    name.filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect()
}

const NAME_BYTES_MAX: usize = 64;

fn is_long_number(value: &str) -> bool {
    (17..=20).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_digit())
        && 2.5 < guard::entropy(value)
}

/// `my password is …`, as people write it.
pub(super) fn told(text: &str, found: Range<usize>, _: &mut Seen) -> Verdict {
    judge(text, found, |value| {
        let trimmed = value.text.trim_end_matches(['.', '!', '?']);
        guard::is_password(trimmed, value.quoted)
    })
}

/// `Authorization: Bearer …` and `Basic …` (RFC 6750 section 2.1, RFC 7617).
pub(super) fn header(text: &str, found: Range<usize>, _: &mut Seen) -> Verdict {
    let value = unquoted(text, found.end);
    if value.text.len() < 12 || !guard::is_random(value.text) {
        return Verdict::Passed { resume: found.end };
    }
    Verdict::Found { span: whole(text, &value), resume: found.end }
}

/// `curl -u user:password`: both sides, since services put the key on either.
pub(super) fn curl_user(text: &str, found: Range<usize>, _: &mut Seen) -> Verdict {
    let passed = Verdict::Passed { resume: found.end };
    let rest = text.get(found.end..).unwrap_or_default();
    let len = shell_word(rest);
    let word = rest.get(..len).unwrap_or_default();
    let bare: String = word.chars().filter(|letter| !matches!(letter, '"' | '\'')).collect();
    let Some((user, pass)) = bare.split_once(':') else { return passed };
    let secret = if pass.is_empty() { user } else { pass };
    let stand_in = secret.eq_ignore_ascii_case(user) && !pass.is_empty()
        || guard::is_placeholder(secret)
        || secret.starts_with('$')
        || secret.len() < 4;
    let plain = !secret.bytes().any(|byte| byte.is_ascii_digit()) && guard::entropy(secret) < 3.0;
    if stand_in || plain || !spoken_to_curl(text, found.start) {
        return passed;
    }
    Verdict::Found { span: found.end..found.end + len, resume: found.end }
}

fn spoken_to_curl(text: &str, at: usize) -> bool {
    let from = text.floor_char_boundary(at.saturating_sub(512));
    text.get(from..at).is_some_and(|before| before.contains("curl") || before.contains("http"))
}

fn shell_word(rest: &str) -> usize {
    let mut quote = None;
    for (at, letter) in rest.char_indices().take(VALUE_BYTES_MAX) {
        match (quote, letter) {
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'') => quote = Some(letter),
            (None, space) if space.is_whitespace() => return at,
            (Some(_), '\n') => return at,
            _ => {}
        }
    }
    rest.len().min(rest.floor_char_boundary(VALUE_BYTES_MAX))
}

struct Value<'text> {
    text: &'text str,
    span: Range<usize>,
    quoted: bool,
}

fn judge(text: &str, found: Range<usize>, secret: impl Fn(&Value<'_>) -> bool) -> Verdict {
    let resume = found.end;
    let head = text.get(found.clone()).unwrap_or_default();
    let value = value_after(text, found.end);
    let argument = |value: &Value<'_>| value.quoted && ARGUMENT_BYTES_MIN <= value.text.len();
    let sure = |value: &Value<'_>| {
        opens_call(text, found.start)
            || (LISTED_BYTES_MIN <= value.text.len() && guard::has_digit(value.text))
    };
    // `f("TOKEN", "x")` is an assignment, `(token, key)` is not; `<token>x` is, `token > x` not.
    let fits = match head.as_bytes().last() {
        Some(b',') => argument(&value) && head.contains(['"', '\'']) && sure(&value),
        Some(b'>') => head.ends_with("=>") || opens_tag(text, found.start),
        _ => true,
    };
    let called = !value.quoted && value.text.contains('(');
    if fits && !called && secret(&value) {
        Verdict::Found { span: whole(text, &value), resume }
    } else {
        Verdict::Passed { resume }
    }
}

const ARGUMENT_BYTES_MIN: usize = 8;
/// In a list a name and its value are strings side by side, and so are any two words.
const LISTED_BYTES_MIN: usize = 32;

fn opens_call(text: &str, key: usize) -> bool {
    let before = text.get(..key).unwrap_or_default().bytes().rev().take(NAME_BYTES_MAX);
    let mut before =
        before.skip_while(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(byte));
    matches!(before.next(), Some(b'"' | b'\'')) && before.next() == Some(b'(')
}

fn opens_tag(text: &str, key: usize) -> bool {
    let before = text.get(..key).unwrap_or_default().bytes().rev().take(NAME_BYTES_MAX);
    let mut before =
        before.skip_while(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(byte));
    before.next() == Some(b'<')
}

fn value_after(text: &str, at: usize) -> Value<'_> {
    let rest = text.get(at..).unwrap_or_default();
    let blank = rest.bytes().take(GAP_BYTES_MAX).take_while(u8::is_ascii_whitespace).count();
    let start = at + blank;
    let value = quoted(text, start).unwrap_or_else(|| unquoted(text, start));
    unschemed(value)
}

/// Without the scheme in front, as a header has it (RFC 9110 section 11.1).
fn unschemed(value: Value<'_>) -> Value<'_> {
    match value.text.split_once(' ') {
        Some((scheme, bare))
            if ["bearer", "basic", "token"].iter().any(|one| scheme.eq_ignore_ascii_case(one)) =>
        {
            let start = value.span.start + scheme.len() + 1;
            Value { text: bare, span: start..start + bare.len(), ..value }
        }
        Some(_) | None => value,
    }
}

fn quoted(text: &str, at: usize) -> Option<Value<'_>> {
    let rest = text.get(at..)?;
    let open = ["\\\"", "\\'", "\"\"\"", "\"", "'", "`"]
        .into_iter()
        .find(|mark| rest.starts_with(mark))?;
    let start = at + open.len();
    let limit = text.floor_char_boundary(start.saturating_add(VALUE_BYTES_MAX).min(text.len()));
    let body = text.get(start..limit)?;
    let len = body.find(open)?;
    let value = body.get(..len).filter(|value| !value.contains('\n'))?;
    Some(Value { text: value, span: start..start + len, quoted: true })
}

/// At most [`JUDGED_BYTES_MAX`] of the value: what tells is at its start.
fn unquoted(text: &str, at: usize) -> Value<'_> {
    let limit = text.floor_char_boundary(at.saturating_add(JUDGED_BYTES_MAX).min(text.len()));
    let rest = text.get(at..limit).unwrap_or_default();
    let value = rest.get(..word_len(rest)).unwrap_or_default().trim_end_matches(['.', ':']);
    Value { text: value, span: at..at + value.len(), quoted: false }
}

const JUDGED_BYTES_MAX: usize = 72;

fn word_len(rest: &str) -> usize {
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`<>,;)]}\\&|".contains(byte);
    rest.bytes().take(VALUE_BYTES_MAX).take_while(|byte| !ends(byte)).count()
}

/// The value to its end, which may lie past the part that was judged.
fn whole(text: &str, value: &Value<'_>) -> Range<usize> {
    let rest = text.get(value.span.end..).unwrap_or_default();
    let more =
        if value.quoted || value.text.len() + 4 < JUDGED_BYTES_MAX { 0 } else { word_len(rest) };
    value.span.start..text.ceil_char_boundary(value.span.end + more)
}
