//! Keeps in touch with the ledger: is heard, gives back what others lack, begins anew when it was
//! given up, and gives up others of which nothing is heard.

use crate::{
    journal::Journal,
    purse::{Boot, Purse},
    rung::Rung,
    shipper::Shipper,
};
use policies::{
    ids::{BootId, JournalId},
    time::Timestamp,
};
use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use store::{Bell, Fault, Ledger, Ring, Watch, entropy};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// How often recalls are looked for: without a bell, and behind one.
const LOOK: Duration = Duration::from_millis(100);
const LOOK_BEHIND_BELL: Duration = Duration::from_secs(1);
/// A recall is committed a little after its time: each look goes back by this.
const LOOK_BACK_MILLIS: i64 = 1_000;
/// How often the ledger hears from this boot, whatever else happens.
const RENEW: Duration = Duration::from_secs(10);
/// How often the ledger is asked for boots of which nothing is heard, at least, and in parts of
/// the silence that it takes.
const SWEEP: Duration = Duration::from_secs(60);
const SWEEP_PARTS: u64 = 4;
const RETRY: Duration = Duration::from_secs(1);
const SHIP_PATIENCE: Duration = Duration::from_secs(5);

/// What a gateway does about its boots.
pub struct Contact {
    ledger: Arc<dyn Ledger>,
    purse: Arc<Purse>,
    journal: Arc<Journal>,
    shipper: Arc<Shipper>,
    id: JournalId,
    /// A boot that is not heard for so long is given up.
    silence_millis: i64,
    /// Boots before the present one, of which something may still be open.
    retired: Mutex<Vec<Retired>>,
}

/// A boot before the present one.
#[derive(Clone)]
pub struct Retired {
    pub id: BootId,
    /// While an attempt of it is open.
    pub alive: Weak<Boot>,
    /// An ending of it was lost.
    pub lost: Arc<AtomicBool>,
}

impl Contact {
    pub fn new(
        ledger: Arc<dyn Ledger>,
        (purse, journal, shipper): (Arc<Purse>, Arc<Journal>, Arc<Shipper>),
        id: JournalId,
        silence_millis: i64,
    ) -> Self {
        let retired = Mutex::default();
        Self { ledger, purse, journal, shipper, id, silence_millis, retired }
    }

    /// Until `stop`. Nothing here ends because of a store that is away.
    pub async fn run(&self, watch: Arc<dyn Watch>, rung: Arc<Rung>, stop: CancellationToken) {
        let both = async {
            tokio::join!(self.listen(watch.as_ref(), &rung), self.keep(&rung), self.sweep());
        };
        let _ = stop.run_until_cancelled(both).await;
    }

    /// Passes on what the store rings for, and connects again for ever.
    async fn listen(&self, watch: &dyn Watch, rung: &Rung) {
        loop {
            match watch.bell().await {
                Ok(Some(bell)) => self.hear(bell, rung).await,
                Ok(None) => return,
                Err(fault) => tracing::warn!(%fault, "no notices from the store: it is polled"),
            }
            rung.deaf();
            sleep(RETRY).await;
        }
    }

    async fn hear(&self, mut bell: Box<dyn Bell>, rung: &Rung) {
        rung.hearing();
        // What was rung before is looked for once.
        rung.all();
        loop {
            match bell.next().await {
                Ok(Ring::Settings) => rung.settings.notify_one(),
                Ok(Ring::Recall(boot)) if boot == self.purse.boot() => rung.recall.notify_one(),
                Ok(Ring::Recall(_)) => {}
                Err(fault) => {
                    tracing::warn!(%fault, "no notices from the store: it is polled");
                    return;
                }
            }
        }
    }

    /// Is heard, answers recalls, and begins anew when the boot was given up.
    async fn keep(&self, rung: &Rung) {
        let (mut since, mut renew) = (Timestamp(0), Instant::now());
        loop {
            let look = if rung.is_hearing() { LOOK_BEHIND_BELL } else { LOOK };
            tokio::select! {
                biased;
                () = self.purse.closed() => self.begin_anew().await,
                () = sleep_until(renew) => {
                    renew = Instant::now() + RENEW;
                    match self.purse.renew().await {
                        Ok(true) => {}
                        Ok(false) => self.begin_anew().await,
                        Err(fault) => tracing::warn!(%fault, "the ledger does not hear this boot"),
                    }
                    self.close_retired().await;
                }
                () = rung.recall.notified() => since = self.recalled(since).await,
                () = sleep(look) => {
                    if self.purse.has_leases() {
                        since = self.recalled(since).await;
                    }
                }
            }
        }
    }

    async fn recalled(&self, since: Timestamp) -> Timestamp {
        match self.purse.recalls(since).await {
            Ok(recalls) => {
                let now = recalls.now;
                self.purse.answer(recalls).await;
                // The first look only learns the time: nothing is lent before it.
                now.plus_millis(-LOOK_BACK_MILLIS)
            }
            Err(fault) => {
                tracing::warn!(%fault, "recalls cannot be read");
                since
            }
        }
    }

    /// The ledger gave this boot up: what it holds is ended under it, and new holds are another's.
    async fn begin_anew(&self) {
        match self.next_boot().await {
            Ok(boot) => {
                let before = self.purse.begin(boot);
                tracing::warn!(before = %before.id, %boot, "a new boot has begun");
                self.retired.lock().unwrap_or_else(PoisonError::into_inner).push(before);
            }
            Err(fault) => tracing::error!(%fault, "no new boot can begin"),
        }
    }

    async fn next_boot(&self) -> Result<BootId, Fault> {
        let away = |cause: String| Fault::Away(cause);
        let boot = BootId::from_bytes(entropy::id().map_err(|dry| away(dry.to_string()))?);
        // In the journal first, so that whatever is lent to it is ended after a crash.
        self.journal.begin(boot).await.map_err(|unwritten| away(unwritten.to_string()))?;
        self.ledger.open_boot(&boot, &self.id).await?;
        Ok(boot)
    }

    /// Gives back what is left of older boots that have nothing open any more.
    async fn close_retired(&self) {
        let retired =
            std::mem::take(&mut *self.retired.lock().unwrap_or_else(PoisonError::into_inner));
        for boot in retired {
            if !self.close_one(&boot).await {
                self.retired.lock().unwrap_or_else(PoisonError::into_inner).push(boot);
            }
        }
    }

    async fn close_one(&self, boot: &Retired) -> bool {
        if 0 < boot.alive.strong_count() || !self.shipper.flush(None, SHIP_PATIENCE).await {
            return false;
        }
        let closed = self.ledger.close(&boot.id, self.is_complete(boot.id, &boot.lost)).await;
        closed.inspect_err(|fault| tracing::warn!(boot = %boot.id, %fault, "it stays open")).is_ok()
    }

    /// Whether all that the boot spent is known to the store.
    fn is_complete(&self, boot: BootId, lost: &AtomicBool) -> bool {
        self.shipper.knows_all_of(&boot) && !lost.load(Ordering::Acquire)
    }

    /// Closes every boot of this process; all is shipped.
    pub async fn close(&self) -> Result<(), Fault> {
        let retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for boot in retired {
            self.ledger.close(&boot.id, self.is_complete(boot.id, &boot.lost)).await?;
        }
        let (boot, lost) = self.purse.present();
        self.ledger.close(&boot, self.is_complete(boot, &lost)).await
    }

    async fn sweep(&self) {
        let silence = Duration::from_millis(self.silence_millis.unsigned_abs() / SWEEP_PARTS);
        loop {
            sleep(SWEEP.min(silence)).await;
            if let Err(fault) = self.give_up_the_silent().await {
                tracing::warn!(%fault, "boots of which nothing is heard are not given up yet");
            }
        }
    }

    /// What they may have spent stays counted, as `unattributed`: nothing is freed by time.
    async fn give_up_the_silent(&self) -> Result<(), Fault> {
        for boot in self.ledger.unheard(self.silence_millis).await? {
            if boot == self.purse.boot() {
                continue;
            }
            self.ledger.close(&boot, false).await?;
            tracing::error!(%boot, "nothing is heard of a gateway: what it was lent is counted as \
                unattributed until its journal, or `penstock reconcile`, says more");
        }
        Ok(())
    }
}
