//! How an object looks in the API, and how a document is read from a body.

use crate::{
    failure::{Failure, Invalid},
    service::{
        apply::{Misfit, fingerprint_of, fitted},
        edit::shown,
        schema,
    },
};
use policies::{
    document::{Document, Key, Kind, Object},
    rights::Reach,
    time::Timestamp,
};
use serde_json::{Map, Value};

/// Fields that the API writes around a document, and does not read.
const OURS: [&str; 5] = ["object", "id", "created_at", "kind", "previous_secret_until"];

/// An object as the API shows it: its document with id and age, without org and secrets.
pub(crate) fn view(object: &Object) -> Value {
    let document = &object.document;
    let mut fields = Map::new();
    let word = document.kind().word().replace(' ', "_");
    fields.insert("object".to_owned(), Value::String(word));
    fields.insert("id".to_owned(), Value::String(document.kind().id_text(object.id)));
    fields.insert("created_at".to_owned(), Value::String(age(object.id).rfc3339()));
    if let Value::Object(body) = body(document) {
        fields.extend(body);
    }
    if let Document::Key(Key { previous: Some(previous), .. }) = document {
        fields.insert("previous_secret_until".to_owned(), Value::from(previous.until.as_str()));
    }
    Value::Object(fields)
}

/// The moment at which an id was made: the first 48 bits of a UUIDv7 (RFC 9562, section 5.7).
pub(crate) fn age(id: [u8; 16]) -> Timestamp {
    let millis = id.iter().take(6).fold(0, |millis, byte| millis << 8 | i64::from(*byte));
    Timestamp(millis)
}

/// The fields of a document that are its own, without secrets.
pub(crate) fn body(document: &Document) -> Value {
    let mut value = shown(document);
    if let Value::Object(fields) = &mut value {
        for name in ["org", "kind", "id"] {
            fields.remove(name);
        }
    }
    value
}

/// Changes whenever anything of the document does.
pub(crate) fn etag(document: &Document) -> String {
    let text = serde_json::to_vec(document).unwrap_or_default();
    let hash = fingerprint_of(&text);
    format!("\"{}\"", hex::encode(hash.get(..12).unwrap_or(&hash)))
}

/// Reads a document from a body. Unknown fields are mistakes.
pub(crate) fn document(kind: Kind, org: &str, body: Value) -> Result<Document, Failure> {
    let Value::Object(mut fields) = body else {
        return Err(Failure::malformed("the body must be a JSON object"));
    };
    for name in OURS {
        fields.remove(name);
    }
    for name in ["sha256", "tail", "previous", "password"] {
        if fields.contains_key(name) {
            return Err(Failure::invalid(name, "is written by Penstock, never by hand"));
        }
    }
    let sealed = ["credential", "client_secret"];
    for name in sealed {
        let wrong = fields.get(name).and_then(|value| value.get("sealed")).is_some();
        if wrong {
            return Err(Failure::invalid(name, "is sealed by Penstock, never by hand"));
        }
    }
    if fields.contains_key("org") {
        return Err(Failure::invalid("org", "unknown field: the org is the one that is asked"));
    }
    if kind != Kind::Org {
        fields.insert("org".to_owned(), Value::String(org.to_owned()));
    }
    let title = schema::title(kind);
    let mut fitting = fitted(schema::shapes(), &title, &Value::Object(fields)).map_err(misfits)?;
    if let Value::Object(fields) = &mut fitting {
        fields.insert("kind".to_owned(), Value::String(title));
    }
    serde_json::from_value(fitting).map_err(|fault| Failure::invalid("", fault.to_string()))
}

/// The same mistakes in the API's words.
pub(crate) fn misfits(misfits: Vec<Misfit>) -> Failure {
    let invalid = |it: Misfit| Invalid { field: it.field, message: it.message };
    Failure::Invalid(misfits.into_iter().map(invalid).collect())
}

/// JSON Merge Patch (RFC 7396, section 2): null removes, objects merge, all else replaces.
pub(crate) fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        into.clone_from(patch);
        return;
    };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    let Value::Object(fields) = into else { return };
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

/// Whether `reach` is the project of this name or id.
pub(crate) fn is_project(reach: Reach, wanted: &str, objects: &[Object]) -> bool {
    let Reach::Project(id) = reach else { return false };
    id.to_string() == wanted
        || objects.iter().any(|it| {
            it.id == *id.as_bytes()
                && it.document.kind() == Kind::Project
                && it.document.name() == wanted
        })
}
