//! [`Idempotency`] in SQLite.

use super::{Sqlite, sized, unreadable};
use crate::{
    Fault,
    idempotency::{ANSWER_MILLIS_MAX, CLAIM_MILLIS_MAX, Claim, Idempotency},
};
use async_trait::async_trait;
use policies::{ids::OrgId, time::Timestamp};
use sqlx::{Row, sqlite::SqliteRow};

#[async_trait]
impl Idempotency for Sqlite {
    async fn claim(
        &self,
        org: &OrgId,
        scope: &str,
        key: &str,
        body_hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Claim, Fault> {
        let mut transaction = self.begin().await?;
        // One statement decides who does it: a claim that is not there, that is too old to be
        // known, or whose process counts as dead.
        let claimed = sqlx::query(
            "INSERT INTO idempotency (org, scope, key, body_hash, claimed)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (org, scope, key) DO UPDATE SET body_hash = excluded.body_hash,
                 claimed = excluded.claimed, status = NULL, headers = NULL, answer = NULL
             WHERE claimed <= ?5 - ?6
                 OR status IS NULL AND body_hash = excluded.body_hash AND claimed <= ?5 - ?7",
        )
        .bind(org.as_bytes().as_slice())
        .bind(scope)
        .bind(key)
        .bind(body_hash.as_slice())
        .bind(now.0)
        .bind(ANSWER_MILLIS_MAX)
        .bind(CLAIM_MILLIS_MAX)
        .execute(&mut *transaction)
        .await?;
        let claim = if claimed.rows_affected() == 1 {
            Claim::Fresh
        } else {
            let row =
                sqlx::query("SELECT * FROM idempotency WHERE org = ?1 AND scope = ?2 AND key = ?3")
                    .bind(org.as_bytes().as_slice())
                    .bind(scope)
                    .bind(key)
                    .fetch_one(&mut *transaction)
                    .await?;
            known(&row, body_hash)?
        };
        transaction.commit().await?;
        Ok(claim)
    }

    async fn answered(
        &self,
        org: &OrgId,
        scope: &str,
        key: &str,
        status: u16,
        headers: &str,
        answer: &[u8],
    ) -> Result<(), Fault> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "UPDATE idempotency SET status = ?4, headers = ?5, answer = ?6
             WHERE org = ?1 AND scope = ?2 AND key = ?3 AND status IS NULL",
        )
        .bind(org.as_bytes().as_slice())
        .bind(scope)
        .bind(key)
        .bind(status)
        .bind(headers)
        .bind(answer)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }

    async fn release(&self, org: &OrgId, scope: &str, key: &str) -> Result<(), Fault> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "DELETE FROM idempotency
             WHERE org = ?1 AND scope = ?2 AND key = ?3 AND status IS NULL",
        )
        .bind(org.as_bytes().as_slice())
        .bind(scope)
        .bind(key)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }

    async fn sweep_idempotency(&self, now: Timestamp) -> Result<u64, Fault> {
        let mut transaction = self.begin().await?;
        let swept = sqlx::query("DELETE FROM idempotency WHERE claimed <= ?1 - ?2")
            .bind(now.0)
            .bind(ANSWER_MILLIS_MAX)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(swept.rows_affected())
    }
}

/// What a claim that is not ours to do says.
fn known(row: &SqliteRow, asked: &[u8; 32]) -> Result<Claim, Fault> {
    let body_hash = sized(row.try_get("body_hash")?, "body_hash")?;
    if body_hash != *asked {
        return Ok(Claim::Differs);
    }
    let Some(status) = row.try_get::<Option<i64>, _>("status")? else { return Ok(Claim::Running) };
    Ok(Claim::Done {
        body_hash,
        status: u16::try_from(status).map_err(|cause| unreadable("status", &cause))?,
        headers: row.try_get("headers")?,
        answer: row.try_get("answer")?,
    })
}
