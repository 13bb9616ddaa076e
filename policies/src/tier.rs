//! From a model's name to the deployments to try, best first.
//!
//! Routing is pure: rights, data and health are facts that come in; chance is an argument.

use crate::{
    data::{Flow, Label, Passage, Rules, passage},
    ids::{DeploymentId, PriceId},
    money::Rates,
    tenant::{Candidate, Deployment, Model, TierRef},
    time::Timestamp,
};
use std::{collections::BTreeSet, sync::Arc};

/// One deployment to try, and what must be masked before it may see the request.
#[derive(Clone, Debug)]
pub struct Step {
    pub deployment: Arc<Deployment>,
    pub masked: BTreeSet<Label>,
    pub rates: Rates,
    pub price: Option<PriceId>,
}

/// The deployments to try, best first. Never empty.
#[derive(Clone, Debug)]
pub struct Plan {
    first: Step,
    rest: Vec<Step>,
    pub tier: Option<TierRef>,
}

impl Plan {
    pub fn first(&self) -> &Step {
        &self.first
    }

    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        std::iter::once(&self.first).chain(&self.rest)
    }
}

/// Why a candidate is, or is not, in the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    Admissible,
    AfterMasking,
    Data(Passage),
    /// It has no price yet.
    Unpriced,
    /// Its breaker is open: it failed too often just now.
    Unhealthy,
    /// Its credential is not to be had here, or its address may not be used.
    NotSetUp,
}

impl Reason {
    pub fn text(&self) -> String {
        match self {
            Self::Admissible | Self::Data(Passage::AsIs) => "admissible".to_owned(),
            Self::AfterMasking | Self::Data(Passage::Masked(_)) => {
                "admissible after masking".to_owned()
            }
            Self::Data(Passage::AboveClearance(level)) => {
                format!("not cleared for {level} data")
            }
            Self::Data(Passage::LabelNotCleared(label)) => {
                format!("not cleared for `{label}`")
            }
            Self::Data(Passage::Denied(label)) => format!("`{label}` may go nowhere"),
            Self::Unpriced => "has no price".to_owned(),
            Self::Unhealthy => "failing at the moment".to_owned(),
            Self::NotSetUp => "not set up: its provider's credential is not there".to_owned(),
        }
    }
}

/// What was considered, and the plan if there is one.
#[derive(Debug)]
pub struct Routing {
    pub candidates: Vec<(DeploymentId, Reason)>,
    pub plan: Option<Plan>,
}

/// The facts that a route is found from.
pub struct Facts<'a> {
    pub flow: &'a Flow,
    pub rules: &'a Rules,
    pub now: Timestamp,
    /// Whether a deployment can be called at all.
    pub set_up: &'a dyn Fn(&DeploymentId) -> bool,
    /// Whether a deployment may be tried.
    pub healthy: &'a dyn Fn(&DeploymentId) -> bool,
    /// Any number, anew for each request: weights are drawn from it.
    pub chance: u64,
}

/// The first admissible pair of transformation and deployment wins: what needs no masking goes
/// before what does, then lower priority numbers, then a draw by weight. Unhealthy deployments
/// are kept as the last resort, so that a closed door is still tried when no other is open.
pub fn route(model: &Model, facts: &Facts<'_>) -> Routing {
    let mut candidates = Vec::with_capacity(model.candidates.len());
    let mut steps: Vec<(bool, bool, u32, u64, Step)> = Vec::new();
    for (place, candidate) in model.candidates.iter().enumerate() {
        let deployment = &candidate.deployment;
        let (reason, masked) = judge(candidate, facts);
        let healthy = (facts.healthy)(&deployment.id);
        let shown = if healthy || masked.is_none() { reason } else { Reason::Unhealthy };
        if let (Some(masked), Some((price, rates))) = (masked, deployment.rates_at(facts.now)) {
            let step = Step { deployment: Arc::clone(deployment), masked, rates, price };
            let draw = draw(facts.chance, place, candidate.weight);
            steps.push((!healthy, !step.masked.is_empty(), candidate.priority, draw, step));
        }
        candidates.push((deployment.id, shown));
    }
    steps.sort_by_key(|(unhealthy, masked, priority, draw, _)| {
        (*unhealthy, *masked, *priority, *draw)
    });
    let mut steps = steps.into_iter().map(|(.., step)| step);
    let tier = model.tier.clone();
    let plan = steps.next().map(|first| Plan { first, rest: steps.collect(), tier });
    Routing { candidates, plan }
}

fn judge(candidate: &Candidate, facts: &Facts<'_>) -> (Reason, Option<BTreeSet<Label>>) {
    if candidate.deployment.rates_at(facts.now).is_none() {
        return (Reason::Unpriced, None);
    }
    let set_up = (facts.set_up)(&candidate.deployment.id);
    match passage(facts.flow, facts.rules, &candidate.deployment.clearance) {
        Passage::AsIs | Passage::Masked(_) if !set_up => (Reason::NotSetUp, None),
        Passage::AsIs => (Reason::Admissible, Some(BTreeSet::new())),
        Passage::Masked(labels) => (Reason::AfterMasking, Some(labels)),
        refused @ (Passage::AboveClearance(_)
        | Passage::LabelNotCleared(_)
        | Passage::Denied(_)) => (Reason::Data(refused), None),
    }
}

/// A number that is small with a chance in proportion to `weight`: the smallest of `weight`
/// throws. (Efraimidis and Spirakis, 2006: the order of such keys is a weighted draw.)
fn draw(chance: u64, place: usize, weight: u32) -> u64 {
    let mut state = chance ^ (place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let throws = (0..weight.clamp(1, 1000)).map(|_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        // SplitMix64 (Steele, Lea and Flood, 2014).
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    });
    throws.min().unwrap_or(u64::MAX)
}
