//! All that binds one org's requests, compiled from its documents: immutable, at one revision.

mod compile;

pub use self::compile::compile;

use crate::{
    authority,
    data::{Clearance, Level, Rules},
    document::{Dialect, Identity, IdentityProvider, SecretRef, Terms, WorkloadIdentity},
    ids::{
        BudgetId, DeploymentId, IdentityProviderId, KeyId, LimitId, OrgId, PriceId, ProjectId,
        ProviderId, Revision, ServiceAccountId, UnitId, UserId, WorkloadIdentityId,
    },
    money::{NanoUsd, Rates},
    permission::Permissions,
    refusal::Place,
    time::{Period, Timestamp},
    usage::Principal,
};
use ipnet::IpNet;
use jiff::tz::TimeZone;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

#[derive(Debug)]
pub struct Tenant {
    pub org: OrgId,
    pub name: String,
    pub revision: Revision,
    pub zone: TimeZone,
    /// Whom a refused caller should ask.
    pub support: Option<String>,
    pub grants: HashMap<KeyId, Arc<Grant>>,
    /// SHA-256 of each key's secret.
    pub key_hashes: Vec<([u8; 32], KeyId)>,
    /// Secrets that were rotated away, and until when they are still good.
    pub retired: HashMap<[u8; 32], Timestamp>,
    /// The grant of somebody who comes without a key, by person or machine and project.
    pub access: BTreeMap<(Principal, ProjectId), KeyId>,
    pub people: HashMap<UserId, Person>,
    pub machines: HashMap<ServiceAccountId, Machine>,
    /// Issuers whose tokens mean people of the org.
    pub issuers: Vec<Arc<Issuer>>,
    /// Issuers whose tokens mean machines of the org.
    pub workloads: Vec<Arc<Workload>>,
    /// Networks from which the org's credentials may be used; empty: all.
    pub sources: Vec<IpNet>,
    /// False: nobody may use anything of the org.
    pub active: bool,
    /// Hours for which a credential that a person fetches is good.
    pub credential_hours: u32,
    /// What holds for each end user by itself, and in place of it for one of this name.
    pub end_users: Vec<Arc<LimitRule>>,
    pub end_user: HashMap<String, Vec<Arc<LimitRule>>>,
    pub models: BTreeMap<String, Arc<Model>>,
    pub deployments: HashMap<DeploymentId, Arc<Deployment>>,
    /// Names of what ids stand for, for tables that people read.
    pub names: HashMap<[u8; 16], String>,
}

/// A user, as far as requests ask.
#[derive(Clone, Debug)]
pub struct Person {
    pub name: String,
    pub email: Option<String>,
    pub active: bool,
    pub identities: Vec<Identity>,
    /// Credentials that were fetched before this moment are refused.
    pub credentials_from: Option<Timestamp>,
}

/// A service account, as far as requests ask.
#[derive(Clone, Debug)]
pub struct Machine {
    pub name: String,
    pub active: bool,
    pub act_for: Option<ActForRule>,
}

/// How a service says for whom it acts.
#[derive(Clone, Debug)]
pub struct ActForRule {
    /// Public keys (PEM) of its assertions.
    pub keys: Vec<String>,
    /// The bare header is believed, from `sources` only.
    pub header: bool,
    pub sources: Vec<IpNet>,
}

/// An OpenID provider of people.
#[derive(Clone, Debug)]
pub struct Issuer {
    pub id: IdentityProviderId,
    pub settings: IdentityProvider,
}

/// An OpenID provider of machines, with what its tokens must say.
#[derive(Clone, Debug)]
pub struct Workload {
    pub id: WorkloadIdentityId,
    pub settings: WorkloadIdentity,
    pub account: ServiceAccountId,
    pub project: ProjectId,
}

/// What one key stands for: who, where, under which rules. Everything on its chain is joined
/// here once, so that a request looks up one thing.
#[derive(Debug)]
pub struct Grant {
    pub key: KeyId,
    pub name: String,
    pub active: bool,
    pub expires: Option<Timestamp>,
    pub principal: Principal,
    pub project: ProjectId,
    /// From the top of the tree down to the project's own unit.
    pub unit_path: Vec<UnitId>,
    pub cost_centre: Option<String>,
    /// Tag keys that requests may set.
    pub tags: Vec<String>,
    pub floor: Level,
    pub rules: Arc<Rules>,
    /// None: every model of the org.
    pub models: Option<BTreeSet<String>>,
    /// What it may be used for on the data plane.
    pub scopes: Permissions,
    /// Paths that it may call; none: all.
    pub routes: Option<BTreeSet<String>>,
    /// Networks from which it may be used; each list must hold the caller, an empty one holds all.
    pub sources: [Vec<IpNet>; 2],
    /// Org first, key last.
    pub budgets: Vec<Arc<BudgetRule>>,
    pub limits: Vec<Arc<LimitRule>>,
}

/// Why a known key may not be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    Inactive,
    Expired,
}

impl Grant {
    pub fn check(&self, now: Timestamp) -> Result<(), Unusable> {
        if !self.active {
            return Err(Unusable::Inactive);
        }
        match self.expires {
            Some(expires) if expires <= now => Err(Unusable::Expired),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether it may be used from `address`.
    pub fn may_come_from(&self, address: IpAddr) -> bool {
        self.sources.iter().all(|networks| authority::comes_from(networks, address))
    }

    pub fn may_call(&self, path: &str) -> bool {
        self.routes.as_ref().is_none_or(|routes| routes.contains(path))
    }

    pub fn may_use(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.contains(model))
    }
}

#[derive(Clone, Debug)]
pub struct BudgetRule {
    pub id: BudgetId,
    pub place: Place,
    pub period: Period,
    pub limit: NanoUsd,
}

#[derive(Clone, Debug)]
pub struct LimitRule {
    pub id: LimitId,
    pub place: Place,
    pub requests_per_minute: Option<i64>,
    pub requests_per_day: Option<i64>,
    pub tokens_per_minute: Option<i64>,
    pub tokens_per_day: Option<i64>,
    pub concurrent_requests: Option<i64>,
}

#[derive(Debug)]
pub struct Provider {
    pub id: ProviderId,
    pub name: String,
    pub dialect: Dialect,
    /// Without a slash at its end.
    pub base_url: String,
    pub credential: Option<SecretRef>,
    pub region: Option<String>,
    pub terms: Terms,
    /// No private address is connected to.
    pub public_only: bool,
}

#[derive(Debug)]
pub struct Deployment {
    pub id: DeploymentId,
    pub name: String,
    pub provider: Arc<Provider>,
    /// The provider's name of the model.
    pub model: String,
    pub clearance: Clearance,
    pub max_output_tokens: i64,
    pub output_bound_parameter: String,
    pub free: bool,
    /// By the moment from which they hold, oldest first.
    pub prices: Vec<PriceRow>,
    pub limits: Vec<Arc<LimitRule>>,
}

#[derive(Clone, Copy, Debug)]
pub struct PriceRow {
    pub id: PriceId,
    pub from: Timestamp,
    pub rates: Rates,
}

impl Deployment {
    /// What it costs at `now`, and by which price row; none before its first row.
    pub fn rates_at(&self, now: Timestamp) -> Option<(Option<PriceId>, Rates)> {
        if self.free {
            return Some((None, Rates::FREE));
        }
        let row = self.prices.iter().rev().find(|row| row.from <= now)?;
        Some((Some(row.id), row.rates))
    }
}

/// A name that callers use, and what may answer for it.
#[derive(Debug)]
pub struct Model {
    pub name: String,
    pub tier: Option<TierRef>,
    pub candidates: Vec<Candidate>,
}

#[derive(Clone, Debug)]
pub struct TierRef {
    pub name: String,
    pub rank: u32,
    pub limits: Vec<Arc<LimitRule>>,
}

#[derive(Clone, Debug)]
pub struct Candidate {
    pub deployment: Arc<Deployment>,
    pub priority: u32,
    pub weight: u32,
}
