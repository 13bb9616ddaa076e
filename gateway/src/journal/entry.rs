//! The lines of the journal: JSON, one each, so that they can be read with any tool.

use super::{Entry, Progress};
use policies::{
    ids::RequestId,
    money::NanoUsd,
    usage::{Decision, Ending, Stamp},
};
use serde::{Deserialize, Serialize};

/// A line as it is written; [`LineRead`] is the same as it is read.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum LineWritten<'a> {
    Intent(&'a Stamp),
    Ending { request: RequestId, attempt: u32, ending: Option<&'a Ending> },
    Decision(&'a Decision),
    Progress { request: RequestId, attempt: u32, cost: NanoUsd, output_tokens: i64 },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LineRead {
    Intent(Box<Stamp>),
    Ending { request: RequestId, attempt: u32, ending: Option<Box<Ending>> },
    Decision(Box<Decision>),
    Progress { request: RequestId, attempt: u32, cost: NanoUsd, output_tokens: i64 },
}

/// Appends the lines of `entry`: an ending before the intent that follows it.
pub(super) fn write(entry: &Entry, into: &mut Vec<u8>) -> serde_json::Result<()> {
    if let Some(closing) = &entry.closing {
        let stamp = &closing.stamp;
        let line = LineWritten::Ending {
            request: stamp.request,
            attempt: stamp.attempt,
            ending: closing.ending.as_ref(),
        };
        append(&line, into)?;
    }
    if let Some(decision) = &entry.decision {
        append(&LineWritten::Decision(decision), into)?;
    }
    if let Some(intent) = &entry.intent {
        append(&LineWritten::Intent(&intent.stamp), into)?;
    }
    Ok(())
}

pub(super) fn write_progress(progress: &Progress, into: &mut Vec<u8>) -> serde_json::Result<()> {
    let Progress { request, attempt, cost, output_tokens } = *progress;
    append(&LineWritten::Progress { request, attempt, cost, output_tokens }, into)
}

fn append(line: &LineWritten<'_>, into: &mut Vec<u8>) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *into, line)?;
    into.push(b'\n');
    Ok(())
}

/// The lines of one row.
pub(super) fn read(row: &[u8]) -> impl Iterator<Item = serde_json::Result<LineRead>> {
    let lines = row.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(serde_json::from_slice)
}
