//! Roles, and which of them users and groups have in the org.

use super::{
    find::{self, carry_out},
    page::{Turn, deleted, page},
    users,
};
use crate::{
    context::{Context, json},
    failure::Failure,
};
use axum::{http::StatusCode, response::Response};
use policies::{
    document::{self, Document, Kind, Object},
    permission::Permission,
    role::{Level, Role},
};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    role_name: Option<String>,
    permissions: Option<Vec<String>>,
    description: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    role_id: String,
}

/// A role that can be held in the org or in a project.
#[derive(Clone, Copy)]
enum Known<'a> {
    BuiltIn(Role),
    Own(&'a Object),
}

impl Known<'_> {
    /// A built-in role's id is its word.
    fn id(&self) -> String {
        match self {
            Self::BuiltIn(role) => role.word().to_owned(),
            Self::Own(object) => find::id_text(object),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::BuiltIn(role) => role.word(),
            Self::Own(object) => object.document.name(),
        }
    }

    fn view(&self) -> Value {
        let (permissions, description, level) = match self {
            Self::BuiltIn(role) => {
                let words = role.permissions().iter().map(|it| it.word().to_owned());
                (words.collect(), None, role.level())
            }
            Self::Own(Object { document: Document::Role(role), .. }) => {
                (role.permissions.clone(), role.description.clone(), Level::Org)
            }
            Self::Own(_) => (Vec::new(), None, Level::Org),
        };
        json!({
            "object": "role",
            "id": self.id(),
            "name": self.name(),
            "description": description,
            "permissions": permissions,
            "predefined_role": matches!(self, Self::BuiltIn(_)),
            "resource_type": match level {
                Level::Installation | Level::Org => "api.organization",
                Level::Unit | Level::Project => "api.project",
            },
        })
    }
}

fn all(objects: &[Object]) -> Vec<Known<'_>> {
    let built_in = Role::ALL.into_iter().filter(|role| match role.level() {
        Level::Org | Level::Project => true,
        Level::Installation | Level::Unit => false,
    });
    let own = find::of_kind(objects, Kind::Role).map(Known::Own);
    built_in.map(Known::BuiltIn).chain(own).collect()
}

fn one<'a>(objects: &'a [Object], id: &str) -> Result<Known<'a>, Failure> {
    all(objects).into_iter().find(|role| role.id() == id).ok_or(Failure::NotFound)
}

pub(super) fn list(context: &Context) -> Result<Response, Failure> {
    let all = all(&context.known()?.settings.objects);
    page(context, Turn::Next, all, Known::id, Known::view)
}

pub(super) fn get(context: &Context) -> Result<Response, Failure> {
    let role = one(&context.known()?.settings.objects, context.param(0))?;
    Ok(json(StatusCode::OK, &role.view()))
}

pub(super) async fn create(context: Context) -> Result<Response, Failure> {
    let Written { role_name, permissions, description } = context.read()?;
    let name = role_name.ok_or_else(|| Failure::invalid("role_name", "is missing"))?;
    let permissions = permissions.ok_or_else(|| Failure::invalid("permissions", "is missing"))?;
    known_words(&permissions)?;
    let role = document::Role {
        id: None,
        org: String::new(),
        name,
        locked: false,
        description,
        permissions,
    };
    let edited = carry_out(&context, |draft| {
        let id = draft.insert(Document::Role(role.clone()))?;
        Ok(Object { id, document: draft.get(Kind::Role, &id)?.clone() })
    });
    Ok(json(StatusCode::OK, &Known::Own(&edited.await?).view()))
}

pub(super) async fn update(context: Context) -> Result<Response, Failure> {
    let Written { role_name, permissions, description } = context.read()?;
    known_words(permissions.as_deref().unwrap_or_default())?;
    let id = own(&context)?;
    let edited = carry_out(&context, |draft| {
        draft.update(Kind::Role, &id, |document| {
            let Document::Role(role) = document else { return Ok(()) };
            role.name = role_name.clone().unwrap_or_else(|| role.name.clone());
            role.description = description.clone().or_else(|| role.description.clone());
            role.permissions = permissions.clone().unwrap_or_else(|| role.permissions.clone());
            Ok(())
        })?;
        Ok(Object { id, document: draft.get(Kind::Role, &id)?.clone() })
    });
    Ok(json(StatusCode::OK, &Known::Own(&edited.await?).view()))
}

pub(super) async fn remove(context: Context) -> Result<Response, Failure> {
    let id = own(&context)?;
    carry_out(&context, |draft| draft.remove(Kind::Role, &id)).await?;
    Ok(deleted("role.deleted", context.param(0)))
}

/// The id of the org's own role in the path.
fn own(context: &Context) -> Result<[u8; 16], Failure> {
    match one(&context.known()?.settings.objects, context.param(0))? {
        Known::Own(object) => Ok(object.id),
        Known::BuiltIn(_) => Err(Failure::malformed("a role that is built in stays as it is")),
    }
}

fn known_words(words: &[String]) -> Result<(), Failure> {
    match words.iter().find(|word| Permission::from_word(word).is_none()) {
        Some(word) => {
            let word: String = word.chars().take(64).collect();
            Err(Failure::invalid("permissions", format!("there is no permission `{word}`")))
        }
        None => Ok(()),
    }
}

// === what users and groups have

pub(super) fn of_user(context: &Context) -> Result<Response, Failure> {
    held(context, Kind::User)
}

pub(super) fn of_group(context: &Context) -> Result<Response, Failure> {
    held(context, Kind::Group)
}

fn held(context: &Context, kind: Kind) -> Result<Response, Failure> {
    let objects = &context.known()?.settings.objects;
    let holder = find::by_id(objects, kind, find::id(context, kind, 0)?)?;
    let mut all = all(objects);
    all.retain(|role| words(&holder.document).iter().any(|word| word == role.name()));
    page(context, Turn::Next, all, Known::id, |role| assigned(role, holder))
}

pub(super) fn one_of_user(context: &Context) -> Result<Response, Failure> {
    one_held(context, Kind::User)
}

pub(super) fn one_of_group(context: &Context) -> Result<Response, Failure> {
    one_held(context, Kind::Group)
}

fn one_held(context: &Context, kind: Kind) -> Result<Response, Failure> {
    let objects = &context.known()?.settings.objects;
    let holder = find::by_id(objects, kind, find::id(context, kind, 0)?)?;
    let role = one(objects, context.param(1))?;
    match words(&holder.document).iter().any(|word| word == role.name()) {
        true => Ok(json(StatusCode::OK, &assigned(&role, holder))),
        false => Err(Failure::NotFound),
    }
}

fn assigned(role: &Known<'_>, holder: &Object) -> Value {
    let mut view = role.view();
    let sources = json!([{
        "principal_id": find::id_text(holder),
        "principal_type": holder.document.kind().word(),
    }]);
    if let Value::Object(fields) = &mut view {
        fields.insert("assignment_sources".to_owned(), sources);
    }
    view
}

pub(super) async fn give_user(context: Context) -> Result<Response, Failure> {
    let role = give(&context, Kind::User).await?;
    let known = find::anew(&context).await?;
    let user = find::by_id(&known.settings.objects, Kind::User, find::id(&context, Kind::User, 0)?);
    let user = users::view(&known, user?);
    Ok(json(StatusCode::OK, &json!({ "object": "user.role", "user": user, "role": role })))
}

pub(super) async fn give_group(context: Context) -> Result<Response, Failure> {
    let role = give(&context, Kind::Group).await?;
    let id = find::id(&context, Kind::Group, 0)?;
    let group = find::by_id(&context.known()?.settings.objects, Kind::Group, id)?;
    let Document::Group(it) = &group.document else { return Err(Failure::NotFound) };
    let group = json!({
        "object": "group",
        "id": context.param(0),
        "name": it.name,
        "created_at": find::made_at(group),
        "scim_managed": it.external_id.is_some(),
    });
    Ok(json(StatusCode::OK, &json!({ "object": "group.role", "group": group, "role": role })))
}

async fn give(context: &Context, kind: Kind) -> Result<Value, Failure> {
    let Given { role_id } = context.read()?;
    let role = one(&context.known()?.settings.objects, &role_id);
    let role = role.map_err(|_| Failure::invalid("role_id", "there is no such role"))?;
    let name = role.name().to_owned();
    change(context, kind, |words| {
        if words.contains(&name) {
            return Err(Failure::Taken { what: "the role".to_owned() });
        }
        words.push(name.clone());
        Ok(())
    })
    .await?;
    Ok(role.view())
}

pub(super) async fn take_from_user(context: Context) -> Result<Response, Failure> {
    take(&context, Kind::User, "user.role.deleted").await
}

pub(super) async fn take_from_group(context: Context) -> Result<Response, Failure> {
    take(&context, Kind::Group, "group.role.deleted").await
}

async fn take(context: &Context, kind: Kind, object: &str) -> Result<Response, Failure> {
    let role = one(&context.known()?.settings.objects, context.param(1))?;
    let name = role.name().to_owned();
    change(context, kind, |words| {
        let before = words.len();
        words.retain(|word| *word != name);
        if words.len() == before { Err(Failure::NotFound) } else { Ok(()) }
    })
    .await?;
    Ok(deleted(object, context.param(1)))
}

async fn change(
    context: &Context,
    kind: Kind,
    change: impl Fn(&mut Vec<String>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let id = find::id(context, kind, 0)?;
    carry_out(context, |draft| {
        draft.update(kind, &id, |document| {
            if let Document::User(user) = document {
                change(&mut user.roles)
            } else if let Document::Group(group) = document {
                change(&mut group.roles)
            } else {
                Err(Failure::NotFound)
            }
        })
    })
    .await?;
    Ok(())
}

fn words(document: &Document) -> &[String] {
    if let Document::User(user) = document {
        &user.roles
    } else if let Document::Group(group) = document {
        &group.roles
    } else {
        &[]
    }
}
