//! Whether there is more to come, so that a commit may wait for company.

use std::time::{Duration, Instant};
use store::clock;

/// After a commit of so many messages, or so many commits within a span, there are more to come,
/// and the next commit is so much later: where cores are scarce each one would else take the core
/// from those who are about to write. A lone request never waits.
const COMPANY_MESSAGES: usize = 2;
const COMPANY_COMMITS: u32 = 4;
const COMPANY_SPAN: Duration = Duration::from_millis(1);
pub(super) const COMPANY: Duration = Duration::from_micros(500);
/// How quickly commits follow each other.
pub(super) struct Pace {
    span: Instant,
    /// In this span.
    commits: u32,
    busy: bool,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { span: clock::monotonic(), commits: 0, busy: false }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }

    pub(super) fn commit(&mut self, messages: usize) {
        if COMPANY_SPAN <= self.span.elapsed() {
            (self.span, self.commits) = (clock::monotonic(), 0);
        }
        self.commits += u32::from(0 < messages);
        self.busy = COMPANY_MESSAGES <= messages || COMPANY_COMMITS <= self.commits;
    }
}
