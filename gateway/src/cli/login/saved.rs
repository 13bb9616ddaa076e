//! What is kept of sign-ins, in one file that its owner alone can read.

use crate::config;
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::PathBuf,
};

/// One sign-in. It is as good as a password, and is never printed.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SignedIn {
    pub(super) org: String,
    pub(super) issuer: String,
    pub(super) client_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refresh_token: Option<String>,
    pub(super) access_token: String,
    /// Milliseconds of Unix time.
    pub(super) expires: i64,
}

#[derive(Default, Serialize, Deserialize)]
struct Contents {
    /// By the address of the gateway.
    gateways: BTreeMap<String, SignedIn>,
}

/// The file, held for oneself until it is dropped.
pub(super) struct Saved {
    path: PathBuf,
    contents: Contents,
    _lock: File,
}

impl Saved {
    pub(super) fn open() -> anyhow::Result<Self> {
        let folder = folder()?;
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.with_context(|| format!("making {}", folder.display()))?;
        let path = folder.join("credentials.json");
        let lock = private(OpenOptions::new().write(true).create(true).truncate(false))
            .open(folder.join("credentials.lock"))?;
        lock.lock()?;
        let contents = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .with_context(|| format!("{} cannot be read", path.display()))?,
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => Contents::default(),
            Err(fault) => return Err(fault).with_context(|| path.display().to_string()),
        };
        Ok(Self { path, contents, _lock: lock })
    }

    /// The sign-in at a gateway; at the only one if none is named.
    pub(super) fn find(&self, gateway: Option<&str>) -> anyhow::Result<(String, SignedIn)> {
        let all = &self.contents.gateways;
        let found = match gateway {
            Some(gateway) => all.get_key_value(gateway),
            None if 1 < all.len() => {
                let names: Vec<&str> = all.keys().map(String::as_str).collect();
                bail!("you are signed in at several: name one with --gateway: {}", names.join(", "))
            }
            None => all.first_key_value(),
        };
        let (gateway, known) = found.context("you are not signed in: run `penstock login`")?;
        Ok((gateway.clone(), known.clone()))
    }

    pub(super) fn put(&mut self, gateway: &str, signed_in: SignedIn) {
        self.contents.gateways.insert(gateway.to_owned(), signed_in);
    }

    pub(super) fn forget(&mut self, gateway: Option<&str>) {
        self.contents.gateways.retain(|known, _| gateway.is_some_and(|gateway| gateway != known));
    }

    /// Written beside and moved into place, so that it is whole at any moment.
    pub(super) fn write(&self) -> anyhow::Result<()> {
        let beside = self.path.with_extension("new");
        // What a write that broke off has left.
        let _ = fs::remove_file(&beside);
        let mut file = private(OpenOptions::new().write(true).create_new(true)).open(&beside)?;
        file.write_all(&serde_json::to_vec_pretty(&self.contents)?)?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        Ok(())
    }
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

fn folder() -> anyhow::Result<PathBuf> {
    let set = |name: &str| config::environment(name).filter(|text| !text.is_empty());
    let base = match (set("XDG_CONFIG_HOME"), set("HOME")) {
        (Some(config), _) => PathBuf::from(config),
        (None, Some(home)) => PathBuf::from(home).join(".config"),
        (None, None) => bail!("neither XDG_CONFIG_HOME nor HOME is set"),
    };
    Ok(base.join("penstock"))
}
