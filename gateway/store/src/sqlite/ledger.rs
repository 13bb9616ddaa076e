//! [`Ledger`] in SQLite: the three transactions that carry all money.

mod claim;
mod close;
mod fold;
mod lent;
mod pots;
mod recall;
mod ship;
mod sync;

use super::{Sqlite, audit, row};
use crate::{
    Balances, Bell, Claimed, Fault, JournalClaim, Ledger, Lent, PotState, Recalls, Reconciliation,
    Released, Shipment, SyncAsk, SyncReply, Watch, audit::Act, clock,
};
use async_trait::async_trait;
use policies::{
    ids::{BootId, JournalId, OrgId, RequestId},
    time::Timestamp,
    usage::UsageRecord,
};
use std::sync::Arc;

#[async_trait]
impl Ledger for Sqlite {
    async fn claim_journal(
        &self,
        journal: &JournalId,
        claim: &JournalClaim,
    ) -> Result<Claimed, Fault> {
        let mut transaction = self.begin().await?;
        let claimed = claim::claim(&mut transaction, journal, claim).await?;
        transaction.commit().await?;
        Ok(claimed)
    }

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

    async fn renew(&self, boot: &BootId) -> Result<Option<Timestamp>, Fault> {
        let mut transaction = self.begin().await?;
        let now = recall::renew(&mut transaction, boot).await?;
        transaction.commit().await?;
        Ok(now)
    }

    async fn sync(&self, org: &OrgId, boot: &BootId, ask: SyncAsk) -> Result<SyncReply, Fault> {
        let mut transaction = self.begin().await?;
        let reply = sync::sync(&mut transaction, org, boot, ask).await?;
        transaction.commit().await?;
        Ok(reply)
    }

    async fn ship(&self, org: &OrgId, rows: Shipment) -> Result<(), Fault> {
        let org = *org;
        self.pen.write(move |connection| ship::ship(connection, &org, &rows, None)).await?;
        Ok(())
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

    async fn recalls(&self, boot: &BootId, since: Timestamp) -> Result<Recalls, Fault> {
        recall::recalls(&self.readers, boot, since).await
    }

    async fn unheard(&self, millis: i64) -> Result<Vec<BootId>, Fault> {
        recall::unheard(&self.readers, millis).await
    }
}

/// Gateways on it look for themselves.
#[async_trait]
impl Watch for Sqlite {
    async fn bell(&self) -> Result<Option<Box<dyn Bell>>, Fault> {
        Ok(None)
    }
}

#[async_trait]
impl Balances for Sqlite {
    async fn pots(&self, org: &OrgId, since: Timestamp) -> Result<Vec<PotState>, Fault> {
        let mut transaction = self.readers.begin().await?;
        pots::states(&mut transaction, org, since).await
    }

    async fn lent(&self, org: &OrgId, since: Timestamp) -> Result<Vec<Lent>, Fault> {
        lent::lent(&self.readers, org, since).await
    }
}

#[async_trait]
impl Reconciliation for Sqlite {
    async fn records_of(
        &self,
        org: &OrgId,
        request: &RequestId,
    ) -> Result<Vec<UsageRecord>, Fault> {
        let rows = sqlx::query(
            "SELECT * FROM usage WHERE org = ?1 AND request = ?2 ORDER BY attempt, part",
        )
        .bind(org.as_bytes().as_slice())
        .bind(request.as_bytes().as_slice())
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(row::read).collect()
    }

    async fn release_boot(
        &self,
        org: &OrgId,
        boot: &BootId,
        quiet_millis: i64,
        act: Act,
    ) -> Result<Released, Fault> {
        let mut transaction = self.begin().await?;
        let released = lent::release(&mut transaction, org, boot, quiet_millis).await?;
        if let Released::Done(_) = released {
            audit::append(&mut transaction, org, vec![act], None).await?;
            transaction.commit().await?;
        }
        Ok(released)
    }

    async fn resolve_attempt(
        &self,
        org: &OrgId,
        correction: UsageRecord,
        act: Act,
    ) -> Result<bool, Fault> {
        let rows = Shipment { records: vec![Arc::new(correction)], decisions: Vec::new() };
        let org = *org;
        let count =
            self.pen.write(move |connection| ship::ship(connection, &org, &rows, Some(&act)));
        Ok(0 < count.await?)
    }
}
