//! The sums that every transaction checks before it commits.

use super::super::saturate::saturated_sum;
use crate::Fault;
use policies::{budget::Pot, ids::OrgId, money::NanoUsd};
use rusqlite::{Connection, ffi::SQLITE_CONSTRAINT_CHECK, params};
use sqlx::{Row, SqliteConnection};

/// What a pot keeps, each column followed by the sum of the rows that it stands for.
const FOLDS: &str = concat!(
    "SELECT leased, (SELECT ",
    saturated_sum!("granted - returned - spent"),
    " FROM lease
         WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4 AND state = 'open'),
        unattributed, (SELECT ",
    saturated_sum!("granted - returned - spent"),
    " FROM lease
         WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4 AND state = 'lost'),
        held, (SELECT ",
    saturated_sum!("amount"),
    " FROM hold
         WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4)
    FROM budget WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4"
);
const KEPT: [&str; 3] = ["leased", "unattributed", "held"];

/// `leased`, `unattributed` and `held` must be the sums of the rows that they stand for.
pub(super) async fn check(
    connection: &mut SqliteConnection,
    org: &OrgId,
    pot: &Pot,
) -> Result<(), Fault> {
    let row = sqlx::query(FOLDS)
        .bind(org.as_bytes().as_slice())
        .bind(pot.budget.as_bytes().as_slice())
        .bind(pot.span.starts.0)
        .bind(pot.span.ends.0)
        .fetch_one(connection)
        .await?;
    KEPT.iter().zip((0..).step_by(2)).try_for_each(|(kept, column)| {
        agree(pot, kept, (row.try_get(column)?, row.try_get(column + 1)?))
    })
}

/// [`check`] in the transaction of a shipment.
pub(super) fn check_shipped(connection: &Connection, org: &OrgId, pot: &Pot) -> Result<(), Fault> {
    let mut folds = connection.prepare_cached(FOLDS)?;
    let pot_key =
        params![org.as_bytes(), pot.budget.as_bytes(), pot.span.starts.0, pot.span.ends.0,];
    let mut rows = folds.query(pot_key)?;
    let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    KEPT.iter()
        .zip((0..).step_by(2))
        .try_for_each(|(kept, column)| agree(pot, kept, (row.get(column)?, row.get(column + 1)?)))
}

fn agree(pot: &Pot, kept: &str, (sum, fold): (i64, i64)) -> Result<(), Fault> {
    if sum == fold {
        return Ok(());
    }
    Err(Fault::Broken(format!("{}: {kept} is {sum}, its rows are {fold}", pot.budget)))
}

/// A statement that a `CHECK` of a table refused: a sum below zero, or a lease overdrawn.
pub(super) fn broken(cause: sqlx::Error) -> Fault {
    match cause.as_database_error() {
        Some(refused) if refused.is_check_violation() => Fault::Broken(refused.to_string()),
        Some(_) | None => Fault::Engine(cause),
    }
}

/// [`broken`] in the transaction of a shipment.
pub(super) fn broken_shipped(cause: rusqlite::Error) -> Fault {
    match cause.sqlite_error() {
        Some(refused) if refused.extended_code == SQLITE_CONSTRAINT_CHECK => {
            Fault::Broken(cause.to_string())
        }
        Some(_) | None => Fault::Sqlite(cause),
    }
}

/// Leases of this pot are no longer lost: it keeps as unattributed what the others are. How much
/// less that is.
pub(super) async fn forget_lost(
    connection: &mut SqliteConnection,
    org: &OrgId,
    pot: &Pot,
) -> Result<NanoUsd, Fault> {
    let name = |query| named(query, org, pot);
    let before: i64 = name(sqlx::query_scalar(
        "SELECT unattributed FROM budget
         WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4",
    ))
    .fetch_one(&mut *connection)
    .await?;
    let after: i64 = name(sqlx::query_scalar(concat!(
        "UPDATE budget SET unattributed = (SELECT ",
        saturated_sum!("granted - returned - spent"),
        " FROM lease
             WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4 AND state = 'lost')
         WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4 RETURNING unattributed",
    )))
    .fetch_one(connection)
    .await?;
    Ok(NanoUsd(before.saturating_sub(after)))
}

type Scalar<'q> = sqlx::query::QueryScalar<'q, sqlx::Sqlite, i64, sqlx::sqlite::SqliteArguments>;

fn named<'q>(query: Scalar<'q>, org: &OrgId, pot: &Pot) -> Scalar<'q> {
    query
        .bind(org.as_bytes().to_vec())
        .bind(pot.budget.as_bytes().to_vec())
        .bind(pot.span.starts.0)
        .bind(pot.span.ends.0)
}
