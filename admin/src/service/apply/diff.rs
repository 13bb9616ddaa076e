//! What a change changes, field by field, for people to read before it is made.

use super::sealed::dropped;
use crate::service::{edit, schema, secrets::Holder};
use policies::document::{Document, Object};
use serde_json::Value;
use std::{collections::BTreeMap, fmt, iter::Sum};

/// Characters of a value that a line shows, at most.
const VALUE_CHARS_MAX: usize = 120;

/// How many objects each thing happens to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub created: usize,
    pub changed: usize,
    pub renamed: usize,
    pub removed: usize,
    pub unchanged: usize,
}

#[derive(Debug, Default)]
pub(super) struct Difference {
    acts: Vec<Act>,
    unchanged: usize,
}

#[derive(Debug)]
enum Act {
    Created { title: String, fields: Vec<(String, String)> },
    Changed { title: String, fields: Vec<Change>, drops: Option<Holder> },
    Renamed { title: String, new: String, fields: Vec<Change>, drops: Option<Holder> },
    Removed { title: String, drops: Option<Holder> },
}

#[derive(Debug)]
struct Change {
    path: String,
    before: Option<String>,
    after: Option<String>,
}

/// Both lists are of one org; objects are told apart by id.
pub(super) fn difference(before: &[Object], after: &[Object]) -> Difference {
    let old: BTreeMap<[u8; 16], &Document> =
        before.iter().map(|object| (object.id, &object.document)).collect();
    let mut difference = Difference::default();
    for object in after {
        match old.get(&object.id) {
            None => difference.acts.push(created(&object.document)),
            Some(old) if **old == object.document => difference.unchanged += 1,
            Some(old) => difference.acts.push(changed(old, &object.document)),
        }
    }
    let gone = before.iter().filter(|object| after.iter().all(|kept| kept.id != object.id));
    difference.acts.extend(
        gone.map(|it| Act::Removed {
            title: title(&it.document),
            drops: dropped(&it.document, None),
        }),
    );
    difference
}

fn title(document: &Document) -> String {
    format!("{} {}", document.kind(), document.name())
}

fn created(document: &Document) -> Act {
    let mut value = serde_json::to_value(document).unwrap_or_default();
    schema::strip_defaults(document.kind(), &mut value);
    Act::Created { title: title(document), fields: fields(value).into_iter().collect() }
}

fn changed(old: &Document, new: &Document) -> Act {
    // With defaults: that a default has become something else is a change to show.
    let whole = |document: &Document| fields(edit::shown(document));
    let (before, after) = (whole(old), whole(new));
    let mut paths: Vec<&String> = before.keys().chain(after.keys()).collect();
    paths.sort();
    paths.dedup();
    let change = |path: &String| Change {
        path: path.clone(),
        before: before.get(path).cloned(),
        after: after.get(path).cloned(),
    };
    let fields =
        paths.into_iter().map(change).filter(|change| change.before != change.after).collect();
    let drops = dropped(old, Some(new));
    match old.name() == new.name() {
        true => Act::Changed { title: title(new), fields, drops },
        false => Act::Renamed { title: title(old), new: new.name().to_owned(), fields, drops },
    }
}

/// Every field but those that the title shows and those that nobody may read.
fn fields(document: Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    if let Value::Object(fields) = document {
        let shown =
            |name: &str| !matches!(name, "kind" | "id" | "org" | "name" | "sha256" | "tail");
        for (name, value) in fields.into_iter().filter(|(name, _)| shown(name)) {
            flatten(&name, &value, &mut found);
        }
    }
    found
}

fn flatten(path: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                flatten(&format!("{path}.{name}"), value, found);
            }
        }
        Value::String(text) => {
            found.insert(path.to_owned(), shown(text));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            found.insert(path.to_owned(), shown(&value.to_string()));
        }
    }
}

/// One line of text, whatever it holds, and not a long one.
fn shown(text: &str) -> String {
    let clean: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    match clean.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}..", clean.get(..end).unwrap_or_default()),
        None => clean,
    }
}

// === impl Difference ===

impl Difference {
    pub(super) fn is_empty(&self) -> bool {
        self.acts.is_empty()
    }

    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts { unchanged: self.unchanged, ..Counts::default() };
        for act in &self.acts {
            match act {
                Act::Created { .. } => counts.created += 1,
                Act::Changed { .. } => counts.changed += 1,
                Act::Renamed { .. } => counts.renamed += 1,
                Act::Removed { .. } => counts.removed += 1,
            }
        }
        counts
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.acts.iter().try_for_each(|act| act.fmt(formatter))
    }
}

impl fmt::Display for Act {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created { title, fields } => {
                let fields = fields.iter().map(|(path, value)| format!("{path}={value}"));
                let fields = fields.collect::<Vec<_>>().join(" ");
                let gap = if fields.is_empty() { "" } else { "  " };
                writeln!(formatter, "  + {title}{gap}{}", shown(&fields))
            }
            Self::Changed { title, fields, drops } => {
                writeln!(formatter, "  ~ {title}")?;
                fields.iter().try_for_each(|change| change.fmt(formatter))?;
                tell_dropped(formatter, *drops)
            }
            Self::Renamed { title, new, fields, drops } => {
                writeln!(formatter, "  ~ {title} is renamed to {new}")?;
                fields.iter().try_for_each(|change| change.fmt(formatter))?;
                tell_dropped(formatter, *drops)
            }
            Self::Removed { title, drops } => {
                writeln!(formatter, "  - {title}")?;
                tell_dropped(formatter, *drops)
            }
        }
    }
}

/// That a value is lost which nobody can read back.
fn tell_dropped(formatter: &mut fmt::Formatter<'_>, drops: Option<Holder>) -> fmt::Result {
    match drops {
        Some(holder) => {
            writeln!(formatter, "      {}: THE SEALED VALUE IS DROPPED", holder.field())
        }
        None => Ok(()),
    }
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
        let (before, after) = (value(&self.before), value(&self.after));
        writeln!(formatter, "      {}: {before} -> {after}", self.path)
    }
}

// === impl Counts ===

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { created, changed, renamed, removed, unchanged } = self;
        write!(
            formatter,
            "{created} created, {changed} changed, {renamed} renamed, {removed} removed, \
             {unchanged} unchanged"
        )
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |sum, part| Self {
            created: sum.created + part.created,
            changed: sum.changed + part.changed,
            renamed: sum.renamed + part.renamed,
            removed: sum.removed + part.removed,
            unchanged: sum.unchanged + part.unchanged,
        })
    }
}
