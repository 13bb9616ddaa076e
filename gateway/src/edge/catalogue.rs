//! `GET /v1/models`: what the caller may use, and nothing else.

use super::{EdgeBody, json, problem};
use crate::{
    app::App,
    pipeline::{
        authenticate::authenticate,
        resolve::{Scope, resolve},
    },
};
use dialects::models::{self, Model};
use http::{HeaderMap, Response, StatusCode};
use policies::refusal::Refusal;
use std::net::SocketAddr;

pub(super) fn list(app: &App, headers: &HeaderMap, address: SocketAddr) -> Response<EdgeBody> {
    match scope(app, headers, address) {
        Ok(scope) => {
            let names = scope.live().tenant.models.keys();
            let usable = names.filter(|name| scope.grant().may_use(name));
            let models: Vec<Model<'_>> = usable.map(|name| model(name)).collect();
            json(StatusCode::OK, models::list(&models))
        }
        Err(refusal) => problem::answer(&refusal),
    }
}

pub(super) fn one(
    app: &App,
    headers: &HeaderMap,
    address: SocketAddr,
    values: &[&str],
) -> Response<EdgeBody> {
    let scope = match scope(app, headers, address) {
        Ok(scope) => scope,
        Err(refusal) => return problem::answer(&refusal),
    };
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

pub(super) fn scope(app: &App, headers: &HeaderMap, address: SocketAddr) -> Result<Scope, Refusal> {
    let caller = authenticate(&app.snapshot, &app.doorman, headers, address.ip())?;
    resolve(&caller, headers, app.purse.now())
}

fn model(name: &str) -> Model<'_> {
    Model { id: name, created: 0, owned_by: "penstock" }
}
