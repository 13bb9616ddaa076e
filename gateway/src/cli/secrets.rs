//! `penstock secrets`: the master key, and credentials that are sealed with it.

use super::{EXIT_MISTAKE, existing_store};
use crate::{assemble, config::Config};
use admin::service::{
    audit::by_command,
    orgs,
    secrets::{self, CREDENTIAL_BYTES_MAX, Holder, Kept, Replacement},
};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use std::{
    io::{self, IsTerminal, Read, Stdin, Write},
    process::ExitCode,
};
use store::seal::{MasterKey, Secret};

#[derive(Debug, Subcommand)]
pub enum SecretsCommand {
    /// Print a new master key, as base64. Nothing else is changed.
    GenerateMasterKey,
    /// Wrap the data keys of all orgs by the master key, so that the older ones are not needed
    ///
    /// Configure the new key as the master key and the old one among the older ones, restart every
    /// gateway, and run this. What is sealed stays as it is. Repeating it is harmless.
    Rewrap,
    /// Seal the credential of a provider, or the client secret of an identity provider
    ///
    /// It is read from standard input; at a terminal it is asked for, and not shown. Running
    /// gateways use it within a second. It cannot be read back.
    SetCredential(SetCredentialArgs),
}

#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  penstock secrets set-credential --org acme --provider openai
  penstock secrets set-credential --org acme --identity-provider okta < client-secret.txt

Exit status: 0 done, 1 failed, 2 there is no such org or provider, or the value is none.")]
pub struct SetCredentialArgs {
    /// The org, by name or id; may be left out if there is only one
    #[arg(long, value_name = "ORG")]
    org: Option<String>,
    /// The provider, by name or id
    #[arg(long, value_name = "NAME", required_unless_present = "identity_provider")]
    provider: Option<String>,
    /// The identity provider, by name or id
    #[arg(long, value_name = "NAME", conflicts_with = "provider")]
    identity_provider: Option<String>,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Prints a master key; the only one of these commands that needs no store.
pub fn generate_master_key() -> anyhow::Result<ExitCode> {
    let (_, text) = MasterKey::generate()?;
    writeln!(io::stdout(), "{}", text.expose())?;
    Ok(ExitCode::SUCCESS)
}

pub async fn rewrap(config: &Config) -> anyhow::Result<ExitCode> {
    let store = existing_store(config).await?;
    let rewrapped = assemble::keeper(config, store).await?.rewrap().await?;
    writeln!(
        io::stdout(),
        "{} data keys were wrapped anew, {} had the master key's wrapping already",
        rewrapped.changed,
        rewrapped.unchanged
    )?;
    Ok(ExitCode::SUCCESS)
}

pub async fn set_credential(args: SetCredentialArgs, config: &Config) -> anyhow::Result<ExitCode> {
    let (holder, named) = match (&args.provider, &args.identity_provider) {
        (Some(named), None) => (Holder::Provider, named),
        (None, Some(named)) => (Holder::IdentityProvider, named),
        (Some(_), Some(_)) | (None, None) => bail!("name one provider"),
    };
    let store = existing_store(config).await?;
    let org = match orgs::pick(orgs::all(store.as_ref()).await?, args.org.as_deref()) {
        Ok(org) => org,
        Err(unclear) => return mistake(&unclear),
    };
    let keeper = assemble::keeper(config, store.clone()).await?;
    let value = &read(&format!("credential of {} {named}", holder.kind()))?;
    let act = by_command(args.reason);
    let replacement = Replacement { org: org.org, holder, named, value, act };
    match secrets::set_credential(store.as_ref(), &keeper, replacement).await {
        Ok(revision) => {
            let name = orgs::name(&org);
            writeln!(io::stdout(), "sealed; org {name} is at revision {revision}")?;
            writeln!(io::stdout(), "{}", holder.in_files())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(kept @ (Kept::NotFound { .. } | Kept::Locked { .. } | Kept::Unfit(_))) => {
            mistake(&kept)
        }
        Err(kept @ (Kept::Conflict | Kept::Seal(_) | Kept::Store(_))) => Err(kept.into()),
    }
}

fn mistake(what: &dyn std::fmt::Display) -> anyhow::Result<ExitCode> {
    writeln!(io::stderr(), "{what}")?;
    Ok(ExitCode::from(EXIT_MISTAKE))
}

/// The value: all of standard input, or one line that is typed unseen.
fn read(what: &str) -> anyhow::Result<Secret<Vec<u8>>> {
    let stdin = io::stdin();
    // One byte more than is allowed, so that a value which is too long is seen to be.
    let most = CREDENTIAL_BYTES_MAX + 1;
    let mut value = Vec::with_capacity(most);
    let read = if stdin.is_terminal() {
        write!(io::stderr(), "{what}: ")?;
        io::stderr().flush()?;
        let _silent = Silent::new(&stdin)?;
        read_line(&stdin, most, &mut value)
    } else {
        stdin.lock().take(u64::try_from(most)?).read_to_end(&mut value).map(|_| ())
    };
    let value = Secret::new(value);
    read.context("standard input")?;
    Ok(value)
}

/// Byte by byte, so that the secret is in no buffer but ours.
fn read_line(stdin: &Stdin, most: usize, value: &mut Vec<u8>) -> io::Result<()> {
    let mut byte = [0];
    while value.len() < most && rustix::io::read(stdin, &mut byte)? == 1 && byte != *b"\n" {
        value.extend_from_slice(&byte);
    }
    Ok(())
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silent<'a> {
    terminal: &'a Stdin,
    before: Termios,
}

impl<'a> Silent<'a> {
    fn new(terminal: &'a Stdin) -> anyhow::Result<Self> {
        let before = termios::tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        // The end of the line is seen.
        silent.local_modes.insert(LocalModes::ECHONL);
        termios::tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs no mending.
        let _ = termios::tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}
