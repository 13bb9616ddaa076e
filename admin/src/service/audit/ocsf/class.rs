//! Which class and activity of OCSF an act is: by the words before and after the dot.

use serde_json::Value;
use store::audit::Act;

/// The classes that acts are told as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Account,
    Authentication,
    Entity,
    Api,
}

impl Class {
    pub(super) const fn uid(self) -> u32 {
        match self {
            Self::Account => 3001,
            Self::Authentication => 3002,
            Self::Entity => 3004,
            Self::Api => 6003,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Account => "Account Change",
            Self::Authentication => "Authentication",
            Self::Entity => "Entity Management",
            Self::Api => "API Activity",
        }
    }

    pub(super) const fn category(self) -> (u32, &'static str) {
        match self {
            Self::Account | Self::Authentication | Self::Entity => {
                (3, "Identity & Access Management")
            }
            Self::Api => (6, "Application Activity"),
        }
    }
}

/// The class of an act, and its activity within it.
pub(super) fn mapped(act: &Act) -> (Class, u32, &'static str) {
    let (thing, verb) = act.action.split_once('.').unwrap_or((&act.action, ""));
    let class = match thing {
        "login" | "logout" | "session" | "authentication" | "token" => Class::Authentication,
        "user" | "service_account" => Class::Account,
        "data" | "request" | "events" | "audit" => Class::Api,
        _ => Class::Entity,
    };
    let (activity, name) = match class {
        Class::Authentication => authentication(thing, verb),
        Class::Account => account(act, verb),
        Class::Entity | Class::Api => change(verb),
    };
    (class, activity, name)
}

fn authentication(thing: &str, verb: &str) -> (u32, &'static str) {
    match (thing, verb) {
        ("logout", _) | ("session", "closed" | "revoked" | "ended" | "deleted") => (2, "Logoff"),
        ("login" | "authentication" | "session", _) => (1, "Logon"),
        _ => (3, "Authentication Ticket"),
    }
}

fn account(act: &Act, verb: &str) -> (u32, &'static str) {
    let active = act.after.as_ref().and_then(|after| after.get("active")).and_then(Value::as_bool);
    match (verb, active) {
        ("created", _) => (1, "Create"),
        ("deleted", _) => (6, "Delete"),
        ("enabled", _) | ("updated", Some(true)) => (2, "Enable"),
        ("disabled", _) | ("updated", Some(false)) => (5, "Disable"),
        _ => (99, "Other"),
    }
}

/// The same numbers in Entity Management and in API Activity.
fn change(verb: &str) -> (u32, &'static str) {
    match verb {
        "created" => (1, "Create"),
        "read" => (2, "Read"),
        "updated" => (3, "Update"),
        "deleted" => (4, "Delete"),
        _ => (99, "Other"),
    }
}
