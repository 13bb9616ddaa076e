//! One process: a purse and a shipper as shipped, and around them what `Contact` and the recovery
//! do.

use super::{
    super::{Patience, Purse},
    disk::{self, Disk},
    life,
    truth::View,
    variant::Variant,
    wire::Wire,
    world::{ORG, World},
};
use crate::{
    contact::Retired,
    shipper::{self, Outbox, Quarantine, Shipper},
};
use policies::{
    budget::Pot,
    ids::{BootId, BudgetId},
    money::NanoUsd,
    time::Timestamp,
    usage::{Ending, Outcome, Stamp},
};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use store::{Fault, Ledger};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// As in `Contact`, in a world where everything ends sooner.
const LOOK: Duration = Duration::from_millis(200);
const LOOK_BACK_MILLIS: i64 = 1_000;
const RENEW: Duration = Duration::from_millis(700);
const RETRY: Duration = Duration::from_millis(500);
const SHIP_PATIENCE: Duration = Duration::from_secs(2);
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How long the rest of a drain may take.
const DRAIN: Duration = Duration::from_secs(6);
pub(super) const FENCE_MILLIS: i64 = 2_500;
pub(super) const SILENCE_MILLIS: i64 = 5_000;

pub(super) struct Gateway {
    pub(super) world: Arc<World>,
    pub(super) slot: usize,
    pub(super) purse: Purse,
    pub(super) disk: Arc<Disk>,
    pub(super) outbox: Arc<Outbox>,
    wire: Arc<Wire>,
    shipper: Arc<Shipper>,
    stop: CancellationToken,
    tasks: Mutex<JoinSet<()>>,
    retired: Mutex<Vec<Retired>>,
    /// Requests that have not ended.
    pub(super) open: AtomicUsize,
    serves: AtomicBool,
    /// It takes no requests any more.
    drains: AtomicBool,
    /// What older boots left is in the store.
    is_brought: AtomicBool,
    /// It has given everything back.
    has_ended: AtomicBool,
    /// Limits that the purse may still go by, where they are lower than the true ones.
    known: Mutex<BTreeMap<BudgetId, i64>>,
}

impl Gateway {
    pub(super) fn start(world: &Arc<World>, slot: usize) {
        let disk = world.disk(slot);
        let again = disk.last_boot().filter(|_| world.is(Variant::SameBootAgain));
        let boot = again.unwrap_or_else(|| BootId::from_bytes(world.dice.id()));
        disk.begin(boot);
        world.tell(|| format!("{slot} starts as {boot}"));
        world.count("starts");
        let outbox = Arc::new(Outbox::default());
        // Nothing is ever refused: there is no such folder.
        let nowhere = Quarantine::beside(Path::new("/nowhere/journal"));
        let shipper = Arc::new(Shipper::new(Arc::clone(&outbox), Arc::new(nowhere)));
        let wire = Arc::new(Wire::new(world, slot));
        let ledger: Arc<dyn Ledger> = Arc::<Wire>::clone(&wire);
        let fence = if world.is(Variant::NoFence) { i64::MAX } else { FENCE_MILLIS };
        let purse = Purse::new(boot, ledger, Arc::clone(&shipper)).fenced_after(fence);
        let gateway = Arc::new(Self {
            world: Arc::clone(world),
            slot,
            purse,
            disk,
            outbox,
            wire,
            shipper,
            stop: CancellationToken::new(),
            tasks: Mutex::default(),
            retired: Mutex::default(),
            open: AtomicUsize::new(0),
            serves: AtomicBool::new(false),
            drains: AtomicBool::new(false),
            is_brought: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            known: Mutex::default(),
        });
        let mut slots = world.gateways.lock().unwrap_or_else(PoisonError::into_inner);
        slots[slot] = Some(Arc::clone(&gateway));
        drop(slots);
        let own = Arc::clone(&gateway);
        gateway.spawn(async move { own.run(boot).await });
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }

    async fn run(self: Arc<Self>, boot: BootId) {
        let legacy = self.disk.legacy(boot, &|stamp, torn, seen| self.unknown(stamp, torn, seen));
        while self.wire.open_boot(&boot, &self.disk.journal).await.is_err() {
            sleep(RETRY).await;
        }
        let ledger: Arc<dyn Ledger> = Arc::<Wire>::clone(&self.wire);
        let (shipper, stop) = (Arc::clone(&self.shipper), self.stop.clone());
        self.spawn(async move { shipper.run(ledger, stop).await });
        let own = Arc::clone(&self);
        self.spawn(async move { own.keep().await });
        let own = Arc::clone(&self);
        self.spawn(async move { own.sweep().await });
        let own = Arc::clone(&self);
        self.spawn(async move { own.keep_house().await });
        let own = Arc::clone(&self);
        self.spawn(async move { life::load(own).await });
        self.recover(legacy).await;
    }

    /// How the recovery ends an attempt that the crash cut off.
    fn unknown(&self, stamp: &Stamp, torn: bool, seen: NanoUsd) -> Ending {
        if self.world.is(Variant::CrashIsFree) {
            return disk::ending(Outcome::Finished, 0, 0, 0);
        }
        let torn = torn && !self.world.is(Variant::TornCountsTwice);
        let counted = if torn { 0 } else { stamp.hold.0 };
        disk::ending(Outcome::Indeterminate, seen.0.min(counted), counted, 0)
    }

    async fn recover(&self, mut legacy: Vec<disk::Legacy>) {
        let boots: Vec<BootId> = legacy.iter().map(|old| old.boot).collect();
        loop {
            match self.bring(&mut legacy).await {
                Ok(()) => break,
                Err(_away) => sleep(RETRY).await,
            }
        }
        self.disk.closed(&boots);
        self.is_brought.store(true, Ordering::Relaxed);
    }

    async fn bring(&self, legacy: &mut [disk::Legacy]) -> Result<(), Fault> {
        if self.world.is(Variant::CloseBeforeShip) {
            for old in &*legacy {
                self.wire.close(&old.boot, !old.torn).await?;
            }
        }
        for old in &*legacy {
            self.wire.open_boot(&old.boot, &self.disk.journal).await?;
            let brought = shipper::bring(&ORG, &old.rows, self.wire.as_ref()).await;
            if let Some(away) = brought.away {
                return Err(away);
            }
        }
        for old in legacy {
            let complete = !old.torn || self.world.is(Variant::TornIsTrusted);
            self.wire.close(&old.boot, complete).await?;
        }
        Ok(())
    }

    async fn keep(&self) {
        let (mut since, mut renew) = (Timestamp(0), Instant::now());
        loop {
            tokio::select! {
                biased;
                () = self.purse.closed() => self.begin_anew().await,
                () = sleep_until(renew) => {
                    renew = Instant::now() + RENEW;
                    match self.purse.renew().await {
                        Ok(true) => self.serves.store(true, Ordering::Relaxed),
                        Ok(false) => self.begin_anew().await,
                        Err(_away) => {}
                    }
                    self.close_retired().await;
                }
                () = sleep(LOOK) => {
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
                now.plus_millis(-LOOK_BACK_MILLIS)
            }
            Err(_away) => since,
        }
    }

    async fn begin_anew(&self) {
        let boot = BootId::from_bytes(self.world.dice.id());
        self.disk.begin(boot);
        if self.wire.open_boot(&boot, &self.disk.journal).await.is_ok() {
            self.world.tell(|| format!("{} goes on as {boot}", self.slot));
            self.world.count("begun anew");
            let before = self.purse.begin(boot);
            self.retired.lock().unwrap_or_else(PoisonError::into_inner).push(before);
        }
    }

    fn take_retired(&self) -> Vec<Retired> {
        std::mem::take(&mut *self.retired.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn close_retired(&self) {
        if self.world.is(Variant::RetiredForgotten) {
            drop(self.take_retired());
        }
        for boot in self.take_retired() {
            if !self.close_one(&boot).await {
                self.retired.lock().unwrap_or_else(PoisonError::into_inner).push(boot);
            }
        }
    }

    async fn close_one(&self, boot: &Retired) -> bool {
        let alive = 0 < boot.alive.strong_count() && !self.world.is(Variant::ClosedAlive);
        if alive || !self.shipper.flush(None, SHIP_PATIENCE).await {
            return false;
        }
        self.wire.close(&boot.id, self.is_complete(boot.id, &boot.lost)).await.is_ok()
    }

    fn is_complete(&self, boot: BootId, lost: &AtomicBool) -> bool {
        self.shipper.knows_all_of(&boot) && !lost.load(Ordering::Acquire)
    }

    async fn sweep(&self) {
        loop {
            sleep(Duration::from_millis(SILENCE_MILLIS.unsigned_abs() / 4)).await;
            let Ok(unheard) = self.wire.unheard(SILENCE_MILLIS).await else { continue };
            for boot in unheard.into_iter().filter(|boot| *boot != self.purse.boot()) {
                self.world.count("given up");
                if self.wire.close(&boot, false).await.is_err() {
                    break;
                }
            }
        }
    }

    async fn keep_house(&self) {
        loop {
            sleep(HOUSEKEEPING).await;
            self.purse.close_periods().await;
            if self.world.dice.happens(500) {
                self.disk.flush();
            }
        }
    }

    /// The settings have changed: for a while the purse goes by the old ones.
    pub(super) fn learn_settings(self: &Arc<Self>, budget: BudgetId, before: i64) {
        if self.world.is(Variant::SettingsUntold) {
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let least = known.entry(budget).or_insert(before);
        *least = before.min(*least);
        drop(known);
        let own = Arc::clone(self);
        self.spawn(async move {
            sleep(own.world.dice.millis(0, 1_500)).await;
            let told = own.world.truth().limits.clone();
            own.purse.settings_changed(&ORG).await;
            // Another change may have come meanwhile.
            if own.world.truth().limits == told {
                own.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
        });
    }

    pub(super) fn known(&self) -> BTreeMap<BudgetId, i64> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn serves(&self) -> bool {
        self.serves.load(Ordering::Relaxed) && !self.drains.load(Ordering::Relaxed)
    }

    /// What it has unused, by its own book.
    pub(super) fn view(&self, pots: &[Pot]) -> Option<View> {
        if self.has_ended.load(Ordering::Relaxed) {
            return None;
        }
        let own = self.purse.org(&ORG);
        let book = own.lock();
        let unused = |pot: &Pot| {
            let covers = |amount: i64| book.covers(pot, NanoUsd(amount));
            if !covers(i64::MIN) {
                return None;
            }
            if !covers(0) {
                return Some((*pot, -1));
            }
            let mut most = 1;
            while covers(most) {
                most *= 2;
            }
            let mut least = most / 2;
            while least + 1 < most {
                let middle = least.midpoint(most);
                if covers(middle) { least = middle } else { most = middle }
            }
            Some((*pot, least))
        };
        Some(View { boot: book.boot(), unused: pots.iter().filter_map(unused).collect() })
    }

    /// Nothing is open, and nothing has to be shipped or closed.
    pub(super) fn rests(&self) -> bool {
        let retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        self.open.load(Ordering::Relaxed) == 0
            && self.outbox.waiting() == 0
            && self.is_brought.load(Ordering::Relaxed)
            && self.serves()
            && retired.is_empty()
            && self.known().is_empty()
    }

    /// An ending of its present boot is lost: only a new start tells it.
    pub(super) fn has_lost(&self) -> bool {
        self.purse.present().1.load(Ordering::Relaxed)
    }

    /// Whatever it does ends here.
    pub(super) fn die(&self) {
        if self.wire.end() {
            return;
        }
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        let mut slots = self.world.gateways.lock().unwrap_or_else(PoisonError::into_inner);
        slots[self.slot] = None;
    }

    /// Ends in order, if it can; then it is gone.
    pub(super) async fn drain(self: Arc<Self>) {
        self.drains.store(true, Ordering::Relaxed);
        let until = Instant::now() + DRAIN;
        while 0 < self.open.load(Ordering::Relaxed) && Instant::now() < until {
            sleep(RETRY).await;
        }
        let idle = self.open.load(Ordering::Relaxed) == 0 && !self.has_lost();
        if idle && self.shipper.flush(None, DRAIN).await && self.rests_but_for_serving() {
            self.has_ended.store(true, Ordering::Relaxed);
            let (boot, lost) = self.purse.present();
            if self.wire.close(&boot, self.is_complete(boot, &lost)).await.is_ok() {
                self.disk.closed(&[boot]);
                self.world.count("drained");
            }
        }
        self.die();
    }

    fn rests_but_for_serving(&self) -> bool {
        let retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.is_empty() && self.is_brought.load(Ordering::Relaxed)
    }

    /// Asks for all of `amount`, as one waiter.
    pub(super) async fn ask_for(&self, indexes: &[usize], amount: i64) -> Result<(), String> {
        let patience = Patience(Duration::from_secs(6));
        life::take(self, indexes, self.purse.now(), amount, patience).await.map(drop)
    }
}
