//! Pots, locked, made and read.

use super::{
    super::{Postgres, Sight, number, pot, row, saturate::saturated_sum, sized},
    Names, pass_gate,
};
use crate::{Fault, PotState, projection::Scope};
use policies::{
    budget::{Balance, Pot},
    document::{Document, Kind},
    ids::{OrgId, RequestId},
    money::NanoUsd,
    time::Timestamp,
};
use sqlx::{PgConnection, Postgres as Engine, QueryBuilder, Row, postgres::PgRow};
use std::collections::BTreeMap;

/// Members of a group that a new budget counts, at most.
const MEMBERS_MAX: usize = 10_000;

/// Those of the pots that have a balance; they are locked to the end of the transaction.
pub(super) async fn lock(
    connection: &mut PgConnection,
    org: &OrgId,
    names: &Names,
) -> Result<BTreeMap<Pot, Balance>, Fault> {
    // The rows are locked in the order of the sort, which is done before.
    let rows = sqlx::query(
        "SELECT budget.* FROM budget
         JOIN unnest($2::bytea[], $3::bigint[], $4::bigint[]) AS name (budget, starts, ends)
            USING (budget, starts, ends)
         WHERE org = $1 ORDER BY budget, starts, ends FOR UPDATE OF budget",
    )
    .bind(org.as_bytes().as_slice())
    .bind(&names.budgets)
    .bind(&names.starts)
    .bind(&names.ends)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((pot(row)?, balance(row)?))).collect()
}

/// Those of the pots that a document describes.
pub(super) async fn described(
    connection: &mut PgConnection,
    org: &OrgId,
    pots: &[Pot],
) -> Result<Vec<Pot>, Fault> {
    let budgets: Vec<_> = pots.iter().map(|pot| *pot.budget.as_bytes()).collect();
    let known: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT budget FROM budget_limit WHERE org = $1 AND budget = ANY ($2::bytea[])",
    )
    .bind(org.as_bytes().as_slice())
    .bind(budgets)
    .fetch_all(connection)
    .await?;
    let is_known = |pot: &&Pot| known.iter().any(|id| id.as_slice() == pot.budget.as_bytes());
    Ok(pots.iter().filter(is_known).copied().collect())
}

/// Gives pots their balances, in a transaction of its own: they begin with what their scopes'
/// records count by now. Somebody else may have been quicker.
pub(super) async fn make(store: &Postgres, org: &OrgId, pots: &[Pot]) -> Result<(), Fault> {
    let mut transaction = store.begin_in(org).await?;
    pass_gate(&mut transaction, org).await?;
    for pot in pots {
        make_one(&mut transaction, org, pot).await?;
    }
    Ok(transaction.commit().await?)
}

async fn make_one(connection: &mut PgConnection, org: &OrgId, pot: &Pot) -> Result<(), Fault> {
    let row = sqlx::query(
        "SELECT amount, scope_kind, scope_name FROM budget_limit WHERE org = $1 AND budget = $2",
    )
    .bind(org.as_bytes().as_slice())
    .bind(pot.budget.as_bytes().as_slice())
    .fetch_optional(&mut *connection)
    .await?;
    // Its document may have gone since.
    let Some(row) = row else { return Ok(()) };
    let scope = Scope::from_words(row.try_get("scope_kind")?, row.try_get("scope_name")?)?;
    let (settled, overrun) = spent(connection, org, pot, &scope).await?;
    sqlx::query(
        "INSERT INTO budget (org, budget, starts, ends, amount, settled, overrun)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
    )
    .bind(org.as_bytes().as_slice())
    .bind(pot.budget.as_bytes().as_slice())
    .bind(pot.span.starts.0)
    .bind(pot.span.ends.0)
    .bind(row.try_get::<i64, _>("amount")?)
    .bind(settled.0)
    .bind(overrun.0)
    .execute(connection)
    .await?;
    Ok(())
}

fn balance(row: &PgRow) -> Result<Balance, Fault> {
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
    connection: &mut PgConnection,
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
    connection: &mut PgConnection,
    org: &OrgId,
    scope: &Scope,
    query: &mut QueryBuilder<Engine>,
) -> Result<(), Fault> {
    let Scope::Named(kind, name) = scope else { return Ok(()) };
    let Some((id, document)) = object(connection, org, *kind, name).await? else {
        // Nothing has this name, so nothing was recorded for it.
        query.push(" AND false");
        return Ok(());
    };
    match kind {
        Kind::Unit => {
            query.push(" AND 0 < position(").push_bind(kind.id_text(id)).push(" IN unit_path)");
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
            let Document::Group(group) = document else { return Ok(()) };
            let members = group.members.iter().take(MEMBERS_MAX).cloned().collect();
            let users = users(connection, org, members).await?;
            query.push(" AND principal = ANY (").push_bind(users).push(")");
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

async fn users(
    connection: &mut PgConnection,
    org: &OrgId,
    names: Vec<String>,
) -> Result<Vec<Vec<u8>>, Fault> {
    let ids = sqlx::query_scalar(
        "SELECT id FROM object WHERE org = $1 AND kind = $2 AND name = ANY ($3)",
    )
    .bind(org.as_bytes().as_slice())
    .bind(Kind::User.word())
    .bind(names)
    .fetch_all(connection)
    .await?;
    Ok(ids)
}

async fn object(
    connection: &mut PgConnection,
    org: &OrgId,
    kind: Kind,
    name: &str,
) -> Result<Option<([u8; 16], Document)>, Fault> {
    let row = sqlx::query(
        "SELECT id, body::text AS body FROM object WHERE org = $1 AND kind = $2 AND name = $3",
    )
    .bind(org.as_bytes().as_slice())
    .bind(kind.word())
    .bind(name)
    .fetch_optional(connection)
    .await?;
    row.map(|row| Ok((sized(&row, "id")?, row::from_json(&row, "body")?))).transpose()
}

/// One statement: balances and holds are of one moment.
pub(super) async fn states(
    store: &Postgres,
    org: &OrgId,
    since: Timestamp,
) -> Result<Vec<PotState>, Fault> {
    let sql = format!(
        "SELECT budget.*, hold.request, hold.attempt, hold.amount AS counted
         FROM budget LEFT JOIN hold USING (org, budget, starts, ends)
         WHERE org = decode(current_setting('penstock.org'), 'hex') AND {} < ends
         ORDER BY budget, starts, ends, request, attempt",
        since.0
    );
    let rows = store.read(Sight::Org(org), &sql).await?;
    let mut states: Vec<PotState> = Vec::new();
    for row in &rows {
        let pot = pot(row)?;
        if states.last().is_none_or(|state| state.pot != pot) {
            states.push(PotState { pot, balance: balance(row)?, indeterminate: Vec::new() });
        }
        let Some(counted) = row.try_get::<Option<i64>, _>("counted")? else { continue };
        let request = RequestId::from_bytes(sized(row, "request")?);
        let held = (request, number(row, "attempt")?, NanoUsd(counted));
        if let Some(state) = states.last_mut() {
            state.indeterminate.push(held);
        }
    }
    Ok(states)
}
