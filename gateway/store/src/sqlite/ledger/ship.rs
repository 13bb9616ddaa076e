//! `ship`: the rows of the journal come into the store, each once.

use super::{
    super::{bytes, pot as read_pot, row, row::COLUMNS},
    fold,
};
use crate::{Fault, SHIPMENT_ROWS_MAX, Shipment};
use policies::{
    budget::Pot,
    ids::{BootId, OrgId, RequestId},
    money::NanoUsd,
    usage::{Decision, Outcome, UsageRecord},
};
use sqlx::{Row, SqliteConnection};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::LazyLock,
};

/// Rows in one statement: few shapes, so that all stay prepared.
const BATCHES: [usize; 3] = [64, 8, 1];
const DECISION_COLUMNS: usize = 7;

static USAGE_INSERTS: LazyLock<[String; 3]> = LazyLock::new(|| {
    BATCHES.map(|rows| {
        format!(
            "INSERT INTO usage ({}) VALUES {} ON CONFLICT DO NOTHING
             RETURNING request, attempt, part",
            COLUMNS.join(", "),
            places(rows, COLUMNS.len())
        )
    })
});

static DECISION_INSERTS: LazyLock<[String; 3]> = LazyLock::new(|| {
    BATCHES.map(|rows| {
        format!(
            "INSERT INTO decision (org, request, project, decided_at, verdict, refusal, body)
             VALUES {} ON CONFLICT DO NOTHING",
            places(rows, DECISION_COLUMNS)
        )
    })
});

/// A row's name within its org.
type Name = (RequestId, u32, u32);

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

pub(super) async fn ship(
    connection: &mut SqliteConnection,
    org: &OrgId,
    rows: &Shipment,
) -> Result<(), Fault> {
    check(org, rows)?;
    let mut inserted = insert_records(connection, &rows.records).await?;
    insert_decisions(connection, &rows.decisions).await?;
    let new = rows.records.iter().filter(|record| inserted.remove(&name(record)));
    let (firsts, corrections): (Vec<_>, Vec<_>) = new.partition(|record| record.part == 0);

    let mut changes = Changes::default();
    for record in firsts {
        if let Some((chain, held)) = changes.record(record) {
            hold(connection, org, record, &chain, held).await?;
        }
    }
    for record in corrections {
        changes.correction(record);
        end_hold(connection, org, record, &mut changes).await?;
    }
    changes.write(connection, org).await
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

fn name(record: &UsageRecord) -> Name {
    (record.stamp.request, record.stamp.attempt, record.part)
}

/// `(?, ?), (?, ?)` for two rows of two columns.
fn places(rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(", "));
    vec![row; rows].join(", ")
}

/// The rows in slices as long as the prepared statements, each with its statement.
fn batches<'r, T>(
    mut rows: &'r [T],
    inserts: &'static [String; 3],
) -> impl Iterator<Item = (&'r [T], &'static str)> {
    std::iter::from_fn(move || {
        let (size, sql) = BATCHES.iter().zip(inserts).find(|(size, _)| **size <= rows.len())?;
        let (batch, rest) = rows.split_at_checked(*size)?;
        rows = rest;
        Some((batch, sql.as_str()))
    })
}

async fn insert_records(
    connection: &mut SqliteConnection,
    records: &[UsageRecord],
) -> Result<HashSet<Name>, Fault> {
    let mut inserted = HashSet::with_capacity(records.len());
    for (batch, sql) in batches(records, &USAGE_INSERTS) {
        let mut query = sqlx::query(sql);
        for record in batch {
            query = row::bind(query, record)?;
        }
        for row in query.fetch_all(&mut *connection).await? {
            let request = RequestId::from_bytes(bytes(&row, "request")?);
            inserted.insert((request, row::number(&row, "attempt")?, row::number(&row, "part")?));
        }
    }
    Ok(inserted)
}

async fn insert_decisions(
    connection: &mut SqliteConnection,
    decisions: &[Decision],
) -> Result<(), Fault> {
    for (batch, sql) in batches(decisions, &DECISION_INSERTS) {
        let mut query = sqlx::query(sql);
        for it in batch {
            query = query
                .bind(it.org.as_bytes().as_slice())
                .bind(it.request.as_bytes().as_slice())
                .bind(it.project.as_bytes().as_slice())
                .bind(it.at.0)
                .bind(it.verdict.word())
                .bind(it.refusal.as_deref())
                .bind(row::json(it)?);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Keeps what an attempt with an unknown end counts above its cost, until it is resolved.
async fn hold(
    connection: &mut SqliteConnection,
    org: &OrgId,
    record: &UsageRecord,
    chain: &BTreeSet<Pot>,
    held: NanoUsd,
) -> Result<(), Fault> {
    for pot in chain {
        sqlx::query(
            "INSERT INTO hold (org, request, attempt, budget, starts, ends, amount)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .bind(org.as_bytes().as_slice())
        .bind(record.stamp.request.as_bytes().as_slice())
        .bind(i64::from(record.stamp.attempt))
        .bind(pot.budget.as_bytes().as_slice())
        .bind(pot.span.starts.0)
        .bind(pot.span.ends.0)
        .bind(held.0)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// A correction that knows the end of its attempt ends the hold of it.
async fn end_hold(
    connection: &mut SqliteConnection,
    org: &OrgId,
    record: &UsageRecord,
    changes: &mut Changes,
) -> Result<(), Fault> {
    let known: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM usage
         WHERE org = ?1 AND request = ?2 AND attempt = ?3 AND part = 0)",
    )
    .bind(org.as_bytes().as_slice())
    .bind(record.stamp.request.as_bytes().as_slice())
    .bind(i64::from(record.stamp.attempt))
    .fetch_one(&mut *connection)
    .await?;
    if !known {
        let message = format!("{}: a correction of no record", record.stamp.request);
        return Err(Fault::Broken(message));
    }
    if record.ending.outcome == Outcome::Indeterminate {
        return Ok(());
    }
    let rows = sqlx::query(
        "DELETE FROM hold WHERE org = ?1 AND request = ?2 AND attempt = ?3
         RETURNING budget, starts, ends, amount",
    )
    .bind(org.as_bytes().as_slice())
    .bind(record.stamp.request.as_bytes().as_slice())
    .bind(i64::from(record.stamp.attempt))
    .fetch_all(&mut *connection)
    .await?;
    for row in &rows {
        let growth = changes.pots.entry(read_pot(row)?).or_default();
        growth.held = growth.held.minus(NanoUsd(row.try_get("amount")?));
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

    async fn write(mut self, connection: &mut SqliteConnection, org: &OrgId) -> Result<(), Fault> {
        for ((pot, boot), spent) in &self.spent {
            let growth = self.pots.entry(*pot).or_default();
            match spend(connection, org, (pot, boot), *spent).await? {
                Some(Side::Open) => growth.leased = growth.leased.minus(*spent),
                Some(Side::Lost) => growth.unattributed = growth.unattributed.minus(*spent),
                None => {}
            }
        }
        for (pot, growth) in &self.pots {
            if grow(connection, org, pot, growth).await? {
                fold::check(connection, org, pot).await?;
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
async fn spend(
    connection: &mut SqliteConnection,
    org: &OrgId,
    (pot, boot): (&Pot, &BootId),
    spent: NanoUsd,
) -> Result<Option<Side>, Fault> {
    if spent == NanoUsd::ZERO {
        return Ok(None);
    }
    let state: Option<String> = sqlx::query_scalar(
        "UPDATE lease SET spent = spent + ?6
         WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4 AND boot = ?5
         RETURNING state",
    )
    .bind(org.as_bytes().as_slice())
    .bind(pot.budget.as_bytes().as_slice())
    .bind(pot.span.starts.0)
    .bind(pot.span.ends.0)
    .bind(boot.as_bytes().as_slice())
    .bind(spent.0)
    .fetch_optional(connection)
    .await
    .map_err(fold::broken)?;
    match state.as_deref() {
        Some("open") => Ok(Some(Side::Open)),
        Some("lost") => Ok(Some(Side::Lost)),
        // A closed lease has given all back: there is nothing that this could have been spent of.
        Some(_) | None => Err(Fault::Broken(format!("{}: spent without a lease", pot.budget))),
    }
}

/// False if there is no such pot: nothing was ever granted of it.
async fn grow(
    connection: &mut SqliteConnection,
    org: &OrgId,
    pot: &Pot,
    growth: &Growth,
) -> Result<bool, Fault> {
    let updated = sqlx::query(
        "UPDATE budget SET settled = settled + ?5, held = held + ?6, overrun = overrun + ?7,
            leased = leased + ?8, unattributed = unattributed + ?9
         WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4",
    )
    .bind(org.as_bytes().as_slice())
    .bind(pot.budget.as_bytes().as_slice())
    .bind(pot.span.starts.0)
    .bind(pot.span.ends.0)
    .bind(growth.settled.0)
    .bind(growth.held.0)
    .bind(growth.overrun.0)
    .bind(growth.leased.0)
    .bind(growth.unattributed.0)
    .execute(connection)
    .await
    .map_err(fold::broken)?;
    Ok(updated.rows_affected() == 1)
}
