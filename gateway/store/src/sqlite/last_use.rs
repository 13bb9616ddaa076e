//! [`LastUse`] in SQLite.

use super::{Sqlite, bytes};
use crate::{Fault, last_use::LastUse};
use async_trait::async_trait;
use policies::{
    ids::{KeyId, OrgId},
    time::Timestamp,
};
use sqlx::Row;

#[async_trait]
impl LastUse for Sqlite {
    async fn used(&self, org: &OrgId, uses: &[(KeyId, Timestamp)]) -> Result<(), Fault> {
        if uses.is_empty() {
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        for (key, used) in uses {
            sqlx::query(
                "INSERT INTO last_use (org, key, used) VALUES (?1, ?2, ?3)
                 ON CONFLICT (org, key) DO UPDATE SET used = excluded.used
                 WHERE used < excluded.used",
            )
            .bind(org.as_bytes().as_slice())
            .bind(key.as_bytes().as_slice())
            .bind(used.0)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await
    }

    async fn last_uses(&self, org: &OrgId) -> Result<Vec<(KeyId, Timestamp)>, Fault> {
        let rows = sqlx::query("SELECT key, used FROM last_use WHERE org = ?1 ORDER BY key")
            .bind(org.as_bytes().as_slice())
            .fetch_all(&self.readers)
            .await?;
        rows.iter()
            .map(|row| Ok((KeyId::from_bytes(bytes(row, "key")?), Timestamp(row.try_get("used")?))))
            .collect()
    }
}
