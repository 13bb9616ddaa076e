//! `penstock serve`: the gateway itself.

use super::{ConfigArg, start_log};
use crate::assemble::{self, Gateway};
use anyhow::Context;
use clap::Args;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    config: ConfigArg,
}

pub async fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.load()?;
    start_log(&config.log);
    let store = assemble::store(&config).await?;
    let gateway = assemble::start(&config, store).await?;
    println!("client listener on http://{}", gateway.client);
    println!("admin listener on http://{}", gateway.admin);
    until_told().await?;
    Ok(end(gateway).await)
}

/// Waits for Ctrl-C or SIGTERM.
pub(super) async fn until_told() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be heard")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("Ctrl-C cannot be heard"),
        _ = terminate.recv() => Ok(()),
    }
}

/// Drains. Rows that did not reach the store stay in the journal: the exit says so.
pub(super) async fn end(gateway: Gateway) -> ExitCode {
    if gateway.drain().await {
        return ExitCode::SUCCESS;
    }
    eprintln!("penstock: keep the journal: rows of it are not in the store yet");
    ExitCode::FAILURE
}
