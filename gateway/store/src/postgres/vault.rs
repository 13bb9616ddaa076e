//! [`Vault`] in PostgreSQL.

use super::{Postgres, Sight, number, sized, text};
use crate::{
    Fault,
    vault::{Vault, WrappedKey, left, same_versions},
};
use async_trait::async_trait;
use policies::{ids::OrgId, time::Timestamp};
use sqlx::{PgConnection, Row, postgres::PgRow};

/// Of one rewrap and the additions of keys: the first keeps the others out, so that no key with an
/// old wrapping appears beside it. An advisory lock: "vault".
const KEYS: i64 = 0x76_61_75_6c_74;

#[async_trait]
impl Vault for Postgres {
    async fn data_keys(&self, org: &OrgId) -> Result<Vec<WrappedKey>, Fault> {
        let sql = "SELECT * FROM data_key
            WHERE org = decode(current_setting('penstock.org'), 'hex') ORDER BY version";
        let rows = self.read(Sight::Org(org), sql).await?;
        rows.iter().map(key).collect()
    }

    async fn add_data_key(&self, org: &OrgId, key: &WrappedKey) -> Result<bool, Fault> {
        let mut transaction = self.begin(Sight::Org(org)).await?;
        sqlx::query("SELECT pg_advisory_xact_lock_shared($1)")
            .bind(KEYS)
            .execute(&mut *transaction)
            .await?;
        let added = sqlx::query(
            "INSERT INTO data_key (org, version, master, blob, created)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        )
        .bind(org.as_bytes().as_slice())
        .bind(i64::from(key.version))
        .bind(text(&key.master))
        .bind(&key.blob)
        .bind(key.created.0)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(added.rows_affected() == 1)
    }

    async fn rewrap(&self, changes: &[(OrgId, WrappedKey, WrappedKey)]) -> Result<bool, Fault> {
        same_versions(changes)?;
        let mut transaction = self.begin(Sight::Across("data_key")).await?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(KEYS)
            .execute(&mut *transaction)
            .await?;
        for (org, from, to) in changes {
            if !replace(&mut transaction, org, from, to).await? {
                return Ok(false);
            }
        }
        let masters: Vec<_> = left(changes).into_iter().map(text).collect();
        let forgotten: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM data_key WHERE master = ANY ($1))")
                .bind(masters)
                .fetch_one(&mut *transaction)
                .await?;
        if forgotten {
            return Ok(false);
        }
        transaction.commit().await?;
        Ok(true)
    }

    async fn all_data_keys(&self) -> Result<Vec<(OrgId, WrappedKey)>, Fault> {
        let sql = "SELECT * FROM data_key ORDER BY org, version";
        let rows = self.read(Sight::Across("data_key"), sql).await?;
        rows.iter().map(|row| Ok((OrgId::from_bytes(sized(row, "org")?), key(row)?))).collect()
    }
}

/// False if the key does not have the wrapping `from`.
async fn replace(
    connection: &mut PgConnection,
    org: &OrgId,
    from: &WrappedKey,
    to: &WrappedKey,
) -> Result<bool, Fault> {
    sqlx::raw_sql(Sight::Org(org).before("")).execute(&mut *connection).await?;
    let replaced = sqlx::query(
        "UPDATE data_key SET master = $5, blob = $6
         WHERE org = $1 AND version = $2 AND master = $3 AND blob = $4",
    )
    .bind(org.as_bytes().as_slice())
    .bind(i64::from(from.version))
    .bind(text(&from.master))
    .bind(&from.blob)
    .bind(text(&to.master))
    .bind(&to.blob)
    .execute(connection)
    .await?;
    Ok(replaced.rows_affected() == 1)
}

fn key(row: &PgRow) -> Result<WrappedKey, Fault> {
    Ok(WrappedKey {
        version: number(row, "version")?,
        master: row.try_get("master")?,
        blob: row.try_get("blob")?,
        created: Timestamp(row.try_get("created")?),
    })
}
