//! The money and the limits that this boot may give out, in memory.
//!
//! One lock for each org covers its leases and its limits, so that a request takes all that it
//! needs, or nothing, in one critical section. When a lease does not cover a hold, the ledger is
//! asked; no SQL runs otherwise.

mod ask;
mod book;
mod boot;
mod end_users;
mod limits;
mod recall;
#[cfg(test)]
mod simulation;
mod talk;
#[cfg(test)]
mod tests;

pub use self::{
    ask::Patience,
    book::Want,
    boot::Boot,
    end_users::EndUser,
    limits::{Counted, Gauge, Gauges, commons::Commons},
};

use self::{book::Book, limits::Limits, talk::Talk};
use arc_swap::ArcSwap;
use policies::{
    ids::{BootId, OrgId},
    money::NanoUsd,
    rate::Mark,
    tenant::LimitRule,
    time::Timestamp,
};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};
use store::{Ledger, SELF_FENCE_MILLIS};
use tokio::sync::Notify;

/// Every org's books, and the way to the ledger.
pub struct Purse {
    /// The incarnation that takes new holds.
    boot: ArcSwap<Boot>,
    talk: Arc<Talk>,
    shipper: Arc<crate::shipper::Shipper>,
    orgs: RwLock<HashMap<OrgId, Arc<OrgBook>>>,
    /// Milliseconds unheard after which nothing new is held.
    fence_millis: i64,
    /// The windows that limits share with other processes; none: this one counts alone.
    commons: Option<Arc<Commons>>,
}

/// One org's book with its one conversation with the ledger.
struct OrgBook {
    book: Mutex<Book>,
    /// One `sync` of an org is under way at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// One message about limits of an org is under way at a time.
    cells: tokio::sync::Mutex<()>,
    /// Something came back.
    freed: Notify,
}

impl OrgBook {
    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Purse {
    pub fn new(
        boot: BootId,
        ledger: Arc<dyn Ledger>,
        shipper: Arc<crate::shipper::Shipper>,
    ) -> Self {
        let (boot, orgs) = (ArcSwap::from_pointee(Boot::new(boot)), RwLock::default());
        let (talk, fence_millis) = (Arc::new(Talk::new(ledger)), SELF_FENCE_MILLIS);
        Self { boot, talk, shipper, orgs, fence_millis, commons: None }
    }

    /// Shares limits with other processes.
    #[must_use]
    pub fn sharing(self, commons: Option<Arc<Commons>>) -> Self {
        Self { commons, ..self }
    }

    /// Whether limits are shared: none, they are not; and whether the shared windows are out of
    /// reach.
    pub fn is_apart(&self) -> Option<bool> {
        self.commons.as_ref().map(|commons| commons.is_apart())
    }

    /// Holds nothing new when the ledger did not hear it for so long.
    #[must_use]
    pub fn fenced_after(self, fence_millis: i64) -> Self {
        Self { fence_millis, ..self }
    }

    pub fn boot(&self) -> BootId {
        self.boot.load().id()
    }

    fn ticks(&self) -> i64 {
        self.talk.ticks()
    }

    /// The ledger's present time.
    pub fn now(&self) -> Timestamp {
        self.talk.now()
    }

    fn org(&self, org: &OrgId) -> Arc<OrgBook> {
        let known = self.orgs.read().unwrap_or_else(PoisonError::into_inner).get(org).cloned();
        known.unwrap_or_else(|| {
            let mut orgs = self.orgs.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(orgs.entry(*org).or_insert_with(|| {
                let book = Book::new(self.boot.load_full(), Limits::new(self.commons.as_ref()));
                Arc::new(OrgBook {
                    book: Mutex::new(book),
                    cells: tokio::sync::Mutex::default(),
                    turn: Arc::default(),
                    freed: Notify::new(),
                })
            }))
        })
    }
}

/// Money of one attempt, set aside on every pot of its chain. It is settled with what the budgets
/// count, exactly once. A drop without that gives all of it back if nothing was sent; else all of
/// it stays spent.
pub struct Hold {
    org: Arc<OrgBook>,
    boot: Arc<Boot>,
    pots: Vec<policies::budget::Pot>,
    amount: NanoUsd,
    sent: bool,
}

impl fmt::Debug for Hold {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Hold({} USD on {} pots)", self.amount, self.pots.len())
    }
}

impl Hold {
    pub fn amount(&self) -> NanoUsd {
        self.amount
    }

    /// Whose lease it is of.
    pub fn boot(&self) -> BootId {
        self.boot.id()
    }

    pub fn pots(&self) -> &[policies::budget::Pot] {
        &self.pots
    }

    /// From here on the money may be spent at any moment.
    pub fn sent(&mut self) {
        self.sent = true;
    }

    /// The attempt has ended, and its record is committed.
    pub fn settle(mut self, counted: NanoUsd) {
        self.give_back(counted);
    }

    /// What became of it is not known: all of it stays spent.
    pub fn keep(self) {
        self.boot.lose();
        let amount = self.amount;
        self.settle(amount);
    }

    fn give_back(&mut self, counted: NanoUsd) {
        let pots = std::mem::take(&mut self.pots);
        if pots.is_empty() {
            return;
        }
        let mut book = self.org.lock();
        book.settle(&self.boot, &pots, self.amount, counted);
        drop(book);
        self.org.freed.notify_waiters();
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // Settled already, or no budget counts it.
        if self.pots.is_empty() {
            return;
        }
        if self.sent {
            self.boot.lose();
        }
        self.give_back(if self.sent { self.amount } else { NanoUsd::ZERO });
    }
}

/// A request's part of its limits: concurrency until it ends, tokens trued up then.
pub struct Seat {
    org: Arc<OrgBook>,
    taken: Vec<TakenLimit>,
    estimate: i64,
}

struct TakenLimit {
    rule: Arc<LimitRule>,
    end_user: Option<EndUser>,
    minute: Option<Mark>,
    day: Option<Mark>,
}

impl fmt::Debug for Seat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Seat({} limits)", self.taken.len())
    }
}

impl Seat {
    /// The request has ended and used so many tokens.
    pub fn leave(mut self, tokens: i64) {
        self.release(Some(tokens));
    }

    fn release(&mut self, tokens: Option<i64>) {
        let taken = std::mem::take(&mut self.taken);
        if !taken.is_empty() {
            let change = tokens.map_or(0, |tokens| tokens.saturating_sub(self.estimate));
            self.org.lock().leave(&taken, change);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.release(None);
    }
}
