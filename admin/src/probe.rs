//! What the administration side asks the data plane about its state.

use async_trait::async_trait;
use policies::ids::{OrgId, ProviderId};
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

/// What a provider said when it was asked for its models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    Works,
    /// It took the connection and not the credential.
    Refused,
    /// It answered with something else: the base URL may be wrong.
    Odd,
    /// No connection, or no answer in time.
    Silent,
    /// The credential that is named cannot be had, or the base URL may not be used.
    NotSetUp,
}

impl Tried {
    pub const fn works(self) -> bool {
        matches!(self, Self::Works)
    }

    pub const fn word(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Refused => "credential_refused",
            Self::Odd => "odd_answer",
            Self::Silent => "no_answer",
            Self::NotSetUp => "not_set_up",
        }
    }
}

/// Implemented by the data plane.
#[async_trait]
pub trait Probe: Send + Sync {
    /// At once, from what it knows.
    fn readiness(&self) -> Readiness;
    /// Asks a provider of the org for its models, with its credential, within seconds.
    async fn try_provider(&self, org: &OrgId, provider: &ProviderId) -> Tried;
}
