//! [`Watch`] by `LISTEN` and `NOTIFY`.

use super::{Postgres, RECALL_CHANNEL, SETTINGS_CHANNEL};
use crate::{
    Fault,
    watch::{Bell, Ring, Watch},
};
use async_trait::async_trait;
use policies::ids::BootId;
use sqlx::postgres::PgListener;

struct Listening(PgListener);

#[async_trait]
impl Watch for Postgres {
    async fn bell(&self) -> Result<Option<Box<dyn Bell>>, Fault> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        // Whoever listens again has missed something, which only the caller can make good.
        listener.eager_reconnect(false);
        listener.listen_all([RECALL_CHANNEL, SETTINGS_CHANNEL]).await?;
        Ok(Some(Box::new(Listening(listener))))
    }
}

#[async_trait]
impl Bell for Listening {
    async fn next(&mut self) -> Result<Ring, Fault> {
        loop {
            let Some(notice) = self.0.try_recv().await? else {
                return Err(Fault::Away("the connection for notices was lost".to_owned()));
            };
            if notice.channel() == SETTINGS_CHANNEL {
                return Ok(Ring::Settings);
            }
            // Another version may say more.
            let mut id = [0; 16];
            if hex::decode_to_slice(notice.payload(), &mut id).is_ok() {
                return Ok(Ring::Recall(BootId::from_bytes(id)));
            }
        }
    }
}
