//! `penstock admin-key`: a credential for scripts that administer.

use admin::service::admin_key::{self, For};
use clap::Args;
use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};
use store::Store;

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

Exit status: 0 done, 1 failed; then nothing was changed.")]
pub struct AdminKeyArgs {
    /// A key of the installation itself: it may do everything, in every org
    #[arg(long, required_unless_present = "org", conflicts_with_all = ["org", "owner"])]
    pub operator: bool,
    /// The org of the key's owner, by name or id
    #[arg(long, value_name = "ORG", requires = "owner")]
    pub org: Option<String>,
    /// The user whose key it is, by name
    #[arg(long, value_name = "USER", requires = "org")]
    pub owner: Option<String>,
    /// What the key is called
    #[arg(long, value_name = "NAME")]
    pub name: String,
}

/// Runs `penstock admin-key`.
pub async fn run(args: AdminKeyArgs, store: Arc<dyn Store>) -> anyhow::Result<ExitCode> {
    let owner = match (&args.org, &args.owner) {
        (Some(org), Some(user)) => For::User { org, user },
        (Some(_) | None, _) => For::Operator,
    };
    let secret = admin_key::make(store.as_ref(), owner, &args.name).await?;
    writeln!(io::stdout(), "{}", secret.expose())?;
    Ok(ExitCode::SUCCESS)
}
