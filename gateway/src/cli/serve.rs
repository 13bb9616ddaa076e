//! `penstock serve`: the gateway itself.

use super::{ConfigArg, holder::explained, start_log};
use crate::{
    assemble::{self, Gateway},
    config::Config,
};
use admin::{
    api::setup,
    service::{orgs, setup_link},
};
use anyhow::Context;
use clap::Args;
use std::{process::ExitCode, sync::Arc};
use store::Store;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Orgs that a start tells of whose owners cannot sign in, at most.
const SHUT_OUT_TOLD_MAX: usize = 5;

#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    config: ConfigArg,
}

pub async fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.load()?;
    start_log(&config.log);
    // Before anybody learns that it runs: whoever starts it may end it at once.
    let word = Word::listen()?;
    let store = assemble::store(&config).await?;
    let gateway = assemble::start(&config, Arc::clone(&store)).await.map_err(explained)?;
    println!("client listener on http://{}", gateway.client);
    println!("admin listener on http://{}", gateway.admin);
    show_setup_link(&config, &gateway, store.as_ref()).await?;
    word.end().await;
    Ok(end(gateway).await)
}

/// Who reads what this prints may become the first operator: it is printed, and never logged.
async fn show_setup_link(
    config: &Config,
    gateway: &Gateway,
    store: &dyn Store,
) -> anyhow::Result<()> {
    let url = config.admin.public_url(gateway.admin).map_err(anyhow::Error::msg)?;
    match setup::link(store, &url).await {
        Ok(Some(link)) => println!("set up within 24 hours, once: {link}"),
        Ok(None) => tell_shut_out(store).await?,
        // Its cause is in the log. Requests are served all the same.
        Err(_) => eprintln!("penstock: no setup link could be made; start again for one"),
    }
    Ok(())
}

/// Why there is no link, where somebody owns an org and cannot sign in.
async fn tell_shut_out(store: &dyn Store) -> anyhow::Result<()> {
    let all = orgs::all(store).await?;
    let shut_out: Vec<_> = all.iter().filter_map(setup_link::shut_out).collect();
    for it in shut_out.iter().take(SHUT_OUT_TOLD_MAX) {
        println!("{it}");
    }
    if let Some(more @ 1..) = shut_out.len().checked_sub(SHUT_OUT_TOLD_MAX) {
        println!("and of {more} more orgs no owner can sign in");
    }
    Ok(())
}

/// The word to end, heard from when this is made: a signal before that ends the process roughly.
struct Word {
    terminate: Signal,
    interrupt: Signal,
}

impl Word {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("SIGTERM cannot be heard")?,
            interrupt: signal(SignalKind::interrupt()).context("Ctrl-C cannot be heard")?,
        })
    }

    async fn end(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Waits for Ctrl-C or SIGTERM.
pub(super) async fn until_told() -> anyhow::Result<()> {
    Word::listen()?.end().await;
    Ok(())
}

/// Drains. Rows that did not reach the store stay in the journal: the exit says so.
pub(super) async fn end(gateway: Gateway) -> ExitCode {
    if gateway.drain().await {
        return ExitCode::SUCCESS;
    }
    eprintln!("penstock: keep the journal: rows of it are not in the store yet");
    ExitCode::FAILURE
}
