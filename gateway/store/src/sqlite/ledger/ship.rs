//! `ship`: the rows of the journal come into the store, each once.
//!
//! This is what a request costs in the store. Its statements are prepared once and take one row
//! each, which binds and steps faster than statements of many rows.

use super::{
    super::{decision, row, sized},
    fold,
};
use crate::{Fault, SHIPMENT_ROWS_MAX, Shipment};
use policies::{
    budget::Pot,
    ids::{BootId, BudgetId, OrgId},
    money::NanoUsd,
    time::{Span, Timestamp},
    usage::{Decision, Outcome, UsageRecord},
};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
};

static USAGE_INSERT: LazyLock<String> = LazyLock::new(|| {
    let (columns, places) = (row::COLUMNS.join(", "), ["?"; row::COLUMNS.len()].join(", "));
    format!("INSERT INTO usage ({columns}) VALUES ({places}) ON CONFLICT DO NOTHING")
});

/// What the inserted rows change, added up before anything is written.
#[derive(Default)]
struct Changes {
    /// What each lease spent.
    spent: BTreeMap<(Pot, BootId), NanoUsd>,
    pots: BTreeMap<Pot, Growth>,
}

/// What one pot's columns grow by.
#[derive(Clone, Copy, Default)]
struct Growth {
    settled: NanoUsd,
    held: NanoUsd,
    overrun: NanoUsd,
    leased: NanoUsd,
    unattributed: NanoUsd,
}

/// One transaction, which has the write lock from its start on.
pub(super) fn ship(connection: &mut Connection, org: &OrgId, rows: &Shipment) -> Result<(), Fault> {
    check(org, rows)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    write(&transaction, org, rows)?;
    transaction.commit()?;
    Ok(())
}

fn write(connection: &Connection, org: &OrgId, rows: &Shipment) -> Result<(), Fault> {
    let new = insert_records(connection, &rows.records)?;
    insert_decisions(connection, &rows.decisions)?;
    let (firsts, corrections): (Vec<_>, Vec<_>) =
        new.into_iter().partition(|record| record.part == 0);

    let mut changes = Changes::default();
    for record in firsts {
        if let Some((chain, held)) = changes.record(record) {
            hold(connection, org, record, &chain, held)?;
        }
    }
    for record in corrections {
        changes.correction(record);
        end_hold(connection, org, record, &mut changes)?;
    }
    changes.write(connection, org)
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

/// Keeps what an attempt with an unknown end counts above its cost, until it is resolved.
fn hold(
    connection: &Connection,
    org: &OrgId,
    record: &UsageRecord,
    chain: &BTreeSet<Pot>,
    held: NanoUsd,
) -> Result<(), Fault> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO hold (org, request, attempt, budget, starts, ends, amount)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for pot in chain {
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
    changes: &mut Changes,
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
        let growth = changes.pots.entry(Pot { budget, span }).or_default();
        growth.held = growth.held.minus(NanoUsd(row.get(3)?));
    }
    Ok(())
}

impl Changes {
    /// What an attempt cost and counts. Returned: what it holds on if its end is not known.
    fn record(&mut self, record: &UsageRecord) -> Option<(BTreeSet<Pot>, NanoUsd)> {
        let ending = &record.ending;
        let counted = ending.counted;
        let unknown = ending.outcome == Outcome::Indeterminate;
        // What has no price yet counts in full; what nobody has seen costs nothing yet.
        let without = if unknown { NanoUsd::ZERO } else { counted };
        let settled = ending.cost.unwrap_or(without).min(counted);
        let held = if unknown { counted.minus(settled) } else { NanoUsd::ZERO };
        let chain: BTreeSet<Pot> = record.stamp.chain.iter().copied().collect();
        for pot in &chain {
            let spent = self.spent.entry((*pot, record.stamp.boot)).or_default();
            *spent = spent.plus(counted);
            let growth = self.pots.entry(*pot).or_default();
            growth.settled = growth.settled.plus(settled);
            growth.held = growth.held.plus(held);
            growth.overrun = growth.overrun.plus(ending.overrun);
        }
        (NanoUsd::ZERO < held).then_some((chain, held))
    }

    /// The lease has spent what it has: a correction moves what was settled.
    fn correction(&mut self, record: &UsageRecord) {
        let cost = record.ending.cost.unwrap_or_default();
        for pot in record.stamp.chain.iter().copied().collect::<BTreeSet<_>>() {
            let growth = self.pots.entry(pot).or_default();
            growth.settled = growth.settled.plus(cost.minus(record.ending.overrun));
            growth.overrun = growth.overrun.plus(record.ending.overrun);
        }
    }

    fn write(mut self, connection: &Connection, org: &OrgId) -> Result<(), Fault> {
        for ((pot, boot), spent) in &self.spent {
            let growth = self.pots.entry(*pot).or_default();
            match spend(connection, org, (pot, boot), *spent)? {
                Some(Side::Open) => growth.leased = growth.leased.minus(*spent),
                Some(Side::Lost) => growth.unattributed = growth.unattributed.minus(*spent),
                None => {}
            }
        }
        for (pot, growth) in &self.pots {
            if grow(connection, org, pot, growth)? {
                fold::check_shipped(connection, org, pot)?;
            }
        }
        Ok(())
    }
}

/// Which column of the pot a lease is counted in.
enum Side {
    Open,
    Lost,
}

/// None if nothing is spent and there is no such lease: a free attempt needs none.
fn spend(
    connection: &Connection,
    org: &OrgId,
    (pot, boot): (&Pot, &BootId),
    spent: NanoUsd,
) -> Result<Option<Side>, Fault> {
    if spent == NanoUsd::ZERO {
        return Ok(None);
    }
    let mut update = connection.prepare_cached(
        "UPDATE lease SET spent = spent + ?6
         WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4 AND boot = ?5
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
        Some("open") => Ok(Some(Side::Open)),
        Some("lost") => Ok(Some(Side::Lost)),
        // A closed lease has given all back: there is nothing that this could have been spent of.
        Some(_) | None => Err(Fault::Broken(format!("{}: spent without a lease", pot.budget))),
    }
}

/// False if there is no such pot: nothing was ever granted of it.
fn grow(connection: &Connection, org: &OrgId, pot: &Pot, growth: &Growth) -> Result<bool, Fault> {
    let mut update = connection.prepare_cached(
        "UPDATE budget SET settled = settled + ?5, held = held + ?6, overrun = overrun + ?7,
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
