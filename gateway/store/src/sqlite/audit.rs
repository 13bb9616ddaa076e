//! [`AuditLog`] in SQLite.

use super::{Sqlite, bytes, sized, unreadable};
use crate::{
    Fault,
    audit::{Act, ActFilter, AuditLog, Entry, Head, Order, PAGE_ENTRIES_MAX},
};
use async_trait::async_trait;
use policies::{ids::OrgId, ids::Revision};
use rusqlite::{Connection, OptionalExtension, params};
use sqlx::{QueryBuilder, Row, Sqlite as Engine, SqliteConnection, sqlite::SqliteRow};

const INSERT: &str = "
    INSERT INTO audit (position, org, seq, prev, hash, body, at, action, actor, target, project)
    VALUES ((SELECT coalesce(max(position), 0) + 1 FROM audit),
        ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
const SET_HEAD: &str = "
    INSERT INTO audit_head (org, size, hash) VALUES (?1, ?2, ?3)
    ON CONFLICT (org) DO UPDATE SET size = excluded.size, hash = excluded.hash";

#[async_trait]
impl AuditLog for Sqlite {
    async fn append(&self, org: &OrgId, acts: Vec<Act>) -> Result<(), Fault> {
        let mut transaction = self.begin_flushed().await?;
        append(&mut transaction, org, acts, None).await?;
        transaction.commit().await
    }

    async fn acts(
        &self,
        org: &OrgId,
        filter: &ActFilter,
        order: Order,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Entry>, Fault> {
        let mut query = QueryBuilder::new("SELECT * FROM audit WHERE org = ");
        query.push_bind(org.as_bytes().to_vec());
        narrow(&mut query, filter)?;
        let (beyond, sorted) = match order {
            Order::Oldest => (" AND seq > ", " ORDER BY seq LIMIT "),
            Order::Newest => (" AND seq < ", " ORDER BY seq DESC LIMIT "),
        };
        if let Some(after) = after {
            query.push(beyond).push_bind(i64::try_from(after).unwrap_or(i64::MAX));
        }
        query.push(sorted).push_bind(limit.min(PAGE_ENTRIES_MAX));
        let rows = query.build().fetch_all(&self.readers).await?;
        rows.iter().map(entry).collect()
    }

    async fn head(&self, org: &OrgId) -> Result<Head, Fault> {
        let row = sqlx::query("SELECT * FROM audit_head WHERE org = ?1")
            .bind(org.as_bytes().as_slice())
            .fetch_optional(&self.readers)
            .await?;
        row.as_ref().map_or(Ok(Head::default()), head)
    }

    async fn heads(&self) -> Result<Vec<(OrgId, Head)>, Fault> {
        let rows =
            sqlx::query("SELECT * FROM audit_head ORDER BY org").fetch_all(&self.readers).await?;
        rows.iter().map(|row| Ok((OrgId::from_bytes(bytes(row, "org")?), head(row)?))).collect()
    }

    async fn arrivals(&self, after: i64, limit: u32) -> Result<Vec<Entry>, Fault> {
        let rows =
            sqlx::query("SELECT * FROM audit WHERE ?1 < position ORDER BY position LIMIT ?2")
                .bind(after)
                .bind(limit.min(PAGE_ENTRIES_MAX))
                .fetch_all(&self.readers)
                .await?;
        rows.iter().map(entry).collect()
    }

    async fn sink_position(&self, sink: &str) -> Result<i64, Fault> {
        let position = sqlx::query_scalar("SELECT position FROM audit_sink WHERE sink = ?1")
            .bind(sink)
            .fetch_optional(&self.readers)
            .await?;
        Ok(position.unwrap_or(0))
    }

    async fn set_sink_position(&self, sink: &str, position: i64) -> Result<(), Fault> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "INSERT INTO audit_sink (sink, position) VALUES (?1, ?2)
             ON CONFLICT (sink) DO UPDATE SET position = excluded.position",
        )
        .bind(sink)
        .bind(position)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }
}

/// Adds rows to the org's chain. The transaction has the write lock from its start on, so that no
/// other can add to the same end.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    org: &OrgId,
    acts: Vec<Act>,
    revision: Option<Revision>,
) -> Result<(), Fault> {
    if acts.is_empty() {
        return Ok(());
    }
    let row = sqlx::query("SELECT * FROM audit_head WHERE org = ?1")
        .bind(org.as_bytes().as_slice())
        .fetch_optional(&mut *connection)
        .await?;
    let mut end = row.as_ref().map_or(Ok(Head::default()), head)?;
    for mut act in acts {
        act.revision = revision.map_or(act.revision, |revision| Some(revision.0));
        let entry = end.next(org, &act)?;
        insert(&mut *connection, &entry, &act).await?;
        end = entry.head();
    }
    sqlx::query(SET_HEAD)
        .bind(org.as_bytes().as_slice())
        .bind(signed(end.size)?)
        .bind(end.hash.as_slice())
        .execute(connection)
        .await?;
    Ok(())
}

async fn insert(connection: &mut SqliteConnection, entry: &Entry, act: &Act) -> Result<(), Fault> {
    let target = act.target.as_ref();
    sqlx::query(INSERT)
        .bind(entry.org.as_bytes().as_slice())
        .bind(signed(entry.seq)?)
        .bind(entry.prev.as_slice())
        .bind(entry.hash.as_slice())
        .bind(&entry.body)
        .bind(act.at.0)
        .bind(&act.action)
        .bind(&act.actor.id)
        .bind(target.map(|target| &target.id))
        .bind(target.and_then(|target| target.project.as_ref()))
        .execute(connection)
        .await?;
    Ok(())
}

/// The same for one act, by the connection that writes the rows of the journal.
pub(super) fn append_one(connection: &Connection, org: &OrgId, act: &Act) -> Result<(), Fault> {
    let head = connection
        .query_row("SELECT size, hash FROM audit_head WHERE org = ?1", [org.as_bytes()], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
        })
        .optional()?;
    let end = match head {
        Some((size, hash)) => Head { size: unsigned(size)?, hash: sized(&hash, "hash")? },
        None => Head::default(),
    };
    let entry = end.next(org, act)?;
    let target = act.target.as_ref();
    connection.execute(
        INSERT,
        params![
            org.as_bytes(),
            signed(entry.seq)?,
            entry.prev,
            entry.hash,
            entry.body,
            act.at.0,
            act.action,
            act.actor.id,
            target.map(|target| &target.id),
            target.and_then(|target| target.project.as_ref()),
        ],
    )?;
    let end = entry.head();
    connection.execute(SET_HEAD, params![org.as_bytes(), signed(end.size)?, end.hash])?;
    Ok(())
}

/// Only the conditions that the filter has, so that the planner can choose an index for them.
fn narrow(query: &mut QueryBuilder<Engine>, filter: &ActFilter) -> Result<(), Fault> {
    if let Some(from) = filter.from {
        query.push(" AND at >= ").push_bind(from.0);
    }
    if let Some(to) = filter.to {
        query.push(" AND at < ").push_bind(to.0);
    }
    for (column, wanted) in [
        (" AND action IN", &filter.actions),
        (" AND actor IN", &filter.actors),
        (" AND target IN", &filter.targets),
        (" AND project IN", &filter.projects),
    ] {
        if !wanted.is_empty() {
            // One value, however many are wanted: a statement has places for some thousands only.
            let wanted =
                serde_json::to_string(wanted).map_err(|cause| unreadable("filter", &cause))?;
            query.push(column).push(" (SELECT value FROM json_each(");
            query.push_bind(wanted).push("))");
        }
    }
    Ok(())
}

fn entry(row: &SqliteRow) -> Result<Entry, Fault> {
    Ok(Entry {
        org: OrgId::from_bytes(bytes(row, "org")?),
        seq: unsigned(row.try_get("seq")?)?,
        prev: sized(row.try_get("prev")?, "prev")?,
        hash: sized(row.try_get("hash")?, "hash")?,
        body: row.try_get("body")?,
        position: row.try_get("position")?,
    })
}

fn head(row: &SqliteRow) -> Result<Head, Fault> {
    let size = unsigned(row.try_get("size")?)?;
    Ok(Head { size, hash: sized(row.try_get("hash")?, "hash")? })
}

fn signed(seq: u64) -> Result<i64, Fault> {
    i64::try_from(seq).map_err(|cause| unreadable("seq", &cause))
}

fn unsigned(seq: i64) -> Result<u64, Fault> {
    u64::try_from(seq).map_err(|cause| unreadable("seq", &cause))
}
