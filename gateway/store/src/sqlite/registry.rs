//! [`Registry`] in SQLite.

use super::{Sqlite, audit, directory::revision};
use crate::{Change, Committed, Fault, Registry, clock, projection};
use async_trait::async_trait;
use policies::{
    document::{Document, Object},
    ids::{OrgId, Revision},
};
use sqlx::SqliteConnection;

#[async_trait]
impl Registry for Sqlite {
    async fn commit(&self, changes: Vec<Change>) -> Result<Committed, Fault> {
        let mut transaction = self.begin_flushed().await?;
        let mut revisions = Vec::with_capacity(changes.len());
        for change in &changes {
            let Some(revision) = raise(&mut transaction, change).await? else {
                return Ok(Committed::Conflict(change.org));
            };
            revisions.push(revision);
        }
        // All names are let go before any is taken, so that two objects may change theirs.
        for change in &changes {
            let put = change.put.iter().map(|object| &object.id);
            for id in change.remove.iter().chain(put) {
                forget(&mut transaction, &change.org, id).await?;
            }
        }
        for change in &changes {
            for object in &change.put {
                if !put(&mut transaction, &change.org, object).await? {
                    let name = object.document.name().to_owned();
                    return Ok(Committed::NameTaken(name));
                }
            }
        }
        for (change, revision) in changes.into_iter().zip(&revisions) {
            audit::append(&mut transaction, &change.org, change.acts, Some(*revision)).await?;
        }
        transaction.commit().await?;
        Ok(Committed::Done(revisions))
    }
}

/// The org's next revision; none if it is no longer at the one that the change was made from.
async fn raise(
    connection: &mut SqliteConnection,
    change: &Change,
) -> Result<Option<Revision>, Fault> {
    let org = change.org.as_bytes().as_slice();
    let stored: Option<i64> = sqlx::query_scalar("SELECT revision FROM org WHERE id = ?1")
        .bind(org)
        .fetch_optional(&mut *connection)
        .await?;
    if revision(stored.unwrap_or(0))? != change.from {
        return Ok(None);
    }
    let next = stored.unwrap_or(0) + 1;
    // A new org has its id for a name until its document is put.
    sqlx::query(
        "INSERT INTO org (id, name, revision) VALUES (?1, ?2, ?3)
         ON CONFLICT (id) DO UPDATE SET revision = excluded.revision",
    )
    .bind(org)
    .bind(change.org.to_string())
    .bind(next)
    .execute(connection)
    .await?;
    revision(next).map(Some)
}

async fn forget(
    connection: &mut SqliteConnection,
    org: &OrgId,
    id: &[u8; 16],
) -> Result<(), Fault> {
    for sql in [
        "DELETE FROM object WHERE org = ?1 AND id = ?2",
        "DELETE FROM key_hash WHERE org = ?1 AND key = ?2",
        "DELETE FROM budget_limit WHERE org = ?1 AND budget = ?2",
    ] {
        sqlx::query(sql)
            .bind(org.as_bytes().as_slice())
            .bind(id.as_slice())
            .execute(&mut *connection)
            .await?;
    }
    if id == org.as_bytes() {
        sqlx::query("UPDATE org SET name = ?2 WHERE id = ?1")
            .bind(org.as_bytes().as_slice())
            .bind(org.to_string())
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// False if its name, or its key's hash, is taken.
async fn put(
    connection: &mut SqliteConnection,
    org: &OrgId,
    object: &Object,
) -> Result<bool, Fault> {
    let document = &object.document;
    let body = serde_json::to_string(document)
        .map_err(|cause| Fault::Unreadable { what: "object", cause: cause.to_string() })?;
    let inserted = sqlx::query(
        "INSERT INTO object (org, kind, id, name, body) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO NOTHING",
    )
    .bind(org.as_bytes().as_slice())
    .bind(document.kind().word())
    .bind(object.id.as_slice())
    .bind(document.name())
    .bind(body)
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(false);
    }
    match document {
        Document::Org(it) => {
            let named = sqlx::query("UPDATE OR IGNORE org SET name = ?2 WHERE id = ?1")
                .bind(org.as_bytes().as_slice())
                .bind(&it.name)
                .execute(connection)
                .await?;
            Ok(named.rows_affected() == 1)
        }
        Document::Key(_) | Document::AdminKey(_) => put_key(connection, org, object).await,
        Document::Budget(_) => put_budget(connection, org, object).await.map(|()| true),
        Document::Unit(_)
        | Document::Project(_)
        | Document::Role(_)
        | Document::IdentityProvider(_)
        | Document::WorkloadIdentity(_)
        | Document::Invite(_)
        | Document::LimitRequest(_)
        | Document::User(_)
        | Document::Group(_)
        | Document::ServiceAccount(_)
        | Document::Provider(_)
        | Document::Deployment(_)
        | Document::Tier(_)
        | Document::Model(_)
        | Document::Price(_)
        | Document::Limit(_)
        | Document::Policy(_) => Ok(true),
    }
}

async fn put_key(
    connection: &mut SqliteConnection,
    org: &OrgId,
    object: &Object,
) -> Result<bool, Fault> {
    let Some(sha256) = projection::key_hash(&object.document)? else { return Ok(true) };
    let inserted = sqlx::query(
        "INSERT INTO key_hash (sha256, org, key) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
    )
    .bind(sha256.as_slice())
    .bind(org.as_bytes().as_slice())
    .bind(object.id.as_slice())
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

async fn put_budget(
    connection: &mut SqliteConnection,
    org: &OrgId,
    object: &Object,
) -> Result<(), Fault> {
    let Some((amount, scope)) = projection::budget(&object.document)? else { return Ok(()) };
    let (kind, name) = scope.words();
    sqlx::query(
        "INSERT INTO budget_limit (org, budget, amount, scope_kind, scope_name)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )
    .bind(org.as_bytes().as_slice())
    .bind(object.id.as_slice())
    .bind(amount.0)
    .bind(kind)
    .bind(name)
    .execute(&mut *connection)
    .await?;
    sqlx::query("UPDATE budget SET amount = ?3 WHERE org = ?1 AND budget = ?2 AND ?4 < ends")
        .bind(org.as_bytes().as_slice())
        .bind(object.id.as_slice())
        .bind(amount.0)
        .bind(clock::now().0)
        .execute(connection)
        .await?;
    Ok(())
}
