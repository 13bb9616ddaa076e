//! The breakers of all deployments.

use policies::{breaker::Breaker, ids::DeploymentId};
use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
    time::Instant,
};
use store::clock;

/// Deployments that never failed are not in it.
pub struct Health {
    breakers: RwLock<HashMap<DeploymentId, Breaker>>,
    started: Instant,
}

impl Default for Health {
    fn default() -> Self {
        Self { breakers: RwLock::default(), started: clock::monotonic() }
    }
}

impl Health {
    fn ticks(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    pub fn allows(&self, deployment: &DeploymentId) -> bool {
        let breakers = self.breakers.read().unwrap_or_else(PoisonError::into_inner);
        breakers.get(deployment).is_none_or(|breaker| breaker.allows(self.ticks()))
    }

    pub fn succeeded(&self, deployment: &DeploymentId) {
        let known = self.breakers.read().unwrap_or_else(PoisonError::into_inner);
        let clean = known.get(deployment).is_none();
        drop(known);
        if !clean {
            self.breakers.write().unwrap_or_else(PoisonError::into_inner).remove(deployment);
        }
    }

    pub fn failed(&self, deployment: &DeploymentId) {
        let now = self.ticks();
        let mut breakers = self.breakers.write().unwrap_or_else(PoisonError::into_inner);
        let breaker = breakers.entry(*deployment).or_default();
        *breaker = breaker.failed(now);
    }
}
