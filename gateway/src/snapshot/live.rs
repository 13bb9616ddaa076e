//! A tenant with what the data plane adds to it: targets with credentials, periods of now.

use super::callers::Callers;
use crate::{config, pipeline::resolve::Meets};
use admin::identity::{credential::Basis, jwks::Key};
use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderValue, Uri};
use policies::{
    document::{self, Identity, SecretRef},
    egress,
    ids::{DeploymentId, OrgId, ServiceAccountId, UserId, WorkloadIdentityId},
    tenant::{Deployment, Issuer, Tenant},
    time::{Period, Span, Timestamp},
    usage::Principal,
};
use std::{collections::HashMap, fs, sync::Arc};
use store::seal::{Keeper, SealFault, Secret, column};

pub struct Live {
    pub tenant: Tenant,
    targets: HashMap<DeploymentId, Target>,
    spans: ArcSwap<[Span; 5]>,
    callers: Callers,
    meets: Meets,
}

/// Where a deployment is reached, and with which credential.
#[derive(Clone)]
pub struct Target {
    pub chat: Uri,
    pub embeddings: Uri,
    /// `Bearer ..`, marked as sensitive: it is in no log and no error.
    pub authorization: Option<HeaderValue>,
    /// No private address is connected to.
    pub public_only: bool,
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
    #[error("no value is stored for its credential")]
    NotStored,
    #[error("its sealed credential cannot be opened: {0}")]
    Sealed(#[from] SealFault),
    #[error("its credential is empty, or holds what no header may")]
    Credential,
}

impl Live {
    /// Credentials are read, and opened, here; a deployment whose credential is not to be had is
    /// left out.
    ///
    /// # Errors
    /// What seals is away for the moment: the same tenant may be whole later.
    pub async fn new(tenant: Tenant, keeper: &Keeper) -> Result<Self, SealFault> {
        let mut targets = HashMap::new();
        for deployment in tenant.deployments.values() {
            match target(&tenant.org, deployment, keeper).await {
                Ok(target) => {
                    targets.insert(deployment.id, target);
                }
                Err(BadTarget::Sealed(fault)) if fault.is_passing() => return Err(fault),
                Err(fault) => {
                    tracing::error!(org = tenant.name, provider = deployment.provider.name,
                        deployment = deployment.name, %fault, "a deployment cannot be used");
                }
            }
        }
        let (callers, meets) = (Callers::of(&tenant), Meets::default());
        let spans = ArcSwap::from_pointee([Span::LIFETIME; 5]);
        Ok(Self { tenant, targets, spans, callers, meets })
    }

    /// Whom an issuer means by a subject.
    pub fn user_of(&self, identity: &Identity) -> Option<UserId> {
        self.callers.user_of(identity)
    }

    /// Whether a rule still asks for what it asked for when a credential was given by it.
    pub fn rests_on(&self, rule: &WorkloadIdentityId, basis: Basis) -> bool {
        self.callers.rests_on(rule, basis)
    }

    /// Whether an issuer that is in force still means this person by what a credential rests on.
    pub fn vouches(&self, who: Principal, issuer: &Issuer, basis: Basis) -> bool {
        let Principal::User(user) = who else { return false };
        self.callers.vouches(user, &issuer.settings.issuer, basis)
    }

    /// The one user of this id, name or address.
    pub fn user_called(&self, text: &str) -> Option<UserId> {
        let id = text.parse().ok().filter(|id| self.tenant.people.contains_key(id));
        id.or_else(|| self.callers.user_called(text))
    }

    /// Public keys of the assertions of a service that may act for people.
    pub fn assertion_keys(&self, account: &ServiceAccountId) -> &[Key] {
        self.callers.assertion_keys(account)
    }

    /// Grants of services together with the people for whom they act.
    pub(crate) fn meets(&self) -> &Meets {
        &self.meets
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

async fn target(
    org: &OrgId,
    deployment: &Deployment,
    keeper: &Keeper,
) -> Result<Target, BadTarget> {
    let provider = &deployment.provider;
    egress::check_base_url(&provider.base_url).map_err(BadTarget::Forbidden)?;
    let authorization = match &provider.credential {
        None => None,
        Some(credential) => Some(bearer(&value(org, credential, keeper).await?)?),
    };
    Ok(Target {
        chat: uri(&provider.base_url, "/chat/completions")?,
        embeddings: uri(&provider.base_url, "/embeddings")?,
        authorization,
        public_only: provider.public_only,
    })
}

/// Where a provider lists its models, and the credential for it; none: it is not set up.
pub(crate) async fn trial(
    org: &OrgId,
    provider: &document::Provider,
    keeper: &Keeper,
) -> Option<(Uri, Option<HeaderValue>)> {
    egress::check_base_url(&provider.base_url).ok()?;
    let authorization = match &provider.credential {
        None => None,
        Some(credential) => Some(bearer(&value(org, credential, keeper).await.ok()?).ok()?),
    };
    let base_url = provider.base_url.trim_end_matches('/');
    Some((uri(base_url, "/models").ok()?, authorization))
}

/// An address that is written out is asked of no resolver: the host is checked as it was parsed,
/// which is how it will be connected to.
fn uri(base_url: &str, path: &str) -> Result<Uri, BadTarget> {
    let uri: Uri = format!("{base_url}{path}").parse().map_err(|_| BadTarget::Uri)?;
    egress::check_host(uri.host().ok_or(BadTarget::Uri)?).map_err(BadTarget::Forbidden)?;
    Ok(uri)
}

async fn value(
    org: &OrgId,
    credential: &SecretRef,
    keeper: &Keeper,
) -> Result<Secret<Vec<u8>>, BadTarget> {
    let plain = |text: String| Secret::new(text.into_bytes());
    match credential {
        SecretRef::Env(name) => {
            let found = config::environment(name).map(plain);
            found.ok_or_else(|| BadTarget::NoVariable(name.clone()))
        }
        SecretRef::File(path) => fs::read_to_string(path).map(plain).map_err(BadTarget::NoFile),
        SecretRef::Stored(_) => Err(BadTarget::NotStored),
        SecretRef::Sealed(text) => Ok(keeper.open(org, column::PROVIDER_CREDENTIAL, text).await?),
    }
}

/// The header's value shares its memory with what is sent; it is not overwritten after use.
fn bearer(secret: &Secret<Vec<u8>>) -> Result<HeaderValue, BadTarget> {
    let secret = secret.expose().trim_ascii();
    if secret.is_empty() || !secret.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return Err(BadTarget::Credential);
    }
    let value = Bytes::from([b"Bearer ".as_slice(), secret].concat());
    let mut value = HeaderValue::from_maybe_shared(value).map_err(|_| BadTarget::Credential)?;
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
