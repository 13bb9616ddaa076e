//! The link that `penstock setup-link` makes: a user sets a password by it, once.

use super::VOID;
use crate::{
    context::{Context, target},
    failure::Failure,
    service::{
        edit::between,
        setup_link::{self, Body, TICKET},
        sign_in::{
            self,
            password::must_be_strong,
            session::{self, Opened, Proven},
        },
    },
};
use policies::{
    document::{Document, Object, User},
    ids::OrgId,
};
use store::{
    Change, Committed, Settings,
    audit::{Actor, ActorKind},
    clock,
    seal::Secret,
    ticket::Ticket,
};

/// Times that a change is made anew because somebody else was quicker.
const TRIES_MAX: usize = 5;

/// Whose password a link sets.
pub(super) struct Whose {
    ticket: Ticket,
    body: Body,
    settings: Settings,
    pub(super) user: User,
}

/// Looks at a link, and does not use it up. None: it is void, or of another kind.
pub(super) async fn whose(context: &Context, sha256: &[u8; 32]) -> Result<Option<Whose>, Failure> {
    let store = context.services.store.as_ref();
    let Some(ticket) = store.ticket(TICKET, sha256, clock::now()).await? else { return Ok(None) };
    let Ok(body) = serde_json::from_str::<Body>(&ticket.body) else { return Ok(None) };
    let Some(settings) = store.settings(&ticket.org).await? else { return Ok(None) };
    let user = setup_link::holder(&settings, &body).map(|(_, user)| user.clone());
    Ok(user.map(|user| Whose { ticket, body, settings, user }))
}

/// Sets the password, ends what was open under the one before, and signs the user in. What a file
/// has locked is all but the password, which no file has.
pub(super) async fn set(
    context: &Context,
    sha256: &[u8; 32],
    whose: Whose,
    password: Secret<String>,
) -> Result<Opened, Failure> {
    must_be_strong("password", &password)?;
    let Whose { ticket, body, mut settings, user } = whose;
    let (store, id, org) = (&context.services.store, body.user, ticket.org);
    let hash = context.services.sign_in.passwords.hash(password).await?;
    // Taken last, so that a slip of the pen does not use the link up.
    store.take_ticket(TICKET, sha256, clock::now()).await?.ok_or(VOID)?;
    for _ in 0..TRIES_MAX {
        let actor = Actor { kind: ActorKind::User, id: id.to_string(), name: user.name.clone() };
        let mut row = sign_in::act(context, "user.password_changed", actor);
        row.target = Some(target("user", id.to_string(), &user.name));
        row.reason = Some("by a setup link".to_owned());
        let Some((before, after)) = with_password(&settings, &body, &hash) else {
            return Err(VOID);
        };
        let acts = between(&row, &[before], std::slice::from_ref(&after));
        let (from, put) = (settings.revision, vec![after]);
        let change = Change { org, from, put, remove: Vec::new(), acts };
        match store.commit(vec![change]).await? {
            Committed::Done(_) => {
                store.close_sessions_of(&org, &id).await?;
                let how = "setup".to_owned();
                let proven = Proven { org, user: id, name: user.name, how, vouched: None };
                return session::open(context, &proven).await;
            }
            Committed::Conflict(_) => settings = again(context, &org).await?,
            // The name is the same as before.
            Committed::NameTaken(_) => return Err(Failure::Conflict),
        }
    }
    store.put_ticket(TICKET, sha256, &ticket).await?;
    Err(Failure::Conflict)
}

async fn again(context: &Context, org: &OrgId) -> Result<Settings, Failure> {
    context.services.store.settings(org).await?.ok_or(VOID)
}

/// The user before and after, if the link still stands.
fn with_password(settings: &Settings, body: &Body, hash: &str) -> Option<(Object, Object)> {
    setup_link::holder(settings, body)?;
    let before = settings.objects.iter().find(|object| object.id == *body.user.as_bytes())?;
    let mut after = before.clone();
    let Document::User(user) = &mut after.document else { return None };
    user.password = Some(hash.to_owned());
    Some((before.clone(), after))
}
