//! `ship`: the rows of the journal come into the store, each once.
//!
//! This is what a request costs in the store. Its statements are prepared once and take one row
//! each, which binds and steps faster than statements of many rows.

use super::{
    super::{audit, decision, row, sized},
    fold,
};
use crate::{
    Fault, SHIPMENT_ROWS_MAX, Shipment,
    audit::Act,
    changes::{Changes, Growth, Side},
};
use policies::{
    budget::Pot,
    ids::{BootId, BudgetId, OrgId},
    money::NanoUsd,
    time::{Span, Timestamp},
    usage::{Decision, Outcome, UsageRecord},
};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::sync::{Arc, LazyLock};

static USAGE_INSERT: LazyLock<String> = LazyLock::new(|| {
    let (columns, places) = (row::COLUMNS.join(", "), ["?"; row::COLUMNS.len()].join(", "));
    format!("INSERT INTO usage ({columns}) VALUES ({places}) ON CONFLICT DO NOTHING")
});

/// One transaction, which has the write lock from its start on. How many of the records were not
/// there yet; with an act, nothing is changed if there is none.
pub(super) fn ship(
    connection: &mut Connection,
    org: &OrgId,
    rows: &Shipment,
    act: Option<&Act>,
) -> Result<usize, Fault> {
    check(org, rows)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let count = write(&transaction, org, rows)?;
    if let Some(act) = act {
        if count == 0 {
            return Ok(0);
        }
        audit::append_one(&transaction, org, act)?;
    }
    transaction.commit()?;
    Ok(count)
}

fn write(connection: &Connection, org: &OrgId, rows: &Shipment) -> Result<usize, Fault> {
    let new = insert_records(connection, &rows.records)?;
    let count = new.len();
    insert_decisions(connection, &rows.decisions)?;
    let (firsts, corrections): (Vec<_>, Vec<_>) =
        new.into_iter().partition(|record| record.part == 0);

    let mut changes = Changes::default();
    firsts.into_iter().for_each(|record| changes.record(record));
    hold(connection, org, &changes)?;
    for record in corrections {
        changes.correction(record);
        end_hold(connection, org, record, &mut changes)?;
    }
    apply(connection, org, changes)?;
    Ok(count)
}

/// A shipment is of one org and small; else its maker is broken.
fn check(org: &OrgId, rows: &Shipment) -> Result<(), Fault> {
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

/// The records that were not there yet.
fn insert_records<'r>(
    connection: &Connection,
    records: &'r [Arc<UsageRecord>],
) -> Result<Vec<&'r UsageRecord>, Fault> {
    let mut insert = connection.prepare_cached(&USAGE_INSERT)?;
    let mut new = Vec::with_capacity(records.len());
    for record in records {
        if row::insert(&mut insert, record)? {
            new.push(record.as_ref());
        }
    }
    Ok(new)
}

fn insert_decisions(connection: &Connection, decisions: &[Arc<Decision>]) -> Result<(), Fault> {
    let mut insert = connection.prepare_cached(decision::INSERT)?;
    decisions.iter().try_for_each(|it| decision::insert(&mut insert, it))
}

/// Keeps what attempts with unknown ends count above their cost, until they are resolved.
fn hold(connection: &Connection, org: &OrgId, changes: &Changes<'_>) -> Result<(), Fault> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO hold (org, request, attempt, budget, starts, ends, amount)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for (record, pot, held) in &changes.holds {
        insert.execute(params![
            org.as_bytes(),
            record.stamp.request.as_bytes(),
            record.stamp.attempt,
            pot.budget.as_bytes(),
            pot.span.starts.0,
            pot.span.ends.0,
            held.0,
        ])?;
    }
    Ok(())
}

/// A correction that knows the end of its attempt ends the hold of it.
fn end_hold(
    connection: &Connection,
    org: &OrgId,
    record: &UsageRecord,
    changes: &mut Changes<'_>,
) -> Result<(), Fault> {
    let attempt = params![org.as_bytes(), record.stamp.request.as_bytes(), record.stamp.attempt];
    let known = connection
        .prepare_cached(
            "SELECT 1 FROM usage WHERE org = ?1 AND request = ?2 AND attempt = ?3 AND part = 0",
        )?
        .exists(attempt)?;
    if !known {
        let message = format!("{}: a correction of no record", record.stamp.request);
        return Err(Fault::Broken(message));
    }
    if record.ending.outcome == Outcome::Indeterminate {
        return Ok(());
    }
    let mut delete = connection.prepare_cached(
        "DELETE FROM hold WHERE org = ?1 AND request = ?2 AND attempt = ?3
         RETURNING budget, starts, ends, amount",
    )?;
    let mut ended = delete.query(attempt)?;
    while let Some(row) = ended.next()? {
        let span = Span { starts: Timestamp(row.get(1)?), ends: Timestamp(row.get(2)?) };
        let budget = BudgetId::from_bytes(sized(&row.get::<_, Vec<u8>>(0)?, "budget")?);
        changes.freed(Pot { budget, span }, NanoUsd(row.get(3)?));
    }
    Ok(())
}

fn apply(connection: &Connection, org: &OrgId, mut changes: Changes<'_>) -> Result<(), Fault> {
    let leases = changes.spent.iter().map(|(lease, spent)| (*lease, spent.counted));
    for ((pot, boot), counted) in leases.collect::<Vec<_>>() {
        let side = spend(connection, org, (&pot, &boot), counted)?;
        changes.take_out(org, (pot, boot), side);
    }
    for (pot, growth) in &changes.pots {
        if grow(connection, org, pot, growth)? {
            fold::check_shipped(connection, org, pot)?;
        }
    }
    Ok(())
}

fn spend(
    connection: &Connection,
    org: &OrgId,
    (pot, boot): (&Pot, &BootId),
    spent: NanoUsd,
) -> Result<Side, Fault> {
    let mut update = connection.prepare_cached(
        "UPDATE lease SET spent = spent + ?6
         WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4 AND boot = ?5
            AND state <> 'closed'
         RETURNING state",
    )?;
    let lease = params![
        org.as_bytes(),
        pot.budget.as_bytes(),
        pot.span.starts.0,
        pot.span.ends.0,
        boot.as_bytes(),
        spent.0,
    ];
    let state = update.query_row(lease, |row| row.get::<_, String>(0)).optional();
    match state.map_err(fold::broken_shipped)?.as_deref() {
        Some("open") => Ok(Side::Open),
        Some("lost") => Ok(Side::Lost),
        Some(_) | None => Ok(Side::Gone),
    }
}

/// False if there is no such pot: nothing was ever granted of it.
fn grow(connection: &Connection, org: &OrgId, pot: &Pot, growth: &Growth) -> Result<bool, Fault> {
    // What leaves 64 bits is a float, and its cast the largest integer: it blocks the budget and
    // nobody's rows.
    let mut update = connection.prepare_cached(
        "UPDATE budget SET settled = CAST(settled + ?5 AS INTEGER),
            held = CAST(held + ?6 AS INTEGER), overrun = CAST(overrun + ?7 AS INTEGER),
            leased = leased + ?8, unattributed = unattributed + ?9
         WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4",
    )?;
    let updated = update.execute(params![
        org.as_bytes(),
        pot.budget.as_bytes(),
        pot.span.starts.0,
        pot.span.ends.0,
        growth.settled.0,
        growth.held.0,
        growth.overrun.0,
        growth.leased.0,
        growth.unattributed.0,
    ]);
    Ok(updated.map_err(fold::broken_shipped)? == 1)
}
