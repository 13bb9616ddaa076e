//! `penstock audit` and `penstock verify-audit`: the audit log in a file, and whether it is whole.

use crate::sinks::SIGNING_PURPOSE;
use admin::service::{
    audit::{
        export::{self, Broken},
        verify::{Checked, Failed, verify},
    },
    orgs,
};
use anyhow::Context;
use clap::{Args, Subcommand};
use policies::ids::OrgId;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};
use store::{
    INSTALLATION, Store,
    audit::{Act, Actor, ActorKind, Outcome, Target},
    clock,
    seal::Keeper,
};

const MISTAKES: u8 = 2;
/// By which name the installation's own chain is asked for.
const INSTALLATION_NAME: &str = "penstock";

#[derive(Clone, Debug, Subcommand)]
pub enum AuditCommand {
    /// Write an org's audit log, oldest row first, a line of JSON for each
    Export(ExportArgs),
    /// Print the public key by which checkpoints of the audit log are signed
    PublicKey,
}

#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  penstock audit export --org acme -o acme.ndjson
  penstock audit export --org penstock            the log of the installation itself

The export leaves a row in the log of the org.")]
pub struct ExportArgs {
    /// The org, by name or id; may be left out where there is only one
    #[arg(long, value_name = "ORG")]
    pub org: Option<String>,
    /// Write to this file instead of standard output
    #[arg(long, short = 'o', value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Check an exported audit log, without asking the gateway
///
/// Finds a row that was changed, dropped, moved or forged, by hashes alone. With checkpoints that
/// were kept where whoever runs the store cannot write, it also finds a cut tail and a chain that
/// was written anew, even with the signing key. The manual's page `audit` has the recipe.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  penstock verify-audit acme.ndjson --checkpoints audit-checkpoints.ndjson
  penstock verify-audit acme.ndjson --checkpoints kept.ndjson --public-key 3b6a27bc..
  penstock verify-audit acme.ndjson --checkpoints kept.ndjson --require-checkpoint

Take the checkpoints first and the export after: a checkpoint that is newer than the export counts
rows that are not in the file.

Without a checkpoint, rows that were cut off at the end are not missed: the exit status is 0 and the
last line says so. With --require-checkpoint it is 2.

Exit status: 0 all that was checked is in order, 1 something is wrong, 2 it could not be checked.")]
pub struct VerifyArgs {
    /// An export of one org
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Checkpoints from outside, of any orgs
    #[arg(long, value_name = "FILE")]
    pub checkpoints: Option<PathBuf>,
    /// The key that must have signed them, in hexadecimal; may be given several times
    #[arg(long, value_name = "HEX")]
    pub public_key: Vec<String>,
    /// Fail if there is no checkpoint of this log, because a cut tail cannot be found then
    #[arg(long)]
    pub require_checkpoint: bool,
}

/// Runs `penstock audit export`.
pub async fn export(args: ExportArgs, store: Arc<dyn Store>) -> anyhow::Result<ExitCode> {
    let org = match pick(&*store, args.org.as_deref()).await? {
        Ok(org) => org,
        Err(unclear) => {
            writeln!(io::stderr(), "{unclear}")?;
            return Ok(ExitCode::from(MISTAKES));
        }
    };
    // What cannot be written down is not shown.
    store.append(&org, vec![read(&org)]).await?;
    let mut output: Box<dyn Write + Send> = match &args.output {
        None => Box::new(io::stdout()),
        Some(path) => Box::new(File::create(path).with_context(|| path.display().to_string())?),
    };
    match export::export(&*store, org, &mut *output).await {
        Ok(rows) => writeln!(io::stderr(), "{rows} rows of {org}")?,
        // Whoever reads has seen enough.
        Err(Broken::Output(fault)) if fault.kind() == io::ErrorKind::BrokenPipe => {}
        Err(broken) => return Err(broken.into()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `penstock audit public-key`.
pub async fn public_key(keeper: &Keeper) -> anyhow::Result<ExitCode> {
    println!("{}", hex::encode(keeper.public_key(SIGNING_PURPOSE).await?));
    Ok(ExitCode::SUCCESS)
}

/// Runs `penstock verify-audit`.
pub fn verify_audit(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let is_key = |key: &String| hex::decode(key).is_ok_and(|bytes| bytes.len() == 32);
    if !args.public_key.iter().all(is_key) {
        writeln!(io::stderr(), "--public-key: must be 64 hexadecimal digits")?;
        return Ok(ExitCode::from(MISTAKES));
    }
    let (mut rows, mut checkpoints) = match open(args) {
        Ok(files) => files,
        Err(fault) => {
            writeln!(io::stderr(), "{fault:#}")?;
            return Ok(ExitCode::from(MISTAKES));
        }
    };
    let outside = checkpoints.as_mut().map(|file| file as &mut dyn BufRead);
    match verify(&mut rows, outside, &args.public_key) {
        Ok(checked) => {
            print!("{checked}");
            Ok(conclude(&checked, args.require_checkpoint)?)
        }
        Err(Failed::Flawed { seq, flaw, checked }) => {
            print!("{checked}");
            match seq {
                Some(seq) => println!("WRONG at row {seq}: {flaw}"),
                None => println!("WRONG: {flaw}"),
            }
            Ok(ExitCode::FAILURE)
        }
        Err(cause @ (Failed::Empty | Failed::Io(_))) => {
            writeln!(io::stderr(), "{}: {cause}", args.file.display())?;
            Ok(ExitCode::from(MISTAKES))
        }
    }
}

/// What can be said of rows that follow each other as they should.
fn conclude(checked: &Checked, require_checkpoint: bool) -> io::Result<ExitCode> {
    if checked.newest.is_some() {
        println!("in order");
        return Ok(ExitCode::SUCCESS);
    }
    println!("in order as far as the file goes; rows cut off at its end cannot be missed");
    if require_checkpoint {
        writeln!(io::stderr(), "there is no checkpoint of this log: pass --checkpoints FILE")?;
        return Ok(ExitCode::from(MISTAKES));
    }
    Ok(ExitCode::SUCCESS)
}

type Files = (BufReader<File>, Option<BufReader<File>>);

fn open(args: &VerifyArgs) -> anyhow::Result<Files> {
    let file = |path: &Path| -> anyhow::Result<BufReader<File>> {
        Ok(BufReader::new(File::open(path).with_context(|| path.display().to_string())?))
    };
    Ok((file(&args.file)?, args.checkpoints.as_deref().map(file).transpose()?))
}

/// The chain that is meant: of an org that there is, of one that is gone, by its id, or of the
/// installation.
async fn pick(
    store: &dyn Store,
    wanted: Option<&str>,
) -> anyhow::Result<Result<OrgId, orgs::Unclear>> {
    let id = wanted.and_then(|text| text.parse::<OrgId>().ok());
    let id = id.or((wanted == Some(INSTALLATION_NAME)).then_some(INSTALLATION));
    if let Some(id) = id
        && 0 < store.head(&id).await?.size
    {
        return Ok(Ok(id));
    }
    Ok(orgs::pick(orgs::all(store).await?, wanted).map(|settings| settings.org))
}

fn read(org: &OrgId) -> Act {
    Act {
        at: clock::now(),
        actor: Actor {
            kind: ActorKind::Operator,
            id: String::new(),
            name: "penstock audit export".to_owned(),
        },
        address: None,
        action: "data.read".to_owned(),
        outcome: Outcome::Done,
        target: Some(Target {
            kind: "audit_log".to_owned(),
            id: org.to_string(),
            name: org.to_string(),
            project: None,
        }),
        before: None,
        after: None,
        reason: None,
        request: None,
        via: "system".to_owned(),
        revision: None,
    }
}
