//! Tells values that look drawn by chance from placeholders, words and code.

use super::words::Words;

/// Whether a value stands for a secret instead of being one.
pub(super) fn is_placeholder(value: &str) -> bool {
    let low = value.to_ascii_lowercase();
    has_bare_word(&low) || is_reference(value, &low)
}

/// A reference to a value, or a word that is never part of one. `low` is `value` in small letters.
fn is_reference(value: &str, low: &str) -> bool {
    let reference = low.starts_with(['$', '<', '{', '[', '%', '@', '*', '(']) && !has_digit(low)
        || ["${", "{{", "$(", "<%", "%s", "%(", "#{"].iter().any(|mark| low.contains(mark))
        || (low.starts_with('$') && low.bytes().skip(1).all(is_name_byte))
        || (low.starts_with('<') && low.ends_with('>'));
    reference
        || STAND_INS.within(low.as_bytes())
        || (value.len() <= 12 && low.starts_with("12345"))
        || distinct(value) <= 3
}

const STAND_INS: Words = Words::new(&[
    "example",
    "changeme",
    "change_me",
    "change-me",
    "placeholder",
    "dummy",
    "sample",
    "redacted",
    "insert",
    "replace",
    "fixme",
    "foobar",
    "xxxx",
    "****",
    "....",
    "____",
    "password",
    "passwd",
    "mysecret",
    "my_secret",
    "my-secret",
    "mytoken",
    "apikey",
    "api_key",
    "api-key",
    "username",
    "undefined",
    "masked",
    "_here",
    "-here",
    "process.env",
    "environ",
    "getenv",
    "tokenhere",
    "keyhere",
    "stringhere",
    "deadbeef",
    "01234567890",
    "abcdefghijkl",
]);

/// Only as whole parts of a value: these letters can stand in a random one.
const WORDS: &[&str] = &[
    "your", "todo", "test", "none", "null", "true", "false", "hidden", "secret", "token", "fake",
    "user", "pass", "string", "value", "admin", "root", "env", "key", "default", "optional",
];

fn has_bare_word(low: &str) -> bool {
    low.split(|letter: char| !letter.is_ascii_alphanumeric()).any(|part| WORDS.contains(&part))
}

/// Whether a part mixes letters and digits: `hunter2-very-secret` is a password for all its words.
fn has_made_up_part(low: &str) -> bool {
    low.split(|letter: char| !letter.is_ascii_alphanumeric()).any(|part| {
        MADE_UP_BYTES_MIN <= part.len()
            && has_digit(part)
            && part.bytes().any(|byte| byte.is_ascii_alphabetic())
    })
}

const MADE_UP_BYTES_MIN: usize = 6;

pub(super) fn has_digit(value: &str) -> bool {
    value.bytes().any(|byte| byte.is_ascii_digit())
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn distinct(value: &str) -> u32 {
    let seen = value.bytes().fold(0_u128, |seen, byte| seen | 1 << (byte & 0x7f));
    seen.count_ones()
}

/// Whether a value is too varied for a word, a name, a date or a path.
pub(super) fn is_random(value: &str) -> bool {
    let letters = value.bytes().filter(u8::is_ascii_alphabetic).count();
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let plain = letters + digits;
    let spaced = value.bytes().any(|byte| byte.is_ascii_whitespace());
    if spaced || plain * 4 < value.len() * 3 {
        return false;
    }
    let mixed = 0 < letters && 0 < digits;
    if !mixed && (letters == 0 || value.len() < 16 || turns(value) < 5) {
        return false;
    }
    let needed = match value.len() {
        0..10 => return false,
        10..16 => 2.5,
        _ => 2.9,
    };
    needed <= entropy(value)
        && worded(value) * 5 <= value.len() * 2
        && !looks_like_code(value)
        && !is_placeholder(value)
}

/// Whether a value may be a password that a person or a generator made.
pub(super) fn is_password(value: &str, quoted: bool) -> bool {
    let digit = has_digit(value);
    let letter = value.bytes().any(|byte| byte.is_ascii_alphabetic());
    let sign = value.bytes().any(|byte| {
        byte.is_ascii_punctuation() && !matches!(byte, b'_' | b'.' | b'-' | b'/' | b':' | b'=')
    });
    // Without quotes it may be a word of prose or a name in code: more is asked.
    let telling = quoted || digit || (sign && 8 <= value.len());
    let mixed = letter && (digit || sign);
    PASSWORD_BYTES_MIN <= value.len()
        && mixed
        && telling
        && 4 < distinct(value)
        && !is_stand_in(value)
        && !looks_like_code(value)
        && (sign || worded(value) * 10 <= value.len() * 9)
}

fn is_stand_in(value: &str) -> bool {
    let low = value.to_ascii_lowercase();
    is_reference(value, &low) || (has_bare_word(&low) && !has_made_up_part(&low))
}

const PASSWORD_BYTES_MIN: usize = 6;

/// Calls, member paths, addresses, files, dates.
fn looks_like_code(value: &str) -> bool {
    let call = value.contains('(') && (value.ends_with(')') || value.contains("()"))
        || ["::", "->", "["].iter().any(|mark| value.contains(mark))
        || value.starts_with(':');
    let path = value.contains("://") || value.starts_with('/') || value.starts_with("./");
    let number = value.bytes().all(|byte| {
        byte.is_ascii_digit() || matches!(byte, b'.' | b':' | b'-' | b'T' | b'Z' | b'+' | b'/')
    });
    let member = value.contains('.')
        && value.split('.').all(|part| {
            part.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
                && part.len() <= 24
                && part.bytes().all(is_name_byte)
                && part.bytes().filter(u8::is_ascii_digit).count() <= 1
        });
    call || path || number || member
}

/// Bits in each character, from how often each occurs in the value itself.
pub(super) fn entropy(value: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in value.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let all = f64::from(u32::try_from(value.len()).unwrap_or(u32::MAX));
    let share = |count: &u32| f64::from(*count) / all;
    -counts.iter().filter(|count| 0 < **count).map(share).map(|p| p * p.log2()).sum::<f64>()
}

/// Bytes of `value` that are in word-like stretches: letters of one word, said aloud easily.
fn worded(value: &str) -> usize {
    let mut sum = 0;
    for part in value.split(|letter: char| !letter.is_ascii_alphabetic()) {
        let mut start = 0;
        let bytes = part.as_bytes();
        for at in 1..=bytes.len() {
            let hump = bytes.get(at).is_some_and(u8::is_ascii_uppercase)
                && bytes.get(at - 1).is_some_and(u8::is_ascii_lowercase);
            if at == bytes.len() || hump {
                sum += bytes.get(start..at).filter(|word| is_wordlike(word)).map_or(0, <[u8]>::len);
                start = at;
            }
        }
    }
    sum
}

fn is_wordlike(part: &[u8]) -> bool {
    let hump =
        part.iter().skip(1).all(u8::is_ascii_lowercase) || part.iter().all(u8::is_ascii_uppercase);
    let rare = part.windows(2).filter(|pair| !is_common(pair)).count();
    let allowed = usize::from(6 <= part.len());
    3 <= part.len() && hump && rare <= allowed
}

fn is_common(pair: &[u8]) -> bool {
    let place = |byte: Option<&u8>| {
        byte.map(|byte| usize::from(byte.to_ascii_lowercase().wrapping_sub(b'a')))
    };
    let [Some(first), Some(second)] = [place(pair.first()), place(pair.last())] else {
        return false;
    };
    COMMON_PAIRS.get(first).is_some_and(|row| row >> second & 1 == 1)
}

/// Which letter may well follow which in English words: a row for each first letter, and in it
/// a bit for each second letter, `a` lowest. Counted over technical prose; about a third are set.
#[rustfmt::skip]
const COMMON_PAIRS: [u32; 26] = [
    0x13ebd6e, 0x0164911, 0x01a4d95, 0x0164919, 0x0fff97f, 0x0124931,
    0x01661d1, 0x01a4111, 0x2aef87f, 0x0000000, 0x0040111, 0x11c4919,
    0x014d113, 0x03c6d7d, 0x07efd6f, 0x01ec991, 0x0100000, 0x13efd7d,
    0x11cdd95, 0x11e4995, 0x00eb95f, 0x0004111, 0x0026191, 0x0088110,
    0x0048000, 0x0000011,
];

/// How often small and capital letters take turns.
fn turns(value: &str) -> usize {
    let pairs = value.bytes().zip(value.bytes().skip(1));
    pairs
        .filter(|(a, b)| a.is_ascii_alphabetic() && b.is_ascii_alphabetic())
        .filter(|(a, b)| a.is_ascii_lowercase() != b.is_ascii_lowercase())
        .count()
}

/// A UUID (RFC 9562 section 4): an identifier far more often than a secret.
pub(super) fn is_uuid(value: &str) -> bool {
    value.len() == 36
        && value.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Whether words that go with payment cards occur.
pub(super) fn speaks_of_cards(text: &str) -> bool {
    CARD_WORDS.within(text.to_lowercase().as_bytes())
}

const CARD_WORDS: Words = Words::new(&[
    "card",
    "visa",
    "maestro",
    "amex",
    "credit",
    "debit",
    "payment",
    "carte",
    "karte",
    "tarjeta",
    "carta",
    "cartão",
    "cartao",
    "kaart",
    "betaal",
    "карт",
    "信用卡",
    "银行卡",
    "卡号",
    "カード",
    "카드",
    "kartı",
    "बैंक कार्ड",
    "بطاقة",
]);

/// Whether `word` may touch a card number without a gap.
pub(super) fn is_card_word(word: &str) -> bool {
    ["visa", "card", "amex", "mastercard", "maestro", "pan", "cc", "no", "nr", "u"]
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_no_secrets() {
        for value in [
            "changeme",
            "<your key>",
            "${API_KEY}",
            "$API_KEY",
            "xxxxxxxxxxxxxxxx",
            "example-1a2b",
            "{{ token }}",
            "aaaaaaaaaaaaaaaaaaaa",
            "your-api-token-1",
            "os.environ['X']",
        ] {
            assert!(is_placeholder(value), "{value}");
        }
    }

    #[test]
    fn words_and_code_are_not_random() {
        for value in [
            "request.headers.authorization",
            "llama3-instruct-quantized",
            "nextTokenValue2",
            "2026-01-02T03:04:05Z",
            "/var/run/secrets/token1",
            "getToken(1)",
            "refresh_interval_30",
        ] {
            assert!(!is_random(value), "{value}");
        }
    }

    #[test]
    fn drawn_values_are_random() {
        for value in ["9f86d081884c7d659a2feaa0c55ad015", "vQ7hT2mXc9Lp4RzW", "k3j8x0q2z7w5"] {
            assert!(is_random(value), "{value}");
        }
    }

    #[test]
    fn passwords_of_people_count_when_mixed() {
        assert!(is_password("hunter2", false));
        assert!(is_password("Tr0ub4dor&3", true));
        assert!(!is_password("form.password", false));
        assert!(!is_password("correct", true));
        assert!(!is_password("String", false));
    }
}
