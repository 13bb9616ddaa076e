//! Everything a request may reach, built once at start.

use crate::{
    config::{Edge, Upstream as Deadlines},
    counter::Counter,
    doorman::Doorman,
    health::Health,
    journal::Journal,
    last_use::Uses,
    pipeline::identity::Identities,
    purse::{Patience, Purse},
    shipper::Shipper,
    sinks::Lookout,
    snapshot::Snapshot,
    upstream::Upstream,
};
use policies::data::detect::Detectors;
use std::sync::Arc;
use store::UsageLog;
use tokio_util::task::TaskTracker;

pub struct App {
    pub snapshot: Arc<Snapshot>,
    pub doorman: Doorman,
    /// Where refusals are told that concern security.
    pub lookout: Lookout,
    pub identities: Identities,
    pub detectors: Arc<Detectors>,
    pub health: Health,
    pub uses: Uses,
    pub purse: Arc<Purse>,
    pub patience: Patience,
    pub journal: Arc<Journal>,
    pub counter: Counter,
    pub upstream: Upstream,
    pub deadlines: Deadlines,
    pub edge: Edge,
    pub shipper: Arc<Shipper>,
    pub usage: Arc<dyn UsageLog>,
    /// Answers that are read on for their bill after their caller has gone.
    pub reading_on: TaskTracker,
}
