//! Keys of a project. They are made for service accounts, and by people for themselves elsewhere.

use super::{
    admin_keys::{Uses, uses},
    find::{self, carry_out},
    page::{Turn, deleted, page},
    projects::project,
    role,
};
use crate::{
    context::{Context, json},
    failure::Failure,
    service::{apply::secret_of, edit::Draft},
    services::Known,
};
use axum::{http::StatusCode, response::Response};
use policies::{
    document::{Document, Key, Kind, Object, Owner, Scope, Subject},
    ids::{ProjectId, UserId},
    key::{KEY_PREFIX, key_text, tail},
    permission::Permission,
    rights::Reach,
    time::Timestamp,
};
use serde::Deserialize;
use serde_json::{Value, json};
use store::clock;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    scopes: Option<Vec<String>>,
    expires_in_seconds: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: Option<String>,
    scopes: Option<Vec<String>>,
    expires_in_seconds: Option<i64>,
}

pub(super) async fn list(context: Context) -> Result<Response, Failure> {
    let wanted = match context.query("owner_project_access") {
        None | Some("any") => None,
        Some("active") => Some(true),
        Some("inactive") => Some(false),
        Some(_) => {
            let message = "must be `active`, `inactive` or `any`";
            return Err(Failure::invalid("owner_project_access", message));
        }
    };
    let (known, uses) = (context.known()?, uses(&context).await?);
    let home = find::id(&context, Kind::Project, 0)?;
    let here = |it: &&Object| {
        let Document::Key(key) = &it.document else { return false };
        is_here(known, key, home) && wanted.is_none_or(|wanted| has_access(known, key) == wanted)
    };
    let all = find::of_kind(&known.settings.objects, Kind::Key).filter(here).collect();
    page(&context, Turn::LastId, all, |it| find::id_text(it), |it| view(known, it, &uses))
}

pub(super) async fn get(context: Context) -> Result<Response, Failure> {
    let (known, uses) = (context.known()?, uses(&context).await?);
    let object = find::by_id(&known.settings.objects, Kind::Key, of_path(&context)?)?;
    Ok(json(StatusCode::OK, &view(known, object, &uses)))
}

pub(super) async fn update(context: Context) -> Result<Response, Failure> {
    let Written { scopes, expires_in_seconds } = context.read()?;
    let (scopes, expires) = (read_scopes(scopes)?, find::expiry(expires_in_seconds)?);
    if scopes.is_none() && expires.is_none() {
        return Err(Failure::invalid("scopes", "send `scopes` or `expires_in_seconds`"));
    }
    let id = of_path(&context)?;
    carry_out(&context, |draft| {
        draft.update(Kind::Key, &id, |document| {
            let Document::Key(key) = document else { return Err(Failure::NotFound) };
            let ends = key.expires.as_deref().and_then(Timestamp::parse);
            if ends.is_some_and(|ends| ends <= clock::now()) {
                return Err(Failure::malformed("the key has expired; make another"));
            }
            key.scopes = scopes.clone().unwrap_or_else(|| key.scopes.clone());
            key.expires = expires.map(Timestamp::rfc3339).or_else(|| key.expires.clone());
            Ok(())
        })
    })
    .await?;
    let (known, uses) = (find::anew(&context).await?, uses(&context).await?);
    let object = find::by_id(&known.settings.objects, Kind::Key, id)?;
    Ok(json(StatusCode::OK, &view(&known, object, &uses)))
}

pub(super) async fn remove(context: Context) -> Result<Response, Failure> {
    let id = of_path(&context)?;
    carry_out(&context, |draft| draft.remove(Kind::Key, &id)).await?;
    Ok(deleted("organization.project.api_key.deleted", context.param(1)))
}

/// A further key of the service account in the path.
pub(super) async fn create(context: Context) -> Result<Response, Failure> {
    let New { name, scopes, expires_in_seconds } = context.read()?;
    let issued = Issued::new(find::expiry(expires_in_seconds)?, read_scopes(scopes)?)?;
    let (home, account) = super::service_accounts::of_path(&context)?;
    let edited = carry_out(&context, |draft| {
        let account = draft.name(Kind::ServiceAccount, &account)?;
        issued.insert(draft, home, &account, name.as_deref())
    });
    let object = edited.await?;
    Ok(json(StatusCode::OK, &issued.view(&object)))
}

/// A secret that was just made, and the key that it will be.
pub(super) struct Issued {
    secret: String,
    sha256: String,
    expires: Option<Timestamp>,
    scopes: Vec<Scope>,
}

impl Issued {
    pub(super) fn new(
        expires: Option<Timestamp>,
        scopes: Option<Vec<Scope>>,
    ) -> Result<Self, Failure> {
        let (secret, sha256) = secret_of(key_text)?;
        Ok(Self { secret, sha256, expires, scopes: scopes.unwrap_or_default() })
    }

    /// Puts the key into the project. Without a name it is called like its service account.
    pub(super) fn insert(
        &self,
        draft: &mut Draft,
        project: [u8; 16],
        account: &str,
        name: Option<&str>,
    ) -> Result<Object, Failure> {
        let name = match name {
            Some(name) => name.to_owned(),
            None => find::free_name(draft, Kind::Key, account)?,
        };
        let key = Key {
            id: None,
            org: String::new(),
            name,
            locked: false,
            project: draft.name(Kind::Project, &project)?,
            owner: Owner::ServiceAccount(account.to_owned()),
            models: Vec::new(),
            scopes: self.scopes.clone(),
            routes: Vec::new(),
            sources: Vec::new(),
            expires: self.expires.map(Timestamp::rfc3339),
            active: true,
            sha256: Some(self.sha256.clone()),
            tail: tail(&self.secret),
            previous: None,
        };
        let id = draft.insert(Document::Key(key))?;
        Ok(Object { id, document: draft.get(Kind::Key, &id)?.clone() })
    }

    /// The one time that the secret is shown.
    pub(super) fn view(&self, object: &Object) -> Value {
        json!({
            "object": "organization.project.service_account.api_key",
            "id": find::id_text(object),
            "name": object.document.name(),
            "value": self.secret,
            "created_at": find::made_at(object),
            "expires_at": self.expires.map(Timestamp::seconds),
        })
    }
}

/// The id of the key in the path, if it is a key of the project in the path.
fn of_path(context: &Context) -> Result<[u8; 16], Failure> {
    let known = context.known()?;
    let home = find::id(context, Kind::Project, 0)?;
    let id = find::id(context, Kind::Key, 1)?;
    let object = find::by_id(&known.settings.objects, Kind::Key, id)?;
    let Document::Key(key) = &object.document else { return Err(Failure::NotFound) };
    if is_here(known, key, home) { Ok(id) } else { Err(Failure::NotFound) }
}

fn is_here(known: &Known, key: &Key, home: [u8; 16]) -> bool {
    let project = find::by_id(&known.settings.objects, Kind::Project, home);
    project.is_ok_and(|project| project.document.name() == key.project)
}

/// The org's scopes by OpenAI's words and by our own. An empty list is no narrowing.
fn read_scopes(words: Option<Vec<String>>) -> Result<Option<Vec<Scope>>, Failure> {
    let Some(words) = words else { return Ok(None) };
    let mut scopes = Vec::new();
    for word in words {
        scopes.extend(match word.as_str() {
            "infer" | "api.model.request" | "model.request" => vec![Scope::Infer],
            "models" | "api.model.read" | "model.read" => vec![Scope::Models],
            "requests" => vec![Scope::Requests],
            "api.all.read" => vec![Scope::Models, Scope::Requests],
            _ => {
                let message = "must be of `infer`, `models`, `requests`, `api.model.request`, \
                    `api.model.read`, `api.all.read`";
                return Err(Failure::invalid("scopes", message));
            }
        });
    }
    scopes.sort();
    scopes.dedup();
    Ok(Some(scopes))
}

/// Whether the owner may use the project now: if not, the key opens nothing.
fn has_access(known: &Known, key: &Key) -> bool {
    let objects = &known.settings.objects;
    let Some(home) = find::by_name(objects, Kind::Project, &key.project) else { return false };
    let open = project(home).is_some_and(|project| project.active);
    let owner = match &key.owner {
        Owner::User(name) => find::by_name(objects, Kind::User, name),
        Owner::ServiceAccount(name) => find::by_name(objects, Kind::ServiceAccount, name),
    };
    let here = Reach::Project(ProjectId::from_bytes(home.id));
    open && owner.is_some_and(|owner| {
        if let Document::ServiceAccount(account) = &owner.document {
            return account.active;
        }
        let person = known.authority.users.get(&UserId::from_bytes(owner.id));
        person.is_some_and(|it| {
            let may = |permission| it.rights.allow(permission, here);
            it.active && (may(Permission::Infer) || may(Permission::WriteKeys))
        })
    })
}

fn view(known: &Known, object: &Object, uses: &Uses) -> Value {
    let Document::Key(key) = &object.document else { return Value::Null };
    json!({
        "object": "organization.project.api_key",
        "id": find::id_text(object),
        "name": key.name,
        "redacted_value": find::redacted(KEY_PREFIX, key.tail.as_deref()),
        "created_at": find::made_at(object),
        "expires_at": find::unix(key.expires.as_deref()),
        "last_used_at": uses.get(&object.id).map(|at| at.seconds()),
        "owner": owner(known, key),
        "owner_project_access": if has_access(known, key) { "active" } else { "inactive" },
    })
}

fn owner(known: &Known, key: &Key) -> Value {
    let objects = &known.settings.objects;
    let (word, kind, name, who) = match &key.owner {
        Owner::User(name) => ("user", Kind::User, name, Subject::User(name.clone())),
        Owner::ServiceAccount(name) => {
            ("service_account", Kind::ServiceAccount, name, Subject::ServiceAccount(name.clone()))
        }
    };
    let Some(found) = find::by_name(objects, kind, name) else { return Value::Null };
    let home = find::by_name(objects, Kind::Project, &key.project).and_then(project);
    let mine = home.and_then(|it| it.members.iter().find(|member| member.who == who));
    let mut owner = json!({
        "id": find::id_text(found),
        "name": name,
        "created_at": find::made_at(found),
        "role": mine.map_or("member", |mine| role::in_project(&mine.role)),
    });
    if let (Document::User(user), Value::Object(fields)) = (&found.document, &mut owner) {
        fields.insert("email".to_owned(), json!(user.email));
    }
    json!({ "type": word, word: owner })
}
