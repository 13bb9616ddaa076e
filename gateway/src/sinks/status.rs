//! How far each sink is behind, for whoever asks whether all is well.

use policies::time::Timestamp;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// One sink. Names no tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Behind {
    /// The last row that it has.
    pub position: i64,
    /// Age of the oldest row that it lacks; 0 if it has all.
    pub lag_millis: i64,
    /// Attempts that failed since the last that did not.
    pub failures: u32,
}

/// Every sink, by name.
#[derive(Debug, Default)]
pub struct Status {
    sinks: Mutex<BTreeMap<String, Behind>>,
}

impl Status {
    pub fn sinks(&self) -> BTreeMap<String, Behind> {
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It has everything up to `position`.
    pub(super) fn delivered(&self, name: &str, position: i64) {
        let behind = Behind { position, ..Behind::default() };
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), behind);
    }

    /// It does not take the row of `oldest`; how far it is behind, and how often it failed.
    pub(super) fn failed(&self, name: &str, oldest: Option<Timestamp>, now: Timestamp) -> Behind {
        let mut sinks = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = sinks.entry(name.to_owned()).or_default();
        behind.lag_millis = oldest.map_or(behind.lag_millis, |at| now.0.saturating_sub(at.0));
        behind.failures = behind.failures.saturating_add(1);
        behind.clone()
    }
}
