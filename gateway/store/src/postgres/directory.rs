//! [`Directory`] in PostgreSQL.

use super::{CALL, Postgres, Sight, bounded, sized, unreadable};
use crate::{Directory, Fault, Settings, sorted};
use async_trait::async_trait;
use policies::{
    document::Object,
    ids::{KeyId, OrgId, Revision},
};
use sqlx::Row;

#[async_trait]
impl Directory for Postgres {
    async fn revisions(&self) -> Result<Vec<(OrgId, Revision)>, Fault> {
        let rows = sqlx::query("SELECT id, revision FROM org ORDER BY id").fetch_all(&self.pool);
        bounded(CALL, rows)
            .await?
            .iter()
            .map(|row| {
                let org = OrgId::from_bytes(sized(row, "id")?);
                Ok((org, revision(row.try_get("revision")?)?))
            })
            .collect()
    }

    async fn settings(&self, org: &OrgId) -> Result<Option<Settings>, Fault> {
        // One statement reads both, so that revision and objects are of one moment.
        let sql = "SELECT org.revision, object.id, object.body::text AS body
            FROM org LEFT JOIN object ON object.org = org.id
            WHERE org.id = decode(current_setting('penstock.org'), 'hex')";
        let rows = self.read(Sight::Org(org), sql).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let revision = revision(first.try_get("revision")?)?;
        let mut objects = Vec::with_capacity(rows.len());
        for row in &rows {
            let Some(body) = row.try_get::<Option<String>, _>("body")? else { continue };
            let document =
                serde_json::from_str(&body).map_err(|cause| unreadable("object", &cause))?;
            objects.push(Object { id: sized(row, "id")?, document });
        }
        Ok(Some(Settings { org: *org, revision, objects: sorted(objects) }))
    }

    async fn keys(&self) -> Result<Vec<([u8; 32], OrgId, KeyId)>, Fault> {
        let rows = sqlx::query("SELECT sha256, org, key FROM key_hash ORDER BY sha256")
            .fetch_all(&self.pool);
        bounded(CALL, rows)
            .await?
            .iter()
            .map(|row| {
                let org = OrgId::from_bytes(sized(row, "org")?);
                let key = KeyId::from_bytes(sized(row, "key")?);
                Ok((sized(row, "sha256")?, org, key))
            })
            .collect()
    }

    async fn org_of_key(&self, sha256: &[u8; 32]) -> Result<Option<OrgId>, Fault> {
        let row = sqlx::query("SELECT org FROM key_hash WHERE sha256 = $1")
            .bind(sha256.as_slice())
            .fetch_optional(&self.pool);
        let row = bounded(CALL, row).await?;
        row.map(|row| sized(&row, "org").map(OrgId::from_bytes)).transpose()
    }
}

pub(super) fn revision(stored: i64) -> Result<Revision, Fault> {
    u64::try_from(stored).map(Revision).map_err(|cause| unreadable("revision", &cause))
}
