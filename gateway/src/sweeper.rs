//! Takes away what has ended: sessions, tickets, answers of administrative requests.

use std::{sync::Arc, time::Duration};
use store::{Fault, Store, clock};
use tokio_util::sync::CancellationToken;

/// After the start, so that a gateway which is started often sweeps too.
const FIRST: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_secs(3_600);

/// Until `stop`. What is past its end is never heeded, swept or not: this only frees room.
pub async fn run(store: Arc<dyn Store>, stop: CancellationToken) {
    let mut pause = FIRST;
    while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        pause = EVERY;
        let now = clock::now();
        for (what, swept) in [
            ("sessions", store.sweep_sessions(now).await),
            ("tickets", store.sweep_tickets(now).await),
            ("answers", store.sweep_idempotency(now).await),
        ] {
            report(what, swept);
        }
    }
}

fn report(what: &str, swept: Result<u64, Fault>) {
    match swept {
        Ok(0) => {}
        Ok(rows) => tracing::info!(what, rows, "swept"),
        Err(fault) => tracing::warn!(what, %fault, "nothing was swept; it is tried again"),
    }
}
