//! This process among those that share limits: the common time, who is alive, and whether the
//! shared windows answer.

use super::message::SETTLE_MILLIS;
use policies::{
    ids::{BootId, OrgId},
    time::Timestamp,
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};
use store::{
    Fault,
    cells::{Attendance, Cells, Message, Reply, SEATS_SILENCE_MILLIS},
    clock,
};

/// A replica that was not heard for so long may be keeping to its share, apart from the others.
const SILENT_MILLIS: i64 = 3_000;
/// Times are told in whole milliseconds: what is rounded down is added again.
const ROUNDED_MILLIS: i64 = 2;

/// The present, as far as limits are concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Milliseconds of this process's own clock.
    pub(super) ticks: i64,
    /// Milliseconds of the clock that all replicas share: not earlier than it is there.
    pub(super) now: i64,
    /// How many replicas share the limits.
    pub(super) replicas: i64,
    /// The shared windows are not to be asked: each replica keeps to its share.
    pub(super) apart: bool,
}

/// The way to the shared windows.
pub struct Commons {
    cells: Arc<dyn Cells>,
    boot: BootId,
    patience: Duration,
    /// How many replicas share the limits: as many as there may be, until they are counted.
    replicas: AtomicI64,
    /// When this process began, on a clock that goes on while the machine sleeps.
    started: Duration,
    /// The common time minus ticks, in milliseconds: not less than it is.
    offset: AtomicI64,
    apart: AtomicBool,
    /// After the windows were out of reach, until then in ticks, each still keeps to its share.
    settles: AtomicI64,
    roster: Mutex<Roster>,
}

#[derive(Debug, Default)]
struct Roster {
    /// When each replica was heard last, in ticks.
    alive: BTreeMap<BootId, i64>,
}

impl Commons {
    pub fn new(cells: Arc<dyn Cells>, boot: BootId, patience: Duration, replicas_max: u32) -> Self {
        Self {
            cells,
            boot,
            patience,
            replicas: AtomicI64::new(i64::from(replicas_max).max(1)),
            started: clock::since_boot(),
            offset: AtomicI64::new(clock::now().0),
            apart: AtomicBool::new(true),
            settles: AtomicI64::new(0),
            roster: Mutex::default(),
        }
    }

    /// True: the windows do not answer, and each replica keeps to its share of every limit.
    pub fn is_apart(&self) -> bool {
        self.apart.load(Ordering::Relaxed)
    }

    pub(super) fn ticks(&self) -> i64 {
        let elapsed = clock::since_boot().saturating_sub(self.started);
        i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
    }

    pub(super) fn moment(&self) -> Moment {
        let ticks = self.ticks();
        let now = self.offset.load(Ordering::Relaxed).saturating_add(ticks + ROUNDED_MILLIS);
        let apart = self.is_apart() || ticks < self.settles.load(Ordering::Relaxed);
        Moment { ticks, now, replicas: self.replicas.load(Ordering::Relaxed), apart }
    }

    /// The replicas that may be keeping to their share.
    pub(super) fn silent(&self) -> Vec<BootId> {
        let ticks = self.ticks();
        let roster = self.roster.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = roster
            .alive
            .iter()
            .filter(|(boot, at)| **boot != self.boot && at.saturating_add(SILENT_MILLIS) < ticks);
        silent.map(|(boot, _)| *boot).collect()
    }

    /// One message of an org. None: there was no answer in time, and the replicas are apart.
    pub(super) async fn exchange(&self, org: &OrgId, message: Message) -> Option<Reply> {
        let sent = self.ticks();
        let reply = self.in_time(self.cells.exchange(org, &self.boot, message)).await?;
        if let Reply::Heard { now, .. } = &reply {
            self.learn_time(*now, sent);
        }
        Some(reply)
    }

    /// This replica is heard. `Some(true)`: it was known before, or nothing is lost with it.
    pub(super) async fn attend(&self) -> Option<bool> {
        let sent = self.ticks();
        let attendance = self.in_time(self.cells.attend(&self.boot)).await?;
        self.learn_time(attendance.now, sent);
        let first = self.count(&attendance);
        if self.apart.swap(false, Ordering::Relaxed) {
            // What the others took meanwhile may not be told yet.
            let until = self.ticks().saturating_add(SETTLE_MILLIS);
            self.settles.store(until, Ordering::Relaxed);
            tracing::info!("the shared limits answer again");
        }
        Some(attendance.known || first)
    }

    /// The first contact, which may take longer.
    ///
    /// # Errors
    /// The store refuses, or does not answer in time.
    pub async fn begin(&self, patience: Duration) -> Result<(), Fault> {
        let sent = self.ticks();
        let attendance = tokio::time::timeout(patience, self.cells.attend(&self.boot));
        let late = |_| Fault::Away("the shared limits do not answer".to_owned());
        let attendance = attendance.await.map_err(late)??;
        self.learn_time(attendance.now, sent);
        self.count(&attendance);
        self.apart.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// True: it was the first time.
    fn count(&self, attendance: &Attendance) -> bool {
        let ticks = self.ticks();
        let mut roster = self.roster.lock().unwrap_or_else(PoisonError::into_inner);
        let first = roster.alive.is_empty();
        for it in &attendance.all {
            let at = ticks.saturating_sub(it.unheard_millis);
            let known = roster.alive.entry(it.boot).or_insert(at);
            *known = at.max(*known);
        }
        roster.alive.retain(|_, at| ticks < at.saturating_add(SEATS_SILENCE_MILLIS));
        let replicas = i64::try_from(roster.alive.len()).unwrap_or(i64::MAX).max(1);
        self.replicas.store(replicas, Ordering::Relaxed);
        first
    }

    fn learn_time(&self, now: Timestamp, sent: i64) {
        // It was read after the message was sent.
        self.offset.store(now.0.saturating_sub(sent), Ordering::Relaxed);
    }

    async fn in_time<T>(&self, call: impl Future<Output = Result<T, Fault>>) -> Option<T> {
        let cause = match tokio::time::timeout(self.patience, call).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(fault)) => fault.to_string(),
            Err(_late) => format!("no answer within {} ms", self.patience.as_millis()),
        };
        if !self.apart.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                cause,
                "the shared limits do not answer: this replica keeps to its share"
            );
        }
        None
    }
}
