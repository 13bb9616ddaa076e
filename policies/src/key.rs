//! The written form of an API key, so that a wrong one is known without a look-up.
//!
//! A key is `psk_`, 43 characters that carry 32 random bytes, and 6 characters that carry the
//! CRC-32 of all that stands before them: 53 characters. The alphabet is base62 (`0-9A-Za-z`),
//! most significant digit first, filled up with `0`. The prefix and the checksum let scanners of
//! source code tell a leaked key from other text without asking us. The checksum keeps no secret.

/// What every key begins with.
pub const KEY_PREFIX: &str = "psk_";
/// What every key for administration begins with.
pub const ADMIN_KEY_PREFIX: &str = "psa_";
/// Bytes of chance in a key.
pub const KEY_RANDOM_BYTES: usize = 32;
/// Characters of a key.
pub const KEY_CHARS: usize = KEY_PREFIX.len() + BODY_CHARS + CHECKSUM_CHARS;

const BODY_CHARS: usize = 43;
const CHECKSUM_CHARS: usize = 6;
/// Characters that are kept of a key. INVARIANT: no more than the checksum has.
const TAIL_CHARS: usize = 4;
const BASE: u32 = 62;
const ALPHABET: &[u8; BASE as usize] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The text of a key made of `random`.
pub fn key_text(random: &[u8; KEY_RANDOM_BYTES]) -> String {
    text(KEY_PREFIX, random)
}

/// The text of a key for administration made of `random`.
pub fn admin_key_text(random: &[u8; KEY_RANDOM_BYTES]) -> String {
    text(ADMIN_KEY_PREFIX, random)
}

/// How a key's text ends: a part of its checksum, which helps nobody to guess the rest.
pub fn tail(text: &str) -> Option<String> {
    let place = text.len().checked_sub(TAIL_CHARS)?;
    text.get(place..).map(str::to_owned)
}

/// Reads 64 hexadecimal digits.
pub fn sha256(hex: &str) -> Option<[u8; 32]> {
    let (high, low) = hex.split_at_checked(32)?;
    if low.len() != 32 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let half = |digits| u128::from_str_radix(digits, 16).map(u128::to_be_bytes).ok();
    let mut hash = [0; 32];
    let bytes = half(high)?.into_iter().chain(half(low)?);
    hash.iter_mut().zip(bytes).for_each(|(into, byte)| *into = byte);
    Some(hash)
}

fn text(prefix: &str, random: &[u8; KEY_RANDOM_BYTES]) -> String {
    let mut text = format!("{prefix}{}", base62(random, BODY_CHARS));
    let checksum = base62(&crc32(text.as_bytes()).to_be_bytes(), CHECKSUM_CHARS);
    text.push_str(&checksum);
    text
}

/// Whether `text` has the form of a key of either kind, and a checksum that fits.
pub fn check_key_text(text: &str) -> bool {
    let prefixes = [KEY_PREFIX, ADMIN_KEY_PREFIX];
    let Some(body) = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix)) else {
        return false;
    };
    if text.len() != KEY_CHARS || !body.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return false;
    }
    let Some((before, checksum)) = text.split_at_checked(KEY_CHARS - CHECKSUM_CHARS) else {
        return false;
    };
    base62(&crc32(before.as_bytes()).to_be_bytes(), CHECKSUM_CHARS) == checksum
}

/// `number` (big-endian) in `width` base62 digits; digits that do not fit are dropped, and the
/// widths above have none.
fn base62(number: &[u8], width: usize) -> String {
    let mut number = number.to_vec();
    let mut digits = Vec::with_capacity(width);
    for _ in 0..width {
        let mut rest = 0;
        for byte in &mut number {
            let value = rest << 8 | u32::from(*byte);
            *byte = u8::try_from(value / BASE).unwrap_or(u8::MAX);
            rest = value % BASE;
        }
        let digit = usize::try_from(rest).ok().and_then(|at| ALPHABET.get(at));
        digits.push(char::from(digit.copied().unwrap_or(b'0')));
    }
    digits.iter().rev().collect()
}

/// CRC-32 as in ISO/IEC 3309 and Ethernet: reflected polynomial `EDB88320`.
fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0xEDB8_8320 } else { sum >> 1 };
        }
    }
    !sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_checksum_is_the_crc_32_that_everybody_knows() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn the_widths_hold_the_greatest_numbers() {
        let greatest = base62(&[u8::MAX; KEY_RANDOM_BYTES], BODY_CHARS + 1);

        assert!(greatest.starts_with('0') && !greatest.starts_with("00"), "{greatest}");
        assert!(base62(&[u8::MAX; 4], CHECKSUM_CHARS + 1).starts_with('0'));
        assert_eq!(base62(&[0; KEY_RANDOM_BYTES], BODY_CHARS), "0".repeat(BODY_CHARS));
        assert_eq!(base62(&[61], 2), "0z");
        assert_eq!(base62(&[1, 0], 2), "48");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let key = key_text(&[7; KEY_RANDOM_BYTES]);

        assert_eq!(key.len(), KEY_CHARS);
        for text in ["", "psk_", "sk-abc", &key[1..], &key[..52], &format!("{key}0"), "psk_é"] {
            assert!(!check_key_text(text), "{text}");
        }
        assert!(!check_key_text(&key.replace("psk_", "PSK_")));
        assert!(!check_key_text(&format!("psk_{}", "é".repeat(24) + "0")));
    }

    proptest! {
        #[test]
        fn a_key_is_a_key_and_one_wrong_character_makes_it_none(
            random: [u8; KEY_RANDOM_BYTES], at in 4..KEY_CHARS, digit in 0..62usize,
        ) {
            let key = key_text(&random);
            prop_assert!(check_key_text(&key));

            let mut wrong = key.clone().into_bytes();
            wrong[at] = ALPHABET[digit];
            let wrong = String::from_utf8(wrong).unwrap();
            prop_assert_eq!(check_key_text(&wrong), wrong == key);
        }
    }
}
