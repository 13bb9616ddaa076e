//! What limits share with other gateways, as the settings say.

use crate::{
    config::{Config, Engine, Share},
    purse::Commons,
};
use anyhow::Context;
use policies::ids::BootId;
use std::{sync::Arc, time::Duration};
use store::{Fault, cells::Cells, postgres::Postgres, redis::Redis};

/// How long the first answer may take: a connection has to be made for it.
const FIRST_ANSWER: Duration = Duration::from_secs(2);

/// None: this process counts alone.
///
/// # Errors
/// What shares limits does not let us in. One that is away is no error: limits are kept to this
/// gateway's part until it comes.
pub(super) async fn open(config: &Config, boot: BootId) -> anyhow::Result<Option<Arc<Commons>>> {
    let patience = config.limits.patience();
    let (cells, place): (Arc<dyn Cells>, String) = match config.share() {
        Share::Auto | Share::Process => return Ok(None),
        Share::Redis => {
            let address = config.redis.address().context("[redis] url is not set")?;
            (Arc::new(Redis::new(address.clone(), patience)), address.to_string())
        }
        Share::Store => {
            let Some(Engine::Postgres(url)) = config.store.url.engine() else {
                anyhow::bail!("[limits] share: `store` needs PostgreSQL");
            };
            // Apart from the others, so that limits do not wait for reports.
            let store = Postgres::open_for_limits(url).await;
            let place = config.store.url.to_string();
            (Arc::new(store.with_context(|| format!("opening `{place}` for limits"))?), place)
        }
    };
    let commons = Commons::new(cells, boot, patience, config.limits.replicas_max());
    match commons.begin(FIRST_ANSWER).await {
        Ok(()) => {}
        Err(fault @ Fault::Refused(_)) => {
            return Err(fault).with_context(|| format!("limits cannot be shared by `{place}`"));
        }
        Err(fault) => tracing::warn!(place, %fault, "limits are not shared yet"),
    }
    Ok(Some(Arc::new(commons)))
}
