//! The lines of the journal, several of them in a row.

use super::{
    Entry, Progress,
    code::{Code, Unread},
};
use policies::{
    ids::RequestId,
    usage::{Decision, Ending, Stamp},
};

const INTENT: u8 = 1;
const ENDING: u8 = 2;
const DECISION: u8 = 3;
const PROGRESS: u8 = 4;

/// A line as it is read.
#[derive(Debug)]
pub(super) enum Line {
    Intent(Box<Stamp>),
    /// Without an ending, an attempt was surely not begun.
    Ending(RequestId, u32, Option<Box<Ending>>),
    Decision(Box<Decision>),
    Progress(Progress),
}

/// Appends the lines of `entry`: an ending before the intent that follows it.
pub(super) fn write(entry: &Entry, into: &mut Vec<u8>) {
    if let Some(closing) = &entry.closing {
        into.push(ENDING);
        closing.stamp.request.put(into);
        closing.stamp.attempt.put(into);
        closing.ending.put(into);
    }
    if let Some(decision) = &entry.decision {
        into.push(DECISION);
        decision.put(into);
    }
    if let Some(intent) = &entry.intent {
        into.push(INTENT);
        intent.stamp.put(into);
    }
}

pub(super) fn write_progress(progress: &Progress, into: &mut Vec<u8>) {
    let Progress { request, attempt, cost, output_tokens } = progress;
    into.push(PROGRESS);
    request.put(into);
    attempt.put(into);
    cost.put(into);
    output_tokens.put(into);
}

/// The lines of one row. Behind a line that cannot be read nothing of its row can.
pub(super) fn read(row: &[u8]) -> impl Iterator<Item = Result<Line, Unread>> {
    let mut left = row;
    std::iter::from_fn(move || {
        let (&kind, mut rest) = left.split_first()?;
        let line = line(kind, &mut rest);
        left = if line.is_ok() { rest } else { &[] };
        Some(line)
    })
}

fn line(kind: u8, from: &mut &[u8]) -> Result<Line, Unread> {
    match kind {
        INTENT => Ok(Line::Intent(Box::new(Code::take(from)?))),
        ENDING => {
            let (request, attempt) = Code::take(from)?;
            let ending: Option<Ending> = Code::take(from)?;
            Ok(Line::Ending(request, attempt, ending.map(Box::new)))
        }
        DECISION => Ok(Line::Decision(Box::new(Code::take(from)?))),
        PROGRESS => {
            let ((request, attempt), (cost, output_tokens)) = Code::take(from)?;
            Ok(Line::Progress(Progress { request, attempt, cost, output_tokens }))
        }
        _ => Err(Unread("line")),
    }
}
