//! The current tenants: immutable, swapped whole, each at one revision.

mod live;

pub use self::live::{Live, Target};

use crate::purse::Purse;
use arc_swap::ArcSwap;
use policies::{
    ids::{KeyId, OrgId, Revision},
    tenant,
};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use store::{Directory, Fault};
use tokio_util::sync::CancellationToken;

/// All tenants at one moment.
#[derive(Default)]
pub struct World {
    keys: HashMap<[u8; 32], (OrgId, KeyId)>,
    tenants: HashMap<OrgId, Arc<Live>>,
}

impl World {
    /// Whose key has this SHA-256.
    pub fn key(&self, sha256: &[u8; 32]) -> Option<(OrgId, KeyId)> {
        self.keys.get(sha256).copied()
    }

    pub fn tenant(&self, org: &OrgId) -> Option<&Arc<Live>> {
        self.tenants.get(org)
    }

    pub fn tenants(&self) -> impl Iterator<Item = &Arc<Live>> {
        self.tenants.values()
    }

    fn index(&mut self) {
        let keys = self.tenants.values().flat_map(|live| {
            let org = live.tenant.org;
            live.tenant.key_hashes.iter().map(move |(hash, key)| (*hash, (org, *key)))
        });
        self.keys = keys.collect();
    }
}

#[derive(Default)]
pub struct Snapshot {
    current: ArcSwap<World>,
    /// The last look-up failed.
    store_away: AtomicBool,
}

impl Snapshot {
    pub fn current(&self) -> Arc<World> {
        self.current.load_full()
    }

    /// Whether the last look-up of changes had an answer.
    pub fn store_answers(&self) -> bool {
        !self.store_away.load(Ordering::Relaxed)
    }

    /// Takes over what has changed in the store. The orgs that changed.
    ///
    /// An org whose settings do not compile keeps its last good ones: one bad org stops no other.
    pub async fn refresh(&self, directory: &dyn Directory) -> Result<Vec<OrgId>, Fault> {
        let before = self.current();
        let revisions = directory.revisions().await?;
        let known = |org: &OrgId| before.tenants.get(org).map(|live| live.tenant.revision);
        let stale: Vec<(OrgId, Revision)> =
            revisions.iter().filter(|(org, at)| known(org) != Some(*at)).copied().collect();
        if stale.is_empty() && revisions.len() == before.tenants.len() {
            return Ok(Vec::new());
        }
        let mut tenants = before.tenants.clone();
        tenants.retain(|org, _| revisions.iter().any(|(known, _)| known == org));
        let mut changed = Vec::new();
        for (org, _) in stale {
            let Some(settings) = directory.settings(&org).await? else { continue };
            match tenant::compile(&settings.objects, settings.revision) {
                Ok(tenant) => {
                    tenants.insert(org, Arc::new(Live::new(tenant)));
                    changed.push(org);
                }
                Err(mistakes) => {
                    let first = mistakes.first().map(ToString::to_string).unwrap_or_default();
                    tracing::error!(%org, mistakes = mistakes.len(), first,
                        "the settings cannot be used; the last good ones stay in force");
                }
            }
        }
        let mut world = World { keys: HashMap::new(), tenants };
        world.index();
        self.current.store(Arc::new(world));
        Ok(changed)
    }

    /// Looks for changed settings until `stop`.
    pub async fn watch(
        &self,
        directory: Arc<dyn Directory>,
        purse: Arc<Purse>,
        poll: Duration,
        stop: CancellationToken,
    ) {
        while stop.run_until_cancelled(tokio::time::sleep(poll)).await.is_some() {
            let refreshed = self.refresh(directory.as_ref()).await;
            self.store_away.store(refreshed.is_err(), Ordering::Relaxed);
            match refreshed {
                Ok(changed) => {
                    for org in changed {
                        tracing::info!(%org, "settings taken over");
                        purse.settings_changed(&org).await;
                    }
                }
                Err(fault) => tracing::warn!(%fault, "settings cannot be looked up"),
            }
        }
    }
}
