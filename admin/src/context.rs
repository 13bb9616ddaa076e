//! One administrative request: who asks, from where, for what.

use crate::{
    failure::Failure,
    services::{Known, Services},
};
use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use policies::{
    ids::{AdminKeyId, OrgId, RequestId, ServiceAccountId, UserId},
    permission::Permission,
    rights::{Reach, Rights},
    usage::Principal,
};
use serde::Serialize;
use serde_json::Value;
use std::{net::IpAddr, sync::Arc};
use store::audit::{Act, Actor, ActorKind, Outcome, Target};

/// How somebody proved who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// An admin key, with whose it is.
    Key(AdminKeyId, Principal),
    /// A console session, by the hash of its token.
    Session(UserId, [u8; 32]),
}

/// Somebody who administers `org`. Only the gate makes one.
#[derive(Clone, Debug)]
pub struct Administrator {
    /// The org that is administered.
    pub org: OrgId,
    /// Where the asker belongs: the same org, or the installation.
    pub home: OrgId,
    /// An operator who has not said which org is meant: `org` is the installation.
    pub org_is_open: bool,
    pub proof: Proof,
    /// The name to show in the audit log.
    pub name: String,
    pub rights: Rights,
}

impl Administrator {
    /// The asker as a user, if it is one.
    pub fn user(&self) -> Option<UserId> {
        match self.proof {
            Proof::Key(_, Principal::User(user)) | Proof::Session(user, _) => Some(user),
            Proof::Key(_, Principal::ServiceAccount(_)) => None,
        }
    }

    /// The asker as a service account, if it is one.
    pub fn machine(&self) -> Option<ServiceAccountId> {
        match self.proof {
            Proof::Key(_, Principal::ServiceAccount(account)) => Some(account),
            Proof::Key(_, Principal::User(_)) | Proof::Session(..) => None,
        }
    }

    /// The admin key that the asker came with.
    pub fn key(&self) -> Option<AdminKeyId> {
        match self.proof {
            Proof::Key(key, _) => Some(key),
            Proof::Session(..) => None,
        }
    }

    /// What stays the same over the requests of one asker: for idempotency keys.
    pub fn scope(&self) -> String {
        match &self.proof {
            Proof::Key(key, _) => key.to_string(),
            Proof::Session(user, _) => user.to_string(),
        }
    }

    pub fn actor(&self) -> Actor {
        let (kind, id) = match &self.proof {
            Proof::Key(key, _) => (ActorKind::AdminKey, key.to_string()),
            Proof::Session(user, _) => (ActorKind::User, user.to_string()),
        };
        Actor { kind, id, name: self.name.clone() }
    }

    pub fn must(&self, permission: Permission, reach: Reach) -> Result<(), Failure> {
        match self.rights.allow(permission, reach) {
            true => Ok(()),
            false => Err(Failure::Forbidden { permission: permission.word() }),
        }
    }
}

/// A request that passed the gate.
pub struct Context {
    pub services: Arc<Services>,
    /// None on routes that are open to anyone.
    pub who: Option<Administrator>,
    /// The org as it was when the request came; none on open routes.
    pub known: Option<Arc<Known>>,
    /// The values of the path's braces, in order, percent-decoded.
    pub params: Vec<String>,
    /// The query's pairs, in order, percent-decoded.
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub address: IpAddr,
    pub request: RequestId,
}

impl Context {
    /// The asker. Every route but an open one has one.
    pub fn who(&self) -> Result<&Administrator, Failure> {
        self.who.as_ref().ok_or(Failure::Unauthenticated)
    }

    pub fn known(&self) -> Result<&Arc<Known>, Failure> {
        self.known.as_ref().ok_or(Failure::Unauthenticated)
    }

    pub fn org(&self) -> Result<OrgId, Failure> {
        self.who().map(|who| who.org)
    }

    pub fn param(&self, at: usize) -> &str {
        self.params.get(at).map_or("", String::as_str)
    }

    /// The last value of a query parameter.
    pub fn query(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Every value of a list: `name=a&name=b`, or `name[]=a` as OpenAI's SDKs send it.
    pub fn queries(&self, name: &str) -> Vec<&str> {
        let bracketed = format!("{name}[]");
        let same = |it: &&(String, String)| it.0 == name || it.0 == bracketed;
        self.query.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }

    /// A whole number in the query, within bounds.
    pub fn number(&self, name: &str, default: u32, most: u32) -> Result<u32, Failure> {
        let Some(text) = self.query(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| (1..=most).contains(number));
        number.ok_or_else(|| Failure::invalid(name, format!("must be 1 to {most}")))
    }

    /// The body as JSON; an empty one is an empty object.
    pub fn json(&self) -> Result<Value, Failure> {
        if self.body.is_empty() {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        serde_json::from_slice(&self.body)
            .map_err(|fault| Failure::malformed(format!("the body is not JSON: {fault}")))
    }

    /// The body as `T`; unknown fields are mistakes where `T` says so.
    pub fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, Failure> {
        let body: &[u8] = if self.body.is_empty() { b"{}" } else { &self.body };
        serde_json::from_slice(body).map_err(|fault| {
            let message = fault.to_string();
            let message = message.split(" at line ").next().unwrap_or_default().to_owned();
            match fault.is_data() {
                true => Failure::invalid("", message),
                false => Failure::malformed(format!("the body is not JSON: {message}")),
            }
        })
    }

    /// A row for the audit log about this request, to be filled in.
    pub fn act(&self, action: &str) -> Act {
        let anonymous =
            || Actor { kind: ActorKind::Anonymous, id: String::new(), name: String::new() };
        Act {
            at: store::clock::now(),
            actor: self.who.as_ref().map_or_else(anonymous, Administrator::actor),
            address: Some(self.address.to_string()),
            action: action.to_owned(),
            outcome: Outcome::Done,
            target: None,
            before: None,
            after: None,
            reason: self.reason(),
            request: Some(self.request.to_string()),
            via: "api".to_owned(),
            revision: None,
        }
    }

    /// What the asker says for the record: the header `x-penstock-reason`.
    pub fn reason(&self) -> Option<String> {
        let text = self.headers.get("x-penstock-reason")?.to_str().ok()?.trim();
        (!text.is_empty()).then(|| text.chars().take(500).collect())
    }
}

/// An object as the target of an act.
pub fn target(kind: &str, id: String, name: &str) -> Target {
    Target { kind: kind.to_owned(), id, name: name.to_owned(), project: None }
}

/// An answer of JSON that no cache keeps.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let text = serde_json::to_string(body).unwrap_or_default();
    let mut answer = Response::new(text.into());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// The answer to a request that has nothing to tell.
pub fn empty() -> Response {
    let mut answer = Response::new(axum::body::Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}
