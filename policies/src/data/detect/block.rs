//! Finds where a private key in text armour ends (RFC 7468, RFC 9580 section 6.2).

use super::rules::{Seen, Verdict};
use std::ops::Range;

/// A block longer than this is masked up to here; no private key comes near it.
const BLOCK_BYTES_MAX: usize = 64 * 1024;
/// Without a line of at least so many characters of key it is a heading in prose.
const KEY_BYTES_MIN: usize = 24;
const FOOT: &str = "-----END";
const DASHES: &str = "-----";
const FOOT_NAME_BYTES_MAX: usize = 64;

/// The whole block. One that was cut off is masked as far as its key characters go.
pub(super) fn check(text: &str, found: Range<usize>, _: &mut Seen) -> Verdict {
    let limit = text.floor_char_boundary(found.end.saturating_add(BLOCK_BYTES_MAX).min(text.len()));
    let rest = text.get(found.end..limit).unwrap_or_default();
    // Up to the next dashes only: many heads in a row must not be read again and again.
    let near = rest.get(..rest.find(DASHES).unwrap_or(rest.len())).unwrap_or_default();
    let armour = near.bytes().take_while(|byte| is_armour(*byte)).count();
    let body = near.get(..armour).unwrap_or_default();
    let foot = rest.get(armour..).and_then(|foot| foot.strip_prefix(FOOT)).and_then(|name| {
        name.find(DASHES).filter(|at| *at <= FOOT_NAME_BYTES_MAX).map(|at| at + DASHES.len())
    });
    let end = armour + foot.map_or(0, |name| FOOT.len() + name);
    let longest = body.split(|letter| !is_key(letter)).map(str::len).max().unwrap_or(0);
    if longest < KEY_BYTES_MIN {
        return Verdict::Passed { resume: found.end };
    }
    let span = found.start..found.end + end;
    Verdict::Found { resume: span.end, span }
}

fn is_key(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '+' | '/' | '=')
}

/// Keys stand in mail (`> `), in JSON (`\\n`) and in source code (`"…" +`) too.
fn is_armour(byte: u8) -> bool {
    is_key(char::from(byte)) || byte.is_ascii_whitespace() || b"\\-:,>\"'".contains(&byte)
}
