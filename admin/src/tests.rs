//! The admin listener, asked in process.

mod bodies;
mod edits;
mod matrix;
mod promises;
mod sign_in;
pub(crate) mod town;

use super::*;
use crate::{
    failure::Face,
    probe::{Probe, Readiness, Sharing, Trial, Tried},
    services::Services,
    table,
};
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use policies::{
    ids::{OrgId, ProviderId},
    permission::Permission,
    route::{Audit, Meter, Method},
};
use std::{collections::HashSet, net::IpAddr, sync::Arc};
use store::model::Model;

struct Fixed(Readiness);

#[async_trait::async_trait]
impl Probe for Fixed {
    fn readiness(&self) -> Readiness {
        self.0
    }

    async fn try_provider(&self, _: &OrgId, _: &ProviderId) -> Trial {
        Trial { tried: Tried::Reachable, status: Some(200), latency_millis: 7 }
    }
}

const READY: Readiness = Readiness {
    store: true,
    journal: true,
    snapshot: true,
    draining: false,
    limits: Sharing::Process,
};

async fn ask(readiness: Readiness, method: &str, path: &str) -> (StatusCode, String, String) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let services = Arc::new(Services::new(Arc::new(Model::default()), Arc::new(Fixed(readiness))));
    let answer = gate::serve(&services, IpAddr::from([127, 0, 0, 1]), request).await;
    let status = answer.status();
    let kind = answer.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, kind, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn it_is_ready_when_every_part_is_and_it_does_not_drain() {
    for (readiness, status) in [
        (READY, 200),
        (Readiness { store: false, ..READY }, 503),
        (Readiness { journal: false, ..READY }, 503),
        (Readiness { snapshot: false, ..READY }, 503),
        (Readiness { draining: true, ..READY }, 503),
    ] {
        let (got, kind, body) = ask(readiness, "GET", "/readyz").await;

        assert_eq!(got.as_u16(), status);
        assert_eq!(kind, "application/json");
        let facts: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(facts["draining"], readiness.draining);
        assert_eq!(facts.as_object().unwrap().len(), 5);
    }
}

#[tokio::test]
async fn it_lives_even_when_nothing_else_does() {
    let dead = Readiness { store: false, journal: false, snapshot: false, draining: true, ..READY };

    assert_eq!(ask(dead, "GET", "/healthz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn every_page_of_the_manual_is_served_as_text() {
    for (name, text) in manual::PAGES {
        let (status, kind, body) = ask(READY, "GET", &format!("/docs/{name}")).await;

        assert_eq!(status, StatusCode::OK);
        assert_eq!(kind, "text/plain; charset=utf-8");
        assert_eq!(&body, text);
    }
    let (_, _, welcome) = ask(READY, "GET", "/").await;
    assert!(welcome.contains("/docs/"));
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_document() {
    for (method, path, status) in [
        ("GET", "/nowhere", 404),
        ("GET", "/docs/%3Cscript%3E", 404),
        ("GET", "/docs/../Cargo.toml", 404),
        ("POST", "/healthz", 405),
    ] {
        let (got, kind, body) = ask(READY, method, path).await;

        assert_eq!(got.as_u16(), status, "{path}");
        assert_eq!(kind, "application/problem+json");
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["status"], status);
        assert!(!body.contains("script"), "{body}");
    }
}

#[test]
fn open_routes_hold_nothing_of_a_tenant_and_all_others_need_a_permission() {
    for row in table::rows().filter(|row| row.permission == Permission::Public) {
        assert_eq!((row.meter, row.audit), (Meter::Free, Audit::None), "{}", row.path);
    }
    for row in table::rows().filter(|row| row.permission != Permission::Public) {
        let changes = row.method != Method::Get;
        assert_eq!(row.audit == Audit::Change, changes, "{} {}", row.method.word(), row.path);
    }
}

#[test]
fn no_two_rows_are_the_same_and_each_says_what_it_does() {
    let mut seen = HashSet::new();
    for row in table::rows() {
        assert!(seen.insert((row.method.word(), row.path)), "{}", row.path);
        assert!(!row.handler.summary.is_empty(), "{}", row.path);
        assert_eq!(row.handler.face, table::face_of(row.path), "{}", row.path);
    }
    assert!(seen.contains(&("GET", "/healthz")));
    assert_ne!(Face::Openai, Face::Scim);
}

#[tokio::test]
async fn whoever_shows_no_good_credential_learns_nothing() {
    for row in table::rows().filter(|row| row.permission != Permission::Public) {
        let path = row.path.replace("{id}", "proj_00000000000000000000000000000001");
        let (status, _, body) = ask(READY, row.method.word(), &path).await;

        assert_eq!(status, StatusCode::UNAUTHORIZED, "{}", row.path);
        assert!(!body.contains("proj_"), "{body}");
    }
}
