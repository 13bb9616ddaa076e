//! What boots have, and how that of a lost one goes back.

use super::{
    super::{bytes, pot},
    fold,
};
use crate::{Fault, Lent, Released, clock};
use policies::{
    budget::Pot,
    ids::{BootId, OrgId},
    money::NanoUsd,
    time::Timestamp,
};
use sqlx::{Row, SqliteConnection, SqlitePool};

pub(super) async fn lent(
    readers: &SqlitePool,
    org: &OrgId,
    since: Timestamp,
) -> Result<Vec<Lent>, Fault> {
    let rows = sqlx::query(
        "SELECT lease.boot, budget, starts, ends, granted - returned - spent AS outstanding,
            lease.state = 'lost' AS lost, last_seen
         FROM lease JOIN boot ON boot.id = lease.boot
         WHERE org = ?1 AND ?2 < ends AND lease.state <> 'closed'
            AND 0 < granted - returned - spent
         ORDER BY budget, starts, ends, lease.boot",
    )
    .bind(org.as_bytes().as_slice())
    .bind(since.0)
    .fetch_all(readers)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Lent {
                boot: BootId::from_bytes(bytes(row, "boot")?),
                pot: pot(row)?,
                outstanding: NanoUsd(row.try_get("outstanding")?),
                lost: row.try_get("lost")?,
                last_seen: Timestamp(row.try_get("last_seen")?),
            })
        })
        .collect()
}

pub(super) async fn release(
    connection: &mut SqliteConnection,
    org: &OrgId,
    boot: &BootId,
    quiet_millis: i64,
) -> Result<Released, Fault> {
    let heard: Option<i64> = sqlx::query_scalar("SELECT last_seen FROM boot WHERE id = ?1")
        .bind(boot.as_bytes().as_slice())
        .fetch_optional(&mut *connection)
        .await?;
    let Some(heard) = heard else { return Ok(Released::NothingLost) };
    let until = Timestamp(heard).plus_millis(quiet_millis);
    if clock::now() < until {
        return Ok(Released::TooEarly { until });
    }
    let rows = sqlx::query(
        "UPDATE lease SET returned = granted - spent, state = 'closed'
         WHERE org = ?1 AND boot = ?2 AND state = 'lost' RETURNING budget, starts, ends",
    )
    .bind(org.as_bytes().as_slice())
    .bind(boot.as_bytes().as_slice())
    .fetch_all(&mut *connection)
    .await?;
    if rows.is_empty() {
        return Ok(Released::NothingLost);
    }
    let mut freed = NanoUsd::ZERO;
    for pot in rows.iter().map(pot).collect::<Result<Vec<Pot>, Fault>>()? {
        freed = freed.plus(fold::forget_lost(connection, org, &pot).await?);
        fold::check(connection, org, &pot).await?;
    }
    Ok(Released::Done(freed))
}
