//! New names for the keys of a document, none of which comes twice.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::Document;

/// Hands out names that no key of a document has.
///
/// Two keys of one object may be masked by the same words, and an object that holds a key twice
/// means something else to every server.
#[derive(Debug)]
pub struct FreshKeys<'a> {
    taken: BTreeSet<Cow<'a, str>>,
    /// How often a name was asked for, so that the search for a free one does not begin anew.
    asked: BTreeMap<String, usize>,
}

impl<'a> FreshKeys<'a> {
    pub fn of(document: &'a Document) -> Self {
        let keys = document.segments().iter().filter(|segment| segment.is_key);
        Self { taken: keys.map(|key| document.text(key)).collect(), asked: BTreeMap::new() }
    }

    /// `wish`, or with `#2` and so on behind it where that name is taken already.
    pub fn name(&mut self, wish: &str) -> String {
        let asked = self.asked.entry(wish.to_owned()).or_insert(0);
        let mut name = wish.to_owned();
        loop {
            *asked = asked.saturating_add(1);
            if 1 < *asked {
                name = format!("{wish}#{asked}");
            }
            // Ends: the document has fewer keys than there are numbers.
            if self.taken.insert(Cow::Owned(name.clone())) {
                return name;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::FreshKeys;

    #[test]
    fn no_name_is_given_that_a_key_has_or_another_got() {
        let body = Bytes::from_static(br#"{"a":{"m":1,"m#3":2},"b":"m#4"}"#);
        let document = crate::json::read(&body).unwrap();
        let mut keys = FreshKeys::of(&document);

        let names = ["m", "m", "m", "x", "x"].map(|wish| keys.name(wish));

        assert_eq!(names, ["m#2", "m#4", "m#5", "x", "x#2"]);
    }
}
