//! The commands of `penstock`.

pub mod admin_key;
pub mod audit;
pub mod check;
pub mod demo;
mod holder;
pub mod login;
pub mod reconcile;
pub mod reports;
pub mod secrets;
pub mod serve;
pub mod settings;
pub mod setup_link;
pub mod simulate;

use crate::{
    assemble,
    config::{self, BadConfig, Config, Log, LogFormat},
};
use anyhow::bail;
use clap::{Args, Parser, Subcommand};
use std::{io::IsTerminal, path::PathBuf, process::ExitCode, sync::Arc};
use store::Store;

/// Bad usage, or mistakes in a file: nothing was changed.
pub const EXIT_MISTAKE: u8 = 2;

/// Penstock: an AI gateway for enterprises.
///
/// It speaks OpenAI's API to your people and services, decides who may send what data where,
/// keeps them inside limits and budgets, and writes an exact bill.
///
/// Try it: `penstock demo`. Run it: write settings (`penstock apply -f FILE`), then
/// `penstock serve`.
#[derive(Debug, Parser)]
#[command(name = "penstock", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Where the gateway's own settings are.
#[derive(Clone, Debug, Args)]
pub struct ConfigArg {
    /// The file of the gateway's settings; without it, ./penstock.toml if there is one.
    #[arg(long, short, env = "PENSTOCK_CONFIG", global = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show everything at work: gateway, simulated provider, example orgs and a tour of requests.
    Demo(demo::DemoArgs),
    /// Run the gateway.
    Serve(serve::ServeArgs),
    /// Run the simulated provider by itself.
    Simulate(simulate::SimulateArgs),
    /// Bring the store to what files of settings say.
    Apply {
        #[command(flatten)]
        args: settings::ApplyArgs,
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Print the store's settings as a file that `apply` reads.
    ExportConfig {
        #[command(flatten)]
        args: settings::ExportConfigArgs,
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Export usage records.
    Export {
        #[command(subcommand)]
        what: ExportWhat,
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Add usage up in a table.
    Usage {
        #[command(flatten)]
        args: reports::UsageArgs,
        #[command(flatten)]
        config: ConfigArg,
    },
    /// See and end what budgets count without knowing it.
    Reconcile {
        #[command(subcommand)]
        what: reconcile::ReconcileCommand,
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Make an admin key, the first one or another.
    AdminKey {
        #[command(flatten)]
        args: admin_key::AdminKeyArgs,
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Make a link by which a user sets a first or a new password, once.
    SetupLink {
        #[command(flatten)]
        args: setup_link::SetupLinkArgs,
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Export the audit log, or tell the key by which its checkpoints are signed.
    Audit {
        #[command(subcommand)]
        what: audit::AuditCommand,
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Check an exported audit log, without asking the gateway.
    VerifyAudit(audit::VerifyArgs),
    /// Make and change the master key, and seal credentials.
    Secrets {
        #[command(subcommand)]
        what: secrets::SecretsCommand,
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Sign in at your organization's identity provider, to call models from here.
    Login(login::LoginArgs),
    /// Print a credential for calling models, and nothing else.
    Token(login::TokenArgs),
    /// Forget what `login` has kept.
    Logout(login::LogoutArgs),
    /// Check the gateway's own settings, and print them with all defaults.
    CheckConfig(check::CheckArgs),
}

#[derive(Debug, Subcommand)]
enum ExportWhat {
    /// Every usage record, one row each, as CSV or NDJSON.
    Usage(reports::ExportUsageArgs),
}

impl ConfigArg {
    fn load(&self) -> Result<Config, BadConfig> {
        let here = PathBuf::from("penstock.toml");
        let path = self.config.clone().or_else(|| here.exists().then_some(here));
        config::load(path.as_deref())
    }
}

/// Runs the command that the arguments name.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Demo(args) => demo::run(args).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Simulate(args) => simulate::run(args).await,
        Command::Apply { args, config } => {
            if args.schema {
                return settings::print_schema();
            }
            settings::apply(args, assemble::store(&config.load()?).await?).await
        }
        Command::ExportConfig { args, config } => {
            settings::export_config(args, existing_store(&config.load()?).await?).await
        }
        Command::Export { what: ExportWhat::Usage(args), config } => {
            reports::export_usage(args, existing_store(&config.load()?).await?).await
        }
        Command::Usage { args, config } => {
            reports::usage(args, existing_store(&config.load()?).await?).await
        }
        Command::Reconcile { what, config } => {
            let config = config.load()?;
            let store = existing_store(&config).await?;
            reconcile::run(what, &config, store).await
        }
        Command::AdminKey { args, config } => admin_key::run(args, &config).await,
        Command::SetupLink { args, config } => {
            let config = config.load()?;
            setup_link::run(args, &config, existing_store(&config).await?).await
        }
        Command::Audit { what: audit::AuditCommand::Export(args), config } => {
            audit::export(args, existing_store(&config.load()?).await?).await
        }
        Command::Audit { what: audit::AuditCommand::PublicKey, config } => {
            let config = config.load()?;
            let store = existing_store(&config).await?;
            let keeper = assemble::keeper(&config, store).await?;
            audit::public_key(&keeper).await
        }
        Command::VerifyAudit(args) => audit::verify_audit(&args),
        Command::Secrets { what, config } => match what {
            secrets::SecretsCommand::GenerateMasterKey => secrets::generate_master_key(),
            secrets::SecretsCommand::Rewrap => secrets::rewrap(&config.load()?).await,
            secrets::SecretsCommand::SetCredential(args) => {
                secrets::set_credential(args, &config.load()?).await
            }
        },
        Command::Login(args) => login::login(args).await,
        Command::Token(args) => login::token(args).await,
        Command::Logout(args) => login::logout(&args),
        Command::CheckConfig(args) => check::run(&args),
    }
}

/// The store of `config`, for commands that have nothing to do in an empty one.
pub(crate) async fn existing_store(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    if let Some(path) = config.sqlite()
        && !path.exists()
    {
        bail!(
            "no store at {}; run this where `penstock serve` runs or give --config",
            path.display()
        );
    }
    assemble::store(config).await
}

/// Logs go to stderr, one fact each; what a command prints for people goes to stdout.
pub(crate) fn start_log(log: &Log) {
    let filter = log.level.parse().unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match log.format {
        LogFormat::Json => lines.json().flatten_event(true).init(),
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).init(),
    }
}
