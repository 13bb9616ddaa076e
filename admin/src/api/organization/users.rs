//! Users of the org.

use super::{
    depart::depart,
    find::{self, carry_out},
    page::{Turn, deleted, page},
    projects::project,
    role,
};
use crate::{
    context::{Context, json},
    failure::Failure,
    service::people::same_address,
    services::Known,
};
use axum::{http::StatusCode, response::Response};
use policies::{
    document::{Document, Kind, Object, Subject},
    ids::UserId,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// Addresses that a list is narrowed to, at most.
const EMAILS_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    role: Option<String>,
    role_id: Option<String>,
    developer_persona: Option<Value>,
    technical_level: Option<Value>,
}

pub(super) fn list(context: &Context) -> Result<Response, Failure> {
    let known = context.known()?;
    let emails = context.queries("emails");
    if EMAILS_MAX < emails.len() {
        return Err(Failure::invalid("emails", format!("at most {EMAILS_MAX} values")));
    }
    let wanted = |it: &&Object| {
        let Document::User(user) = &it.document else { return false };
        let email = user.email.as_deref();
        emails.is_empty()
            || email.is_some_and(|email| emails.iter().any(|it| same_address(it, email)))
    };
    let all = find::of_kind(&known.settings.objects, Kind::User).filter(wanted).collect();
    page(context, Turn::LastId, all, |it| find::id_text(it), |it| view(known, it))
}

pub(super) fn get(context: &Context) -> Result<Response, Failure> {
    let known = context.known()?;
    let id = find::id(context, Kind::User, 0)?;
    let object = find::by_id(&known.settings.objects, Kind::User, id)?;
    Ok(json(StatusCode::OK, &view(known, object)))
}

/// The role that is given takes the place of every role that the user has in the org by name;
/// those of groups stay.
pub(super) async fn update(context: Context) -> Result<Response, Failure> {
    let written: Written = context.read()?;
    find::absent(&[
        ("developer_persona", written.developer_persona.is_some()),
        ("technical_level", written.technical_level.is_some()),
    ])?;
    if written.role.is_some() && written.role_id.is_some() {
        return Err(Failure::invalid("role", "send either `role` or `role_id`"));
    }
    let id = find::id(&context, Kind::User, 0)?;
    carry_out(&context, |draft| {
        let Some(word) = written.role.as_ref().or(written.role_id.as_ref()) else { return Ok(()) };
        let roles = role::for_org(draft.objects(), word)?;
        draft.update(Kind::User, &id, |document| {
            if let Document::User(user) = document {
                user.roles.clone_from(&roles);
            }
            Ok(())
        })
    })
    .await?;
    let known = find::anew(&context).await?;
    let object = find::by_id(&known.settings.objects, Kind::User, id)?;
    Ok(json(StatusCode::OK, &view(&known, object)))
}

/// The user goes with keys, memberships, own limits and budgets. Usage keeps the id.
pub(super) async fn remove(context: Context) -> Result<Response, Failure> {
    let id = find::id(&context, Kind::User, 0)?;
    carry_out(&context, |draft| depart(draft, Kind::User, &id)).await?;
    Ok(deleted("organization.user.deleted", context.param(0)))
}

pub(super) fn view(known: &Known, object: &Object) -> Value {
    let id = find::id_text(object);
    let Document::User(user) = &object.document else { return Value::Null };
    let name = user.display_name.as_deref().unwrap_or(&user.name);
    let person = known.authority.users.get(&UserId::from_bytes(object.id));
    let role = person.map(|person| role::in_org(&person.roles));
    let me = Subject::User(user.name.clone());
    let memberships: Vec<Value> = find::of_kind(&known.settings.objects, Kind::Project)
        .filter_map(|it| Some((it, project(it)?)))
        .flat_map(|(it, project)| project.members.iter().map(move |member| (it, member)))
        .filter(|(_, member)| member.who == me)
        .map(|(it, member)| {
            json!({
                "id": find::id_text(it),
                "name": it.document.name(),
                "role": role::in_project(&member.role),
            })
        })
        .collect();
    json!({
        "object": "organization.user",
        "id": id,
        "name": name,
        "email": user.email,
        "role": role,
        "added_at": find::made_at(object),
        "created": find::made_at(object),
        "is_service_account": false,
        "is_scim_managed": user.external_id.is_some(),
        "projects": { "object": "list", "data": memberships },
        "user": {
            "object": "user",
            "id": id,
            "name": name,
            "email": user.email,
            "enabled": user.active,
        },
    })
}
