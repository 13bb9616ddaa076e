//! The health of one deployment: after repeated failures it is left alone for a while.

/// Failures in a row that open the breaker.
pub const FAILURES_MAX: u32 = 5;
/// How long it stays open first; it doubles with each failed probe.
pub const OPEN_MILLIS: i64 = 5_000;
pub const OPEN_MILLIS_MAX: i64 = 60_000;

/// Moments are milliseconds of a clock that never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    failures: u32,
    opened: u32,
    open_until: i64,
}

impl Breaker {
    /// Whether it may be tried. Once the pause is over, tries are probes: one failure reopens it.
    pub fn allows(&self, now: i64) -> bool {
        self.open_until <= now
    }

    #[must_use]
    pub fn succeeded(self) -> Self {
        Self::default()
    }

    #[must_use]
    pub fn failed(self, now: i64) -> Self {
        let failures = self.failures.saturating_add(1);
        if failures < FAILURES_MAX && self.opened == 0 {
            return Self { failures, ..self };
        }
        let pause = OPEN_MILLIS.saturating_mul(1 << self.opened.min(6)).min(OPEN_MILLIS_MAX);
        Self { failures, opened: self.opened.saturating_add(1), open_until: now + pause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_a_success_forgets_them() {
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            breaker = breaker.failed(0);
        }
        assert!(breaker.allows(0));
        assert!(breaker.succeeded().failed(0).allows(0));
        assert!(!breaker.failed(0).allows(OPEN_MILLIS - 1));
        assert!(breaker.failed(0).allows(OPEN_MILLIS));
    }

    #[test]
    fn a_failed_probe_doubles_the_pause() {
        let open = (0..5).fold(Breaker::default(), |breaker, _| breaker.failed(0));
        let again = open.failed(OPEN_MILLIS);

        assert!(!again.allows(OPEN_MILLIS + 2 * OPEN_MILLIS - 1));
        assert!(again.allows(OPEN_MILLIS + 2 * OPEN_MILLIS));
    }
}
