//! From files to documents with their places, and every mistake that can be seen without a store.

use super::{
    mistake::{Located, Place},
    shape::{Report, Shapes, unknown},
    source::{self, File},
    tree::{Node, Tree},
};
use crate::service::schema;
use policies::document::{API_VERSION, Document, Kind};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// All documents of some files, with the mistakes in their form.
#[derive(Debug, Default)]
pub struct Documents {
    pub(super) placed: Vec<Placed>,
    pub(super) broken: Vec<Broken>,
    pub(super) mistakes: Vec<Located>,
}

/// A document, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) document: Document,
    pub(super) file: Arc<str>,
    /// The line of each field, by path; that of the document by the empty path.
    pub(super) lines: BTreeMap<String, u64>,
    /// Some of its fields could not be read; what it means is not to be judged.
    pub(super) partial: bool,
}

/// A document that cannot be read, although it is known to be there.
#[derive(Clone, Debug)]
pub(super) struct Broken {
    pub(super) kind: Kind,
    pub(super) org: Option<String>,
    pub(super) name: Option<String>,
    /// Every text in its own fields: what it may refer to.
    pub(super) texts: Vec<String>,
}

impl Placed {
    /// The place of a field, or of the nearest thing around it.
    pub(super) fn place(&self, field: &str) -> Place {
        let mut path = field;
        loop {
            if let Some(line) = self.lines.get(path) {
                return Place { file: Arc::clone(&self.file), line: *line };
            }
            path = path.rfind(['.', '[']).and_then(|end| path.get(..end)).unwrap_or_default();
            if path.is_empty() && !self.lines.contains_key("") {
                return Place { file: Arc::clone(&self.file), line: 1 };
            }
        }
    }
}

/// Reads every document of `files`. Mistakes are kept, to be told together with those that only
/// the store can show.
pub fn read(files: &[File]) -> Documents {
    let shapes = Shapes(schema::shapes());
    let mut documents = Documents::default();
    for file in files {
        let name: Arc<str> = Arc::from(file.name.as_str());
        for found in source::documents(file) {
            match found {
                Ok(tree) => documents.read_one(&shapes, &name, &tree),
                Err(fault) => documents.mistakes.push(Located::of_file(
                    Place { file: Arc::clone(&name), line: fault.line },
                    fault.message,
                )),
            }
        }
    }
    documents
}

impl Documents {
    fn read_one(&mut self, shapes: &Shapes, file: &Arc<str>, tree: &Tree) {
        let at = |line| Place { file: Arc::clone(file), line };
        let Node::Map(_) = &tree.node else {
            let message = "must be a mapping with `apiVersion` and `kind`";
            self.mistakes.push(Located::of_file(at(tree.line), message.to_owned()));
            return;
        };
        let mut report = Report::default();
        check_version(tree, &mut report);
        let kind = kind_of(tree, &mut report);
        let mut value = None;
        if let Some(kind) = kind {
            let title = schema::title(kind);
            value = shapes.read(&title, &body(tree, kind, &mut report), &mut report);
            if let Some(Value::Object(fields)) = &mut value {
                fields.insert("kind".to_owned(), Value::String(title));
            }
        }
        let document = value.and_then(|value| match serde_json::from_value::<Document>(value) {
            Ok(document) => Some(document),
            Err(error) => {
                report.fault("", tree.line, error.to_string());
                None
            }
        });
        if document.is_none() && report.faults.is_empty() {
            // A document that is neither read nor faulty would be lost without a word.
            report.fault("", tree.line, "cannot be read");
        }
        let partial = report.faults.iter().any(|fault| !is_apart(&fault.message, &fault.path));
        for fault in report.faults {
            let place = at(fault.line);
            let located = Located::of_file(place, fault.message);
            let word = kind.map(Kind::word).map(str::to_owned);
            let name = tree.text_of("name").map(str::to_owned);
            self.mistakes.push(located.with(word, name, fault.path));
        }
        match (document, kind) {
            (Some(document), _) => {
                let (file, lines) = (Arc::clone(file), report.lines);
                self.placed.push(Placed { document, file, lines, partial });
            }
            (None, Some(kind)) => self.broken.push(broken(kind, tree)),
            (None, None) => {}
        }
    }
}

/// Mistakes beside a document's own fields leave its meaning clear.
fn is_apart(message: &str, path: &str) -> bool {
    path == "apiVersion" || path == "sha256" || message.starts_with("unknown field")
}

fn broken(kind: Kind, tree: &Tree) -> Broken {
    let mut texts = Vec::new();
    if let Node::Map(fields) = &tree.node {
        let own = |name: &str| matches!(name, "apiVersion" | "kind" | "org" | "name" | "id");
        let fields = fields.iter().filter(|field| !own(&field.name));
        fields.for_each(|field| field.value.texts(&mut texts));
    }
    let text = |name| tree.text_of(name).map(str::to_owned);
    Broken { kind, org: text("org"), name: text("name"), texts }
}

fn check_version(tree: &Tree, report: &mut Report) {
    let line = line_of(tree, "apiVersion");
    match tree.text_of("apiVersion") {
        Some(API_VERSION) => {}
        Some(other) => {
            let message = format!("`{other}` is not supported; write `{API_VERSION}`");
            report.fault("apiVersion", line, message);
        }
        None => report.fault("apiVersion", line, format!("is missing: write `{API_VERSION}`")),
    }
}

fn kind_of(tree: &Tree, report: &mut Report) -> Option<Kind> {
    let line = line_of(tree, "kind");
    let Some(word) = tree.text_of("kind") else {
        report.fault("kind", line, "is missing");
        return None;
    };
    let declared = || Kind::ALL.iter().copied().filter(|kind| kind.is_declared());
    let titles: Vec<String> = declared().map(schema::title).collect();
    let kind = declared().find(|kind| schema::title(*kind) == word);
    if kind.is_none() {
        let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
        report.fault("kind", line, format!("`{word}`: {}", unknown("kind", word, &titles)));
    }
    kind
}

fn line_of(tree: &Tree, name: &str) -> u64 {
    let Node::Map(fields) = &tree.node else { return tree.line };
    fields.iter().find(|field| field.name == name).map_or(tree.line, |field| field.line)
}

/// The document without its head, and without what may not be written by hand.
fn body(tree: &Tree, kind: Kind, report: &mut Report) -> Tree {
    let Node::Map(fields) = &tree.node else { return tree.clone() };
    let mut fields = fields.clone();
    fields.retain(|field| {
        let by_us = kind == Kind::Key && field.name == "sha256";
        if by_us {
            let message = "is written by Penstock, never by hand";
            report.fault("sha256", field.line, message);
        }
        !by_us && field.name != "apiVersion" && field.name != "kind"
    });
    Tree { line: tree.line, node: Node::Map(fields) }
}
