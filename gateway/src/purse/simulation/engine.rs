//! The ledger's engine, each call of it one step of the schedule, at the ledger's own time.

use futures_util::FutureExt;
use std::{
    cell::Cell,
    path::Path,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};
use store::{Store, clock, model::Model, sqlite::Sqlite};
use tokio::{
    runtime::{Builder, Runtime},
    task::coop::unconstrained,
    time::Instant,
};

thread_local! {
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
    /// How far the ledger's clock is from the gateways'.
    static AHEAD: Cell<i64> = const { Cell::new(0) };
    /// When the engine was called, by the ledger's clock.
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
    Model(Box<Model>),
    /// The shipped engine, in a file.
    Sqlite { store: Sqlite, runtime: Runtime },
}

impl Engine {
    pub(super) fn sqlite(path: &Path) -> Self {
        // With a thread of its own: connections go back to their pool there.
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let opened = runtime.block_on(Sqlite::open(path));
        Self::Sqlite { store: opened.unwrap(), runtime }
    }

    pub(super) fn store(&self) -> &dyn Store {
        match self {
            Self::Model(store) => store.as_ref(),
            Self::Sqlite { store, .. } => store,
        }
    }

    /// Runs `work` to its end before anything else happens: that is what a transaction is.
    pub(super) fn call<T>(&self, work: impl Future<Output = T>) -> T {
        // Within the engine's runtime there is another clock.
        CALLED.set(of_the_ledger());
        at(
            || CALLED.get(),
            || match self {
                Self::Model(_) => work.now_or_never().expect("it never waits"),
                Self::Sqlite { runtime, .. } => {
                    let _context = runtime.enter();
                    wait_for(work)
                }
            },
        )
    }
}

/// Blocks this thread, and with it the schedule, while other threads work.
fn wait_for<T>(work: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    // The budget of the task in which this happens is no business of the engine.
    let mut work = pin!(unconstrained(work));
    loop {
        match work.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => return outcome,
            Poll::Pending => thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
