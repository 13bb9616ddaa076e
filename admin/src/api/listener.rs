//! What the admin listener shows to anyone: that it lives, that it is ready, the manual.

use crate::{
    context::{Context, json},
    failure::Failure,
    manual,
    table::{Build, Row, open},
};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::Response,
};

pub const ROWS: &[Row] = &[
    Build(open("/", |_| Box::pin(async { Ok(plain(WELCOME)) }))).says("What this listener is").0,
    Build(open("/healthz", |_| Box::pin(async { Ok(plain("live\n")) })))
        .says("The process runs; asks nothing else, so that a slow store restarts nobody")
        .0,
    Build(open("/readyz", |context| Box::pin(async move { ready(&context) })))
        .says("Whether the gateway can serve, by part")
        .0,
    Build(open("/docs/{page}", |context| Box::pin(async move { page(&context) })))
        .says("A page of the manual")
        .0,
];

const WELCOME: &str = "This is Penstock's admin listener; its manual begins at /docs/apply.\n";

#[expect(clippy::unnecessary_wraps, reason = "all handlers have one shape")]
fn ready(context: &Context) -> Result<Response, Failure> {
    let readiness = context.services.probe.readiness();
    let status = match readiness.is_ready() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    Ok(json(status, &readiness))
}

fn page(context: &Context) -> Result<Response, Failure> {
    manual::page(context.param(0)).map(plain).ok_or(Failure::NotFound)
}

/// Never taken for anything but text by a browser.
fn plain(text: &'static str) -> Response {
    let mut answer = Response::new(text.into());
    let headers = answer.headers_mut();
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
