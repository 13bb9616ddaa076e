//! Whether whoever began a request may still go on with it, asked again while its answer comes.

use super::resolve::{Scope, Standing};
use crate::snapshot::Snapshot;
use policies::{permission::Permission, refusal::Refusal};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Between two looks at the settings.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What the caller of an answer is told that ends for it.
pub(super) fn revoked() -> Refusal {
    Refusal::PermissionDenied { what: "the credential of this request was revoked".to_owned() }
}

pub(super) struct Lookback {
    snapshot: Arc<Snapshot>,
    standing: Standing,
    /// The settings that were looked at last.
    edition: u64,
    next: Instant,
}

impl Lookback {
    pub(super) fn new(snapshot: &Arc<Snapshot>, scope: &Scope) -> Self {
        let next = Instant::now() + LOOK_AGAIN;
        let snapshot = Arc::clone(snapshot);
        Self { edition: 0, standing: scope.standing().clone(), snapshot, next }
    }

    /// When to look again.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// True: key, person, project or org may not go on. Settings that have not changed since the
    /// last look cost a comparison; between two looks it is not even that.
    pub(super) fn is_revoked(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        self.next = now + LOOK_AGAIN;
        let edition = self.snapshot.edition();
        if edition == self.edition {
            return false;
        }
        self.edition = edition;
        let world = self.snapshot.current();
        match self.standing.look_up(&world) {
            Ok((_, grant)) => {
                !grant.scopes.has(Permission::Infer) || !self.standing.is_known(&world)
            }
            Err(_) => true,
        }
    }

    /// Returns when it is.
    pub(super) async fn revoked(&mut self) {
        while !self.is_revoked(Instant::now()) {
            tokio::time::sleep_until(self.next).await;
        }
    }
}
