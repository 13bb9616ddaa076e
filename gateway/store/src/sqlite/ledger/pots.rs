//! Pots, read and made.

use super::super::{bytes, pot, row, saturate::saturated_sum};
use crate::{Fault, PotState, projection::Scope};
use policies::{
    budget::{Balance, Pot},
    document::{Document, Kind},
    ids::{OrgId, RequestId},
    money::NanoUsd,
    time::Timestamp,
};
use sqlx::{QueryBuilder, Row, Sqlite as Engine, SqliteConnection, sqlite::SqliteRow};

/// Members of a group that a new budget counts, at most.
const MEMBERS_MAX: usize = 10_000;

/// A pot as the store has it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stored {
    pub(super) balance: Balance,
    pub(super) recalled: Option<Timestamp>,
}

/// The pot, made anew if it has no balance yet. None for a budget that no document describes.
pub(super) async fn find_or_make(
    connection: &mut SqliteConnection,
    org: &OrgId,
    pot: &Pot,
) -> Result<Option<Stored>, Fault> {
    if let Some(stored) = find(connection, org, pot).await? {
        return Ok(Some(stored));
    }
    let row = sqlx::query(
        "SELECT amount, scope_kind, scope_name FROM budget_limit WHERE org = ?1 AND budget = ?2",
    )
    .bind(org.as_bytes().as_slice())
    .bind(pot.budget.as_bytes().as_slice())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let scope = Scope::from_words(row.try_get("scope_kind")?, row.try_get("scope_name")?)?;
    let (settled, overrun) = spent(connection, org, pot, &scope).await?;
    let limit = NanoUsd(row.try_get("amount")?);
    sqlx::query(
        "INSERT INTO budget (org, budget, starts, ends, amount, settled, overrun)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )
    .bind(org.as_bytes().as_slice())
    .bind(pot.budget.as_bytes().as_slice())
    .bind(pot.span.starts.0)
    .bind(pot.span.ends.0)
    .bind(limit.0)
    .bind(settled.0)
    .bind(overrun.0)
    .execute(connection)
    .await?;
    let balance = Balance { limit, settled, overrun, ..Balance::default() };
    Ok(Some(Stored { balance, recalled: None }))
}

async fn find(
    connection: &mut SqliteConnection,
    org: &OrgId,
    pot: &Pot,
) -> Result<Option<Stored>, Fault> {
    let row = sqlx::query(
        "SELECT * FROM budget WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4",
    )
    .bind(org.as_bytes().as_slice())
    .bind(pot.budget.as_bytes().as_slice())
    .bind(pot.span.starts.0)
    .bind(pot.span.ends.0)
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let recalled = row.try_get::<Option<i64>, _>("recalled")?.map(Timestamp);
    Ok(Some(Stored { balance: balance(&row)?, recalled }))
}

fn balance(row: &SqliteRow) -> Result<Balance, Fault> {
    Ok(Balance {
        limit: NanoUsd(row.try_get("amount")?),
        settled: NanoUsd(row.try_get("settled")?),
        held: NanoUsd(row.try_get("held")?),
        leased: NanoUsd(row.try_get("leased")?),
        unattributed: NanoUsd(row.try_get("unattributed")?),
        overrun: NanoUsd(row.try_get("overrun")?),
    })
}

/// What a scope's records of a span count already, and their overrun. An attempt whose cost is
/// not known counts at its maximum here as anywhere.
async fn spent(
    connection: &mut SqliteConnection,
    org: &OrgId,
    pot: &Pot,
    scope: &Scope,
) -> Result<(NanoUsd, NanoUsd), Fault> {
    let mut query = QueryBuilder::<Engine>::new(concat!(
        "SELECT ",
        saturated_sum!("counted"),
        " AS counted, ",
        saturated_sum!("overrun"),
        " AS overrun FROM usage WHERE org = ",
    ));
    query.push_bind(org.as_bytes().to_vec());
    query.push(" AND ").push_bind(pot.span.starts.0).push(" <= admitted_at AND admitted_at < ");
    query.push_bind(pot.span.ends.0);
    narrow(connection, org, scope, &mut query).await?;
    let row = query.build().fetch_one(connection).await?;
    let (counted, overrun): (i64, i64) = (row.try_get("counted")?, row.try_get("overrun")?);
    Ok((NanoUsd(counted).at_least_zero(), NanoUsd(overrun).at_least_zero()))
}

async fn narrow(
    connection: &mut SqliteConnection,
    org: &OrgId,
    scope: &Scope,
    query: &mut QueryBuilder<Engine>,
) -> Result<(), Fault> {
    let Scope::Named(kind, name) = scope else { return Ok(()) };
    let Some((id, document)) = object(connection, org, *kind, name).await? else {
        // Nothing has this name, so nothing was recorded for it.
        query.push(" AND 0");
        return Ok(());
    };
    match kind {
        Kind::Unit => {
            query.push(" AND 0 < instr(unit_path, ").push_bind(kind.id_text(id)).push(")");
        }
        Kind::Project => {
            query.push(" AND project = ").push_bind(id.to_vec());
        }
        Kind::Key => {
            query.push(" AND key = ").push_bind(id.to_vec());
        }
        Kind::User | Kind::ServiceAccount => {
            query.push(" AND principal = ").push_bind(id.to_vec());
        }
        Kind::Deployment => {
            query.push(" AND deployment = ").push_bind(id.to_vec());
        }
        Kind::Tier => {
            query.push(" AND tier = ").push_bind(name.clone());
        }
        Kind::Group => {
            query.push(" AND principal IN (0");
            let Document::Group(group) = document else { return Ok(()) };
            for member in group.members.iter().take(MEMBERS_MAX) {
                if let Some((user, _)) = object(connection, org, Kind::User, member).await? {
                    query.push(", ").push_bind(user.to_vec());
                }
            }
            query.push(")");
        }
        Kind::Org
        | Kind::Role
        | Kind::IdentityProvider
        | Kind::WorkloadIdentity
        | Kind::AdminKey
        | Kind::Invite
        | Kind::LimitRequest
        | Kind::Provider
        | Kind::Model
        | Kind::Price
        | Kind::Limit
        | Kind::Budget
        | Kind::Policy => {}
    }
    Ok(())
}

async fn object(
    connection: &mut SqliteConnection,
    org: &OrgId,
    kind: Kind,
    name: &str,
) -> Result<Option<([u8; 16], Document)>, Fault> {
    let row = sqlx::query("SELECT id, body FROM object WHERE org = ?1 AND kind = ?2 AND name = ?3")
        .bind(org.as_bytes().as_slice())
        .bind(kind.word())
        .bind(name)
        .fetch_optional(connection)
        .await?;
    row.map(|row| Ok((bytes(&row, "id")?, row::from_json(&row, "body")?))).transpose()
}

pub(super) async fn states(
    connection: &mut SqliteConnection,
    org: &OrgId,
    since: Timestamp,
) -> Result<Vec<PotState>, Fault> {
    let rows = sqlx::query(
        "SELECT * FROM budget WHERE org = ?1 AND ?2 < ends ORDER BY budget, starts, ends",
    )
    .bind(org.as_bytes().as_slice())
    .bind(since.0)
    .fetch_all(&mut *connection)
    .await?;
    let mut states = Vec::with_capacity(rows.len());
    for row in &rows {
        let pot = pot(row)?;
        let indeterminate = indeterminate(connection, org, &pot).await?;
        states.push(PotState { pot, balance: balance(row)?, indeterminate });
    }
    Ok(states)
}

async fn indeterminate(
    connection: &mut SqliteConnection,
    org: &OrgId,
    pot: &Pot,
) -> Result<Vec<(RequestId, u32, NanoUsd)>, Fault> {
    let rows = sqlx::query(
        "SELECT request, attempt, amount FROM hold
         WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4 ORDER BY request, attempt",
    )
    .bind(org.as_bytes().as_slice())
    .bind(pot.budget.as_bytes().as_slice())
    .bind(pot.span.starts.0)
    .bind(pot.span.ends.0)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let request = RequestId::from_bytes(bytes(row, "request")?);
            Ok((request, row::number(row, "attempt")?, NanoUsd(row.try_get("amount")?)))
        })
        .collect()
}
