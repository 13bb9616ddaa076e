//! Links by which a user sets a first password, or a new one, and who needs one.

use crate::{
    context::target,
    service::{
        apply::{fingerprint, quoted},
        orgs,
        people::same_address,
        sign_in::{public_url::PublicUrl, secret},
    },
};
use policies::{
    authority::{self, Authority, INSTALLATION},
    document::{Document, User},
    ids::{OrgId, UserId},
    permission::Permission,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use store::{Fault, Settings, Store, audit::Act, clock, entropy::Dry, ticket::Ticket};

/// The kind of its tickets.
pub const TICKET: &str = "password";
/// A link is good for this long: 24 hours.
pub const LINK_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// What a ticket says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Body {
    pub user: UserId,
    /// The SHA-256 of the password's hash when the link was made, in hexadecimal: a link is void
    /// once the password is another.
    pub before: String,
}

/// Why no link was made. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum NoLink {
    #[error("there is no user `{user}` in the org `{org}`")]
    NoUser { org: String, user: String },
    #[error("the user `{0}` is inactive")]
    Inactive(String),
    #[error("the user `{0}` has no `email`, by which people sign in: give it one first")]
    NoEmail(String),
    #[error("the user `{other}` has the same `email` and a password: `{user}` could not sign in")]
    SameEmail { user: String, other: String },
    #[error("the org `{0}` takes no passwords: its `local_login` is false")]
    NoPasswords(String),
    #[error("the org `{0}` is inactive")]
    NoOrg(String),
    #[error(transparent)]
    Store(#[from] Fault),
    #[error(transparent)]
    Dry(#[from] Dry),
    #[error(transparent)]
    Body(#[from] serde_json::Error),
}

/// A link for the user of this name, email or id, with a row in the org's audit log.
///
/// # Errors
/// See [`NoLink`].
pub async fn make(
    store: &dyn Store,
    url: &PublicUrl,
    settings: &Settings,
    named: &str,
    act: Act,
) -> Result<String, NoLink> {
    let (id, user) = find(settings, named)?;
    is_let_in(settings, user)?;
    let body = serde_json::to_string(&Body { user: id, before: state(user) })?;
    let expires = clock::now().plus_millis(LINK_MILLIS);
    let token = secret()?;
    let mut act = Act { action: "user.setup_link_made".to_owned(), ..act };
    act.target = Some(target("user", id.to_string(), &user.name));
    // What cannot be written down is not done.
    store.append(&settings.org, vec![act]).await?;
    let ticket = Ticket { org: settings.org, body, expires };
    store.put_ticket(TICKET, &fingerprint(&token), &ticket).await?;
    Ok(url.at(&format!("/setup?token={token}")))
}

/// What a link remembers of the password that it replaces.
pub fn state(user: &User) -> String {
    user.password.as_deref().map_or_else(String::new, |hash| hex::encode(fingerprint(hash)))
}

fn users(settings: &Settings) -> impl Iterator<Item = (UserId, &User)> {
    settings.objects.iter().filter_map(|object| {
        let Document::User(user) = &object.document else { return None };
        Some((UserId::from_bytes(object.id), user))
    })
}

fn find<'a>(settings: &'a Settings, named: &str) -> Result<(UserId, &'a User), NoLink> {
    let by_name = users(settings).find(|(_, user)| user.name == named);
    let by_id = || users(settings).find(|(id, _)| id.to_string() == named);
    let has = |user: &User| user.email.as_deref().is_some_and(|it| same_address(it, named));
    let by_email = || users(settings).find(|(_, user)| has(user));
    by_name.or_else(by_id).or_else(by_email).ok_or_else(|| {
        let (org, user) = (orgs::name(settings).to_owned(), named.to_owned());
        NoLink::NoUser { org, user }
    })
}

/// Whether somebody with a password could sign in as this user.
fn is_let_in(settings: &Settings, user: &User) -> Result<(), NoLink> {
    let (org, name) = (orgs::document(settings), || orgs::name(settings).to_owned());
    let active = settings.org == INSTALLATION || org.is_some_and(|org| org.active);
    let Some(email) = &user.email else { return Err(NoLink::NoEmail(user.name.clone())) };
    let other = users(settings).map(|(_, other)| other).find(|other| {
        let same = other.email.as_deref().is_some_and(|it| same_address(it, email));
        same && other.name != user.name && other.password.is_some()
    });
    match (active, org.is_some_and(|org| org.local_login), user.active, other) {
        (false, _, _, _) => Err(NoLink::NoOrg(name())),
        (true, false, _, _) => Err(NoLink::NoPasswords(name())),
        (true, true, false, _) => Err(NoLink::Inactive(user.name.clone())),
        (true, true, true, Some(other)) => {
            Err(NoLink::SameEmail { user: user.name.clone(), other: other.name.clone() })
        }
        (true, true, true, None) => Ok(()),
    }
}

// === who needs one

/// An org that has owners, of whom none can sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShutOut {
    pub org: String,
    pub owner: String,
    cause: Cause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Passwordless,
    /// Without an email, by which people sign in.
    Nameless,
    /// The org takes no passwords.
    Closed,
}

/// Whether nobody can sign in to this org as its owner (or, to the installation, as operator),
/// although somebody is.
pub fn shut_out(settings: &Settings) -> Option<ShutOut> {
    let authority = authority::compile(settings.org, &settings.objects);
    let is_installation = settings.org == INSTALLATION;
    let vouched = settings.objects.iter().any(|object| {
        matches!(&object.document, Document::IdentityProvider(it) if it.active && it.sign_in)
    });
    if vouched || !(authority.active || is_installation) {
        return None;
    }
    let top = if is_installation { Permission::Operate } else { Permission::OwnOrg };
    let owners: Vec<&User> = owners(settings, &authority, top);
    let enters = |user: &&&User| user.password.is_some() && user.email.is_some();
    if authority.local_login && owners.iter().any(|user| enters(&user)) {
        return None;
    }
    let owner = owners.iter().find(|user| user.email.is_some()).or(owners.first())?;
    let cause = match (authority.local_login, &owner.email) {
        (false, _) => Cause::Closed,
        (true, None) => Cause::Nameless,
        (true, Some(_)) => Cause::Passwordless,
    };
    Some(ShutOut { org: authority.name, owner: owner.name.clone(), cause })
}

fn owners<'a>(settings: &'a Settings, authority: &Authority, top: Permission) -> Vec<&'a User> {
    let is_owner =
        |id: &UserId| authority.users.get(id).is_some_and(|it| it.active && it.rights.org.has(top));
    users(settings).filter(|(id, _)| is_owner(id)).map(|(_, user)| user).collect()
}

impl fmt::Display for ShutOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { org, owner, cause } = self;
        write!(formatter, "nobody can sign in to `{org}` as `{owner}` or another owner: ")?;
        match cause {
            Cause::Passwordless => write!(
                formatter,
                "no identity provider, no password; for a link that sets one, once: \
                 penstock setup-link --org {} --user {}",
                quoted(org),
                quoted(owner)
            ),
            Cause::Nameless => write!(
                formatter,
                "no identity provider, no password; give `{owner}` an `email`, and \
                 `penstock setup-link` makes a link that sets a password"
            ),
            Cause::Closed => write!(
                formatter,
                "no identity provider, and `local_login` is false, so that passwords are not taken"
            ),
        }
    }
}

/// The org whose user has this ticket, with the user; none if the link is void.
pub fn holder<'a>(settings: &'a Settings, body: &Body) -> Option<(OrgId, &'a User)> {
    let (_, user) = users(settings).find(|(id, _)| *id == body.user)?;
    let good = state(user) == body.before && is_let_in(settings, user).is_ok();
    good.then_some((settings.org, user))
}

#[cfg(test)]
mod tests {
    use super::*;
    use policies::{document::Object, ids::Revision};
    use serde_json::{Value, json};

    fn acme(head: &Value, others: &[Value]) -> Settings {
        let all = std::iter::once(head).chain(others).cloned();
        let objects = all.enumerate().map(|(at, mut value)| {
            let id = [u8::try_from(at + 1).unwrap(); 16];
            value["org"] = json!("acme");
            if value["kind"] == "Org" {
                value.as_object_mut().unwrap().remove("org");
            }
            Object { id, document: serde_json::from_value(value).unwrap() }
        });
        Settings {
            org: OrgId::from_bytes([1; 16]),
            revision: Revision(1),
            objects: objects.collect(),
        }
    }

    fn boss(more: &Value) -> Value {
        let mut user = json!({ "kind": "User", "name": "boss", "roles": ["owner"] });
        user.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        user
    }

    #[test]
    fn who_is_shut_out_is_told_why_and_what_helps() {
        let org = json!({ "kind": "Org", "name": "acme" });
        let closed = json!({ "kind": "Org", "name": "acme", "local_login": false });
        let with_email = boss(&json!({ "email": "boss@acme.example" }));
        let able = boss(&json!({ "email": "boss@acme.example", "password": "$argon2id$x" }));
        let provider = json!({
            "kind": "IdentityProvider", "name": "okta", "issuer": "https://a.example",
        });
        let told =
            |head: &Value, others: &[Value]| shut_out(&acme(head, others)).map(|it| it.to_string());

        let first = told(&org, std::slice::from_ref(&with_email)).unwrap();
        assert!(first.ends_with("penstock setup-link --org acme --user boss"), "{first}");
        assert!(told(&org, &[boss(&json!({}))]).unwrap().contains("`email`"));
        assert!(
            told(&closed, std::slice::from_ref(&able)).unwrap().contains("`local_login` is false")
        );
        assert_eq!(told(&org, &[able]), None);
        assert_eq!(told(&org, &[with_email, provider]), None);
        assert_eq!(told(&org, &[]), None);
    }
}
