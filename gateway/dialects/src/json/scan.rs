//! The two tokens of JSON that take work: strings and numbers.

use memchr::memchr2;

use super::Problem;

/// Bytes looked at one by one before the search of long runs pays off.
const SHORT_RUN_BYTES: usize = 16;

/// A string literal that was checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scanned {
    /// Offset after the closing quote.
    pub(crate) end: usize,
    pub(crate) escaped: bool,
    /// Bytes after unescaping.
    pub(crate) bytes: usize,
}

/// Checks the literal whose opening quote is at `start`.
pub(crate) fn string(bytes: &[u8], start: usize) -> Result<Scanned, (Problem, usize)> {
    let mut at = start + 1;
    let mut saved = 0;
    let mut escaped = false;
    loop {
        at = run(bytes, at)?;
        match bytes.get(at) {
            None => return Err((Problem::End, at)),
            Some(b'"') => {
                let end = at + 1;
                return Ok(Scanned { end, escaped, bytes: end - start - 2 - saved });
            }
            Some(b'\\') => {
                let (end, decoded) = escape(bytes, at)?;
                saved += end - at - decoded;
                escaped = true;
                at = end;
            }
            Some(_) => return Err((Problem::Control, at)),
        }
    }
}

/// The offset of the next quote, backslash or control character.
fn run(bytes: &[u8], mut at: usize) -> Result<usize, (Problem, usize)> {
    let short = bytes.get(at..).unwrap_or_default();
    for byte in short.iter().take(SHORT_RUN_BYTES) {
        if *byte == b'"' || *byte == b'\\' || *byte < 0x20 {
            return Ok(at);
        }
        at += 1;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let found = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
    let plain = rest.get(..found).unwrap_or_default();
    // Without an early exit the compiler compares sixteen bytes at once.
    if plain.iter().fold(false, |seen, byte| seen | (*byte < 0x20)) {
        let control = plain.iter().position(|byte| *byte < 0x20).unwrap_or_default();
        return Err((Problem::Control, at + control));
    }
    Ok(at + found)
}

/// The end of the escape at `at`, and how many bytes it stands for.
fn escape(bytes: &[u8], at: usize) -> Result<(usize, usize), (Problem, usize)> {
    match bytes.get(at + 1) {
        None => Err((Problem::End, at)),
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok((at + 2, 1)),
        Some(b'u') => {
            let first = hex(bytes, at + 2).ok_or((Problem::Escape, at))?;
            match first {
                0x0000..=0x007f => Ok((at + 6, 1)),
                0x0080..=0x07ff => Ok((at + 6, 2)),
                0xdc00..=0xdfff => Err((Problem::Surrogate, at)),
                0xd800..=0xdbff => match (bytes.get(at + 6..at + 8), hex(bytes, at + 8)) {
                    (Some(b"\\u"), Some(0xdc00..=0xdfff)) => Ok((at + 12, 4)),
                    (_, _) => Err((Problem::Surrogate, at)),
                },
                0x0800..=0xd7ff | 0xe000..=0xffff => Ok((at + 6, 3)),
            }
        }
        Some(_) => Err((Problem::Escape, at)),
    }
}

fn hex(bytes: &[u8], at: usize) -> Option<u16> {
    let mut value = 0u16;
    for byte in bytes.get(at..at + 4)? {
        value = value << 4 | u16::try_from(char::from(*byte).to_digit(16)?).ok()?;
    }
    Some(value)
}

/// What a checked literal says, given its inside. Total: a broken escape is left out.
pub(crate) fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(rest.get(..at).unwrap_or_default());
        let bytes = rest.as_bytes();
        let (length, decoded) = match bytes.get(at + 1) {
            Some(b'n') => (2, Some('\n')),
            Some(b'r') => (2, Some('\r')),
            Some(b't') => (2, Some('\t')),
            Some(b'b') => (2, Some('\u{8}')),
            Some(b'f') => (2, Some('\u{c}')),
            Some(b'u') => unicode(bytes, at),
            Some(byte) => (2, Some(char::from(*byte))),
            None => (1, None),
        };
        out.extend(decoded);
        rest = rest.get(at + length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

fn unicode(bytes: &[u8], at: usize) -> (usize, Option<char>) {
    let Some(first) = hex(bytes, at + 2) else { return (2, None) };
    if !(0xd800..=0xdbff).contains(&first) {
        return (6, char::from_u32(u32::from(first)));
    }
    match hex(bytes, at + 8) {
        Some(second @ 0xdc00..=0xdfff) => {
            let code = 0x1_0000 + (u32::from(first - 0xd800) << 10) + u32::from(second - 0xdc00);
            (12, char::from_u32(code))
        }
        Some(_) | None => (6, None),
    }
}

/// The end of the number that begins at `start` (RFC 8259, section 6).
pub(crate) fn number(text: &str, start: usize) -> Result<usize, (Problem, usize)> {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        from + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let mut at = start + usize::from(bytes.get(start) == Some(&b'-'));
    let whole = at;
    at = digits(at);
    if at == whole || (bytes.get(whole) == Some(&b'0') && at != whole + 1) {
        return Err((Problem::Number, start));
    }
    // Fewer digits than 300 and no exponent cannot leave the range of a double.
    let mut wide = at - whole > 300;
    if bytes.get(at) == Some(&b'.') {
        let fraction = at + 1;
        at = digits(fraction);
        if at == fraction {
            return Err((Problem::Number, start));
        }
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        wide = true;
        at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = at;
        at = digits(exponent);
        if at == exponent {
            return Err((Problem::Number, start));
        }
    }
    if wide {
        let literal = text.get(start..at).unwrap_or_default();
        if !literal.parse::<f64>().is_ok_and(f64::is_finite) {
            return Err((Problem::NumberRange, start));
        }
    }
    Ok(at)
}
