//! A row of the audit log as one line of an export, from which anybody can hash it again.

use policies::ids::OrgId;
use serde::Deserialize;
use serde_json::value::RawValue;
use store::audit::{self, Entry};

/// Bytes of a line that is read, at most: far more than an act may have.
pub const LINE_BYTES_MAX: usize = 16 << 20;

/// A row as it was read from a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub org: OrgId,
    pub seq: u64,
    pub prev: [u8; 32],
    /// What the line says that its hash is.
    pub hash: [u8; 32],
    /// The exact text that is hashed.
    pub act: String,
}

/// Why a line is none. Its text holds nothing of the line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotALine {
    #[error("{0}")]
    Unreadable(String),
    /// Spaces, another order of fields, capital digits: what is hashed would be a guess.
    #[error("it is not written as an export writes it")]
    OtherSpelling,
}

/// One line without its end: fields in this order, without spaces between them.
pub fn write(entry: &Entry) -> String {
    spelled(&entry.org, entry.seq, &entry.prev, &entry.hash, &entry.body)
}

fn spelled(org: &OrgId, seq: u64, prev: &[u8; 32], hash: &[u8; 32], act: &str) -> String {
    let (prev, hash) = (hex::encode(prev), hex::encode(hash));
    format!(r#"{{"org":"{org}","seq":{seq},"prev":"{prev}","hash":"{hash}","act":{act}}}"#)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read<'a> {
    org: OrgId,
    seq: u64,
    prev: String,
    hash: String,
    #[serde(borrow)]
    act: &'a RawValue,
}

/// Reads a line without its end. Only the one spelling of [`write`] is taken, so that the published
/// recipe, which cuts the line by its characters, hashes the same text.
pub fn read(text: &str) -> Result<Line, NotALine> {
    let unreadable = |fault: String| NotALine::Unreadable(fault);
    let read: Read<'_> =
        serde_json::from_str(text).map_err(|fault| unreadable(fault.to_string()))?;
    let sized = |text: &str| -> Result<[u8; 32], NotALine> {
        let bytes = hex::decode(text).map_err(|fault| unreadable(fault.to_string()))?;
        bytes.try_into().map_err(|_| unreadable("a hash has 64 hexadecimal digits".to_owned()))
    };
    let line = Line {
        org: read.org,
        seq: read.seq,
        prev: sized(&read.prev)?,
        hash: sized(&read.hash)?,
        act: read.act.get().to_owned(),
    };
    let Line { org, seq, prev, hash, act } = &line;
    if spelled(org, *seq, prev, hash, act) == text {
        Ok(line)
    } else {
        Err(NotALine::OtherSpelling)
    }
}

impl Line {
    /// Whether its text is what its hash says.
    pub fn is_what_was_hashed(&self) -> bool {
        audit::link(&self.org, self.seq, &self.prev, &self.act) == self.hash
    }
}
