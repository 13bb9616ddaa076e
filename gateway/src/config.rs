//! The settings of the process: `defaults.toml`, overlaid by the operator's file.

mod audit;
mod limits;
mod redis;
mod secrets;
mod store;

pub use self::{
    audit::{Audit, Outlet, Receiver, Sink},
    limits::{Limits, Share},
    redis::Redis,
    secrets::Secrets,
    store::{Engine, Store, StoreUrl},
};

use admin::service::sign_in::{SESSION_HOURS_MAX, public_url::PublicUrl};
use policies::authority;
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// All settings with their defaults, as they are documented.
pub const DEFAULTS: &str = include_str!("defaults.toml");

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub client: Listener,
    pub admin: Admin,
    pub store: Store,
    pub journal: Journal,
    pub edge: Edge,
    pub upstream: Upstream,
    pub snapshot: Snapshot,
    pub budget: Budget,
    pub limits: Limits,
    pub redis: Redis,
    pub identity: Identity,
    pub secrets: Secrets,
    pub audit: Audit,
    pub log: Log,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    pub listen: SocketAddr,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    pub listen: SocketAddr,
    /// Empty: the listener's own address.
    pub public_url: String,
    pub session_hours: u32,
    pub also_on_client_listener: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    ProcessCrash,
    PowerLoss,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    pub path: PathBuf,
    pub durability: Durability,
    pub requests_in_flight_max: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    pub first_byte_millis: u64,
    pub header_millis: u64,
    pub idle_millis: u64,
    pub body_grace_millis: u64,
    pub body_bytes_per_second_min: u64,
    pub write_stall_millis: u64,
    pub connections_max: usize,
    pub connections_per_address_max: usize,
    /// Networks as text, each checked at the start.
    pub trusted_proxies: Vec<String>,
    pub body_bytes_max: usize,
    pub drain_millis: u64,
    pub failed_authentications_per_minute: u32,
    pub key_requests_per_second_max: u32,
    pub stream_head_millis: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    pub connect_millis: u64,
    pub first_byte_millis: u64,
    pub idle_millis: u64,
    pub total_millis: u64,
    pub read_on_millis: u64,
    pub answer_bytes_max: usize,
    pub attempts_max: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    pub poll_millis: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    pub private_networks: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    pub wait_millis: u64,
    pub self_fence_secs: u32,
    pub silence_secs: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Json,
    Text,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub level: String,
    pub format: LogFormat,
}

/// Everything that is wrong with the settings, a line each.
#[derive(Debug, thiserror::Error)]
#[error("the settings cannot be used:\n  {}", .0.join("\n  "))]
pub struct BadConfig(pub Vec<String>);

/// Reads `path`, or the defaults alone. Relative paths become relative to `path`'s folder.
pub fn load(path: Option<&Path>) -> Result<Config, BadConfig> {
    let Some(path) = path else { return read("", Path::new(".")) };
    let text = std::fs::read_to_string(path)
        .map_err(|fault| BadConfig(vec![format!("{}: {fault}", path.display())]))?;
    read(&text, path.parent().unwrap_or_else(|| Path::new("."))).map_err(|bad| {
        BadConfig(bad.0.iter().map(|it| format!("{}: {it}", path.display())).collect())
    })
}

/// Reads settings from text; `folder` is what relative paths are relative to.
pub fn read(text: &str, folder: &Path) -> Result<Config, BadConfig> {
    let defaults = table(DEFAULTS)?;
    let given = table(text)?;
    let mut mistakes = Vec::new();
    let merged = overlay(&defaults, &given, "", &mut mistakes);
    mistakes.extend(wrong_values(&defaults, &merged));
    if !mistakes.is_empty() {
        return Err(BadConfig(mistakes));
    }
    let config = Config::deserialize(toml::Value::Table(merged));
    let mut config = config.map_err(|fault| BadConfig(vec![fault.message().to_owned()]))?;
    config.journal.path = folder.join(&config.journal.path);
    config.audit.settle(folder);
    config.secrets.settle(folder);
    let mut mistakes: Vec<String> =
        config.store.settle(folder, environment).err().into_iter().collect();
    mistakes.extend(config.redis.settle(folder, environment).err());
    mistakes.extend(config.contradictions());
    if mistakes.is_empty() { Ok(config) } else { Err(BadConfig(mistakes)) }
}

/// One setting at a time, so that every wrong value is told at once.
fn wrong_values(defaults: &toml::Table, merged: &toml::Table) -> Vec<String> {
    let mut mistakes = Vec::new();
    for (section, value) in merged {
        let settings = value.as_table().into_iter().flatten();
        for (key, value) in settings {
            let mut alone = defaults.clone();
            if let Some(toml::Value::Table(within)) = alone.get_mut(section) {
                within.insert(key.clone(), value.clone());
            }
            if let Err(fault) = Config::deserialize(toml::Value::Table(alone)) {
                mistakes.push(format!("[{section}] {key}: {}", fault.message()));
            }
        }
    }
    mistakes
}

fn table(text: &str) -> Result<toml::Table, BadConfig> {
    text.parse().map_err(|fault: toml::de::Error| {
        let line = fault.span().map_or(1, |span| {
            text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
        });
        BadConfig(vec![format!("line {line}: {}", fault.message())])
    })
}

/// `given` over `defaults`. What the defaults do not know is a mistake.
fn overlay(
    defaults: &toml::Table,
    given: &toml::Table,
    place: &str,
    mistakes: &mut Vec<String>,
) -> toml::Table {
    let mut merged = defaults.clone();
    for (key, value) in given {
        let here = if place.is_empty() { format!("[{key}]") } else { format!("{place} {key}") };
        match (defaults.get(key), value) {
            (None, _) => {
                let known: BTreeSet<&str> = defaults.keys().map(String::as_str).collect();
                let known = known.into_iter().collect::<Vec<_>>().join(", ");
                mistakes.push(format!("{here}: there is no such setting (there are: {known})"));
            }
            (Some(toml::Value::Table(below)), toml::Value::Table(value)) => {
                let value = overlay(below, value, &here, mistakes);
                merged.insert(key.clone(), toml::Value::Table(value));
            }
            (Some(toml::Value::Table(_)), _) => {
                mistakes.push(format!("{here}: is a section"));
            }
            (Some(_), value) => {
                merged.insert(key.clone(), value.clone());
            }
        }
    }
    merged
}

impl Admin {
    /// Where browsers find the admin listener, which is bound to `bound`.
    pub fn public_url(&self, bound: SocketAddr) -> Result<PublicUrl, String> {
        match self.public_url.as_str() {
            "" => Ok(PublicUrl::of_listener(bound)),
            url => PublicUrl::parse(url),
        }
    }
}

impl Config {
    /// The file of the SQLite store, if that is the engine.
    pub fn sqlite(&self) -> Option<&Path> {
        match self.store.url.engine()? {
            Engine::Sqlite(path) => Some(path),
            Engine::Postgres(_) => None,
        }
    }

    fn contradictions(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        if self.sqlite().is_some_and(|path| path == self.journal.path.as_path()) {
            mistakes.push("[journal] path: is the file of the store; it needs its own".into());
        }
        if self.client.listen == self.admin.listen && self.client.listen.port() != 0 {
            mistakes.push("[admin] listen: is the address of the client listener".into());
        }
        if let Err(fault) = self.admin.public_url(self.admin.listen) {
            mistakes.push(format!("[admin] public_url: {fault}"));
        }
        let level = &self.log.level;
        let word = !level.contains(['=', ',']);
        if word && level.parse::<tracing_subscriber::filter::LevelFilter>().is_err() {
            mistakes.push(format!("[log] level: `{level}` is no level"));
        } else if let Err(fault) = level.parse::<tracing_subscriber::EnvFilter>() {
            mistakes.push(format!("[log] level: {fault}"));
        }
        for text in &self.edge.trusted_proxies {
            if authority::network(text).is_none() {
                mistakes.push(format!("[edge] trusted_proxies: `{text}` is no network"));
            }
        }
        mistakes.extend(self.bounds());
        mistakes.extend(self.mistakes_of_limits());
        mistakes.extend(self.audit.mistakes());
        mistakes
    }

    fn bounds(&self) -> Vec<String> {
        let (edge, upstream) = (&self.edge, &self.upstream);
        let size = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        let rows = [
            (
                "[journal] requests_in_flight_max",
                size(self.journal.requests_in_flight_max),
                1_000_000,
            ),
            ("[edge] first_byte_millis", edge.first_byte_millis, 3_600_000),
            ("[edge] header_millis", edge.header_millis, 3_600_000),
            ("[edge] idle_millis", edge.idle_millis, 3_600_000),
            ("[edge] body_grace_millis", edge.body_grace_millis, 3_600_000),
            ("[edge] write_stall_millis", edge.write_stall_millis, 3_600_000),
            ("[edge] connections_max", size(edge.connections_max), 1_000_000),
            (
                "[edge] connections_per_address_max",
                size(edge.connections_per_address_max),
                1_000_000,
            ),
            ("[edge] body_bytes_max", size(edge.body_bytes_max), 1 << 30),
            (
                "[edge] failed_authentications_per_minute",
                edge.failed_authentications_per_minute.into(),
                1_000_000,
            ),
            (
                "[edge] key_requests_per_second_max",
                edge.key_requests_per_second_max.into(),
                1_000_000,
            ),
            ("[edge] stream_head_millis", edge.stream_head_millis, 3_600_000),
            ("[upstream] connect_millis", upstream.connect_millis, 3_600_000),
            ("[upstream] first_byte_millis", upstream.first_byte_millis, 86_400_000),
            ("[upstream] idle_millis", upstream.idle_millis, 86_400_000),
            ("[upstream] total_millis", upstream.total_millis, 86_400_000),
            ("[upstream] answer_bytes_max", size(upstream.answer_bytes_max), 1 << 31),
            ("[upstream] attempts_max", upstream.attempts_max.into(), 10),
            ("[snapshot] poll_millis", self.snapshot.poll_millis, 60_000),
            ("[budget] self_fence_secs", self.budget.self_fence_secs.into(), 86_400),
            ("[budget] silence_secs", self.budget.silence_secs.into(), 30 * 86_400),
            ("[admin] session_hours", self.admin.session_hours.into(), SESSION_HOURS_MAX.into()),
        ];
        let outside = rows.iter().filter(|(_, value, most)| !(1..=*most).contains(value));
        let mut mistakes: Vec<String> =
            outside.map(|(name, _, most)| format!("{name}: must be 1 to {most}")).collect();
        if upstream.total_millis < upstream.first_byte_millis {
            mistakes.push("[upstream] total_millis: is less than first_byte_millis".into());
        }
        if self.budget.silence_secs / 2 < self.budget.self_fence_secs {
            let why = "must be at least twice self_fence_secs";
            mistakes.push(format!("[budget] silence_secs: {why}"));
        }
        mistakes
    }
}

pub fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A variable of the environment: the one place that reads it.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_complete_and_valid() {
        let config = read("", Path::new("/srv")).unwrap();

        assert_eq!(config.journal.path, Path::new("/srv/data/journal.db"));
        assert_eq!(config.sqlite(), Some(Path::new("/srv/data/penstock.db")));
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let text = "[client]\nlisten = 5\nport = 1\n[edge]\nidle_millis = 'x'\n[nope]\na = 1\n";

        let BadConfig(mistakes) = read(text, Path::new(".")).unwrap_err();

        assert_eq!(mistakes.len(), 4, "{mistakes:#?}");
    }

    #[test]
    fn contradictions_stop_the_start() {
        let text = "[store]\nurl = 'sqlite:a.db'\n[journal]\npath = 'a.db'\n\
                    [client]\nlisten = '127.0.0.1:1'\n[admin]\nlisten = '127.0.0.1:1'\n\
                    [edge]\nconnections_max = 0\n";

        let BadConfig(mistakes) = read(text, Path::new(".")).unwrap_err();

        assert_eq!(mistakes.len(), 3, "{mistakes:#?}");
    }
}
