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
    /// How limits are counted. It says nothing about whether requests are served.
    pub limits: Sharing,
}

/// How a gateway counts limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sharing {
    /// By itself.
    Process,
    /// With the others.
    Shared,
    /// With the others, who are out of reach: it keeps to its part.
    Apart,
}

impl Readiness {
    pub const fn is_ready(self) -> bool {
        self.store && self.journal && self.snapshot && !self.draining
    }
}

/// What became of asking a provider for its models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// It answered with success.
    Reachable,
    /// It took the connection and not the credential.
    Unauthorised,
    /// It answered with something else: the base URL may be wrong.
    UnexpectedAnswer,
    /// No connection.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// The credential that is named cannot be had, or the base URL may not be used.
    NotSetUp,
}

impl Tried {
    pub const ALL: [Self; 6] = [
        Self::Reachable,
        Self::Unauthorised,
        Self::UnexpectedAnswer,
        Self::Unreachable,
        Self::TimedOut,
        Self::NotSetUp,
    ];

    pub const fn works(self) -> bool {
        matches!(self, Self::Reachable)
    }

    pub const fn word(self) -> &'static str {
        match self {
            Self::Reachable => "reachable",
            Self::Unauthorised => "unauthorised",
            Self::UnexpectedAnswer => "unexpected_answer",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::NotSetUp => "not_set_up",
        }
    }
}

/// One try, with what may be told of it: never a part of the answer, which may repeat a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    pub tried: Tried,
    /// The HTTP status of an answer.
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub latency_millis: u64,
}

impl Trial {
    /// Nothing was sent.
    pub const NOT_SET_UP: Self = Self { tried: Tried::NotSetUp, status: None, latency_millis: 0 };
}

/// Implemented by the data plane.
#[async_trait]
pub trait Probe: Send + Sync {
    /// At once, from what it knows.
    fn readiness(&self) -> Readiness;
    /// Asks a provider of the org for its models, with its credential, within seconds.
    async fn try_provider(&self, org: &OrgId, provider: &ProviderId) -> Trial;
}
