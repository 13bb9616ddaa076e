//! The binary: reads arguments, runs a command.

use clap::Parser;
use gateway::cli::{self, Cli};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Fails only if one is installed already, and then it is this one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(fault) => {
            eprintln!("penstock: no runtime: {fault}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(cli::run(cli)) {
        Ok(code) => code,
        Err(fault) => {
            eprintln!("penstock: {fault:#}");
            match fault.downcast_ref::<gateway::config::BadConfig>() {
                Some(_) => ExitCode::from(cli::EXIT_MISTAKE),
                None => ExitCode::FAILURE,
            }
        }
    }
}
