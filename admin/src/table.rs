//! The rows of the administration API: what the router, the OpenAPI document and the tests of
//! authority are built from.

use crate::{
    context::Context,
    failure::{Face, Failure},
};
use axum::response::Response;
use policies::{
    document::Kind,
    permission::Permission,
    route::{self, Audit, Meter, Method, Route},
};
use std::{future::Future, pin::Pin};

/// Bytes of the body of a request that changes one thing, at most.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Bytes of request body that routes read which only tell something: none.
pub const NO_BODY: usize = 0;

/// What a handler gives back.
pub type Answer = Pin<Box<dyn Future<Output = Result<Response, Failure>> + Send>>;

/// Where the row's permission must be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the org.
    Org,
    /// Somewhere: the handler shows, or changes, only what is where it is held.
    Somewhere,
    /// At the object of this kind whose id is this parameter of the path. One that is not there,
    /// or that the asker may not even read, is not found.
    Object(Kind, usize),
}

/// What serves a row, and what it says of itself.
#[derive(Clone, Copy)]
pub struct Endpoint {
    pub call: fn(Context) -> Answer,
    pub face: Face,
    pub place: Place,
    /// One line for the OpenAPI document.
    pub summary: &'static str,
    /// Name of the schema of the body, among the components of the OpenAPI document.
    pub takes: Option<&'static str>,
    /// The status of success, and the name of the schema of its body.
    pub gives: (u16, Option<&'static str>),
    /// Names of query parameters.
    pub query: &'static [&'static str],
}

pub type Row = Route<Endpoint>;

/// A row that anyone may read, because it holds nothing of any tenant.
pub const fn open(path: &'static str, call: fn(Context) -> Answer) -> Row {
    row(Method::Get, path, Permission::Public, call)
}

/// A row with the usual settings; the methods of [`Build`] change them.
pub const fn row(
    method: Method,
    path: &'static str,
    permission: Permission,
    call: fn(Context) -> Answer,
) -> Row {
    let reads = matches!(method, Method::Get);
    let audit = match (reads, permission) {
        (_, Permission::Public) => Audit::None,
        (true, _) => Audit::Read,
        (false, _) => Audit::Change,
    };
    Route {
        method,
        path,
        permission,
        meter: Meter::Free,
        audit,
        body_bytes_max: if reads { NO_BODY } else { BODY_BYTES_MAX },
        handler: Endpoint {
            call,
            face: Face::Problem,
            place: Place::Org,
            summary: "",
            takes: None,
            gives: (200, None),
            query: &[],
        },
    }
}

/// Settings of a row, in a chain that a constant can hold.
pub struct Build(pub Row);

impl Build {
    pub const fn at(mut self, place: Place) -> Self {
        self.0.handler.place = place;
        self
    }

    pub const fn face(mut self, face: Face) -> Self {
        self.0.handler.face = face;
        self
    }

    pub const fn says(mut self, summary: &'static str) -> Self {
        self.0.handler.summary = summary;
        self
    }

    pub const fn takes(mut self, schema: &'static str) -> Self {
        self.0.handler.takes = Some(schema);
        self
    }

    pub const fn gives(mut self, status: u16, schema: Option<&'static str>) -> Self {
        self.0.handler.gives = (status, schema);
        self
    }

    pub const fn query(mut self, names: &'static [&'static str]) -> Self {
        self.0.handler.query = names;
        self
    }

    pub const fn audit(mut self, audit: Audit) -> Self {
        self.0.audit = audit;
        self
    }

    pub const fn body(mut self, bytes_max: usize) -> Self {
        self.0.body_bytes_max = bytes_max;
        self
    }
}

/// Every row of the admin listener.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    crate::api::TABLES.iter().flat_map(|table| table.iter())
}

/// What a path and a method lead to.
pub enum Found<'a> {
    Row(&'static Row, Vec<&'a str>),
    /// There is the path, with these methods.
    WrongMethod(Face, String),
    Nothing(Face),
}

/// The face that answers for paths of no row.
pub fn face_of(path: &str) -> Face {
    if path.starts_with("/v1/") {
        Face::Openai
    } else if path.starts_with("/scim/") {
        Face::Scim
    } else {
        Face::Problem
    }
}

pub fn find<'a>(method: &str, path: &'a str) -> Found<'a> {
    let mut allowed: Vec<&str> = Vec::new();
    for row in rows() {
        let Some(values) = route::matches(row.path, path) else { continue };
        if row.method.word() == method {
            return Found::Row(row, values);
        }
        if !allowed.contains(&row.method.word()) {
            allowed.push(row.method.word());
        }
    }
    match allowed.is_empty() {
        true => Found::Nothing(face_of(path)),
        false => Found::WrongMethod(face_of(path), allowed.join(", ")),
    }
}
