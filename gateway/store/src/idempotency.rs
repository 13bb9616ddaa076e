//! The answers of administrative requests, so that a repeated one is answered and not done again.

use crate::Fault;
use async_trait::async_trait;
use policies::{ids::OrgId, time::Timestamp};

/// An answer is kept for this long from its claim on: 24 hours.
pub const ANSWER_MILLIS_MAX: i64 = 24 * 60 * 60 * 1000;
/// A claim without an answer is held for this long; then its process counts as dead.
pub const CLAIM_MILLIS_MAX: i64 = 60 * 1000;

/// What is known of a request under its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nothing: it is the caller's to do, for [`CLAIM_MILLIS_MAX`].
    Fresh,
    /// The first is still under way, or its process died less than [`CLAIM_MILLIS_MAX`] ago.
    Running,
    /// It was done.
    Done {
        body_hash: [u8; 32],
        status: u16,
        /// As JSON.
        headers: String,
        answer: Vec<u8>,
    },
    /// The key was used for a different body.
    Differs,
}

/// Answers by org, scope (the caller's id as text) and key, for [`ANSWER_MILLIS_MAX`].
///
/// They are kept as they are given: whoever answers with a secret seals it first.
#[async_trait]
pub trait Idempotency: Send + Sync {
    async fn claim(
        &self,
        org: &OrgId,
        scope: &str,
        key: &str,
        body_hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Claim, Fault>;
    /// The first answer stays. Changes nothing if the claim is gone.
    async fn answered(
        &self,
        org: &OrgId,
        scope: &str,
        key: &str,
        status: u16,
        headers: &str,
        answer: &[u8],
    ) -> Result<(), Fault>;
    /// Lets the claim go: the request failed before it changed anything. An answer stays.
    async fn release(&self, org: &OrgId, scope: &str, key: &str) -> Result<(), Fault>;
    /// Removes what is older than [`ANSWER_MILLIS_MAX`], and tells how many. Spans orgs.
    async fn sweep_idempotency(&self, now: Timestamp) -> Result<u64, Fault>;
}
