//! The JSON schema of an apply file, generated from the types that read it.

use policies::document::{API_VERSION, Document, Kind};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

static SHAPES: LazyLock<Map<String, Value>> = LazyLock::new(definitions);

/// The schema of one document (JSON Schema, draft 2020-12), for editors and for `apply` itself.
pub fn schema() -> Value {
    let mut definitions = SHAPES.clone();
    let mut one_of = Vec::new();
    for kind in Kind::ALL.iter().filter(|kind| kind.is_declared()) {
        let name = title(*kind);
        if let Some(Value::Object(definition)) = definitions.get_mut(&name) {
            head(definition, &name);
            one_of.push(json!({ "$ref": format!("#/$defs/{name}") }));
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Penstock settings",
        "description": "One document of a file for `penstock apply`.",
        "oneOf": one_of,
        "$defs": definitions,
    })
}

/// The value of `kind` in a document.
pub(crate) fn title(kind: Kind) -> String {
    format!("{kind:?}")
}

/// The shape of each kind, and of what they are made of, by name; without `apiVersion` and `kind`.
pub(crate) fn shapes() -> &'static Map<String, Value> {
    &SHAPES
}

/// Takes each field out of a document of `kind` that reading would give the same value.
pub(super) fn strip_defaults(kind: Kind, document: &mut Value) {
    if let Some(shape) = SHAPES.get(&title(kind)) {
        strip(shape, document);
    }
}

fn strip(shape: &Value, value: &mut Value) {
    if let Some(name) = shape.get("$ref").and_then(Value::as_str) {
        let name = name.strip_prefix("#/$defs/").unwrap_or(name);
        SHAPES.get(name).into_iter().for_each(|shape| strip(shape, value));
        return;
    }
    match value {
        Value::Object(fields) => {
            let Some(properties) = shape.get("properties") else { return };
            fields.retain(|name, value| {
                let Some(shape) = properties.get(name) else { return true };
                let default = shape.get("default") == Some(value);
                strip(shape, value);
                !default
            });
        }
        Value::Array(items) => {
            let shape = shape.get("items").unwrap_or(&Value::Null);
            items.iter_mut().for_each(|item| strip(shape, item));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn definitions() -> Map<String, Value> {
    let mut whole = schemars::schema_for!(Document).to_value();
    let Some(Value::Object(mut definitions)) = whole.get_mut("$defs").map(Value::take) else {
        return Map::new();
    };
    if let Some(Value::Array(kinds)) = whole.get_mut("oneOf").map(Value::take) {
        definitions.extend(kinds.into_iter().filter_map(kind));
    }
    definitions
}

/// One branch of the document's schema, without its tag, by the tag.
fn kind(mut shape: Value) -> Option<(String, Value)> {
    let tag = shape.get_mut("properties")?.as_object_mut()?.remove("kind")?;
    let name = tag.get("const")?.as_str()?.to_owned();
    shape.get_mut("required")?.as_array_mut()?.retain(|field| field != "kind");
    Some((name, shape))
}

fn head(definition: &mut Map<String, Value>, name: &str) {
    if let Some(Value::Object(properties)) = definition.get_mut("properties") {
        properties.insert("apiVersion".to_owned(), json!({ "const": API_VERSION }));
        properties.insert("kind".to_owned(), json!({ "const": name }));
    }
    if let Some(Value::Array(required)) = definition.get_mut("required") {
        required.push(json!("apiVersion"));
        required.push(json!("kind"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    #[test]
    #[expect(clippy::disallowed_methods, reason = "tests may be asked to write their goldens")]
    fn the_manual_holds_the_schema_that_the_program_prints() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("manual/apply.schema.json");
        let now = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        if std::env::var("UPDATE_GOLDEN").is_ok() {
            fs::write(&path, &now).unwrap();
        }

        let manual = fs::read_to_string(&path).unwrap_or_default();

        assert!(manual == now, "run the tests with UPDATE_GOLDEN=1, and read the difference");
    }

    #[test]
    fn every_kind_has_a_shape_and_no_shape_tells_of_key_hashes() {
        let schema = schema();

        let declared = Kind::ALL.iter().filter(|kind| kind.is_declared()).count();
        assert_eq!(schema["oneOf"].as_array().unwrap().len(), declared);
        assert!(!schema.to_string().contains("sha256"));
    }
}
