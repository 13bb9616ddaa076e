//! `/scim/v2`: a directory provisions people and groups (SCIM 2.0: RFC 7643, RFC 7644).
//!
//! `userName` is the user's name, `displayName` of a group is the group's. Attributes that Penstock
//! does not keep are read over. Members of a group have its roles; SCIM sets no role itself.

mod answer;
mod attribute;
mod discovery;
mod filter;
mod group;
mod list;
mod patch;
mod provision;
mod user;

use self::attribute::Resource;
use crate::{
    failure::Face,
    table::{Answer, Build, Place, Row, row},
};
use policies::{
    document::Kind,
    permission::Permission::Provision,
    route::Method::{Delete, Get, Patch, Post, Put},
};

/// Bytes of the body that writes a group: one with very many members.
const GROUP_BYTES_MAX: usize = 8 << 20;
/// Bytes of the body that writes a user.
const USER_BYTES_MAX: usize = 256 << 10;

const LISTED: &[&str] =
    &["filter", "startIndex", "count", "sortBy", "sortOrder", "attributes", "excludedAttributes"];
const SHOWN: &[&str] = &["attributes", "excludedAttributes"];

const fn tells(
    path: &'static str,
    says: &'static str,
    call: fn(crate::context::Context) -> Answer,
) -> Row {
    Build(row(Get, path, Provision, call)).face(Face::Scim).says(says).0
}

macro_rules! resource {
    ($kind:ident $path:literal $word:literal $bytes_max:expr) => {
        [
            Build(row(Get, $path, Provision, |context| {
                Box::pin(async move { list::list(&context, Resource::$kind) })
            }))
            .face(Face::Scim)
            .says(concat!("List ", $word, "s"))
            .query(LISTED)
            .0,
            Build(row(Post, $path, Provision, |context| {
                Box::pin(provision::create(context, Resource::$kind))
            }))
            .face(Face::Scim)
            .says(concat!("Make a ", $word))
            .gives(201, None)
            .query(SHOWN)
            .body($bytes_max)
            .0,
            Build(row(Get, concat!($path, "/{id}"), Provision, |context| {
                Box::pin(async move { list::one(&context, Resource::$kind) })
            }))
            .face(Face::Scim)
            .at(Place::Object(Kind::$kind, 0))
            .says(concat!("Read a ", $word))
            .query(SHOWN)
            .0,
            Build(row(Put, concat!($path, "/{id}"), Provision, |context| {
                Box::pin(provision::replace(context, Resource::$kind))
            }))
            .face(Face::Scim)
            .at(Place::Object(Kind::$kind, 0))
            .says(concat!("Replace a ", $word))
            .query(SHOWN)
            .body($bytes_max)
            .0,
            Build(row(Patch, concat!($path, "/{id}"), Provision, |context| {
                Box::pin(provision::patch(context, Resource::$kind))
            }))
            .face(Face::Scim)
            .at(Place::Object(Kind::$kind, 0))
            .says(concat!("Change a ", $word))
            .query(SHOWN)
            .body($bytes_max)
            .0,
            Build(row(Delete, concat!($path, "/{id}"), Provision, |context| {
                Box::pin(provision::remove(context, Resource::$kind))
            }))
            .face(Face::Scim)
            .at(Place::Object(Kind::$kind, 0))
            .says(concat!("Remove a ", $word))
            .gives(204, None)
            .0,
        ]
    };
}

pub const DISCOVERY_ROWS: &[Row] = &[
    tells("/scim/v2/ServiceProviderConfig", "What of SCIM is supported", |context| {
        Box::pin(async move { discovery::provider(&context) })
    }),
    tells("/scim/v2/ResourceTypes", "List the resource types", |context| {
        Box::pin(async move { discovery::types(&context) })
    }),
    tells("/scim/v2/ResourceTypes/{id}", "Read a resource type", |context| {
        Box::pin(async move { discovery::one_type(&context) })
    }),
    tells("/scim/v2/Schemas", "List the schemas", |context| {
        Box::pin(async move { discovery::schemas(&context) })
    }),
    tells("/scim/v2/Schemas/{id}", "Read a schema", |context| {
        Box::pin(async move { discovery::one_schema(&context) })
    }),
];

pub const USER_ROWS: &[Row] = &resource!(User "/scim/v2/Users" "user" USER_BYTES_MAX);

pub const GROUP_ROWS: &[Row] = &resource!(Group "/scim/v2/Groups" "group" GROUP_BYTES_MAX);
