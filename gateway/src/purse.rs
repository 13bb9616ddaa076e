//! The money and the limits that this boot may give out, in memory.
//!
//! One lock for each org covers its leases and its limits, so that a request takes all that it
//! needs, or nothing, in one critical section. When a lease does not cover a hold, the ledger is
//! asked; no SQL runs otherwise.

mod ask;
mod book;
mod end_users;

pub use self::{
    ask::Patience,
    book::{Counted, Gauge, Gauges, Want},
    end_users::EndUser,
};

use self::book::Book;
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
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};
use store::{Ledger, clock};
use tokio::sync::Notify;

/// Every org's books, and the way to the ledger.
pub struct Purse {
    boot: BootId,
    ledger: Arc<dyn Ledger>,
    shipper: Arc<crate::shipper::Shipper>,
    orgs: RwLock<HashMap<OrgId, Arc<OrgBook>>>,
    started: Instant,
    /// Ledger time minus own time, in milliseconds.
    offset: AtomicI64,
}

/// One org's book with its one conversation with the ledger.
struct OrgBook {
    book: Mutex<Book>,
    /// One `sync` of an org is under way at a time.
    turn: tokio::sync::Mutex<()>,
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
        let (orgs, started) = (RwLock::default(), clock::monotonic());
        let offset = AtomicI64::new(clock::now().0);
        Self { boot, ledger, shipper, orgs, started, offset }
    }

    pub fn boot(&self) -> BootId {
        self.boot
    }

    /// Milliseconds of a clock that never goes back.
    fn ticks(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// The ledger's present time.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.offset.load(Ordering::Relaxed).saturating_add(self.ticks()))
    }

    fn learn_time(&self, ledger_now: Timestamp) {
        self.offset.store(ledger_now.0.saturating_sub(self.ticks()), Ordering::Relaxed);
    }

    fn org(&self, org: &OrgId) -> Arc<OrgBook> {
        let known = self.orgs.read().unwrap_or_else(PoisonError::into_inner).get(org).cloned();
        known.unwrap_or_else(|| {
            let mut orgs = self.orgs.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(orgs.entry(*org).or_insert_with(|| {
                let book = Mutex::new(Book::default());
                Arc::new(OrgBook {
                    book,
                    turn: tokio::sync::Mutex::default(),
                    freed: Notify::new(),
                })
            }))
        })
    }
}

/// Money of one attempt, set aside on every pot of its chain. It is settled with what the budgets
/// count, exactly once; a drop without that gives all of it back, which is right only for what was
/// never sent.
pub struct Hold {
    org: Arc<OrgBook>,
    pots: Vec<policies::budget::Pot>,
    amount: NanoUsd,
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

    pub fn pots(&self) -> &[policies::budget::Pot] {
        &self.pots
    }

    /// The attempt has ended, and its record is committed.
    pub fn settle(mut self, counted: NanoUsd) {
        self.give_back(counted);
    }

    /// What became of it is not known: all of it stays spent.
    pub fn keep(self) {
        let amount = self.amount;
        self.settle(amount);
    }

    fn give_back(&mut self, counted: NanoUsd) {
        let pots = std::mem::take(&mut self.pots);
        if pots.is_empty() {
            return;
        }
        let mut book = self.org.lock();
        book.settle(&pots, self.amount, counted);
        drop(book);
        self.org.freed.notify_waiters();
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.give_back(NanoUsd::ZERO);
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
