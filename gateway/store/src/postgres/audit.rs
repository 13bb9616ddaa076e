//! [`AuditLog`] in PostgreSQL.

use super::{Postgres, Sight, sized, text, unreadable};
use crate::{
    Fault,
    audit::{Act, ActFilter, AuditLog, Entry, Head, Order, PAGE_ENTRIES_MAX},
};
use async_trait::async_trait;
use policies::ids::{OrgId, Revision};
use sqlx::{PgConnection, Postgres as Engine, QueryBuilder, Row, postgres::PgRow};

/// Whose turn it is to add to the log, as an advisory lock: "audit".
const LOG: i64 = 0x61_75_64_69_74;

#[async_trait]
impl AuditLog for Postgres {
    async fn append(&self, org: &OrgId, acts: Vec<Act>) -> Result<(), Fault> {
        let mut transaction = self.begin(Sight::Org(org)).await?;
        append(&mut transaction, org, acts, None).await?;
        Ok(transaction.commit().await?)
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
        narrow(&mut query, filter);
        let (beyond, sorted) = match order {
            Order::Oldest => (" AND seq > ", " ORDER BY seq LIMIT "),
            Order::Newest => (" AND seq < ", " ORDER BY seq DESC LIMIT "),
        };
        if let Some(after) = after {
            query.push(beyond).push_bind(i64::try_from(after).unwrap_or(i64::MAX));
        }
        query.push(sorted).push_bind(i64::from(limit.min(PAGE_ENTRIES_MAX)));
        let mut transaction = self.begin(Sight::Org(org)).await?;
        let rows = query.build().fetch_all(&mut *transaction).await?;
        rows.iter().map(entry).collect()
    }

    async fn head(&self, org: &OrgId) -> Result<Head, Fault> {
        let sql = "SELECT * FROM audit_head
            WHERE org = decode(current_setting('penstock.org'), 'hex')";
        let rows = self.read(Sight::Org(org), sql).await?;
        rows.first().map_or(Ok(Head::default()), head)
    }

    async fn heads(&self) -> Result<Vec<(OrgId, Head)>, Fault> {
        let sql = "SELECT * FROM audit_head ORDER BY org";
        let rows = self.read(Sight::Across("audit_head"), sql).await?;
        rows.iter().map(|row| Ok((OrgId::from_bytes(sized(row, "org")?), head(row)?))).collect()
    }

    async fn arrivals(&self, after: i64, limit: u32) -> Result<Vec<Entry>, Fault> {
        let limit = limit.min(PAGE_ENTRIES_MAX);
        let sql =
            format!("SELECT * FROM audit WHERE {after} < position ORDER BY position LIMIT {limit}");
        let rows = self.read(Sight::Across("audit"), &sql).await?;
        rows.iter().map(entry).collect()
    }

    async fn sink_position(&self, sink: &str) -> Result<i64, Fault> {
        let position = sqlx::query_scalar("SELECT position FROM audit_sink WHERE sink = $1")
            .bind(text(sink))
            .fetch_optional(&self.pool)
            .await?;
        Ok(position.unwrap_or(0))
    }

    async fn set_sink_position(&self, sink: &str, position: i64) -> Result<(), Fault> {
        sqlx::query(
            "INSERT INTO audit_sink (sink, position) VALUES ($1, $2)
             ON CONFLICT (sink) DO UPDATE SET position = excluded.position",
        )
        .bind(text(sink))
        .bind(position)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

/// Adds rows to the org's chain, which must be named to the wall.
///
/// One transaction at a time does so in the whole installation, from here to its end. So no chain
/// forks, and positions, which are numbered in between, become visible in their order: a reader
/// that has seen one has seen all below it. Administrative acts are few enough for that.
pub(super) async fn append(
    connection: &mut PgConnection,
    org: &OrgId,
    acts: Vec<Act>,
    revision: Option<Revision>,
) -> Result<(), Fault> {
    if acts.is_empty() {
        return Ok(());
    }
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOG).execute(&mut *connection).await?;
    let row = sqlx::query("SELECT * FROM audit_head WHERE org = $1")
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
    sqlx::query(
        "INSERT INTO audit_head (org, size, hash) VALUES ($1, $2, $3)
         ON CONFLICT (org) DO UPDATE SET size = excluded.size, hash = excluded.hash",
    )
    .bind(org.as_bytes().as_slice())
    .bind(signed(end.size)?)
    .bind(end.hash.as_slice())
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert(connection: &mut PgConnection, entry: &Entry, act: &Act) -> Result<(), Fault> {
    let target = act.target.as_ref();
    sqlx::query(
        "INSERT INTO audit (org, seq, prev, hash, body, at, action, actor, target, project)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(entry.org.as_bytes().as_slice())
    .bind(signed(entry.seq)?)
    .bind(entry.prev.as_slice())
    .bind(entry.hash.as_slice())
    // JSON writes NUL in letters.
    .bind(&entry.body)
    .bind(act.at.0)
    .bind(text(&act.action))
    .bind(text(&act.actor.id))
    .bind(target.map(|target| text(&target.id)))
    .bind(target.and_then(|target| target.project.as_deref().map(text)))
    .execute(connection)
    .await?;
    Ok(())
}

/// Only the conditions that the filter has, so that the planner can choose an index for them.
fn narrow(query: &mut QueryBuilder<Engine>, filter: &ActFilter) {
    if let Some(from) = filter.from {
        query.push(" AND at >= ").push_bind(from.0);
    }
    if let Some(to) = filter.to {
        query.push(" AND at < ").push_bind(to.0);
    }
    for (column, wanted) in [
        (" AND action = ANY (", &filter.actions),
        (" AND actor = ANY (", &filter.actors),
        (" AND target = ANY (", &filter.targets),
        (" AND project = ANY (", &filter.projects),
    ] {
        if !wanted.is_empty() {
            let wanted: Vec<String> = wanted.iter().map(|it| text(it).into_owned()).collect();
            query.push(column).push_bind(wanted).push(")");
        }
    }
}

fn entry(row: &PgRow) -> Result<Entry, Fault> {
    Ok(Entry {
        org: OrgId::from_bytes(sized(row, "org")?),
        seq: unsigned(row.try_get("seq")?)?,
        prev: sized(row, "prev")?,
        hash: sized(row, "hash")?,
        body: row.try_get("body")?,
        position: row.try_get("position")?,
    })
}

fn head(row: &PgRow) -> Result<Head, Fault> {
    Ok(Head { size: unsigned(row.try_get("size")?)?, hash: sized(row, "hash")? })
}

fn signed(seq: u64) -> Result<i64, Fault> {
    i64::try_from(seq).map_err(|cause| unreadable("seq", &cause))
}

fn unsigned(seq: i64) -> Result<u64, Fault> {
    u64::try_from(seq).map_err(|cause| unreadable("seq", &cause))
}
