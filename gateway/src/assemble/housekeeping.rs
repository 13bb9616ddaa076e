//! What is done every few seconds as long as the gateway serves.

use crate::app::App;
use std::{sync::Arc, time::Duration};
use store::Store;
use tokio_util::sync::CancellationToken;

/// How often quiet keys and ended periods are forgotten.
const HOUSEKEEPING: Duration = Duration::from_secs(10);

pub(super) async fn keep_house(app: Arc<App>, store: Arc<dyn Store>, stop: CancellationToken) {
    let write = async || {
        if let Err(fault) = app.uses.write(store.as_ref()).await {
            tracing::warn!(%fault, "the last use of keys is not written down");
        }
    };
    while stop.run_until_cancelled(tokio::time::sleep(HOUSEKEEPING)).await.is_some() {
        write().await;
        app.doorman.forget_quiet();
        app.purse.close_periods().await;
    }
    write().await;
}

/// Keys of issuers, before anybody waits for them. By itself: issuers that answer late hold up
/// nothing else.
pub(super) async fn renew_keys(app: Arc<App>, stop: CancellationToken) {
    let renew = async || loop {
        tokio::time::sleep(HOUSEKEEPING).await;
        app.identities.issuers().refresh_ahead().await;
    };
    // It ends with the drain alone.
    let _: Option<()> = stop.run_until_cancelled(renew()).await;
}
