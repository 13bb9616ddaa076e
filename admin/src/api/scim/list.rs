//! Reading users and groups: one, or a page of those for which a filter holds (RFC 7644, section
//! 3.4).

use super::{
    answer::{Base, Wanted, scim},
    attribute::{Named, Resource},
    filter::{Filter, Left, filter, leaves},
    group::{self, Roll},
    user,
};
use crate::{
    context::Context,
    failure::{Failure, ScimFault},
};
use axum::{http::StatusCode, response::Response};
use policies::document::{Document, Object};
use serde_json::{Map, Value, json};

/// Resources of a page, at most.
pub(super) const COUNT_MAX: usize = 1_000;
/// Resources of a page for which no `count` is given.
const COUNT_DEFAULT: usize = 100;
/// A page of groups ends early once it shows as many members.
const PAGE_MEMBERS_MAX: usize = 50_000;

/// Shows resources of one org.
struct Viewer<'a> {
    resource: Resource,
    base: Base,
    /// None: members are not asked for.
    roll: Option<Roll<'a>>,
}

impl Viewer<'_> {
    fn view(&self, object: &Object) -> Option<Map<String, Value>> {
        match (self.resource, &object.document) {
            (Resource::User, Document::User(it)) => Some(user::shown(object.id, it, &self.base)),
            (Resource::User, _) => None,
            (Resource::Group, _) => group::shown(object, &self.base, self.roll.as_ref()),
        }
    }
}

pub(super) fn one(context: &Context, resource: Resource) -> Result<Response, Failure> {
    let objects = &context.known()?.settings.objects;
    let kind = resource.kind();
    let id = kind.parse_id(context.param(0)).map_err(|_| Failure::NotFound)?;
    let object = objects.iter().find(|it| it.id == id && it.document.kind() == kind);
    let wanted = Wanted::of(context, resource);
    let roll = shows_members(resource, &wanted).then(|| Roll::new(objects));
    let viewer = Viewer { resource, base: Base::of(context), roll };
    let view = viewer.view(object.ok_or(Failure::NotFound)?).ok_or(Failure::NotFound)?;
    Ok(scim(StatusCode::OK, &wanted.narrow(view)))
}

fn shows_members(resource: Resource, wanted: &Wanted) -> bool {
    resource == Resource::Group && wanted.has("members")
}

pub(super) fn list(context: &Context, resource: Resource) -> Result<Response, Failure> {
    let objects = &context.known()?.settings.objects;
    let filter = asked(context, resource)?;
    let wanted = Wanted::of(context, resource);
    let (from, count) = (from(context)?, count(context)?);
    let asks_members = filter.as_ref().is_some_and(|it| it.mentions("members"));
    let roll = (asks_members || shows_members(resource, &wanted)).then(|| Roll::new(objects));
    let viewer = Viewer { resource, base: Base::of(context), roll };
    let mut found: Vec<&Object> =
        objects.iter().filter(|it| it.document.kind() == resource.kind()).collect();
    if let Some(filter) = &filter {
        found.retain(|it| viewer.view(it).is_some_and(|view| filter.matches(&view)));
    }
    // Ids are ordered by age: what was added meanwhile comes last, and shifts no page.
    found.sort_by_key(|it| it.id);
    sort(context, &viewer, &mut found)?;
    let mut shown = Vec::new();
    let mut members = 0;
    for object in found.iter().skip(from - 1).take(count) {
        if let (Document::Group(group), true) = (&object.document, wanted.has("members")) {
            members += group.members.len();
            if PAGE_MEMBERS_MAX < members && !shown.is_empty() {
                break;
            }
        }
        shown.extend(viewer.view(object).map(|view| Value::Object(wanted.narrow(view))));
    }
    Ok(scim(StatusCode::OK, &page(found.len(), from, shown)))
}

/// A page of `total` resources that begins with the `from`th.
pub(super) fn page(total: usize, from: usize, shown: Vec<Value>) -> Map<String, Value> {
    Map::from_iter([
        ("schemas".to_owned(), json!(["urn:ietf:params:scim:api:messages:2.0:ListResponse"])),
        ("totalResults".to_owned(), json!(total)),
        ("itemsPerPage".to_owned(), json!(shown.len())),
        ("startIndex".to_owned(), json!(from)),
        ("Resources".to_owned(), Value::Array(shown)),
    ])
}

fn asked(context: &Context, resource: Resource) -> Result<Option<Filter>, Failure> {
    let text = context.query("filter").filter(|text| !text.trim().is_empty());
    let read = text.map(|text| filter(resource, text)).transpose();
    read.map_err(|detail| Failure::Scim { fault: ScimFault::InvalidFilter, detail })
}

/// The first resource of the page, from 1; less is taken for 1.
fn from(context: &Context) -> Result<usize, Failure> {
    let given = whole(context, "startIndex")?.unwrap_or(1);
    Ok(usize::try_from(given).unwrap_or_default().max(1))
}

/// Resources of the page; less than none is taken for none.
fn count(context: &Context) -> Result<usize, Failure> {
    let Some(given) = whole(context, "count")? else { return Ok(COUNT_DEFAULT) };
    Ok(usize::try_from(given).unwrap_or_default().min(COUNT_MAX))
}

fn whole(context: &Context, name: &str) -> Result<Option<i64>, Failure> {
    let Some(text) = context.query(name) else { return Ok(None) };
    let number = text.trim().parse().map_err(|_| Failure::invalid(name, "must be a whole number"));
    number.map(Some)
}

fn sort(context: &Context, viewer: &Viewer<'_>, found: &mut [&Object]) -> Result<(), Failure> {
    let Some(path) = context.query("sortBy").filter(|path| !path.is_empty()) else { return Ok(()) };
    let unknown = || Failure::invalid("sortBy", format!("there is no attribute `{path}`"));
    let (named, sub) = viewer.resource.named(path).ok_or_else(unknown)?;
    let Named::Ours(attribute) = named else { return Ok(()) };
    let left = Left { name: attribute.name.to_owned(), sub: sub.map(str::to_owned) };
    let key = |object: &&Object| {
        let view = viewer.view(object).unwrap_or_default();
        let found = leaves(&view, &left).first().map(|value| match value {
            Value::String(text) => text.to_lowercase(),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => value.to_string(),
        });
        // What has none comes last (RFC 7644, section 3.4.2.3).
        (found.is_none(), found)
    };
    found.sort_by_cached_key(key);
    if context.query("sortOrder").is_some_and(|it| it.eq_ignore_ascii_case("descending")) {
        found.reverse();
    }
    Ok(())
}
