//! The ledger's engine, each call of it one step of the schedule, at the ledger's own time.

use futures_util::FutureExt;
use std::{cell::Cell, path::Path, time::Duration};
use store::{Store, clock, model::Model, sqlite::Sqlite};
use tokio::{runtime::Runtime, time::Instant};

thread_local! {
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
    /// How far the ledger's clock is from the gateways'.
    static AHEAD: Cell<i64> = const { Cell::new(0) };
    /// On an engine's own thread: when it was called.
    static CALLED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Both clocks begin a day after the first moment that there is, so that either may be behind.
const HEAD_START: Duration = Duration::from_hours(24);

/// Virtual time begins on this thread, inside a runtime whose time is paused.
pub(super) fn begin_time() {
    BEGAN.set(Some(Instant::now()));
    AHEAD.set(0);
    clock::simulate(Some(elapsed));
}

pub(super) fn end_time() {
    clock::simulate(None);
    BEGAN.set(None);
}

pub(super) fn elapsed() -> Duration {
    HEAD_START + BEGAN.get().map(|began| Instant::now() - began).unwrap_or_default()
}

fn of_the_ledger() -> Duration {
    let millis = AHEAD.get();
    let shift = Duration::from_millis(millis.unsigned_abs());
    if millis < 0 { elapsed().saturating_sub(shift) } else { elapsed() + shift }
}

/// The ledger's clock jumps.
pub(super) fn jump(millis: i64) {
    AHEAD.set(AHEAD.get() + millis);
}

/// Milliseconds by the ledger's clock.
pub(super) fn ledger_now() -> i64 {
    at(of_the_ledger, || clock::now().0)
}

fn at<T>(time: fn() -> Duration, call: impl FnOnce() -> T) -> T {
    clock::simulate(Some(time));
    let outcome = call();
    clock::simulate(Some(elapsed));
    outcome
}

pub(super) enum Engine {
    /// Plain maps.
    Model(Model),
    /// The shipped engine, in a file.
    Sqlite { store: Sqlite, runtime: Runtime },
}

impl Engine {
    pub(super) fn sqlite(path: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let opened = std::thread::scope(|scope| {
            scope.spawn(|| runtime.block_on(Sqlite::open(path))).join().unwrap()
        });
        Self::Sqlite { store: opened.unwrap(), runtime }
    }

    pub(super) fn store(&self) -> &dyn Store {
        match self {
            Self::Model(store) => store,
            Self::Sqlite { store, .. } => store,
        }
    }

    /// Runs `work` to its end before anything else happens: that is what a transaction is.
    pub(super) fn call<T: Send>(&self, work: impl Future<Output = T> + Send) -> T {
        match self {
            Self::Model(_) => at(of_the_ledger, || work.now_or_never()).expect("it never waits"),
            Self::Sqlite { runtime, .. } => {
                let called = of_the_ledger();
                std::thread::scope(|scope| {
                    let run = move || {
                        CALLED.set(called);
                        clock::simulate(Some(|| CALLED.get()));
                        runtime.block_on(work)
                    };
                    scope.spawn(run).join().unwrap()
                })
            }
        }
    }
}
