//! `sync`: takes slices, gives them back, renews.

use super::{
    super::{Postgres, pot},
    Names, fold, pots, recall,
};
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
use sqlx::{PgConnection, Row};
use std::collections::{BTreeMap, BTreeSet};

/// How often pots are made for one message: once, and again where a change of settings took a
/// budget away and brought it back in between.
const MAKES_MAX: u32 = 3;

/// What one transaction came to.
enum Tried {
    Replied(SyncReply),
    /// These pots have to be made first; nothing was changed.
    Missing(Vec<Pot>),
}

pub(super) async fn sync(
    store: &Postgres,
    org: &OrgId,
    boot: &BootId,
    ask: &SyncAsk,
) -> Result<SyncReply, Fault> {
    for _ in 0..MAKES_MAX {
        match attempt(store, org, boot, ask).await? {
            Tried::Replied(reply) => return Ok(reply),
            // The gate comes before the pots, and is not needed most of the time.
            Tried::Missing(missing) => pots::make(store, org, &missing).await?,
        }
    }
    Err(Fault::Away("the budgets change too often".to_owned()))
}

async fn attempt(
    store: &Postgres,
    org: &OrgId,
    boot: &BootId,
    ask: &SyncAsk,
) -> Result<Tried, Fault> {
    let mut transaction = store.begin_in(org).await?;
    let connection = &mut *transaction;
    let Some((now, boots)) = hear(connection, org, boot).await? else {
        return Ok(Tried::Replied(SyncReply::Closed));
    };
    let wanted = named(ask);
    let names: Names = wanted.iter().collect();
    let pots = pots::lock(connection, org, &names).await?;
    let leases = lock_leases(connection, org, boot, &names).await?;
    let mut books = Books { now, boots, pots, leases, changed: BTreeSet::new() };
    for (pot, told) in &ask.returned {
        books.give_back(pot, *told)?;
    }
    let there = |pot: &Pot| books.pots.contains_key(pot);
    let missing: Vec<Pot> = wanted.into_iter().filter(|pot| !there(pot)).collect();
    if !missing.is_empty() {
        let missing = pots::described(connection, org, &missing).await?;
        if !missing.is_empty() {
            return Ok(Tried::Missing(missing));
        }
    }

    let verdicts: Vec<_> = ask.needs.iter().map(|need| books.decide(need)).collect();
    write(connection, org, boot, &books).await?;
    let answers = answers(connection, org, boot, verdicts).await?;
    let lacking = books.lacking(&answers, ask);
    recall::note(connection, (org, boot), &lacking.iter().collect(), now).await?;
    fold::check(connection, org, &books.changed.iter().collect()).await?;
    let leases = books.states(ask);
    transaction.commit().await?;
    Ok(Tried::Replied(SyncReply::Open { answers, leases, now }))
}

/// Locks the boot. The time, and how many gateways are alive; none if the boot, or one of its
/// leases, is not open.
async fn hear(
    connection: &mut PgConnection,
    org: &OrgId,
    boot: &BootId,
) -> Result<Option<(Timestamp, i64)>, Fault> {
    let now: Option<i64> = sqlx::query_scalar(
        "UPDATE boot SET last_seen = greatest(last_seen, ledger_now())
         WHERE id = $1 AND state = 'open' RETURNING ledger_now()",
    )
    .bind(boot.as_bytes().as_slice())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(now) = now.map(Timestamp) else { return Ok(None) };
    let row = sqlx::query(
        "SELECT EXISTS (SELECT FROM lease WHERE boot = $1 AND org = $2 AND state <> 'open')
                AS ended,
            (SELECT count(*) FROM boot WHERE state = 'open' AND $3 < last_seen) AS boots",
    )
    .bind(boot.as_bytes().as_slice())
    .bind(org.as_bytes().as_slice())
    .bind(now.plus_millis(-SELF_FENCE_MILLIS).0)
    .fetch_one(connection)
    .await?;
    if row.try_get("ended")? {
        return Ok(None);
    }
    Ok(Some((now, row.try_get("boots")?)))
}

async fn lock_leases(
    connection: &mut PgConnection,
    org: &OrgId,
    boot: &BootId,
    names: &Names,
) -> Result<BTreeMap<Pot, Lent>, Fault> {
    let rows = sqlx::query(
        "SELECT lease.* FROM lease
         JOIN unnest($2::bytea[], $3::bigint[], $4::bigint[]) AS name (budget, starts, ends)
            USING (budget, starts, ends)
         WHERE org = $1 AND boot = $5 ORDER BY budget, starts, ends FOR UPDATE OF lease",
    )
    .bind(org.as_bytes().as_slice())
    .bind(&names.budgets)
    .bind(&names.starts)
    .bind(&names.ends)
    .bind(boot.as_bytes().as_slice())
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let lent = Lent {
                granted: NanoUsd(row.try_get("granted")?),
                returned: NanoUsd(row.try_get("returned")?),
                spent: NanoUsd(row.try_get("spent")?),
            };
            Ok((pot(row)?, lent))
        })
        .collect()
}

/// Brings pots and leases to what the books say, in one statement. The pots are locked, so that
/// nothing else has changed them.
async fn write(
    connection: &mut PgConnection,
    org: &OrgId,
    boot: &BootId,
    books: &Books,
) -> Result<(), Fault> {
    if books.changed.is_empty() {
        return Ok(());
    }
    let names: Names = books.changed.iter().collect();
    let pots = || books.changed.iter();
    let lent = |pot: &Pot| books.leases.get(pot).copied().unwrap_or_default();
    sqlx::query(
        "WITH told AS (
            SELECT * FROM unnest($3::bytea[], $4::bigint[], $5::bigint[], $6::bigint[],
                $7::bigint[], $8::bigint[])
                AS told (budget, starts, ends, leased, granted, returned)
         ), lent AS (
            INSERT INTO lease (org, budget, starts, ends, boot, granted, returned)
            SELECT $1, budget, starts, ends, $2, granted, returned FROM told
            ON CONFLICT (org, budget, starts, ends, boot)
                DO UPDATE SET granted = excluded.granted, returned = excluded.returned
         )
         UPDATE budget SET leased = told.leased FROM told
         WHERE org = $1 AND budget.budget = told.budget
            AND budget.starts = told.starts AND budget.ends = told.ends",
    )
    .bind(org.as_bytes().as_slice())
    .bind(boot.as_bytes().as_slice())
    .bind(names.budgets)
    .bind(names.starts)
    .bind(names.ends)
    .bind(pots().map(|pot| books.balance(pot).leased.0).collect::<Vec<_>>())
    .bind(pots().map(|pot| lent(pot).granted.0).collect::<Vec<_>>())
    .bind(pots().map(|pot| lent(pot).returned.0).collect::<Vec<_>>())
    .execute(connection)
    .await
    .map_err(fold::broken)?;
    Ok(())
}

/// What is lacking may come back; `silent` when another boot that has some was not heard since
/// the recall.
async fn answers(
    connection: &mut PgConnection,
    org: &OrgId,
    asking: &BootId,
    verdicts: Vec<Verdict>,
) -> Result<Vec<Answer>, Fault> {
    let lacking: Names = verdicts
        .iter()
        .flat_map(|verdict| match verdict {
            Verdict::Final(_) => &[][..],
            Verdict::Lack(pots) => pots.as_slice(),
        })
        .collect();
    let silent = if lacking.is_empty() {
        BTreeSet::new()
    } else {
        silent(connection, org, asking, lacking).await?
    };
    let answer = |verdict| match verdict {
        Verdict::Final(answer) => Ok(answer),
        Verdict::Lack(pots) => {
            let budget = pots.first().map(|pot| pot.budget);
            let budget = budget.ok_or_else(|| Fault::Broken("nothing is lacking".to_owned()))?;
            Ok(Answer::Lack { budget, silent: pots.iter().any(|pot| silent.contains(pot)) })
        }
    };
    verdicts.into_iter().map(answer).collect()
}

/// The pots of which a boot has something that was not heard since they were recalled. The boot
/// that asks is heard.
async fn silent(
    connection: &mut PgConnection,
    org: &OrgId,
    asking: &BootId,
    names: Names,
) -> Result<BTreeSet<Pot>, Fault> {
    let rows = sqlx::query(
        "SELECT DISTINCT budget, starts, ends FROM budget
         JOIN unnest($2::bytea[], $3::bigint[], $4::bigint[]) AS name (budget, starts, ends)
            USING (budget, starts, ends)
         JOIN lease USING (org, budget, starts, ends) JOIN boot ON boot.id = lease.boot
         WHERE org = $1 AND lease.state = 'open' AND 0 < granted - returned - spent
            AND last_seen <= budget.recalled AND lease.boot <> $5",
    )
    .bind(org.as_bytes().as_slice())
    .bind(names.budgets)
    .bind(names.starts)
    .bind(names.ends)
    .bind(asking.as_bytes().as_slice())
    .fetch_all(connection)
    .await?;
    rows.iter().map(pot).collect()
}
