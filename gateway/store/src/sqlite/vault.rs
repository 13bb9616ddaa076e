//! [`Vault`] in SQLite.

use super::{Sqlite, bytes, row::number};
use crate::{
    Fault,
    vault::{Vault, WrappedKey, left, same_versions},
};
use async_trait::async_trait;
use policies::{ids::OrgId, time::Timestamp};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

#[async_trait]
impl Vault for Sqlite {
    async fn data_keys(&self, org: &OrgId) -> Result<Vec<WrappedKey>, Fault> {
        let rows = sqlx::query("SELECT * FROM data_key WHERE org = ?1 ORDER BY version")
            .bind(org.as_bytes().as_slice())
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(key).collect()
    }

    async fn add_data_key(&self, org: &OrgId, key: &WrappedKey) -> Result<bool, Fault> {
        let mut transaction = self.begin().await?;
        let added = sqlx::query(
            "INSERT INTO data_key (org, version, master, blob, created)
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        )
        .bind(org.as_bytes().as_slice())
        .bind(key.version)
        .bind(&key.master)
        .bind(&key.blob)
        .bind(key.created.0)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(added.rows_affected() == 1)
    }

    async fn rewrap(&self, changes: &[(OrgId, WrappedKey, WrappedKey)]) -> Result<bool, Fault> {
        same_versions(changes)?;
        let mut transaction = self.begin().await?;
        for (org, from, to) in changes {
            if !replace(&mut transaction, org, from, to).await? {
                return Ok(false);
            }
        }
        for master in left(changes) {
            let forgotten: bool =
                sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM data_key WHERE master = ?1)")
                    .bind(master)
                    .fetch_one(&mut *transaction)
                    .await?;
            if forgotten {
                return Ok(false);
            }
        }
        transaction.commit().await?;
        Ok(true)
    }

    async fn all_data_keys(&self) -> Result<Vec<(OrgId, WrappedKey)>, Fault> {
        let rows = sqlx::query("SELECT * FROM data_key ORDER BY org, version")
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(|row| Ok((OrgId::from_bytes(bytes(row, "org")?), key(row)?))).collect()
    }
}

/// False if the key does not have the wrapping `from`.
async fn replace(
    connection: &mut SqliteConnection,
    org: &OrgId,
    from: &WrappedKey,
    to: &WrappedKey,
) -> Result<bool, Fault> {
    let replaced = sqlx::query(
        "UPDATE data_key SET master = ?5, blob = ?6
         WHERE org = ?1 AND version = ?2 AND master = ?3 AND blob = ?4",
    )
    .bind(org.as_bytes().as_slice())
    .bind(from.version)
    .bind(&from.master)
    .bind(&from.blob)
    .bind(&to.master)
    .bind(&to.blob)
    .execute(connection)
    .await?;
    Ok(replaced.rows_affected() == 1)
}

fn key(row: &SqliteRow) -> Result<WrappedKey, Fault> {
    Ok(WrappedKey {
        version: number(row, "version")?,
        master: row.try_get("master")?,
        blob: row.try_get("blob")?,
        created: Timestamp(row.try_get("created")?),
    })
}
