//! [`Directory`] in SQLite.

use super::{Sqlite, bytes, sized, unreadable};
use crate::{Directory, Fault, Settings, sorted};
use async_trait::async_trait;
use policies::{
    document::Object,
    ids::{KeyId, OrgId, Revision},
};
use sqlx::Row;

#[async_trait]
impl Directory for Sqlite {
    async fn revisions(&self) -> Result<Vec<(OrgId, Revision)>, Fault> {
        let rows = sqlx::query("SELECT id, revision FROM org ORDER BY id").fetch_all(&self.readers);
        rows.await?
            .iter()
            .map(|row| Ok((OrgId::from_bytes(bytes(row, "id")?), revision(row.try_get(1)?)?)))
            .collect()
    }

    async fn settings(&self, org: &OrgId) -> Result<Option<Settings>, Fault> {
        // One statement: revision and objects are of one moment.
        let rows = sqlx::query(
            "SELECT org.revision, object.id, object.body
             FROM org LEFT JOIN object ON object.org = org.id WHERE org.id = ?1",
        )
        .bind(org.as_bytes().as_slice())
        .fetch_all(&self.readers)
        .await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let revision = revision(first.try_get("revision")?)?;
        let mut objects = Vec::with_capacity(rows.len());
        for row in &rows {
            let Some(body) = row.try_get::<Option<&str>, _>("body")? else { continue };
            let document =
                serde_json::from_str(body).map_err(|cause| unreadable("object", &cause))?;
            objects.push(Object { id: bytes(row, "id")?, document });
        }
        Ok(Some(Settings { org: *org, revision, objects: sorted(objects) }))
    }

    async fn keys(&self) -> Result<Vec<([u8; 32], OrgId, KeyId)>, Fault> {
        let rows = sqlx::query("SELECT sha256, org, key FROM key_hash ORDER BY sha256")
            .fetch_all(&self.readers)
            .await?;
        rows.iter()
            .map(|row| {
                let org = OrgId::from_bytes(bytes(row, "org")?);
                let key = KeyId::from_bytes(bytes(row, "key")?);
                Ok((sized(row.try_get("sha256")?, "key_hash")?, org, key))
            })
            .collect()
    }

    async fn org_of_key(&self, sha256: &[u8; 32]) -> Result<Option<OrgId>, Fault> {
        let row = sqlx::query("SELECT org FROM key_hash WHERE sha256 = ?1")
            .bind(sha256.as_slice())
            .fetch_optional(&self.readers)
            .await?;
        row.map(|row| bytes(&row, "org").map(OrgId::from_bytes)).transpose()
    }
}

pub(super) fn revision(stored: i64) -> Result<Revision, Fault> {
    u64::try_from(stored).map(Revision).map_err(|cause| unreadable("revision", &cause))
}
