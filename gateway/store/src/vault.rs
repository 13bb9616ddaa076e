//! Data keys, each wrapped by a master key that the store never sees.

use crate::Fault;
use async_trait::async_trait;
use policies::{ids::OrgId, time::Timestamp};

/// One version of an org's data key, as ciphertext.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    pub version: u32,
    /// The id of the master key that wraps it.
    pub master: String,
    pub blob: Vec<u8>,
    /// When the data key was made; a new wrapping leaves it.
    pub created: Timestamp,
}

/// The data keys of all orgs.
#[async_trait]
pub trait Vault: Send + Sync {
    /// All of the org, by version.
    async fn data_keys(&self, org: &OrgId) -> Result<Vec<WrappedKey>, Fault>;
    /// Adds a version; false if it is there already, because somebody was quicker.
    async fn add_data_key(&self, org: &OrgId, key: &WrappedKey) -> Result<bool, Fault>;
    /// Gives keys another wrapping (`master` and `blob`), in one transaction. Each change is the
    /// key as it was read, then as it shall be. Spans orgs.
    ///
    /// False: something changed meanwhile, and nothing was done. Either a key no longer has the
    /// wrapping that it was read with, or one that is not among the changes is wrapped by a master
    /// key that they leave. So true means: that master key wraps nothing any more.
    ///
    /// [`Fault::Broken`] if a change is from one version to another.
    async fn rewrap(&self, changes: &[(OrgId, WrappedKey, WrappedKey)]) -> Result<bool, Fault>;
    /// By org, then by version. Spans orgs: for [`rewrap`](Vault::rewrap).
    async fn all_data_keys(&self) -> Result<Vec<(OrgId, WrappedKey)>, Fault>;
}

/// The masters that `changes` take keys from and give none to.
pub(crate) fn left(changes: &[(OrgId, WrappedKey, WrappedKey)]) -> Vec<&str> {
    let given = |master: &str| changes.iter().any(|(_, _, to)| to.master == master);
    let mut left: Vec<&str> = changes.iter().map(|(_, from, _)| from.master.as_str()).collect();
    left.retain(|master| !given(master));
    left.sort_unstable();
    left.dedup();
    left
}

/// Refuses changes from one version to another.
pub(crate) fn same_versions(changes: &[(OrgId, WrappedKey, WrappedKey)]) -> Result<(), Fault> {
    match changes.iter().find(|(_, from, to)| from.version != to.version) {
        None => Ok(()),
        Some((org, from, to)) => Err(Fault::Broken(format!(
            "a data key of `{org}` would turn from version {} to {}",
            from.version, to.version
        ))),
    }
}
