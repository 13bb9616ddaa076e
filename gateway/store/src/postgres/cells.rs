//! [`Cells`] in PostgreSQL: a row for each window.
//!
//! Locks in one order: the teller's row, then the windows by name. Rows that are missing are made
//! before, by themselves. Nothing here waits for a disk: the tables may be lost.

use super::{Postgres, Sight, again, bounded, sized, unreadable};
use crate::{
    Fault,
    cells::{Attendance, Attended, Board, Cells, Message, Reply, SEATS_SILENCE_MILLIS, WindowName},
};
use async_trait::async_trait;
use policies::{
    ids::{BootId, OrgId},
    rate::claims::{Claims, Meter},
    time::Timestamp,
};
use sqlx::{PgConnection, Row};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How long a call may take here. Whoever asks gives up much earlier.
const CALL: Duration = Duration::from_secs(2);
/// Windows that have ended are removed with every so many messages of a gateway, and so many.
const SWEEP_EVERY: u64 = 64;
const SWEPT_MAX: i64 = 1_000;
/// What a gateway told is known for so long: longer than any window.
const KNOWN_MILLIS: i64 = 2 * 86_400_000;

/// What one transaction came to.
enum Tried {
    Replied(Reply),
    /// These windows have to be made first; nothing was changed.
    Missing(Vec<String>),
}

#[async_trait]
impl Cells for Postgres {
    async fn attend(&self, boot: &BootId) -> Result<Attendance, Fault> {
        // What the statement itself writes is not seen by it.
        let rows = sqlx::query(
            "WITH here AS (
                INSERT INTO attendance (boot, heard) VALUES ($1, ledger_now())
                ON CONFLICT (boot) DO UPDATE SET heard = excluded.heard
             ), gone AS (DELETE FROM attendance WHERE heard < ledger_now() - $3 AND boot <> $1)
             SELECT boot, heard, ledger_now() AS now
             FROM (SELECT 1) AS once LEFT JOIN attendance
                ON boot = $1 OR ledger_now() - heard < $2 ORDER BY boot",
        )
        .bind(boot.as_bytes().as_slice())
        .bind(SEATS_SILENCE_MILLIS)
        .bind(KNOWN_MILLIS)
        .fetch_all(&self.pool);
        let rows = bounded(CALL, rows).await?;
        let (mut known, mut others, mut now) = (false, Vec::with_capacity(rows.len()), 0);
        for row in &rows {
            now = row.try_get("now")?;
            let Some(heard) = row.try_get::<Option<i64>, _>("heard")? else { continue };
            let it = BootId::from_bytes(sized(row, "boot")?);
            if it == *boot {
                known = true;
            } else {
                others.push(Attended { boot: it, unheard_millis: (now - heard).max(0) });
            }
        }
        Ok(Attendance::of(*boot, known, others, now))
    }

    async fn exchange(&self, org: &OrgId, boot: &BootId, message: Message) -> Result<Reply, Fault> {
        message.check()?;
        let message = &message;
        let answered = again(|| async {
            match attempt(self, org, boot, message).await? {
                Tried::Replied(reply) => Ok(Some(reply)),
                Tried::Missing(names) => make(self, org, &names).await.map(|()| None),
            }
        });
        if let Some(reply) = bounded(CALL, answered).await? {
            return Ok(reply);
        }
        let answered = again(|| attempt(self, org, boot, message));
        match bounded(CALL, answered).await? {
            Tried::Replied(reply) => Ok(reply),
            Tried::Missing(_) => Err(Fault::Away("the windows of limits are removed".to_owned())),
        }
    }
}

async fn attempt(
    store: &Postgres,
    org: &OrgId,
    boot: &BootId,
    message: &Message,
) -> Result<Tried, Fault> {
    let mut transaction = store.begin(Sight::Org(org)).await?;
    let connection = &mut *transaction;
    let (known, now) = hear(connection, org, boot).await?;
    if message.seq <= known {
        return Ok(Tried::Replied(Reply::Late));
    }
    if known < message.answered {
        return Ok(Tried::Replied(Reply::Forgotten));
    }
    let names = message.names();
    let keys: Vec<String> = names.iter().map(WindowName::key).collect();
    let mut stored = lock(connection, org, &keys).await?;
    let missing: Vec<String> = keys.into_iter().filter(|key| !stored.contains_key(key)).collect();
    if !missing.is_empty() {
        return Ok(Tried::Missing(missing));
    }
    let heard = match names.iter().any(|name| name.meter == Meter::Seats) {
        true => heard(connection, org, now).await?,
        false => BTreeSet::new(),
    };
    let windows = names.into_iter().map(|name| {
        let claims = stored.remove(&name.key()).unwrap_or_default();
        (name, claims)
    });
    let windows = windows.collect();
    let mut board = Board { boot, message, now, windows };
    let reply = board.answer(|boot| heard.contains(boot));
    write(connection, org, &board).await?;
    if message.seq.is_multiple_of(SWEEP_EVERY) {
        sweep(connection, org, now).await?;
    }
    transaction.commit().await?;
    Ok(Tried::Replied(reply))
}

/// Locks the teller's row: its last message that was heard, and the present time.
async fn hear(
    connection: &mut PgConnection,
    org: &OrgId,
    boot: &BootId,
) -> Result<(u64, Timestamp), Fault> {
    let row = sqlx::query(
        "INSERT INTO rate_boot (org, boot, heard) VALUES ($1, $2, ledger_now())
         ON CONFLICT (org, boot) DO UPDATE SET heard = excluded.heard RETURNING seq, heard",
    )
    .bind(org.as_bytes().as_slice())
    .bind(boot.as_bytes().as_slice())
    .fetch_one(connection)
    .await?;
    let seq: i64 = row.try_get("seq")?;
    let seq = u64::try_from(seq).map_err(|cause| unreadable("seq", &cause))?;
    Ok((seq, Timestamp(row.try_get("heard")?)))
}

async fn lock(
    connection: &mut PgConnection,
    org: &OrgId,
    keys: &[String],
) -> Result<BTreeMap<String, Claims>, Fault> {
    let rows = sqlx::query(
        "SELECT name, claims FROM rate_window WHERE org = $1 AND name = ANY ($2::text[])
         ORDER BY name FOR UPDATE",
    )
    .bind(org.as_bytes().as_slice())
    .bind(keys)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((row.try_get("name")?, parse(row.try_get("claims")?)?))).collect()
}

/// The gateways whose seats still count.
async fn heard(
    connection: &mut PgConnection,
    org: &OrgId,
    now: Timestamp,
) -> Result<BTreeSet<BootId>, Fault> {
    let rows = sqlx::query("SELECT boot FROM rate_boot WHERE org = $1 AND $2 < heard")
        .bind(org.as_bytes().as_slice())
        .bind(now.plus_millis(-SEATS_SILENCE_MILLIS).0)
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok(BootId::from_bytes(sized(row, "boot")?))).collect()
}

async fn write(connection: &mut PgConnection, org: &OrgId, board: &Board<'_>) -> Result<(), Fault> {
    let (mut names, mut claims, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for (name, window) in &board.windows {
        names.push(name.key());
        claims.push(text(window)?);
        ends.push(name.meter.counts_millis().unwrap_or(SEATS_SILENCE_MILLIS) + board.now.0);
    }
    sqlx::query(
        "WITH told AS (
            UPDATE rate_boot SET seq = $3 WHERE org = $1 AND boot = $2
         )
         UPDATE rate_window SET claims = it.claims, ends = it.ends
         FROM unnest($4::text[], $5::text[], $6::bigint[]) AS it (name, claims, ends)
         WHERE org = $1 AND rate_window.name = it.name",
    )
    .bind(org.as_bytes().as_slice())
    .bind(board.boot.as_bytes().as_slice())
    .bind(i64::try_from(board.message.seq).unwrap_or(i64::MAX))
    .bind(names)
    .bind(claims)
    .bind(ends)
    .execute(connection)
    .await?;
    Ok(())
}

async fn make(store: &Postgres, org: &OrgId, names: &[String]) -> Result<(), Fault> {
    let mut transaction = store.begin(Sight::Org(org)).await?;
    sqlx::query(
        "INSERT INTO rate_window (org, name)
         SELECT $1, name FROM unnest($2::text[]) AS it (name) ORDER BY name
         ON CONFLICT DO NOTHING",
    )
    .bind(org.as_bytes().as_slice())
    .bind(names)
    .execute(&mut *transaction)
    .await?;
    Ok(transaction.commit().await?)
}

/// Removes what counts no more. Windows in use are passed by.
async fn sweep(connection: &mut PgConnection, org: &OrgId, now: Timestamp) -> Result<(), Fault> {
    sqlx::query(
        "DELETE FROM rate_window WHERE org = $1 AND name IN (
            SELECT name FROM rate_window WHERE org = $1 AND 0 < ends AND ends < $2
            LIMIT $3 FOR UPDATE SKIP LOCKED)",
    )
    .bind(org.as_bytes().as_slice())
    .bind(now.0)
    .bind(SWEPT_MAX)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "DELETE FROM rate_boot WHERE org = $1 AND boot IN (
            SELECT boot FROM rate_boot WHERE org = $1 AND heard < $2 FOR UPDATE SKIP LOCKED)",
    )
    .bind(org.as_bytes().as_slice())
    .bind(now.plus_millis(-KNOWN_MILLIS).0)
    .execute(connection)
    .await?;
    Ok(())
}

fn text(claims: &Claims) -> Result<String, Fault> {
    let rows: Vec<(String, i64, i64)> = claims
        .rows()
        .map(|(boot, slot, cells)| (hex::encode(boot.as_bytes()), slot, cells))
        .collect();
    serde_json::to_string(&rows).map_err(|cause| unreadable("claims", &cause))
}

fn parse(text: &str) -> Result<Claims, Fault> {
    let rows: Vec<(String, i64, i64)> =
        serde_json::from_str(text).map_err(|cause| unreadable("claims", &cause))?;
    let rows = rows.into_iter().map(|(boot, slot, cells)| {
        let mut bytes = [0; 16];
        hex::decode_to_slice(&boot, &mut bytes).map_err(|cause| unreadable("claims", &cause))?;
        Ok((BootId::from_bytes(bytes), slot, cells))
    });
    Ok(Claims::of(rows.collect::<Result<Vec<_>, Fault>>()?))
}
