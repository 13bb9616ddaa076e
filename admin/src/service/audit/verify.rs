//! Checks an exported chain without asking the gateway: each row by its hash, the whole by
//! checkpoints that were kept elsewhere.

mod checkpoints;

use self::checkpoints::Kept;
use super::line::{self, LINE_BYTES_MAX, Line};
use policies::ids::OrgId;
use std::{
    collections::BTreeSet,
    fmt,
    io::{self, BufRead, Read},
};
use store::audit::Head;

/// What was found in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    pub org: Option<OrgId>,
    pub rows: u64,
    /// The first row of the file: more than 1 in an export that went on from another.
    pub first: u64,
    pub head: Head,
    /// Checkpoints of this org whose signature holds, and how many of them stand in the chain.
    pub checkpoints: usize,
    pub met: usize,
    /// Lines among the checkpoints that are none: half written, or not ours.
    pub unread: usize,
    /// The size that the newest checkpoint tells, and its moment.
    pub newest: Option<(u64, String)>,
    /// The keys by which checkpoints are signed.
    pub keys: BTreeSet<String>,
    /// Whether those are keys that the verifier was told to trust.
    pub pinned: bool,
}

/// What is wrong with a chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    #[error("line {line} is no row: {why}")]
    NotARow { line: u64, why: String },
    #[error("the row is of another org, {found}")]
    Foreign { found: OrgId },
    #[error("rows {from} to {to} are missing here: they were dropped or moved")]
    Missing { from: u64, to: u64 },
    #[error("the row stands in the wrong place: row {expected} was next")]
    Misplaced { expected: u64 },
    #[error("the row is not what was hashed: it was changed or forged")]
    Changed,
    #[error("the row does not follow the one before it: one of the two was replaced")]
    Unlinked,
    #[error("the checkpoint of {at} has another hash for this row: the chain was written anew")]
    Rewritten { at: String },
    #[error("the tail is cut: the checkpoint of {at} counts {size} rows")]
    Cut { size: u64, at: String },
    #[error("line {line} of the checkpoints: {why}")]
    Checkpoint { line: u64, why: &'static str },
}

/// Why a chain did not pass, or could not be judged.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error("{flaw}")]
    Flawed {
        /// The first row with which something is wrong; none if it is not a row.
        seq: Option<u64>,
        flaw: Flaw,
        checked: Box<Checked>,
    },
    #[error("the file has no row, and there is no checkpoint that tells of any")]
    Empty,
    #[error("reading: {0}")]
    Io(#[from] io::Error),
}

/// Checks the rows of one org against each other, and against checkpoints from outside, of which
/// those of other orgs are passed over. `trusted` are public keys in hexadecimal; where there are
/// none, any key is taken, and told.
pub fn verify(
    rows: &mut dyn BufRead,
    checkpoints: Option<&mut dyn BufRead>,
    trusted: &[String],
) -> Result<Checked, Failed> {
    let mut walk = Walk { checked: Checked::default(), kept: Kept::default(), line: 0 };
    let first = walk.row(rows)?;
    let org = first.as_ref().map(|row| row.org);
    if let Some(checkpoints) = checkpoints {
        let flawed = |flaw| walk.flawed(None, flaw);
        walk.kept = Kept::read(checkpoints, org, trusted)?.map_err(flawed)?;
    }
    walk.checked.pinned = !trusted.is_empty();
    walk.checked.checkpoints = walk.kept.count();
    walk.checked.unread = walk.kept.unread();
    walk.checked.newest = walk.kept.newest().map(|(size, at)| (size, at.to_owned()));
    walk.checked.keys = walk.kept.keys().clone();
    let Some(first) = first else {
        let Some((size, at)) = walk.checked.newest.clone() else { return Err(Failed::Empty) };
        return Err(walk.flawed(Some(1), Flaw::Cut { size, at }));
    };
    walk.begin(&first)?;
    let mut next = Some(first);
    while let Some(row) = next {
        walk.step(&row)?;
        next = walk.row(rows)?;
    }
    walk.end()
}

struct Walk {
    checked: Checked,
    kept: Kept,
    line: u64,
}

impl Walk {
    fn flawed(&self, seq: Option<u64>, flaw: Flaw) -> Failed {
        Failed::Flawed { seq, flaw, checked: Box::new(self.checked.clone()) }
    }

    fn row(&mut self, rows: &mut dyn BufRead) -> Result<Option<Line>, Failed> {
        self.line += 1;
        let Some(text) = next_line(rows)? else { return Ok(None) };
        let read = match text {
            Ok(text) => line::read(&text).map_err(|fault| fault.to_string()),
            Err(why) => Err(why.to_owned()),
        };
        let expected = self.checked.head.size + 1;
        read.map(Some)
            .map_err(|why| self.flawed(Some(expected), Flaw::NotARow { line: self.line, why }))
    }

    /// What the first row says of those before it, which are not in the file.
    fn begin(&mut self, row: &Line) -> Result<(), Failed> {
        let before = Head { size: row.seq.saturating_sub(1), hash: row.prev };
        if before.size == 0 && before != Head::default() {
            return Err(self.flawed(Some(row.seq), Flaw::Unlinked));
        }
        self.checked.org = Some(row.org);
        self.checked.first = row.seq;
        self.checked.head = before;
        match self.kept.contradicts(before) {
            Some(at) => Err(self.flawed(Some(row.seq), Flaw::Rewritten { at })),
            None => Ok(()),
        }
    }

    fn step(&mut self, row: &Line) -> Result<(), Failed> {
        let before = self.checked.head;
        let expected = before.size + 1;
        let flaw = if Some(row.org) != self.checked.org {
            Some((expected, Flaw::Foreign { found: row.org }))
        } else if expected < row.seq {
            Some((expected, Flaw::Missing { from: expected, to: row.seq - 1 }))
        } else if row.seq < expected {
            Some((row.seq, Flaw::Misplaced { expected }))
        } else if !row.is_what_was_hashed() {
            Some((row.seq, Flaw::Changed))
        } else if row.prev != before.hash {
            Some((row.seq, Flaw::Unlinked))
        } else {
            None
        };
        if let Some((seq, flaw)) = flaw {
            return Err(self.flawed(Some(seq), flaw));
        }
        let head = Head { size: row.seq, hash: row.hash };
        if let Some(at) = self.kept.contradicts(head) {
            return Err(self.flawed(Some(row.seq), Flaw::Rewritten { at }));
        }
        self.checked.met += usize::from(self.kept.states(head.size));
        self.checked.head = head;
        self.checked.rows += 1;
        Ok(())
    }

    fn end(self) -> Result<Checked, Failed> {
        let last = self.checked.head.size;
        match &self.checked.newest {
            Some((size, at)) if last < *size => {
                let flaw = Flaw::Cut { size: *size, at: at.clone() };
                Err(self.flawed(Some(last + 1), flaw))
            }
            Some(_) | None => Ok(self.checked),
        }
    }
}

/// The next line without its end; none after the last.
fn next_line(input: &mut dyn BufRead) -> io::Result<Option<Result<String, &'static str>>> {
    let mut bytes = Vec::new();
    let most = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    input.take(most).read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.pop_if(|byte| *byte == b'\n').is_none() && bytes.len() == LINE_BYTES_MAX {
        return Ok(Some(Err("it is too long")));
    }
    Ok(Some(String::from_utf8(bytes).map_err(|_| "it is no UTF-8")))
}

impl fmt::Display for Checked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(org) = self.org {
            writeln!(formatter, "org:         {org}")?;
        }
        let (from, to) = (self.first, self.head.size);
        writeln!(formatter, "rows:        {} ({from} to {to})", self.rows)?;
        writeln!(formatter, "head:        {}", hex::encode(self.head.hash))?;
        if 1 < self.first {
            writeln!(formatter, "not checked: rows before {from}, which are not in the file")?;
        }
        let Some((size, at)) = &self.newest else {
            return writeln!(
                formatter,
                "not checked: whether rows are missing at the end, or all was written anew: \
                 without a checkpoint neither can be seen"
            );
        };
        let (all, met) = (self.checkpoints, self.met);
        writeln!(formatter, "checkpoints: {all}, {met} at rows of the file; newest {at}")?;
        if 0 < self.unread {
            writeln!(formatter, "not checked: {} lines that are no checkpoints", self.unread)?;
        }
        if *size < to {
            let after = size + 1;
            writeln!(formatter, "not checked: whether rows from {after} on were written anew")?;
        }
        let trust = if self.pinned { "as told" } else { "compare it: none was told" };
        for key in &self.keys {
            writeln!(formatter, "public key:  {key} ({trust})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
