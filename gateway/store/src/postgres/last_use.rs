//! [`LastUse`] in PostgreSQL.

use super::{Postgres, Sight, sized};
use crate::{Fault, last_use::LastUse};
use async_trait::async_trait;
use policies::{
    ids::{KeyId, OrgId},
    time::Timestamp,
};
use sqlx::Row;

#[async_trait]
impl LastUse for Postgres {
    async fn used(&self, org: &OrgId, uses: &[(KeyId, Timestamp)]) -> Result<(), Fault> {
        if uses.is_empty() {
            return Ok(());
        }
        let mut transaction = self.begin(Sight::Org(org)).await?;
        // Each key once and in order: two gateways that tell the same do not wait in a circle.
        sqlx::query(
            "INSERT INTO last_use (org, key, used)
             SELECT $1, key, max(used) FROM unnest($2::bytea[], $3::bigint[]) AS it (key, used)
             GROUP BY key ORDER BY key
             ON CONFLICT (org, key) DO UPDATE SET used = excluded.used
             WHERE last_use.used < excluded.used",
        )
        .bind(org.as_bytes().as_slice())
        .bind(uses.iter().map(|(key, _)| *key.as_bytes()).collect::<Vec<_>>())
        .bind(uses.iter().map(|(_, used)| used.0).collect::<Vec<_>>())
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }

    async fn last_uses(&self, org: &OrgId) -> Result<Vec<(KeyId, Timestamp)>, Fault> {
        let sql = "SELECT key, used FROM last_use
            WHERE org = decode(current_setting('penstock.org'), 'hex') ORDER BY key";
        let rows = self.read(Sight::Org(org), sql).await?;
        rows.iter()
            .map(|row| Ok((KeyId::from_bytes(sized(row, "key")?), Timestamp(row.try_get("used")?))))
            .collect()
    }
}
