//! Rows of the audit log as events of the Open Cybersecurity Schema Framework (OCSF 1.3).
//!
//! The tables here are published in the manual, and only ever added to.

mod class;

use self::class::{Class, mapped};
use serde_json::{Map, Value, json};
use store::audit::{Act, Actor, ActorKind, Entry, Outcome, Target};

/// The version of the schema that events follow.
pub const VERSION: &str = "1.3.0";

/// How much an event should worry somebody, by OCSF's `severity_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Informational,
    /// Something was refused.
    Medium,
    /// Events were lost, or the audit log itself contradicts what was signed.
    High,
}

impl Severity {
    pub const fn id(self) -> u8 {
        match self {
            Self::Informational => 1,
            Self::Medium => 3,
            Self::High => 4,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Informational => "Informational",
            Self::Medium => "Medium",
            Self::High => "High",
        }
    }
}

/// An event, ready to leave.
#[derive(Clone, Debug)]
pub struct Event {
    /// The same however often it is sent: the org's id and the row's number.
    pub id: String,
    pub severity: Severity,
    /// The act's stable words.
    pub action: String,
    pub body: Value,
}

/// The event of a row. A row that another version wrote leaves too, as text.
pub fn event(entry: &Entry) -> Event {
    let id = format!("{}-{}", entry.org, entry.seq);
    let Ok(act) = entry.act() else {
        return Event { body: unread(entry, &id), id, ..Event::of_unknown() };
    };
    let severity = severity(&act);
    let mut body = told(entry, &act, &id, severity);
    let (class, ..) = mapped(&act);
    body.extend(by_class(class, &act));
    body.insert("unmapped".to_owned(), unmapped(entry, Some(&act)));
    Event { id, severity, action: act.action, body: Value::Object(body) }
}

impl Event {
    fn of_unknown() -> Self {
        let action = "unknown".to_owned();
        Self { id: String::new(), severity: Severity::Informational, action, body: Value::Null }
    }
}

fn severity(act: &Act) -> Severity {
    match (act.action.as_str(), act.outcome) {
        ("audit.head_went_back" | "events.missed", _) => Severity::High,
        (_, Outcome::Refused) => Severity::Medium,
        (_, Outcome::Done) => Severity::Informational,
    }
}

/// What every class has.
fn told(entry: &Entry, act: &Act, id: &str, severity: Severity) -> Map<String, Value> {
    let (class, activity, activity_name) = mapped(act);
    let (status_id, status) = match act.outcome {
        Outcome::Done => (1, "Success"),
        Outcome::Refused => (2, "Failure"),
    };
    let (uid, name) = (class.uid(), class.name());
    let (category, category_name) = class.category();
    let mut metadata = metadata(entry, id);
    if let Value::Object(fields) = &mut metadata {
        fields.insert("event_code".to_owned(), json!(act.action));
        if let Some(request) = &act.request {
            fields.insert("correlation_uid".to_owned(), json!(request));
        }
    }
    let body = json!({
        "activity_id": activity, "activity_name": activity_name,
        "category_uid": category, "category_name": category_name,
        "class_uid": uid, "class_name": name,
        "type_uid": uid * 100 + activity, "type_name": format!("{name}: {activity_name}"),
        "severity_id": severity.id(), "severity": severity.word(),
        "status_id": status_id, "status": status,
        "time": act.at.0,
        "message": message(act),
        "metadata": metadata,
        "actor": { "user": user(&act.actor) },
        "src_endpoint": match &act.address {
            Some(address) => json!({ "ip": address }),
            None => json!({ "name": "penstock" }),
        },
    });
    let Value::Object(mut fields) = body else { return Map::new() };
    if let Some(reason) = &act.reason {
        fields.insert("status_detail".to_owned(), json!(reason));
    }
    fields
}

fn metadata(entry: &Entry, id: &str) -> Value {
    json!({
        "version": VERSION,
        "product": {
            "name": "Penstock", "vendor_name": "Penstock", "version": env!("CARGO_PKG_VERSION"),
        },
        "uid": id,
        "sequence": entry.seq,
        "log_name": "audit",
        "tenant_uid": entry.org,
    })
}

/// What only this class has.
fn by_class(class: Class, act: &Act) -> Map<String, Value> {
    let target = act.target.as_ref();
    let fields = match class {
        Class::Account => vec![("user", target.map_or_else(|| user(&act.actor), object))],
        Class::Authentication => {
            vec![("user", user(&act.actor)), ("is_remote", json!(act.address.is_some()))]
        }
        Class::Entity => vec![("entity", target.map_or_else(|| json!({}), object))],
        Class::Api => {
            let mut api = json!({ "operation": act.action, "service": { "name": "penstock" } });
            if let (Some(request), Value::Object(api)) = (&act.request, &mut api) {
                api.insert("request".to_owned(), json!({ "uid": request }));
            }
            let resources: Vec<Value> = target.map(object).into_iter().collect();
            vec![("api", api), ("resources", json!(resources))]
        }
    };
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// OCSF's `user`, with its `type_id`.
fn user(actor: &Actor) -> Value {
    let (type_id, word) = match actor.kind {
        ActorKind::User => (1, "User"),
        ActorKind::AdminKey | ActorKind::Operator => (2, "Admin"),
        ActorKind::File | ActorKind::System | ActorKind::ServiceAccount => (3, "System"),
        ActorKind::Anonymous => (0, "Unknown"),
    };
    json!({ "uid": actor.id, "name": actor.name, "type_id": type_id, "type": word })
}

fn object(target: &Target) -> Value {
    json!({ "uid": target.id, "name": target.name, "type": target.kind })
}

fn message(act: &Act) -> String {
    let who = if act.actor.name.is_empty() { "somebody" } else { &act.actor.name };
    match &act.target {
        Some(target) => format!("{} by {who}: {} `{}`", act.action, target.kind, target.name),
        None => format!("{} by {who}", act.action),
    }
}

/// What the schema has no place for.
fn unmapped(entry: &Entry, act: Option<&Act>) -> Value {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            fields.insert(name.to_owned(), value);
        }
    };
    put("org", json!(entry.org));
    put("seq", json!(entry.seq));
    put("position", json!(entry.position));
    put("prev", json!(hex::encode(entry.prev)));
    put("hash", json!(hex::encode(entry.hash)));
    if let Some(act) = act {
        put("actor_kind", json!(act.actor.kind));
        put("via", json!(act.via));
        put("revision", json!(act.revision));
        put("project", json!(act.target.as_ref().and_then(|target| target.project.as_ref())));
        put("before", json!(act.before));
        put("after", json!(act.after));
    }
    Value::Object(fields)
}

fn unread(entry: &Entry, id: &str) -> Value {
    let mut unmapped = unmapped(entry, None);
    if let Value::Object(fields) = &mut unmapped {
        fields.insert("act".to_owned(), json!(entry.body));
    }
    let class = Class::Api;
    let (category, category_name) = class.category();
    json!({
        "activity_id": 99, "activity_name": "Other",
        "category_uid": category, "category_name": category_name,
        "class_uid": class.uid(), "class_name": class.name(),
        "type_uid": class.uid() * 100 + 99, "type_name": format!("{}: Other", class.name()),
        "severity_id": Severity::Informational.id(), "severity": Severity::Informational.word(),
        "status_id": 0, "status": "Unknown",
        "time": 0,
        "message": "a row that another version of Penstock wrote",
        "metadata": metadata(entry, id),
        "unmapped": unmapped,
    })
}

#[cfg(test)]
mod tests;
