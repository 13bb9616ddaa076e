//! The only place that reads the time.

use policies::time::Timestamp;
use std::{
    cell::Cell,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// When simulated time begins: 2026-01-01, 00:00 UTC.
const SIMULATED_ORIGIN: Timestamp = Timestamp(1_767_225_600_000);

thread_local! {
    static SIMULATED: Cell<Option<fn() -> Duration>> = const { Cell::new(None) };
}

/// From now on this thread's time is what `elapsed` says, so that a schedule of hours runs in
/// milliseconds and the same way again; none: the machine's. No shipped code calls it.
pub fn simulate(elapsed: Option<fn() -> Duration>) {
    SIMULATED.set(elapsed);
}

/// The present moment by the machine's clock.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn now() -> Timestamp {
    if let Some(elapsed) = SIMULATED.get() {
        let millis = i64::try_from(elapsed().as_millis()).unwrap_or(i64::MAX);
        return SIMULATED_ORIGIN.plus_millis(millis);
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp(since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

/// A clock that never goes back, for durations.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// How long the machine is up. It never goes back, and goes on while the machine sleeps.
pub fn since_boot() -> Duration {
    if let Some(elapsed) = SIMULATED.get() {
        return elapsed();
    }
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
}
