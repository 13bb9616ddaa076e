//! `sync`: takes slices, gives them back, renews.

use super::{fold, pots::find_or_make, recall};
use crate::{
    Answer, Fault, SELF_FENCE_MILLIS, SyncAsk, SyncReply,
    books::{Books, Lent, Verdict, named},
};
use policies::{
    budget::Pot,
    ids::{BootId, OrgId},
    money::NanoUsd,
    time::Timestamp,
};
use sqlx::{Row, SqliteConnection};
use std::collections::{BTreeMap, BTreeSet};

pub(super) async fn sync(
    connection: &mut SqliteConnection,
    org: &OrgId,
    boot: &BootId,
    ask: SyncAsk,
) -> Result<SyncReply, Fault> {
    if !is_open(connection, org, boot).await? {
        return Ok(SyncReply::Closed);
    }
    let Some(now) = recall::renew(connection, boot).await? else {
        return Ok(SyncReply::Closed);
    };
    let (mut books, recalled) = read(connection, org, boot, &ask, now).await?;
    for (pot, told) in &ask.returned {
        books.give_back(pot, *told)?;
    }
    let verdicts: Vec<_> = ask.needs.iter().map(|need| books.decide(need)).collect();
    for pot in &books.changed {
        write(connection, org, boot, (pot, &books)).await?;
    }
    let mut answers = Vec::with_capacity(verdicts.len());
    for verdict in verdicts {
        answers.push(match verdict {
            Verdict::Final(answer) => answer,
            Verdict::Lack(pots) => lack(connection, org, boot, &pots, &recalled).await?,
        });
    }
    recall::note(connection, (org, boot), &books.lacking(&answers, &ask), now).await?;
    for pot in &books.changed {
        fold::check(connection, org, pot).await?;
    }
    Ok(SyncReply::Open { answers, leases: books.states(&ask), now })
}

async fn is_open(
    connection: &mut SqliteConnection,
    org: &OrgId,
    boot: &BootId,
) -> Result<bool, Fault> {
    let open = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM boot WHERE id = ?1 AND state = 'open')
            AND NOT EXISTS (SELECT 1 FROM lease WHERE boot = ?1 AND org = ?2 AND state <> 'open')",
    )
    .bind(boot.as_bytes().as_slice())
    .bind(org.as_bytes().as_slice())
    .fetch_one(connection)
    .await?;
    Ok(open)
}

/// The books, and when each pot was recalled last.
async fn read(
    connection: &mut SqliteConnection,
    org: &OrgId,
    boot: &BootId,
    ask: &SyncAsk,
    now: Timestamp,
) -> Result<(Books, BTreeMap<Pot, Timestamp>), Fault> {
    let boots =
        sqlx::query_scalar("SELECT COUNT(*) FROM boot WHERE state = 'open' AND ?1 < last_seen")
            .bind(now.plus_millis(-SELF_FENCE_MILLIS).0)
            .fetch_one(&mut *connection)
            .await?;
    let (pots, leases, changed) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    let mut books = Books { now, boots, pots, leases, changed };
    let mut recalled = BTreeMap::new();
    for pot in named(ask) {
        if let Some(stored) = find_or_make(connection, org, &pot).await? {
            books.pots.insert(pot, stored.balance);
            recalled.extend(stored.recalled.map(|at| (pot, at)));
        }
        let row = sqlx::query(
            "SELECT granted, returned, spent FROM lease
             WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4 AND boot = ?5",
        )
        .bind(org.as_bytes().as_slice())
        .bind(pot.budget.as_bytes().as_slice())
        .bind(pot.span.starts.0)
        .bind(pot.span.ends.0)
        .bind(boot.as_bytes().as_slice())
        .fetch_optional(&mut *connection)
        .await?;
        let Some(row) = row else { continue };
        let lent = Lent {
            granted: NanoUsd(row.try_get("granted")?),
            returned: NanoUsd(row.try_get("returned")?),
            spent: NanoUsd(row.try_get("spent")?),
        };
        books.leases.insert(pot, lent);
    }
    Ok((books, recalled))
}

async fn write(
    connection: &mut SqliteConnection,
    org: &OrgId,
    boot: &BootId,
    (pot, books): (&Pot, &Books),
) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE budget SET leased = ?5
         WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4",
    )
    .bind(org.as_bytes().as_slice())
    .bind(pot.budget.as_bytes().as_slice())
    .bind(pot.span.starts.0)
    .bind(pot.span.ends.0)
    .bind(books.balance(pot).leased.0)
    .execute(&mut *connection)
    .await
    .map_err(fold::broken)?;
    let lent = books.leases.get(pot).copied().unwrap_or_default();
    sqlx::query(
        "INSERT INTO lease (org, budget, starts, ends, boot, granted, returned)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT DO UPDATE SET granted = excluded.granted, returned = excluded.returned",
    )
    .bind(org.as_bytes().as_slice())
    .bind(pot.budget.as_bytes().as_slice())
    .bind(pot.span.starts.0)
    .bind(pot.span.ends.0)
    .bind(boot.as_bytes().as_slice())
    .bind(lent.granted.0)
    .bind(lent.returned.0)
    .execute(connection)
    .await
    .map_err(fold::broken)?;
    Ok(())
}

/// Money may come back; `silent` when another boot that has some was not heard since the recall.
/// The boot that asks is heard.
async fn lack(
    connection: &mut SqliteConnection,
    org: &OrgId,
    asking: &BootId,
    lacking: &[Pot],
    recalled: &BTreeMap<Pot, Timestamp>,
) -> Result<Answer, Fault> {
    let mut silent = false;
    for pot in lacking {
        let Some(recalled) = recalled.get(pot) else { continue };
        let any: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM lease JOIN boot ON boot.id = lease.boot
             WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4
                AND lease.state = 'open' AND 0 < granted - returned - spent
                AND last_seen <= ?5 AND lease.boot <> ?6)",
        )
        .bind(org.as_bytes().as_slice())
        .bind(pot.budget.as_bytes().as_slice())
        .bind(pot.span.starts.0)
        .bind(pot.span.ends.0)
        .bind(recalled.0)
        .bind(asking.as_bytes().as_slice())
        .fetch_one(&mut *connection)
        .await?;
        silent |= any;
    }
    let budget = lacking.first().map(|pot| pot.budget);
    let budget = budget.ok_or_else(|| Fault::Broken("nothing is lacking".to_owned()))?;
    Ok(Answer::Lack { budget, silent })
}
