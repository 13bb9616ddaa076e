//! Where the master key is, and those that were in use before it: never the keys themselves.

use serde::Deserialize;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// Empty: none.
    pub master_key_file: PathBuf,
    /// The name of a variable of the environment; it wins over the file. Empty: none.
    pub master_key_env: String,
    /// Any number of keys, parted by white space or commas. Empty: none.
    pub older_master_keys_file: PathBuf,
    pub older_master_keys_env: String,
}

impl Secrets {
    /// Makes paths relative to `folder`.
    pub(super) fn settle(&mut self, folder: &Path) {
        for path in [&mut self.master_key_file, &mut self.older_master_keys_file] {
            if !path.as_os_str().is_empty() {
                *path = folder.join(&*path);
            }
        }
    }
}
