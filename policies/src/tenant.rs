//! All that binds one org's requests, compiled from its documents: immutable, at one revision.

mod compile;

pub use self::compile::compile;

use crate::{
    data::{Clearance, Level, Rules},
    document::{Dialect, SecretRef, Terms},
    ids::{
        BudgetId, DeploymentId, KeyId, LimitId, OrgId, PriceId, ProjectId, ProviderId, Revision,
        UnitId,
    },
    money::{NanoUsd, Rates},
    refusal::Place,
    time::{Period, Timestamp},
    usage::Principal,
};
use jiff::tz::TimeZone;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
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
    pub models: BTreeMap<String, Arc<Model>>,
    pub deployments: HashMap<DeploymentId, Arc<Deployment>>,
    /// Names of what ids stand for, for tables that people read.
    pub names: HashMap<[u8; 16], String>,
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
    pub rules: Rules,
    /// None: every model of the org.
    pub models: Option<BTreeSet<String>>,
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
