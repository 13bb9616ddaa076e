//! People who are asked to join.

use super::{
    find::{self, carry_out},
    page::{Turn, deleted, page},
    role,
};
use crate::{
    context::{Context, json},
    failure::Failure,
    service::edit::Draft,
};
use axum::{http::StatusCode, response::Response};
use policies::{
    document::{Document, Invite, InvitedTo, Kind, Object},
    role::Role,
    time::Timestamp,
};
use serde::Deserialize;
use serde_json::{Value, json};
use store::clock;

/// For how long an invite is good: a week.
const INVITE_MILLIS: i64 = 7 * 24 * 60 * 60 * 1000;
/// Projects of one invite, at most.
const PROJECTS_MAX: usize = 100;
const EMAIL_CHARS_MAX: usize = 120;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    email: String,
    role: String,
    projects: Option<Vec<To>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct To {
    id: String,
    role: String,
}

pub(super) fn list(context: &Context) -> Result<Response, Failure> {
    let objects = &context.known()?.settings.objects;
    let all = find::of_kind(objects, Kind::Invite).collect();
    page(context, Turn::LastId, all, |it| find::id_text(it), |it| view(objects, it))
}

pub(super) fn get(context: &Context) -> Result<Response, Failure> {
    let objects = &context.known()?.settings.objects;
    let id = find::id(context, Kind::Invite, 0)?;
    Ok(json(StatusCode::OK, &view(objects, find::by_id(objects, Kind::Invite, id)?)))
}

pub(super) async fn create(context: Context) -> Result<Response, Failure> {
    let Written { email, role, projects } = context.read()?;
    let projects = projects.unwrap_or_default();
    let email = email.trim().to_owned();
    if !email.contains('@') || EMAIL_CHARS_MAX < email.chars().count() {
        return Err(Failure::invalid("email", "must be an address"));
    }
    if PROJECTS_MAX < projects.len() {
        return Err(Failure::invalid("projects", format!("at most {PROJECTS_MAX}")));
    }
    let now = clock::now();
    let edited = carry_out(&context, |draft| {
        let invite = Invite {
            id: None,
            org: String::new(),
            name: name(draft, &email, now)?,
            locked: false,
            email: email.clone(),
            roles: role::for_org(draft.objects(), &role)?,
            projects: projects.iter().map(|to| place(draft, to)).collect::<Result<_, _>>()?,
            expires: now.plus_millis(INVITE_MILLIS).rfc3339(),
            accepted: None,
            sha256: None,
        };
        draft.insert(Document::Invite(invite))
    });
    let id = edited.await?;
    let known = find::anew(&context).await?;
    let objects = &known.settings.objects;
    Ok(json(StatusCode::OK, &view(objects, find::by_id(objects, Kind::Invite, id)?)))
}

/// An address has one invite that waits; those that are over keep their names.
fn name(draft: &Draft, email: &str, now: Timestamp) -> Result<String, Failure> {
    let waits = find::of_kind(draft.objects(), Kind::Invite).any(|it| {
        let Document::Invite(invite) = &it.document else { return false };
        invite.email.eq_ignore_ascii_case(email) && status(invite, now) == "pending"
    });
    match waits {
        true => Err(Failure::Taken { what: "the address: it has an invite that waits".to_owned() }),
        false => find::free_name(draft, Kind::Invite, email),
    }
}

fn place(draft: &Draft, to: &To) -> Result<InvitedTo, Failure> {
    let id = find::id_in(Kind::Project, "projects", &to.id)?;
    let project = draft.name(Kind::Project, &id);
    let project = project.map_err(|_| Failure::invalid("projects", "there is no such project"))?;
    Ok(InvitedTo { project, role: role::for_project(draft.objects(), &to.role)? })
}

pub(super) async fn remove(context: Context) -> Result<Response, Failure> {
    let id = find::id(&context, Kind::Invite, 0)?;
    carry_out(&context, |draft| {
        if let Document::Invite(Invite { accepted: Some(_), .. }) = draft.get(Kind::Invite, &id)? {
            return Err(Failure::malformed("the invite is accepted; remove the user instead"));
        }
        draft.remove(Kind::Invite, &id)
    })
    .await?;
    Ok(deleted("organization.invite.deleted", context.param(0)))
}

fn status(invite: &Invite, now: Timestamp) -> &'static str {
    let ends = Timestamp::parse(&invite.expires);
    if invite.accepted.is_some() {
        "accepted"
    } else if ends.is_some_and(|ends| now < ends) {
        "pending"
    } else {
        "expired"
    }
}

fn view(objects: &[Object], object: &Object) -> Value {
    let Document::Invite(invite) = &object.document else { return Value::Null };
    let projects = invite.projects.iter().filter_map(|to| {
        let project = find::by_name(objects, Kind::Project, &to.project)?;
        Some(json!({ "id": find::id_text(project), "role": role::in_project(&to.role) }))
    });
    let roles = invite.roles.iter().cloned().chain([Role::Member.word().to_owned()]).collect();
    json!({
        "object": "organization.invite",
        "id": find::id_text(object),
        "email": invite.email,
        "role": role::in_org(&roles),
        "status": status(invite, clock::now()),
        "projects": projects.collect::<Vec<_>>(),
        "created_at": find::made_at(object),
        "invited_at": find::made_at(object),
        "expires_at": find::unix(Some(&invite.expires)),
        "accepted_at": find::unix(invite.accepted.as_deref()),
    })
}
