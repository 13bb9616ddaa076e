//! Lists as OpenAI's SDKs turn their pages.

use crate::{
    context::{Context, json},
    failure::Failure,
};
use axum::{http::StatusCode, response::Response};
use serde_json::{Value, json};

/// Objects of a page.
const PAGE_DEFAULT: u32 = 20;
pub(super) const PAGE_MAX: u32 = 100;

/// How a page says where the next one begins. Both kinds of client send it back as `after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// `last_id`, the id of its last object.
    LastId,
    /// `next`, which is null at the end.
    Next,
}

/// The page that was asked for: by id, which is by age, whatever was renamed or removed meanwhile.
///
/// `id` must give the text that clients know the object by.
pub(super) fn page<T>(
    context: &Context,
    turn: Turn,
    all: Vec<T>,
    id: impl Fn(&T) -> String,
    show: impl Fn(&T) -> Value,
) -> Result<Response, Failure> {
    let limit = usize::try_from(context.number("limit", PAGE_DEFAULT, PAGE_MAX)?);
    let limit = limit.unwrap_or(usize::MAX);
    let backwards = match context.query("order") {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(_) => return Err(Failure::invalid("order", "must be `asc` or `desc`")),
    };
    let mut all: Vec<(String, T)> = all.into_iter().map(|it| (id(&it), it)).collect();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    if let Some(after) = context.query("after").filter(|after| !after.is_empty()) {
        all.retain(|(id, _)| if backwards { id.as_str() < after } else { after < id.as_str() });
    }
    if let Some(before) = context.query("before").filter(|before| !before.is_empty()) {
        all.retain(|(id, _)| if backwards { before < id.as_str() } else { id.as_str() < before });
        // The page before is the one that ends there, not the first of all.
        let skipped = all.len().saturating_sub(limit);
        if context.query("after").is_none() {
            all.drain(..skipped.min(all.len()));
        }
    }
    if backwards {
        all.reverse();
    }
    let has_more = limit < all.len();
    all.truncate(limit);
    let ids = (all.first().map(|(id, _)| id.clone()), all.last().map(|(id, _)| id.clone()));
    let data: Vec<Value> = all.iter().map(|(_, it)| show(it)).collect();
    Ok(json(StatusCode::OK, &listed(turn, &data, ids, has_more)))
}

/// A page of `data`, with the ids of its first and last object.
pub(super) fn listed(
    turn: Turn,
    data: &[Value],
    (first, last): (Option<String>, Option<String>),
    has_more: bool,
) -> Value {
    match turn {
        Turn::LastId => json!({
            "object": "list", "data": data, "has_more": has_more,
            "first_id": first, "last_id": last,
        }),
        Turn::Next => json!({
            "object": "list", "data": data, "has_more": has_more,
            "next": last.filter(|_| has_more),
        }),
    }
}

/// What an object is answered with when it is gone.
pub(super) fn deleted(object: &str, id: &str) -> Response {
    json(StatusCode::OK, &json!({ "object": object, "id": id, "deleted": true }))
}
