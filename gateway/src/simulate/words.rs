//! The vocabulary of the simulator and its own, simple way of counting tokens.
//!
//! One word is one token here, and every word is also one token of `o200k_base`, alone and with
//! the space before it. A tokenizer that counts right agrees with the oracle to the token.

/// The words an answer is made of, each with the space that joins it to the one before.
pub(super) const WORDS: [&str; 96] = [
    " the", " river", " light", " water", " stone", " green", " house", " small", " wind",
    " spring", " night", " road", " field", " tree", " cloud", " bird", " bridge", " garden",
    " window", " summer", " winter", " rain", " snow", " fire", " earth", " sea", " lake", " hill",
    " ground", " forest", " leaf", " flower", " root", " seed", " grain", " bread", " salt",
    " wood", " iron", " gold", " silver", " glass", " paper", " book", " page", " word", " letter",
    " voice", " song", " story", " name", " hand", " eye", " heart", " mind", " door", " wall",
    " floor", " table", " chair", " lamp", " clock", " boat", " ship", " port", " metal", " shore",
    " wave", " sand", " star", " moon", " sun", " sky", " day", " hour", " year", " age", " north",
    " south", " east", " west", " slow", " quick", " deep", " high", " low", " long", " short",
    " old", " new", " warm", " cold", " dark", " clear", " quiet", " open",
];

/// Text of two, three and four bytes a character, for readers that cut inside one.
pub(super) const WIDE: [&str; 24] = [
    "川",
    "光",
    "山",
    "水",
    "你好",
    "世界",
    "日本",
    "東京",
    "雨",
    "雪",
    "🌊",
    "🙂",
    "한국",
    "바다",
    "🚀",
    "é",
    "ñ",
    "👩‍🔬",
    "🇨🇭",
    "𝄞",
    "、",
    "。",
    "语",
    "ü",
];

/// What each message costs beside its words, in tokens.
pub(super) const MESSAGE_TOKENS: u64 = 4;

/// What each request costs beside its messages, in tokens.
pub(super) const REQUEST_TOKENS: u64 = 3;

/// What each image costs, in tokens, whatever its size.
pub(super) const IMAGE_TOKENS: u64 = 85;

/// The tokens of a text: its words, parted by white space.
pub(super) fn count(text: &str) -> u64 {
    u64::try_from(text.split_whitespace().count()).unwrap_or(u64::MAX)
}

/// A sequence that looks arbitrary and is the same for the same seed.
#[derive(Clone, Copy)]
pub(super) struct Sequence(u64);

// === impl Sequence ===

impl Sequence {
    pub(super) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// The sequence that also depends on `bytes`.
    pub(super) fn with(self, bytes: &[u8]) -> Self {
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self(bytes.iter().fold(self.0, mix))
    }

    /// What stands for the whole sequence, in an id.
    pub(super) fn mark(self) -> u64 {
        self.0
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let once = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let twice = (once ^ (once >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        twice ^ (twice >> 31)
    }

    /// One of `words`, or nothing where there is none.
    pub(super) fn pick(&mut self, words: &[&'static str]) -> &'static str {
        let count = u64::try_from(words.len()).unwrap_or(1).max(1);
        let at = usize::try_from(self.next() % count).unwrap_or(0);
        words.get(at).copied().unwrap_or("")
    }

    /// `count` words joined by single spaces.
    pub(super) fn sentence(&mut self, count: usize) -> String {
        let text: String = (0..count).map(|_| self.pick(&WORDS)).collect();
        text.trim_start().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn words_are_distinct_short_and_lower_case() {
        let distinct: HashSet<_> = WORDS.iter().collect();

        assert_eq!(distinct.len(), WORDS.len());
        for word in WORDS {
            let letters = word.strip_prefix(' ').unwrap();
            assert!(letters.chars().all(|letter| letter.is_ascii_lowercase()), "{word}");
        }
    }

    #[test]
    fn a_sequence_is_the_same_for_the_same_seed_and_another_for_another() {
        let sentence = |seed: &[u8]| Sequence::new().with(seed).sentence(12);

        assert_eq!(sentence(b"one"), sentence(b"one"));
        assert_ne!(sentence(b"one"), sentence(b"two"));
        assert_eq!(count(&sentence(b"one")), 12);
    }
}
