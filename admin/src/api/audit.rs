//! `/admin/v1/audit`: the audit log, read by page and exported whole.

mod stream;

use self::stream::Lines;
use crate::{
    context::{Context, json},
    failure::Failure,
    service::audit::export::Rest,
    table::{Build, Row, row},
};
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use policies::{
    permission::Permission,
    route::{Audit, Method},
    time::Timestamp,
};
use serde_json::{Value, json};
use std::sync::Arc;
use store::audit::{ActFilter, Entry, Order};

/// Rows of a page.
const PAGE_DEFAULT: u32 = 100;
const PAGE_MAX: u32 = 1_000;
/// Values of one filter, at most.
const WANTED_MAX: usize = 100;

const FILTERS: &[&str] = &["limit", "after", "action", "actor", "target", "project", "from", "to"];

pub const ROWS: &[Row] = &[
    Build(row(Method::Get, "/admin/v1/audit", Permission::ReadAudit, |context| {
        Box::pin(list(context))
    }))
    .says("List the rows of the audit log, newest first")
    .gives(200, Some("Page"))
    .query(FILTERS)
    .0,
    Build(row(Method::Get, "/admin/v1/audit/export", Permission::ReadAudit, |context| {
        Box::pin(export(context))
    }))
    .says("Export the audit log, oldest first, a line of JSON for each row")
    .query(&["after"])
    .audit(Audit::Sensitive)
    .0,
];

async fn list(context: Context) -> Result<Response, Failure> {
    let limit = context.number("limit", PAGE_DEFAULT, PAGE_MAX)?;
    let (filter, after) = (filter(&context)?, after(&context)?);
    let log = &context.services.store;
    // One more than is shown, which tells whether there are more.
    let found = log.acts(&context.org()?, &filter, Order::Newest, after, limit + 1).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = limit < found.len();
    let page: Vec<&Entry> = found.iter().take(limit).collect();
    let next = page.last().map(|entry| entry.seq.to_string()).filter(|_| has_more);
    let data = page.into_iter().map(view).collect::<Result<Vec<_>, _>>()?;
    let body = json!({ "object": "list", "data": data, "has_more": has_more, "next": next });
    Ok(json(StatusCode::OK, &body))
}

fn view(entry: &Entry) -> Result<Value, Failure> {
    let act: Value = serde_json::from_str(&entry.body).map_err(|_| Failure::Unavailable)?;
    Ok(json!({
        "object": "audit_row",
        "org": entry.org,
        "seq": entry.seq,
        "prev": hex::encode(entry.prev),
        "hash": hex::encode(entry.hash),
        "act": act,
    }))
}

async fn export(context: Context) -> Result<Response, Failure> {
    let after = after(&context)?.unwrap_or_default();
    let log = Arc::clone(&context.services.store);
    let rest = Rest::of(&*log, context.org()?, after).await?;
    let mut answer = Response::new(Body::new(Lines::new(log, rest)));
    let headers = answer.headers_mut();
    let kind = HeaderValue::from_static("application/x-ndjson");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

fn filter(context: &Context) -> Result<ActFilter, Failure> {
    let moment = |name: &str| {
        let read = |text| Timestamp::parse(text);
        let told = context.query(name).map(|text| read(text).ok_or_else(|| not_a_moment(name)));
        told.transpose()
    };
    let list = |name: &str| {
        let wanted: Vec<String> = context.queries(name).into_iter().map(str::to_owned).collect();
        match wanted.len() {
            ..=WANTED_MAX => Ok(wanted),
            _ => Err(Failure::invalid(name, format!("at most {WANTED_MAX} values"))),
        }
    };
    Ok(ActFilter {
        from: moment("from")?,
        to: moment("to")?,
        actions: list("action")?,
        actors: list("actor")?,
        targets: list("target")?,
        projects: list("project")?,
    })
}

fn not_a_moment(name: &str) -> Failure {
    Failure::invalid(name, "must be a date or a moment as in RFC 3339")
}

/// The row beyond which it goes on, as `next` told it.
fn after(context: &Context) -> Result<Option<u64>, Failure> {
    let seq = context.query("after").map(|text| text.parse::<u64>());
    seq.transpose().map_err(|_| Failure::invalid("after", "must be what `next` told"))
}

#[cfg(test)]
mod tests;
