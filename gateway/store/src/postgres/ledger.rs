//! [`Ledger`] in PostgreSQL: the three transactions that carry all money.
//!
//! Their locks, in one order: boot, gate, pots by id, leases.
//!
//! - A *boot's row* stands for its leases as far as the boot itself changes them, and for its end.
//! - An org's *gate* is an advisory lock. Who ships an org's rows, makes its pots or changes its
//!   limits has it to the end of the transaction. So a pot begins with the sum of all rows that
//!   came before it and is there for all that come after; the rows of an org come in the order of
//!   their cursors; and two shipments of the same rows do not wait for each other in a circle.
//! - A *pot's row* stands for all that is counted in it, its leases and holds: only who has it
//!   decides by them or changes them. Under `READ COMMITTED` a statement sees all that was
//!   committed before it began, so what is read after the lock is the last word.
//!
//! Time is the server's, which all gateways share.

mod claim;
mod close;
mod fold;
mod lent;
mod pots;
mod recall;
mod ship;
mod sync;

use super::{CALL, Postgres, Sight, Writing, again, bounded, row};
use crate::{
    Balances, Claimed, Fault, JournalClaim, Ledger, Lent, PotState, Recalls, Reconciliation,
    Released, Shipment, SyncAsk, SyncReply, audit::Act,
};
use async_trait::async_trait;
use policies::{
    budget::Pot,
    ids::{BootId, JournalId, OrgId, RequestId},
    time::Timestamp,
    usage::UsageRecord,
};
use sqlx::PgConnection;
use std::{collections::BTreeSet, sync::Arc};

#[async_trait]
impl Ledger for Postgres {
    async fn claim_journal(
        &self,
        journal: &JournalId,
        claim: &JournalClaim,
    ) -> Result<Claimed, Fault> {
        again(|| claim::claim(self, journal, claim)).await
    }

    async fn open_boot(&self, boot: &BootId, journal: &JournalId) -> Result<(), Fault> {
        let opened = sqlx::query(
            "INSERT INTO boot (id, journal, last_seen, state)
             VALUES ($1, $2, ledger_now(), 'open') ON CONFLICT DO NOTHING",
        )
        .bind(boot.as_bytes().as_slice())
        .bind(journal.as_bytes().as_slice())
        .execute(&self.pool);
        bounded(CALL, opened).await?;
        Ok(())
    }

    async fn renew(&self, boot: &BootId) -> Result<Option<Timestamp>, Fault> {
        bounded(CALL, recall::renew(self, boot)).await
    }

    async fn sync(&self, org: &OrgId, boot: &BootId, ask: SyncAsk) -> Result<SyncReply, Fault> {
        let ask = &ask;
        again(|| sync::sync(self, org, boot, ask)).await
    }

    async fn ship(&self, org: &OrgId, rows: Shipment) -> Result<(), Fault> {
        ship::check(org, &rows)?;
        let rows = &rows;
        again(|| ship::ship(self, org, rows)).await
    }

    async fn close(&self, boot: &BootId, complete: bool) -> Result<(), Fault> {
        let end = if complete { close::End::Complete } else { close::End::Lost };
        again(|| close::close(self, boot, end)).await
    }

    async fn recalls(&self, boot: &BootId, since: Timestamp) -> Result<Recalls, Fault> {
        recall::recalls(self, boot, since).await
    }

    async fn unheard(&self, millis: i64) -> Result<Vec<BootId>, Fault> {
        recall::unheard(self, millis).await
    }
}

#[async_trait]
impl Balances for Postgres {
    async fn pots(&self, org: &OrgId, since: Timestamp) -> Result<Vec<PotState>, Fault> {
        pots::states(self, org, since).await
    }

    async fn lent(&self, org: &OrgId, since: Timestamp) -> Result<Vec<Lent>, Fault> {
        lent::lent(self, org, since).await
    }
}

#[async_trait]
impl Reconciliation for Postgres {
    async fn records_of(
        &self,
        org: &OrgId,
        request: &RequestId,
    ) -> Result<Vec<UsageRecord>, Fault> {
        let sql = format!(
            "SELECT {} FROM usage WHERE org = decode(current_setting('penstock.org'), 'hex')
                AND request = '\\x{}' ORDER BY attempt, part",
            row::READ,
            hex::encode(request.as_bytes())
        );
        let rows = self.read(Sight::Org(org), &sql).await?;
        rows.iter().map(row::read).collect()
    }

    async fn release_boot(
        &self,
        org: &OrgId,
        boot: &BootId,
        quiet_millis: i64,
        act: Act,
    ) -> Result<Released, Fault> {
        let act = &act;
        again(|| lent::release(self, org, boot, quiet_millis, act)).await
    }

    async fn resolve_attempt(
        &self,
        org: &OrgId,
        correction: UsageRecord,
        act: Act,
    ) -> Result<bool, Fault> {
        let rows = Shipment { records: vec![Arc::new(correction)], decisions: Vec::new() };
        ship::check(org, &rows)?;
        let (rows, act) = (&rows, &act);
        again(|| ship::resolve(self, org, rows, act)).await
    }
}

impl Postgres {
    async fn begin_in(&self, org: &OrgId) -> Result<Writing, Fault> {
        self.begin(Sight::Org(org)).await
    }
}

/// Waits for the org's gate, and has it to the end of the transaction.
pub(super) async fn pass_gate(connection: &mut PgConnection, org: &OrgId) -> Result<(), Fault> {
    // Two orgs that share a number wait for each other now and then; that is all.
    let (high, low) = org.as_bytes().split_at(8);
    let mixed = high.iter().zip(low).map(|(high, low)| high ^ low);
    let gate = mixed.fold(0_u64, |sum, byte| sum << 8 | u64::from(byte));
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(gate.cast_signed())
        .execute(connection)
        .await?;
    Ok(())
}

/// Some pots, a column each, to be bound as arrays.
#[derive(Default)]
struct Names {
    budgets: Vec<[u8; 16]>,
    starts: Vec<i64>,
    ends: Vec<i64>,
}

impl<'p> FromIterator<&'p Pot> for Names {
    fn from_iter<T: IntoIterator<Item = &'p Pot>>(pots: T) -> Self {
        let mut names = Self::default();
        // Sorted and each once: in the order in which they are locked.
        for pot in pots.into_iter().collect::<BTreeSet<_>>() {
            names.budgets.push(*pot.budget.as_bytes());
            names.starts.push(pot.span.starts.0);
            names.ends.push(pot.span.ends.0);
        }
        names
    }
}

impl Names {
    fn is_empty(&self) -> bool {
        self.budgets.is_empty()
    }
}
