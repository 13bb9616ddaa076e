//! Where Redis is, if there is one.

use serde::Deserialize;
use std::{
    fmt, fs,
    path::{Path, PathBuf},
};
use store::redis::Address;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    url: Text,
    /// The variable of the environment that has the URL; empty: none.
    url_env: String,
    /// The file that has it; empty: none.
    url_file: PathBuf,
    /// Whose certificates are trusted; empty: those that the system trusts.
    ca_file: PathBuf,
    #[serde(skip)]
    address: Option<Address>,
}

/// A URL that is not shown, since it may have a password.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
struct Text(String);

impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(a URL)")
    }
}

impl Redis {
    pub fn is_set(&self) -> bool {
        self.address.is_some()
    }

    pub fn address(&self) -> Option<&Address> {
        self.address.as_ref()
    }

    /// Takes the URL from where the settings say that it is; paths are relative to `folder`. What
    /// is wrong with it, if anything.
    pub(super) fn settle(
        &mut self,
        folder: &Path,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<(), String> {
        let Some((setting, text)) = self.text(folder, environment)? else {
            return if self.ca_file.as_os_str().is_empty() {
                Ok(())
            } else {
                Err("[redis] ca_file: there is no url".to_owned())
            };
        };
        let mut address =
            Address::parse(text.trim()).map_err(|why| format!("[redis] {setting}: {why}"))?;
        if !self.ca_file.as_os_str().is_empty() {
            if !address.has_tls() {
                return Err("[redis] ca_file: the url is not `rediss`".to_owned());
            }
            let path = folder.join(&self.ca_file);
            let read = fs::read(&path);
            let ca =
                read.map_err(|fault| format!("[redis] ca_file: {}: {fault}", path.display()))?;
            address = address.trusting(ca);
        }
        self.address = Some(address);
        Ok(())
    }

    /// The URL with the setting that it comes from.
    fn text(
        &self,
        folder: &Path,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<(&'static str, String)>, String> {
        let in_file = !self.url_file.as_os_str().is_empty();
        match (self.url.0.as_str(), self.url_env.as_str(), in_file) {
            ("", "", false) => Ok(None),
            (url, "", false) => Ok(Some(("url", url.to_owned()))),
            ("", name, false) => {
                let text = environment(name);
                let text = text.ok_or_else(|| format!("[redis] url_env: `{name}` is not set"))?;
                Ok(Some(("url_env", text)))
            }
            ("", "", true) => {
                let path = folder.join(&self.url_file);
                let text = fs::read_to_string(&path)
                    .map_err(|fault| format!("[redis] url_file: {}: {fault}", path.display()))?;
                Ok(Some(("url_file", text)))
            }
            _ => Err("[redis] url: set one of url, url_env and url_file".to_owned()),
        }
    }
}
