//! Keys for administration. A key that a key makes is never more than its maker.

use super::{
    find::{self, carry_out},
    page::{Turn, deleted, page},
    role,
};
use crate::{
    context::{Context, Proof, json},
    failure::Failure,
    service::apply::secret_of,
    services::Known,
};
use axum::{http::StatusCode, response::Response};
use policies::{
    document::{AdminKey, Document, Kind, Object, Owner},
    ids::UserId,
    key::{ADMIN_KEY_PREFIX, admin_key_text, tail},
    time::Timestamp,
    usage::Principal,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};

/// When keys were last used, by the bytes of their id.
pub(super) type Uses = HashMap<[u8; 16], Timestamp>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    expires_in_seconds: Option<i64>,
}

pub(super) async fn list(context: Context) -> Result<Response, Failure> {
    let (known, uses) = (context.known()?, uses(&context).await?);
    let all = find::of_kind(&known.settings.objects, Kind::AdminKey).collect();
    page(&context, Turn::LastId, all, |it| find::id_text(it), |it| view(known, it, &uses))
}

pub(super) async fn get(context: Context) -> Result<Response, Failure> {
    let (known, uses) = (context.known()?, uses(&context).await?);
    let id = find::id(&context, Kind::AdminKey, 0)?;
    let object = find::by_id(&known.settings.objects, Kind::AdminKey, id)?;
    Ok(json(StatusCode::OK, &view(known, object, &uses)))
}

/// The key is the asker's own, with what narrows the key that asks: roles, networks, expiry.
pub(super) async fn create(context: Context) -> Result<Response, Failure> {
    let Written { name, expires_in_seconds } = context.read()?;
    let asked = find::expiry(expires_in_seconds)?;
    let (owner, parent) = asker(&context)?;
    let (secret, sha256) = secret_of(admin_key_text)?;
    let ends = parent.and_then(|it| Timestamp::parse(it.expires.as_deref()?));
    let expires = [asked, ends].into_iter().flatten().min().map(Timestamp::rfc3339);
    let key = AdminKey {
        id: None,
        org: String::new(),
        name,
        locked: false,
        owner,
        roles: parent.map_or_else(Vec::new, |it| it.roles.clone()),
        sources: parent.map_or_else(Vec::new, |it| it.sources.clone()),
        expires,
        active: true,
        sha256: Some(sha256),
        tail: tail(&secret),
    };
    let edited = carry_out(&context, |draft| draft.insert(Document::AdminKey(key.clone())));
    let id = edited.await?;
    let known = find::anew(&context).await?;
    let object = find::by_id(&known.settings.objects, Kind::AdminKey, id)?;
    let mut body = view(&known, object, &Uses::new());
    if let Value::Object(fields) = &mut body {
        fields.insert("value".to_owned(), Value::String(secret));
    }
    Ok(json(StatusCode::OK, &body))
}

/// Who asks, as the owner of a key, and the key that asks.
fn asker(context: &Context) -> Result<(Owner, Option<&AdminKey>), Failure> {
    let (who, known) = (context.who()?, context.known()?);
    let objects = &known.settings.objects;
    let (principal, key) = match &who.proof {
        Proof::Key(key, principal) => (*principal, Some(key)),
        Proof::Session(user, _) => (Principal::User(*user), None),
    };
    let named = |kind, id| find::by_id(objects, kind, id).map(|it| it.document.name().to_owned());
    let owner = match principal {
        Principal::User(id) => named(Kind::User, *id.as_bytes()).map(Owner::User),
        Principal::ServiceAccount(id) => {
            named(Kind::ServiceAccount, *id.as_bytes()).map(Owner::ServiceAccount)
        }
    };
    let owner = owner.map_err(|_| {
        Failure::malformed("an operator makes keys for people of the org at /admin/v1/admin_keys")
    })?;
    let parent = key.and_then(|key| {
        let object = find::by_id(objects, Kind::AdminKey, *key.as_bytes()).ok()?;
        let Document::AdminKey(key) = &object.document else { return None };
        Some(key)
    });
    Ok((owner, parent))
}

pub(super) async fn remove(context: Context) -> Result<Response, Failure> {
    let id = find::id(&context, Kind::AdminKey, 0)?;
    carry_out(&context, |draft| draft.remove(Kind::AdminKey, &id)).await?;
    Ok(deleted("organization.admin_api_key.deleted", context.param(0)))
}

pub(super) async fn uses(context: &Context) -> Result<Uses, Failure> {
    let found = context.services.store.last_uses(&context.org()?).await?;
    Ok(found.into_iter().map(|(key, at)| (*key.as_bytes(), at)).collect())
}

fn view(known: &Known, object: &Object, uses: &Uses) -> Value {
    let Document::AdminKey(key) = &object.document else { return Value::Null };
    json!({
        "object": "organization.admin_api_key",
        "id": find::id_text(object),
        "name": key.name,
        "redacted_value": find::redacted(ADMIN_KEY_PREFIX, key.tail.as_deref()),
        "created_at": find::made_at(object),
        "expires_at": find::unix(key.expires.as_deref()),
        "last_used_at": uses.get(&object.id).map(|at| at.seconds()),
        "owner": owner(known, &key.owner),
    })
}

fn owner(known: &Known, owner: &Owner) -> Value {
    let objects = &known.settings.objects;
    let (word, found) = match owner {
        Owner::User(name) => ("user", find::by_name(objects, Kind::User, name)),
        Owner::ServiceAccount(name) => {
            ("service_account", find::by_name(objects, Kind::ServiceAccount, name))
        }
    };
    let Some(found) = found else { return Value::Null };
    let person = known.authority.users.get(&UserId::from_bytes(found.id));
    let roles: BTreeSet<String> = match (&found.document, person) {
        (Document::ServiceAccount(account), _) => account.roles.iter().cloned().collect(),
        (_, Some(person)) => person.roles.clone(),
        (_, None) => BTreeSet::new(),
    };
    json!({
        "type": word,
        "object": format!("organization.{word}"),
        "id": find::id_text(found),
        "name": found.document.name(),
        "created_at": find::made_at(found),
        "role": role::in_org(&roles),
    })
}
