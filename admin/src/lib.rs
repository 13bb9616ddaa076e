//! The control plane: what administrators change and read, beside the way of requests.
//!
//! It knows nothing of the data plane but what it asks for in small traits ([`probe`]). The two
//! meet in the store: here a revision is written, there it is noticed.

pub mod manual;
pub mod probe;
pub mod problem;
pub mod service;

use self::{
    probe::{Probe, Readiness},
    problem::Problem,
};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{self, MethodRouter},
};
use policies::route::{Audit, Meter, Method, Permission, Route};
use std::sync::Arc;

/// What a route of the admin listener does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Welcome,
    Live,
    Ready,
    Manual,
}

/// Bytes of request body that these routes read: none.
const BODY_BYTES_NONE: usize = 0;

/// Every route of the admin listener. The router, and the tests of authority, are built of it.
pub const ROUTES: &[Route<Act>] = &[
    open("/", Act::Welcome),
    open("/healthz", Act::Live),
    open("/readyz", Act::Ready),
    open("/docs/{page}", Act::Manual),
];

/// A route that anyone may read, because it holds nothing of any tenant.
const fn open(path: &'static str, handler: Act) -> Route<Act> {
    Route {
        method: Method::Get,
        path,
        permission: Permission::Public,
        meter: Meter::Free,
        audit: Audit::None,
        body_bytes_max: BODY_BYTES_NONE,
        handler,
    }
}

/// The router of the admin listener.
pub fn router(probe: Arc<dyn Probe>) -> Router {
    let add = |router: Router<Arc<dyn Probe>>, route: &Route<Act>| {
        let limit = DefaultBodyLimit::max(route.body_bytes_max);
        router.route(route.path, handler(route).layer(limit))
    };
    ROUTES
        .iter()
        .fold(Router::new(), add)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(probe)
}

fn handler(route: &Route<Act>) -> MethodRouter<Arc<dyn Probe>> {
    let filter = match route.method {
        Method::Get => routing::MethodFilter::GET,
        Method::Post => routing::MethodFilter::POST,
    };
    match route.handler {
        Act::Welcome => routing::on(filter, welcome),
        Act::Live => routing::on(filter, live),
        Act::Ready => routing::on(filter, ready),
        Act::Manual => routing::on(filter, manual_page),
    }
}

async fn welcome() -> Response {
    plain("This is Penstock's admin listener; its manual begins at /docs/apply.\n")
}

/// The process runs and answers. It asks nothing else, so that a slow store restarts nobody.
async fn live() -> Response {
    plain("live\n")
}

async fn ready(State(probe): State<Arc<dyn Probe>>) -> (StatusCode, Json<Readiness>) {
    let readiness = probe.readiness();
    let status = match readiness.is_ready() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(readiness))
}

async fn manual_page(Path(page): Path<String>) -> Result<Response, Problem> {
    manual::page(&page).map(plain).ok_or_else(|| {
        let pages: Vec<&str> = manual::PAGES.iter().map(|(name, _)| *name).collect();
        let detail = format!("there is no such page; there are: {}", pages.join(", "));
        Problem::new(StatusCode::NOT_FOUND, Some(detail))
    })
}

async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, None)
}

async fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, None)
}

/// Never taken for anything but text by a browser.
fn plain(text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests;
