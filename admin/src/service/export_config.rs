//! Writes stored settings as the file that `apply` reads back without a change.

use crate::service::{apply, orgs, schema, secrets::Holder};
use policies::authority::INSTALLATION;
use policies::document::{API_VERSION, Decided, Document, Kind, SecretRef};
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
/// secrets and hashes of keys are left out; what else is left out is told in comments.
pub fn export_config(settings: &Settings, ids: Ids) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_org(&mut text, settings, ids);
    text
}

fn write_org(text: &mut String, settings: &Settings, ids: Ids) -> fmt::Result {
    let name = orgs::name(settings);
    writeln!(text, "# Settings of the org {} at revision {}.", quoted(name), settings.revision)?;
    if settings.org == INSTALLATION {
        writeln!(
            text,
            "# It is the installation itself: whoever is an operator here runs all orgs."
        )?;
    }
    write_left_out(text, settings)?;
    for kind in Kind::ALL.iter().filter(|kind| kind.is_declared()) {
        let objects = settings.objects.iter().filter(|object| object.document.kind() == *kind);
        for object in objects {
            writeln!(text, "---")?;
            write_note(text, name, &object.document)?;
            let mut document = object.document.clone();
            let id = kind.id_text(object.id);
            document.set_id((ids == Ids::Pinned).then_some(id));
            document.strip_secrets();
            write_document(text, &document)?;
        }
    }
    Ok(())
}

/// What belongs to the org and is no part of files.
fn write_left_out(text: &mut String, settings: &Settings) -> fmt::Result {
    let documents = settings.objects.iter().map(|object| &object.document);
    let pending = documents.clone().filter_map(|document| {
        let Document::Invite(invite) = document else { return None };
        invite.accepted.is_none().then(|| quoted(&invite.email))
    });
    let pending: Vec<String> = pending.collect();
    if !pending.is_empty() {
        writeln!(
            text,
            "# Left out: {} invites that were not accepted, whose links only this store knows;",
            pending.len()
        )?;
        writeln!(text, "# in another store, invite again: {}", pending.join(", "))?;
    }
    let asked = documents.filter(
        |document| matches!(document, Document::LimitRequest(it) if it.state == Decided::Pending),
    );
    match asked.count() {
        0 => Ok(()),
        asked => writeln!(text, "# Left out: {asked} requests for more that are not decided."),
    }
}

/// What another store will not know of this object.
fn write_note(text: &mut String, org: &str, document: &Document) -> fmt::Result {
    match document {
        Document::Key(_) | Document::AdminKey(_) => {
            writeln!(text, "# Its secret is not here: applied to another store, it gets a new")?;
            writeln!(text, "# secret, which is shown once.")
        }
        Document::User(user) if user.password.is_some() => {
            writeln!(
                text,
                "# The password is not here. In another store, this makes a link to set one:"
            )?;
            let (org, user) = (apply::quoted(&one_line(org)), apply::quoted(&one_line(&user.name)));
            writeln!(text, "# penstock setup-link --org {org} --user {user}")
        }
        Document::Provider(_) | Document::IdentityProvider(_) if is_sealed(document) => {
            writeln!(text, "# Its secret is not here: another store gets it by")?;
            writeln!(text, "# `penstock secrets set-credential`.")
        }
        Document::Org(_)
        | Document::Role(_)
        | Document::IdentityProvider(_)
        | Document::Unit(_)
        | Document::Project(_)
        | Document::User(_)
        | Document::Group(_)
        | Document::ServiceAccount(_)
        | Document::WorkloadIdentity(_)
        | Document::Invite(_)
        | Document::LimitRequest(_)
        | Document::Provider(_)
        | Document::Deployment(_)
        | Document::Tier(_)
        | Document::Model(_)
        | Document::Price(_)
        | Document::Limit(_)
        | Document::Budget(_)
        | Document::Policy(_) => Ok(()),
    }
}

fn is_sealed(document: &Document) -> bool {
    let held = Holder::ALL.into_iter().filter_map(|holder| holder.held(document));
    held.into_iter().any(|secret| matches!(secret, SecretRef::Sealed(_) | SecretRef::Stored(_)))
}

/// A name may hold anything; a comment ends with its line.
fn one_line(text: &str) -> String {
    text.chars()
        .filter(|it| !it.is_control() && !matches!(it, '\u{2028}' | '\u{2029}' | '\u{85}'))
        .collect()
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
