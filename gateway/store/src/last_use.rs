//! When each key was last used.

use crate::Fault;
use async_trait::async_trait;
use policies::{
    ids::{KeyId, OrgId},
    time::Timestamp,
};

/// The last use of keys, as gateways tell it now and then.
#[async_trait]
pub trait LastUse: Send + Sync {
    /// Of two moments of a key the later stays.
    async fn used(&self, org: &OrgId, uses: &[(KeyId, Timestamp)]) -> Result<(), Fault>;
    /// By key, removed ones too; keys that were never used are not here.
    async fn last_uses(&self, org: &OrgId) -> Result<Vec<(KeyId, Timestamp)>, Fault>;
}
