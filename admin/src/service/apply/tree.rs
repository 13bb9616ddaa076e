//! A parsed document whose every value knows the line that it stands on.

/// Levels of nesting in a document, at most.
pub(super) const DEPTH_MAX: usize = 16;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tree {
    /// From 1, in the whole file.
    pub(super) line: u64,
    pub(super) node: Node,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    /// As it is written, so that a decimal amount keeps its digits.
    Number(String),
    Text(String),
    List(Vec<Tree>),
    Map(Vec<Field>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) line: u64,
    pub(super) value: Tree,
}

impl Node {
    /// What it is, for people.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Null => "empty",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

impl Tree {
    /// The text of the field `name`, if this is a mapping that has it as text or number.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        let Node::Map(fields) = &self.node else { return None };
        let field = fields.iter().find(|field| field.name == name)?;
        match &field.value.node {
            Node::Text(text) | Node::Number(text) => Some(text),
            Node::Null | Node::Bool(_) | Node::List(_) | Node::Map(_) => None,
        }
    }

    /// Every text anywhere in it.
    pub(super) fn texts(&self, found: &mut Vec<String>) {
        match &self.node {
            Node::Text(text) => found.push(text.clone()),
            Node::List(items) => items.iter().for_each(|item| item.texts(found)),
            Node::Map(fields) => fields.iter().for_each(|field| field.value.texts(found)),
            Node::Null | Node::Bool(_) | Node::Number(_) => {}
        }
    }
}
