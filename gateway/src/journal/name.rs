//! The journal's first file, which says what it is, and the lock beside it.

use super::file::{OpenFault, VERSION};
use policies::ids::JournalId;
use std::{
    fs, io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// What the first file begins with, before the version and the journal's id.
const NAME: &str = "penstock-journal";

pub(super) fn read_name(bytes: &[u8]) -> Option<JournalId> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let rest = text.strip_prefix(NAME)?.strip_prefix(' ')?;
    let (version, journal) = rest.split_once(' ')?;
    (version.parse() == Ok(VERSION)).then(|| journal.parse().ok()).flatten()
}

/// The name is there whole, or not at all.
pub(super) fn write_name(path: &Path, journal: JournalId) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let file = private(&fresh)?;
    let text = format!("{NAME} {VERSION} {journal}\n");
    file.set_len(0)?;
    file.write_all_at(text.as_bytes(), 0)?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

/// The lock of the journal at `path`; it goes when the file is closed.
pub(super) fn lock(path: &Path) -> Result<fs::File, OpenFault> {
    let io = |cause| OpenFault::Io { path: path.to_owned(), cause };
    let lock = private(&path.with_extension("lock")).map_err(io)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => Err(OpenFault::Locked(path.to_owned())),
        Err(fs::TryLockError::Error(cause)) => Err(io(cause)),
    }
}

/// A file that only its owner may read: it tells who asked for what.
pub(super) fn private(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
}

/// The kernel's id of this start of the machine; empty where there is none.
pub(super) fn kernel_boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map(|id| id.trim().to_owned()).unwrap_or_default()
}
