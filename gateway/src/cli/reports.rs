//! `penstock export usage` and `penstock usage`: what was used, and what it cost.

use admin::service::{
    calendar::{self, Stretch},
    export_usage::{self, Format, Selection},
    orgs,
    usage_report::{self, NotAColumn},
};
use anyhow::Context;
use clap::{Args, ValueEnum};
use policies::time::Span;
use std::{
    fmt,
    fs::File,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};
use store::{By, Cursor, Settings, Store, clock};

const MISTAKES: u8 = 2;

/// Write usage records, one for each attempt that used tokens
///
/// Every column of every record of one org, in the order in which they arrived. Money is given as
/// exact decimal US dollars and as whole nano-dollars. In CSV, text that a spreadsheet would run
/// as a formula begins with an apostrophe.
///
/// The last line on standard error tells a cursor: with --after, a later export goes on from
/// there, whether this one broke off or new records have arrived.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  penstock export usage --org acme --month 2026-11 > usage.csv
  penstock export usage --org acme --format ndjson --after 48211 >> usage.ndjson
  penstock export usage --org acme --from 2026-11-01 --to 2026-11-08 -o week.csv

Months and dates are those of the org's time zone; --to is not part of the stretch.

Exit status: 0 done, 1 failed (the cursor is told), 2 bad usage.")]
pub struct ExportUsageArgs {
    /// The org, by name or id; may be left out where there is only one
    #[arg(long, value_name = "ORG")]
    pub org: Option<String>,
    #[command(flatten)]
    pub stretch: StretchArgs,
    /// How to write records
    #[arg(long, value_enum, default_value_t = RecordFormat::Csv)]
    pub format: RecordFormat,
    /// Go on after the cursor that an earlier export told
    #[arg(long, value_name = "CURSOR", default_value_t = 0, hide_default_value = true)]
    pub after: i64,
    /// Write to this file instead of standard output; with --after, add to it
    #[arg(long, short = 'o', value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Add up usage, as a table whose total is checked against the ledger
///
/// Input includes cached input; output includes reasoning. The line `check:` tells whether the
/// total equals what the ledger counts for an org-wide budget of the same month, or, where there
/// is no such budget, the sum of all records.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  penstock usage                                      this month of the only org, in one line
  penstock usage --org acme --by unit,project,model --month 2026-11
  penstock usage --org acme --by cost-centre --from 2026-10-01 --to 2027-01-01 --format csv
  penstock usage --org acme --by day,tier --format json

Exit status: 0 done, 1 failed or the total differs from the ledger, 2 bad usage.")]
pub struct UsageArgs {
    /// The org, by name or id; may be left out where there is only one
    #[arg(long, value_name = "ORG")]
    pub org: Option<String>,
    /// Columns to add up by, separated by commas: unit, project, model, tier, deployment,
    /// principal, key, cost-centre, day
    #[arg(long, value_name = "COLUMNS", default_value = "", hide_default_value = true,
          value_parser = parse_columns)]
    pub by: Columns,
    #[command(flatten)]
    pub stretch: StretchArgs,
    /// How to write the table
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,
}

/// A stretch of time, in the org's time zone.
#[derive(Args, Clone, Debug)]
pub struct StretchArgs {
    /// A month, such as 2026-11
    #[arg(long, value_name = "YYYY-MM", conflicts_with_all = ["from", "to"])]
    pub month: Option<String>,
    /// The first day, such as 2026-11-01, or the first moment (RFC 3339)
    #[arg(long, value_name = "WHEN")]
    pub from: Option<String>,
    /// The first day, or moment, that is no longer part of it
    #[arg(long, value_name = "WHEN")]
    pub to: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RecordFormat {
    /// RFC 4180, with a header line
    Csv,
    /// One JSON object in each line
    Ndjson,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// Aligned text for people
    Table,
    /// RFC 4180, with a header line and without a total
    Csv,
    /// One JSON object
    Json,
}

/// The value of `--by`.
#[derive(Clone, Debug, Default)]
pub struct Columns(pub Vec<By>);

fn parse_columns(text: &str) -> Result<Columns, NotAColumn> {
    usage_report::columns(text).map(Columns)
}

/// Runs `penstock export usage`.
pub async fn export_usage(
    args: ExportUsageArgs,
    store: Arc<dyn Store>,
) -> anyhow::Result<ExitCode> {
    let settings = match org(&*store, args.org.as_deref()).await? {
        Ok(settings) => settings,
        Err(unclear) => return refuse(unclear),
    };
    let span = match calendar::span(&args.stretch.stretch(), &calendar::zone(&settings)) {
        Ok(span) => span,
        Err(fault) => return refuse(fault),
    };
    let selection = Selection { org: settings.org, span, after: Cursor(args.after) };
    let format = match args.format {
        RecordFormat::Csv => Format::Csv,
        RecordFormat::Ndjson => Format::Ndjson,
    };
    let mut output = open(args.output, args.after)?;
    let export = export_usage::export_usage(&*store, selection, format, &mut *output).await;
    let (progress, cause) = match export {
        Ok(progress) => (progress, None),
        Err(broken) => (broken.progress, Some(broken.cause)),
    };
    let (records, Cursor(cursor)) = (progress.records, progress.cursor);
    writeln!(io::stderr(), "{records} records; go on with --after {cursor}")?;
    match cause {
        None => Ok(ExitCode::SUCCESS),
        Some(export_usage::Cause::Output(fault)) if fault.kind() == io::ErrorKind::BrokenPipe => {
            // Whoever reads has seen enough.
            Ok(ExitCode::SUCCESS)
        }
        Some(cause) => Err(cause.into()),
    }
}

/// Runs `penstock usage`.
pub async fn usage(args: UsageArgs, store: Arc<dyn Store>) -> anyhow::Result<ExitCode> {
    let settings = match org(&*store, args.org.as_deref()).await? {
        Ok(settings) => settings,
        Err(unclear) => return refuse(unclear),
    };
    let span = match report_span(&args.stretch.stretch(), &settings) {
        Ok(span) => span,
        Err(fault) => return refuse(fault),
    };
    let report = usage_report::usage_report(&*store, &settings, span, &args.by.0).await?;
    let text = match args.format {
        TableFormat::Table => report.table(),
        TableFormat::Csv => report.csv(),
        TableFormat::Json => report.json(),
    };
    io::stdout().write_all(text.as_bytes())?;
    if report.agrees() {
        return Ok(ExitCode::SUCCESS);
    }
    let (total, sum) = (report.total.cost, report.check.sum());
    writeln!(io::stderr(), "the total {total} USD differs from the ledger's {sum} USD")?;
    Ok(ExitCode::FAILURE)
}

impl StretchArgs {
    fn stretch(&self) -> Stretch {
        let Self { month, from, to } = self.clone();
        Stretch { month, from, to }
    }
}

/// Reports are of this month unless something else is named.
fn report_span(stretch: &Stretch, settings: &Settings) -> Result<Span, calendar::NotAStretch> {
    let zone = calendar::zone(settings);
    if *stretch == Stretch::default() {
        return Ok(calendar::this_month(&zone, clock::now()));
    }
    calendar::span(stretch, &zone)
}

pub(super) async fn org(
    store: &dyn Store,
    wanted: Option<&str>,
) -> anyhow::Result<Result<Settings, orgs::Unclear>> {
    Ok(orgs::pick(orgs::all(store).await?, wanted))
}

pub(super) fn refuse(fault: impl fmt::Display) -> anyhow::Result<ExitCode> {
    writeln!(io::stderr(), "{fault}")?;
    Ok(ExitCode::from(MISTAKES))
}

fn open(path: Option<PathBuf>, after: i64) -> anyhow::Result<Box<dyn Write + Send>> {
    let Some(path) = path else { return Ok(Box::new(io::stdout())) };
    let file = if after == 0 {
        File::create(&path)
    } else {
        File::options().append(true).create(true).open(&path)
    };
    let file = file.with_context(|| path.display().to_string())?;
    Ok(Box::new(file))
}
