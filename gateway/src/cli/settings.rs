//! `penstock apply` and `penstock export-config`: settings in, settings out.

use admin::service::{
    apply::{self, Absent, Credentials, Failure, File, Issued, Plan},
    export_config::{self, Ids},
    orgs, schema,
};
use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;
use std::{
    fs::{self, OpenOptions},
    io::{self, IsTerminal, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};
use store::Store;

const MISTAKES: u8 = 2;
const CONFLICT: u8 = 3;
const STDIN: &str = "-";

/// Make the stored settings those of a file
///
/// A file holds YAML or JSON documents, one for each object: orgs, units, projects, people, keys,
/// providers, deployments, tiers, models, prices, limits, budgets and data rules. Everything is
/// checked before anything is changed, and all of it is changed or nothing. What would change is
/// shown first. Objects are found by name; what a file does not mention stays as it is.
///
/// On a terminal you are asked before the change is made; in scripts (when the input is not a
/// terminal) nothing is changed without --yes.
///
/// A credential that is sealed in the store is kept where the file says `{ stored: true }`. A file
/// that says something else of it, or nothing, is refused without --replace-credentials.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  penstock apply -f settings.yaml --dry-run      show what would change
  penstock apply -f settings.yaml                show it, ask, and do it
  penstock apply -f orgs.yaml -f keys.yaml       several files are one change
  penstock export-config | sed ... | penstock apply -f - --yes
  penstock apply -f settings.yaml --yes --keys-out new-keys.ndjson
  penstock apply --schema > penstock.schema.json

Secrets of new keys are shown once, after the change, on standard output (or written to the file
of --keys-out). They cannot be shown again: Penstock keeps only a hash of them.

Exit status: 0 done, 1 failed, 2 mistakes in the file (each is told with its line) or --yes is
missing, 3 somebody else changed the settings at the same time. With 1, 2 and 3 nothing was
changed, but for keys that could not be written: they are then shown on standard output.")]
pub struct ApplyArgs {
    /// A file of settings, or `-` for standard input; may be given several times
    #[arg(short = 'f', long = "file", value_name = "FILE", required_unless_present = "schema")]
    pub files: Vec<PathBuf>,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Remove objects that the files do not mention, in the orgs that they name
    #[arg(long)]
    pub prune: bool,
    /// Do not ask; without a terminal nothing is changed unless this is given
    #[arg(long, short = 'y')]
    pub yes: bool,
    /// Drop sealed credentials that the files do not keep; they cannot be read back
    #[arg(long)]
    pub replace_credentials: bool,
    /// Print the JSON schema of a document, for completion in an editor, and do nothing else
    #[arg(long, conflicts_with_all = [
        "files", "dry_run", "prune", "yes", "replace_credentials", "keys_out",
    ])]
    pub schema: bool,
    /// Write the secrets of new keys here, as NDJSON that only you can read; must not exist yet
    #[arg(long, value_name = "FILE")]
    pub keys_out: Option<PathBuf>,
}

/// Print the stored settings as a file that `apply` reads
///
/// Secrets, passwords and hashes of keys are left out, and so is everything that has its default.
/// Applying the output to the same store changes nothing; applied to a fresh one, keys get new
/// secrets, and credentials that were sealed are to be stored anew. Comments say what is left out.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  penstock export-config > settings.yaml             every org
  penstock export-config --org acme                  one org, by name or id
  penstock export-config --org acme --ids            with ids: change a name wherever the file
                                                     has it, apply it, and the object is renamed

Exit status: 0 done, 1 failed, 2 there is no such org.")]
pub struct ExportConfigArgs {
    /// Only this org, by name or id
    #[arg(long, value_name = "ORG")]
    pub org: Option<String>,
    /// Pin each object by its id, so that names can be changed in the file
    #[arg(long)]
    pub ids: bool,
}

/// Prints the schema; the only part of `apply` that needs no store.
pub fn print_schema() -> anyhow::Result<ExitCode> {
    writeln!(io::stdout(), "{:#}", schema::schema())?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `penstock apply`.
pub async fn apply(args: ApplyArgs, store: Arc<dyn Store>) -> anyhow::Result<ExitCode> {
    if args.schema {
        return print_schema();
    }
    let documents = apply::read(&read_files(&args.files)?);
    let absent = if args.prune { Absent::Pruned } else { Absent::Kept };
    let credentials =
        if args.replace_credentials { Credentials::Replaced } else { Credentials::Kept };
    let plan = match apply::plan(store.as_ref(), documents, absent, credentials).await {
        Ok(plan) => plan,
        Err(failure) => return refuse(failure),
    };
    writeln!(io::stdout(), "{plan}")?;
    for unset in plan.unset() {
        writeln!(io::stderr(), "warning: {unset}")?;
    }
    if plan.is_empty() || args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    match consent(args.yes)? {
        Consent::Given => commit(plan, args.keys_out.as_deref(), store.as_ref()).await,
        Consent::Refused => {
            writeln!(io::stderr(), "nothing was changed")?;
            Ok(ExitCode::FAILURE)
        }
        Consent::Unasked => {
            writeln!(
                io::stderr(),
                "nothing was changed: there is no terminal to ask at; pass --yes to make the \
                 change, or --dry-run to see it only"
            )?;
            Ok(ExitCode::from(MISTAKES))
        }
    }
}

/// Runs `penstock export-config`.
pub async fn export_config(
    args: ExportConfigArgs,
    store: Arc<dyn Store>,
) -> anyhow::Result<ExitCode> {
    let mut orgs = orgs::all(store.as_ref()).await?;
    if let Some(wanted) = &args.org {
        orgs = match orgs::pick(orgs, Some(wanted)) {
            Ok(org) => vec![org],
            Err(unclear) => {
                writeln!(io::stderr(), "{unclear}")?;
                return Ok(ExitCode::from(MISTAKES));
            }
        };
    }
    let ids = if args.ids { Ids::Pinned } else { Ids::Left };
    for org in &orgs {
        io::stdout().write_all(export_config::export_config(org, ids).as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn read_files(paths: &[PathBuf]) -> anyhow::Result<Vec<File>> {
    let from_stdin = paths.iter().filter(|path| path.as_os_str() == STDIN).count();
    if 1 < from_stdin {
        bail!("standard input can be read once only");
    }
    paths.iter().map(|path| read_file(path)).collect()
}

fn read_file(path: &Path) -> anyhow::Result<File> {
    // One byte more than is allowed, so that `apply` sees that it is too much.
    let most = u64::try_from(apply::FILE_BYTES_MAX)?.saturating_add(1);
    let mut text = String::new();
    if path.as_os_str() == STDIN {
        io::stdin().take(most).read_to_string(&mut text).context("standard input")?;
        return Ok(File { name: "stdin".to_owned(), text });
    }
    let name = path.display().to_string();
    let file = fs::File::open(path).with_context(|| name.clone())?;
    file.take(most).read_to_string(&mut text).with_context(|| name.clone())?;
    Ok(File { name, text })
}

fn refuse(failure: Failure) -> anyhow::Result<ExitCode> {
    let mut out = io::stderr();
    match failure {
        Failure::Mistakes(mistakes) => {
            for mistake in &mistakes {
                writeln!(out, "{mistake}")?;
            }
            let word = if mistakes.len() == 1 { "mistake" } else { "mistakes" };
            writeln!(out, "{} {word}; nothing was changed", mistakes.len())?;
            Ok(ExitCode::from(MISTAKES))
        }
        conflict @ (Failure::Conflict(_) | Failure::NameTaken(_)) => {
            writeln!(out, "{conflict}")?;
            Ok(ExitCode::from(CONFLICT))
        }
        failure @ (Failure::Store(_) | Failure::Dry(_)) => Err(failure.into()),
    }
}

/// Whether somebody wants the change that was shown.
enum Consent {
    Given,
    Refused,
    /// There was nobody to ask.
    Unasked,
}

fn consent(yes: bool) -> anyhow::Result<Consent> {
    if yes {
        return Ok(Consent::Given);
    }
    if !io::stdin().is_terminal() {
        return Ok(Consent::Unasked);
    }
    Ok(if confirmed()? { Consent::Given } else { Consent::Refused })
}

fn confirmed() -> anyhow::Result<bool> {
    write!(io::stderr(), "make this change? [y/N] ")?;
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

async fn commit(
    plan: Plan,
    keys_out: Option<&Path>,
    store: &dyn Store,
) -> anyhow::Result<ExitCode> {
    // Opened before the change: a secret must not be made for a file that cannot be written.
    let keys_file = match keys_out {
        Some(path) if 0 < plan.keys_to_issue() => Some(create_private(path)?),
        Some(_) | None => None,
    };
    let issued = match plan.commit(store).await {
        Ok(issued) => issued,
        Err(failure) => {
            if let (Some(_), Some(path)) = (keys_file, keys_out) {
                fs::remove_file(path).with_context(|| path.display().to_string())?;
            }
            return refuse(failure);
        }
    };
    if issued.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    match keys_file {
        None => show(&issued)?,
        Some(mut file) => {
            let text: String = issued.iter().map(ndjson).collect();
            let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
            if let Err(error) = written {
                show(&issued)?;
                bail!("the settings were changed, but the keys could not be written: {error}");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn create_private(path: &Path) -> anyhow::Result<fs::File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.with_context(|| format!("{} (it must not exist yet)", path.display()))
}

fn show(issued: &[Issued]) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "\nnew keys, shown this once:")?;
    let width = issued.iter().map(|it| it.org.len() + it.key.len() + 1).max().unwrap_or(0);
    for it in issued {
        let name = format!("{}/{}", it.org, it.key);
        writeln!(out, "  {name:width$}  {}", it.reveal())?;
    }
    out.flush()
}

fn ndjson(it: &Issued) -> String {
    let line = json!({
        "org": it.org,
        "key": it.key,
        "id": it.id.to_string(),
        "secret": it.reveal(),
    });
    format!("{line}\n")
}
