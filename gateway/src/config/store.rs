//! Where the store is, and who may know the password to it: nobody who reads a log.

use serde::Deserialize;
use std::{
    fmt, fs,
    path::{Path, PathBuf},
};
use url::Url;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    pub url: StoreUrl,
    /// The variable of the environment that has the URL; empty: none.
    url_env: String,
    /// The file that has it; empty: none.
    url_file: PathBuf,
}

/// The URL of a store. It is shown without its password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct StoreUrl(String);

/// Which engine a URL is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine<'u> {
    /// A file.
    Sqlite(&'u Path),
    /// The whole URL, password included.
    Postgres(&'u str),
}

impl Store {
    /// Takes the URL from where the settings say that it is, and makes paths relative to
    /// `folder`. What is wrong with it, if anything.
    pub(super) fn settle(
        &mut self,
        folder: &Path,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<(), String> {
        let in_file = !self.url_file.as_os_str().is_empty();
        match (self.url_env.as_str(), in_file) {
            ("", false) => {}
            ("", true) => {
                let path = folder.join(&self.url_file);
                let text = fs::read_to_string(&path)
                    .map_err(|fault| format!("[store] url_file: {}: {fault}", path.display()))?;
                self.url = StoreUrl(text.trim().to_owned());
            }
            (name, false) => {
                let text = environment(name)
                    .ok_or_else(|| format!("[store] url_env: `{name}` is not set"))?;
                self.url = StoreUrl(text.trim().to_owned());
            }
            (_, true) => return Err("[store] url_file: url_env is set as well".to_owned()),
        }
        match self.url.engine() {
            None => Err("[store] url: must be `sqlite:PATH` or `postgres://..`".to_owned()),
            Some(Engine::Postgres(_)) => Ok(()),
            Some(Engine::Sqlite(path)) => {
                self.url = StoreUrl::sqlite(&folder.join(path));
                Ok(())
            }
        }
    }
}

impl StoreUrl {
    pub fn sqlite(path: &Path) -> Self {
        Self(format!("sqlite:{}", path.display()))
    }

    /// None if it is for no engine that there is.
    pub fn engine(&self) -> Option<Engine<'_>> {
        match self.0.split_once(':')? {
            ("sqlite", path) if !path.is_empty() => Some(Engine::Sqlite(Path::new(path))),
            ("postgres" | "postgresql", rest) if rest.starts_with("//") => {
                Some(Engine::Postgres(&self.0))
            }
            _ => None,
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.engine() {
            None => formatter.write_str("(no store)"),
            Some(Engine::Sqlite(path)) => write!(formatter, "sqlite:{}", path.display()),
            Some(Engine::Postgres(text)) => match Url::parse(text) {
                // Any part of it may be the password.
                Err(_) => formatter.write_str("postgres: (not a URL)"),
                Ok(url) => {
                    formatter.write_str("postgres://")?;
                    if !url.username().is_empty() {
                        write!(formatter, "{}@", url.username())?;
                    }
                    formatter.write_str(url.host_str().unwrap_or_default())?;
                    url.port().map_or(Ok(()), |port| write!(formatter, ":{port}"))?;
                    // The query may have a password too.
                    formatter.write_str(url.path())
                }
            },
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{self}`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(url: &str, url_env: &str, url_file: &str) -> Store {
        Store {
            url: StoreUrl(url.to_owned()),
            url_env: url_env.to_owned(),
            url_file: url_file.into(),
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        for text in [
            "postgres://ada:hunter2@db.example:5433/penstock?sslmode=verify-full",
            "postgresql://ada@db.example:5433/penstock?password=hunter2",
            "postgres://ada:hunter2@[",
            "mysql://ada:hunter2@db.example/penstock",
            "hunter2",
        ] {
            let store = store(text, "", "");

            let shown = format!(
                "{store:?} {} {:?}",
                store.url,
                store.clone().settle(Path::new("."), |_| None)
            );

            assert!(!shown.contains("hunter2"), "{shown}");
        }
        let url = store("postgres://ada:hunter2@db.example:5433/penstock", "", "").url;
        assert_eq!(url.to_string(), "postgres://ada@db.example:5433/penstock");
    }

    #[test]
    fn a_url_can_come_from_the_environment_or_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("url"), "postgres://ada:x@db/penstock\n").unwrap();
        let environment =
            |name: &str| (name == "STORE").then(|| "postgres://eve:x@db/penstock".to_owned());

        let settled = [("STORE", ""), ("", "url"), ("", "")].map(|(env, file)| {
            let mut store = store("sqlite:a.db", env, file);
            store.settle(folder.path(), environment).unwrap();
            store.url.to_string()
        });

        let file = format!("sqlite:{}", folder.path().join("a.db").display());
        assert_eq!(settled, ["postgres://eve@db/penstock", "postgres://ada@db/penstock", &file]);
        for (env, file) in [("STORE", "url"), ("NOBODY", ""), ("", "nothing")] {
            assert!(store("sqlite:a.db", env, file).settle(folder.path(), environment).is_err());
        }
    }
}
