//! What the control plane remembers, asked of the engine beside the owner.

use super::{super::audit::act, Owned};
use crate::{
    Fault,
    audit::{Act, ActFilter, AuditLog, Entry, Head, Order},
    idempotency::{Claim, Idempotency},
    last_use::LastUse,
    session::{Session, Sessions},
    ticket::{Ticket, Tickets},
    vault::{Vault, WrappedKey},
};
use async_trait::async_trait;
use policies::{
    ids::{KeyId, OrgId, UserId},
    time::Timestamp,
};

macro_rules! hand_on {
    ($memory:ident: $($ask:ident($($name:ident: $kind:ty),*) -> $told:ty;)*) => {
        #[async_trait]
        impl $memory for Owned {
            $(
                async fn $ask(&self, $($name: $kind),*) -> Result<$told, Fault> {
                    self.engine.$ask($($name),*).await
                }
            )*
        }
    };
}

hand_on! {
    AuditLog:
    append(org: &OrgId, acts: Vec<Act>) -> ();
    acts(
        org: &OrgId, filter: &ActFilter, order: Order, after: Option<u64>, limit: u32
    ) -> Vec<Entry>;
    head(org: &OrgId) -> Head;
    heads() -> Vec<(OrgId, Head)>;
    arrivals(after: i64, limit: u32) -> Vec<Entry>;
    sink_position(sink: &str) -> i64;
    set_sink_position(sink: &str, position: i64) -> ();
}

hand_on! {
    Sessions:
    open_session(sha256: &[u8; 32], session: &Session) -> ();
    session(sha256: &[u8; 32]) -> Option<Session>;
    touch_session(org: &OrgId, sha256: &[u8; 32], now: Timestamp) -> ();
    close_session(org: &OrgId, sha256: &[u8; 32]) -> bool;
    close_sessions_of(org: &OrgId, user: &UserId) -> u64;
    sessions_of(org: &OrgId, user: &UserId) -> Vec<Session>;
    sweep_sessions(now: Timestamp) -> u64;
}

hand_on! {
    Tickets:
    put_ticket(kind: &str, sha256: &[u8; 32], ticket: &Ticket) -> ();
    ticket(kind: &str, sha256: &[u8; 32], now: Timestamp) -> Option<Ticket>;
    take_ticket(kind: &str, sha256: &[u8; 32], now: Timestamp) -> Option<Ticket>;
    sweep_tickets(now: Timestamp) -> u64;
}

hand_on! {
    Vault:
    data_keys(org: &OrgId) -> Vec<WrappedKey>;
    add_data_key(org: &OrgId, key: &WrappedKey) -> bool;
    rewrap(changes: &[(OrgId, WrappedKey, WrappedKey)]) -> bool;
    all_data_keys() -> Vec<(OrgId, WrappedKey)>;
}

hand_on! {
    Idempotency:
    claim(org: &OrgId, scope: &str, key: &str, body_hash: &[u8; 32], now: Timestamp) -> Claim;
    answered(
        org: &OrgId, scope: &str, key: &str, status: u16, headers: &str, answer: &[u8]
    ) -> ();
    release(org: &OrgId, scope: &str, key: &str) -> ();
    sweep_idempotency(now: Timestamp) -> u64;
}

hand_on! {
    LastUse:
    used(org: &OrgId, uses: &[(KeyId, Timestamp)]) -> ();
    last_uses(org: &OrgId) -> Vec<(KeyId, Timestamp)>;
}

/// The tables that hold what the control plane remembers of tenants.
pub(super) const TABLES: [&str; 7] =
    ["audit", "audit_head", "session", "ticket", "data_key", "idempotency", "last_use"];

/// One row in each of them; those with a token have `number` for it.
pub(super) async fn fill(store: &Owned, org: &OrgId, number: u8) -> Result<(), Fault> {
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
