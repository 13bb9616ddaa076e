//! From JSON text to trees: one document, an array of them, or one after another (NDJSON).

use super::{
    source::Unreadable,
    tree::{DEPTH_MAX, Field, Node, Tree},
};
use serde::{
    Deserialize,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

pub(super) fn documents(text: &str) -> Vec<Result<Tree, Unreadable>> {
    let lines = Lines::new(text);
    let mut documents = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        let value = match value {
            Ok(value) => value.get(),
            Err(error) => {
                // Nothing behind a syntax error can be told apart.
                let line = u64::try_from(error.line()).unwrap_or(u64::MAX);
                documents.push(Err(Unreadable { line, message: message(&error) }));
                break;
            }
        };
        match serde_json::from_str::<Vec<&RawValue>>(value) {
            Ok(items) if value.starts_with('[') => {
                documents.extend(items.into_iter().map(|item| lines.tree(item.get(), 0)));
            }
            Ok(_) | Err(_) => documents.push(lines.tree(value, 0)),
        }
    }
    documents
}

/// The error's own words without its place, which is told apart and for the whole file.
fn message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split_once(" at line ").map_or(text.as_str(), |(message, _)| message).to_owned()
}

/// Where each line of a text begins.
struct Lines<'a> {
    text: &'a str,
    begins: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { text, begins: breaks.map(|(at, _)| at + 1).collect() }
    }

    /// The line on which `part`, a slice of the text, begins.
    fn of(&self, part: &str) -> u64 {
        let at = part.as_ptr().addr().saturating_sub(self.text.as_ptr().addr());
        let before = self.begins.partition_point(|begin| *begin <= at);
        u64::try_from(before).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn tree(&self, text: &'a str, depth: usize) -> Result<Tree, Unreadable> {
        let line = self.of(text);
        let fault = |message: String| Unreadable { line, message };
        if DEPTH_MAX < depth {
            return Err(fault(format!("nested deeper than {DEPTH_MAX}")));
        }
        let read = |error: serde_json::Error| fault(message(&error));
        let node = match text.as_bytes().first() {
            Some(b'{') => {
                let Fields(fields) = serde_json::from_str(text).map_err(read)?;
                let field = |(name, value): (String, &'a RawValue)| {
                    let value = self.tree(value.get(), depth + 1)?;
                    Ok(Field { name, line: value.line, value })
                };
                Node::Map(fields.into_iter().map(field).collect::<Result<_, Unreadable>>()?)
            }
            Some(b'[') => {
                let items: Vec<&'a RawValue> = serde_json::from_str(text).map_err(read)?;
                let items = items.into_iter().map(|item| self.tree(item.get(), depth + 1));
                Node::List(items.collect::<Result<_, Unreadable>>()?)
            }
            Some(b'"') => Node::Text(serde_json::from_str(text).map_err(read)?),
            Some(b'n') => Node::Null,
            Some(b't') => Node::Bool(true),
            Some(b'f') => Node::Bool(false),
            Some(_) | None => Node::Number(text.to_owned()),
        };
        Ok(Tree { line, node })
    }
}

/// An object's fields in their order; a name that appears twice is a mistake.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields: Vec<(String, &'de RawValue)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<Cow<'de, str>, _>()? {
                    if fields.iter().any(|(known, _)| *known == name) {
                        let message = format!("the field `{name}` appears twice");
                        return Err(serde::de::Error::custom(message));
                    }
                    fields.push((name.into_owned(), value));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}
