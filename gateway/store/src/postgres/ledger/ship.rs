//! `ship`: the rows of the journal come into the store, each once.
//!
//! A shipment is a handful of statements, however many rows it has: an array for each column.

use super::{
    super::{Postgres, audit, pot, row, sized, text},
    Names, fold, pass_gate, pots,
};
use crate::{
    Fault, SHIPMENT_ROWS_MAX, Shipment,
    audit::Act,
    changes::{Changes, Side},
};
use policies::{
    budget::Pot,
    ids::{BootId, OrgId, RequestId},
    money::NanoUsd,
    usage::{Decision, Outcome, UsageRecord},
};
use sqlx::{PgConnection, Row};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A shipment is of one org and small; else its maker is broken.
pub(super) fn check(org: &OrgId, rows: &Shipment) -> Result<(), Fault> {
    let records = rows.records.iter().map(|record| record.stamp.org);
    let decisions = rows.decisions.iter().map(|decision| decision.org);
    if records.chain(decisions).any(|of| of != *org) {
        return Err(Fault::Broken("a row of another org in a shipment".to_owned()));
    }
    if SHIPMENT_ROWS_MAX < rows.records.len().max(rows.decisions.len()) {
        let message = format!("more than {SHIPMENT_ROWS_MAX} rows in a shipment");
        return Err(Fault::Broken(message));
    }
    Ok(())
}

pub(super) async fn ship(store: &Postgres, org: &OrgId, rows: &Shipment) -> Result<(), Fault> {
    if rows.records.is_empty() && rows.decisions.is_empty() {
        return Ok(());
    }
    let mut transaction = store.begin_in(org).await?;
    write(&mut transaction, org, rows).await?;
    Ok(transaction.commit().await?)
}

/// One correction with its act; false, and nothing changed, if its part is there already.
pub(super) async fn resolve(
    store: &Postgres,
    org: &OrgId,
    rows: &Shipment,
    act: &Act,
) -> Result<bool, Fault> {
    let mut transaction = store.begin_in(org).await?;
    if write(&mut transaction, org, rows).await? == 0 {
        return Ok(false);
    }
    audit::append(&mut transaction, org, vec![act.clone()], None).await?;
    transaction.commit().await?;
    Ok(true)
}

/// How many of the records were not there yet.
async fn write(
    connection: &mut PgConnection,
    org: &OrgId,
    rows: &Shipment,
) -> Result<usize, Fault> {
    pass_gate(connection, org).await?;
    let new = insert_records(connection, &rows.records).await?;
    let count = new.len();
    insert_decisions(connection, org, &rows.decisions).await?;
    let (firsts, corrections): (Vec<_>, Vec<_>) =
        new.into_iter().partition(|record| record.part == 0);

    let mut changes = Changes::default();
    firsts.into_iter().for_each(|record| changes.record(record));
    corrections.iter().for_each(|record| changes.correction(record));
    // A hold is on the pots of its attempt's chain, which its correction has as well.
    let names: Names = changes.pots.keys().collect();
    let there: BTreeSet<Pot> = pots::lock(connection, org, &names).await?.into_keys().collect();
    hold(connection, org, &changes).await?;
    end_holds(connection, org, &corrections, &mut changes).await?;
    spend(connection, org, &mut changes).await?;
    grow(connection, org, &changes).await?;
    fold::check(connection, org, &there.iter().collect()).await?;
    Ok(count)
}

/// The records that were not there yet, in their order.
async fn insert_records<'r>(
    connection: &mut PgConnection,
    records: &'r [Arc<UsageRecord>],
) -> Result<Vec<&'r UsageRecord>, Fault> {
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let all = records.iter().map(AsRef::as_ref).collect();
    let rows = row::bind(sqlx::query(row::INSERT.as_str()), all)?.fetch_all(connection).await?;
    let names = rows.iter().map(|row| {
        let request = RequestId::from_bytes(sized(row, "request")?);
        Ok((request, row.try_get("attempt")?, row.try_get("part")?))
    });
    let mut names = names.collect::<Result<BTreeSet<(RequestId, i64, i64)>, Fault>>()?;
    let mut is_new = |it: &UsageRecord| {
        names.remove(&(it.stamp.request, i64::from(it.stamp.attempt), i64::from(it.part)))
    };
    Ok(records.iter().map(AsRef::as_ref).filter(|record| is_new(record)).collect())
}

async fn insert_decisions(
    connection: &mut PgConnection,
    org: &OrgId,
    decisions: &[Arc<Decision>],
) -> Result<(), Fault> {
    if decisions.is_empty() {
        return Ok(());
    }
    let bodies = decisions.iter().map(|it| row::json(it.as_ref()));
    let refusals = decisions.iter().map(|it| it.refusal.as_deref().map(text));
    sqlx::query(
        "INSERT INTO decision (org, request, project, decided_at, verdict, refusal, body)
         SELECT $1, request, project, decided_at, verdict, refusal, body::jsonb
         FROM unnest($2::bytea[], $3::bytea[], $4::bigint[], $5::text[], $6::text[], $7::text[])
            AS it (request, project, decided_at, verdict, refusal, body)
         ON CONFLICT DO NOTHING",
    )
    .bind(org.as_bytes().as_slice())
    .bind(decisions.iter().map(|it| *it.request.as_bytes()).collect::<Vec<_>>())
    .bind(decisions.iter().map(|it| *it.project.as_bytes()).collect::<Vec<_>>())
    .bind(decisions.iter().map(|it| it.at.0).collect::<Vec<_>>())
    .bind(decisions.iter().map(|it| it.verdict.word()).collect::<Vec<_>>())
    .bind(refusals.collect::<Vec<_>>())
    .bind(bodies.collect::<Result<Vec<_>, Fault>>()?)
    .execute(connection)
    .await?;
    Ok(())
}

/// Keeps what attempts with unknown ends count above their cost, until they are resolved.
async fn hold(
    connection: &mut PgConnection,
    org: &OrgId,
    changes: &Changes<'_>,
) -> Result<(), Fault> {
    let holds = &changes.holds;
    if holds.is_empty() {
        return Ok(());
    }
    let stamps = || holds.iter().map(|(record, ..)| &record.stamp);
    let pots = || holds.iter().map(|(_, pot, _)| pot);
    sqlx::query(
        "INSERT INTO hold (org, request, attempt, budget, starts, ends, amount)
         SELECT $1, * FROM unnest($2::bytea[], $3::bigint[], $4::bytea[], $5::bigint[],
            $6::bigint[], $7::bigint[])",
    )
    .bind(org.as_bytes().as_slice())
    .bind(stamps().map(|it| *it.request.as_bytes()).collect::<Vec<_>>())
    .bind(stamps().map(|it| i64::from(it.attempt)).collect::<Vec<_>>())
    .bind(pots().map(|pot| *pot.budget.as_bytes()).collect::<Vec<_>>())
    .bind(pots().map(|pot| pot.span.starts.0).collect::<Vec<_>>())
    .bind(pots().map(|pot| pot.span.ends.0).collect::<Vec<_>>())
    .bind(holds.iter().map(|(_, _, amount)| amount.0).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Corrections that know the end of their attempts end the holds of them.
async fn end_holds(
    connection: &mut PgConnection,
    org: &OrgId,
    corrections: &[&UsageRecord],
    changes: &mut Changes<'_>,
) -> Result<(), Fault> {
    if corrections.is_empty() {
        return Ok(());
    }
    let attempts = |of: &[&UsageRecord]| -> (Vec<[u8; 16]>, Vec<i64>) {
        let stamps = of.iter().map(|it| &it.stamp);
        stamps.map(|it| (*it.request.as_bytes(), i64::from(it.attempt))).unzip()
    };
    let (requests, numbers) = attempts(corrections);
    let orphan: Option<Vec<u8>> = sqlx::query_scalar(
        "SELECT it.request FROM unnest($2::bytea[], $3::bigint[]) AS it (request, attempt)
         WHERE NOT EXISTS (SELECT FROM usage WHERE org = $1 AND usage.request = it.request
            AND usage.attempt = it.attempt AND part = 0) LIMIT 1",
    )
    .bind(org.as_bytes().as_slice())
    .bind(requests)
    .bind(numbers)
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(request) = orphan {
        let message = format!("{}: a correction of no record", hex::encode(request));
        return Err(Fault::Broken(message));
    }
    let known = corrections.iter().filter(|it| it.ending.outcome != Outcome::Indeterminate);
    let (requests, numbers) = attempts(&known.copied().collect::<Vec<_>>());
    let ended = sqlx::query(
        "DELETE FROM hold USING unnest($2::bytea[], $3::bigint[]) AS it (request, attempt)
         WHERE org = $1 AND hold.request = it.request AND hold.attempt = it.attempt
         RETURNING budget, starts, ends, amount",
    )
    .bind(org.as_bytes().as_slice())
    .bind(requests)
    .bind(numbers)
    .fetch_all(connection)
    .await?;
    for row in &ended {
        changes.freed(pot(row)?, NanoUsd(row.try_get("amount")?));
    }
    Ok(())
}

/// Takes what was spent out of the leases, and notes in which column each of them is counted.
async fn spend(
    connection: &mut PgConnection,
    org: &OrgId,
    changes: &mut Changes<'_>,
) -> Result<(), Fault> {
    if changes.spent.is_empty() {
        return Ok(());
    }
    let leases = || changes.spent.keys();
    let rows = sqlx::query(
        "UPDATE lease SET spent = lease.spent + it.spent
         FROM unnest($2::bytea[], $3::bigint[], $4::bigint[], $5::bytea[], $6::bigint[])
            AS it (budget, starts, ends, boot, spent)
         WHERE org = $1 AND lease.budget = it.budget AND lease.starts = it.starts
            AND lease.ends = it.ends AND lease.boot = it.boot AND state <> 'closed'
         RETURNING lease.budget, lease.starts, lease.ends, lease.boot, state = 'open' AS open",
    )
    .bind(org.as_bytes().as_slice())
    .bind(leases().map(|(pot, _)| *pot.budget.as_bytes()).collect::<Vec<_>>())
    .bind(leases().map(|(pot, _)| pot.span.starts.0).collect::<Vec<_>>())
    .bind(leases().map(|(pot, _)| pot.span.ends.0).collect::<Vec<_>>())
    .bind(leases().map(|(_, boot)| *boot.as_bytes()).collect::<Vec<_>>())
    .bind(changes.spent.values().map(|spent| spent.counted.0).collect::<Vec<_>>())
    .fetch_all(connection)
    .await
    .map_err(fold::broken)?;
    let mut sides: BTreeMap<(Pot, BootId), Side> =
        leases().map(|lease| (*lease, Side::Gone)).collect();
    for row in &rows {
        let lease = (pot(row)?, BootId::from_bytes(sized(row, "boot")?));
        let side = if row.try_get("open")? { Side::Open } else { Side::Lost };
        sides.insert(lease, side);
    }
    for (lease, side) in sides {
        changes.take_out(org, lease, side);
    }
    Ok(())
}

/// Pots that are not there stay so: nothing was ever granted of them.
async fn grow(
    connection: &mut PgConnection,
    org: &OrgId,
    changes: &Changes<'_>,
) -> Result<(), Fault> {
    if changes.pots.is_empty() {
        return Ok(());
    }
    let names: Names = changes.pots.keys().collect();
    let growth = || changes.pots.values();
    // A sum that leaves `bigint` stops at the largest: it blocks the budget and nobody's rows.
    sqlx::query(
        "UPDATE budget SET
            settled = LEAST(budget.settled::numeric + it.settled, 9223372036854775807)::bigint,
            held = LEAST(budget.held::numeric + it.held, 9223372036854775807)::bigint,
            overrun = LEAST(budget.overrun::numeric + it.overrun, 9223372036854775807)::bigint,
            leased = budget.leased + it.leased,
            unattributed = budget.unattributed + it.unattributed
         FROM unnest($2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
            $7::bigint[], $8::bigint[], $9::bigint[])
            AS it (budget, starts, ends, settled, held, overrun, leased, unattributed)
         WHERE org = $1 AND budget.budget = it.budget AND budget.starts = it.starts
            AND budget.ends = it.ends",
    )
    .bind(org.as_bytes().as_slice())
    .bind(names.budgets)
    .bind(names.starts)
    .bind(names.ends)
    .bind(growth().map(|it| it.settled.0).collect::<Vec<_>>())
    .bind(growth().map(|it| it.held.0).collect::<Vec<_>>())
    .bind(growth().map(|it| it.overrun.0).collect::<Vec<_>>())
    .bind(growth().map(|it| it.leased.0).collect::<Vec<_>>())
    .bind(growth().map(|it| it.unattributed.0).collect::<Vec<_>>())
    .execute(connection)
    .await
    .map_err(fold::broken)?;
    Ok(())
}
