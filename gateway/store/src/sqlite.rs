//! The embedded engine: one file, one writer, a few readers.

mod audit;
mod decision;
mod directory;
mod idempotency;
mod last_use;
mod ledger;
mod pen;
mod registry;
mod row;
mod saturate;
mod sessions;
mod tickets;
mod usage;
mod vault;

use crate::Fault;
use pen::{Pen, Writing};
use policies::{budget::Pot, ids::BudgetId, time::Span, time::Timestamp};
use sqlx::{
    Row, SqlSafeStr, SqlitePool,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
    },
};
use std::{fmt, fs, io, path::Path, time::Duration};

/// Bytes of a page, in a new file: a shipment fills many pages, and each is a call to the system.
const PAGE_BYTES: u32 = 8_192;
/// Pages in the side file at which any write copies them into the database: 32 MiB.
const CHECKPOINT_PAGES_MAX: &str = "4096";
/// Connections that read, at most.
const READERS_MAX: u32 = 4;
/// How long one process waits for another that writes.
const BUSY_MILLIS_MAX: u64 = 10_000;
/// How long a call waits for a connection, and for its turn to write.
const ACQUIRE_MILLIS_MAX: u64 = 10_000;

/// A database file. Several processes may have it open; writes are serialised by its lock.
#[derive(Clone, Debug)]
pub struct Sqlite {
    /// Whose turn it is: a process never waits for itself in the file's lock.
    pen: Pen,
    writer: SqlitePool,
    readers: SqlitePool,
    /// Whether every commit survives a power failure, or only those that nothing could make good.
    flushed: Flushed,
}

/// Which commits survive a power failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Settings and audit rows, which nothing else remembers.
    Settings,
    /// All, for one flush of the disk each: where the journal survives it as well.
    Everything,
}

impl Sqlite {
    /// Opens `path` and brings its tables up to date; makes the file (only its owner may read
    /// it) and its folder where there is none.
    ///
    /// A commit survives the end of the process; a power failure only if it is of settings.
    pub async fn open(path: &Path) -> Result<Self, Fault> {
        Self::open_with(path, Flushed::Settings).await
    }

    /// The same, where commits are flushed to the disk as `flushed` says.
    pub async fn open_with(path: &Path, flushed: Flushed) -> Result<Self, Fault> {
        create(path).map_err(sqlx::Error::Io)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .page_size(PAGE_BYTES)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_millis(BUSY_MILLIS_MAX))
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES_MAX);
        let writer = pool(1).connect_with(options.clone()).await?;
        migrate(&writer).await?;
        let readers = pool(READERS_MAX).connect_with(options.read_only(true)).await?;
        let pen = Pen::open(path, flushed).await?;
        Ok(Self { pen, writer, readers, flushed })
    }

    /// Ends all connections; the file is complete without its side files after that.
    pub async fn close(&self) {
        self.readers.close().await;
        self.pen.close().await;
        self.writer.close().await;
    }

    /// A transaction that has the write lock from its first statement on: one that only asks for
    /// it later fails at once when another process writes, whatever the busy timeout.
    async fn begin(&self) -> Result<Writing, Fault> {
        self.begin_with(self.flushed).await
    }

    /// The same, for what nothing else remembers: its commit survives a power failure.
    async fn begin_flushed(&self) -> Result<Writing, Fault> {
        self.begin_with(Flushed::Everything).await
    }

    async fn begin_with(&self, flushed: Flushed) -> Result<Writing, Fault> {
        let turn = self.pen.take().await?;
        // There is one connection, and whose turn it is has it.
        sqlx::query(flushed.pragma()).execute(&self.writer).await?;
        let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        Ok(Writing { transaction, turn })
    }
}

impl Flushed {
    /// In WAL mode: `NORMAL` flushes at checkpoints, `FULL` at each commit.
    const fn pragma(self) -> &'static str {
        match self {
            Self::Settings => "PRAGMA synchronous = NORMAL",
            Self::Everything => "PRAGMA synchronous = FULL",
        }
    }
}

fn pool(connections_max: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections_max)
        .min_connections(1)
        .acquire_timeout(Duration::from_millis(ACQUIRE_MILLIS_MAX))
        .idle_timeout(None)
        .max_lifetime(None)
}

fn create(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// All migrations in one transaction that holds the write lock, so that of several processes that
/// start at once one makes the tables and the others find them.
async fn migrate(writer: &SqlitePool) -> Result<(), Fault> {
    let initial = include_str!("../migrations/sqlite/0001_initial.sql");
    let administration = include_str!("../migrations/sqlite/0002_administration.sql");
    let recall = include_str!("../migrations/sqlite/0003_recall.sql");
    let vouched = include_str!("../migrations/sqlite/0004_session_vouched.sql");
    let migrations = vec![
        migration(1, "initial", initial),
        migration(2, "administration", administration),
        migration(3, "recall", recall),
        migration(4, "session vouched", vouched),
    ];
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    Migrator::with_migrations(migrations).run(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

fn migration(version: i64, name: &'static str, sql: &'static str) -> Migration {
    Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
}

/// The 16 bytes of an id.
fn bytes(row: &SqliteRow, column: &'static str) -> Result<[u8; 16], Fault> {
    sized(row.try_get(column)?, column)
}

fn sized<const N: usize>(bytes: &[u8], what: &'static str) -> Result<[u8; N], Fault> {
    bytes.try_into().map_err(|_| Fault::Unreadable {
        what,
        cause: format!("{} bytes instead of {N}", bytes.len()),
    })
}

fn unreadable(what: &'static str, cause: &dyn fmt::Display) -> Fault {
    Fault::Unreadable { what, cause: cause.to_string() }
}

/// The columns `budget`, `starts` and `ends`.
fn pot(row: &SqliteRow) -> Result<Pot, Fault> {
    let starts = Timestamp(row.try_get("starts")?);
    let ends = Timestamp(row.try_get("ends")?);
    let budget = BudgetId::from_bytes(bytes(row, "budget")?);
    Ok(Pot { budget, span: Span { starts, ends } })
}

#[cfg(test)]
mod tests;
