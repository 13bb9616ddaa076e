//! The sums that every transaction checks before it commits.

use super::{super::saturate::saturated_sum, Names};
use crate::Fault;
use policies::ids::{BudgetId, OrgId};
use sqlx::{PgConnection, Row};

/// Pots of which a sum is not that of its rows: `leased` and `unattributed` of leases, `held` of
/// holds.
const BROKEN: &str = concat!(
    "SELECT budget.budget, leased, unattributed, held, lent, lost, kept
    FROM unnest($2::bytea[], $3::bigint[], $4::bigint[]) AS name (budget, starts, ends)
    JOIN budget ON budget.org = $1 AND budget.budget = name.budget
        AND budget.starts = name.starts AND budget.ends = name.ends
    CROSS JOIN LATERAL (SELECT ",
    saturated_sum!("granted - returned - spent", " FILTER (WHERE state = 'open')"),
    " AS lent, ",
    saturated_sum!("granted - returned - spent", " FILTER (WHERE state = 'lost')"),
    " AS lost
        FROM lease WHERE lease.org = $1 AND lease.budget = name.budget
            AND lease.starts = name.starts AND lease.ends = name.ends) AS leases
    CROSS JOIN LATERAL (SELECT ",
    saturated_sum!("amount"),
    " AS kept
        FROM hold WHERE hold.org = $1 AND hold.budget = name.budget
            AND hold.starts = name.starts AND hold.ends = name.ends) AS holds
    WHERE (leased, unattributed, held) <> (lent, lost, kept)"
);

/// `leased`, `unattributed` and `held` must be the sums of the rows that they stand for.
pub(super) async fn check(
    connection: &mut PgConnection,
    org: &OrgId,
    names: &Names,
) -> Result<(), Fault> {
    if names.is_empty() {
        return Ok(());
    }
    let broken = sqlx::query(BROKEN)
        .bind(org.as_bytes().as_slice())
        .bind(&names.budgets)
        .bind(&names.starts)
        .bind(&names.ends)
        .fetch_optional(connection)
        .await?;
    let Some(row) = broken else { return Ok(()) };
    let budget = BudgetId::from_bytes(super::super::sized(&row, "budget")?);
    let mut message = format!("{budget}:");
    for (kept, rows) in [("leased", "lent"), ("unattributed", "lost"), ("held", "kept")] {
        let (sum, fold): (i64, i64) = (row.try_get(kept)?, row.try_get(rows)?);
        message.push_str(&format!(" {kept} is {sum}, its rows are {fold};"));
    }
    Err(Fault::Broken(message))
}

/// A statement that a `CHECK` of a table refused: a sum below zero, or a lease overdrawn.
pub(super) fn broken(cause: sqlx::Error) -> Fault {
    match cause.as_database_error() {
        Some(refused) if refused.is_check_violation() => Fault::Broken(refused.to_string()),
        Some(_) | None => Fault::Engine(cause),
    }
}
