//! `GET /v1/models`: what the caller may use, and nothing else.

use super::{EdgeBody, json, problem};
use crate::pipeline::resolve::Scope;
use dialects::models::{self, Model};
use http::{Response, StatusCode};
use policies::refusal::Refusal;

pub(super) fn list(scope: &Scope) -> Response<EdgeBody> {
    let names = scope.live().tenant.models.keys();
    let usable = names.filter(|name| scope.grant().may_use(name));
    let models: Vec<Model<'_>> = usable.map(|name| model(name)).collect();
    json(StatusCode::OK, models::list(&models))
}

pub(super) fn one(scope: &Scope, values: &[&str]) -> Response<EdgeBody> {
    let asked = values.first().copied().unwrap_or_default();
    let known = scope.live().tenant.models.get(asked).filter(|_| scope.grant().may_use(asked));
    match known {
        Some(known) => json(StatusCode::OK, models::one(model(&known.name))),
        None => {
            let model = asked.chars().take(128).collect();
            problem::answer(&Refusal::ModelNotFound { model })
        }
    }
}

fn model(name: &str) -> Model<'_> {
    Model { id: name, created: 0, owned_by: "penstock" }
}
