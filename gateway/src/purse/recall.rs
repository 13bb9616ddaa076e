//! What others lack goes back; and who this boot is to the ledger.

use super::{Boot, OrgBook, Purse};
use crate::contact::Retired;
use policies::{
    budget::Pot,
    ids::{BootId, OrgId},
    time::Timestamp,
};
use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, PoisonError, atomic::AtomicBool},
    time::Duration,
};
use store::{Fault, Recalls};

/// How long spent money may take into the store before what is unused goes back without it.
const SHIP_PATIENCE: Duration = Duration::from_secs(1);
/// How long a call about this boot may take.
const CALL_PATIENCE: Duration = Duration::from_secs(5);

impl Purse {
    /// Tells the ledger that this boot is alive. False: it has given the boot up.
    pub async fn renew(&self) -> Result<bool, Fault> {
        let boot = self.boot();
        match bounded(self.talk.ledger.renew(&boot)).await? {
            Some(now) => {
                self.talk.heard(now);
                Ok(true)
            }
            None => Ok(boot != self.boot()),
        }
    }

    /// What others lack since the ledger's time `since`.
    pub async fn recalls(&self, since: Timestamp) -> Result<Recalls, Fault> {
        bounded(self.talk.ledger.recalls(&self.boot(), since)).await
    }

    /// True: something was lent that could be asked back, or was given back in a message that may
    /// be lost.
    pub fn has_leases(&self) -> bool {
        self.books().iter().any(|(_, own)| own.lock().has_leases())
    }

    /// Gives back all that is unused of these pots: what was spent is shipped before, so that
    /// whoever asks learns the truth about what is left.
    pub async fn answer(&self, recalls: Recalls) {
        let mut orgs: BTreeMap<OrgId, HashSet<Pot>> = BTreeMap::new();
        for (org, pot) in recalls.pots {
            orgs.entry(org).or_default().insert(pot);
        }
        for (org, pots) in orgs {
            self.shipper.flush(Some(&org), SHIP_PATIENCE).await;
            let own = self.org(&org);
            // An org that talks to the ledger now is recalled again while somebody lacks.
            let Ok(turn) = Arc::clone(&own.turn).try_lock_owned() else { continue };
            self.give_back(&org, &own, turn, |pot| pots.contains(pot)).await;
        }
    }

    /// Every lease from now on is of this boot. Returned: the boot before, which may be closed
    /// when it is gone and all that it spent is shipped.
    pub fn begin(&self, boot: BootId) -> Retired {
        let boot = Arc::new(Boot::new(boot));
        let orgs = self.orgs.write().unwrap_or_else(PoisonError::into_inner);
        let before = self.boot.swap(Arc::clone(&boot));
        for own in orgs.values() {
            own.lock().begin(Arc::clone(&boot));
        }
        self.talk.was_heard();
        Retired { id: before.id(), alive: Arc::downgrade(&before), lost: before.lost() }
    }

    /// The boot that takes new holds, and whether an ending of it was lost.
    pub fn present(&self) -> (BootId, Arc<AtomicBool>) {
        let boot = self.boot.load();
        (boot.id(), boot.lost())
    }

    /// True: the ledger has not heard this boot for so long that others may count it as lost.
    pub fn is_fenced(&self) -> bool {
        self.fence_millis < self.talk.unheard()
    }

    /// Returns when the ledger has said that it gave this boot up.
    pub async fn closed(&self) {
        self.talk.closed.notified().await;
    }

    pub(super) fn books(&self) -> Vec<(OrgId, Arc<OrgBook>)> {
        let orgs = self.orgs.read().unwrap_or_else(PoisonError::into_inner);
        orgs.iter().map(|(org, own)| (*org, Arc::clone(own))).collect()
    }
}

async fn bounded<T>(call: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let late = |_| Fault::Away("the ledger does not answer in time".to_owned());
    tokio::time::timeout(CALL_PATIENCE, call).await.map_err(late)?
}
