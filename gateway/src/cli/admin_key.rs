//! `penstock admin-key`: a credential for scripts that administer.

use super::{ConfigArg, existing_store, reports};
use admin::service::admin_key::{self, For};
use clap::Args;
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Make an admin key
///
/// Its secret is shown once, on standard output, and cannot be shown again: Penstock keeps only a
/// hash of it. Whoever has it may do what its owner may, at the admin listener, as
/// `authorization: Bearer ..`.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  penstock admin-key --operator --name terraform          for the whole installation
  penstock admin-key --org acme --owner ada --name ci     as the user `ada` of `acme`
  penstock admin-key --owner ada --name ci                the same, where there is one org

Exit status: 0 done, 1 failed, 2 bad usage; then nothing was changed.")]
pub struct AdminKeyArgs {
    /// A key of the installation itself: it may do everything, in every org
    #[arg(long, conflicts_with_all = ["org", "owner"])]
    pub operator: bool,
    /// The org of the key's owner, by name or id; may be left out where there is only one
    #[arg(long, value_name = "ORG")]
    pub org: Option<String>,
    /// The user whose key it is, by name
    #[arg(long, value_name = "USER")]
    pub owner: Option<String>,
    /// What the key is called
    #[arg(long, value_name = "NAME")]
    pub name: String,
}

/// Runs `penstock admin-key`.
pub async fn run(args: AdminKeyArgs, config: &ConfigArg) -> anyhow::Result<ExitCode> {
    if !args.operator && args.owner.is_none() {
        return reports::refuse(
            "whose key is it? pass --operator for a key of the whole installation, or \
             --owner USER (with --org ORG where there are several) for one that may do what this \
             user may",
        );
    }
    let store = existing_store(&config.load()?).await?;
    let org;
    let owner = match &args.owner {
        None => For::Operator,
        Some(user) => {
            let settings = match reports::org(store.as_ref(), args.org.as_deref()).await? {
                Ok(settings) => settings,
                Err(unclear) => return reports::refuse(unclear),
            };
            org = settings.org.to_string();
            For::User { org: &org, user }
        }
    };
    let secret = admin_key::make(store.as_ref(), owner, &args.name).await?;
    writeln!(io::stdout(), "{}", secret.expose())?;
    Ok(ExitCode::SUCCESS)
}
