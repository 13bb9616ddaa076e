//! Where the audit log goes outside: signed checkpoints, and events as they happen.

use serde::Deserialize;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};
use url::Url;

/// Sinks of each kind, at most.
const SINKS_MAX: usize = 16;
/// Characters of a sink's name, at most.
const NAME_CHARS_MAX: usize = 64;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    pub checkpoints: Vec<Outlet>,
    pub checkpoint_secs: u64,
    pub sinks: Vec<Sink>,
}

/// Where checkpoints go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Outlet {
    File(PathBuf),
    Syslog(Receiver),
    Web(String),
}

/// Where syslog is received.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Receiver {
    /// Without TLS only this machine is spoken to.
    pub tls: bool,
    pub host: String,
    pub port: u16,
}

/// Where events go.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Sink {
    Webhook {
        name: String,
        url: String,
        #[serde(default)]
        secret_env: String,
        #[serde(default)]
        secret_file: PathBuf,
    },
    Syslog {
        name: String,
        to: Receiver,
        #[serde(default)]
        ca_file: PathBuf,
    },
    File {
        name: String,
        path: PathBuf,
    },
}

impl Sink {
    /// Its position in the log is kept under this name.
    pub fn name(&self) -> &str {
        match self {
            Self::Webhook { name, .. } | Self::Syslog { name, .. } | Self::File { name, .. } => {
                name
            }
        }
    }
}

impl TryFrom<String> for Receiver {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let shape = || "must be `tls://HOST:PORT`, or `tcp://127.0.0.1:PORT`".to_owned();
        let (tls, rest) = match text.split_once("://") {
            Some(("tls", rest)) => (true, rest),
            Some(("tcp", rest)) => (false, rest),
            Some(_) | None => return Err(shape()),
        };
        let (host, port) = rest.rsplit_once(':').ok_or_else(shape)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = port.parse().map_err(|_| shape())?;
        if host.is_empty() || host.contains(['/', '@']) {
            return Err(shape());
        }
        Ok(Self { tls, host, port })
    }
}

impl TryFrom<String> for Outlet {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("syslog+tls", rest)) => Receiver::try_from(format!("tls:{rest}"))
                .map_err(|_| "must be `syslog+tls://HOST:PORT`".to_owned())
                .map(Self::Syslog),
            Some(("https" | "http", _)) if Url::parse(&text).is_ok() => Ok(Self::Web(text)),
            Some(_) | None => {
                Err("must be `file:PATH`, `syslog+tls://HOST:PORT` or `https://..`".to_owned())
            }
        }
    }
}

impl Audit {
    /// Makes paths relative to `folder`.
    pub(super) fn settle(&mut self, folder: &Path) {
        let join = |path: &mut PathBuf| {
            if !path.as_os_str().is_empty() {
                *path = folder.join(&*path);
            }
        };
        for outlet in &mut self.checkpoints {
            if let Outlet::File(path) = outlet {
                join(path);
            }
        }
        for sink in &mut self.sinks {
            match sink {
                Sink::Webhook { secret_file, .. } => join(secret_file),
                Sink::Syslog { ca_file, .. } => join(ca_file),
                Sink::File { path, .. } => join(path),
            }
        }
    }

    pub(super) fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut names = BTreeSet::new();
        for sink in &self.sinks {
            let name = sink.name();
            let plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.');
            if !(1..=NAME_CHARS_MAX).contains(&name.len()) || !name.chars().all(plain) {
                mistakes.push(format!(
                    "[[audit.sinks]] name: `{name}` must be 1 to {NAME_CHARS_MAX} letters, \
                     digits, `-`, `_` or `.`"
                ));
            }
            if !names.insert(name) {
                mistakes.push(format!("[[audit.sinks]] name: there are two `{name}`"));
            }
            if let Sink::Webhook { secret_env, secret_file, .. } = sink {
                let in_file = !secret_file.as_os_str().is_empty();
                if secret_env.is_empty() != in_file {
                    mistakes.push(format!(
                        "[[audit.sinks]] `{name}`: needs one of secret_env and secret_file"
                    ));
                }
            }
        }
        for (what, number) in
            [("[[audit.sinks]]", self.sinks.len()), ("checkpoints", self.checkpoints.len())]
        {
            if SINKS_MAX < number {
                mistakes.push(format!("[audit] {what}: at most {SINKS_MAX}"));
            }
        }
        if !(1..=3_600).contains(&self.checkpoint_secs) {
            mistakes.push("[audit] checkpoint_secs: must be 1 to 3600".to_owned());
        }
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{BadConfig, Outlet, read};
    use std::path::Path;

    #[test]
    fn paths_are_relative_to_the_folder_of_the_settings() {
        let text = "[[audit.sinks]]\nname = 'log'\nkind = 'file'\npath = 'events.ndjson'\n";

        let audit = read(text, Path::new("/srv")).unwrap().audit;

        let checkpoints = Outlet::File("/srv/data/audit-checkpoints.ndjson".into());
        assert_eq!(audit.checkpoints, [checkpoints]);
        assert!(format!("{:?}", audit.sinks).contains("/srv/events.ndjson"));
    }

    #[test]
    fn what_cannot_be_a_sink_stops_the_start() {
        for (text, mistakes) in [
            ("checkpoints = ['data.ndjson']", 1),
            ("checkpoints = ['syslog+tls://nowhere', 'file:ok']", 1),
            ("checkpoint_secs = 0", 1),
            ("[[audit.sinks]]\nname = 'a'\nkind = 'carrier-pigeon'", 1),
            ("[[audit.sinks]]\nname = 'a'\nkind = 'webhook'\nurl = 'https://x.example'", 1),
            ("[[audit.sinks]]\nname = 'a'\nkind = 'syslog'\nto = 'udp://x:514'", 1),
            ("[[audit.sinks]]\nname = 'a b'\nkind = 'file'\npath = 'x'", 1),
            ("[[audit.sinks]]\nname = 'a'\nkind = 'file'\npath = 'x'\nroll = 'daily'", 1),
        ] {
            let BadConfig(found) = read(&format!("[audit]\n{text}\n"), Path::new(".")).unwrap_err();
            assert_eq!(found.len(), mistakes, "{text}: {found:?}");
        }
    }
}
