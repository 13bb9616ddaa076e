//! Moves the journal's log into its file, beside the writer: a checkpoint waits for the disk, and
//! nobody who commits should wait with it.

use rusqlite::Connection;
use std::{
    io,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

/// Bytes of log after which it is moved.
const LOG_BYTES: usize = 8 << 20;
/// A log of this size is moved by the writer itself, and begun anew: appends that never pause
/// could else let it grow for ever.
const LOG_BYTES_MAX: u64 = 256 << 20;

/// What the writer tells of its appends.
pub(super) struct Checkpoint {
    nudge: SyncSender<()>,
    log: PathBuf,
    appended: usize,
}

impl Checkpoint {
    /// Starts the thread for the journal at `path`. It ends with this handle.
    pub(super) fn start(path: &Path) -> io::Result<Self> {
        let (nudge, nudges) = sync_channel(1);
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let path = path.to_owned();
        std::thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || run(&path, &nudges))?;
        Ok(Self { nudge, log: log.into(), appended: 0 })
    }

    /// So many bytes were appended.
    pub(super) fn appended(&mut self, bytes: usize) {
        self.appended = self.appended.saturating_add(bytes);
        // A nudge that waits already is as good as another.
        if LOG_BYTES <= self.appended && self.nudge.try_send(()).is_ok() {
            self.appended = 0;
        }
    }

    /// True: the thread does not keep up, and the writer must move the log itself.
    pub(super) fn is_behind(&self) -> bool {
        std::fs::metadata(&self.log).is_ok_and(|log| LOG_BYTES_MAX < log.len())
    }
}

fn run(path: &Path, nudges: &Receiver<()>) {
    let connection = match Connection::open(path) {
        Ok(connection) => connection,
        Err(fault) => {
            tracing::warn!(%fault, "the journal's log is moved by its writer");
            return;
        }
    };
    while nudges.recv().is_ok() {
        let moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let Err(fault) = moved {
            tracing::warn!(%fault, "the journal's log could not be moved");
        }
    }
}
