//! Recalls: which boots are asked for what they do not use, and which are alive.

use super::super::{bytes, pot};
use crate::{Fault, RECALL_GAP_MILLIS, Recalls, clock};
use policies::{
    budget::Pot,
    ids::{BootId, OrgId},
    time::Timestamp,
};
use sqlx::{SqliteConnection, SqlitePool};
use std::collections::BTreeSet;

/// Pots of one recall, at most; what does not fit is recalled again while somebody lacks it.
const RECALLS_MAX: i64 = 1_000;

pub(super) async fn renew(
    connection: &mut SqliteConnection,
    boot: &BootId,
) -> Result<Option<Timestamp>, Fault> {
    let now = clock::now();
    let renewed = sqlx::query(
        "UPDATE boot SET last_seen = max(last_seen, ?2) WHERE id = ?1 AND state = 'open'",
    )
    .bind(boot.as_bytes().as_slice())
    .bind(now.0)
    .execute(connection)
    .await?;
    Ok((renewed.rows_affected() == 1).then_some(now))
}

/// Notes which pots somebody lacks, and asks the boots that have some of them unused.
pub(super) async fn note(
    connection: &mut SqliteConnection,
    (org, asking): (&OrgId, &BootId),
    lacking: &BTreeSet<Pot>,
    now: Timestamp,
) -> Result<(), Fault> {
    for pot in lacking {
        let noted = sqlx::query(
            "UPDATE budget SET recalled = ?5
             WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4
                AND (recalled IS NULL OR recalled <= ?6)",
        )
        .bind(org.as_bytes().as_slice())
        .bind(pot.budget.as_bytes().as_slice())
        .bind(pot.span.starts.0)
        .bind(pot.span.ends.0)
        .bind(now.0)
        .bind(now.plus_millis(-RECALL_GAP_MILLIS).0)
        .execute(&mut *connection)
        .await?;
        if noted.rows_affected() == 0 {
            continue;
        }
        sqlx::query(
            "UPDATE lease SET recalled = ?5
             WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4 AND boot <> ?6
                AND state = 'open' AND 0 < granted - returned - spent",
        )
        .bind(org.as_bytes().as_slice())
        .bind(pot.budget.as_bytes().as_slice())
        .bind(pot.span.starts.0)
        .bind(pot.span.ends.0)
        .bind(now.0)
        .bind(asking.as_bytes().as_slice())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

pub(super) async fn recalls(
    readers: &SqlitePool,
    boot: &BootId,
    since: Timestamp,
) -> Result<Recalls, Fault> {
    let rows = sqlx::query(
        "SELECT org, budget, starts, ends FROM lease
         WHERE boot = ?1 AND ?2 <= recalled AND state = 'open'
            AND 0 < granted - returned - spent
         ORDER BY org, budget, starts LIMIT ?3",
    )
    .bind(boot.as_bytes().as_slice())
    .bind(since.0)
    .bind(RECALLS_MAX)
    .fetch_all(readers)
    .await?;
    let pots = rows.iter().map(|row| Ok((OrgId::from_bytes(bytes(row, "org")?), pot(row)?)));
    Ok(Recalls { pots: pots.collect::<Result<_, Fault>>()?, now: clock::now() })
}

pub(super) async fn unheard(readers: &SqlitePool, millis: i64) -> Result<Vec<BootId>, Fault> {
    let rows =
        sqlx::query("SELECT id FROM boot WHERE state = 'open' AND last_seen < ?1 ORDER BY id")
            .bind(clock::now().plus_millis(-millis).0)
            .fetch_all(readers)
            .await?;
    rows.iter().map(|row| Ok(BootId::from_bytes(bytes(row, "id")?))).collect()
}
