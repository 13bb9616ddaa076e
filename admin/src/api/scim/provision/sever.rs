//! Takes a user or a group out of everything that refers to it.

use crate::{failure::Failure, service::edit::Draft};
use policies::document::{Document, Kind, Object, Subject};

/// Takes `name` out of groups, projects and units, and removes the keys, limits, budgets and
/// requests that are its own. Usage keeps its id. What only a file may change stays, and is told.
pub(super) fn sever(draft: &mut Draft, kind: Kind, name: &str) -> Result<Vec<String>, Failure> {
    let mut held_by = Vec::new();
    // A key that goes takes its own limits and budgets along.
    let mut going = vec![(kind, name.to_owned())];
    while let Some((kind, name)) = going.pop() {
        let referring: Vec<Object> = draft
            .objects()
            .iter()
            .filter(|it| refers(&it.document, kind, &name))
            .cloned()
            .collect();
        for Object { id, mut document } in referring {
            if document.locked() {
                let holder = document.kind();
                held_by.push(format!("{holder} `{}`, which is a file's", document.name()));
            } else if leave(&mut document, kind, &name) {
                draft.replace(&id, document)?;
            } else {
                draft.remove(document.kind(), &id)?;
                going.push((document.kind(), document.name().to_owned()));
            }
        }
    }
    Ok(held_by)
}

fn refers(document: &Document, kind: Kind, name: &str) -> bool {
    // Of all kinds that refer to something, those that can refer to these.
    let can = matches!(
        document.kind(),
        Kind::Unit
            | Kind::Project
            | Kind::Group
            | Kind::Key
            | Kind::AdminKey
            | Kind::LimitRequest
            | Kind::Limit
            | Kind::Budget
    );
    let is = |(_, of, it): &(&str, Kind, &mut String)| *of == kind && it.as_str() == name;
    can && document.clone().references().iter().any(is)
}

/// Takes `name` out of a list; false if the document is nothing without it.
fn leave(document: &mut Document, kind: Kind, name: &str) -> bool {
    let is = |who: &Subject| match who {
        Subject::User(it) => kind == Kind::User && it == name,
        Subject::Group(it) => kind == Kind::Group && it == name,
        Subject::ServiceAccount(_) => false,
    };
    if let Document::Unit(unit) = document {
        unit.admins.retain(|who| !is(who));
    } else if let Document::Project(project) = document {
        project.members.retain(|it| !is(&it.who));
    } else if let Document::Group(group) = document {
        group.members.retain(|it| it != name);
    } else {
        return false;
    }
    true
}
