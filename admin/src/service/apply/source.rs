//! What `apply` reads: files of YAML or JSON, as text.

use super::{
    json,
    tree::{Node, Tree},
    yaml,
};

/// Bytes of one file, at most.
pub const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Documents of one file, at most.
pub const DOCUMENTS_MAX: usize = 100_000;

/// A file's text, with the name that mistakes are told by.
#[derive(Clone, Debug)]
pub struct File {
    pub name: String,
    pub text: String,
}

/// Why a document, or all of a file, cannot be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) line: u64,
    pub(super) message: String,
}

/// Every document of `file`. Text that begins like JSON is JSON, other text is YAML; YAML's own
/// braces are told by a key without quotes.
pub(super) fn documents(file: &File) -> Vec<Result<Tree, Unreadable>> {
    let text = file.text.strip_prefix('\u{feff}').unwrap_or(&file.text);
    if FILE_BYTES_MAX < text.len() {
        let message = format!("the file is larger than {FILE_BYTES_MAX} bytes");
        return vec![Err(Unreadable { line: 1, message })];
    }
    let found = if is_json(text) { json::documents(text) } else { yaml::documents(text) };
    if DOCUMENTS_MAX < found.len() {
        let message = format!("the file has more than {DOCUMENTS_MAX} documents");
        return vec![Err(Unreadable { line: 1, message })];
    }
    let empty =
        |found: &Result<Tree, Unreadable>| matches!(found, Ok(Tree { node: Node::Null, .. }));
    found.into_iter().filter(|found| !empty(found)).collect()
}

fn is_json(text: &str) -> bool {
    let text = text.trim_start();
    match text.strip_prefix('{') {
        Some(object) => object.trim_start().starts_with(['"', '}']) && !has_separator(text),
        None => text.starts_with('[') && !has_separator(text),
    }
}

fn has_separator(text: &str) -> bool {
    text.lines().any(|line| line.trim_end() == "---")
}
