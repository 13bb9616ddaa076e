//! Projects as OpenAI has them: made, named, archived, never removed.

use super::{
    find::{self, carry_out},
    page::{Turn, page},
};
use crate::{
    api::objects::shape::document,
    context::{Context, json},
    failure::Failure,
    service::edit::edit,
};
use axum::{http::StatusCode, response::Response};
use policies::{
    authority,
    document::{Document, Kind, Object, Project},
    permission::Permission,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use store::audit::{ActFilter, Order};

/// The act that archives a project, which tells when it was.
const ARCHIVED: &str = "project.archived";
/// Acts that are searched for when projects were archived, at most.
const ARCHIVALS_MAX: u32 = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Option<String>,
    geography: Option<Value>,
    residency: Option<Value>,
    external_key_id: Option<Value>,
}

pub(super) async fn list(context: Context) -> Result<Response, Failure> {
    let (who, known) = (context.who()?, context.known()?);
    let archived_too = match context.query("include_archived") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Failure::invalid("include_archived", "must be `true` or `false`")),
    };
    let objects = &known.settings.objects;
    let seen = |it: &&Object| {
        let reach = authority::reach(&it.document, objects);
        who.rights.allow(Permission::ReadProjects, reach)
            && (archived_too || project(it).is_some_and(|project| project.active))
    };
    let all: Vec<&Object> = find::of_kind(objects, Kind::Project).filter(seen).collect();
    let ended = if archived_too { archivals(&context, Vec::new()).await? } else { HashMap::new() };
    page(&context, Turn::LastId, all, |it| find::id_text(it), |it| view(it, &ended))
}

pub(super) async fn get(context: Context) -> Result<Response, Failure> {
    let id = find::id(&context, Kind::Project, 0)?;
    answer(&context, find::by_id(&context.known()?.settings.objects, Kind::Project, id)?).await
}

pub(super) async fn create(context: Context) -> Result<Response, Failure> {
    let written = read(&context)?;
    let name = written.name.ok_or_else(|| Failure::invalid("name", "is missing"))?;
    let org = context.known()?.authority.name.clone();
    let new = document(Kind::Project, &org, json!({ "name": name }))?;
    let edited = carry_out(&context, |draft| {
        let id = draft.insert(new.clone())?;
        Ok(Object { id, document: draft.get(Kind::Project, &id)?.clone() })
    });
    answer(&context, &edited.await?).await
}

pub(super) async fn update(context: Context) -> Result<Response, Failure> {
    let written = read(&context)?;
    let id = find::id(&context, Kind::Project, 0)?;
    let edited = carry_out(&context, |draft| {
        draft.update(Kind::Project, &id, |document| {
            let Document::Project(project) = document else { return Ok(()) };
            if !project.active {
                return Err(Failure::malformed("the project is archived"));
            }
            if let Some(name) = &written.name {
                project.name.clone_from(name);
            }
            Ok(())
        })?;
        Ok(Object { id, document: draft.get(Kind::Project, &id)?.clone() })
    });
    answer(&context, &edited.await?).await
}

/// Its keys are refused from then on. Its data stays, and so does its name.
pub(super) async fn archive(context: Context) -> Result<Response, Failure> {
    let id = find::id(&context, Kind::Project, 0)?;
    let mut editor = context.editor()?;
    editor.act.action = ARCHIVED.to_owned();
    let edited = edit(&context.services, &editor, |draft| {
        draft.update(Kind::Project, &id, |document| {
            if let Document::Project(project) = document {
                project.active = false;
            }
            Ok(())
        })?;
        Ok(Object { id, document: draft.get(Kind::Project, &id)?.clone() })
    });
    answer(&context, &edited.await?.value).await
}

fn read(context: &Context) -> Result<Written, Failure> {
    let written: Written = context.read()?;
    find::absent(&[
        ("geography", written.geography.is_some()),
        ("residency", written.residency.is_some()),
        ("external_key_id", written.external_key_id.is_some()),
    ])?;
    Ok(written)
}

async fn answer(context: &Context, object: &Object) -> Result<Response, Failure> {
    let ended = match project(object).is_some_and(|project| project.active) {
        true => HashMap::new(),
        false => archivals(context, vec![find::id_text(object)]).await?,
    };
    Ok(json(StatusCode::OK, &view(object, &ended)))
}

/// When projects were archived here, in Unix seconds, by their id. One that a file made inactive
/// is not among them.
async fn archivals(
    context: &Context,
    targets: Vec<String>,
) -> Result<HashMap<String, i64>, Failure> {
    let actions = vec![ARCHIVED.to_owned()];
    let filter = ActFilter { actions, targets, ..ActFilter::default() };
    let log = &context.services.store;
    let found = log.acts(&context.org()?, &filter, Order::Oldest, None, ARCHIVALS_MAX).await?;
    let mut ended = HashMap::new();
    for entry in found {
        let act = entry.act()?;
        if let Some(target) = act.target {
            ended.insert(target.id, act.at.seconds());
        }
    }
    Ok(ended)
}

fn view(object: &Object, ended: &HashMap<String, i64>) -> Value {
    let id = find::id_text(object);
    let active = project(object).is_some_and(|project| project.active);
    let archived_at = if active { None } else { ended.get(&id) };
    json!({
        "object": "organization.project",
        "id": id,
        "name": object.document.name(),
        "created_at": find::made_at(object),
        "archived_at": archived_at,
        "status": if active { "active" } else { "archived" },
        "external_key_id": null,
    })
}

pub(super) fn project(object: &Object) -> Option<&Project> {
    let Document::Project(project) = &object.document else { return None };
    Some(project)
}
