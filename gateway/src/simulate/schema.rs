//! A value that fits a JSON schema, well enough for a client that parses what it asked for.

use crate::simulate::words::Sequence;
use serde_json::{Map, Value, json};

/// How deep a schema is followed; below that, values are null.
const DEPTH_MAX: usize = 8;

/// An example of `schema`; a plain object where there is no schema.
pub(super) fn example(schema: &Value, words: &mut Sequence) -> Value {
    if schema.is_object() {
        value(schema, words, DEPTH_MAX)
    } else {
        json!({ "answer": words.sentence(12) })
    }
}

fn value(schema: &Value, words: &mut Sequence, depth: usize) -> Value {
    let Some(below) = depth.checked_sub(1) else { return Value::Null };
    if let Some(set) = schema.get("const") {
        return set.clone();
    }
    let first = |key: &str| schema.get(key).and_then(Value::as_array).and_then(|all| all.first());
    if let Some(choice) = first("enum") {
        return choice.clone();
    }
    if let Some(choice) = first("anyOf").or_else(|| first("oneOf")) {
        return value(choice, words, below);
    }
    let kind = schema.get("type");
    let kind = kind.and_then(Value::as_str).or_else(|| first("type").and_then(Value::as_str));
    match kind {
        Some("string") => Value::from(words.sentence(2)),
        Some("integer") => Value::from(words.next() % 100),
        Some("number") => json!(7.5),
        Some("boolean") => Value::from(words.next().is_multiple_of(2)),
        Some("array") => {
            schema.get("items").map_or_else(|| json!([]), |item| json!([value(item, words, below)]))
        }
        Some("null") => Value::Null,
        _ => object(schema, words, below),
    }
}

fn object(schema: &Value, words: &mut Sequence, depth: usize) -> Value {
    let mut fields = Map::new();
    for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        fields.insert(name.clone(), value(field, words, depth));
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_has_the_fields_and_types_that_were_asked_for() {
        let schema = json!({"type": "object", "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "unit": {"enum": ["celsius", "kelvin"]},
            "tags": {"type": "array", "items": {"type": "boolean"}},
        }});

        let made = example(&schema, &mut Sequence::new());

        assert!(made["city"].is_string());
        assert!(made["days"].is_u64());
        assert_eq!(made["unit"], "celsius");
        assert!(made["tags"][0].is_boolean());
    }
}
