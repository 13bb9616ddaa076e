//! Reads a tree by its JSON schema: every mistake with its path, and what can be read in spite.
//!
//! The published schema is what checks a file, so the two cannot disagree. Only the parts of JSON
//! Schema that our own types generate are known here.

use super::tree::{Field, Node, Tree};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;

/// Known fields that a message lists, at most.
const FIELDS_TOLD_MAX: usize = 14;

/// The shapes of all kinds and of what they are made of, by name.
pub(super) struct Shapes(pub(super) &'static Map<String, Value>);

#[derive(Debug)]
pub(super) struct Fault {
    pub(super) path: String,
    pub(super) line: u64,
    pub(super) message: String,
}

/// What was read: the mistakes, and the line of every path.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) faults: Vec<Fault>,
    pub(super) lines: BTreeMap<String, u64>,
}

impl Report {
    pub(super) fn fault(&mut self, path: &str, line: u64, message: impl Into<String>) {
        self.faults.push(Fault { path: path.to_owned(), line, message: message.into() });
    }
}

impl Shapes {
    /// Reads `tree` as the shape `name`; none if a field that must be there cannot be read.
    pub(super) fn read(&self, name: &str, tree: &Tree, report: &mut Report) -> Option<Value> {
        self.value(self.0.get(name)?, tree, "", report)
    }

    fn value(&self, shape: &Value, tree: &Tree, path: &str, report: &mut Report) -> Option<Value> {
        report.lines.entry(path.to_owned()).or_insert(tree.line);
        if let Some(shape) = self.referred(shape) {
            return self.value(shape, tree, path, report);
        }
        if let Some(choices) = alternatives(shape) {
            return self.choice(choices, tree, path, report);
        }
        if tree.node == Node::Null && allows(shape, "null") {
            return Some(Value::Null);
        }
        if let Some(words) = words(shape) {
            return word(&words, tree, path, report);
        }
        match (&tree.node, shape) {
            (Node::Map(fields), shape) if allows(shape, "object") => {
                self.object(shape, (tree, fields), path, report)
            }
            (Node::List(items), shape) if allows(shape, "array") => {
                self.array(shape, items, path, report)
            }
            (Node::Bool(value), shape) if allows(shape, "boolean") => Some(Value::Bool(*value)),
            (Node::Text(text) | Node::Number(text), shape) if allows(shape, "string") => {
                Some(Value::String(text.clone()))
            }
            (Node::Number(text), shape) if allows(shape, "integer") => {
                integer(shape, text, (path, tree.line), report)
            }
            (found, shape) => {
                let message = format!("must be {}, and is {}", expected(shape), found.word());
                report.fault(path, tree.line, message);
                None
            }
        }
    }

    fn referred(&self, shape: &Value) -> Option<&Value> {
        let name = shape.get("$ref")?.as_str()?.strip_prefix("#/$defs/")?;
        self.0.get(name)
    }

    fn object(
        &self,
        shape: &Value,
        (tree, fields): (&Tree, &[Field]),
        path: &str,
        report: &mut Report,
    ) -> Option<Value> {
        let properties = shape.get("properties").and_then(Value::as_object);
        // A map, whose names are free.
        let other = shape.get("additionalProperties").filter(|shape| shape.is_object());
        let mut read = Map::new();
        for field in fields {
            let inner = join(path, &field.name);
            report.lines.insert(inner.clone(), field.line);
            let known = properties.and_then(|properties| properties.get(&field.name));
            match known.or(other) {
                Some(shape) => {
                    if let Some(value) = self.value(shape, &field.value, &inner, report) {
                        read.insert(field.name.clone(), value);
                    }
                }
                None => {
                    let known = properties.into_iter().flat_map(Map::keys).map(String::as_str);
                    let message = unknown("field", &field.name, &known.collect::<Vec<_>>());
                    report.fault(&inner, field.line, message);
                }
            }
        }
        let required = shape.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if fields.iter().all(|field| field.name != name) {
                report.fault(&join(path, name), tree.line, "is missing");
            }
        }
        let required = shape.get("required").and_then(Value::as_array).into_iter().flatten();
        let whole = required.filter_map(Value::as_str).all(|name| read.contains_key(name));
        whole.then_some(Value::Object(read))
    }

    fn array(
        &self,
        shape: &Value,
        items: &[Tree],
        path: &str,
        report: &mut Report,
    ) -> Option<Value> {
        let shape = shape.get("items")?;
        let mut read = Vec::new();
        for (at, item) in items.iter().enumerate() {
            read.extend(self.value(shape, item, &format!("{path}[{at}]"), report));
        }
        Some(Value::Array(read))
    }

    /// One of several shapes: words, `{name: value}` objects, or nothing.
    fn choice(
        &self,
        choices: &[Value],
        tree: &Tree,
        path: &str,
        report: &mut Report,
    ) -> Option<Value> {
        if tree.node == Node::Null && choices.iter().any(|choice| allows(choice, "null")) {
            return Some(Value::Null);
        }
        let choices: Vec<&Value> = choices.iter().filter(|it| !allows(it, "null")).collect();
        if let [only] = choices.as_slice() {
            return self.value(only, tree, path, report);
        }
        let words: Vec<&str> = choices.iter().filter_map(|it| words(it)).flatten().collect();
        let names =
            |choice: &&&Value| choice.get("properties").and_then(Value::as_object).is_some();
        let objects: Vec<&&Value> = choices.iter().filter(names).collect();
        let options = options(&words, &objects);
        match &tree.node {
            Node::Text(_) if !words.is_empty() && objects.is_empty() => {
                word(&words, tree, path, report)
            }
            Node::Text(text) if words.contains(&text.as_str()) => Some(Value::String(text.clone())),
            Node::Map(fields) => {
                let [field] = fields.as_slice() else {
                    report.fault(path, tree.line, format!("must be exactly one of {options}"));
                    return None;
                };
                let has = |choice: &&&&Value| {
                    choice.pointer("/properties").is_some_and(|it| it.get(&field.name).is_some())
                };
                let Some(shape) = objects.iter().find(has) else {
                    let message = format!("`{}` is unknown: must be {options}", field.name);
                    report.fault(path, field.line, message);
                    return None;
                };
                self.value(shape, tree, path, report)
            }
            found @ (Node::Null
            | Node::Bool(_)
            | Node::Number(_)
            | Node::Text(_)
            | Node::List(_)) => {
                let message = format!("must be {options}, and is {}", found.word());
                report.fault(path, tree.line, message);
                None
            }
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn alternatives(shape: &Value) -> Option<&[Value]> {
    let choices = shape.get("oneOf").or_else(|| shape.get("anyOf"))?;
    choices.as_array().map(Vec::as_slice)
}

fn allows(shape: &Value, kind: &str) -> bool {
    match shape.get("type") {
        Some(Value::String(one)) => one == kind,
        Some(Value::Array(several)) => several.iter().any(|one| one == kind),
        _none => false,
    }
}

/// The words of a shape that is a closed set of them.
fn words(shape: &Value) -> Option<Vec<&str>> {
    if let Some(word) = shape.get("const") {
        return word.as_str().map(|word| vec![word]);
    }
    Some(shape.get("enum")?.as_array()?.iter().filter_map(Value::as_str).collect())
}

fn word(words: &[&str], tree: &Tree, path: &str, report: &mut Report) -> Option<Value> {
    match &tree.node {
        Node::Text(text) if words.contains(&text.as_str()) => Some(Value::String(text.clone())),
        Node::Text(text) => {
            report.fault(path, tree.line, format!("`{text}` is not one of {}", list(words)));
            None
        }
        found @ (Node::Null | Node::Bool(_) | Node::Number(_) | Node::List(_) | Node::Map(_)) => {
            let message = format!("must be one of {}, and is {}", list(words), found.word());
            report.fault(path, tree.line, message);
            None
        }
    }
}

fn integer(
    shape: &Value,
    text: &str,
    (path, line): (&str, u64),
    report: &mut Report,
) -> Option<Value> {
    let least = shape.get("minimum").and_then(Value::as_i64).unwrap_or(i64::MIN);
    let most = match shape.get("format").and_then(Value::as_str) {
        Some("uint32") => i64::from(u32::MAX),
        Some(_) | None => i64::MAX,
    };
    match text.parse::<i64>() {
        Ok(value) if (least..=most).contains(&value) => Some(Value::Number(Number::from(value))),
        Ok(_) if least == i64::MIN => {
            report.fault(path, line, format!("must be at most {most}"));
            None
        }
        Ok(_) => {
            report.fault(path, line, format!("must be {least} to {most}"));
            None
        }
        Err(_) => {
            report.fault(path, line, format!("must be a whole number, and is `{text}`"));
            None
        }
    }
}

fn expected(shape: &Value) -> &'static str {
    let kinds = [
        ("object", "a mapping"),
        ("array", "a list"),
        ("boolean", "true or false"),
        ("integer", "a whole number"),
        ("string", "text"),
    ];
    kinds.iter().find(|(kind, _)| allows(shape, kind)).map_or("something else", |(_, word)| word)
}

fn options(words: &[&str], objects: &[&&Value]) -> String {
    let names = objects.iter().filter_map(|it| it.get("properties")?.as_object());
    let names = names.flat_map(Map::keys).map(|name| format!("`{name}: ..`"));
    let words = words.iter().map(|word| format!("`{word}`"));
    words.chain(names).collect::<Vec<_>>().join(", ")
}

fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// The message for a word that nobody knows, with the nearest that somebody does.
pub(super) fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let near = known.iter().map(|word| (distance(name, word), *word)).min();
    match near {
        Some((changes, word)) if changes <= 1 + name.chars().count() / 4 => {
            format!("unknown {what}; did you mean `{word}`?")
        }
        Some(_) if known.len() <= FIELDS_TOLD_MAX => {
            format!("unknown {what}; known are {}", list(known))
        }
        Some(_) | None => format!("unknown {what}"),
    }
}

/// The least number of characters to insert, delete or replace (Levenshtein), without case.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, one) in from.to_lowercase().chars().take(64).enumerate() {
        let mut next = vec![line + 1];
        for ((other, above), diagonal) in to.iter().zip(row.iter().skip(1)).zip(&row) {
            let left = next.last().copied().unwrap_or_default();
            let replaced = diagonal + usize::from(*other != one);
            next.push(replaced.min(left + 1).min(above + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
