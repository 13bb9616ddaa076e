//! What a change did to each object, and how the audit log tells it.

use policies::{
    authority,
    document::{Document, Object},
    rights::Reach,
};
use serde_json::{Map, Value};
use std::collections::HashMap;
use store::audit::{Act, Target};

/// One object before and after.
#[derive(Debug)]
pub(super) struct Difference<'a> {
    pub(super) id: [u8; 16],
    pub(super) before: Option<&'a Document>,
    pub(super) after: Option<&'a Document>,
}

pub(super) fn differences<'a>(before: &'a [Object], after: &'a [Object]) -> Vec<Difference<'a>> {
    let old: HashMap<[u8; 16], &Document> = before.iter().map(|it| (it.id, &it.document)).collect();
    let new: HashMap<[u8; 16], &Document> = after.iter().map(|it| (it.id, &it.document)).collect();
    let changed = after.iter().filter_map(|object| {
        let before = old.get(&object.id).copied();
        let after = Some(&object.document);
        (before != after).then_some(Difference { id: object.id, before, after })
    });
    let gone = before.iter().filter(|object| !new.contains_key(&object.id));
    let gone = gone.map(|it| Difference { id: it.id, before: Some(&it.document), after: None });
    changed.chain(gone).collect()
}

/// The audit rows of a change from `before` to `after`, made like `template`.
pub fn between(template: &Act, before: &[Object], after: &[Object]) -> Vec<Act> {
    differences(before, after).iter().map(|it| act(template, it, after)).collect()
}

pub(super) fn act(template: &Act, difference: &Difference<'_>, objects: &[Object]) -> Act {
    let (verb, document) = match (difference.before, difference.after) {
        (None, Some(after)) => ("created", after),
        (Some(_), Some(after)) => ("updated", after),
        (Some(before), None) => ("deleted", before),
        (None, None) => return template.clone(),
    };
    let kind = document.kind();
    let word = kind.word().replace(' ', "_");
    let project = match authority::reach(document, objects) {
        Reach::Project(id) => Some(id.to_string()),
        Reach::Org | Reach::Unit(_) => None,
    };
    let (before, after) = told(difference.before, difference.after);
    let action = match template.action.as_str() {
        "" => format!("{word}.{verb}"),
        named => named.to_owned(),
    };
    Act {
        action,
        target: Some(Target {
            kind: word,
            id: kind.id_text(difference.id),
            name: document.name().to_owned(),
            project,
        }),
        before,
        after,
        ..template.clone()
    }
}

/// A document as people may see it: without secrets.
pub fn shown(document: &Document) -> Value {
    let mut document = document.clone();
    document.strip_secrets();
    serde_json::to_value(document).unwrap_or_default()
}

/// Both sides; of a change only the fields that differ. A secret that differs shows as changed.
fn told(before: Option<&Document>, after: Option<&Document>) -> (Option<Value>, Option<Value>) {
    let (Some(old), Some(new)) = (before, after) else {
        return (before.map(shown), after.map(shown));
    };
    let (Value::Object(old_fields), Value::Object(new_fields)) = (shown(old), shown(new)) else {
        return (None, None);
    };
    let differing = |fields: &Map<String, Value>, others: &Map<String, Value>| {
        let differs = |(name, value): &(&String, &Value)| others.get(*name) != Some(*value);
        let found = fields.iter().filter(differs);
        found.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>()
    };
    let mut was = differing(&old_fields, &new_fields);
    let mut is = differing(&new_fields, &old_fields);
    if was.is_empty() && is.is_empty() {
        was.insert("secret".to_owned(), Value::from("the one before"));
        is.insert("secret".to_owned(), Value::from("a new one"));
    }
    (Some(Value::Object(was)), Some(Value::Object(is)))
}
