//! Members of a project: its users and its groups, each with a role there.

use super::{
    find::{self, carry_out},
    page::{Turn, deleted, page},
    projects::project,
    role,
};
use crate::{
    context::{Context, json},
    failure::Failure,
    service::{edit::Draft, people::same_address},
};
use axum::{http::StatusCode, response::Response};
use policies::{
    document::{Document, Kind, Membership, Object, Project, Subject},
    ids::ProjectId,
    permission::Permission,
    rights::Reach,
};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    role: String,
    user_id: Option<String>,
    email: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRole {
    role: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewGroup {
    group_id: String,
    role: String,
}

/// A member with its own object.
struct Member<'a> {
    object: &'a Object,
    role: &'a str,
}

pub(super) fn users(context: &Context) -> Result<Response, Failure> {
    list(context, Kind::User, Turn::LastId)
}

pub(super) fn groups(context: &Context) -> Result<Response, Failure> {
    list(context, Kind::Group, Turn::Next)
}

fn list(context: &Context, kind: Kind, turn: Turn) -> Result<Response, Failure> {
    let (objects, home) = (&context.known()?.settings.objects, home(context)?);
    let all = all(objects, home, kind);
    page(context, turn, all, |it| find::id_text(it.object), |it| view(context, home, it))
}

pub(super) fn user(context: &Context) -> Result<Response, Failure> {
    one(context, Kind::User)
}

pub(super) fn group(context: &Context) -> Result<Response, Failure> {
    match context.query("group_type") {
        None | Some("group") => one(context, Kind::Group),
        Some(_) => Err(Failure::invalid("group_type", "must be `group`")),
    }
}

fn one(context: &Context, kind: Kind) -> Result<Response, Failure> {
    let (objects, home) = (&context.known()?.settings.objects, home(context)?);
    let id = find::id(context, kind, 1)?;
    let mut all = all(objects, home, kind).into_iter();
    let member = all.find(|it| it.object.id == id).ok_or(Failure::NotFound)?;
    Ok(json(StatusCode::OK, &view(context, home, &member)))
}

pub(super) async fn add_user(context: Context) -> Result<Response, Failure> {
    let NewUser { role, user_id, email } = context.read()?;
    let objects = &context.known()?.settings.objects;
    let user = match (user_id, email) {
        (Some(id), None) => {
            let id = find::id_in(Kind::User, "user_id", &id)?;
            let user = find::by_id(objects, Kind::User, id);
            user.map_err(|_| Failure::invalid("user_id", "there is no such user"))?
        }
        (None, Some(email)) => {
            let has = |it: &&Object| {
                let Document::User(user) = &it.document else { return false };
                user.email.as_deref().is_some_and(|it| same_address(it, &email))
            };
            let mut found = find::of_kind(objects, Kind::User).filter(has);
            match (found.next(), found.next()) {
                (Some(only), None) => only,
                (None, _) => return Err(Failure::invalid("email", "no user has this address")),
                (Some(_), Some(_)) => {
                    return Err(Failure::invalid("email", "several users have this address"));
                }
            }
        }
        (Some(_), Some(_)) | (None, None) => {
            return Err(Failure::invalid("user_id", "send either `user_id` or `email`"));
        }
    };
    add(&context, Kind::User, user.id, &role).await
}

pub(super) async fn add_group(context: Context) -> Result<Response, Failure> {
    let NewGroup { group_id, role } = context.read()?;
    let id = find::id_in(Kind::Group, "group_id", &group_id)?;
    add(&context, Kind::Group, id, &role).await
}

async fn add(context: &Context, kind: Kind, id: [u8; 16], role: &str) -> Result<Response, Failure> {
    change(context, kind, id, |draft, project, who| {
        if project.members.iter().any(|it| it.who == *who) {
            return Err(Failure::Taken { what: "the membership".to_owned() });
        }
        let role = role::for_project(draft.objects(), role)?;
        project.members.push(Membership { who: who.clone(), role });
        Ok(())
    })
    .await
}

pub(super) async fn update_user(context: Context) -> Result<Response, Failure> {
    let NewRole { role } = context.read()?;
    let id = find::id(&context, Kind::User, 1)?;
    change(&context, Kind::User, id, |draft, project, who| {
        let mine = project.members.iter_mut().find(|it| it.who == *who);
        let mine = mine.ok_or(Failure::NotFound)?;
        if let Some(role) = &role {
            mine.role = role::for_project(draft.objects(), role)?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn remove_user(context: Context) -> Result<Response, Failure> {
    let id = find::id(&context, Kind::User, 1)?;
    take_out(&context, Kind::User, id).await?;
    Ok(deleted("organization.project.user.deleted", context.param(1)))
}

pub(super) async fn remove_group(context: Context) -> Result<Response, Failure> {
    let id = find::id(&context, Kind::Group, 1)?;
    take_out(&context, Kind::Group, id).await?;
    Ok(deleted("project.group.deleted", context.param(1)))
}

async fn take_out(context: &Context, kind: Kind, id: [u8; 16]) -> Result<(), Failure> {
    carry_out(context, |draft| {
        members_change(context, draft, kind, id, |_, project, who| {
            let before = project.members.len();
            project.members.retain(|it| it.who != *who);
            if project.members.len() == before { Err(Failure::NotFound) } else { Ok(()) }
        })
    })
    .await?;
    Ok(())
}

/// Changes the project's members, and answers with the one that is meant.
async fn change(
    context: &Context,
    kind: Kind,
    id: [u8; 16],
    change: impl Fn(&Draft, &mut Project, &Subject) -> Result<(), Failure>,
) -> Result<Response, Failure> {
    carry_out(context, |draft| members_change(context, draft, kind, id, &change)).await?;
    let (known, home) = (find::anew(context).await?, home(context)?);
    let mut all = all(&known.settings.objects, home, kind).into_iter();
    let member = all.find(|it| it.object.id == id).ok_or(Failure::NotFound)?;
    Ok(json(StatusCode::OK, &view(context, home, &member)))
}

fn members_change(
    context: &Context,
    draft: &mut Draft,
    kind: Kind,
    id: [u8; 16],
    change: impl Fn(&Draft, &mut Project, &Subject) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let home = *home(context)?.as_bytes();
    let name = draft.name(kind, &id)?;
    let who = if kind == Kind::Group { Subject::Group(name) } else { Subject::User(name) };
    let Document::Project(mut project) = draft.get(Kind::Project, &home)?.clone() else {
        return Err(Failure::NotFound);
    };
    change(draft, &mut project, &who)?;
    draft.replace(&home, Document::Project(project))
}

/// The project of the path.
fn home(context: &Context) -> Result<ProjectId, Failure> {
    find::id(context, Kind::Project, 0).map(ProjectId::from_bytes)
}

fn all(objects: &[Object], home: ProjectId, kind: Kind) -> Vec<Member<'_>> {
    let object = find::by_id(objects, Kind::Project, *home.as_bytes()).ok();
    let members = object.and_then(project).map_or(&[][..], |project| &project.members);
    let member = |it: &'_ Membership| {
        let name = match &it.who {
            Subject::User(name) if kind == Kind::User => name,
            Subject::Group(name) if kind == Kind::Group => name,
            Subject::User(_) | Subject::Group(_) | Subject::ServiceAccount(_) => return None,
        };
        find::by_name(objects, kind, name)
    };
    let found =
        members.iter().filter_map(|it| Some(Member { object: member(it)?, role: &it.role }));
    found.collect()
}

/// Addresses are for those who see people, or choose members here.
fn view(context: &Context, home: ProjectId, member: &Member<'_>) -> Value {
    let Member { object, role } = member;
    let (id, role) = (find::id_text(object), role::in_project(role));
    let Document::User(user) = &object.document else {
        return json!({
            "object": "project.group",
            "group_id": id,
            "group_name": object.document.name(),
            "group_type": "group",
            "project_id": home,
            "role": role,
            "created_at": find::made_at(object),
        });
    };
    let sees = context.who.as_ref().is_some_and(|who| {
        who.rights.allow(Permission::ReadPeople, Reach::Org)
            || who.rights.allow(Permission::WriteMembers, Reach::Project(home))
    });
    json!({
        "object": "organization.project.user",
        "id": id,
        "name": user.display_name.as_deref().unwrap_or(&user.name),
        "email": user.email.as_ref().filter(|_| sees),
        "role": role,
        "added_at": find::made_at(object),
    })
}
