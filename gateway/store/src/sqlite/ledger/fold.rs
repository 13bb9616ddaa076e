//! The sums that every transaction checks before it commits.

use super::super::pot as read_pot;
use crate::Fault;
use policies::{budget::Pot, ids::OrgId};
use sqlx::{Row, SqliteConnection};

/// `leased`, `unattributed` and `held` must be the sums of the rows that they stand for.
pub(super) async fn check(
    connection: &mut SqliteConnection,
    org: &OrgId,
    pot: &Pot,
) -> Result<(), Fault> {
    let row = sqlx::query(
        "SELECT budget, starts, ends, leased, unattributed, held,
            (SELECT COALESCE(SUM(granted - returned - spent), 0) FROM lease
             WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4 AND state = 'open')
                AS open_leases,
            (SELECT COALESCE(SUM(granted - returned - spent), 0) FROM lease
             WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4 AND state = 'lost')
                AS lost_leases,
            (SELECT COALESCE(SUM(amount), 0) FROM hold
             WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4) AS holds
         FROM budget WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4",
    )
    .bind(org.as_bytes().as_slice())
    .bind(pot.budget.as_bytes().as_slice())
    .bind(pot.span.starts.0)
    .bind(pot.span.ends.0)
    .fetch_one(connection)
    .await?;
    for (kept, fold) in
        [("leased", "open_leases"), ("unattributed", "lost_leases"), ("held", "holds")]
    {
        let (kept_sum, fold_sum): (i64, i64) = (row.try_get(kept)?, row.try_get(fold)?);
        if kept_sum != fold_sum {
            let budget = read_pot(&row)?.budget;
            let message = format!("{budget}: {kept} is {kept_sum}, its rows are {fold_sum}");
            return Err(Fault::Broken(message));
        }
    }
    Ok(())
}

/// A statement that a `CHECK` of a table refused: a sum below zero, or a lease overdrawn.
pub(super) fn broken(cause: sqlx::Error) -> Fault {
    match cause.as_database_error() {
        Some(refused) if refused.is_check_violation() => Fault::Broken(refused.to_string()),
        Some(_) | None => Fault::Engine(cause),
    }
}
