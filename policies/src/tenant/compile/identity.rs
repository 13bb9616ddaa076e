//! Issuers of tokens: what requests ask of them, and mistakes in whom they are taken to be.

use super::Reading;
use crate::{
    document::{Document, Kind, SecretRef},
    egress,
    ids::{IdentityProviderId, ProjectId, ServiceAccountId, WorkloadIdentityId},
    tenant::{Issuer, Workload},
};
use std::{collections::HashSet, sync::Arc};

/// Signature algorithms that a token may have: asymmetric ones only (RFC 7518, RFC 8037).
const ALGORITHMS: [&str; 9] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];
/// Claims that tell no machine from others of its issuer (RFC 7519, section 4.1).
const SAYS_NOTHING: [&str; 6] = ["iss", "aud", "exp", "nbf", "iat", "jti"];
/// Issuers of one org, at most, people's and machines' together.
const ISSUERS_MAX: usize = 64;
/// Seconds by which a clock may differ, at most.
const SKEW_SECS_MAX: u32 = 300;
/// Minutes for which a machine's credential is good, at most.
const WORKLOAD_MINUTES_MAX: u32 = 720;

impl Reading<'_> {
    pub(super) fn issuers(&self) -> Vec<Arc<Issuer>> {
        let issuers = self.objects.iter().filter_map(|object| {
            let Document::IdentityProvider(it) = &object.document else { return None };
            let id = IdentityProviderId::from_bytes(object.id);
            it.active.then(|| Arc::new(Issuer { id, settings: it.clone() }))
        });
        issuers.collect()
    }

    pub(super) fn workloads(&self) -> Vec<Arc<Workload>> {
        let workloads = self.objects.iter().filter_map(|object| {
            let Document::WorkloadIdentity(it) = &object.document else { return None };
            let account = self.id(Kind::ServiceAccount, &it.service_account);
            it.active.then(|| {
                Arc::new(Workload {
                    id: WorkloadIdentityId::from_bytes(object.id),
                    settings: it.clone(),
                    account: ServiceAccountId::from_bytes(account),
                    project: ProjectId::from_bytes(self.id(Kind::Project, &it.project)),
                })
            })
        });
        workloads.collect()
    }

    pub(super) fn check_identity(&mut self) {
        self.check_few_issuers();
        let mut issuers = HashSet::new();
        for object in self.objects {
            let at = &object.document;
            if let Document::Provider(it) = at {
                self.check_secret(at, "credential", it.credential.as_ref());
            } else if let Document::IdentityProvider(it) = at {
                self.check_secret(at, "client_secret", it.client_secret.as_ref());
                self.check_issuer(at, &it.issuer, it.jwks_uri.as_deref());
                self.check_algorithms(at, &it.algorithms);
                if SKEW_SECS_MAX < it.skew_secs {
                    self.mistake(at, "skew_secs", format!("must be 0 to {SKEW_SECS_MAX}"));
                }
                if !issuers.insert(it.issuer.as_str()) {
                    self.mistake(at, "issuer", "another identity provider has the same issuer");
                }
                let no_client = it.client_id.is_none();
                if no_client && it.sign_in {
                    self.mistake(at, "client_id", "is needed for signing in (or `sign_in: false`)");
                }
                if no_client && it.audiences.is_empty() && it.call_models {
                    self.mistake(at, "audiences", "must name what tokens for us are made out to");
                }
            } else if let Document::WorkloadIdentity(it) = at {
                self.check_issuer(at, &it.issuer, it.jwks_uri.as_deref());
                self.check_algorithms(at, &it.algorithms);
                if it.claims.is_empty() {
                    let message = "must name what tells the machine from others of its issuer";
                    self.mistake(at, "claims", message);
                }
                if !it.claims.is_empty() && it.claims.keys().all(|it| SAYS_NOTHING.contains(&&**it))
                {
                    let message = "must name more than every token of its issuer has";
                    self.mistake(at, "claims", message);
                }
                if it.claims.values().any(|value| value.is_empty() || value == "*") {
                    self.mistake(at, "claims", "a value must not stand for everything");
                }
                if it.audience.is_empty() {
                    self.mistake(at, "audience", "must not be empty");
                }
                if !(1..=WORKLOAD_MINUTES_MAX).contains(&it.minutes) {
                    self.mistake(at, "minutes", format!("must be 1 to {WORKLOAD_MINUTES_MAX}"));
                }
            }
        }
    }

    /// The keys of each are fetched and kept.
    fn check_few_issuers(&mut self) {
        let mut known = HashSet::new();
        for object in self.objects {
            let at = &object.document;
            let source = if let Document::IdentityProvider(it) = at {
                (&it.issuer, &it.jwks_uri)
            } else if let Document::WorkloadIdentity(it) = at {
                (&it.issuer, &it.jwks_uri)
            } else {
                continue;
            };
            if known.insert(source) && ISSUERS_MAX < known.len() {
                self.mistake(at, "issuer", format!("an org has at most {ISSUERS_MAX} issuers"));
                return;
            }
        }
    }

    fn check_secret(&mut self, at: &Document, field: &str, secret: Option<&SecretRef>) {
        // `true` without a value is not set yet: whoever needs it is refused until it is.
        if let Some(SecretRef::Stored(false)) = secret {
            self.mistake(at, field, "`stored` must be `true`");
        }
    }

    fn check_issuer(&mut self, at: &Document, issuer: &str, jwks_uri: Option<&str>) {
        for (field, url) in [("issuer", Some(issuer)), ("jwks_uri", jwks_uri)] {
            let Some(url) = url else { continue };
            if let Err(message) = egress::check_base_url(url) {
                self.mistake(at, field, message);
            }
            if url.starts_with("http://") && !egress::is_loopback_url(url) {
                self.mistake(at, field, "must begin with https://, unless it is on this machine");
            }
        }
    }

    fn check_algorithms(&mut self, at: &Document, algorithms: &[String]) {
        if algorithms.is_empty() {
            self.mistake(at, "algorithms", "must not be empty");
        }
        for algorithm in algorithms {
            if !ALGORITHMS.contains(&algorithm.as_str()) {
                let known = ALGORITHMS.join(", ");
                let message = format!("`{algorithm}` is not accepted; there are: {known}");
                self.mistake(at, "algorithms", message);
            }
        }
    }
}
