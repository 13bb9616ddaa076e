//! `penstock setup-link`: a way in for a user who has no password, or has lost it.

use super::reports;
use crate::config::Config;
use admin::service::{
    audit::by_command,
    setup_link::{self, NoLink},
};
use anyhow::Context;
use clap::Args;
use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};
use store::Store;

/// Make a link by which a user sets a first or a new password, once
///
/// Whoever opens the link within 24 hours becomes this user: send it to nobody else. It is void as
/// soon as the password is changed. That it was made is in the org's audit log. It leads to the
/// admin listener, or to `public_url` if that is set.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  penstock setup-link --org acme --user ada
  penstock setup-link --org penstock --user op@example.com    an operator of the installation

Exit status: 0 done, 1 failed, 2 there is no such user, or a password would not let it in.")]
pub struct SetupLinkArgs {
    /// The user's org, by name or id; may be left out where there is only one
    #[arg(long, value_name = "ORG")]
    org: Option<String>,
    /// The user, by name, email or id
    #[arg(long, value_name = "USER")]
    user: String,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Runs `penstock setup-link`.
pub async fn run(
    args: SetupLinkArgs,
    config: &Config,
    store: Arc<dyn Store>,
) -> anyhow::Result<ExitCode> {
    let settings = match reports::org(store.as_ref(), args.org.as_deref()).await? {
        Ok(settings) => settings,
        Err(unclear) => return reports::refuse(unclear),
    };
    let url = config.admin.public_url(config.admin.listen).map_err(anyhow::Error::msg)?;
    let act = by_command(args.reason);
    match setup_link::make(store.as_ref(), &url, &settings, &args.user, act).await {
        Ok(link) => {
            writeln!(io::stdout(), "set a password within 24 hours, once: {link}")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(
            why @ (NoLink::NoUser { .. }
            | NoLink::Inactive(_)
            | NoLink::NoEmail(_)
            | NoLink::SameEmail { .. }
            | NoLink::NoPasswords(_)
            | NoLink::NoOrg(_)),
        ) => reports::refuse(why),
        Err(fault @ (NoLink::Store(_) | NoLink::Dry(_) | NoLink::Body(_))) => {
            Err(fault).context("no link was made")
        }
    }
}
