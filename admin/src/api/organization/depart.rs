//! What goes along when somebody is removed: whatever is nothing without them.

use crate::{failure::Failure, service::edit::Draft};
use policies::document::{Document, Kind, Object, Subject};

/// Removes the object of this kind and id, takes it out of groups, projects and units, and removes
/// its own keys, limits, budgets and requests. Usage keeps its id.
///
/// # Errors
/// [`Failure::NotFound`]. What a file has locked, the change as a whole is refused for later.
pub(super) fn depart(draft: &mut Draft, kind: Kind, id: &[u8; 16]) -> Result<(), Failure> {
    let mut going = vec![(kind, *id)];
    while let Some((kind, id)) = going.pop() {
        let name = draft.name(kind, &id)?;
        let holders: Vec<Object> =
            draft.objects().iter().filter(|it| holds_to(it, kind, &name)).cloned().collect();
        for Object { id, mut document } in holders {
            match let_go(&mut document, kind, &name) {
                true => draft.replace(&id, document)?,
                false => going.push((document.kind(), id)),
            }
        }
        // Two may have held to each other's: then it is gone already.
        draft.remove(kind, &id)?;
        going.retain(|(_, other)| *other != id);
    }
    Ok(())
}

/// Whether it refers to `name`, and goes or changes with it. Others refuse to lose it: they are in
/// use.
fn holds_to(object: &Object, kind: Kind, name: &str) -> bool {
    let follows = matches!(
        object.document.kind(),
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
    follows && object.document.clone().references().iter().any(is)
}

/// Takes `name` out of the document's lists; false if the document is nothing without it.
fn let_go(document: &mut Document, kind: Kind, name: &str) -> bool {
    let is = |who: &Subject| match who {
        Subject::User(it) => kind == Kind::User && it == name,
        Subject::Group(it) => kind == Kind::Group && it == name,
        Subject::ServiceAccount(it) => kind == Kind::ServiceAccount && it == name,
    };
    if let Document::Unit(unit) = document {
        unit.admins.retain(|who| !is(who));
    } else if let Document::Project(project) = document {
        project.members.retain(|member| !is(&member.who));
    } else if let Document::Group(group) = document {
        group.members.retain(|member| member != name);
    } else {
        return false;
    }
    true
}
