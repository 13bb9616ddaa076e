//! Requests for a higher limit or budget: asked by those who are bound, decided by those who may
//! change it.

use super::objects::shape::view;
use crate::{
    context::{Context, Proof, json},
    failure::Failure,
    service::edit::{Draft, edit},
    table::{Build, Place, Row, row},
};
use axum::{http::StatusCode, response::Response};
use policies::{
    document::{Decided, Decider, Document, Kind, LimitRequest, Object},
    money::NanoUsd,
    permission::Permission,
    rights::Reach,
    route::Method,
    usage::Principal,
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
struct Decision {
    #[serde(default)]
    reason: Option<String>,
}

/// Whether `wanted` is more than `now`. Where nothing is set there is no limit, and no more to
/// have; what cannot be read is refused as a document.
fn is_more(wanted: &Value, now: Option<&Value>) -> bool {
    let amount = |value: &Value| value.as_str().and_then(|text| text.parse::<NanoUsd>().ok());
    match now {
        None | Some(Value::Null) => false,
        Some(now) => match (amount(wanted), amount(now)) {
            (Some(wanted), Some(now)) => now < wanted,
            (_, _) => wanted.as_i64().zip(now.as_i64()).is_none_or(|(wanted, now)| now < wanted),
        },
    }
}

fn list(context: &Context) -> Result<Response, Failure> {
    let (who, known) = (context.who()?, context.known()?);
    let decides = who.rights.allow(Permission::DecideRequests, Reach::Org);
    let me = who.user().and_then(|user| known.authority.users.get(&user));
    let seen = |it: &&Object| {
        let Document::LimitRequest(request) = &it.document else { return false };
        decides || me.is_some_and(|me| me.name == request.by)
    };
    let found: Vec<Value> = known.settings.objects.iter().filter(seen).map(shown).collect();
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
    // Nobody refers to it by name; no name is an id.
    let name = format!("request {}", hex::encode(entropy::id()?));
    let request = LimitRequest {
        id: None,
        org: known.authority.name.clone(),
        name,
        locked: false,
        budget,
        limit,
        wanted,
        reason,
        by,
        state: Decided::Pending,
        decided_by: None,
        decided_reason: None,
        decided_at: None,
    };
    let editor = context.editor()?;
    let edited = edit(&context.services, &editor, |draft| {
        // What is asked for must be possible, before anybody has to decide about it.
        wish(draft, &request)?;
        let id = draft.insert(Document::LimitRequest(request.clone()))?;
        Ok(Object { id, document: draft.get(Kind::LimitRequest, &id)?.clone() })
    });
    Ok(json(StatusCode::CREATED, &shown(&edited.await?.value)))
}

async fn decide(context: Context, decided: Decided) -> Result<Response, Failure> {
    let Decision { reason } = context.read()?;
    let id = Kind::LimitRequest.parse_id(context.param(0)).map_err(|_| Failure::NotFound)?;
    let mut editor = context.editor()?;
    editor.act.reason = reason.clone().or(editor.act.reason);
    let decider = decider(&context).await?;
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
                decided_by: Some(decider.clone()),
                decided_reason: reason.clone(),
                decided_at: Some(clock::now().rfc3339()),
                ..request
            }),
        )?;
        Ok(Object { id, document: draft.get(Kind::LimitRequest, &id)?.clone() })
    });
    Ok(json(StatusCode::OK, &shown(&edited.await?.value)))
}

/// A request as it is shown: what is asked of a limit in numbers, as the limit has them; an amount
/// of money stays a decimal as text.
fn shown(object: &Object) -> Value {
    let mut shown = view(object);
    let Document::LimitRequest(LimitRequest { limit: Some(_), .. }) = &object.document else {
        return shown;
    };
    if let Some(Value::Object(wanted)) = shown.get_mut("wanted") {
        for value in wanted.values_mut() {
            if let Some(number) = value.as_str().and_then(|text| text.parse::<i64>().ok()) {
                *value = Value::from(number);
            }
        }
    }
    shown
}

/// The asker as the one who decides: an operator is a user of the installation.
async fn decider(context: &Context) -> Result<Decider, Failure> {
    let who = context.who()?;
    let home = context.services.org(&who.home).await?.ok_or(Failure::NotFound)?;
    let (kind, principal) = match who.proof {
        Proof::Key(_, principal) => match principal {
            Principal::User(id) => (Kind::User, *id.as_bytes()),
            Principal::ServiceAccount(id) => (Kind::ServiceAccount, *id.as_bytes()),
        },
        Proof::Session(id, _) => (Kind::User, *id.as_bytes()),
    };
    let mut objects = home.settings.objects.iter();
    let found = objects.find(|it| it.id == principal && it.document.kind() == kind);
    let document = &found.ok_or(Failure::NotFound)?.document;
    let displayed = if let Document::User(user) = document { &user.display_name } else { &None };
    let name = displayed.as_deref().unwrap_or(document.name()).to_owned();
    Ok(Decider { id: kind.id_text(principal), name })
}

/// The budget or limit as it would be.
fn wish(draft: &Draft, request: &LimitRequest) -> Result<(Kind, [u8; 16], Document), Failure> {
    let (kind, name) = match (&request.budget, &request.limit) {
        (Some(name), _) => (Kind::Budget, name),
        (None, Some(name)) => (Kind::Limit, name),
        (None, None) => return Err(Failure::invalid("budget", "is missing")),
    };
    let word = if kind == Kind::Budget { "budget" } else { "limit" };
    let found = draft.by_name(kind, name);
    let found = found.ok_or_else(|| Failure::invalid(word, format!("there is no `{name}`")))?;
    let mut whole = serde_json::to_value(&found.document).unwrap_or_default();
    for (field, value) in &request.wanted {
        let at = format!("wanted.{field}");
        let amount = if kind == Kind::Budget {
            (field == "limit").then(|| Ok(Value::String(value.clone())))
        } else {
            let rate = field.ends_with("_minute") || field.ends_with("_day");
            let number = || value.parse::<i64>().map(Value::from);
            (rate || field == "concurrent_requests").then(number)
        };
        let value = amount
            .ok_or_else(|| Failure::invalid(&at, format!("is no amount of a {word}")))?
            .map_err(|_| Failure::invalid(&at, "must be a whole number"))?;
        if !is_more(&value, whole.get(field)) {
            return Err(Failure::invalid(&at, "is not higher than what there is"));
        }
        if let Value::Object(fields) = &mut whole {
            fields.insert(field.clone(), value);
        }
    }
    let document = serde_json::from_value(whole)
        .map_err(|fault| Failure::invalid("wanted", fault.to_string()))?;
    Ok((kind, found.id, document))
}
