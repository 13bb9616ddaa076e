//! HTTP at the edge of the data plane: requests in, replies and refusals out.

pub mod body;
pub mod framing;
pub mod inflate;
pub mod listener;
pub mod problem;
pub mod proxies;

mod catalogue;
mod late;
mod own;
mod token;

use self::body::EdgeBody;
use crate::{
    app::App,
    pipeline::{self, Arrival, authenticate::organization, resolve::Purpose, scope},
};
use admin::services::Services;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use policies::{
    ids::RequestId,
    permission::Permission,
    refusal::Refusal,
    route::{self, Audit, Meter, Route},
    usage::Surface,
};
use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};
use store::{clock, entropy};

/// Our own id of a request, in every answer. A caller's id is kept beside it, never used as it.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What serves a route of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    /// Through the pipeline.
    Infer(Surface),
    Models,
    Model,
    OwnRequest,
    Token,
    Login,
}

/// Every route of the client listener.
pub const ROUTES: &[Route<Handler>] = &[
    Route {
        method: route::Method::Post,
        path: "/v1/chat/completions",
        permission: Permission::Infer,
        meter: Meter::Tokens,
        audit: Audit::Decision,
        body_bytes_max: usize::MAX,
        handler: Handler::Infer(Surface::Chat),
    },
    Route {
        method: route::Method::Post,
        path: "/v1/embeddings",
        permission: Permission::Infer,
        meter: Meter::Tokens,
        audit: Audit::Decision,
        body_bytes_max: usize::MAX,
        handler: Handler::Infer(Surface::Embeddings),
    },
    Route {
        method: route::Method::Get,
        path: "/v1/models",
        permission: Permission::ListModels,
        meter: Meter::Free,
        audit: Audit::None,
        body_bytes_max: 0,
        handler: Handler::Models,
    },
    Route {
        method: route::Method::Get,
        path: "/v1/models/{id}",
        permission: Permission::ListModels,
        meter: Meter::Free,
        audit: Audit::None,
        body_bytes_max: 0,
        handler: Handler::Model,
    },
    Route {
        method: route::Method::Get,
        path: "/v1/penstock/requests/{id}",
        permission: Permission::ReadOwnRequests,
        meter: Meter::Free,
        audit: Audit::OwnRead,
        body_bytes_max: 0,
        handler: Handler::OwnRequest,
    },
    Route {
        method: route::Method::Post,
        path: "/v1/penstock/token",
        permission: Permission::Public,
        meter: Meter::Free,
        audit: Audit::Change,
        body_bytes_max: 64 * 1024,
        handler: Handler::Token,
    },
    Route {
        method: route::Method::Get,
        path: "/v1/penstock/login",
        permission: Permission::Public,
        meter: Meter::Free,
        audit: Audit::None,
        body_bytes_max: 0,
        handler: Handler::Login,
    },
];

/// What the edge itself finds, before any route.
enum Found<'a> {
    Route(&'static Route<Handler>, Vec<&'a str>),
    WrongMethod(&'static str),
    Nothing,
}

/// Answers one request of the client listener.
pub async fn serve(
    app: Arc<App>,
    services: &Services,
    address: SocketAddr,
    request: Request<Incoming>,
) -> Response<EdgeBody> {
    let id = match entropy::id() {
        Ok(bytes) => RequestId::from_bytes(bytes),
        Err(dry) => {
            tracing::error!(%dry, "no id for a request");
            return problem::answer(&Refusal::Unavailable { retry_millis: 1_000 });
        }
    };
    let (parts, body) = request.into_parts();
    let mut answer = match find(&parts.method, parts.uri.path()) {
        Found::Route(route, values) => match route.handler {
            Handler::Infer(surface) => {
                let body_bytes_max = route.body_bytes_max.min(app.edge.body_bytes_max);
                let arrival = Arrival {
                    request: id,
                    surface,
                    purpose: purpose(route),
                    headers: parts.headers,
                    body,
                    body_bytes_max,
                    address: address.ip(),
                    started: clock::monotonic(),
                    promise: Arc::new(OnceLock::new()),
                };
                late::infer(app, arrival).await
            }
            Handler::Models => {
                let scope = scope(&app, &parts.headers, address.ip(), purpose(route)).await;
                answered(scope.map(|scope| catalogue::list(&scope)))
            }
            Handler::Model => {
                let scope = scope(&app, &parts.headers, address.ip(), purpose(route)).await;
                answered(scope.map(|scope| catalogue::one(&scope, &values)))
            }
            Handler::OwnRequest => {
                match scope(&app, &parts.headers, address.ip(), purpose(route)).await {
                    Ok(scope) => own::request(&app, &scope, &values).await,
                    Err(refusal) => problem::answer(&refusal),
                }
            }
            Handler::Token => {
                let org = organization(&parts.headers).map(str::to_owned);
                let asker = token::Asker { address: address.ip(), request: id, org };
                token::exchange(&app, services, &asker, body).await
            }
            Handler::Login => token::login(&app, parts.uri.query()),
        },
        // What is left of a body is read and thrown away by the listener, within bounds.
        Found::WrongMethod(allowed) => problem::wrong_method(allowed),
        Found::Nothing => problem::no_route(),
    };
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        answer.headers_mut().insert(REQUEST_ID, value);
    }
    answer
}

/// Whether a request of the client listener is for the part of the administration API that stock
/// SDKs know.
pub fn is_administration<B>(request: &Request<B>) -> bool {
    request.uri().path().starts_with("/v1/organization")
        || request.uri().path().starts_with("/v1/projects/")
}

/// Answers a request of the client listener as the admin listener would.
pub async fn administer(
    services: &Arc<Services>,
    address: SocketAddr,
    request: Request<Incoming>,
) -> Response<EdgeBody> {
    let answer = admin::gate::serve(services, address.ip(), request).await;
    let (head, body) = answer.into_parts();
    // Written by us a moment ago: it is whole, and in memory.
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Response::from_parts(head, EdgeBody::whole(body))
}

fn find<'a>(method: &Method, path: &'a str) -> Found<'a> {
    let mut allowed = None;
    for route in ROUTES {
        let Some(values) = route::matches(route.path, path) else { continue };
        if method.as_str() == route.method.word() {
            return Found::Route(route, values);
        }
        allowed = Some(route.method.word());
    }
    allowed.map_or(Found::Nothing, Found::WrongMethod)
}

fn purpose(route: &'static Route<Handler>) -> Purpose {
    Purpose { permission: route.permission, path: route.path }
}

fn answered(answer: Result<Response<EdgeBody>, Refusal>) -> Response<EdgeBody> {
    answer.unwrap_or_else(|refusal| problem::answer(&refusal))
}

fn infer(answered: Result<pipeline::settle::Reply, Refusal>) -> Response<EdgeBody> {
    match answered {
        Ok(reply) => body::reply(reply),
        Err(refusal) => problem::answer(&refusal),
    }
}

/// An answer of JSON that we wrote ourselves.
fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<EdgeBody> {
    let mut answer = Response::new(EdgeBody::whole(body.into()));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}
