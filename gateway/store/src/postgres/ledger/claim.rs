//! `claim`: whose a journal is.

use super::super::{Postgres, Sight};
use crate::{Claimed, Fault, JOURNAL_QUIET_MILLIS, JournalClaim};
use policies::ids::JournalId;
use sqlx::Row;

pub(super) async fn claim(
    store: &Postgres,
    journal: &JournalId,
    claim: &JournalClaim,
) -> Result<Claimed, Fault> {
    let generation = i64::try_from(claim.generation).unwrap_or(i64::MAX);
    let mut transaction = store.begin(Sight::Nobody).await?;
    // Of several that claim it at once, the others wait here for the first.
    let fresh = sqlx::query(
        "INSERT INTO journal (id, generation, place) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(journal.as_bytes().as_slice())
    .bind(generation)
    .bind(&claim.place)
    .execute(&mut *transaction)
    .await?;
    if fresh.rows_affected() == 1 {
        transaction.commit().await?;
        return Ok(Claimed::Yours);
    }
    let row = sqlx::query(
        "SELECT generation, place, EXISTS (SELECT FROM boot
            WHERE journal = $1 AND state = 'open' AND ledger_now() - $2 < last_seen) AS heard
         FROM journal WHERE id = $1 FOR UPDATE",
    )
    .bind(journal.as_bytes().as_slice())
    .bind(JOURNAL_QUIET_MILLIS)
    .fetch_one(&mut *transaction)
    .await?;
    let known: i64 = row.try_get("generation")?;
    if generation <= known {
        return Ok(Claimed::Old { known: u64::try_from(known).unwrap_or(0) });
    }
    if row.try_get::<String, _>("place")? != claim.place && row.try_get("heard")? {
        return Ok(Claimed::InUse);
    }
    sqlx::query("UPDATE journal SET generation = $2, place = $3 WHERE id = $1")
        .bind(journal.as_bytes().as_slice())
        .bind(generation)
        .bind(&claim.place)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(Claimed::Yours)
}
