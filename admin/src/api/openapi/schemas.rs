//! Schemas of bodies: those that documents are read by, and the few that only the API has.

use crate::{probe::Tried, service::schema::shapes};
use policies::document::Kind;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// A body for each schema that a route takes, in an order in which they can be sent.
pub const EXAMPLES: &[(&str, &str)] = &[
    ("Role", r#"{"name": "price-reader", "permissions": ["prices.read", "catalogue.read"]}"#),
    ("Unit", r#"{"name": "research", "cost_centre": "CC-12"}"#),
    ("User", r#"{"name": "lin", "email": "lin@example.com", "roles": ["auditor"]}"#),
    ("Group", r#"{"name": "scientists", "members": ["lin"]}"#),
    (
        "Project",
        r#"{"name": "search", "unit": "research", "data_level": "internal",
            "members": [{"who": {"group": "scientists"}, "role": "developer"}]}"#,
    ),
    ("ServiceAccount", r#"{"name": "indexer", "project": "search"}"#),
    (
        "WorkloadIdentity",
        r#"{"name": "indexer-pods", "issuer": "https://cluster.example.com",
            "audience": "penstock", "claims": {"sub": "system:serviceaccount:search:*"},
            "service_account": "indexer", "project": "search"}"#,
    ),
    (
        "IdentityProvider",
        r#"{"name": "company", "issuer": "https://login.example.com", "client_id": "penstock"}"#,
    ),
    (
        "Key",
        r#"{"name": "indexer-1", "project": "search", "owner": {"service_account": "indexer"},
            "expires": "2030-01-01"}"#,
    ),
    ("AdminKey", r#"{"name": "terraform", "owner": {"user": "lin"}, "expires": "2030-01-01"}"#),
    (
        "Invite",
        r#"{"name": "kim@example.com", "email": "kim@example.com", "expires": "2030-01-01",
            "projects": [{"project": "search", "role": "viewer"}]}"#,
    ),
    (
        "Provider",
        r#"{"name": "cloud", "dialect": "openai", "base_url": "https://api.example.com/v1",
            "credential": {"env": "CLOUD_API_KEY"}, "terms": {"trains": false}}"#,
    ),
    (
        "Deployment",
        r#"{"name": "cloud-large", "provider": "cloud", "model": "large-2", "free": true}"#,
    ),
    ("Tier", r#"{"name": "large", "rank": 3, "deployments": [{"deployment": "cloud-large"}]}"#),
    ("Model", r#"{"name": "large", "tier": "large"}"#),
    (
        "Price",
        r#"{"name": "metered-2026", "deployment": "metered", "from": "2026-01-01",
            "input": "2.50", "output": "10"}"#,
    ),
    ("Limit", r#"{"name": "search-rate", "on": {"project": "search"}, "requests_per_minute": 60}"#),
    (
        "Budget",
        r#"{"name": "search-month", "on": {"project": "search"}, "limit": "200",
            "period": "month"}"#,
    ),
    ("Policy", r#"{"name": "search-data", "project": "search", "rules": []}"#),
];

/// Every schema by name.
pub(super) fn schemas() -> Value {
    let mut all: Map<String, Value> = Map::new();
    for (name, shape) in shapes() {
        let mut shape = shape.clone();
        point_here(&mut shape);
        all.insert(name.clone(), shape);
    }
    for kind in Kind::ALL {
        let name = format!("{kind:?}");
        let Some(shape) = all.get(&name).cloned() else { continue };
        let (written, patch, mut read) = faces(&shape);
        if let (Kind::Key, Some(Value::Object(properties))) = (*kind, read.get_mut("properties")) {
            let until = json!({
                "type": "string",
                "format": "date-time",
                "description": "The secret before the last rotation is good until then",
            });
            properties.insert("previous_secret_until".to_owned(), until);
        }
        all.insert(format!("{name}Patch"), patch);
        all.insert(format!("{name}Object"), read);
        all.insert(name, written);
    }
    if let Value::Object(own) = own() {
        all.extend(own);
    }
    Value::Object(all)
}

/// References of the document schemas are to `$defs`; here they are among the components.
fn point_here(shape: &mut Value) {
    match shape {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "$ref"
                    && let Value::String(text) = value
                {
                    *text = text.replace("#/$defs/", "#/components/schemas/");
                } else {
                    point_here(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(point_here),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A document as it is written (without org and id), changed (nothing is required, null removes),
/// and shown.
fn faces(shape: &Value) -> (Value, Value, Value) {
    let (mut written, mut patch, mut read) = (shape.clone(), shape.clone(), shape.clone());
    let without = |shape: &mut Value, keep_required: bool| {
        let Value::Object(fields) = shape else { return };
        if let Some(Value::Object(properties)) = fields.get_mut("properties") {
            properties.remove("org");
            properties.remove("id");
        }
        if let Some(Value::Array(required)) = fields.get_mut("required") {
            required.retain(|name| keep_required && name != "org");
        }
    };
    without(&mut written, true);
    without(&mut patch, false);
    without(&mut read, true);
    if let Some(Value::Object(properties)) = patch.get_mut("properties") {
        for property in properties.values_mut() {
            *property = json!({ "anyOf": [property.take(), { "type": "null" }] });
        }
    }
    if let Some(Value::Object(properties)) = read.get_mut("properties") {
        properties.insert("object".to_owned(), json!({ "type": "string" }));
        properties.insert("id".to_owned(), json!({ "type": "string" }));
        properties.insert("created_at".to_owned(), json!({ "type": "string" }));
        properties.insert("secret".to_owned(), json!({ "type": "string" }));
    }
    (written, patch, read)
}

/// An object that has these fields and no other.
#[expect(clippy::needless_pass_by_value, reason = "written where it is used, and used once")]
fn closed(required: &[&str], properties: Value) -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn optional() -> Value {
    json!({ "type": ["string", "null"] })
}

/// The shape of no body, or an empty one.
pub(crate) const NOTHING: &str = "Nothing";

/// The shapes of bodies that only the API has, by name.
pub(crate) fn bodies() -> &'static Map<String, Value> {
    static BODIES: LazyLock<Map<String, Value>> = LazyLock::new(|| match own() {
        Value::Object(own) => own,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    });
    &BODIES
}

/// What only the API has.
fn own() -> Value {
    let owner = closed(&["name", "email"], json!({ "name": text(), "email": text() }));
    let new_org = json!({
        "name": text(),
        "time_zone": optional(),
        "support": optional(),
        "owner": { "anyOf": [{ "type": "null" }, owner] },
    });
    let wish = json!({
        "budget": optional(),
        "limit": optional(),
        "wanted": {
            "type": "object",
            "description": "Fields of the budget or limit with the values asked for: an amount of \
                money is a decimal as text, as everywhere; all else is a number",
            "additionalProperties": { "type": ["string", "integer"] },
        },
        "reason": text(),
    });
    let page = json!({
        "object": { "const": "list" },
        "data": { "type": "array", "items": { "type": "object" } },
        "has_more": { "type": "boolean" },
        "next": optional(),
    });
    let minutes = json!({ "type": "integer", "minimum": 0, "maximum": 43200 });
    json!({
        "Problem": problem(),
        NOTHING: closed(&[], json!({})),
        "Page": closed(&["object", "data", "has_more", "next"], page),
        "Myself": { "type": "object", "required": ["object", "org", "permissions"] },
        "Effective": effective(),
        "EffectiveBudget": effective_budget(),
        "Balance": balance(),
        "Rotation": closed(&[], json!({ "grace_minutes": minutes })),
        "NewOrg": closed(&["name"], new_org),
        "NewLimitRequest": closed(&["wanted", "reason"], wish),
        "NewPassword": closed(&["old", "new"], json!({ "old": text(), "new": text() })),
        "SecretValue": closed(
            &["value"],
            json!({ "value": { "type": "string", "minLength": 1, "writeOnly": true } }),
        ),
        "Sealed": sealed(),
        "Tried": tried(),
        "Decision": closed(&[], json!({ "reason": optional() })),
    })
}

fn sealed() -> Value {
    let fields = json!({
        "object": { "const": "sealed" },
        "revision": { "type": "integer", "description": "Of the org, from which on it is in use" },
        "in_files": {
            "type": "string",
            "description": "What files of settings must say, so that applying one keeps the value",
        },
    });
    closed(&["object", "revision", "in_files"], fields)
}

fn tried() -> Value {
    let fields = json!({
        "object": { "const": "tried" },
        "works": { "type": "boolean" },
        "outcome": { "enum": Tried::ALL.map(Tried::word) },
        "status": {
            "type": ["integer", "null"],
            "description": "The HTTP status, if the provider answered",
        },
        "latency_ms": {
            "type": "integer",
            "description": "From the first step of the connection to the answer's head",
        },
    });
    closed(&["object", "works", "outcome", "status", "latency_ms"], fields)
}

fn effective_budget() -> Value {
    json!({
        "type": "object",
        "required": ["source", "budget", "period_starts", "period_ends", "balance"],
        "properties": {
            "source": { "type": "string", "description": "On which level the budget is set" },
            "budget": { "type": "object", "description": "The budget itself" },
            "period_starts": text(),
            "period_ends": text(),
            "balance": { "$ref": "#/components/schemas/Balance" },
        },
    })
}

fn effective() -> Value {
    let access = json!({
        "type": "object",
        "required": ["project", "active", "models", "may", "limits", "budgets"],
        "properties": {
            "active": {
                "type": "boolean",
                "description": "Whether requests are let in: the key, its owner and the project \
                    are active, and the owner is entitled to the project",
            },
            "budgets": {
                "type": "array",
                "items": { "$ref": "#/components/schemas/EffectiveBudget" },
            },
        },
    });
    json!({
        "type": "object",
        "required": ["object", "id", "name", "access"],
        "properties": { "access": { "type": "array", "items": access } },
    })
}

/// The money of a budget in its period, in billionths of a US dollar.
fn balance() -> Value {
    let said = [
        ("limit_nano_usd", "What the budget allows in the period"),
        ("settled_nano_usd", "What finished requests have cost"),
        (
            "held_nano_usd",
            "What requests may have cost whose end is not known: counted in full until it is",
        ),
        (
            "leased_nano_usd",
            "What running gateways were lent to pay requests from: what is not \
            used comes back, so it is part of what remains",
        ),
        ("unattributed_nano_usd", "What a gateway that was lost with its journal may have spent"),
        ("overrun_nano_usd", "What requests have cost beyond what was set aside for them"),
        (
            "remaining_nano_usd",
            "What can still be spent: limit - settled - held - unattributed - \
            overrun, and never less than 0",
        ),
    ];
    let properties = said.iter().map(|(name, said)| {
        ((*name).to_owned(), json!({ "type": "integer", "description": said }))
    });
    let names: Vec<&str> = said.iter().map(|(name, _)| *name).collect();
    closed(&names, Value::Object(properties.collect()))
}

fn problem() -> Value {
    let field = json!({
        "type": "string",
        "description": "A JSON Pointer (RFC 6901) into the body, or the name of a query parameter",
    });
    let mistake = closed(&["field", "message"], json!({ "field": field, "message": text() }));
    let fields = json!({
        "type": { "type": "string", "format": "uri" },
        "title": text(),
        "status": { "type": "integer" },
        "code": text(),
        "detail": text(),
        "errors": { "type": "array", "items": mistake },
    });
    closed(&["type", "title", "status", "code", "detail"], fields)
}
