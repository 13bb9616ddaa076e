//! A tenant with what the data plane adds to it: targets with credentials, periods of now.

use crate::config;
use arc_swap::ArcSwap;
use http::{HeaderValue, Uri};
use policies::{
    document::SecretRef,
    egress,
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
    /// Settings are checked before; this holds if ever they come another way.
    #[error("its base URL may not be connected to: {0}")]
    Forbidden(String),
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
    egress::check_base_url(&provider.base_url).map_err(BadTarget::Forbidden)?;
    let authorization = provider.credential.as_ref().map(authorization).transpose()?;
    Ok(Target {
        chat: uri(&provider.base_url, "/chat/completions")?,
        embeddings: uri(&provider.base_url, "/embeddings")?,
        authorization,
    })
}

/// An address that is written out is asked of no resolver: the host is checked as it was parsed,
/// which is how it will be connected to.
fn uri(base_url: &str, path: &str) -> Result<Uri, BadTarget> {
    let uri: Uri = format!("{base_url}{path}").parse().map_err(|_| BadTarget::Uri)?;
    egress::check_host(uri.host().ok_or(BadTarget::Uri)?).map_err(BadTarget::Forbidden)?;
    Ok(uri)
}

fn authorization(credential: &SecretRef) -> Result<HeaderValue, BadTarget> {
    let secret = match credential {
        SecretRef::Env(name) => {
            config::environment(name).ok_or_else(|| BadTarget::NoVariable(name.clone()))?
        }
        SecretRef::File(path) => fs::read_to_string(path).map_err(BadTarget::NoFile)?,
        SecretRef::Stored(_) | SecretRef::Sealed(_) => return Err(BadTarget::Credential),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_target_is_built_for_an_address_that_is_never_connected_to() {
        for base_url in ["http://169.254.169.254", "http://[fe80::1]/v1", "http://0x7f.1/v1"] {
            let refused = uri(base_url, "/chat/completions");
            assert!(matches!(refused, Err(BadTarget::Forbidden(_))), "{base_url}");
        }
        assert!(uri("http://127.0.0.1:9/v1", "/embeddings").is_ok());
        assert!(uri("http://[::1]:9/v1", "/embeddings").is_ok());
    }
}
