//! The audit log: what was administered, by whom, in one chain of hashes for each org.

use crate::Fault;
use async_trait::async_trait;
use aws_lc_rs::digest;
use policies::{ids::OrgId, time::Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Rows of one page, at most.
pub const PAGE_ENTRIES_MAX: u32 = 10_000;

/// What the hashed text begins with: the recipe's name.
const RECIPE: &str = "penstock-audit-v1";

/// What kind of somebody did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    User,
    ServiceAccount,
    AdminKey,
    /// Whoever may run commands on the installation.
    Operator,
    /// Settings in files, applied at start.
    File,
    /// The installation itself, on its own accord.
    System,
    /// Nobody we know, as in a login that failed.
    Anonymous,
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub kind: ActorKind,
    /// An id as text, where the kind has ids; [`ActFilter::actors`] looks here.
    pub id: String,
    /// As it was at the time.
    pub name: String,
}

/// Whether the act took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Done,
    Refused,
}

/// What it was done to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub kind: String,
    /// An id as text; [`ActFilter::targets`] looks here.
    pub id: String,
    /// As it was at the time.
    pub name: String,
    /// The project that it belongs to (or is), as text; [`ActFilter::projects`] looks here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}

/// One administrative act or security event, before it has a place in the chain. Holds no secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Act {
    pub at: Timestamp,
    pub actor: Actor,
    /// The network address that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Stable words with a dot: `project.created`, `login.failed`.
    pub action: String,
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// The target before; none (never `null`) where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The target after; none (never `null`) where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// Why, in the actor's words, or why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The id of the request that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The way in: `api`, `apply`, `scim`, `login`, `gateway` or `system`.
    pub via: String,
    /// The revision that it made. Filled in by [`Registry::commit`](crate::Registry::commit).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// A row of an org's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub org: OrgId,
    /// Its place in the org's chain, from 1, without gaps.
    pub seq: u64,
    /// The hash of the row before; zeros for the first.
    pub prev: [u8; 32],
    /// See [`link`].
    pub hash: [u8; 32],
    /// The [`Act`] as the exact JSON text that is hashed.
    pub body: String,
    /// Its arrival among the rows of all orgs: ascending, with gaps.
    pub position: i64,
}

impl Entry {
    /// [`Fault::Unreadable`] if another version wrote what this one does not know.
    pub fn act(&self) -> Result<Act, Fault> {
        serde_json::from_str(&self.body)
            .map_err(|cause| Fault::Unreadable { what: "audit", cause: cause.to_string() })
    }

    /// The chain's head when this was its last row.
    pub fn head(&self) -> Head {
        Head { size: self.seq, hash: self.hash }
    }
}

/// Where a chain ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Rows in the chain.
    pub size: u64,
    /// The last row's hash; zeros where there is none.
    pub hash: [u8; 32],
}

impl Head {
    /// Whether `entry` is the next row of a chain that ends here, and is what was hashed.
    pub fn leads_to(&self, entry: &Entry) -> bool {
        let next = self.size.checked_add(1) == Some(entry.seq) && self.hash == entry.prev;
        next && link(&entry.org, entry.seq, &entry.prev, &entry.body) == entry.hash
    }

    /// The next row, which has no position yet.
    pub(crate) fn next(&self, org: &OrgId, act: &Act) -> Result<Entry, Fault> {
        let body = serde_json::to_string(act)
            .map_err(|cause| Fault::Unreadable { what: "audit", cause: cause.to_string() })?;
        let seq = self.size + 1;
        let hash = link(org, seq, &self.hash, &body);
        Ok(Entry { org: *org, seq, prev: self.hash, hash, body, position: 0 })
    }
}

/// The hash of a row: SHA-256 of five lines, joined by `\n`: `penstock-audit-v1`, the org's id as
/// text, `seq` in decimal, `prev` in hexadecimal, and `body`. Anyone can check it with other tools.
pub fn link(org: &OrgId, seq: u64, prev: &[u8; 32], body: &str) -> [u8; 32] {
    let text = format!("{RECIPE}\n{org}\n{seq}\n{}\n{body}", hex::encode(prev));
    let mut hash = [0; 32];
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    // Both have 32 bytes.
    hash.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

/// Which acts. An empty list asks for nothing: it lets every row through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActFilter {
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before, not at.
    pub to: Option<Timestamp>,
    pub actions: Vec<String>,
    /// By [`Actor::id`].
    pub actors: Vec<String>,
    /// By [`Target::id`].
    pub targets: Vec<String>,
    /// By [`Target::project`].
    pub projects: Vec<String>,
}

/// By [`Entry::seq`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Oldest,
    Newest,
}

/// One chain of acts for each org, [`INSTALLATION`](crate::INSTALLATION) too. Rows are only added.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Adds acts that change no settings, all or none, in their order. (Those that change some are
    /// part of [`Registry::commit`](crate::Registry::commit).)
    async fn append(&self, org: &OrgId, acts: Vec<Act>) -> Result<(), Fault>;
    /// At most `limit` rows (and [`PAGE_ENTRIES_MAX`]) that the filter lets through, in `order`,
    /// beyond the one whose `seq` is `after`.
    async fn acts(
        &self,
        org: &OrgId,
        filter: &ActFilter,
        order: Order,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Entry>, Fault>;
    async fn head(&self, org: &OrgId) -> Result<Head, Fault>;
    /// The head of every chain, by org. Spans orgs: for checkpoints. Holds no tenant's data.
    async fn heads(&self) -> Result<Vec<(OrgId, Head)>, Fault>;
    /// Rows of all orgs that came after `position`, in the order of their positions, at most
    /// `limit` (and [`PAGE_ENTRIES_MAX`]). Spans orgs: for sinks outside. No row ever appears below
    /// one that was given.
    async fn arrivals(&self, after: i64, limit: u32) -> Result<Vec<Entry>, Fault>;
    /// How far a sink outside has come; 0 at first.
    async fn sink_position(&self, sink: &str) -> Result<i64, Fault>;
    async fn set_sink_position(&self, sink: &str, position: i64) -> Result<(), Fault>;
}

#[cfg(test)]
mod tests {
    use super::link;
    use policies::ids::OrgId;

    #[test]
    fn the_recipe_is_the_published_one() {
        // printf 'penstock-audit-v1\norg_%032d\n1\n%064d\n{}' 0 0 | sha256sum
        let published = "1db6ee48708410dec3685e85cdfc5b29be13f7b34de66d8e4fa53d7b5992ffb3";

        let hash = link(&OrgId::from_bytes([0; 16]), 1, &[0; 32], "{}");

        assert_eq!(hex::encode(hash), published);
    }
}
