//! What a directory changes: users and groups made, replaced, patched and removed.
//!
//! The installation itself is the editor, on the rule that an owner set by giving the key: roles
//! stay what they are, whoever becomes a member of a group.

mod sever;

use super::{
    answer::{Base, Wanted, scim},
    attribute::Resource,
    group::{self, Roll, Team},
    patch::{Operation, apply, operations},
    user::{self, Person},
};
use crate::{
    context::{Context, empty},
    failure::Failure,
    service::edit::{Draft, Editor, edit},
};
use axum::{http::StatusCode, response::Response};
use policies::{
    document::{Document, Group, Kind, Object, User},
    ids::UserId,
};
use serde_json::{Map, Value};
use store::clock;

/// What is written to a resource.
enum Written {
    Whole(Map<String, Value>),
    Changes(Vec<Operation>),
}

pub(super) async fn create(context: Context, resource: Resource) -> Result<Response, Failure> {
    let written = fields(&context)?;
    let (base, editor) = (Base::of(&context), editor(&context)?);
    let edited = edit(&context.services, &editor, |draft| {
        let id = match resource {
            Resource::User => make_user(draft, user::read(&written)?)?,
            Resource::Group => make_group(draft, group::read(&written)?)?,
        };
        view(draft, resource, &id, &base)
    });
    let Viewed { fields, .. } = edited.await?.value;
    let shown = Wanted::of(&context, resource).narrow(fields);
    Ok(scim(StatusCode::CREATED, &shown))
}

pub(super) async fn replace(context: Context, resource: Resource) -> Result<Response, Failure> {
    let written = Written::Whole(fields(&context)?);
    let fields = change(&context, resource, &written).await?;
    Ok(scim(StatusCode::OK, &Wanted::of(&context, resource).narrow(fields)))
}

pub(super) async fn patch(context: Context, resource: Resource) -> Result<Response, Failure> {
    let written = Written::Changes(operations(resource, &context.json()?)?);
    let fields = change(&context, resource, &written).await?;
    // A group may have many members: they are told to whom asks for them (section 3.5.2).
    if resource == Resource::Group && context.query("attributes").is_none() {
        return Ok(empty());
    }
    Ok(scim(StatusCode::OK, &Wanted::of(&context, resource).narrow(fields)))
}

/// Removes a resource with everything that hangs on it. Where a file holds to something of it, the
/// resource stays without effect, and the directory is told.
pub(super) async fn remove(context: Context, resource: Resource) -> Result<Response, Failure> {
    let (id, kind) = (id(&context, resource)?, resource.kind());
    let editor = editor(&context)?;
    let edited = edit(&context.services, &editor, |draft| {
        let name = draft.name(kind, &id)?;
        let held_by = sever::sever(draft, kind, &name)?;
        if held_by.is_empty() {
            draft.remove(kind, &id)?;
            return Ok(held_by);
        }
        draft.update(kind, &id, |document| {
            if let Document::User(user) = document {
                set_active(user, false);
            } else if let Document::Group(group) = document {
                group.members.clear();
            }
            Ok(())
        })?;
        Ok(held_by)
    });
    let held_by = edited.await?.value;
    if resource == Resource::User {
        end_sessions(&context, id).await?;
    }
    match held_by.is_empty() {
        true => Ok(empty()),
        false => Err(Failure::InUse { by: held_by }),
    }
}

async fn change(
    context: &Context,
    resource: Resource,
    written: &Written,
) -> Result<Map<String, Value>, Failure> {
    let id = id(context, resource)?;
    let (base, editor) = (Base::of(context), editor(context)?);
    let edited = edit(&context.services, &editor, |draft| {
        let before = view(draft, resource, &id, &base)?.fields;
        let after = match written {
            Written::Whole(fields) => fields.clone(),
            Written::Changes(operations) => {
                let mut fields = before;
                apply(resource, &mut fields, operations)?;
                fields
            }
        };
        match resource {
            Resource::User => write_user(draft, &id, user::read(&after)?)?,
            Resource::Group => write_group(draft, &id, group::read(&after)?)?,
        }
        view(draft, resource, &id, &base)
    });
    let Viewed { fields, is_out } = edited.await?.value;
    if is_out {
        end_sessions(context, id).await?;
    }
    Ok(fields)
}

/// A resource after a change.
struct Viewed {
    fields: Map<String, Value>,
    /// It is a user who may not do anything any more.
    is_out: bool,
}

fn view(draft: &Draft, resource: Resource, id: &[u8; 16], base: &Base) -> Result<Viewed, Failure> {
    let document = draft.get(resource.kind(), id)?;
    if let Document::User(user) = document {
        return Ok(Viewed { fields: user::shown(*id, user, base), is_out: !user.active });
    }
    let roll = Roll::new(draft.objects());
    let object = Object { id: *id, document: document.clone() };
    let fields = group::shown(&object, base, Some(&roll)).ok_or(Failure::NotFound)?;
    Ok(Viewed { fields, is_out: false })
}

fn make_user(draft: &mut Draft, person: Person) -> Result<[u8; 16], Failure> {
    must_be_free(draft, None, &person.name)?;
    draft.insert(Document::User(User {
        id: None,
        org: String::new(),
        name: person.name,
        locked: false,
        email: person.email,
        display_name: person.display_name,
        roles: Vec::new(),
        external_id: person.external_id,
        identities: Vec::new(),
        active: person.active.unwrap_or(true),
        credentials_from: None,
        password: None,
    }))
}

fn write_user(draft: &mut Draft, id: &[u8; 16], person: Person) -> Result<(), Failure> {
    if draft.name(Kind::User, id)? != person.name {
        must_be_free(draft, Some(id), &person.name)?;
    }
    draft.update(Kind::User, id, |document| {
        if let Document::User(user) = document {
            user.name = person.name;
            user.email = person.email;
            user.display_name = person.display_name;
            user.external_id = person.external_id;
            set_active(user, person.active.unwrap_or(user.active));
        }
        Ok(())
    })
}

/// Whoever is let in again begins with new credentials.
fn set_active(user: &mut User, active: bool) {
    if user.active && !active {
        user.credentials_from = Some(clock::now().rfc3339());
    }
    user.active = active;
}

/// `userName` is unique in any case (RFC 7643, section 4.1.1).
fn must_be_free(draft: &Draft, id: Option<&[u8; 16]>, name: &str) -> Result<(), Failure> {
    let folded = name.to_lowercase();
    let taken = draft.objects().iter().any(|it| {
        it.document.kind() == Kind::User
            && Some(&it.id) != id
            && it.document.name().to_lowercase() == folded
    });
    match taken {
        true => Err(Failure::Taken { what: format!("the name `{name}`") }),
        false => Ok(()),
    }
}

fn make_group(draft: &mut Draft, team: Team) -> Result<[u8; 16], Failure> {
    let members = Roll::new(draft.objects()).names(&team.members)?;
    draft.insert(Document::Group(Group {
        id: None,
        org: String::new(),
        name: team.name,
        locked: false,
        members,
        roles: Vec::new(),
        claim: None,
        claim_provider: None,
        external_id: team.external_id,
    }))
}

fn write_group(draft: &mut Draft, id: &[u8; 16], team: Team) -> Result<(), Failure> {
    let members = Roll::new(draft.objects()).names(&team.members)?;
    draft.update(Kind::Group, id, |document| {
        if let Document::Group(group) = document {
            group.name = team.name;
            group.external_id = team.external_id;
            group.members = members;
        }
        Ok(())
    })
}

/// The credentials of somebody who is out are refused by each gateway as soon as it notices; what
/// is asked on the admin listener is refused at once. Sessions are not even kept.
async fn end_sessions(context: &Context, id: [u8; 16]) -> Result<(), Failure> {
    let org = context.org()?;
    context.services.store.close_sessions_of(&org, &UserId::from_bytes(id)).await?;
    Ok(())
}

fn editor(context: &Context) -> Result<Editor, Failure> {
    let mut act = context.act("");
    "scim".clone_into(&mut act.via);
    Ok(Editor::system(context.org()?, act))
}

fn id(context: &Context, resource: Resource) -> Result<[u8; 16], Failure> {
    resource.kind().parse_id(context.param(0)).map_err(|_| Failure::NotFound)
}

fn fields(context: &Context) -> Result<Map<String, Value>, Failure> {
    match context.json()? {
        Value::Object(fields) => Ok(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Failure::malformed("the body must be a JSON object"))
        }
    }
}
