//! `close`: the end of a boot, over all orgs in which it has leases.

use super::{
    super::{Postgres, Sight, pot, sized},
    Names, fold, pots,
};
use crate::Fault;
use policies::{
    budget::Pot,
    ids::{BootId, OrgId},
};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// How a boot ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// All is shipped: what its leases still have goes back.
    Complete,
    /// Some records may be lost: what it may have spent stays counted.
    Lost,
}

pub(super) async fn close(store: &Postgres, boot: &BootId, end: End) -> Result<(), Fault> {
    let mut transaction = store.begin(Sight::Boot(boot)).await?;
    let connection = &mut *transaction;
    // Before its leases are looked for: it is given no other from here on.
    let locked = sqlx::query("SELECT FROM boot WHERE id = $1 FOR UPDATE")
        .bind(boot.as_bytes().as_slice())
        .fetch_optional(&mut *connection)
        .await?;
    if locked.is_none() {
        return Ok(());
    }
    for (org, left) in leases(connection, boot).await? {
        sqlx::raw_sql(Sight::Org(&org).before("")).execute(&mut *connection).await?;
        let names: Names = left.iter().collect();
        pots::lock(connection, &org, &names).await?;
        let (pots, leases) = match end {
            End::Complete => COMPLETE,
            End::Lost => LOST,
        };
        for sql in [pots, leases] {
            sqlx::query(sql)
                .bind(org.as_bytes().as_slice())
                .bind(boot.as_bytes().as_slice())
                .execute(&mut *connection)
                .await
                .map_err(fold::broken)?;
        }
        fold::check(connection, &org, &names).await?;
    }
    let mark = match end {
        End::Complete => "UPDATE boot SET state = 'closed' WHERE id = $1",
        End::Lost => "UPDATE boot SET state = 'lost' WHERE id = $1 AND state = 'open'",
    };
    sqlx::query(mark).bind(boot.as_bytes().as_slice()).execute(connection).await?;
    Ok(transaction.commit().await?)
}

/// First the pots, then the leases: each lease is one row of its pot.
const COMPLETE: (&str, &str) = (
    "UPDATE budget SET
        leased = leased - CASE lease.state WHEN 'open' THEN granted - returned - spent ELSE 0 END,
        unattributed = unattributed
            - CASE lease.state WHEN 'lost' THEN granted - returned - spent ELSE 0 END
     FROM lease
     WHERE lease.org = $1 AND lease.boot = $2 AND lease.state <> 'closed'
        AND budget.org = lease.org AND budget.budget = lease.budget
        AND budget.starts = lease.starts AND budget.ends = lease.ends",
    "UPDATE lease SET returned = granted - spent, state = 'closed'
     WHERE org = $1 AND boot = $2 AND state <> 'closed'",
);
const LOST: (&str, &str) = (
    "UPDATE budget SET leased = leased - (granted - returned - spent),
        unattributed = unattributed + (granted - returned - spent)
     FROM lease
     WHERE lease.org = $1 AND lease.boot = $2 AND lease.state = 'open'
        AND budget.org = lease.org AND budget.budget = lease.budget
        AND budget.starts = lease.starts AND budget.ends = lease.ends",
    "UPDATE lease SET state = 'lost' WHERE org = $1 AND boot = $2 AND state = 'open'",
);

/// The pots of the leases that are not closed. The orgs come in order, so that two boots which end
/// at once lock their pots in the same one.
async fn leases(
    connection: &mut PgConnection,
    boot: &BootId,
) -> Result<BTreeMap<OrgId, Vec<Pot>>, Fault> {
    let rows = sqlx::query(
        "SELECT org, budget, starts, ends FROM lease WHERE boot = $1 AND state <> 'closed'",
    )
    .bind(boot.as_bytes().as_slice())
    .fetch_all(connection)
    .await?;
    let mut orgs: BTreeMap<OrgId, Vec<Pot>> = BTreeMap::new();
    for row in &rows {
        let org = OrgId::from_bytes(sized(row, "org")?);
        orgs.entry(org).or_default().push(pot(row)?);
    }
    Ok(orgs)
}
