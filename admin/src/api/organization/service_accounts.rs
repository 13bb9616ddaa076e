//! Machine identities of a project.

use super::{
    depart::depart,
    find::{self, carry_out},
    keys::Issued,
    page::{Turn, deleted, page},
    projects::project,
    role,
};
use crate::{
    context::{Context, json},
    failure::Failure,
    service::edit::Draft,
};
use axum::{http::StatusCode, response::Response};
use policies::{
    document::{Document, Kind, Membership, Object, ServiceAccount, Subject},
    role::Role,
};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    create_service_account_only: Option<bool>,
    expires_in_seconds: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Option<String>,
    role: Option<String>,
}

pub(super) fn list(context: &Context) -> Result<Response, Failure> {
    let objects = &context.known()?.settings.objects;
    let home = home(context)?;
    let here = |it: &&Object| is_here(objects, it, home);
    let all = find::of_kind(objects, Kind::ServiceAccount).filter(here).collect();
    page(context, Turn::LastId, all, |it| find::id_text(it), |it| view(objects, it))
}

pub(super) fn get(context: &Context) -> Result<Response, Failure> {
    let objects = &context.known()?.settings.objects;
    let (_, id) = of_path(context)?;
    let object = find::by_id(objects, Kind::ServiceAccount, id)?;
    Ok(json(StatusCode::OK, &view(objects, object)))
}

/// With a key, whose secret is shown this once, unless the account alone is wanted.
pub(super) async fn create(context: Context) -> Result<Response, Failure> {
    let New { name, create_service_account_only, expires_in_seconds } = context.read()?;
    let expires = find::expiry(expires_in_seconds)?;
    let issued = match create_service_account_only {
        Some(true) => None,
        Some(false) | None => Some(Issued::new(expires, None)?),
    };
    let home = home(&context)?;
    let edited = carry_out(&context, |draft| {
        let account = ServiceAccount {
            id: None,
            org: String::new(),
            name: name.clone(),
            locked: false,
            project: Some(draft.name(Kind::Project, &home)?),
            roles: Vec::new(),
            act_for: None,
            active: true,
        };
        let id = draft.insert(Document::ServiceAccount(account))?;
        let key = issued.as_ref().map(|issued| issued.insert(draft, home, &name, None));
        let document = draft.get(Kind::ServiceAccount, &id)?.clone();
        Ok((Object { id, document }, key.transpose()?))
    });
    let (object, key) = edited.await?;
    let mut body = view(&[], &object);
    let key = issued.zip(key).map_or(Value::Null, |(issued, key)| issued.view(&key));
    if let Value::Object(fields) = &mut body {
        fields.insert("api_key".to_owned(), key);
    }
    Ok(json(StatusCode::OK, &body))
}

pub(super) async fn update(context: Context) -> Result<Response, Failure> {
    let Written { name, role } = context.read()?;
    let (home, id) = of_path(&context)?;
    carry_out(&context, |draft| {
        if let Some(name) = &name {
            draft.update(Kind::ServiceAccount, &id, |document| {
                document.name_mut().clone_from(name);
                Ok(())
            })?;
        }
        match role.as_deref() {
            Some(role) => set_role(draft, home, &id, role),
            None => Ok(()),
        }
    })
    .await?;
    let known = find::anew(&context).await?;
    let objects = &known.settings.objects;
    let object = find::by_id(objects, Kind::ServiceAccount, id)?;
    Ok(json(StatusCode::OK, &view(objects, object)))
}

/// A service account is a developer of its project without saying so; more is a membership.
fn set_role(
    draft: &mut Draft,
    home: [u8; 16],
    account: &[u8; 16],
    word: &str,
) -> Result<(), Failure> {
    let role = role::for_project(draft.objects(), word)?;
    let who = Subject::ServiceAccount(draft.name(Kind::ServiceAccount, account)?);
    draft.update(Kind::Project, &home, |document| {
        let Document::Project(project) = document else { return Ok(()) };
        project.members.retain(|member| member.who != who);
        if role != Role::Developer.word() {
            project.members.push(Membership { who: who.clone(), role: role.clone() });
        }
        Ok(())
    })
}

/// It goes with its keys, limits and budgets. Usage keeps its id.
pub(super) async fn remove(context: Context) -> Result<Response, Failure> {
    let (_, id) = of_path(&context)?;
    let gone = carry_out(&context, |draft| depart(draft, Kind::ServiceAccount, &id));
    gone.await?;
    Ok(deleted("organization.project.service_account.deleted", context.param(1)))
}

/// The project and the service account of the path, if it is one of the project.
pub(super) fn of_path(context: &Context) -> Result<([u8; 16], [u8; 16]), Failure> {
    let objects = &context.known()?.settings.objects;
    let (home, id) = (home(context)?, find::id(context, Kind::ServiceAccount, 1)?);
    let object = find::by_id(objects, Kind::ServiceAccount, id)?;
    if is_here(objects, object, home) { Ok((home, id)) } else { Err(Failure::NotFound) }
}

fn home(context: &Context) -> Result<[u8; 16], Failure> {
    find::id(context, Kind::Project, 0)
}

fn is_here(objects: &[Object], account: &Object, home: [u8; 16]) -> bool {
    let Document::ServiceAccount(account) = &account.document else { return false };
    let project = find::by_id(objects, Kind::Project, home);
    project.is_ok_and(|it| account.project.as_deref() == Some(it.document.name()))
}

fn view(objects: &[Object], object: &Object) -> Value {
    let Document::ServiceAccount(account) = &object.document else { return Value::Null };
    let home = account.project.as_deref();
    let home = home.and_then(|name| find::by_name(objects, Kind::Project, name)).and_then(project);
    let me = Subject::ServiceAccount(account.name.clone());
    let mine = home.and_then(|it| it.members.iter().find(|member| member.who == me));
    json!({
        "object": "organization.project.service_account",
        "id": find::id_text(object),
        "name": account.name,
        "role": mine.map_or("member", |mine| role::in_project(&mine.role)),
        "created_at": find::made_at(object),
    })
}
