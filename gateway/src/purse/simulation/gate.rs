//! A gate that is open or shut, for everybody who comes by.

use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Whoever waits at it goes on in the order of coming, unlike at a watch of the runtime.
#[derive(Default)]
pub(super) struct Gate {
    shut: AtomicBool,
    opened: Notify,
}

impl Gate {
    pub(super) fn is_shut(&self) -> bool {
        self.shut.load(Ordering::Relaxed)
    }

    pub(super) fn shut(&self) {
        self.shut.store(true, Ordering::Relaxed);
    }

    pub(super) fn open(&self) {
        self.shut.store(false, Ordering::Relaxed);
        self.opened.notify_waiters();
    }

    pub(super) async fn pass(&self) {
        loop {
            let opened = self.opened.notified();
            if !self.is_shut() {
                return;
            }
            opened.await;
        }
    }
}
