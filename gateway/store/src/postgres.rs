//! PostgreSQL: many gateways on one database.

use crate::{Directory, Fault, Settings, sorted};
use async_trait::async_trait;
use policies::{
    document::Object,
    ids::{KeyId, OrgId, Revision},
};
use sqlx::{
    AssertSqlSafe, Connection, Executor, PgConnection, PgPool, Row, SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
    postgres::{PgPoolOptions, PgRow},
};
use std::time::Duration;

/// The role that the engine works as, whoever logs in. The migrations make it.
const APP_ROLE: &str = "penstock_app";
const CONNECTIONS_MAX: u32 = 8;
/// How long a call waits for a connection.
const ACQUIRE_MILLIS_MAX: u64 = 5_000;

/// A database server's one database.
#[derive(Clone, Debug)]
pub struct Postgres {
    pool: PgPool,
}

/// Brings the tables up to date. `url` logs in as their owner, who may make roles or finds
/// `penstock_app` made and granted. Of several processes that start at once one does the work,
/// under an advisory lock, and the others wait for it.
pub async fn migrate(url: &str) -> Result<(), Fault> {
    let sql = include_str!("../migrations/postgres/0001_initial.sql").into_sql_str();
    let initial = Migration::new(1, "initial".into(), MigrationType::Simple, sql, false);
    let mut connection = PgConnection::connect(url).await?;
    Migrator::with_migrations(vec![initial]).run(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

impl Postgres {
    /// Connects; the tables must be there ([`migrate`]). Every connection takes the role
    /// `penstock_app` before its first use, and is refused if row level security would not bind
    /// it.
    pub async fn open(url: &str) -> Result<Self, Fault> {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(Duration::from_millis(ACQUIRE_MILLIS_MAX))
            .after_connect(|connection, _| Box::pin(take_role(connection)))
            .connect(url)
            .await?;
        Ok(Self { pool })
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// For the contract: the wall is tried through the same connections.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }
}

async fn take_role(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    connection.execute(AssertSqlSafe(format!("SET ROLE {APP_ROLE}"))).await?;
    let bound: bool = sqlx::query_scalar(
        "SELECT NOT rolsuper AND NOT rolbypassrls
            AND NOT EXISTS (SELECT FROM pg_class
                WHERE relowner = pg_roles.oid AND relnamespace = current_schema()::regnamespace)
         FROM pg_roles WHERE rolname = current_user",
    )
    .fetch_one(connection)
    .await?;
    if bound {
        return Ok(());
    }
    let message = format!("row level security does not bind the role `{APP_ROLE}`");
    Err(sqlx::Error::Configuration(message.into()))
}

/// What names `org` to the wall, before `sql` and in the same round trip: several statements in
/// one simple query are one transaction (PostgreSQL manual, "Multiple Statements in a Simple
/// Query"), and the name ends with it. Its first row is not one of `sql`.
pub(crate) fn within(org: &OrgId, sql: &str) -> AssertSqlSafe<String> {
    // 32 hexadecimal digits: nothing in it can end the quotes.
    let org = hex::encode(org.as_bytes());
    AssertSqlSafe(format!("SELECT set_config('penstock.org', '{org}', true); {sql}"))
}

#[async_trait]
impl Directory for Postgres {
    async fn revisions(&self) -> Result<Vec<(OrgId, Revision)>, Fault> {
        let rows =
            sqlx::query("SELECT id, revision FROM org ORDER BY id").fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok((OrgId::from_bytes(sized(row, "id")?), revision(row)?))).collect()
    }

    async fn settings(&self, org: &OrgId) -> Result<Option<Settings>, Fault> {
        // One statement reads both, so that revision and objects are of one moment.
        let sql = "SELECT org.revision, object.id, object.body::text AS body
            FROM org LEFT JOIN object ON object.org = org.id
            WHERE org.id = decode(current_setting('penstock.org'), 'hex')";
        let rows = sqlx::raw_sql(within(org, sql)).fetch_all(&self.pool).await?;
        let mut rows = rows.iter().skip(1).peekable();
        let Some(first) = rows.peek() else { return Ok(None) };
        let revision = revision(first)?;
        let mut objects = Vec::new();
        for row in rows {
            let Some(body) = row.try_get::<Option<String>, _>("body")? else { continue };
            let document = serde_json::from_str(&body)
                .map_err(|cause| Fault::Unreadable { what: "object", cause: cause.to_string() })?;
            objects.push(Object { id: sized(row, "id")?, document });
        }
        Ok(Some(Settings { org: *org, revision, objects: sorted(objects) }))
    }

    async fn keys(&self) -> Result<Vec<([u8; 32], OrgId, KeyId)>, Fault> {
        let rows = sqlx::query("SELECT sha256, org, key FROM key_hash ORDER BY sha256")
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| {
                let org = OrgId::from_bytes(sized(row, "org")?);
                let key = KeyId::from_bytes(sized(row, "key")?);
                Ok((sized(row, "sha256")?, org, key))
            })
            .collect()
    }
}

fn revision(row: &PgRow) -> Result<Revision, Fault> {
    let stored: i64 = row.try_get("revision")?;
    u64::try_from(stored)
        .map(Revision)
        .map_err(|cause| Fault::Unreadable { what: "revision", cause: cause.to_string() })
}

fn sized<const N: usize>(row: &PgRow, column: &'static str) -> Result<[u8; N], Fault> {
    let stored: Vec<u8> = row.try_get(column)?;
    stored.try_into().map_err(|stored: Vec<u8>| Fault::Unreadable {
        what: column,
        cause: format!("{} bytes instead of {N}", stored.len()),
    })
}
