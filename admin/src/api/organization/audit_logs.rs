//! The audit log in the shape that OpenAI's SDKs read. `/admin/v1/audit` tells the same rows whole.

mod events;

use self::events::{ours, theirs};
use super::{
    find,
    page::{PAGE_MAX, Turn, listed},
};
use crate::{
    context::{Context, json},
    failure::Failure,
    service::people::same_address,
    services::Known,
};
use axum::{http::StatusCode, response::Response};
use policies::{
    document::{Document, Kind, Object, Owner},
    time::Timestamp,
};
use serde_json::{Map, Value, json};
use store::audit::{Act, ActFilter, ActorKind, Entry, Order, Target};

const PAGE_DEFAULT: u32 = 20;
/// Values of one filter, at most.
const WANTED_MAX: usize = 100;
/// What the id of an event begins with; its place in the org's chain follows.
const ID_PREFIX: &str = "audit_log-";
/// What no actor is called: a filter for people who are not there finds nothing.
const NOBODY: &str = "nobody";

pub(super) async fn list(context: Context) -> Result<Response, Failure> {
    if context.query("tenant_only").is_some_and(|value| value != "false") {
        return Err(Failure::invalid("tenant_only", "Penstock does not have this"));
    }
    let known = context.known()?;
    let limit = context.number("limit", PAGE_DEFAULT, PAGE_MAX)?;
    let filter = filter(&context, known)?;
    // Newest first: what comes `after` a row is older than it.
    let (order, beyond) = match (seq(&context, "after")?, seq(&context, "before")?) {
        (Some(_), Some(_)) => {
            return Err(Failure::invalid("before", "send either `after` or `before`"));
        }
        (None, Some(before)) => (Order::Oldest, Some(before)),
        (after, None) => (Order::Newest, after),
    };
    let log = &context.services.store;
    let mut found = log.acts(&context.org()?, &filter, order, beyond, limit + 1).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = limit < found.len();
    found.truncate(limit);
    if order == Order::Oldest {
        found.reverse();
    }
    let ids = (found.first().map(id), found.last().map(id));
    let data = found.iter().map(|entry| view(known, entry)).collect::<Result<Vec<_>, _>>()?;
    Ok(json(StatusCode::OK, &listed(Turn::LastId, &data, ids, has_more)))
}

fn id(entry: &Entry) -> String {
    format!("{ID_PREFIX}{}", entry.seq)
}

fn seq(context: &Context, name: &str) -> Result<Option<u64>, Failure> {
    let Some(text) = context.query(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let seq = text.strip_prefix(ID_PREFIX).and_then(|seq| seq.parse().ok());
    seq.map(Some).ok_or_else(|| Failure::invalid(name, "must be the id of an event"))
}

fn filter(context: &Context, known: &Known) -> Result<ActFilter, Failure> {
    let list = |name: &str| {
        let wanted: Vec<String> = context.queries(name).into_iter().map(str::to_owned).collect();
        match wanted.len() {
            ..=WANTED_MAX => Ok(wanted),
            _ => Err(Failure::invalid(name, format!("at most {WANTED_MAX} values"))),
        }
    };
    let moment = |name: &str, more: i64| {
        let name = format!("effective_at[{name}]");
        let Some(text) = context.query(&name) else { return Ok(None) };
        let seconds: Option<i64> = text.parse().ok();
        let millis = seconds.and_then(|it| it.checked_add(more)?.checked_mul(1000));
        let moment = millis.map(|millis| Some(Timestamp(millis)));
        moment.ok_or_else(|| Failure::invalid(&name, "must be Unix seconds"))
    };
    // Events have milliseconds inside and show seconds: the bounds are of what is shown.
    let from = [moment("gt", 1)?, moment("gte", 0)?].into_iter().flatten().max();
    let to = [moment("lt", 0)?, moment("lte", 1)?].into_iter().flatten().min();
    let (ids, emails) = (list("actor_ids")?, list("actor_emails")?);
    let mut actors = ids.clone();
    let objects = &known.settings.objects;
    for user in
        find::of_kind(objects, Kind::User).chain(find::of_kind(objects, Kind::ServiceAccount))
    {
        let id = find::id_text(user);
        let has = |address: &str| emails.iter().any(|wanted| same_address(wanted, address));
        let by_email = email(user).is_some_and(has);
        if by_email || ids.contains(&id) {
            actors.extend(keys_of(objects, user));
            actors.push(id);
        }
    }
    if actors.is_empty() && !(ids.is_empty() && emails.is_empty()) {
        actors.push(NOBODY.to_owned());
    }
    let types = list("event_types")?;
    Ok(ActFilter {
        from,
        to,
        actions: types.iter().flat_map(|word| ours(word)).collect(),
        actors,
        targets: list("resource_ids")?,
        projects: list("project_ids")?,
    })
}

/// Ids of the admin keys that somebody has: what they do with them is theirs.
fn keys_of<'a>(objects: &'a [Object], owner: &'a Object) -> impl Iterator<Item = String> + 'a {
    let is_owner = move |of: &Owner| match of {
        Owner::User(name) => owner.document.kind() == Kind::User && name == owner.document.name(),
        Owner::ServiceAccount(name) => {
            owner.document.kind() == Kind::ServiceAccount && name == owner.document.name()
        }
    };
    let is_theirs =
        move |it: &&Object| matches!(&it.document, Document::AdminKey(key) if is_owner(&key.owner));
    find::of_kind(objects, Kind::AdminKey).filter(is_theirs).map(find::id_text)
}

fn view(known: &Known, entry: &Entry) -> Result<Value, Failure> {
    let act = entry.act()?;
    let kind = theirs(&act.action);
    let mut event = json!({
        "object": "organization.audit_log",
        "id": id(entry),
        "type": kind,
        "effective_at": act.at.seconds(),
        "actor": actor(known, &act),
    });
    let project = act.target.as_ref().and_then(|target| project(known, target));
    let detail = detail(&act, kind);
    if let Value::Object(fields) = &mut event {
        if let Some(project) = project {
            fields.insert("project".to_owned(), project);
        }
        fields.insert(kind.to_owned(), detail);
    }
    Ok(event)
}

/// The project with the name that it has now.
fn project(known: &Known, target: &Target) -> Option<Value> {
    let id = target.project.as_deref()?;
    let bytes = Kind::Project.parse_id(id).ok();
    let found = bytes.and_then(|it| find::by_id(&known.settings.objects, Kind::Project, it).ok());
    Some(json!({ "id": id, "name": found.map(|project| project.document.name()) }))
}

/// Whoever came neither by a session nor by a key is told by name alone.
fn actor(known: &Known, act: &Act) -> Value {
    let objects = &known.settings.objects;
    let found = |kind: Kind| {
        let id = kind.parse_id(&act.actor.id).ok()?;
        find::by_id(objects, kind, id).ok()
    };
    match act.actor.kind {
        ActorKind::User => json!({
            "type": "session",
            "session": {
                "ip_address": act.address,
                "user": {
                    "id": act.actor.id,
                    "email": found(Kind::User).and_then(email),
                },
            },
        }),
        ActorKind::AdminKey => {
            let owner = found(Kind::AdminKey).and_then(|key| owner(objects, key));
            let mut key = json!({ "id": act.actor.id, "name": act.actor.name });
            if let (Some((word, owner)), Value::Object(fields)) = (owner, &mut key) {
                let who = json!({ "id": find::id_text(owner), "email": email(owner) });
                fields.insert("type".to_owned(), Value::from(word));
                fields.insert(word.to_owned(), who);
            }
            json!({ "type": "api_key", "api_key": key })
        }
        ActorKind::ServiceAccount
        | ActorKind::Operator
        | ActorKind::File
        | ActorKind::System
        | ActorKind::Anonymous => json!({ "name": act.actor.name, "id": act.actor.id }),
    }
}

fn owner<'a>(objects: &'a [Object], key: &Object) -> Option<(&'static str, &'a Object)> {
    let Document::AdminKey(key) = &key.document else { return None };
    match &key.owner {
        Owner::User(name) => Some(("user", find::by_name(objects, Kind::User, name)?)),
        Owner::ServiceAccount(name) => {
            Some(("service_account", find::by_name(objects, Kind::ServiceAccount, name)?))
        }
    }
}

fn email(user: &Object) -> Option<&str> {
    let Document::User(user) = &user.document else { return None };
    user.email.as_deref()
}

/// What the event is about, and what was made or changed, in the fields of Penstock's documents.
fn detail(act: &Act, kind: &str) -> Value {
    let mut detail = Map::new();
    if let Some(target) = &act.target {
        detail.insert("id".to_owned(), Value::from(target.id.as_str()));
    }
    let mut after = act.after.clone();
    if let (Some(Value::Object(fields)), true) = (&mut after, kind.starts_with("project.")) {
        // OpenAI's word for how a project is called.
        if let Some(name) = fields.get("name").cloned() {
            fields.insert("title".to_owned(), name);
        }
    }
    if let (Some(after), Some(_)) = (&after, &act.before) {
        detail.insert("changes_requested".to_owned(), after.clone());
    } else if let Some(after) = after {
        detail.insert("data".to_owned(), after);
    }
    if let (Some(reason), "login.failed") = (&act.reason, kind) {
        detail.insert("error_message".to_owned(), Value::from(reason.as_str()));
    }
    Value::Object(detail)
}
