//! The admin key that is made at the command line: the first way in for scripts.

use crate::{
    api::setup::INSTALLATION_NAME,
    service::{apply::secret_of, audit::by_command, edit::between},
};
use policies::{
    authority::INSTALLATION,
    document::{AdminKey, Document, Kind, Mistake, Object, Owner, ServiceAccount},
    ids::Revision,
    key::{self, admin_key_text},
    role::Role,
    tenant,
};
use serde_json::json;
use store::{Change, Committed, Fault, Settings, Store, entropy, seal::Secret};

/// The service account of the installation's own admin keys.
const OPERATORS: &str = "operators";

/// Whose key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For<'a> {
    /// The installation's: it may do everything, in every org.
    Operator,
    /// A user's in an org (by name or id): it may do what the user may.
    User { org: &'a str, user: &'a str },
}

/// Why no key was made. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum NoKey {
    #[error("there is no org `{0}`")]
    NoOrg(String),
    #[error("there is no user `{user}` in `{org}`")]
    NoUser { org: String, user: String },
    #[error("there is an admin key `{0}` already")]
    Taken(String),
    #[error("{} `{}`: {}: {}", .0.kind, .0.name, .0.field, .0.message)]
    Mistake(Mistake),
    #[error("somebody else changed the settings at the same time; try again")]
    Conflict,
    #[error("it is not written as it should be: {0}")]
    Document(#[from] serde_json::Error),
    #[error(transparent)]
    Store(#[from] Fault),
    #[error(transparent)]
    Dry(#[from] entropy::Dry),
}

/// Makes an admin key called `name`; its secret, which is shown once. The installation's org and
/// its service account are made where they are missing.
///
/// # Errors
/// See [`NoKey`].
pub async fn make(store: &dyn Store, owner: For<'_>, name: &str) -> Result<Secret<String>, NoKey> {
    let (org, settings, owner) = match owner {
        For::Operator => {
            let settings = store.settings(&INSTALLATION).await?;
            (INSTALLATION, settings, Owner::ServiceAccount(OPERATORS.to_owned()))
        }
        For::User { org, user } => {
            let settings = org_named(store, org).await?;
            (settings.org, Some(settings), Owner::User(user.to_owned()))
        }
    };
    let from = settings.as_ref().map_or(Revision(0), |settings| settings.revision);
    let before = settings.map(|settings| settings.objects).unwrap_or_default();
    let mut after = before.clone();
    if org == INSTALLATION {
        furnish(&mut after)?;
    }
    let has = |kind: Kind, wanted: &str| {
        after.iter().any(|it| it.document.kind() == kind && it.document.name() == wanted)
    };
    let head = after.iter().find(|it| it.document.kind() == Kind::Org);
    let org_name = head.map_or_else(String::new, |head| head.document.name().to_owned());
    if let Owner::User(user) = &owner
        && !has(Kind::User, user)
    {
        return Err(NoKey::NoUser { org: org_name, user: user.clone() });
    }
    if has(Kind::AdminKey, name) {
        return Err(NoKey::Taken(name.to_owned()));
    }
    let (secret, sha256) = secret_of(admin_key_text)?;
    let tail = key::tail(&secret);
    let secret = Secret::new(secret);
    let key = json!({
        "org": org_name, "name": name, "owner": owner, "sha256": sha256, "tail": tail,
    });
    let key: AdminKey = serde_json::from_value(key)?;
    after.push(Object { id: entropy::id()?, document: Document::AdminKey(key) });
    tenant::compile(&after, from).map_err(|mistakes| match mistakes.into_iter().next() {
        Some(first) => NoKey::Mistake(first),
        None => NoKey::Conflict,
    })?;
    let acts = between(&by_command(None), &before, &after);
    let put = after.into_iter().filter(|it| !before.contains(it)).collect();
    match store.commit(vec![Change { org, from, put, remove: Vec::new(), acts }]).await? {
        Committed::Done(_) => Ok(secret),
        Committed::Conflict(_) => Err(NoKey::Conflict),
        Committed::NameTaken(name) => Err(NoKey::Taken(name)),
    }
}

/// The installation as an org, with an account for its keys.
fn furnish(objects: &mut Vec<Object>) -> Result<(), NoKey> {
    if objects.is_empty() {
        let head = serde_json::from_value(json!({ "name": INSTALLATION_NAME }))?;
        objects.push(Object { id: *INSTALLATION.as_bytes(), document: Document::Org(head) });
    }
    let head = objects.iter().find(|it| it.document.kind() == Kind::Org);
    let org = head.map_or(INSTALLATION_NAME, |head| head.document.name());
    let is_there = objects
        .iter()
        .any(|it| it.document.kind() == Kind::ServiceAccount && it.document.name() == OPERATORS);
    if !is_there {
        let roles = [Role::Operator.word()];
        let account = json!({ "org": org, "name": OPERATORS, "roles": roles });
        let account: ServiceAccount = serde_json::from_value(account)?;
        objects.push(Object { id: entropy::id()?, document: Document::ServiceAccount(account) });
    }
    Ok(())
}

async fn org_named(store: &dyn Store, wanted: &str) -> Result<Settings, NoKey> {
    for (id, _) in store.revisions().await? {
        let Some(settings) = store.settings(&id).await? else { continue };
        if id.to_string() == wanted || crate::service::orgs::name(&settings) == wanted {
            return Ok(settings);
        }
    }
    Err(NoKey::NoOrg(wanted.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use policies::{authority, permission::Permission};
    use store::{Directory, model::Model};

    #[tokio::test]
    async fn the_first_key_makes_what_it_needs_and_the_next_finds_it() {
        let store = Model::default();

        let first = make(&store, For::Operator, "one").await.unwrap();
        let second = make(&store, For::Operator, "two").await.unwrap();
        let again = make(&store, For::Operator, "two").await;

        assert!(first.expose().starts_with("psa_") && first.expose() != second.expose());
        assert!(matches!(again, Err(NoKey::Taken(_))));
        let settings = store.settings(&INSTALLATION).await.unwrap().unwrap();
        assert_eq!(settings.objects.len(), 4);
        let authority = authority::compile(INSTALLATION, &settings.objects);
        let mut keys = authority.admin_keys.values();
        assert!(keys.all(|key| key.active && key.rights.org.has(Permission::Operate)));
    }

    #[tokio::test]
    async fn nobody_gets_a_key_who_is_not_there() {
        let store = Model::default();
        make(&store, For::Operator, "one").await.unwrap();

        let no_org = make(&store, For::User { org: "acme", user: "ada" }, "k").await;
        let no_user = make(&store, For::User { org: "penstock", user: "ada" }, "k").await;

        assert!(matches!(no_org, Err(NoKey::NoOrg(_))));
        assert!(matches!(no_user, Err(NoKey::NoUser { .. })));
    }
}
