//! From YAML 1.2 text to trees, under limits that alias bombs cannot pass.

use super::{
    source::Unreadable,
    tree::{DEPTH_MAX, Field, Node, Tree},
};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{Spanned, options};
use std::fmt;

/// Values in one document, at most, with everything that aliases repeat.
const NODES_MAX: usize = 50_000;
/// Aliases in one document, at most.
const ALIASES_MAX: usize = 200;

/// The documents of `text`, each parsed alone, so that one that is broken hides no other.
pub(super) fn documents(text: &str) -> Vec<Result<Tree, Unreadable>> {
    let pieces = pieces(text).into_iter();
    let filled = pieces.filter(|(_, piece)| piece.lines().any(has_content));
    filled.map(|(first_line, piece)| document(piece, first_line)).collect()
}

/// Cuts at document markers; they stand in the first column and cannot be part of any value
/// (YAML 1.2.2, section 9.1.2). Each piece with the number of lines before it.
fn pieces(text: &str) -> Vec<(u64, &str)> {
    let mut pieces = Vec::new();
    let (mut begin, mut begin_line, mut at) = (0, 0, 0);
    for (line, content) in (0..).zip(text.split_inclusive('\n')) {
        let marker = ["---", "..."].iter().any(|marker| {
            let rest = content.strip_prefix(marker);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
        });
        if marker && begin < at {
            pieces.push((begin_line, text.get(begin..at).unwrap_or_default()));
            (begin, begin_line) = (at, line);
        }
        at += content.len();
    }
    pieces.push((begin_line, text.get(begin..).unwrap_or_default()));
    pieces
}

fn has_content(line: &str) -> bool {
    let line = line.strip_prefix("---").or_else(|| line.strip_prefix("...")).unwrap_or(line);
    let line = line.trim_start();
    !line.is_empty() && !line.starts_with('#') && !line.starts_with('%')
}

fn document(piece: &str, lines_before: u64) -> Result<Tree, Unreadable> {
    let options = options! {
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX + 4,
            max_nodes: NODES_MAX,
            max_aliases: ALIASES_MAX,
            max_documents: 1,
        },
    };
    // A piece that begins with `...` only ends the one before it.
    let body = piece.strip_prefix("...").unwrap_or(piece);
    let root: Spanned<Yaml> = serde_saphyr::from_str_with_options(body, options).map_err(|it| {
        let line = it.location().map_or(1, |location| location.line().max(1));
        let message = it.without_snippet().to_string();
        // Its place is told apart, and for the whole file.
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        Unreadable { line: line + lines_before, message }
    })?;
    Ok(tree(root, body, lines_before))
}

enum Yaml {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Spanned<Yaml>>),
    Map(Vec<(Spanned<String>, Spanned<Yaml>)>),
}

fn tree(found: Spanned<Yaml>, source: &str, lines_before: u64) -> Tree {
    let raw = written(&found, source);
    let node = match found.value {
        Yaml::Null => Node::Null,
        Yaml::Bool(value) => Node::Bool(value),
        Yaml::Number(value) => Node::Number(raw.unwrap_or(value)),
        Yaml::Text(value) => Node::Text(value),
        Yaml::List(items) => {
            Node::List(items.into_iter().map(|item| tree(item, source, lines_before)).collect())
        }
        Yaml::Map(fields) => {
            let field = |(name, value): (Spanned<String>, Spanned<Yaml>)| Field {
                line: name.referenced.line() + lines_before,
                name: name.value,
                value: tree(value, source, lines_before),
            };
            Node::Map(fields.into_iter().map(field).collect())
        }
    };
    Tree { line: found.referenced.line() + lines_before, node }
}

/// A number as it is written: a float would forget `0.10`, and digits beyond the seventeenth.
fn written(found: &Spanned<Yaml>, source: &str) -> Option<String> {
    let span = found.defined.span();
    let begin = usize::try_from(span.byte_offset()?).ok()?;
    let rest = source.get(begin..)?;
    let number = |byte: char| byte.is_ascii_alphanumeric() || matches!(byte, '.' | '-' | '+' | '_');
    let text = rest.split(|byte| !number(byte)).next()?;
    text.parse::<f64>().ok().map(|_| text.to_owned())
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Yaml;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_none<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Yaml, E> {
        Ok(Yaml::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Yaml, E> {
        Ok(Yaml::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Yaml, E> {
        Ok(Yaml::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Yaml, E> {
        Ok(Yaml::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Yaml, E> {
        Ok(Yaml::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Yaml, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Yaml::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Yaml, A::Error> {
        let mut map = Vec::new();
        while let Some(field) = fields.next_entry()? {
            map.push(field);
        }
        Ok(Yaml::Map(map))
    }
}
