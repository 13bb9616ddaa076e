//! `penstock reconcile`: what budgets count without knowing it, and the acts that end it.

use super::reports;
use crate::config::Config;
use admin::service::{
    audit::by_command,
    reconciliation::{self, Unknown},
};
use anyhow::Context;
use clap::{Args, Subcommand};
use policies::{
    ids::{BootId, RequestId},
    money::NanoUsd,
    time::Timestamp,
};
use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};
use store::{SELF_FENCE_MILLIS, Store, clock};

/// See and end what budgets count without knowing it
///
/// An attempt whose provider fell silent counts at the most that it may have cost; a gateway of
/// which nothing is heard counts at all that it was lent. Time ends neither. Say what you know:
/// each of these is an act with a reason, in the org's audit log.
#[derive(Subcommand, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  penstock reconcile list --org acme
  penstock reconcile resolve --org acme req_0197.. --attempt 1 --cost 0.0042 --reason 'invoice 17'
  penstock reconcile release --org acme boot_0197.. --reason 'its disk burnt'

Exit status: 0 done, 1 failed or refused; then nothing was changed.")]
pub enum ReconcileCommand {
    /// List what is unknown, the oldest first
    List(OrgArg),
    /// Say what an attempt cost
    Resolve(ResolveArgs),
    /// Give back what a lost gateway was lent: nobody will learn whether it spent it
    Release(ReleaseArgs),
}

#[derive(Args, Clone, Debug)]
pub struct OrgArg {
    /// The org, by name or id; may be left out where there is only one
    #[arg(long, value_name = "ORG")]
    pub org: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub struct ResolveArgs {
    #[command(flatten)]
    pub org: OrgArg,
    /// The request, as `list` shows it
    #[arg(value_name = "REQUEST")]
    pub request: RequestId,
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub attempt: u32,
    /// What it cost, in US dollars
    #[arg(long, value_name = "USD")]
    pub cost: NanoUsd,
    /// How you know
    #[arg(long)]
    pub reason: String,
}

#[derive(Args, Clone, Debug)]
pub struct ReleaseArgs {
    #[command(flatten)]
    pub org: OrgArg,
    /// The gateway's boot, as `list` shows it
    #[arg(value_name = "BOOT")]
    pub boot: BootId,
    /// Why it will never be known
    #[arg(long)]
    pub reason: String,
}

/// Runs `penstock reconcile`.
pub async fn run(
    command: ReconcileCommand,
    config: &Config,
    store: Arc<dyn Store>,
) -> anyhow::Result<ExitCode> {
    let named = match &command {
        ReconcileCommand::List(args) => args,
        ReconcileCommand::Resolve(args) => &args.org,
        ReconcileCommand::Release(args) => &args.org,
    };
    let settings = match reports::org(store.as_ref(), named.org.as_deref()).await? {
        Ok(settings) => settings,
        Err(unclear) => return reports::refuse(unclear),
    };
    let org = settings.org;
    match command {
        ReconcileCommand::List(_) => {
            let all = reconciliation::unknown(store.as_ref(), &org, &settings.objects).await?;
            print(&all).context("the list cannot be printed")?;
        }
        ReconcileCommand::Resolve(ResolveArgs { request, attempt, cost, reason, .. }) => {
            let attempt = (request, attempt);
            let act = by_command(Some(reason));
            reconciliation::resolve(store.as_ref(), &org, attempt, cost, act).await?;
            writeln!(io::stdout(), "resolved: it cost {cost} US dollars")?;
        }
        ReconcileCommand::Release(ReleaseArgs { boot, reason, .. }) => {
            let total = i64::try_from(config.upstream.total_millis).unwrap_or(i64::MAX);
            let quiet = SELF_FENCE_MILLIS.saturating_add(total);
            let freed = reconciliation::release(
                store.as_ref(),
                &org,
                &boot,
                quiet,
                by_command(Some(reason)),
            )
            .await?;
            writeln!(io::stdout(), "released: {freed} US dollars, summed over the budgets")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(all: &[Unknown]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if all.is_empty() {
        return writeln!(out, "everything that budgets count is known");
    }
    for it in all {
        match it {
            Unknown::Attempt { request, attempt, since, billed, held, budgets } => writeln!(
                out,
                "attempt {request} --attempt {attempt}  since {} ({})  billed {billed}, held \
                 {held} US dollars  on {}",
                since.rfc3339(),
                age(*since),
                budgets.join(", ")
            )?,
            Unknown::Gateway { boot, since, unattributed } => {
                let of =
                    unattributed.iter().map(|(budget, amount)| format!("{amount} of {budget}"));
                writeln!(
                    out,
                    "gateway {boot}  last heard {} ({})  lent {}",
                    since.rfc3339(),
                    age(*since),
                    of.collect::<Vec<_>>().join(", ")
                )?;
            }
        }
    }
    Ok(())
}

/// The largest unit that is whole.
fn age(since: Timestamp) -> String {
    let minutes = clock::now().0.saturating_sub(since.0).max(0) / 60_000;
    match minutes {
        0..120 => format!("{minutes} min ago"),
        120..2_880 => format!("{} h ago", minutes / 60),
        _ => format!("{} days ago", minutes / 1_440),
    }
}
