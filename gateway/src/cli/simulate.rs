//! `penstock simulate`: the simulated provider as a process of its own.

use super::serve::until_told;
use crate::simulate::{self, model};
use anyhow::Context;
use clap::Args;
use std::{net::SocketAddr, process::ExitCode};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// It answers in OpenAI's dialect, counts every token it sends, and fails on demand by the name
/// of the model. What it saw and sent is told at GET /oracle/requests.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:9800")]
    listen: SocketAddr,
    /// Print the models and the directives that can be appended to their names.
    #[arg(long)]
    models: bool,
}

pub async fn run(args: SimulateArgs) -> anyhow::Result<ExitCode> {
    if args.models {
        print!("{}", model::help());
        return Ok(ExitCode::SUCCESS);
    }
    let listener = TcpListener::bind(args.listen).await;
    let listener = listener.with_context(|| format!("listening on {}", args.listen))?;
    println!("simulated provider on http://{}/v1", listener.local_addr()?);
    let drain = CancellationToken::new();
    tokio::select! {
        served = simulate::serve(listener, drain.clone()) => served?,
        told = until_told() => told?,
    }
    Ok(ExitCode::SUCCESS)
}
