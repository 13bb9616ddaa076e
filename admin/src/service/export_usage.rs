//! Streams usage records as CSV or NDJSON, page by page, so that a broken export can go on.

mod columns;
#[cfg(test)]
mod tests;

use self::columns::{COLUMNS, Cell};
use policies::{ids::OrgId, time::Span, usage::UsageRecord};
use serde_json::{Map, Value};
use std::io::{self, Write};
use store::{Cursor, Fault, UsageLog};

/// Records that are in memory at once, at most.
pub const PAGE_RECORDS: u32 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180, with a header line; a cell that a spreadsheet would take for a formula begins
    /// with an apostrophe.
    Csv,
    /// One JSON object in each line. Amounts in dollars are text, so that no reader rounds them.
    Ndjson,
}

/// Which records.
#[derive(Clone, Copy, Debug)]
pub struct Selection {
    pub org: OrgId,
    /// By the moment of admission.
    pub span: Span,
    /// What an earlier export ended with; the default for the beginning.
    pub after: Cursor,
}

/// How far an export came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub records: u64,
    /// After the last record that was written whole.
    pub cursor: Cursor,
}

/// It broke off; what `progress` tells is written, and the export can go on from there.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct Broken {
    pub progress: Progress,
    pub cause: Cause,
}

#[derive(Debug, thiserror::Error)]
pub enum Cause {
    #[error(transparent)]
    Store(#[from] Fault),
    #[error("writing: {0}")]
    Output(#[from] io::Error),
}

/// Writes every record of the selection. A header is written only at the beginning of all.
pub async fn export_usage(
    log: &(impl UsageLog + ?Sized),
    selection: Selection,
    format: Format,
    output: &mut (dyn Write + Send),
) -> Result<Progress, Broken> {
    let mut progress = Progress { records: 0, cursor: selection.after };
    let broken = |progress: Progress, cause: Cause| Broken { progress, cause };
    if format == Format::Csv && selection.after == Cursor::default() {
        let header: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
        output
            .write_all(line(&header).as_bytes())
            .map_err(|cause| broken(progress, cause.into()))?;
    }
    loop {
        let page = log
            .page(&selection.org, selection.span, progress.cursor, PAGE_RECORDS)
            .await
            .map_err(|cause| broken(progress, cause.into()))?;
        let Some((cursor, _)) = page.last() else { return Ok(progress) };
        let text: String = page.iter().map(|(_, record)| row(record, format)).collect();
        // One write for each page: the cursor never stands before a record that is written.
        output
            .write_all(text.as_bytes())
            .and_then(|()| output.flush())
            .map_err(|cause| broken(progress, cause.into()))?;
        let records = u64::try_from(page.len()).unwrap_or(u64::MAX);
        progress = Progress { records: progress.records + records, cursor: *cursor };
    }
}

fn row(record: &UsageRecord, format: Format) -> String {
    match format {
        Format::Csv => {
            let cells: Vec<String> =
                COLUMNS.iter().map(|column| csv_cell((column.of)(record))).collect();
            line(&cells)
        }
        Format::Ndjson => {
            let fields = COLUMNS.iter().map(|it| (it.name.to_owned(), json((it.of)(record))));
            let object = Value::Object(fields.collect::<Map<_, _>>());
            format!("{object}\n")
        }
    }
}

/// One line of CSV, quoted where it must be, ended by CRLF (RFC 4180, section 2).
pub(super) fn line<T: AsRef<[u8]>>(cells: &[T]) -> String {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::<u8>::new());
    // Writing to memory cannot fail, and the bytes are the UTF-8 that went in.
    let _ = writer.write_record(cells);
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

fn csv_cell(cell: Cell) -> String {
    match cell {
        Cell::Absent => String::new(),
        Cell::Flag(value) => value.to_string(),
        Cell::Number(value) => value.to_string(),
        Cell::Dollars(value) => value.to_string(),
        Cell::Text(text) => guarded(text),
        Cell::List(items) => guarded(items.join("/")),
        Cell::Map(map) if map.is_empty() => String::new(),
        Cell::Map(map) => guarded(serde_json::to_string(&map).unwrap_or_default()),
    }
}

/// Text that a spreadsheet would run as a formula gets an apostrophe, which makes it text.
pub(super) fn guarded(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}

fn json(cell: Cell) -> Value {
    match cell {
        Cell::Absent => Value::Null,
        Cell::Flag(value) => Value::Bool(value),
        Cell::Number(value) => Value::from(value),
        Cell::Dollars(value) => Value::String(value.to_string()),
        Cell::Text(text) => Value::String(text),
        Cell::List(items) => Value::from(items),
        Cell::Map(map) => {
            Value::Object(map.into_iter().map(|(tag, value)| (tag, value.into())).collect())
        }
    }
}
