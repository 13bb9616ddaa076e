//! Rows that the store refuses, or that nobody can read, kept beside the journal for people.

use super::{Body, Row};
use serde_json::json;
use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};
use store::clock;

/// A file of JSON lines that only grows: `JOURNAL.quarantine`. Its rows are in no report until
/// somebody has looked at them; budgets go on counting what they may have cost.
pub struct Quarantine {
    path: PathBuf,
    file: Mutex<Option<fs::File>>,
}

impl Quarantine {
    /// Of the journal at `path`. The file is made when it is needed.
    pub fn beside(journal: &Path) -> Self {
        let mut path = journal.as_os_str().to_owned();
        path.push(".quarantine");
        Self { path: path.into(), file: Mutex::default() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// On the disk when it returns.
    pub fn put(&self, row: &Row, reason: &str) -> io::Result<()> {
        let body = match &row.body {
            Body::Record(record) => json!({ "record": record.as_ref() }),
            Body::Decision(decision) => json!({ "decision": decision.as_ref() }),
        };
        let (org, request) = (row.org().to_string(), row.request().to_string());
        self.write(&json!({ "org": org, "request": request, "reason": reason, "row": body }))
    }

    /// A line of the journal that cannot be read, as it lies there.
    pub fn put_unreadable(&self, seq: i64, bytes: &[u8], reason: &str) -> io::Result<()> {
        self.write(&json!({ "journal_row": seq, "reason": reason, "bytes": hex::encode(bytes) }))
    }

    fn write(&self, line: &serde_json::Value) -> io::Result<()> {
        let mut line = line.clone();
        if let Some(line) = line.as_object_mut() {
            line.insert("at".to_owned(), json!(clock::now().rfc3339()));
        }
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match &mut *file {
            Some(file) => file,
            none => {
                let opened =
                    OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
                none.insert(opened)
            }
        };
        writeln!(file, "{line}")?;
        file.sync_all()
    }
}
