//! One incarnation of the gateway in the eyes of the ledger.

use policies::ids::BootId;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Alive while an attempt holds money of its leases.
#[derive(Debug)]
pub struct Boot {
    id: BootId,
    /// Outlives it.
    lost: Arc<AtomicBool>,
}

impl Boot {
    pub(super) fn new(id: BootId) -> Self {
        Self { id, lost: Arc::default() }
    }

    pub fn id(&self) -> BootId {
        self.id
    }

    /// An ending of it will never be told: what it holds may be spent.
    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
    }

    /// Whether an ending of it was lost.
    pub fn lost(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.lost)
    }
}
