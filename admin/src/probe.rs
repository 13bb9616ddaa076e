//! What the administration side asks the data plane about its state.

use serde::Serialize;

/// Whether the gateway can serve, by part. Names no tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// The store answers.
    pub store: bool,
    /// The journal takes entries.
    pub journal: bool,
    /// Settings are loaded.
    pub snapshot: bool,
    /// It is shutting down and takes no new requests.
    pub draining: bool,
}

impl Readiness {
    pub const fn is_ready(self) -> bool {
        self.store && self.journal && self.snapshot && !self.draining
    }
}

/// Implemented by the data plane. Answers at once, from what it knows.
pub trait Probe: Send + Sync {
    fn readiness(&self) -> Readiness;
}
