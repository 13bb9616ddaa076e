//! [`Registry`] in PostgreSQL.

use super::{
    Postgres, SETTINGS_CHANNEL, Sight, again, audit, directory::revision, ledger, row, text,
    unreadable,
};
use crate::{Change, Committed, Fault, Registry, projection};
use async_trait::async_trait;
use policies::{
    document::{Document, Object},
    ids::{OrgId, Revision},
};
use sqlx::PgConnection;
use std::collections::BTreeSet;

#[async_trait]
impl Registry for Postgres {
    async fn commit(&self, changes: Vec<Change>) -> Result<Committed, Fault> {
        let changes = &changes;
        again(|| commit(self, changes)).await
    }
}

async fn commit(store: &Postgres, changes: &[Change]) -> Result<Committed, Fault> {
    let mut transaction = store.begin(Sight::Nobody).await?;
    let connection = &mut *transaction;
    // Orgs are locked by id, whatever order they come in: two changes of the same orgs wait for
    // each other, and not in a circle.
    let mut ordered: Vec<_> = changes.iter().enumerate().collect();
    ordered.sort_by_key(|(_, change)| change.org);
    let mut revisions = vec![Revision(0); changes.len()];
    for (index, change) in &ordered {
        let Some(revision) = raise(connection, change).await? else {
            return Ok(Committed::Conflict(change.org));
        };
        if let Some(place) = revisions.get_mut(*index) {
            *place = revision;
        }
    }
    // All names are let go before any is taken, so that two objects may change theirs.
    for (_, change) in &ordered {
        name(connection, &change.org).await?;
        // Limits change, and no pot may be made with the old one meanwhile.
        ledger::pass_gate(connection, &change.org).await?;
        forget(connection, change).await?;
    }
    for (_, change) in &ordered {
        name(connection, &change.org).await?;
        if let Some(taken) = put(connection, change).await? {
            return Ok(Committed::NameTaken(taken));
        }
    }
    for (_, change) in &ordered {
        name(connection, &change.org).await?;
        put_limits(connection, change).await?;
    }
    for (change, revision) in changes.iter().zip(&revisions) {
        name(connection, &change.org).await?;
        let acts = change.acts.clone();
        audit::append(connection, &change.org, acts, Some(*revision)).await?;
    }
    sqlx::query("SELECT pg_notify($1, '')")
        .bind(SETTINGS_CHANNEL)
        .execute(&mut *connection)
        .await?;
    transaction.commit().await?;
    Ok(Committed::Done(revisions))
}

/// Names the org whose rows come next.
async fn name(connection: &mut PgConnection, org: &OrgId) -> Result<(), Fault> {
    sqlx::query("SELECT set_config('penstock.org', $1, true)")
        .bind(hex::encode(org.as_bytes()))
        .execute(connection)
        .await?;
    Ok(())
}

/// The org's next revision; none if it is no longer at the one that the change was made from.
async fn raise(connection: &mut PgConnection, change: &Change) -> Result<Option<Revision>, Fault> {
    let from = i64::try_from(change.from.0).map_err(|cause| unreadable("revision", &cause))?;
    let query = if from == 0 {
        // A new org has its id for a name until its document is put.
        sqlx::query_scalar(
            "INSERT INTO org (id, revision, name) VALUES ($1, $2 + 1, $3)
             ON CONFLICT DO NOTHING RETURNING revision",
        )
    } else {
        sqlx::query_scalar(
            "UPDATE org SET revision = revision + 1 WHERE id = $1 AND revision = $2
                AND $3::text IS NOT NULL RETURNING revision",
        )
    };
    let raised: Option<i64> = query
        .bind(change.org.as_bytes().as_slice())
        .bind(from)
        .bind(change.org.to_string())
        .fetch_optional(connection)
        .await?;
    raised.map(revision).transpose()
}

async fn forget(connection: &mut PgConnection, change: &Change) -> Result<(), Fault> {
    let org = change.org.as_bytes();
    let put = change.put.iter().map(|object| object.id);
    let ids: Vec<[u8; 16]> = change.remove.iter().copied().chain(put).collect();
    for sql in [
        "DELETE FROM object WHERE org = $1 AND id = ANY ($2)",
        "DELETE FROM key_hash WHERE org = $1 AND key = ANY ($2)",
        "DELETE FROM budget_limit WHERE org = $1 AND budget = ANY ($2)",
    ] {
        sqlx::query(sql).bind(org.as_slice()).bind(&ids).execute(&mut *connection).await?;
    }
    if ids.contains(org) {
        sqlx::query("UPDATE org SET name = $2 WHERE id = $1")
            .bind(org.as_slice())
            .bind(change.org.to_string())
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// The name of an object whose name, or whose key's hash, is taken.
async fn put(connection: &mut PgConnection, change: &Change) -> Result<Option<String>, Fault> {
    if let Some(taken) = put_objects(connection, change).await? {
        return Ok(Some(taken));
    }
    if let Some(taken) = put_keys(connection, change).await? {
        return Ok(Some(taken));
    }
    for object in &change.put {
        let Document::Org(it) = &object.document else { continue };
        let named = sqlx::query("UPDATE org SET name = $2 WHERE id = $1")
            .bind(change.org.as_bytes().as_slice())
            .bind(text(&it.name))
            .execute(&mut *connection)
            .await;
        match named {
            Ok(_) => {}
            // The transaction is over with that; nothing of it stays.
            Err(cause) if is_taken(&cause) => return Ok(Some(it.name.clone())),
            Err(cause) => return Err(cause.into()),
        }
    }
    Ok(None)
}

fn is_taken(cause: &sqlx::Error) -> bool {
    cause.as_database_error().is_some_and(|refused| refused.is_unique_violation())
}

async fn put_objects(
    connection: &mut PgConnection,
    change: &Change,
) -> Result<Option<String>, Fault> {
    let documents = || change.put.iter().map(|object| &object.document);
    let bodies = documents().map(row::json).collect::<Result<Vec<_>, Fault>>()?;
    let inserted: Vec<Vec<u8>> = sqlx::query_scalar(
        "INSERT INTO object (org, id, kind, name, body)
         SELECT $1, id, kind, name, body::jsonb
         FROM unnest($2::bytea[], $3::text[], $4::text[], $5::text[])
            AS it (id, kind, name, body)
         ON CONFLICT DO NOTHING RETURNING id",
    )
    .bind(change.org.as_bytes().as_slice())
    .bind(change.put.iter().map(|object| object.id).collect::<Vec<_>>())
    .bind(documents().map(|it| it.kind().word()).collect::<Vec<_>>())
    .bind(documents().map(|it| text(it.name())).collect::<Vec<_>>())
    .bind(bodies)
    .fetch_all(connection)
    .await?;
    Ok(left_out(&change.put, inserted))
}

async fn put_keys(connection: &mut PgConnection, change: &Change) -> Result<Option<String>, Fault> {
    let (mut keys, mut hashes) = (Vec::new(), Vec::new());
    for object in &change.put {
        if let Some(sha256) = projection::key_hash(&object.document)? {
            keys.push(object.clone());
            hashes.push(sha256);
        }
    }
    let inserted: Vec<Vec<u8>> = sqlx::query_scalar(
        "INSERT INTO key_hash (sha256, org, key)
         SELECT sha256, $1, key FROM unnest($2::bytea[], $3::bytea[]) AS it (sha256, key)
         ON CONFLICT DO NOTHING RETURNING key",
    )
    .bind(change.org.as_bytes().as_slice())
    .bind(hashes)
    .bind(keys.iter().map(|key| key.id).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    Ok(left_out(&keys, inserted))
}

/// The first of the objects that was not inserted.
fn left_out(objects: &[Object], inserted: Vec<Vec<u8>>) -> Option<String> {
    let mut inserted: BTreeSet<Vec<u8>> = inserted.into_iter().collect();
    let missing = objects.iter().find(|object| !inserted.remove(object.id.as_slice()));
    missing.map(|object| object.document.name().to_owned())
}

/// Limits, and those of the pots that are not over.
async fn put_limits(connection: &mut PgConnection, change: &Change) -> Result<(), Fault> {
    let (mut ids, mut amounts, mut scopes) = (Vec::new(), Vec::new(), Vec::new());
    for object in &change.put {
        if let Some((amount, scope)) = projection::budget(&object.document)? {
            ids.push(object.id);
            amounts.push(amount.0);
            scopes.push(scope);
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    let org = change.org.as_bytes().as_slice();
    let (kinds, names): (Vec<_>, Vec<_>) = scopes
        .iter()
        .map(|scope| {
            let (kind, name) = scope.words();
            (kind, text(name))
        })
        .unzip();
    sqlx::query(
        "INSERT INTO budget_limit (org, budget, amount, scope_kind, scope_name)
         SELECT $1, * FROM unnest($2::bytea[], $3::bigint[], $4::text[], $5::text[])",
    )
    .bind(org)
    .bind(&ids)
    .bind(&amounts)
    .bind(kinds)
    .bind(names)
    .execute(&mut *connection)
    .await?;
    // Pots are locked by id, as everywhere.
    sqlx::query(
        "SELECT FROM budget WHERE org = $1 AND budget = ANY ($2)
         ORDER BY budget, starts, ends FOR UPDATE",
    )
    .bind(org)
    .bind(&ids)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "UPDATE budget SET amount = it.amount
         FROM unnest($2::bytea[], $3::bigint[]) AS it (budget, amount)
         WHERE org = $1 AND budget.budget = it.budget AND ledger_now() < ends",
    )
    .bind(org)
    .bind(&ids)
    .bind(&amounts)
    .execute(connection)
    .await?;
    Ok(())
}
