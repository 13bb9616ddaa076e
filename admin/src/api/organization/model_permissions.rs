//! Which models a project may use: `Project.models`, `Project.denied_models`.

use super::{
    find::{self, carry_out},
    projects::project,
};
use crate::{
    context::{Context, json},
    failure::Failure,
    service::edit::Draft,
};
use axum::{http::StatusCode, response::Response};
use policies::document::{Document, Kind, Project};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    AllowList,
    DenyList,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    mode: Mode,
    model_ids: Vec<String>,
}

pub(super) fn get(context: &Context) -> Result<Response, Failure> {
    let id = find::id(context, Kind::Project, 0)?;
    let object = find::by_id(&context.known()?.settings.objects, Kind::Project, id)?;
    Ok(json(StatusCode::OK, &view(project(object).ok_or(Failure::NotFound)?)))
}

pub(super) async fn update(context: Context) -> Result<Response, Failure> {
    let Written { mode, mut model_ids } = context.read()?;
    model_ids.sort();
    model_ids.dedup();
    if mode == Mode::AllowList && model_ids.is_empty() {
        // An empty list of models means all of them here: the opposite of what was asked.
        let message = "an allow list names one model at least; archive a project to close it";
        return Err(Failure::invalid("model_ids", message));
    }
    let written = change(&context, |draft, project| {
        for model in &model_ids {
            if draft.by_name(Kind::Model, model).is_none() {
                let model: String = model.chars().take(128).collect();
                return Err(Failure::invalid("model_ids", format!("there is no model `{model}`")));
            }
        }
        (project.models, project.denied_models) = match mode {
            Mode::AllowList => (model_ids.clone(), Vec::new()),
            Mode::DenyList => (Vec::new(), model_ids.clone()),
        };
        Ok(())
    });
    Ok(json(StatusCode::OK, &view(&written.await?)))
}

pub(super) async fn remove(context: Context) -> Result<Response, Failure> {
    change(&context, |_, project| {
        (project.models, project.denied_models) = (Vec::new(), Vec::new());
        Ok(())
    })
    .await?;
    let body = json!({ "object": "project.model_permissions.deleted", "deleted": true });
    Ok(json(StatusCode::OK, &body))
}

/// Changes the project of the path; what it is then.
async fn change(
    context: &Context,
    change: impl Fn(&Draft, &mut Project) -> Result<(), Failure>,
) -> Result<Project, Failure> {
    let id = find::id(context, Kind::Project, 0)?;
    carry_out(context, |draft| {
        let Document::Project(mut project) = draft.get(Kind::Project, &id)?.clone() else {
            return Err(Failure::NotFound);
        };
        change(draft, &mut project)?;
        draft.replace(&id, Document::Project(project.clone()))?;
        Ok(project)
    })
    .await
}

/// A project that has both lists shows what is left to it.
fn view(project: &Project) -> Value {
    let left = || project.models.iter().filter(|model| !project.denied_models.contains(model));
    let (mode, models) = match project.models.is_empty() {
        true => (Mode::DenyList, project.denied_models.clone()),
        false => (Mode::AllowList, left().cloned().collect()),
    };
    json!({ "object": "project.model_permissions", "mode": mode, "model_ids": models })
}
