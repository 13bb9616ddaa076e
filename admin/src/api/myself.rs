//! `GET /admin/v1/me`: who the asker is, and what they may do where.

use crate::{
    context::{Context, json},
    failure::Failure,
    table::{Build, Place, Row, row},
};
use axum::{http::StatusCode, response::Response};
use policies::{
    permission::{Permission, Permissions},
    route::Method,
};
use serde_json::json;

pub const ROWS: &[Row] =
    &[Build(row(Method::Get, "/admin/v1/me", Permission::Myself, |context| {
        Box::pin(async move { me(&context) })
    }))
    .at(Place::Somewhere)
    .says("Who you are, and what you may do where")
    .gives(200, Some("Myself"))
    .0];

fn me(context: &Context) -> Result<Response, Failure> {
    let (who, known) = (context.who()?, context.known()?);
    let words = |held: Permissions| held.iter().map(Permission::word).collect::<Vec<_>>();
    let units = who.rights.units.iter().map(|(id, held)| (id.to_string(), json!(words(*held))));
    let projects = who.rights.projects.iter();
    let projects = projects.map(|(id, held)| (id.to_string(), json!(words(*held))));
    let body = json!({
        "object": "myself",
        "org": { "id": who.org.to_string(), "name": known.authority.name },
        "home_org": who.home.to_string(),
        "id": who.scope(),
        "name": who.name,
        "user_id": who.user().map(|user| user.to_string()),
        "permissions": {
            "org": words(who.rights.org),
            "units": units.collect::<serde_json::Map<_, _>>(),
            "projects": projects.collect::<serde_json::Map<_, _>>(),
        },
    });
    Ok(json(StatusCode::OK, &body))
}
