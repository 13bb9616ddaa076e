//! `penstock check-config`: whether the gateway would start with these settings.

use super::ConfigArg;
use crate::config::DEFAULTS;
use clap::Args;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Print every setting with its meaning and default instead.
    #[arg(long)]
    defaults: bool,
}

pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    if args.defaults {
        print!("{DEFAULTS}");
        return Ok(ExitCode::SUCCESS);
    }
    let config = args.config.load()?;
    println!("the settings are good");
    println!("  client listener  {}", config.client.listen);
    println!("  admin listener   {}", config.admin.listen);
    println!("  store            {}", config.store.url);
    println!("  journal          {}", config.journal.path.display());
    Ok(ExitCode::SUCCESS)
}
