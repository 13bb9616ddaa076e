//! How answers look: media type, where a resource is, and which attributes are shown.

use super::attribute::{Named, Resource, get};
use crate::context::{self, Context};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use serde_json::{Map, Value};

/// Bytes of a host, at most, that is believed to be one.
const HOST_BYTES_MAX: usize = 255;
/// Shown whatever is asked for (RFC 7643, section 7, `returned`).
const ALWAYS: [&str; 2] = ["schemas", "id"];

/// Where the API is, as the asker sees it.
pub(super) struct Base(String);

impl Base {
    /// By the request's own host; a reference without one where there is none (RFC 7643, section
    /// 2.3.7). Only the asker sees it.
    pub(super) fn of(context: &Context) -> Self {
        let text = |name: &str| context.headers.get(name).and_then(|value| value.to_str().ok());
        let is_host = |host: &&str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
            (1..=HOST_BYTES_MAX).contains(&host.len()) && host.bytes().all(allowed)
        };
        let scheme = if text("x-forwarded-proto") == Some("https") { "https" } else { "http" };
        let host = text("host").filter(is_host);
        Self(host.map_or_else(String::new, |host| format!("{scheme}://{host}")))
    }

    pub(super) fn of_one(&self, resource: Resource, id: &str) -> String {
        self.at(&format!("{}/{id}", resource.path()))
    }

    /// The place of `path` below `/scim/v2`.
    pub(super) fn at(&self, path: &str) -> String {
        format!("{}/scim/v2{path}", self.0)
    }
}

/// Which attributes are asked for (RFC 7644, section 3.9).
pub(super) struct Wanted {
    only: Option<Vec<Asked>>,
    without: Vec<Asked>,
}

/// An attribute, or one thing below it.
struct Asked {
    name: &'static str,
    sub: Option<String>,
}

impl Wanted {
    pub(super) fn of(context: &Context, resource: Resource) -> Self {
        let asked = |name: &str| {
            let text = context.query(name)?;
            let paths = text.split(',').filter_map(|path| resource.named(path.trim()));
            let ours = paths.filter_map(|(named, sub)| match named {
                Named::Ours(it) => Some(Asked { name: it.name, sub: sub.map(str::to_owned) }),
                Named::Foreign => None,
            });
            Some(ours.collect::<Vec<_>>())
        };
        Self { only: asked("attributes"), without: asked("excludedAttributes").unwrap_or_default() }
    }

    /// Whether anything of this attribute is shown.
    pub(super) fn has(&self, name: &str) -> bool {
        let whole = |it: &Asked| it.name == name && it.sub.is_none();
        ALWAYS.contains(&name)
            || self.only.as_ref().is_none_or(|only| only.iter().any(|it| it.name == name))
                && !self.without.iter().any(whole)
    }

    pub(super) fn narrow(&self, fields: Map<String, Value>) -> Map<String, Value> {
        let shown = fields.into_iter().filter(|(name, _)| self.has(name));
        let narrowed = shown.map(|(name, mut value)| {
            let of_this = |list: &[Asked]| {
                let these = list.iter().filter(|it| it.name == name);
                these.filter_map(|it| it.sub.clone()).collect::<Vec<_>>()
            };
            let only = self.only.as_deref().map(of_this).unwrap_or_default();
            let without = of_this(&self.without);
            let whole = self
                .only
                .as_ref()
                .is_none_or(|only| only.iter().any(|it| it.name == name && it.sub.is_none()));
            let is_in =
                |list: &[String], sub: &str| list.iter().any(|it| it.eq_ignore_ascii_case(sub));
            each_object(&mut value, |fields| {
                fields.retain(|sub, _| {
                    (whole || ALWAYS.contains(&name.as_str()) || is_in(&only, sub))
                        && !is_in(&without, sub)
                });
            });
            (name, value)
        });
        narrowed.collect()
    }
}

fn each_object(value: &mut Value, mut change: impl FnMut(&mut Map<String, Value>)) {
    if let Value::Object(fields) = value {
        change(fields);
    } else if let Value::Array(items) = value {
        items.iter_mut().filter_map(Value::as_object_mut).for_each(change);
    }
}

/// `application/scim+json` (RFC 7644, section 3.1), which no cache keeps.
pub(super) fn scim(status: StatusCode, body: &Map<String, Value>) -> Response {
    let mut answer = context::json(status, body);
    let kind = HeaderValue::from_static("application/scim+json");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    if let Some(place) = location(body) {
        answer.headers_mut().insert(header::CONTENT_LOCATION, place.clone());
        if status == StatusCode::CREATED {
            answer.headers_mut().insert(header::LOCATION, place);
        }
    }
    answer
}

fn location(body: &Map<String, Value>) -> Option<HeaderValue> {
    let place = get(body.get("meta")?.as_object()?, "location")?.as_str()?;
    HeaderValue::from_str(place).ok()
}
