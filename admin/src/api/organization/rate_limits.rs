//! Rate limits of a project, as OpenAI lists them: one for each model.
//!
//! Each is a `Limit` on the project with a name made of both ids. A limit of Penstock counts all
//! requests of its project, whichever model they name; so what is shown for a model is what holds:
//! the least of all limits on the project. That is never more than what was set.

use super::{
    find::{self, carry_out},
    page::{Turn, page},
    projects::project,
};
use crate::{
    context::{Context, json},
    failure::Failure,
};
use axum::{http::StatusCode, response::Response};
use policies::{
    document::{Document, Kind, Limit, Object, On},
    ids::{ModelId, ProjectId},
};
use serde::Deserialize;
use serde_json::{Value, json};

/// What stands for no limit: the greatest whole number that every JSON reader keeps (RFC 8259,
/// section 6). Setting it takes the limit away.
const NO_LIMIT: i64 = (1 << 53) - 1;
/// What the id of a rate limit begins with; the digits of the model's id follow.
const ID_PREFIX: &str = "rl-";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    max_requests_per_1_minute: Option<i64>,
    max_requests_per_1_day: Option<i64>,
    max_tokens_per_1_minute: Option<i64>,
    max_images_per_1_minute: Option<Value>,
    max_audio_megabytes_per_1_minute: Option<Value>,
    batch_1_day_max_input_tokens: Option<Value>,
}

pub(super) fn list(context: &Context) -> Result<Response, Failure> {
    let objects = &context.known()?.settings.objects;
    let home = find::by_id(objects, Kind::Project, find::id(context, Kind::Project, 0)?)?;
    let of_project = project(home).ok_or(Failure::NotFound)?;
    let used = |it: &&Object| {
        let is = |name: &String| name == it.document.name();
        let listed = of_project.models.is_empty() || of_project.models.iter().any(is);
        listed && !of_project.denied_models.iter().any(is)
    };
    let all = find::of_kind(objects, Kind::Model).filter(used).collect();
    page(context, Turn::LastId, all, |it| id(it), |it| view(objects, home, it))
}

pub(super) async fn update(context: Context) -> Result<Response, Failure> {
    let written: Written = context.read()?;
    find::absent(&[
        ("max_images_per_1_minute", written.max_images_per_1_minute.is_some()),
        ("max_audio_megabytes_per_1_minute", written.max_audio_megabytes_per_1_minute.is_some()),
        ("batch_1_day_max_input_tokens", written.batch_1_day_max_input_tokens.is_some()),
    ])?;
    let amounts = [
        ("max_requests_per_1_minute", written.max_requests_per_1_minute),
        ("max_requests_per_1_day", written.max_requests_per_1_day),
        ("max_tokens_per_1_minute", written.max_tokens_per_1_minute),
    ];
    for (field, amount) in amounts {
        if amount.is_some_and(|amount| amount < 1) {
            return Err(Failure::invalid(field, "must be 1 or more"));
        }
    }
    let home = find::id(&context, Kind::Project, 0)?;
    let model = of_path(&context)?;
    carry_out(&context, |draft| {
        draft.get(Kind::Model, &model)?;
        let (on, name) = (On::Project(draft.name(Kind::Project, &home)?), name(home, model));
        let stored = draft.by_name(Kind::Limit, &name).cloned();
        let mut limit = match stored.as_ref().map(|it| &it.document) {
            Some(Document::Limit(limit)) => limit.clone(),
            Some(_) | None => unlimited(name, on),
        };
        set(&mut limit.requests_per_minute, written.max_requests_per_1_minute);
        set(&mut limit.requests_per_day, written.max_requests_per_1_day);
        set(&mut limit.tokens_per_minute, written.max_tokens_per_1_minute);
        match (stored, limits_nothing(&limit)) {
            (Some(stored), true) => draft.remove(Kind::Limit, &stored.id),
            (Some(stored), false) => draft.replace(&stored.id, Document::Limit(limit)),
            (None, true) => Ok(()),
            (None, false) => draft.insert(Document::Limit(limit)).map(|_| ()),
        }
    })
    .await?;
    let known = find::anew(&context).await?;
    let objects = &known.settings.objects;
    let home = find::by_id(objects, Kind::Project, home)?;
    let model = find::by_id(objects, Kind::Model, model)?;
    Ok(json(StatusCode::OK, &view(objects, home, model)))
}

/// The model of the rate limit in the path.
fn of_path(context: &Context) -> Result<[u8; 16], Failure> {
    let digits = context.param(1).strip_prefix(ID_PREFIX).ok_or(Failure::NotFound)?;
    let id = format!("{}_{digits}", ModelId::PREFIX).parse::<ModelId>();
    id.map(|id| *id.as_bytes()).map_err(|_| Failure::NotFound)
}

fn id(model: &Object) -> String {
    format!("{ID_PREFIX}{}", hex::encode(model.id))
}

/// The name of the document: of ids, so that it stays the same whatever is renamed.
fn name(project: [u8; 16], model: [u8; 16]) -> String {
    let (project, model) = (ProjectId::from_bytes(project), ModelId::from_bytes(model));
    format!("rate limit {project} {model}")
}

fn unlimited(name: String, on: On) -> Limit {
    Limit {
        id: None,
        org: String::new(),
        name,
        locked: false,
        on,
        requests_per_minute: None,
        requests_per_day: None,
        tokens_per_minute: None,
        tokens_per_day: None,
        concurrent_requests: None,
    }
}

fn limits_nothing(limit: &Limit) -> bool {
    let amounts = [
        limit.requests_per_minute,
        limit.requests_per_day,
        limit.tokens_per_minute,
        limit.tokens_per_day,
        limit.concurrent_requests,
    ];
    amounts.iter().all(Option::is_none)
}

fn set(amount: &mut Option<i64>, wanted: Option<i64>) {
    if let Some(wanted) = wanted {
        *amount = Some(wanted).filter(|wanted| *wanted < NO_LIMIT);
    }
}

fn view(objects: &[Object], project: &Object, model: &Object) -> Value {
    let on = On::Project(project.document.name().to_owned());
    let limits = || {
        find::of_kind(objects, Kind::Limit).filter_map(|it| {
            let Document::Limit(limit) = &it.document else { return None };
            (limit.on == on).then_some(limit)
        })
    };
    let least = |amount: fn(&Limit) -> Option<i64>| limits().filter_map(amount).min();
    json!({
        "object": "project.rate_limit",
        "id": id(model),
        "model": model.document.name(),
        "max_requests_per_1_minute": least(|it| it.requests_per_minute).unwrap_or(NO_LIMIT),
        "max_tokens_per_1_minute": least(|it| it.tokens_per_minute).unwrap_or(NO_LIMIT),
        "max_requests_per_1_day": least(|it| it.requests_per_day).unwrap_or(NO_LIMIT),
    })
}
