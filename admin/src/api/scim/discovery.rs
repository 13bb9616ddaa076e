//! What a directory asks first: what is supported, and which resources have which attributes
//! (RFC 7643, sections 5 to 7; RFC 7644, section 4).

use super::{
    answer::{Base, scim},
    attribute::Resource,
    list::{COUNT_MAX, page},
};
use crate::{context::Context, failure::Failure};
use axum::{http::StatusCode, response::Response};
use serde_json::{Map, Value, json};

pub(super) fn provider(context: &Context) -> Result<Response, Failure> {
    let place = Base::of(context).at("/ServiceProviderConfig");
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "documentationUri": "/docs/scim",
        "patch": { "supported": true },
        "bulk": { "supported": false, "maxOperations": 0, "maxPayloadSize": 0 },
        "filter": { "supported": true, "maxResults": COUNT_MAX },
        "changePassword": { "supported": false },
        "sort": { "supported": true },
        "etag": { "supported": false },
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Admin key",
            "description": "An admin key of the role `provisioner`, as a bearer token",
            "specUri": "https://www.rfc-editor.org/rfc/rfc6750",
            "primary": true,
        }],
        "meta": { "resourceType": "ServiceProviderConfig", "location": place },
    });
    one(body)
}

pub(super) fn types(context: &Context) -> Result<Response, Failure> {
    let base = Base::of(context);
    listed(Resource::ALL.map(|resource| a_type(resource, &base)).to_vec())
}

pub(super) fn one_type(context: &Context) -> Result<Response, Failure> {
    let found = Resource::ALL.into_iter().find(|it| it.word() == context.param(0));
    one(a_type(found.ok_or(Failure::NotFound)?, &Base::of(context)))
}

pub(super) fn schemas(context: &Context) -> Result<Response, Failure> {
    let base = Base::of(context);
    listed(Resource::ALL.map(|resource| schema(resource, &base)).to_vec())
}

pub(super) fn one_schema(context: &Context) -> Result<Response, Failure> {
    let asked = context.param(0);
    let found = Resource::ALL.into_iter().find(|it| it.schema().eq_ignore_ascii_case(asked));
    one(schema(found.ok_or(Failure::NotFound)?, &Base::of(context)))
}

fn one(body: Value) -> Result<Response, Failure> {
    let Value::Object(fields) = body else { return Err(Failure::NotFound) };
    Ok(scim(StatusCode::OK, &fields))
}

fn listed(found: Vec<Value>) -> Result<Response, Failure> {
    Ok(scim(StatusCode::OK, &page(found.len(), 1, found)))
}

fn a_type(resource: Resource, base: &Base) -> Value {
    let word = resource.word();
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "id": word,
        "name": word,
        "endpoint": resource.path(),
        "schema": resource.schema(),
        "schemaExtensions": [],
        "meta": {
            "resourceType": "ResourceType",
            "location": base.at(&format!("/ResourceTypes/{word}")),
        },
    })
}

fn schema(resource: Resource, base: &Base) -> Value {
    let attributes = match resource {
        Resource::User => vec![
            with(
                text("userName", "Who it is; unique in the org, in any case"),
                &[("required", json!(true)), ("uniqueness", json!("server"))],
            ),
            text("displayName", "The name that people see"),
            with(text("externalId", "The id in the directory"), &[("caseExact", json!(true))]),
            with(text("active", "False: nothing of the user works"), &[("type", json!("boolean"))]),
            several(
                "emails",
                "The primary address is kept, no other",
                &[
                    text("value", "The address"),
                    text("type", "Always `work`"),
                    with(text("primary", "Whether it is kept"), &[("type", json!("boolean"))]),
                ],
            ),
        ],
        Resource::Group => vec![
            with(
                text("displayName", "The group's name; unique in the org"),
                &[("required", json!(true)), ("uniqueness", json!("server"))],
            ),
            with(text("externalId", "The id in the directory"), &[("caseExact", json!(true))]),
            several(
                "members",
                "Users of the org",
                &[
                    with(text("value", "The user's id"), &[("caseExact", json!(true))]),
                    with(text("display", "The user's name"), &[("mutability", json!("readOnly"))]),
                ],
            ),
        ],
    };
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": resource.schema(),
        "name": resource.word(),
        "description": "What Penstock keeps",
        "attributes": attributes,
        "meta": {
            "resourceType": "Schema",
            "location": base.at(&format!("/Schemas/{}", resource.schema())),
        },
    })
}

fn text(name: &str, description: &str) -> Map<String, Value> {
    let attribute = [
        ("name", json!(name)),
        ("type", json!("string")),
        ("multiValued", json!(false)),
        ("description", json!(description)),
        ("required", json!(false)),
        ("caseExact", json!(false)),
        ("mutability", json!("readWrite")),
        ("returned", json!("default")),
        ("uniqueness", json!("none")),
    ];
    attribute.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn with(mut attribute: Map<String, Value>, changes: &[(&str, Value)]) -> Map<String, Value> {
    attribute.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    attribute
}

fn several(name: &str, description: &str, below: &[Map<String, Value>]) -> Map<String, Value> {
    let changes =
        [("type", json!("complex")), ("multiValued", json!(true)), ("subAttributes", json!(below))];
    with(text(name, description), &changes)
}
