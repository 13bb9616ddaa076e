//! What a request says about itself, for its usage record: never an identity.

use super::Content;
use crate::{
    pipeline::resolve::Scope,
    purse::{Counted, EndUser},
};
use aws_lc_rs::digest;
use http::{HeaderMap, HeaderName};
use policies::{
    refusal::Refusal,
    tenant::{LimitRule, Tenant},
};
use std::{collections::BTreeMap, sync::Arc};

const CLIENT_REQUEST_ID: [HeaderName; 2] =
    [HeaderName::from_static("x-client-request-id"), HeaderName::from_static("x-request-id")];
const SESSION: [HeaderName; 3] = [
    HeaderName::from_static("session-id"),
    HeaderName::from_static("x-session-id"),
    HeaderName::from_static("x-claude-code-session-id"),
];
const REQUEST_CLASS: [HeaderName; 2] = [
    HeaderName::from_static("x-penstock-request-class"),
    HeaderName::from_static("x-claude-code-request-class"),
];
const TAGS: HeaderName = HeaderName::from_static("x-penstock-tags");

/// Bytes of a mark that are kept; longer ones are left out.
const MARK_BYTES_MAX: usize = 128;
/// Tags of one request, at most.
const TAGS_MAX: usize = 16;
/// Bytes of a hash that tells end users, sessions and tasks apart within an org.
const HASH_BYTES: usize = 8;
const END_USER: &str = "end user";

#[derive(Clone, Debug, Default)]
pub struct Marks {
    pub client_request_id: Option<String>,
    pub session_hash: Option<String>,
    pub end_user_hash: Option<String>,
    /// Where limits of their own apply to them.
    pub end_user: Option<Limited>,
    pub request_class: Option<String>,
    /// Route, request class and system prompt, hashed: requests of one task share it.
    pub task_hash: Option<String>,
    pub tags: BTreeMap<String, String>,
}

/// An end user to whom limits apply.
#[derive(Clone, Debug)]
pub struct Limited {
    who: EndUser,
    rules: Vec<Arc<LimitRule>>,
}

impl Limited {
    /// What is set for one of this name, else what is set for each.
    fn read(tenant: &Tenant, name: &str, hash: [u8; HASH_BYTES]) -> Option<Self> {
        let rules = tenant.end_user.get(name).unwrap_or(&tenant.end_users);
        (!rules.is_empty()).then(|| Self { who: EndUser(hash), rules: rules.clone() })
    }

    pub fn limits(&self) -> impl Iterator<Item = Counted<'_>> {
        self.rules.iter().map(|rule| Counted { rule, end_user: Some(self.who) })
    }
}

impl Marks {
    pub(super) fn read(
        headers: &HeaderMap,
        scope: &Scope,
        content: &Content,
    ) -> Result<Self, Refusal> {
        let hash = |kind: &str, value: &[u8]| hex::encode(hash(scope, kind, value));
        let tenant = &scope.live().tenant;
        let request_class = first(headers, &REQUEST_CLASS).map(str::to_owned);
        let (user, system) = match content {
            Content::Chat(chat) => {
                let said = &chat.caller;
                let user = said.safety_identifier.as_ref().or(said.user.as_ref());
                (user, chat.system.clone().and_then(|span| chat.body().get(span)))
            }
            Content::Embeddings(embeddings) => (embeddings.user.as_ref(), None),
        };
        let class = request_class.as_deref().unwrap_or_default();
        let task =
            system.map(|system| hash(&format!("task\0{}\0{class}", scope.grant().project), system));
        Ok(Self {
            client_request_id: first(headers, &CLIENT_REQUEST_ID).map(str::to_owned),
            session_hash: first(headers, &SESSION).map(|it| hash("session", it.as_bytes())),
            end_user: user.and_then(|user| {
                Limited::read(tenant, user, self::hash(scope, END_USER, user.as_bytes()))
            }),
            end_user_hash: user.map(|user| hash(END_USER, user.as_bytes())),
            task_hash: task,
            tags: tags(headers, &scope.grant().tags)?,
            request_class,
        })
    }
}

fn first<'a>(headers: &'a HeaderMap, names: &[HeaderName]) -> Option<&'a str> {
    let value = names.iter().find_map(|name| headers.get(name))?.to_str().ok()?.trim();
    (1..=MARK_BYTES_MAX).contains(&value.len()).then_some(value)
}

/// The org is hashed in, so that no two orgs share a hash.
fn hash(scope: &Scope, kind: &str, value: &[u8]) -> [u8; HASH_BYTES] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(scope.live().tenant.org.as_bytes());
    context.update(kind.as_bytes());
    context.update(&[0]);
    context.update(value);
    let digest = context.finish();
    // SHA-256 has 32 bytes.
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

/// `x-penstock-tags: team=search,run=42`. Only keys that the project declares.
fn tags(headers: &HeaderMap, declared: &[String]) -> Result<BTreeMap<String, String>, Refusal> {
    let mut tags = BTreeMap::new();
    let refuse = |message: String| Refusal::Malformed { message, param: None };
    for value in headers.get_all(TAGS) {
        let text = value.to_str().map_err(|_| refuse(format!("`{TAGS}` is not plain text")))?;
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| refuse(format!("`{TAGS}` must be `key=value,key=value`")))?;
            let (key, value) = (key.trim(), value.trim());
            if !declared.iter().any(|known| known == key) {
                return Err(refuse(format!("`{TAGS}`: the project declares no such tag")));
            }
            if MARK_BYTES_MAX < value.len() || TAGS_MAX <= tags.len() {
                return Err(refuse(format!("`{TAGS}` is too long")));
            }
            tags.insert(key.to_owned(), value.to_owned());
        }
    }
    Ok(tags)
}
