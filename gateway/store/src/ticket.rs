//! Things that are good for one time: login states, setup links, invites, device codes.

use crate::Fault;
use async_trait::async_trait;
use policies::{ids::OrgId, time::Timestamp};

/// What somebody with the right code may do once. The code is not here: the store knows it by its
/// SHA-256 alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub org: OrgId,
    /// What its kind needs, as JSON.
    pub body: String,
    /// At this moment it is no longer good.
    pub expires: Timestamp,
}

/// Tickets by kind and by the SHA-256 of their code. They span orgs: who has a code does not name
/// an org, the ticket does.
#[async_trait]
pub trait Tickets: Send + Sync {
    /// [`Fault::Broken`] if there is one of this kind with this code already.
    async fn put_ticket(&self, kind: &str, sha256: &[u8; 32], ticket: &Ticket)
    -> Result<(), Fault>;
    /// None if it is past its end. It stays.
    async fn ticket(
        &self,
        kind: &str,
        sha256: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Ticket>, Fault>;
    /// None if it is past its end. It is gone after: of two takers one has it.
    async fn take_ticket(
        &self,
        kind: &str,
        sha256: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Ticket>, Fault>;
    /// Removes those past their end, and tells how many.
    async fn sweep_tickets(&self, now: Timestamp) -> Result<u64, Fault>;
}
