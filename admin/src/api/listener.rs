//! What the admin listener shows to anyone: that it lives, that it is ready, the manual.

use super::login::{page, wants_page};
use crate::{
    context::{Context, json},
    failure::Failure,
    gate::who::cookie,
    manual,
    table::{Build, Row, open},
};
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};

pub const ROWS: &[Row] = &[
    Build(open("/", |context| Box::pin(async move { Ok(welcome(&context)) })))
        .says("What this listener is, and where to go from here")
        .0,
    Build(open("/healthz", |_| Box::pin(async { Ok(plain("live\n")) })))
        .says("The process runs; asks nothing else, so that a slow store restarts nobody")
        .0,
    Build(open("/readyz", |context| Box::pin(async move { ready(&context) })))
        .says("Whether the gateway can serve, by part")
        .0,
    Build(open("/docs", |context| Box::pin(async move { Ok(contents(&context)) })))
        .says("The manual's table of contents")
        .0,
    Build(open("/docs/", |context| Box::pin(async move { Ok(contents(&context)) })))
        .says("The manual's table of contents: its pages by address and title")
        .0,
    Build(open("/docs/{page}", |context| Box::pin(async move { one(&context) })))
        .says("A page of the manual")
        .0,
];

const WELCOME: &str = "\
This is Penstock's admin listener.

/login    sign in
/docs/    the manual
/docs/openapi.json    the API, as an OpenAPI document
";

/// A page for browsers, else text.
fn welcome(context: &Context) -> Response {
    if !wants_page(&context.headers) {
        return plain(WELCOME);
    }
    let name = context.services.sign_in.public_url.session_cookie();
    // Only what to offer hangs on it: whoever's session is over is sent to sign in from there.
    page::landing(context, cookie(&context.headers, name).is_some())
}

fn contents(context: &Context) -> Response {
    let pages: Vec<(String, &str)> =
        manual::contents().map(|(name, title)| (format!("/docs/{name}"), title)).collect();
    if wants_page(&context.headers) {
        return page::contents(context, &pages);
    }
    let text: String = pages.iter().map(|(path, title)| format!("{path}    {title}\n")).collect();
    plain(text)
}

#[expect(clippy::unnecessary_wraps, reason = "all handlers have one shape")]
fn ready(context: &Context) -> Result<Response, Failure> {
    let readiness = context.services.probe.readiness();
    let status = match readiness.is_ready() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    Ok(json(status, &readiness))
}

fn one(context: &Context) -> Result<Response, Failure> {
    manual::page(context.param(0)).map(plain).ok_or(Failure::NotFound)
}

/// Never taken for anything but text by a browser.
fn plain(text: impl Into<Body>) -> Response {
    let mut answer = Response::new(text.into());
    let headers = answer.headers_mut();
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
