//! Bodies of the API, held against the same shapes as the documents of files.

use super::{
    shape::{Fault, Report, Shapes},
    tree::{Field, Node, Tree},
};
use serde_json::{Map, Value};

/// What does not fit: the field, as in [`policies::document`]'s mistakes, and what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    pub(crate) field: String,
    pub(crate) message: String,
}

/// Reads `body` as the shape `name` of `shapes`, as a file is read: numbers may stand for text.
///
/// # Errors
/// Everything that does not fit, in the order of the body.
pub(crate) fn fitted(
    shapes: &'static Map<String, Value>,
    name: &str,
    body: &Value,
) -> Result<Value, Vec<Misfit>> {
    let mut report = Report::default();
    let read = Shapes(shapes).read(name, &tree(body), &mut report);
    let misfit = |it: Fault| Misfit { field: it.path, message: it.message };
    let misfits: Vec<Misfit> = report.faults.into_iter().map(misfit).collect();
    match (read, misfits.is_empty()) {
        (Some(value), true) => Ok(value),
        (None, true) => {
            Err(vec![Misfit { field: String::new(), message: "cannot be read".to_owned() }])
        }
        (Some(_) | None, false) => Err(misfits),
    }
}

/// A body has one line, as far as anybody cares.
fn tree(value: &Value) -> Tree {
    let node = match value {
        Value::Null => Node::Null,
        Value::Bool(value) => Node::Bool(*value),
        Value::Number(number) => Node::Number(number.to_string()),
        Value::String(text) => Node::Text(text.clone()),
        Value::Array(items) => Node::List(items.iter().map(tree).collect()),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| Field {
                name: name.clone(),
                line: 1,
                value: tree(value),
            };
            Node::Map(fields.iter().map(field).collect())
        }
    };
    Tree { line: 1, node }
}
