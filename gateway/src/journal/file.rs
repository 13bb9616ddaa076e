//! The journal's file: rows of lines, and which boots wrote them.

use crate::config::Durability;
use policies::{
    ids::{BootId, JournalId},
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, params};
use std::{
    cell::Cell,
    fs,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use store::entropy;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS meta (id INTEGER PRIMARY KEY CHECK (id = 1), journal BLOB NOT NULL)
        STRICT;
    CREATE TABLE IF NOT EXISTS boot (
        boot BLOB PRIMARY KEY,
        -- The kernel's own boot id: another one means that the machine went down in between.
        kernel TEXT NOT NULL,
        durability TEXT NOT NULL,
        started INTEGER NOT NULL,
        -- Rows below this are shipped and hold no open intent.
        done INTEGER NOT NULL DEFAULT 0,
        clean INTEGER NOT NULL DEFAULT 0,
        closed INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE IF NOT EXISTS batch (
        seq INTEGER PRIMARY KEY,
        boot BLOB NOT NULL,
        at INTEGER NOT NULL,
        lines BLOB NOT NULL
    ) STRICT;
";

/// Shipped rows are kept this long, to look back at.
const KEPT_MILLIS: i64 = 24 * 3_600_000;
/// Shipped rows are kept up to so many, at most.
const KEPT_ROWS_MAX: i64 = 200_000;
/// Rows that one clean-up takes away, at most.
const CLEANED_ROWS_MAX: i64 = 2_000;

#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    #[error("journal `{}`: {cause}", .path.display())]
    Io { path: PathBuf, cause: std::io::Error },
    #[error("journal `{}`: another process has it", .0.display())]
    Locked(PathBuf),
    #[error("journal: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("journal: {0}")]
    Entropy(#[from] entropy::Dry),
}

/// An open journal, locked for this process alone.
pub struct File {
    path: PathBuf,
    connection: Connection,
    journal: JournalId,
    durability: Durability,
    /// The number of the next row.
    next: Cell<i64>,
    /// Held open: the lock goes when the process goes.
    _lock: fs::File,
}

/// An older boot whose rows are not all known to be shipped.
#[derive(Clone, Debug)]
pub(super) struct OldBoot {
    pub(super) boot: BootId,
    /// The machine may have lost the last rows of it.
    pub(super) torn: bool,
    pub(super) done: i64,
}

impl File {
    pub fn open(path: &Path, durability: Durability) -> Result<Self, OpenFault> {
        let io = |cause| OpenFault::Io { path: path.to_owned(), cause };
        if let Some(folder) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
        }
        let lock = lock(path)?;
        // SQLite gives its side files the mode of this one.
        drop(private(path).map_err(io)?);
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        let synchronous = match durability {
            Durability::ProcessCrash => "NORMAL",
            Durability::PowerLoss => "FULL",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        // Beside the writer: see [`super::checkpoint`].
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.execute_batch(SCHEMA)?;
        let fresh = entropy::id()?;
        connection
            .execute("INSERT OR IGNORE INTO meta (id, journal) VALUES (1, ?1)", params![fresh])?;
        let journal: [u8; 16] =
            connection.query_row("SELECT journal FROM meta", [], |row| row.get(0))?;
        let journal = JournalId::from_bytes(journal);
        // Never a number that was used before: `done` speaks of numbers.
        let next = connection.query_row(
            "SELECT max((SELECT coalesce(max(seq), 0) FROM batch),
                (SELECT coalesce(max(done), 0) FROM boot)) + 1",
            [],
            |row| row.get(0),
        )?;
        let (path, next) = (path.to_owned(), Cell::new(next));
        Ok(Self { path, connection, journal, durability, next, _lock: lock })
    }

    /// Says whether another process has the journal at `path`, and changes nothing.
    pub fn check_free(path: &Path) -> Result<(), OpenFault> {
        lock(path).map(drop)
    }

    pub fn id(&self) -> JournalId {
        self.journal
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Moves the whole log into the file and begins it anew; waits for the disk.
    pub(super) fn restart_log(&self) -> rusqlite::Result<()> {
        self.connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))
    }

    pub(super) fn begin(&self, boot: BootId, now: Timestamp) -> Result<(), OpenFault> {
        let durability = match self.durability {
            Durability::ProcessCrash => "process-crash",
            Durability::PowerLoss => "power-loss",
        };
        self.connection.execute(
            "INSERT INTO boot (boot, kernel, durability, started) VALUES (?1, ?2, ?3, ?4)",
            params![boot.as_bytes(), kernel_boot(), durability, now.0],
        )?;
        Ok(())
    }

    pub(super) fn append(
        &self,
        boot: BootId,
        now: Timestamp,
        lines: &[u8],
    ) -> rusqlite::Result<i64> {
        let seq = self.next.get();
        self.connection
            .prepare_cached("INSERT INTO batch (seq, boot, at, lines) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![seq, boot.as_bytes(), now.0, lines])?;
        self.next.set(seq + 1);
        Ok(seq)
    }

    /// Everything below `done` of this boot is shipped; old rows of that kind are taken away.
    pub(super) fn mark_done(
        &self,
        boot: BootId,
        done: i64,
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("UPDATE boot SET done = ?2 WHERE boot = ?1")?
            .execute(params![boot.as_bytes(), done])?;
        self.connection
            .prepare_cached(
                // The oldest rows only: whatever is kept is not looked through each time.
                "DELETE FROM batch WHERE seq IN
                    (SELECT seq FROM batch WHERE seq < ?1 ORDER BY seq LIMIT ?4)
                 AND (at < ?2 OR seq < ?1 - ?3)",
            )?
            .execute(params![done, now.0 - KEPT_MILLIS, KEPT_ROWS_MAX, CLEANED_ROWS_MAX])?;
        Ok(())
    }

    /// Nothing of this boot is open or unshipped, and all of it is on the disk.
    pub(super) fn mark_clean(&self, boot: BootId) -> rusqlite::Result<()> {
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        self.connection
            .execute("UPDATE boot SET clean = 1, closed = 1 WHERE boot = ?1", [boot.as_bytes()])?;
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).optional()?;
        Ok(())
    }

    pub(super) fn old_boots(&self) -> Result<Vec<OldBoot>, OpenFault> {
        let kernel = kernel_boot();
        let mut select = self.connection.prepare(
            "SELECT boot, kernel, durability, done FROM boot WHERE closed = 0 ORDER BY started",
        )?;
        let boots = select.query_map([], |row| {
            let (written_under, durability): (String, String) = (row.get(1)?, row.get(2)?);
            Ok(OldBoot {
                boot: BootId::from_bytes(row.get(0)?),
                torn: durability == "process-crash"
                    && (written_under != kernel || kernel.is_empty()),
                done: row.get(3)?,
            })
        })?;
        Ok(boots.collect::<Result<_, _>>()?)
    }

    pub(super) fn rows(&self, boot: &OldBoot) -> Result<Vec<(i64, Vec<u8>)>, OpenFault> {
        let mut select = self
            .connection
            .prepare("SELECT seq, lines FROM batch WHERE boot = ?1 AND ?2 <= seq ORDER BY seq")?;
        let rows = select.query_map(params![boot.boot.as_bytes(), boot.done], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(super) fn mark_closed(&self, boot: BootId) -> rusqlite::Result<()> {
        self.connection.execute("UPDATE boot SET closed = 1 WHERE boot = ?1", [boot.as_bytes()])?;
        Ok(())
    }
}

/// The lock of the journal at `path`; it goes when the file is closed.
fn lock(path: &Path) -> Result<fs::File, OpenFault> {
    let io = |cause| OpenFault::Io { path: path.to_owned(), cause };
    let lock = private(&path.with_extension("lock")).map_err(io)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => Err(OpenFault::Locked(path.to_owned())),
        Err(fs::TryLockError::Error(cause)) => Err(io(cause)),
    }
}

/// A file that only its owner may read: it tells who asked for what.
fn private(path: &Path) -> std::io::Result<fs::File> {
    fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
}

/// The kernel's id of this start of the machine; empty where there is none.
fn kernel_boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map(|id| id.trim().to_owned()).unwrap_or_default()
}
