//! PostgreSQL: many gateways on one database.
//!
//! Transactions are `READ COMMITTED` with explicit locks. Each that decides something first locks
//! the rows that it decides by, and every later statement sees what was committed before it got
//! them: a retry after a serialisation failure, which a stricter level would ask for whenever two
//! gateways use one budget, is not needed. What each lock stands for is said where it is taken.

mod audit;
mod bell;
mod cells;
mod directory;
mod idempotency;
mod last_use;
mod ledger;
mod registry;
mod row;
mod saturate;
mod sessions;
mod sight;
mod tickets;
mod usage;
mod vault;

pub(crate) use sight::Sight;

use crate::Fault;
use policies::{
    budget::Pot,
    ids::BudgetId,
    time::{Span, Timestamp},
};
use sqlx::{
    AssertSqlSafe, ColumnIndex, Connection, Executor, PgConnection, PgPool, Postgres as Engine,
    Row, SqlSafeStr, Transaction,
    migrate::{Migration, MigrationType, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
};
use std::{borrow::Cow, fmt, str::FromStr, time::Duration};
use tokio::time;

/// What wakes a gateway whose unused money somebody lacks; the payload is its boot's id in hex.
const RECALL_CHANNEL: &str = "penstock_recall";
/// What wakes every gateway because the settings of some org have changed.
const SETTINGS_CHANNEL: &str = "penstock_settings";
/// The role that the engine works as, whoever logs in. The migrations make it.
const APP_ROLE: &str = "penstock_app";
const CONNECTIONS_MAX: u32 = 16;
const CONNECTIONS_FOR_LIMITS_MAX: u32 = 4;
/// How long a call waits for a connection.
const ACQUIRE_MILLIS_MAX: u64 = 5_000;
/// How long a statement waits for a lock, how long it may take, and how long the server waits for
/// the next one of a transaction: a gateway that is lost keeps no lock for longer.
const SERVER_MILLIS_MAX: [(&str, &str); 3] = [
    ("lock_timeout", "5000"),
    ("statement_timeout", "300000"),
    ("idle_in_transaction_session_timeout", "10000"),
];
/// How long a call waits for the server's answer: it may be gone without a word. Reports may take
/// as long as a statement.
const CALL: Duration = Duration::from_secs(30);
const REPORT: Duration = Duration::from_secs(310);
/// A connection that was not used for this long is tried before it is used again.
const QUIET: Duration = Duration::from_secs(1);
/// How often a transaction is made that the server ends because of others.
const ATTEMPTS_MAX: u32 = 4;

/// SQLSTATE classes that say that a row is wrong: data exception, integrity constraint violation,
/// program limit exceeded (PostgreSQL manual, appendix A).
const DATA_CLASSES: [&str; 3] = ["22", "23", "54"];
/// Serialization failure, and deadlock: the transaction would succeed if it were made again.
const TRY_AGAIN: [&str; 2] = ["40001", "40P01"];

/// All changes of the tables, in order.
const MIGRATIONS: [(i64, &str, &str); 6] = [
    (1, "initial", include_str!("../migrations/postgres/0001_initial.sql")),
    (2, "administration", include_str!("../migrations/postgres/0002_administration.sql")),
    (3, "ledger", include_str!("../migrations/postgres/0003_ledger.sql")),
    (4, "cells", include_str!("../migrations/postgres/0004_cells.sql")),
    (5, "recall", include_str!("../migrations/postgres/0005_recall.sql")),
    (6, "session vouched", include_str!("../migrations/postgres/0006_session_vouched.sql")),
];

/// A database server's one database.
#[derive(Clone, Debug)]
pub struct Postgres {
    pool: PgPool,
}

/// Brings the tables up to date. `url` logs in as their owner, who may make roles or finds
/// `penstock_app` made and granted. Of several processes that start at once one does the work,
/// under an advisory lock, and the others wait for it.
///
/// A login that may make no tables changes nothing: somebody else has to have done it, which
/// [`Postgres::open`] checks.
pub async fn migrate(url: &str) -> Result<(), Fault> {
    let mut connection = PgConnection::connect_with(&options(url)?).await?;
    let may: bool = sqlx::query_scalar(
        "SELECT COALESCE(has_schema_privilege(current_schema(), 'CREATE'), false)",
    )
    .fetch_one(&mut connection)
    .await?;
    if may {
        // Others that start wait for the first for as long as it takes.
        connection.execute("SET lock_timeout = 0; SET statement_timeout = 0").await?;
        let migrations = MIGRATIONS.map(|(version, name, sql)| {
            let sql = sql.into_sql_str();
            Migration::new(version, name.into(), MigrationType::Simple, sql, false)
        });
        Migrator::with_migrations(migrations.to_vec()).run(&mut connection).await?;
    }
    connection.close().await?;
    Ok(())
}

impl Postgres {
    /// Connects; the tables must be there ([`migrate`]). Every connection takes the role
    /// `penstock_app` before its first use, and is refused if row level security would not bind
    /// it.
    ///
    /// A commit survives the server if its `synchronous_commit` is on, which is its default.
    pub async fn open(url: &str) -> Result<Self, Fault> {
        Self::open_with(url, CONNECTIONS_MAX).await
    }

    /// The same with few connections, for nothing but limits.
    pub async fn open_for_limits(url: &str) -> Result<Self, Fault> {
        Self::open_with(url, CONNECTIONS_FOR_LIMITS_MAX).await
    }

    async fn open_with(url: &str, connections_max: u32) -> Result<Self, Fault> {
        let pool = PgPoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(Duration::from_millis(ACQUIRE_MILLIS_MAX))
            .after_connect(|connection, _| Box::pin(take_role(connection)))
            // Trying each time would cost each call a round trip.
            .test_before_acquire(false)
            .before_acquire(|connection, was| {
                Box::pin(async move {
                    if QUIET <= was.idle_for {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_with(options(url)?)
            .await?;
        up_to_date(&pool).await?;
        Ok(Self { pool })
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// For the contract: the wall is tried through the same connections.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    #[expect(clippy::disallowed_methods, reason = "a connection must not be left half way")]
    /// A transaction; its first round trip also says whose rows it sees.
    async fn begin(&self, sight: Sight<'_>) -> Result<Writing, Fault> {
        let sql = AssertSqlSafe(format!("BEGIN ISOLATION LEVEL READ COMMITTED; {}", sight.sql()));
        let pool = self.pool.clone();
        // Whoever waits for it may go; a connection whose `BEGIN` nobody waited for would come back
        // to the pool with a transaction open.
        let begun = tokio::spawn(async move { pool.begin_with(sql).await });
        begun.await.map_err(|cause| Fault::Away(cause.to_string()))?.map_err(Fault::from)
    }

    /// One statement in one round trip, the name of the org included. Nothing in `sql` may come
    /// from outside, but for numbers and ids.
    async fn read(&self, sight: Sight<'_>, sql: &str) -> Result<Vec<PgRow>, Fault> {
        let rows = sqlx::raw_sql(sight.before(sql)).fetch_all(&self.pool);
        let rows = bounded(REPORT, rows).await?;
        // The first row is that of the name.
        Ok(rows.into_iter().skip(1).collect())
    }
}

/// A transaction under way; rolled back if it is dropped.
type Writing = Transaction<'static, Engine>;

fn options(url: &str) -> Result<PgConnectOptions, Fault> {
    let options = PgConnectOptions::from_str(url)?;
    Ok(options.application_name("penstock").options(SERVER_MILLIS_MAX))
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

/// Refuses tables that are older than this version.
async fn up_to_date(pool: &PgPool) -> Result<(), Fault> {
    let last: Option<i64> =
        sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success")
            .fetch_one(pool)
            .await?;
    if MIGRATIONS.iter().all(|(version, ..)| last.is_some_and(|last| *version <= last)) {
        return Ok(());
    }
    Err(Fault::Away("the tables are older than this version: migrate them as owner".to_owned()))
}

/// Whether an SQLSTATE says that what was sent is refused, and would be again.
pub(crate) fn is_about_data(code: &str) -> bool {
    DATA_CLASSES.iter().any(|class| code.starts_with(class))
}

/// The SQLSTATE, if the server answered.
fn code(cause: &sqlx::Error) -> Option<Cow<'_, str>> {
    cause.as_database_error()?.code()
}

/// Makes a transaction until the server does not end it because of others. It must be one that is
/// safe to repeat from its start. What ends each time is [`Fault::Away`].
async fn again<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    let mut attempts = 0;
    loop {
        attempts += 1;
        match bounded(CALL, attempt()).await {
            Err(Fault::Engine(cause)) if is_because_of_others(&cause) => {
                if attempts == ATTEMPTS_MAX {
                    return Err(Fault::Away(cause.to_string()));
                }
            }
            outcome => return outcome,
        }
    }
}

/// What has no answer by then is [`Fault::Away`].
async fn bounded<T, E>(
    limit: Duration,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, Fault>
where
    Fault: From<E>,
{
    let answer = time::timeout(limit, call).await;
    Ok(answer.map_err(|_| Fault::Away("the server does not answer".to_owned()))??)
}

fn is_because_of_others(cause: &sqlx::Error) -> bool {
    code(cause).is_some_and(|code| TRY_AGAIN.contains(&code.as_ref()))
}

/// As text columns take it: they have no place for NUL, which is shown by its symbol instead.
fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{2400}").into() } else { text.into() }
}

/// The bytes of an id or a hash.
fn sized<const N: usize>(row: &PgRow, column: impl ColumnIndex<PgRow>) -> Result<[u8; N], Fault> {
    let stored: Vec<u8> = row.try_get(column)?;
    stored.try_into().map_err(|stored: Vec<u8>| Fault::Unreadable {
        what: "id or hash",
        cause: format!("{} bytes instead of {N}", stored.len()),
    })
}

fn number(row: &PgRow, column: &'static str) -> Result<u32, Fault> {
    let stored: i64 = row.try_get(column)?;
    u32::try_from(stored).map_err(|cause| unreadable(column, &cause))
}

/// The columns `budget`, `starts` and `ends`.
fn pot(row: &PgRow) -> Result<Pot, Fault> {
    let starts = Timestamp(row.try_get("starts")?);
    let ends = Timestamp(row.try_get("ends")?);
    Ok(Pot { budget: BudgetId::from_bytes(sized(row, "budget")?), span: Span { starts, ends } })
}

fn unreadable(what: &'static str, cause: &dyn fmt::Display) -> Fault {
    Fault::Unreadable { what, cause: cause.to_string() }
}
