//! The current tenants: immutable, swapped whole, each at one revision.

mod callers;
mod live;
mod notices;
#[cfg(test)]
mod tests;

pub(crate) use self::live::trial;
pub use self::live::{Live, Target};

use self::notices::Notices;
use crate::{purse::Purse, rung::Rung};
use arc_swap::ArcSwap;
use policies::{
    document::Kind,
    ids::{KeyId, OrgId, Revision},
    tenant,
    time::Timestamp,
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use store::{
    Directory, Fault,
    seal::{Keeper, SealFault},
};
use tokio_util::sync::CancellationToken;

/// All tenants at one moment.
#[derive(Default)]
pub struct World {
    keys: HashMap<[u8; 32], KnownKey>,
    /// The orgs that know this issuer.
    issuers: HashMap<String, Vec<OrgId>>,
    /// Grows with each change: another one means that something is different.
    edition: u64,
    tenants: HashMap<OrgId, Arc<Live>>,
    /// The revision of each org that was read last, whether it could be used or not.
    seen: HashMap<OrgId, Revision>,
}

/// What a secret opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// Of the secret.
    pub sha256: [u8; 32],
    pub org: OrgId,
    pub key: KeyId,
    /// A secret that was rotated away is good until then.
    pub until: Timestamp,
}

/// What became of an org's settings.
enum Read {
    Tenant(Box<Live>),
    /// The org was removed.
    Gone,
    /// The last good settings stay in force.
    Unusable,
    /// The last good settings stay in force, and these are read again.
    NotYet,
}

impl World {
    /// Whose key has this SHA-256.
    pub fn key(&self, sha256: &[u8; 32]) -> Option<KnownKey> {
        self.keys.get(sha256).copied()
    }

    /// The orgs in which tokens of this issuer mean people or machines.
    pub fn knowing(&self, issuer: &str) -> impl Iterator<Item = &Arc<Live>> {
        let orgs = self.issuers.get(issuer).into_iter().flatten();
        orgs.filter_map(|org| self.tenants.get(org))
    }

    pub fn tenant(&self, org: &OrgId) -> Option<&Arc<Live>> {
        self.tenants.get(org)
    }

    pub fn tenants(&self) -> impl Iterator<Item = &Arc<Live>> {
        self.tenants.values()
    }

    fn take(&mut self, org: OrgId, read: Read) -> bool {
        match read {
            Read::Tenant(live) => {
                self.tenants.insert(org, Arc::new(*live));
                true
            }
            Read::Gone => self.tenants.remove(&org).is_some(),
            Read::Unusable | Read::NotYet => false,
        }
    }

    fn index(&mut self) {
        let keys = self.tenants.values().flat_map(|live| {
            let org = live.tenant.org;
            let retired = &live.tenant.retired;
            live.tenant.key_hashes.iter().map(move |(hash, key)| {
                let until = retired.get(hash).copied().unwrap_or(Timestamp::NEVER);
                (*hash, KnownKey { sha256: *hash, org, key: *key, until })
            })
        });
        self.keys = keys.collect();
        self.issuers.clear();
        for live in self.tenants.values() {
            let tenant = &live.tenant;
            let of_people = tenant.issuers.iter().map(|it| &it.settings.issuer);
            let of_machines = tenant.workloads.iter().map(|it| &it.settings.issuer);
            for issuer in of_people.chain(of_machines).collect::<BTreeSet<_>>() {
                self.issuers.entry(issuer.clone()).or_default().push(tenant.org);
            }
        }
        self.edition += 1;
    }
}

pub struct Snapshot {
    /// Opens the tenants' sealed credentials.
    keeper: Arc<Keeper>,
    current: ArcSwap<World>,
    /// The last look-up failed.
    store_away: AtomicBool,
}

impl Snapshot {
    /// Without any tenant yet.
    pub fn new(keeper: Arc<Keeper>) -> Self {
        Self { keeper, current: ArcSwap::default(), store_away: AtomicBool::default() }
    }

    pub fn current(&self) -> Arc<World> {
        self.current.load_full()
    }

    /// The edition of the current world.
    pub fn edition(&self) -> u64 {
        self.current.load().edition
    }

    /// Whether the last look-up of changes had an answer.
    pub fn store_answers(&self) -> bool {
        !self.store_away.load(Ordering::Relaxed)
    }

    /// Takes over what has changed in the store. The orgs that changed, or are gone.
    ///
    /// An org whose settings cannot be used keeps its last good ones: one bad org stops no other.
    /// Each revision is read once, unless what opens its secrets is away.
    pub async fn refresh(&self, directory: &dyn Directory) -> Result<Vec<OrgId>, Fault> {
        let before = self.current();
        let revisions: HashMap<OrgId, Revision> =
            directory.revisions().await?.into_iter().collect();
        if revisions == before.seen {
            return Ok(Vec::new());
        }
        let mut world = World {
            keys: HashMap::new(),
            issuers: HashMap::new(),
            edition: before.edition,
            tenants: before.tenants.clone(),
            seen: before.seen.clone(),
        };
        world.seen.retain(|org, _| revisions.contains_key(org));
        let is_gone = |org: &&OrgId| !revisions.contains_key(org);
        let mut changed: Vec<OrgId> = before.tenants.keys().filter(is_gone).copied().collect();
        for org in &changed {
            world.tenants.remove(org);
        }
        for (org, listed) in revisions {
            if before.seen.get(&org) == Some(&listed) {
                continue;
            }
            let (revision, read) = read(directory, &self.keeper, org, listed).await?;
            if !matches!(read, Read::NotYet) {
                world.seen.insert(org, revision);
            }
            if world.take(org, read) {
                changed.push(org);
            }
        }
        world.index();
        self.current.store(Arc::new(world));
        Ok(changed)
    }

    /// Looks for changed settings until `stop`, and tells the purse of each change. An org whose
    /// ledger is slow delays neither the next look nor what other orgs are told.
    pub async fn watch(
        &self,
        directory: Arc<dyn Directory>,
        purse: Arc<Purse>,
        (poll, rung): (Duration, Arc<Rung>),
        stop: CancellationToken,
    ) {
        let mut notices = Notices::new(move |org: OrgId| {
            let purse = Arc::clone(&purse);
            async move { purse.settings_changed(&org).await }
        });
        loop {
            let due = async {
                tokio::select! {
                    () = notices.carry(poll) => {}
                    () = rung.settings.notified() => {}
                }
            };
            if stop.run_until_cancelled(due).await.is_none() {
                break;
            }
            let refreshed = self.refresh(directory.as_ref()).await;
            self.store_away.store(refreshed.is_err(), Ordering::Relaxed);
            match refreshed {
                Ok(changed) => {
                    for org in changed {
                        tracing::info!(%org, "settings taken over");
                        notices.tell(org);
                    }
                }
                Err(fault) => tracing::warn!(%fault, "settings cannot be looked up"),
            }
        }
        notices.finish().await;
    }
}

/// An org's settings at the revision that is returned: `listed`, or a later one.
async fn read(
    directory: &dyn Directory,
    keeper: &Keeper,
    org: OrgId,
    listed: Revision,
) -> Result<(Revision, Read), Fault> {
    let settings = match directory.settings(&org).await {
        Ok(Some(settings)) => settings,
        Ok(None) => return Ok((listed, Read::Gone)),
        Err(fault) if fault.is_about_data() => {
            tracing::error!(%org, %fault,
                "the settings cannot be read; the last good ones stay in force");
            return Ok((listed, Read::Unusable));
        }
        Err(fault) => return Err(fault),
    };
    let (revision, objects) = (settings.revision, settings.objects);
    if !objects.iter().any(|object| object.document.kind() == Kind::Org) {
        return Ok((revision, Read::Gone));
    }
    let tenant = match tenant::compile(&objects, revision) {
        Ok(tenant) => tenant,
        Err(mistakes) => {
            let first = mistakes.first().map(ToString::to_string).unwrap_or_default();
            tracing::error!(%org, mistakes = mistakes.len(), first,
                "the settings cannot be used; the last good ones stay in force");
            return Ok((revision, Read::Unusable));
        }
    };
    match Live::new(tenant, keeper).await {
        Ok(live) => Ok((revision, Read::Tenant(Box::new(live)))),
        Err(SealFault::Store(fault)) => Err(fault),
        Err(fault) => {
            tracing::warn!(%org, %fault,
                "secrets cannot be opened now; the last good settings stay in force");
            Ok((revision, Read::NotYet))
        }
    }
}
