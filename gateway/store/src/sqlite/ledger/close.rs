//! `close`: the end of a boot, over all orgs in which it has leases.

use super::{
    super::{bytes, pot},
    fold,
};
use crate::Fault;
use policies::{
    budget::Pot,
    ids::{BootId, OrgId},
};
use sqlx::{Row, SqliteConnection};

/// A lease that is not closed.
struct Left {
    org: OrgId,
    pot: Pot,
    outstanding: i64,
    lost: bool,
}

/// All is shipped: what the boot's leases still have goes back.
pub(super) async fn complete(
    connection: &mut SqliteConnection,
    boot: &BootId,
) -> Result<(), Fault> {
    for left in leases(connection, boot).await? {
        let pot = if left.lost {
            "UPDATE budget SET unattributed = unattributed - ?5
             WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4"
        } else {
            "UPDATE budget SET leased = leased - ?5
             WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4"
        };
        change_pot(connection, pot, &left).await?;
        let lease = "UPDATE lease SET returned = granted - spent, state = 'closed'
            WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4 AND boot = ?5";
        change_lease(connection, lease, &left, boot).await?;
        fold::check(connection, &left.org, &left.pot).await?;
    }
    mark(connection, "UPDATE boot SET state = 'closed' WHERE id = ?1", boot).await
}

/// Some records may be lost: what the boot may have spent stays counted.
pub(super) async fn lost(connection: &mut SqliteConnection, boot: &BootId) -> Result<(), Fault> {
    for left in leases(connection, boot).await? {
        if left.lost {
            continue;
        }
        let pot = "UPDATE budget SET leased = leased - ?5, unattributed = unattributed + ?5
            WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4";
        change_pot(connection, pot, &left).await?;
        let lease = "UPDATE lease SET state = 'lost'
            WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4 AND boot = ?5";
        change_lease(connection, lease, &left, boot).await?;
        fold::check(connection, &left.org, &left.pot).await?;
    }
    let sql = "UPDATE boot SET state = 'lost' WHERE id = ?1 AND state = 'open'";
    mark(connection, sql, boot).await
}

async fn leases(connection: &mut SqliteConnection, boot: &BootId) -> Result<Vec<Left>, Fault> {
    let rows = sqlx::query(
        "SELECT org, budget, starts, ends, granted - returned - spent AS outstanding,
            state = 'lost' AS lost
         FROM lease WHERE boot = ?1 AND state <> 'closed' ORDER BY org, budget, starts, ends",
    )
    .bind(boot.as_bytes().as_slice())
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Left {
                org: OrgId::from_bytes(bytes(row, "org")?),
                pot: pot(row)?,
                outstanding: row.try_get("outstanding")?,
                lost: row.try_get("lost")?,
            })
        })
        .collect()
}

async fn change_pot(
    connection: &mut SqliteConnection,
    sql: &'static str,
    left: &Left,
) -> Result<(), Fault> {
    sqlx::query(sql)
        .bind(left.org.as_bytes().as_slice())
        .bind(left.pot.budget.as_bytes().as_slice())
        .bind(left.pot.span.starts.0)
        .bind(left.pot.span.ends.0)
        .bind(left.outstanding)
        .execute(connection)
        .await
        .map_err(fold::broken)?;
    Ok(())
}

async fn change_lease(
    connection: &mut SqliteConnection,
    sql: &'static str,
    left: &Left,
    boot: &BootId,
) -> Result<(), Fault> {
    sqlx::query(sql)
        .bind(left.org.as_bytes().as_slice())
        .bind(left.pot.budget.as_bytes().as_slice())
        .bind(left.pot.span.starts.0)
        .bind(left.pot.span.ends.0)
        .bind(boot.as_bytes().as_slice())
        .execute(connection)
        .await
        .map_err(fold::broken)?;
    Ok(())
}

async fn mark(
    connection: &mut SqliteConnection,
    sql: &'static str,
    boot: &BootId,
) -> Result<(), Fault> {
    sqlx::query(sql).bind(boot.as_bytes().as_slice()).execute(connection).await?;
    Ok(())
}
