//! Requests for a higher limit or budget: asked by those who are bound, decided by those who may
//! change it.

use super::objects::shape::view;
use crate::{
    context::{Context, json},
    failure::Failure,
    service::edit::{Draft, edit},
    table::{Build, Place, Row, row},
};
use axum::{http::StatusCode, response::Response};
use policies::{
    document::{Decided, Document, Kind, LimitRequest, Object},
    permission::Permission,
    rights::Reach,
    route::Method,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use store::{clock, entropy};

pub const ROWS: &[Row] = &[
    Build(row(Method::Get, "/admin/v1/limit_requests", Permission::AskForMore, |context| {
        Box::pin(async move { list(&context) })
    }))
    .at(Place::Somewhere)
    .says("List requests for more: your own, or all for those who decide")
    .gives(200, Some("Page"))
    .0,
    Build(row(Method::Post, "/admin/v1/limit_requests", Permission::AskForMore, |context| {
        Box::pin(ask(context))
    }))
    .at(Place::Somewhere)
    .says("Ask for a higher limit or budget")
    .takes("NewLimitRequest")
    .gives(201, Some("LimitRequestObject"))
    .0,
    Build(row(
        Method::Post,
        "/admin/v1/limit_requests/{id}/approve",
        Permission::DecideRequests,
        |context| Box::pin(decide(context, Decided::Approved)),
    ))
    .at(Place::Object(Kind::LimitRequest, 0))
    .says("Approve a request: the limit or budget changes with it")
    .takes("Decision")
    .gives(200, Some("LimitRequestObject"))
    .0,
    Build(row(
        Method::Post,
        "/admin/v1/limit_requests/{id}/deny",
        Permission::DecideRequests,
        |context| Box::pin(decide(context, Decided::Denied)),
    ))
    .at(Place::Object(Kind::LimitRequest, 0))
    .says("Deny a request")
    .takes("Decision")
    .gives(200, Some("LimitRequestObject"))
    .0,
    Build(row(
        Method::Post,
        "/admin/v1/limit_requests/{id}/withdraw",
        Permission::AskForMore,
        |context| Box::pin(decide(context, Decided::Withdrawn)),
    ))
    .at(Place::Object(Kind::LimitRequest, 0))
    .says("Withdraw a request of your own")
    .takes("Decision")
    .gives(200, Some("LimitRequestObject"))
    .0,
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRequest {
    /// The name of a budget, or of a limit.
    #[serde(default)]
    budget: Option<String>,
    #[serde(default)]
    limit: Option<String>,
    /// Fields of it with the values asked for: `{"limit": "50"}`, `{"requests_per_minute": 100}`.
    wanted: BTreeMap<String, Value>,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Because {
    #[serde(default)]
    because: Option<String>,
}

fn list(context: &Context) -> Result<Response, Failure> {
    let (who, known) = (context.who()?, context.known()?);
    let decides = who.rights.allow(Permission::DecideRequests, Reach::Org);
    let me = who.user().and_then(|user| known.authority.users.get(&user));
    let seen = |it: &&Object| {
        let Document::LimitRequest(request) = &it.document else { return false };
        decides || me.is_some_and(|me| me.name == request.by)
    };
    let found: Vec<Value> = known.settings.objects.iter().filter(seen).map(view).collect();
    let body = json!({ "object": "list", "data": found, "has_more": false, "next": null });
    Ok(json(StatusCode::OK, &body))
}

async fn ask(context: Context) -> Result<Response, Failure> {
    let NewRequest { budget, limit, wanted, reason } = context.read()?;
    let (who, known) = (context.who()?, context.known()?);
    let me = who.user().and_then(|user| known.authority.users.get(&user));
    let by = me.map(|me| me.name.clone());
    let by = by.ok_or_else(|| Failure::malformed("only a person can ask for more"))?;
    if budget.is_some() == limit.is_some() {
        return Err(Failure::invalid("budget", "name either a `budget` or a `limit`"));
    }
    if wanted.is_empty() || reason.trim().is_empty() {
        return Err(Failure::invalid("reason", "say what you want and why"));
    }
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let wanted = wanted.into_iter().map(|(name, value)| (name, text(value))).collect();
    let id = entropy::id()?;
    let request = LimitRequest {
        id: None,
        org: known.authority.name.clone(),
        name: Kind::LimitRequest.id_text(id),
        locked: false,
        budget,
        limit,
        wanted,
        reason,
        by,
        state: Decided::Pending,
        decided_by: None,
        decided_because: None,
        decided_at: None,
    };
    let editor = context.editor()?;
    let edited = edit(&context.services, &editor, |draft| {
        // What is asked for must be possible, before anybody has to decide about it.
        wish(draft, &request)?;
        let id = draft.insert(Document::LimitRequest(request.clone()))?;
        Ok(Object { id, document: draft.get(Kind::LimitRequest, &id)?.clone() })
    });
    Ok(json(StatusCode::CREATED, &view(&edited.await?.value)))
}

async fn decide(context: Context, decided: Decided) -> Result<Response, Failure> {
    let Because { because } = context.read()?;
    let id = Kind::LimitRequest.parse_id(context.param(0)).map_err(|_| Failure::NotFound)?;
    let mut editor = context.editor()?;
    editor.act.reason = because.clone().or(editor.act.reason);
    let who = context.who()?.name.clone();
    let edited = edit(&context.services, &editor, |draft| {
        let Document::LimitRequest(request) = draft.get(Kind::LimitRequest, &id)?.clone() else {
            return Err(Failure::NotFound);
        };
        if request.state != Decided::Pending {
            return Err(Failure::invalid("state", "it was decided already"));
        }
        if decided == Decided::Approved {
            let (kind, id, document) = wish(draft, &request)?;
            draft.update(kind, &id, |stored| {
                *stored = document;
                Ok(())
            })?;
        }
        draft.replace(
            &id,
            Document::LimitRequest(LimitRequest {
                state: decided,
                decided_by: Some(who.clone()),
                decided_because: because.clone(),
                decided_at: Some(clock::now().rfc3339()),
                ..request
            }),
        )?;
        Ok(Object { id, document: draft.get(Kind::LimitRequest, &id)?.clone() })
    });
    Ok(json(StatusCode::OK, &view(&edited.await?.value)))
}

/// The budget or limit as it would be.
fn wish(draft: &Draft, request: &LimitRequest) -> Result<(Kind, [u8; 16], Document), Failure> {
    let (kind, name) = match (&request.budget, &request.limit) {
        (Some(name), _) => (Kind::Budget, name),
        (None, Some(name)) => (Kind::Limit, name),
        (None, None) => return Err(Failure::invalid("budget", "is missing")),
    };
    let field = if kind == Kind::Budget { "budget" } else { "limit" };
    let found = draft.by_name(kind, name);
    let found = found.ok_or_else(|| Failure::invalid(field, format!("there is no `{name}`")))?;
    let mut whole = serde_json::to_value(&found.document).unwrap_or_default();
    for (field, value) in &request.wanted {
        let amount = if kind == Kind::Budget {
            (field == "limit").then(|| Ok(Value::String(value.clone())))
        } else {
            let rate = field.ends_with("_minute") || field.ends_with("_day");
            let number = || value.parse::<i64>().map(Value::from);
            (rate || field == "concurrent_requests").then(number)
        };
        let no_amount = || Failure::invalid("wanted", format!("`{field}` is no amount of it"));
        let value = amount
            .ok_or_else(no_amount)?
            .map_err(|_| Failure::invalid("wanted", format!("`{field}` must be a whole number")))?;
        if let Value::Object(fields) = &mut whole {
            fields.insert(field.clone(), value);
        }
    }
    let document = serde_json::from_value(whole)
        .map_err(|fault| Failure::invalid("wanted", fault.to_string()))?;
    Ok((kind, found.id, document))
}
