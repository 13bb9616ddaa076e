//! What the store rang for, for those who would look later by themselves.

use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

#[derive(Default)]
pub struct Rung {
    pub settings: Notify,
    pub recall: Notify,
    hearing: AtomicBool,
}

impl Rung {
    /// Everything may be new.
    pub fn all(&self) {
        self.settings.notify_one();
        self.recall.notify_one();
    }

    pub fn hearing(&self) {
        self.hearing.store(true, Ordering::Relaxed);
    }

    /// The connection was lost.
    pub fn deaf(&self) {
        self.hearing.store(false, Ordering::Relaxed);
    }

    pub fn is_hearing(&self) -> bool {
        self.hearing.load(Ordering::Relaxed)
    }
}
