//! Sessions of the console.

use crate::Fault;
use async_trait::async_trait;
use policies::{
    ids::{IdentityProviderId, OrgId, UserId},
    time::Timestamp,
};

/// A user who is logged in. The token is not here: the store knows it by its SHA-256 alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub org: OrgId,
    pub user: UserId,
    pub created: Timestamp,
    /// When it was last used.
    pub seen: Timestamp,
    /// Its end, whether it is used or not.
    pub expires: Timestamp,
    /// The network address that logged in.
    pub address: Option<String>,
    /// How the user was known: `local`, or `oidc:` and the identity provider's name.
    pub how: String,
    /// Whose word it stands on; none: a password of ours.
    pub vouched: Option<Vouched>,
    /// What the identity provider wants to see at logout (OpenID Connect RP-Initiated Logout 1.0,
    /// section 2, `id_token_hint`).
    pub id_token_hint: Option<String>,
}

/// The identity provider that told who the user is, and what it told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    pub provider: IdentityProviderId,
    pub issuer: String,
    pub subject: String,
}

/// Who is logged in. Whether a session is past its end, or idle for too long, is the caller's to
/// judge: it is here until it is closed or swept.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// [`Fault::Broken`] if there is one with this token already.
    async fn open_session(&self, sha256: &[u8; 32], session: &Session) -> Result<(), Fault>;
    /// Spans orgs: a session is found by its token, and the org is what it tells.
    async fn session(&self, sha256: &[u8; 32]) -> Result<Option<Session>, Fault>;
    /// It was used `now`; an earlier moment than the last changes nothing.
    async fn touch_session(
        &self,
        org: &OrgId,
        sha256: &[u8; 32],
        now: Timestamp,
    ) -> Result<(), Fault>;
    /// False if the org has no such session.
    async fn close_session(&self, org: &OrgId, sha256: &[u8; 32]) -> Result<bool, Fault>;
    /// Logs a user out everywhere; how many sessions there were.
    async fn close_sessions_of(&self, org: &OrgId, user: &UserId) -> Result<u64, Fault>;
    /// Oldest first, each with the SHA-256 of its token.
    async fn sessions_of(
        &self,
        org: &OrgId,
        user: &UserId,
    ) -> Result<Vec<([u8; 32], Session)>, Fault>;
    /// Removes those past their end, and tells how many. Spans orgs.
    async fn sweep_sessions(&self, now: Timestamp) -> Result<u64, Fault>;
}
