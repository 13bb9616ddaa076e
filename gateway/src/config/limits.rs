//! Who counts limits: this process alone, or all that share a store.

use super::{Config, Engine, millis};
use serde::Deserialize;
use std::time::Duration;

/// Replicas, at most.
const REPLICAS_MAX: u32 = 1_000;
const PATIENCE_MILLIS_MAX: u64 = 2_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Share {
    /// As the store and `[redis]` suggest.
    Auto,
    Process,
    Store,
    Redis,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    share: Share,
    replicas_max: u32,
    patience_millis: u64,
}

impl Limits {
    pub fn replicas_max(&self) -> u32 {
        self.replicas_max
    }

    /// How long the shared limits may take to answer.
    pub fn patience(&self) -> Duration {
        millis(self.patience_millis)
    }
}

impl Config {
    /// What shares limits; never [`Share::Auto`].
    pub fn share(&self) -> Share {
        match (self.limits.share, self.store.url.engine()) {
            (Share::Auto, _) if self.redis.is_set() => Share::Redis,
            (Share::Auto, Some(Engine::Postgres(_))) => Share::Store,
            (Share::Auto, Some(Engine::Sqlite(_)) | None) => Share::Process,
            (share @ (Share::Process | Share::Store | Share::Redis), _) => share,
        }
    }

    pub(super) fn mistakes_of_limits(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let limits = &self.limits;
        match limits.share {
            Share::Store if self.sqlite().is_some() => mistakes.push(
                "[limits] share: SQLite is for one process: `store` needs PostgreSQL".to_owned(),
            ),
            Share::Redis if !self.redis.is_set() => {
                mistakes.push("[limits] share: `redis` needs [redis] url".to_owned());
            }
            Share::Process | Share::Store if self.redis.is_set() => {
                mistakes.push("[redis] url: [limits] share does not use it".to_owned());
            }
            Share::Auto | Share::Process | Share::Store | Share::Redis => {}
        }
        if !(1..=REPLICAS_MAX).contains(&limits.replicas_max) {
            mistakes.push(format!("[limits] replicas_max: must be 1 to {REPLICAS_MAX}"));
        }
        if !(1..=PATIENCE_MILLIS_MAX).contains(&limits.patience_millis) {
            mistakes.push(format!("[limits] patience_millis: must be 1 to {PATIENCE_MILLIS_MAX}"));
        }
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use super::{super::read, *};
    use std::path::Path;

    const POSTGRES: &str = "[store]\nurl = 'postgres://db/penstock'\n";
    const REDIS: &str = "[redis]\nurl = 'rediss://ada:hunter2@cache'\n";

    fn shared(text: &str) -> Result<Share, Vec<String>> {
        read(text, Path::new(".")).map(|config| config.share()).map_err(|bad| bad.0)
    }

    #[test]
    fn limits_are_shared_by_what_there_is() {
        assert_eq!(shared("").unwrap(), Share::Process);
        assert_eq!(shared(POSTGRES).unwrap(), Share::Store);
        assert_eq!(shared(REDIS).unwrap(), Share::Redis);
        assert_eq!(shared(&format!("{POSTGRES}{REDIS}")).unwrap(), Share::Redis);
        let alone = format!("{POSTGRES}[limits]\nshare = 'process'\n");
        assert_eq!(shared(&alone).unwrap(), Share::Process);
    }

    #[test]
    fn contradictions_of_limits_stop_the_start() {
        for text in [
            "[limits]\nshare = 'store'\n",
            "[limits]\nshare = 'redis'\n",
            &format!("[limits]\nshare = 'process'\n{REDIS}"),
            &format!("{POSTGRES}[limits]\nshare = 'store'\n{REDIS}"),
            "[limits]\nreplicas_max = 0\n",
            "[limits]\npatience_millis = 0\n",
            "[redis]\nurl = 'http://ada:hunter2@cache'\n",
            "[redis]\nurl = 'redis://cache'\nurl_env = 'PATH'\n",
            "[redis]\nca_file = 'nothing.pem'\n",
        ] {
            let mistakes = shared(text).unwrap_err();

            assert_eq!(mistakes.len(), 1, "{text}: {mistakes:?}");
            assert!(!mistakes.concat().contains("hunter2"), "{mistakes:?}");
        }
    }
}
