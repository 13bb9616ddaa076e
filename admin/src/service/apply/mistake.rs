//! A mistake in the settings, with the place where it can be put right.

use std::{fmt, sync::Arc};

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: Arc<str>,
    /// From 1.
    pub line: u64,
}

/// `file:line: kind name: field: message`. Without a place, it is about stored settings that the
/// file does not mention.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Located {
    pub place: Option<Place>,
    pub kind: Option<String>,
    pub name: Option<String>,
    /// Empty: the document as a whole.
    pub field: String,
    pub message: String,
}

impl Located {
    pub(super) fn of_file(place: Place, message: String) -> Self {
        Self { place: Some(place), kind: None, name: None, field: String::new(), message }
    }

    pub(super) fn with(self, kind: Option<String>, name: Option<String>, field: String) -> Self {
        Self { kind, name, field, ..self }
    }
}

impl fmt::Display for Located {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(Place { file, line }) => write!(formatter, "{file}:{line}: ")?,
            None => write!(formatter, "stored settings: ")?,
        }
        match (&self.kind, &self.name) {
            (Some(kind), Some(name)) => write!(formatter, "{kind} {name}: ")?,
            (Some(kind), None) => write!(formatter, "{kind}: ")?,
            (None, Some(name)) => write!(formatter, "{name}: ")?,
            (None, None) => {}
        }
        if !self.field.is_empty() {
            write!(formatter, "{}: ", self.field)?;
        }
        formatter.write_str(&self.message)
    }
}
