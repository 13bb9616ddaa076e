//! [`Ledger`] in SQLite: the three transactions that carry all money.

mod close;
mod fold;
mod pots;
mod ship;
mod sync;

use super::Sqlite;
use crate::{Fault, Ledger, PotState, Shipment, SyncAsk, SyncReply, clock};
use async_trait::async_trait;
use policies::{
    ids::{BootId, JournalId, OrgId},
    time::Timestamp,
};

#[async_trait]
impl Ledger for Sqlite {
    async fn open_boot(&self, boot: &BootId, journal: &JournalId) -> Result<(), Fault> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "INSERT INTO boot (id, journal, last_seen, state) VALUES (?1, ?2, ?3, 'open')
             ON CONFLICT DO NOTHING",
        )
        .bind(boot.as_bytes().as_slice())
        .bind(journal.as_bytes().as_slice())
        .bind(clock::now().0)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn sync(&self, org: &OrgId, boot: &BootId, ask: SyncAsk) -> Result<SyncReply, Fault> {
        let mut transaction = self.begin().await?;
        let reply = sync::sync(&mut transaction, org, boot, ask).await?;
        transaction.commit().await?;
        Ok(reply)
    }

    async fn ship(&self, org: &OrgId, rows: Shipment) -> Result<(), Fault> {
        let org = *org;
        self.pen.write(move |connection| ship::ship(connection, &org, &rows)).await
    }

    async fn close(&self, boot: &BootId, complete: bool) -> Result<(), Fault> {
        let mut transaction = self.begin().await?;
        if complete {
            close::complete(&mut transaction, boot).await?;
        } else {
            close::lost(&mut transaction, boot).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn pots(&self, org: &OrgId, since: Timestamp) -> Result<Vec<PotState>, Fault> {
        let mut transaction = self.readers.begin().await?;
        pots::states(&mut transaction, org, since).await
    }
}
