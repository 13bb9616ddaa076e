//! Looks for any of several words in a short text, reading it once.

/// Words, and which pairs of letters begin them.
#[derive(Debug)]
pub(super) struct Words {
    words: &'static [&'static str],
    /// A bit for each slot of a pair.
    pairs: [u64; SLOTS / 64],
}

const SLOTS: usize = 1024;

impl Words {
    /// Words of two bytes or more.
    pub(super) const fn new(words: &'static [&'static str]) -> Self {
        let mut pairs = [0; SLOTS / 64];
        let mut rest = words;
        while let [word, more @ ..] = rest {
            if let [first, second, ..] = word.as_bytes()
                && let Some((_, slots)) = pairs.split_at_mut_checked(slot(*first, *second) / 64)
                && let [bits, ..] = slots
            {
                *bits |= 1 << (slot(*first, *second) % 64);
            }
            rest = more;
        }
        Self { words, pairs }
    }

    /// Whether one of the words stands anywhere in `text`.
    pub(super) fn within(&self, text: &[u8]) -> bool {
        let mut rest = text;
        while let [first, more @ ..] = rest {
            if let [second, ..] = more
                && self.may_begin(*first, *second)
                && self.words.iter().any(|word| rest.starts_with(word.as_bytes()))
            {
                return true;
            }
            rest = more;
        }
        false
    }

    fn may_begin(&self, first: u8, second: u8) -> bool {
        let slot = slot(first, second);
        self.pairs.get(slot / 64).is_some_and(|bits| bits >> (slot % 64) & 1 == 1)
    }
}

const fn slot(first: u8, second: u8) -> usize {
    (first as usize * 37 + second as usize) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::Words;

    #[test]
    fn a_word_is_found_wherever_it_stands_and_nothing_else_is() {
        const WORDS: Words = Words::new(&["card", "карт", "ab"]);

        for text in ["card", "a card", "xab", "моя карта", "cacard"] {
            assert!(WORDS.within(text.as_bytes()), "{text}");
        }
        for text in ["", "c", "car", "ca rd", "кар", "acb"] {
            assert!(!WORDS.within(text.as_bytes()), "{text}");
        }
    }
}
