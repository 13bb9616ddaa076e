//! What the two sides of hyper tell each other about one connection.

use super::Violation;
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

/// Shared by the socket beneath hyper and the service above it.
///
/// Beneath, it says whether an answer is still owed, so that no second request is handed up
/// before the first is answered. Above, it says why the request at hand must be refused.
#[derive(Debug, Default)]
pub struct Notice {
    serving: AtomicUsize,
    begun: AtomicU64,
    refusal: OnceLock<Violation>,
}

impl Notice {
    /// Counts a request in.
    pub fn begin(&self) {
        self.serving.fetch_add(1, Ordering::AcqRel);
        self.begun.fetch_add(1, Ordering::AcqRel);
    }

    /// A guard for a request that was counted in; the request is answered when it drops.
    pub fn serving(self: &Arc<Self>) -> Serving {
        Serving { notice: Arc::clone(self) }
    }

    /// Whether a request is not wholly answered.
    pub fn is_serving(&self) -> bool {
        self.serving.load(Ordering::Acquire) != 0
    }

    /// How many requests were ever counted in.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Acquire)
    }

    /// Says why the request at hand must be refused; the first reason stays.
    pub fn refuse(&self, violation: Violation) {
        // An earlier reason is the cause of whatever was found later.
        let _ = self.refusal.set(violation);
    }

    /// Why the request at hand must be refused, if it must.
    pub fn refusal(&self) -> Option<Violation> {
        self.refusal.get().copied()
    }
}

/// One request that is being answered.
#[derive(Debug)]
pub struct Serving {
    notice: Arc<Notice>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.notice.serving.fetch_sub(1, Ordering::AcqRel);
    }
}
