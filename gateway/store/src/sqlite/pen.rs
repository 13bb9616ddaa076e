//! Whoever has the pen writes: the one connection of a process that may, and its turn.
//!
//! Two libraries write here: `rusqlite` the rows of the journal, where every microsecond counts,
//! and `sqlx` the rest. SQLite lets one connection wait for another by sleeping, which would stall
//! both, so all of them take turns at this lock first. Other processes are waited for in SQLite's
//! own way.

use super::{ACQUIRE_MILLIS_MAX, BUSY_MILLIS_MAX, Flushed};
use crate::Fault;
use rusqlite::{Connection, OpenFlags};
use sqlx::{Sqlite as Engine, SqliteConnection, Transaction};
use std::{
    ops::{Deref, DerefMut},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task, time,
};

/// Pages in the side file at which a shipment copies them into the database before it gives the
/// turn on: 8 MiB, so that others wait for it some tens of milliseconds and seldom.
const CHECKPOINT_PAGES: u32 = 1_024;

/// The turn to write, with the connection for shipments: none once it is closed.
#[derive(Clone, Debug)]
pub(super) struct Pen(Arc<Mutex<Option<Connection>>>);

impl Pen {
    /// Opens a database that is there already.
    pub(super) async fn open(path: &Path, flushed: Flushed) -> Result<Self, Fault> {
        let path = path.to_owned();
        let connection = apart(move || connect(&path, flushed).map_err(Fault::Sqlite)).await?;
        Ok(Self(Arc::new(Mutex::new(Some(connection)))))
    }

    /// Waits for the turn; a call that does not get it in time is [`Fault::Away`].
    pub(super) async fn take(&self) -> Result<OwnedMutexGuard<Option<Connection>>, Fault> {
        let wait = Duration::from_millis(ACQUIRE_MILLIS_MAX);
        let turn = time::timeout(wait, Arc::clone(&self.0).lock_owned()).await;
        turn.map_err(|_| Fault::Away("another write does not end".to_owned()))
    }

    /// Writes on a thread that may block. Once it has begun it ends, even if nobody waits for it.
    pub(super) async fn write<T, F>(&self, write: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    {
        let mut turn = self.take().await?;
        apart(move || match turn.as_mut() {
            Some(connection) => write(connection),
            None => Err(Fault::Away("the database is closed".to_owned())),
        })
        .await
    }

    /// Waits for the last shipment.
    pub(super) async fn close(&self) {
        let connection = self.0.lock().await.take();
        drop(connection);
    }
}

/// A transaction, and the turn until it has ended.
pub(super) struct Writing {
    // Dropped before the turn.
    pub(super) transaction: Transaction<'static, Engine>,
    pub(super) turn: OwnedMutexGuard<Option<Connection>>,
}

impl Writing {
    pub(super) async fn commit(self) -> Result<(), Fault> {
        let Self { transaction, turn } = self;
        let done = transaction.commit().await;
        drop(turn);
        Ok(done?)
    }
}

impl Deref for Writing {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.transaction
    }
}

impl DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }
}

async fn apart<T, F>(work: F) -> Result<T, Fault>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Fault> + Send + 'static,
{
    task::spawn_blocking(work).await.map_err(|cause| Fault::Away(cause.to_string()))?
}

/// Like the connections of the other library.
fn connect(path: &Path, flushed: Flushed) -> rusqlite::Result<Connection> {
    // One thread at a time has it, by the lock around it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_millis(BUSY_MILLIS_MAX))?;
    connection.execute_batch(flushed.pragma())?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    Ok(connection)
}
