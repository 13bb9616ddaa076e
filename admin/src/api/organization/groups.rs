//! Groups of users.

use super::{
    depart::depart,
    find::{self, carry_out},
    page::{Turn, deleted, page},
};
use crate::{
    context::{Context, json},
    failure::Failure,
};
use axum::{http::StatusCode, response::Response};
use policies::document::{Document, Group, Kind, Object, User};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    user_id: String,
}

pub(super) fn list(context: &Context) -> Result<Response, Failure> {
    let all = find::of_kind(&context.known()?.settings.objects, Kind::Group).collect();
    page(context, Turn::Next, all, |it| find::id_text(it), |it| view(it))
}

pub(super) fn get(context: &Context) -> Result<Response, Failure> {
    let id = find::id(context, Kind::Group, 0)?;
    let object = find::by_id(&context.known()?.settings.objects, Kind::Group, id)?;
    Ok(json(StatusCode::OK, &view(object)))
}

pub(super) async fn create(context: Context) -> Result<Response, Failure> {
    let Written { name } = context.read()?;
    let edited = carry_out(&context, |draft| {
        let group = Group {
            id: None,
            org: String::new(),
            name: name.clone(),
            locked: false,
            members: Vec::new(),
            roles: Vec::new(),
            claim: None,
            claim_provider: None,
            external_id: None,
        };
        let id = draft.insert(Document::Group(group))?;
        Ok(Object { id, document: draft.get(Kind::Group, &id)?.clone() })
    });
    Ok(json(StatusCode::OK, &view(&edited.await?)))
}

pub(super) async fn update(context: Context) -> Result<Response, Failure> {
    let Written { name } = context.read()?;
    let id = find::id(&context, Kind::Group, 0)?;
    let edited = carry_out(&context, |draft| {
        draft.update(Kind::Group, &id, |document| {
            document.name_mut().clone_from(&name);
            Ok(())
        })?;
        Ok(Object { id, document: draft.get(Kind::Group, &id)?.clone() })
    });
    Ok(json(StatusCode::OK, &view(&edited.await?)))
}

pub(super) async fn remove(context: Context) -> Result<Response, Failure> {
    let id = find::id(&context, Kind::Group, 0)?;
    carry_out(&context, |draft| depart(draft, Kind::Group, &id)).await?;
    Ok(deleted("group.deleted", context.param(0)))
}

pub(super) fn users(context: &Context) -> Result<Response, Failure> {
    let all = members(context)?;
    page(
        context,
        Turn::Next,
        all,
        |(it, _)| find::id_text(it),
        |(it, user)| json!({ "id": find::id_text(it), "name": called(user), "email": user.email }),
    )
}

pub(super) fn user(context: &Context) -> Result<Response, Failure> {
    let id = find::id(context, Kind::User, 1)?;
    let mut all = members(context)?.into_iter();
    let (object, user) = all.find(|(it, _)| it.id == id).ok_or(Failure::NotFound)?;
    let body = json!({
        "id": find::id_text(object),
        "name": called(user),
        "email": user.email,
        "picture": null,
        "is_service_account": false,
        "user_type": "user",
    });
    Ok(json(StatusCode::OK, &body))
}

pub(super) async fn add_user(context: Context) -> Result<Response, Failure> {
    let NewUser { user_id } = context.read()?;
    let id = find::id_in(Kind::User, "user_id", &user_id)?;
    change(&context, id, |group, name| {
        if group.members.contains(name) {
            return Err(Failure::Taken { what: "the membership".to_owned() });
        }
        group.members.push(name.clone());
        Ok(())
    })
    .await?;
    let body = json!({ "object": "group.user", "user_id": user_id, "group_id": context.param(0) });
    Ok(json(StatusCode::OK, &body))
}

pub(super) async fn remove_user(context: Context) -> Result<Response, Failure> {
    let id = find::id(&context, Kind::User, 1)?;
    change(&context, id, |group, name| {
        let before = group.members.len();
        group.members.retain(|member| member != name);
        if group.members.len() == before { Err(Failure::NotFound) } else { Ok(()) }
    })
    .await?;
    Ok(deleted("group.user.deleted", context.param(1)))
}

async fn change(
    context: &Context,
    user: [u8; 16],
    change: impl Fn(&mut Group, &String) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let id = find::id(context, Kind::Group, 0)?;
    carry_out(context, |draft| {
        let name = draft.name(Kind::User, &user)?;
        draft.update(Kind::Group, &id, |document| {
            let Document::Group(group) = document else { return Err(Failure::NotFound) };
            change(group, &name)
        })
    })
    .await?;
    Ok(())
}

fn members(context: &Context) -> Result<Vec<(&Object, &User)>, Failure> {
    let objects = &context.known()?.settings.objects;
    let id = find::id(context, Kind::Group, 0)?;
    let Document::Group(group) = &find::by_id(objects, Kind::Group, id)?.document else {
        return Err(Failure::NotFound);
    };
    let is_member = |it: &&Object| group.members.iter().any(|name| name == it.document.name());
    let users = find::of_kind(objects, Kind::User).filter(is_member).filter_map(|it| {
        let Document::User(user) = &it.document else { return None };
        Some((it, user))
    });
    Ok(users.collect())
}

fn called(user: &User) -> &str {
    user.display_name.as_deref().unwrap_or(&user.name)
}

fn view(object: &Object) -> Value {
    let by_directory =
        matches!(&object.document, Document::Group(group) if group.external_id.is_some());
    json!({
        "object": "group",
        "id": find::id_text(object),
        "name": object.document.name(),
        "created_at": find::made_at(object),
        "group_type": "group",
        "is_scim_managed": by_directory,
    })
}
