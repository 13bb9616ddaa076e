//! `/setup`: the first administrator, or somebody's first password, by a link that works once.

mod password;

use super::login::{Asker, FORM_BYTES_MAX, must_be_ours, page, read, welcome};
use crate::{
    api::objects::shape::document,
    context::Context,
    failure::Failure,
    service::{
        apply::fingerprint,
        edit::between,
        sign_in::{
            password::must_be_strong,
            public_url::PublicUrl,
            secret,
            session::{self, Opened, Proven},
        },
    },
    table::{Build, Row, open, row},
};
use axum::response::Response;
use policies::{
    authority::{self, Authority, INSTALLATION},
    document::{Document, Kind, Object},
    ids::{OrgId, Revision, UserId},
    permission::Permission,
    route::Method,
    tenant,
};
use serde::Deserialize;
use serde_json::{Value, json};
use store::{Change, Committed, Store, clock, entropy, seal::Secret, ticket::Ticket};

/// The installation's name as an org.
pub const INSTALLATION_NAME: &str = authority::INSTALLATION_NAME;

const TICKET: &str = "setup";
/// A link is good for this long: 24 hours.
const LINK_MILLIS: i64 = 24 * 60 * 60 * 1000;

pub const ROWS: &[Row] = &[
    Build(open("/setup", |context| Box::pin(show(context))))
        .says("The page of the one-time setup link")
        .query(&["token"])
        .0,
    Build(row(Method::Post, "/setup", Permission::Public, |context| Box::pin(set_up(context))))
        .says("Make the first operator, by the one-time setup link")
        .body(FORM_BYTES_MAX)
        .0,
];

/// A new link, if nobody runs the installation yet and no org has an owner.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn link(store: &dyn Store, url: &PublicUrl) -> Result<Option<String>, Failure> {
    if is_run(store).await? {
        return Ok(None);
    }
    let token = secret()?;
    let expires = clock::now().plus_millis(LINK_MILLIS);
    let ticket = Ticket { org: INSTALLATION, body: "{}".to_owned(), expires };
    store.put_ticket(TICKET, &fingerprint(&token), &ticket).await?;
    Ok(Some(url.at(&format!("/setup?token={token}"))))
}

/// Whether somebody operates the installation, or owns an org of it.
async fn is_run(store: &dyn Store) -> Result<bool, Failure> {
    let mut orgs: Vec<OrgId> = store.revisions().await?.into_iter().map(|(org, _)| org).collect();
    // The likely one first: each is read as a whole.
    orgs.sort_by_key(|org| *org != INSTALLATION);
    for org in orgs {
        let Some(settings) = store.settings(&org).await? else { continue };
        let top = if org == INSTALLATION { Permission::Operate } else { Permission::OwnOrg };
        if has(&authority::compile(org, &settings.objects), top) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has(authority: &Authority, permission: Permission) -> bool {
    let people = authority.users.values().map(|it| (it.active, &it.rights));
    let keys = authority.admin_keys.values().map(|it| (it.active, &it.rights));
    people.chain(keys).any(|(active, rights)| active && rights.org.has(permission))
}

/// What whoever comes with another link, or too late, is told.
pub(super) const VOID: Failure = Failure::NotLetIn {
    detail: "this setup link is wrong, older than 24 hours, or was used; as long as nobody runs \
             the installation, `penstock serve` prints a new one when it starts; for a user, \
             `penstock setup-link` makes a new one",
};

/// The form. It looks at the link, and does not use it up.
async fn show(context: Context) -> Result<Response, Failure> {
    let token = context.query("token").unwrap_or_default();
    let store = context.services.store.as_ref();
    let known = store.ticket(TICKET, &fingerprint(token), clock::now()).await?;
    if let Some(whose) = password::whose(&context, &fingerprint(token)).await? {
        return Ok(page::first_password(&context, token, &whose.user.name, None));
    }
    if known.is_none() || is_run(store).await? {
        return Ok(page::void_link(&context));
    }
    Ok(page::setup(&context, token, &page::Typed::default(), None))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    token: String,
    /// Of the first operator; who sets a password by a link has an address.
    email: Option<String>,
    password: String,
    /// The name of a first org, which the same person owns.
    org: Option<String>,
}

async fn set_up(context: Context) -> Result<Response, Failure> {
    must_be_ours(&context)?;
    let (ask, asker) = read::<Ask>(&context)?;
    let token = ask.token.clone();
    let typed = page::Typed { org: ask.org.clone(), email: ask.email.clone() };
    let sha256 = fingerprint(&token);
    if let Some(whose) = password::whose(&context, &sha256).await? {
        let (name, password) = (whose.user.name.clone(), Secret::new(ask.password));
        return match (password::set(&context, &sha256, whose, password).await, asker) {
            (Ok(opened), asker) => Ok(welcome(&context, asker, &opened, "/")),
            (Err(failure), Asker::Program) => Err(failure),
            (Err(failure), Asker::Browser) if failure == VOID => Ok(page::void_link(&context)),
            (Err(failure), Asker::Browser) => {
                Ok(page::first_password(&context, &token, &name, Some(&failure)))
            }
        };
    }
    match (carry_out(&context, ask).await, asker) {
        (Ok(opened), asker) => Ok(welcome(&context, asker, &opened, "/")),
        (Err(failure), Asker::Program) => Err(failure),
        (Err(failure), Asker::Browser) if failure == VOID => Ok(page::void_link(&context)),
        (Err(failure), Asker::Browser) => Ok(page::setup(&context, &token, &typed, Some(&failure))),
    }
}

async fn carry_out(context: &Context, ask: Ask) -> Result<Opened, Failure> {
    let Ask { token, email, password, org } = ask;
    let (store, password) = (&context.services.store, Secret::new(password));
    let (sha256, now) = (fingerprint(&token), clock::now());
    let known = store.ticket(TICKET, &sha256, now).await?;
    if known.is_none() || is_run(store.as_ref()).await? {
        return Err(VOID);
    }
    must_be_strong("password", &password)?;
    let email = email.unwrap_or_default();
    if !email.contains('@') {
        return Err(Failure::invalid("email", "must be an address"));
    }
    let hash = context.services.sign_in.passwords.hash(password).await?;
    let (user, changes) = changes(context, &email, &hash, org.as_deref()).await?;
    // Taken last, so that a slip of the pen does not use the link up.
    let ticket = store.take_ticket(TICKET, &sha256, now).await?;
    let ticket = ticket.ok_or(VOID)?;
    // Another link may have been used before the settings were read; one that is used after that
    // is a conflict.
    if is_run(store.as_ref()).await? {
        return Err(VOID);
    }
    let refused = match store.commit(changes).await? {
        Committed::Done(_) => {
            let (org, how) = (INSTALLATION, "setup".to_owned());
            let proven = Proven { org, user, name: email, how, vouched: None };
            return session::open(context, &proven).await;
        }
        Committed::NameTaken(name) => Failure::Taken { what: format!("the name `{name}`") },
        Committed::Conflict(_) => Failure::Conflict,
    };
    store.put_ticket(TICKET, &sha256, &ticket).await?;
    Err(refused)
}

/// The operator in the installation's org, and the first org with the same person as its owner.
async fn changes(
    context: &Context,
    email: &str,
    hash: &str,
    org: Option<&str>,
) -> Result<(UserId, Vec<Change>), Failure> {
    let existing = context.services.store.settings(&INSTALLATION).await?;
    let (before, from) = match existing {
        Some(settings) => (settings.objects, settings.revision),
        None => (Vec::new(), Revision(0)),
    };
    let mut after = before.clone();
    if before.is_empty() {
        after.push(head(INSTALLATION, INSTALLATION_NAME)?);
    }
    let name = after.iter().find(|it| it.document.kind() == Kind::Org);
    let name = name.map_or(INSTALLATION_NAME, |it| it.document.name()).to_owned();
    let operator = person(&name, email, "operator", hash)?;
    let user = UserId::from_bytes(operator.id);
    after.push(operator);
    let mut changes = vec![change(context, INSTALLATION, from, (&before, after))?];
    if let Some(org) = org {
        let id = OrgId::from_bytes(entropy::id()?);
        let objects = vec![head(id, org)?, person(org, email, "owner", hash)?];
        changes.push(change(context, id, Revision(0), (&[], objects))?);
    }
    Ok((user, changes))
}

fn head(id: OrgId, name: &str) -> Result<Object, Failure> {
    let document = document(Kind::Org, name, json!({ "name": name }))?;
    Ok(Object { id: *id.as_bytes(), document })
}

fn person(org: &str, email: &str, role: &str, hash: &str) -> Result<Object, Failure> {
    let body: Value = json!({ "name": email, "email": email, "roles": [role] });
    let mut document = document(Kind::User, org, body)?;
    if let Document::User(user) = &mut document {
        user.password = Some(hash.to_owned());
    }
    Ok(Object { id: entropy::id()?, document })
}

fn change(
    context: &Context,
    org: OrgId,
    from: Revision,
    (before, after): (&[Object], Vec<Object>),
) -> Result<Change, Failure> {
    if let Err(mistakes) = tenant::compile(&after, from) {
        let first = mistakes.into_iter().next();
        let (field, message) = first.map(|it| (it.field, it.message)).unwrap_or_default();
        let field = if org == INSTALLATION { field } else { "org".to_owned() };
        return Err(Failure::invalid(&field, message));
    }
    let mut row = context.act("");
    row.via = "login".to_owned();
    let acts = between(&row, before, &after);
    let put = after.into_iter().filter(|it| !before.contains(it)).collect();
    Ok(Change { org, from, put, remove: Vec::new(), acts })
}
