//! Changes of PATCH (RFC 7644, section 3.5.2), as directories send them.
//!
//! Laxer than the RFC where Entra is: operations in any case, a `value` that says which members to
//! remove, `replace` of an element that is not there yet.

#[cfg(test)]
mod tests;

use super::{
    attribute::{Keeping, Named, Resource, get, remove, set},
    filter::{Filter, Path, path},
};
use crate::failure::{Failure, ScimFault};
use serde_json::{Map, Value};
use std::collections::HashSet;

/// Operations of one request, at most.
const OPERATIONS_MAX: usize = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Add,
    Replace,
    Remove,
}

/// One change of a resource.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    act: Act,
    /// None: the value's fields say where.
    path: Option<Path>,
    value: Option<Value>,
}

/// Reads the body of a PATCH.
///
/// # Errors
/// `invalidSyntax`, `invalidPath`, `invalidValue`, `noTarget`, `mutability` (section 3.12).
pub(super) fn operations(resource: Resource, body: &Value) -> Result<Vec<Operation>, Failure> {
    let listed = body.as_object().and_then(|fields| get(fields, "Operations")?.as_array());
    let listed = listed.ok_or_else(|| Failure::malformed("`Operations` must be a list"))?;
    if OPERATIONS_MAX < listed.len() {
        let detail = format!("more than {OPERATIONS_MAX} operations");
        return Err(Failure::Scim { fault: ScimFault::TooMany, detail });
    }
    listed.iter().map(|written| operation(resource, written)).collect()
}

fn operation(resource: Resource, written: &Value) -> Result<Operation, Failure> {
    let fields = written.as_object();
    let fields = fields.ok_or_else(|| Failure::malformed("an operation must be an object"))?;
    let act = match get(fields, "op").and_then(Value::as_str) {
        Some(word) if word.eq_ignore_ascii_case("add") => Act::Add,
        Some(word) if word.eq_ignore_ascii_case("replace") => Act::Replace,
        Some(word) if word.eq_ignore_ascii_case("remove") => Act::Remove,
        Some(_) | None => {
            return Err(Failure::malformed("`op` must be `add`, `replace` or `remove`"));
        }
    };
    let written = get(fields, "path").filter(|it| !it.is_null() && it.as_str() != Some(""));
    let path = written.map(|it| target(resource, it)).transpose()?;
    let value = get(fields, "value").cloned();
    match (act, &path, &value) {
        (Act::Remove, None, _) => {
            let detail = "`remove` needs a `path`".to_owned();
            Err(Failure::Scim { fault: ScimFault::NoTarget, detail })
        }
        (Act::Add | Act::Replace, _, None) => Err(Failure::invalid("value", "is missing")),
        (Act::Add | Act::Replace, None, Some(value)) if !value.is_object() => {
            Err(Failure::invalid("value", "must be an object where there is no `path`"))
        }
        (Act::Add | Act::Replace | Act::Remove, _, _) => Ok(Operation { act, path, value }),
    }
}

fn target(resource: Resource, written: &Value) -> Result<Path, Failure> {
    let text = written.as_str().ok_or_else(|| Failure::invalid("path", "must be text"))?;
    let path = path(resource, text)
        .map_err(|detail| Failure::Scim { fault: ScimFault::InvalidPath, detail })?;
    match path.named {
        Named::Ours(it) if it.keeping == Keeping::ReadOnly => {
            let detail = format!("`{}` is made by Penstock", it.name);
            Err(Failure::Scim { fault: ScimFault::Mutability, detail })
        }
        Named::Ours(_) | Named::Foreign => Ok(path),
    }
}

/// Carries the operations out, in their order, on a resource as the API shows it.
///
/// # Errors
/// `noTarget`: a filter selects nothing, and does not say what to make. `invalidValue`: an element
/// of a list is no object.
pub(super) fn apply(
    resource: Resource,
    into: &mut Map<String, Value>,
    operations: &[Operation],
) -> Result<(), Failure> {
    for Operation { act, path: at, value } in operations {
        match (at, value) {
            (Some(at), value) => change(into, at, *act, value.as_ref())?,
            (None, Some(Value::Object(fields))) => {
                for (name, value) in fields {
                    // Okta sends ids along, and every directory what we do not keep.
                    let Ok(at) = path(resource, name) else { continue };
                    change(into, &at, *act, Some(value))?;
                }
            }
            (None, _) => {}
        }
    }
    Ok(())
}

fn change(
    into: &mut Map<String, Value>,
    at: &Path,
    act: Act,
    value: Option<&Value>,
) -> Result<(), Failure> {
    let Named::Ours(attribute) = at.named else { return Ok(()) };
    if attribute.keeping != Keeping::Kept {
        return Ok(());
    }
    let value = value.filter(|it| !it.is_null());
    if attribute.many {
        // Taken, not copied: a group may have very many members, and a request many changes.
        let kept = match into.remove(attribute.name) {
            Some(Value::Array(items)) => items,
            Some(value) => list(&value),
            None => Vec::new(),
        };
        let changed = elements(kept, at, act, value)?;
        set(into, attribute.name, Value::Array(changed));
        return Ok(());
    }
    match (act, value) {
        (Act::Add | Act::Replace, Some(value)) => set(into, attribute.name, value.clone()),
        (Act::Add, None) => {}
        (Act::Replace, None) | (Act::Remove, _) => remove(into, attribute.name),
    }
    Ok(())
}

/// A list's elements after a change.
fn elements(
    mut kept: Vec<Value>,
    at: &Path,
    act: Act,
    value: Option<&Value>,
) -> Result<Vec<Value>, Failure> {
    if let Some(filter) = &at.filter {
        return selected(kept, filter, at.sub.as_deref(), act, value);
    }
    if let Some(sub) = &at.sub {
        if kept.is_empty() && act != Act::Remove {
            kept.push(Value::Object(Map::new()));
        }
        kept.iter_mut().for_each(|element| write_below(element, sub, act, value));
        return Ok(kept);
    }
    match (act, value) {
        (Act::Add, Some(value)) => kept.extend(list(value)),
        (Act::Add, None) => {}
        (Act::Replace, value) => kept = value.map(list).unwrap_or_default(),
        // Entra and others say whom to remove in `value`, which the RFC does not know.
        (Act::Remove, Some(value)) => {
            let gone = list(value);
            let gone: HashSet<&str> = gone.iter().filter_map(value_of).collect();
            kept.retain(|element| value_of(element).is_none_or(|it| !gone.contains(it)));
        }
        (Act::Remove, None) => kept.clear(),
    }
    Ok(kept)
}

/// The change of the elements for which a filter holds.
fn selected(
    mut kept: Vec<Value>,
    filter: &Filter,
    sub: Option<&str>,
    act: Act,
    value: Option<&Value>,
) -> Result<Vec<Value>, Failure> {
    let hit = |element: &Value| element.as_object().is_some_and(|it| filter.matches(it));
    if act == Act::Remove || value.is_none() {
        match sub {
            None => kept.retain(|element| !hit(element)),
            Some(sub) => {
                let hits = kept.iter_mut().filter(|it| hit(it));
                hits.for_each(|it| write_below(it, sub, Act::Remove, None));
            }
        }
        return Ok(kept);
    }
    if !kept.iter().any(hit) {
        let made = filter.template().ok_or_else(|| Failure::Scim {
            fault: ScimFault::NoTarget,
            detail: "the path's filter selects nothing".to_owned(),
        })?;
        kept.push(Value::Object(made));
    }
    for element in kept.iter_mut().filter(|it| hit(it)) {
        match (sub, value) {
            (Some(sub), value) => write_below(element, sub, act, value),
            (None, Some(Value::Object(given))) => {
                if let Value::Object(fields) = element {
                    for (name, value) in given {
                        set(fields, name, value.clone());
                    }
                }
            }
            (None, _) => return Err(Failure::invalid("value", "must be an object here")),
        }
    }
    Ok(kept)
}

fn write_below(element: &mut Value, sub: &str, act: Act, value: Option<&Value>) {
    let Value::Object(fields) = element else { return };
    match (act, value) {
        (Act::Add | Act::Replace, Some(value)) => set(fields, sub, value.clone()),
        (Act::Add, None) => {}
        (Act::Replace, None) | (Act::Remove, _) => remove(fields, sub),
    }
}

/// A list, or one element in its place. A bare text is an element's `value`.
pub(super) fn list(value: &Value) -> Vec<Value> {
    let element = |value: &Value| match value {
        Value::String(_) | Value::Number(_) | Value::Bool(_) => {
            Value::Object(Map::from_iter([("value".to_owned(), value.clone())]))
        }
        Value::Null | Value::Object(_) | Value::Array(_) => value.clone(),
    };
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().map(element).collect(),
        Value::Object(_) | Value::String(_) | Value::Number(_) | Value::Bool(_) => {
            vec![element(value)]
        }
    }
}

/// What an element is told from others by.
fn value_of(element: &Value) -> Option<&str> {
    get(element.as_object()?, "value")?.as_str()
}
