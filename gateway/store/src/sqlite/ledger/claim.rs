//! `claim`: whose a journal is.

use crate::{Claimed, Fault, JOURNAL_QUIET_MILLIS, JournalClaim, clock};
use policies::ids::JournalId;
use sqlx::{Row, SqliteConnection};

pub(super) async fn claim(
    connection: &mut SqliteConnection,
    journal: &JournalId,
    claim: &JournalClaim,
) -> Result<Claimed, Fault> {
    let generation = i64::try_from(claim.generation).unwrap_or(i64::MAX);
    let row = sqlx::query("SELECT generation, place FROM journal WHERE id = ?1")
        .bind(journal.as_bytes().as_slice())
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(row) = row {
        let known: i64 = row.try_get("generation")?;
        if generation <= known {
            return Ok(Claimed::Old { known: u64::try_from(known).unwrap_or(0) });
        }
        let elsewhere = row.try_get::<String, _>("place")? != claim.place;
        let heard: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM boot
             WHERE journal = ?1 AND state = 'open' AND ?2 < last_seen)",
        )
        .bind(journal.as_bytes().as_slice())
        .bind(clock::now().plus_millis(-JOURNAL_QUIET_MILLIS).0)
        .fetch_one(&mut *connection)
        .await?;
        if elsewhere && heard {
            return Ok(Claimed::InUse);
        }
    }
    sqlx::query(
        "INSERT INTO journal (id, generation, place) VALUES (?1, ?2, ?3)
         ON CONFLICT (id) DO UPDATE SET generation = excluded.generation, place = excluded.place",
    )
    .bind(journal.as_bytes().as_slice())
    .bind(generation)
    .bind(&claim.place)
    .execute(connection)
    .await?;
    Ok(Claimed::Yours)
}
