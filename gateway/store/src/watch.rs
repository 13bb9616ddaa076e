//! What wakes a gateway before it looks by itself. Nothing depends on being woken.

use crate::Fault;
use async_trait::async_trait;
use policies::ids::BootId;

/// What may be new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ring {
    /// The settings of some org.
    Settings,
    /// Somebody lacks what this boot may have unused.
    Recall(BootId),
}

/// A connection that is told. A ring may be lost.
#[async_trait]
pub trait Bell: Send {
    /// Waits for the next one. After a fault the bell is of no more use.
    async fn next(&mut self) -> Result<Ring, Fault>;
}

/// An engine that may have a bell.
#[async_trait]
pub trait Watch: Send + Sync {
    /// None: this engine never rings. Spans orgs: holds no tenant's data.
    async fn bell(&self) -> Result<Option<Box<dyn Bell>>, Fault>;
}
