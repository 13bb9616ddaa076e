//! A tenant with what the data plane adds to it: targets with credentials, periods of now.

use crate::config;
use arc_swap::ArcSwap;
use http::{HeaderValue, Uri};
use policies::{
    document::SecretRef,
    ids::DeploymentId,
    tenant::{Deployment, Tenant},
    time::{Period, Span, Timestamp},
};
use std::{collections::HashMap, fs, sync::Arc};

pub struct Live {
    pub tenant: Tenant,
    targets: HashMap<DeploymentId, Target>,
    spans: ArcSwap<[Span; 5]>,
}

/// Where a deployment is reached, and with which credential.
#[derive(Clone)]
pub struct Target {
    pub chat: Uri,
    pub embeddings: Uri,
    /// `Bearer ..`, marked as sensitive: it is in no log and no error.
    pub authorization: Option<HeaderValue>,
}

/// Why a deployment cannot be reached as it is set up. Its text holds no secret.
#[derive(Debug, thiserror::Error)]
enum BadTarget {
    #[error("its base URL is no URI")]
    Uri,
    #[error("the environment variable `{0}` is not set")]
    NoVariable(String),
    #[error("the file of its credential cannot be read: {0}")]
    NoFile(std::io::Error),
    #[error("its credential is empty, or holds what no header may")]
    Credential,
}

impl Live {
    pub fn new(tenant: Tenant) -> Self {
        let mut targets = HashMap::new();
        for deployment in tenant.deployments.values() {
            match target(deployment) {
                Ok(target) => {
                    targets.insert(deployment.id, target);
                }
                Err(fault) => {
                    tracing::error!(org = %tenant.org, deployment = %deployment.id, %fault,
                        "a deployment cannot be used");
                }
            }
        }
        Self { tenant, targets, spans: ArcSwap::from_pointee([Span::LIFETIME; 5]) }
    }

    /// The name of what has this id; empty where there is none.
    pub fn name(&self, id: &[u8; 16]) -> &str {
        self.tenant.names.get(id).map_or("", String::as_str)
    }

    pub fn target(&self, deployment: &DeploymentId) -> Option<&Target> {
        self.targets.get(deployment)
    }

    /// The stretch of `period` around `now`; calendars are asked only when one has ended.
    pub fn span(&self, period: Period, now: Timestamp) -> Span {
        let spans = self.spans.load();
        let [day, week, month, quarter, _] = **spans;
        let known = match period {
            Period::Day => day,
            Period::Week => week,
            Period::Month => month,
            Period::Quarter => quarter,
            Period::Lifetime => return Span::LIFETIME,
        };
        if known != Span::LIFETIME && known.holds(now) {
            return known;
        }
        let zone = &self.tenant.zone;
        let all = [Period::Day, Period::Week, Period::Month, Period::Quarter, Period::Lifetime];
        self.spans.store(Arc::new(all.map(|period| period.around(now, zone))));
        period.around(now, zone)
    }
}

fn target(deployment: &Deployment) -> Result<Target, BadTarget> {
    let provider = &deployment.provider;
    let uri = |path: &str| {
        format!("{}{path}", provider.base_url).parse::<Uri>().map_err(|_| BadTarget::Uri)
    };
    let authorization = provider.credential.as_ref().map(authorization).transpose()?;
    Ok(Target { chat: uri("/chat/completions")?, embeddings: uri("/embeddings")?, authorization })
}

fn authorization(credential: &SecretRef) -> Result<HeaderValue, BadTarget> {
    let secret = match credential {
        SecretRef::Env(name) => {
            config::environment(name).ok_or_else(|| BadTarget::NoVariable(name.clone()))?
        }
        SecretRef::File(path) => fs::read_to_string(path).map_err(BadTarget::NoFile)?,
    };
    let secret = secret.trim();
    if secret.is_empty() {
        return Err(BadTarget::Credential);
    }
    let mut value =
        HeaderValue::from_str(&format!("Bearer {secret}")).map_err(|_| BadTarget::Credential)?;
    value.set_sensitive(true);
    Ok(value)
}
