//! A row in each table of what the control plane remembers.

use super::super::audit::act;
use crate::{Administration, Fault, session::Session, ticket::Ticket, vault::WrappedKey};
use policies::{
    ids::{KeyId, OrgId, UserId},
    time::Timestamp,
};

/// The tables that hold what the control plane remembers of tenants.
pub(super) const TABLES: [&str; 7] =
    ["audit", "audit_head", "session", "ticket", "data_key", "idempotency", "last_use"];

/// One row in each of them; those with a token have `number` for it.
pub(super) async fn fill(
    store: &impl Administration,
    org: &OrgId,
    number: u8,
) -> Result<(), Fault> {
    let (token, now) = ([number; 32], Timestamp(1));
    store.append(org, vec![act(0)]).await?;
    let session = Session {
        org: *org,
        user: UserId::from_bytes([1; 16]),
        created: now,
        seen: now,
        expires: now,
        address: None,
        how: "local".to_owned(),
        vouched: None,
        id_token_hint: None,
    };
    store.open_session(&token, &session).await?;
    let ticket = Ticket { org: *org, body: "{}".to_owned(), expires: now };
    store.put_ticket("login", &token, &ticket).await?;
    let key =
        WrappedKey { version: 1, master: "main".to_owned(), blob: vec![number], created: now };
    store.add_data_key(org, &key).await?;
    store.claim(org, "user-1", "key-1", &token, now).await?;
    store.used(org, &[(KeyId::from_bytes([1; 16]), now)]).await
}
