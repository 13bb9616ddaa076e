//! What boots have, and how that of a lost one goes back.

use super::{
    super::{Postgres, Sight, audit, pot, saturate::saturated_sum, sized},
    Names, fold, pots,
};
use crate::{Fault, Lent, Released, audit::Act};
use policies::{
    budget::Pot,
    ids::{BootId, OrgId},
    money::NanoUsd,
    time::Timestamp,
};
use sqlx::Row;

pub(super) async fn lent(
    store: &Postgres,
    org: &OrgId,
    since: Timestamp,
) -> Result<Vec<Lent>, Fault> {
    let sql = format!(
        "SELECT lease.boot, budget, starts, ends, granted - returned - spent AS outstanding,
            lease.state = 'lost' AS lost, last_seen
         FROM lease JOIN boot ON boot.id = lease.boot
         WHERE org = decode(current_setting('penstock.org'), 'hex') AND {} < ends
            AND lease.state <> 'closed' AND 0 < granted - returned - spent
         ORDER BY budget, starts, ends, lease.boot",
        since.0
    );
    let rows = store.read(Sight::Org(org), &sql).await?;
    rows.iter()
        .map(|row| {
            Ok(Lent {
                boot: BootId::from_bytes(sized(row, "boot")?),
                pot: pot(row)?,
                outstanding: NanoUsd(row.try_get("outstanding")?),
                lost: row.try_get("lost")?,
                last_seen: Timestamp(row.try_get("last_seen")?),
            })
        })
        .collect()
}

pub(super) async fn release(
    store: &Postgres,
    org: &OrgId,
    boot: &BootId,
    quiet_millis: i64,
    act: &Act,
) -> Result<Released, Fault> {
    let mut transaction = store.begin_in(org).await?;
    let connection = &mut *transaction;
    let heard =
        sqlx::query("SELECT last_seen, ledger_now() AS now FROM boot WHERE id = $1 FOR UPDATE")
            .bind(boot.as_bytes().as_slice())
            .fetch_optional(&mut *connection)
            .await?;
    let Some(heard) = heard else { return Ok(Released::NothingLost) };
    let until = Timestamp(heard.try_get("last_seen")?).plus_millis(quiet_millis);
    if heard.try_get::<i64, _>("now")? < until.0 {
        return Ok(Released::TooEarly { until });
    }
    let rows = sqlx::query(
        "SELECT budget, starts, ends FROM lease WHERE org = $1 AND boot = $2 AND state = 'lost'",
    )
    .bind(org.as_bytes().as_slice())
    .bind(boot.as_bytes().as_slice())
    .fetch_all(&mut *connection)
    .await?;
    let names: Vec<Pot> = rows.iter().map(pot).collect::<Result<_, Fault>>()?;
    if names.is_empty() {
        return Ok(Released::NothingLost);
    }
    let names: Names = names.iter().collect();
    pots::lock(connection, org, &names).await?;
    // A shipment may have taken some of it before the pots were locked.
    let freed: i64 = sqlx::query_scalar(concat!(
        "WITH gone AS (
            SELECT budget, starts, ends, granted - returned - spent AS freed FROM lease
            WHERE org = $1 AND boot = $2 AND state = 'lost'
         ), pot AS (
            UPDATE budget SET unattributed = unattributed - gone.freed FROM gone
            WHERE org = $1 AND budget.budget = gone.budget AND budget.starts = gone.starts
                AND budget.ends = gone.ends
         ), ended AS (
            UPDATE lease SET returned = granted - spent, state = 'closed'
            WHERE org = $1 AND boot = $2 AND state = 'lost'
         )
         SELECT ",
        saturated_sum!("freed"),
        " FROM gone",
    ))
    .bind(org.as_bytes().as_slice())
    .bind(boot.as_bytes().as_slice())
    .fetch_one(&mut *connection)
    .await
    .map_err(fold::broken)?;
    fold::check(connection, org, &names).await?;
    audit::append(connection, org, vec![act.clone()], None).await?;
    transaction.commit().await?;
    Ok(Released::Done(NanoUsd(freed)))
}
