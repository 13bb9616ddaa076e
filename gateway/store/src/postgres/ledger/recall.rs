//! Recalls: which boots are asked for what they do not use, and which are alive.

use super::{
    super::{Postgres, Sight, pot, sized},
    Names,
};
use crate::{Fault, RECALL_GAP_MILLIS, Recalls, postgres::RECALL_CHANNEL};
use policies::{
    ids::{BootId, OrgId},
    time::Timestamp,
};
use sqlx::{PgConnection, Row};

/// Pots of one recall, at most; what does not fit is recalled again while somebody lacks it.
const RECALLS_MAX: i64 = 1_000;

pub(super) async fn renew(store: &Postgres, boot: &BootId) -> Result<Option<Timestamp>, Fault> {
    let now: Option<i64> = sqlx::query_scalar(
        "UPDATE boot SET last_seen = greatest(last_seen, ledger_now())
         WHERE id = $1 AND state = 'open' RETURNING ledger_now()",
    )
    .bind(boot.as_bytes().as_slice())
    .fetch_optional(&store.pool)
    .await?;
    Ok(now.map(Timestamp))
}

/// Notes which pots somebody lacks, and wakes the boots that have some of them unused. The pots
/// are locked; a boot that does not hear it reads it from its leases.
pub(super) async fn note(
    connection: &mut PgConnection,
    (org, asking): (&OrgId, &BootId),
    lacking: &Names,
    now: Timestamp,
) -> Result<(), Fault> {
    if lacking.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "WITH lacking AS (
            UPDATE budget SET recalled = $5
            FROM unnest($2::bytea[], $3::bigint[], $4::bigint[]) AS name (budget, starts, ends)
            WHERE org = $1 AND budget.budget = name.budget AND budget.starts = name.starts
                AND budget.ends = name.ends AND (budget.recalled IS NULL OR budget.recalled <= $6)
            RETURNING budget.budget, budget.starts, budget.ends
         ), asked AS (
            UPDATE lease SET recalled = $5 FROM lacking
            WHERE org = $1 AND lease.budget = lacking.budget AND lease.starts = lacking.starts
                AND lease.ends = lacking.ends AND lease.boot <> $7 AND lease.state = 'open'
                AND 0 < granted - returned - spent
            RETURNING lease.boot
         )
         SELECT pg_notify($8, encode(boot, 'hex')) FROM (SELECT DISTINCT boot FROM asked) AS once",
    )
    .bind(org.as_bytes().as_slice())
    .bind(&lacking.budgets)
    .bind(&lacking.starts)
    .bind(&lacking.ends)
    .bind(now.0)
    .bind(now.plus_millis(-RECALL_GAP_MILLIS).0)
    .bind(asking.as_bytes().as_slice())
    .bind(RECALL_CHANNEL)
    .execute(connection)
    .await?;
    Ok(())
}

/// A note is committed a little after its time, so that the next look goes back a little: what is
/// seen twice is given back once.
pub(super) async fn recalls(
    store: &Postgres,
    boot: &BootId,
    since: Timestamp,
) -> Result<Recalls, Fault> {
    let sql = format!(
        "SELECT org, budget, starts, ends, ledger_now() AS now
         FROM (SELECT 1) AS once LEFT JOIN lease ON {} <= recalled AND state = 'open'
            AND boot = decode(current_setting('penstock.boot'), 'hex')
            AND 0 < granted - returned - spent
         ORDER BY org, budget, starts LIMIT {RECALLS_MAX}",
        since.0
    );
    let rows = store.read(Sight::Boot(boot), &sql).await?;
    let mut recalls = Recalls { pots: Vec::with_capacity(rows.len()), now: since };
    for row in &rows {
        recalls.now = Timestamp(row.try_get("now")?);
        if row.try_get::<Option<Vec<u8>>, _>("org")?.is_some() {
            let org = OrgId::from_bytes(sized(row, "org")?);
            recalls.pots.push((org, pot(row)?));
        }
    }
    Ok(recalls)
}

pub(super) async fn unheard(store: &Postgres, millis: i64) -> Result<Vec<BootId>, Fault> {
    let rows = sqlx::query(
        "SELECT id FROM boot WHERE state = 'open' AND last_seen < ledger_now() - $1 ORDER BY id",
    )
    .bind(millis)
    .fetch_all(&store.pool)
    .await?;
    rows.iter().map(|row| Ok(BootId::from_bytes(sized(row, "id")?))).collect()
}
