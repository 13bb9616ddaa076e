//! What leaves the gateway for those who watch it: security events and signed checkpoints.

pub mod lookout;

mod checkpoints;
mod delivery;
mod file;
mod status;
mod syslog;
mod webhook;

pub use self::{
    lookout::Lookout,
    status::{Behind, Status},
};

use self::{
    checkpoints::{Checkpoints, Way as Outlet},
    delivery::{Delivery, Way},
    lookout::Log,
    syslog::Syslog,
    webhook::Webhook,
};
use crate::config::{self, Audit, Sink};
use admin::outbound::Outbound;
use anyhow::Context;
use aws_lc_rs::signature::Ed25519KeyPair;
use futures_util::future::join_all;
use std::{fs, path::Path, sync::Arc, time::Duration};
use store::audit::AuditLog;
use tokio_util::sync::CancellationToken;

/// What the key is derived for by which checkpoints are signed.
pub const SIGNING_PURPOSE: &str = "audit";

/// How long sinks may take for what is left, once nothing more happens.
const LAST_EVENTS: Duration = Duration::from_secs(5);

/// Everything that leaves, from one process.
pub struct Sinks {
    log: Log,
    deliveries: Vec<Delivery>,
    checkpoints: Checkpoints,
    status: Arc<Status>,
}

impl Sinks {
    /// Makes the sinks of the settings, and the lookout through which the request path is heard.
    ///
    /// # Errors
    /// A secret or a certificate that the settings name is not there or cannot be used. Nothing is
    /// connected to yet.
    pub fn new(
        audit: &Audit,
        log: &Arc<dyn AuditLog>,
        key: Ed25519KeyPair,
        outbound: &Arc<dyn Outbound>,
    ) -> anyhow::Result<(Self, Lookout)> {
        let status = Arc::new(Status::default());
        let (lookout, sightings) = lookout::lookout(Arc::clone(log));
        let mut deliveries = Vec::new();
        for sink in &audit.sinks {
            let name = sink.name().to_owned();
            let way = way(sink, outbound).with_context(|| format!("[[audit.sinks]] `{name}`"))?;
            let (log, status) = (Arc::clone(log), Arc::clone(&status));
            deliveries.push(Delivery::new(name, way, log, status));
        }
        let outlets = audit.checkpoints.iter().map(|outlet| match outlet {
            config::Outlet::File(path) => Ok(Outlet::File(path.clone())),
            config::Outlet::Syslog(to) => {
                Syslog::new(to.clone(), Path::new("")).map(|it| Outlet::Syslog(Box::new(it)))
            }
            config::Outlet::Web(url) => Ok(Outlet::Web(url.clone(), Arc::clone(outbound))),
        });
        let outlets = outlets.collect::<anyhow::Result<Vec<_>>>()?;
        let every = Duration::from_secs(audit.checkpoint_secs);
        let checkpoints = Checkpoints::new(Arc::clone(log), key, outlets, every);
        Ok((Self { log: sightings, deliveries, checkpoints, status }, lookout))
    }

    /// How far each sink is, as it runs.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// Runs until `stop`, which must come after the last request; then what was seen is written,
    /// what was written is sent, and what the chains have become is signed.
    pub async fn run(self, stop: CancellationToken) {
        let Self { log, deliveries, checkpoints, status: _ } = self;
        let written = CancellationToken::new();
        tokio::join!(
            async {
                log.run(&stop).await;
                written.cancel();
            },
            join_all(deliveries.into_iter().map(|delivery| delivery.run(&written, LAST_EVENTS))),
            checkpoints.run(&written, LAST_EVENTS),
        );
    }
}

fn way(sink: &Sink, outbound: &Arc<dyn Outbound>) -> anyhow::Result<Way> {
    match sink {
        Sink::File { path, .. } => Ok(Way::File(path.clone())),
        Sink::Syslog { to, ca_file, .. } => {
            Syslog::new(to.clone(), ca_file).map(|it| Way::Syslog(Box::new(it)))
        }
        Sink::Webhook { url, secret_env, secret_file, .. } => {
            let secret = if secret_env.is_empty() {
                fs::read_to_string(secret_file)
                    .with_context(|| format!("secret_file {}", secret_file.display()))?
            } else {
                config::environment(secret_env)
                    .with_context(|| format!("secret_env: `{secret_env}` is not set"))?
            };
            let webhook = Webhook::new(url, secret.trim(), Arc::clone(outbound))?;
            Ok(Way::Webhook(Box::new(webhook)))
        }
    }
}
