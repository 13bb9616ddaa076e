//! Writes stored settings as the file that `apply` reads back without a change.

use crate::service::{orgs, schema};
use policies::document::{API_VERSION, Document, Kind};
use serde_json::Value;
use std::fmt::{self, Write};
use store::Settings;

/// Whether the documents pin the ids of their objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// For moving settings to another store.
    Left,
    /// For renaming objects, and for a copy that keeps their identity.
    Pinned,
}

/// The documents of one org as YAML, in the order in which they refer to each other. Defaults,
/// secrets and hashes of keys are left out.
pub fn export_config(settings: &Settings, ids: Ids) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_org(&mut text, settings, ids);
    text
}

fn write_org(text: &mut String, settings: &Settings, ids: Ids) -> fmt::Result {
    let name = orgs::name(settings);
    writeln!(text, "# Settings of the org {} at revision {}.", quoted(name), settings.revision)?;
    for kind in Kind::ALL.iter().filter(|kind| kind.is_declared()) {
        let objects = settings.objects.iter().filter(|object| object.document.kind() == *kind);
        for object in objects {
            writeln!(text, "---")?;
            if matches!(kind, Kind::Key | Kind::AdminKey) {
                writeln!(
                    text,
                    "# Its secret is not here: applied to another store, it gets a new"
                )?;
                writeln!(text, "# secret, which is shown once.")?;
            }
            let mut document = object.document.clone();
            let id = kind.id_text(object.id);
            document.set_id((ids == Ids::Pinned).then_some(id));
            document.strip_secrets();
            write_document(text, &document)?;
        }
    }
    Ok(())
}

fn write_document(text: &mut String, document: &Document) -> fmt::Result {
    let title = schema::title(document.kind());
    writeln!(text, "apiVersion: {API_VERSION}\nkind: {title}")?;
    let mut value = serde_json::to_value(document).unwrap_or_default();
    schema::strip_defaults(document.kind(), &mut value);
    let Value::Object(mut fields) = value else { return Ok(()) };
    // What a reader looks for first goes first; the rest is in the order of the alphabet.
    for name in ["id", "org", "name"] {
        if let Some(value) = fields.remove(name) {
            write_field(text, name, &value, 0)?;
        }
    }
    fields.remove("kind");
    fields.iter().try_for_each(|(name, value)| write_field(text, name, value, 0))
}

fn write_field(text: &mut String, name: &str, value: &Value, indent: usize) -> fmt::Result {
    let margin = " ".repeat(indent);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            writeln!(text, "{margin}{name}:")?;
            let mut inner = fields.iter();
            inner.try_for_each(|(name, value)| write_field(text, name, value, indent + 2))
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            writeln!(text, "{margin}{name}:")?;
            items.iter().try_for_each(|item| writeln!(text, "{margin}  - {}", inline(item)))
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Object(_)
        | Value::Array(_) => writeln!(text, "{margin}{name}: {}", inline(value)),
    }
}

/// In YAML's flow style, on one line.
fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{name}: {}", inline(value));
            format!("{{ {} }}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Plain where no reader of YAML could take it for anything but text; else double-quoted, with
/// JSON's escapes, which YAML 1.2 shares, for all but printable ASCII.
fn quoted(text: &str) -> String {
    let word = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|it| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.' | '/'));
    let lower = text.to_ascii_lowercase();
    let reserved =
        ["null", "true", "false", "yes", "no", "on", "off", "y", "n"].contains(&lower.as_str());
    if word && !reserved {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for it in text.chars() {
        match it {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            ' '..='~' => quoted.push(it),
            other if other.is_alphabetic() => quoted.push(other),
            other => {
                // Writing to a string cannot fail.
                let _ = write!(quoted, "\\U{:08X}", u32::from(other));
            }
        }
    }
    quoted.push('"');
    quoted
}
