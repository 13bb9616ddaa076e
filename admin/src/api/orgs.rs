//! Orgs: all of them for the installation's operators, one's own for everybody else.

use super::objects::shape::{body, document, merge, view};
use crate::{
    context::{Context, json},
    failure::Failure,
    service::edit::{self, edit},
    table::{Build, Place, Row, row},
};
use axum::{http::StatusCode, response::Response};
use policies::{
    authority::INSTALLATION,
    document::{Document, Kind, Object},
    ids::{OrgId, Revision},
    permission::Permission,
    route::Method,
    tenant,
};
use serde::Deserialize;
use serde_json::{Value, json};
use store::{Change, Committed, entropy};

pub const ROWS: &[Row] = &[
    Build(row(Method::Get, "/admin/v1/orgs", Permission::Operate, |context| {
        Box::pin(list(context))
    }))
    .says("List every org of the installation")
    .gives(200, Some("Page"))
    .0,
    Build(row(Method::Post, "/admin/v1/orgs", Permission::Operate, |context| {
        Box::pin(create(context))
    }))
    .says("Make an org, with its first owner")
    .takes("NewOrg")
    .gives(201, Some("OrgObject"))
    .0,
    Build(row(Method::Get, "/admin/v1/org", Permission::ReadOrg, |context| {
        Box::pin(async move { get(&context) })
    }))
    .at(Place::Org)
    .says("Read the org's own settings")
    .gives(200, Some("OrgObject"))
    .0,
    Build(row(Method::Patch, "/admin/v1/org", Permission::WriteOrg, |context| {
        Box::pin(patch(context))
    }))
    .at(Place::Org)
    .says("Change the org's own settings (JSON Merge Patch)")
    .takes("Org")
    .gives(200, Some("OrgObject"))
    .0,
];

/// Who owns a new org.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Owner {
    name: String,
    email: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewOrg {
    name: String,
    #[serde(default)]
    time_zone: Option<String>,
    #[serde(default)]
    support: Option<String>,
    #[serde(default)]
    owner: Option<Owner>,
}

async fn list(context: Context) -> Result<Response, Failure> {
    let mut found = Vec::new();
    for (org, revision) in context.services.store.revisions().await? {
        if org == INSTALLATION {
            continue;
        }
        if let Some(known) = context.services.org(&org).await? {
            found.push(json!({
                "object": "org",
                "id": org.to_string(),
                "name": known.authority.name,
                "active": known.authority.active,
                "users": known.authority.users.len(),
                "revision": revision.0,
            }));
        }
    }
    let body = json!({ "object": "list", "data": found, "has_more": false, "next": null });
    Ok(json(StatusCode::OK, &body))
}

async fn create(context: Context) -> Result<Response, Failure> {
    let NewOrg { name, time_zone, support, owner } = context.read()?;
    let org = OrgId::from_bytes(entropy::id()?);
    let mut head = json!({ "name": name });
    for (field, value) in [("time_zone", time_zone), ("support", support)] {
        if let (Some(value), Some(fields)) = (value, head.as_object_mut()) {
            fields.insert(field.to_owned(), Value::String(value));
        }
    }
    let head = object(*org.as_bytes(), Kind::Org, &name, head)?;
    let mut objects = vec![head.clone()];
    if let Some(Owner { name: user, email }) = owner {
        let user = json!({ "name": user, "email": email, "roles": ["owner"] });
        objects.push(object(entropy::id()?, Kind::User, &name, user)?);
    }
    if let Err(mistakes) = tenant::compile(&objects, Revision(0)) {
        let first = mistakes.into_iter().next();
        let (field, message) = first.map(|it| (it.field, it.message)).unwrap_or_default();
        return Err(Failure::invalid(&field, message));
    }
    let acts = edit::between(&context.act(""), &[], &objects);
    let change = Change { org, from: Revision(0), put: objects, remove: Vec::new(), acts };
    match context.services.store.commit(vec![change]).await? {
        Committed::Done(_) => Ok(json(StatusCode::CREATED, &view(&head))),
        Committed::NameTaken(name) => Err(Failure::Taken { what: format!("the name `{name}`") }),
        Committed::Conflict(_) => Err(Failure::Conflict),
    }
}

fn object(id: [u8; 16], kind: Kind, org: &str, body: Value) -> Result<Object, Failure> {
    Ok(Object { id, document: document(kind, org, body)? })
}

fn get(context: &Context) -> Result<Response, Failure> {
    let objects = &context.known()?.settings.objects;
    let head = objects.iter().find(|it| it.document.kind() == Kind::Org);
    Ok(json(StatusCode::OK, &view(head.ok_or(Failure::NotFound)?)))
}

async fn patch(context: Context) -> Result<Response, Failure> {
    let patch = context.json()?;
    let org = context.org()?;
    let editor = context.editor()?;
    let edited = edit(&context.services, &editor, |draft| {
        let stored = draft.get(Kind::Org, org.as_bytes())?.clone();
        let mut whole = body(&stored);
        if let (Value::Object(fields), Document::Org(head)) = (&mut whole, &stored) {
            fields.insert("name".to_owned(), Value::String(head.name.clone()));
        }
        merge(&mut whole, &patch);
        let written = document(Kind::Org, stored.name(), whole)?;
        draft.replace(org.as_bytes(), written.clone())?;
        Ok(Object { id: *org.as_bytes(), document: written })
    });
    Ok(json(StatusCode::OK, &view(&edited.await?.value)))
}
