//! Stage 4: where it may go. Every request that reaches this stage leaves a decision row.

use super::{classify::Ask, resolve::Scope};
use crate::{
    health::Health,
    journal::{Entry, Journal},
};
use policies::{
    data::{Label, Passage},
    ids::{DeploymentId, RequestId},
    refusal::Refusal,
    tenant::Model,
    tier::{self, Facts, Plan, Reason, Routing, Step},
    time::Timestamp,
    usage::{Decision, Verdict},
};
use std::sync::Arc;

/// A request with the deployments that may answer it, best first.
pub struct Routed {
    plan: Plan,
    /// INVARIANT: allowed, with nothing masked.
    decision: Arc<Decision>,
}

impl Routed {
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The row to be journaled with the intent, for the deployment that it was admitted for.
    pub fn admitted(&self, step: &Step) -> Arc<Decision> {
        if step.masked.is_empty() {
            return Arc::clone(&self.decision);
        }
        let masked: Vec<Label> = step.masked.iter().cloned().collect();
        Arc::new(Decision { verdict: Verdict::Masked, masked, ..(*self.decision).clone() })
    }

    /// The same decision, when a later stage refuses after all.
    pub fn refused(&self, refusal: &Refusal) -> Arc<Decision> {
        let refusal = Some(refusal.code().to_owned());
        Arc::new(Decision { verdict: Verdict::Refused, refusal, ..(*self.decision).clone() })
    }
}

pub async fn route(
    health: &Health,
    journal: &Journal,
    scope: &Scope,
    ask: &Ask,
    now: Timestamp,
) -> Result<Routed, Refusal> {
    let mut decision = blank(scope, ask, now);
    let found = find(health, scope, ask, now);
    decision.candidates = found.candidates;
    let refusal = match found.plan {
        Ok(plan) => return Ok(Routed { plan, decision: Arc::new(decision) }),
        Err(refusal) => refusal,
    };
    decision.verdict = Verdict::Refused;
    decision.refusal = Some(refusal.code().to_owned());
    let unavailable = Refusal::Unavailable { retry_millis: 1_000 };
    let Some(place) = journal.refusal_place() else { return Err(unavailable) };
    let decision = Some(Arc::new(decision));
    let entry = Entry { decision, place: Some(place), ..Entry::default() };
    let written = journal.write(entry).await;
    Err(if written.is_ok() { refusal } else { unavailable })
}

/// What was considered, and what came of it.
struct Found {
    candidates: Vec<(DeploymentId, String)>,
    plan: Result<Plan, Refusal>,
}

fn find(health: &Health, scope: &Scope, ask: &Ask, now: Timestamp) -> Found {
    let model = ask.model();
    let known = scope.live().tenant.models.get(model).filter(|_| scope.grant().may_use(model));
    let not_found = Refusal::ModelNotFound { model: model.chars().take(128).collect() };
    let Some(known) = known else {
        return Found { candidates: Vec::new(), plan: Err(not_found) };
    };
    let facts = Facts {
        flow: ask.flow(),
        rules: &scope.grant().rules,
        now,
        set_up: &|deployment| scope.live().target(deployment).is_some(),
        healthy: &|deployment| health.allows(deployment),
        chance: chance(&ask.request()),
    };
    let Routing { candidates, plan } = tier::route(known, &facts);
    let plan = plan.ok_or_else(|| {
        if candidates.is_empty() {
            not_found
        } else {
            denial(scope, ask, known, &candidates, &facts)
        }
    });
    for (id, _) in candidates.iter().filter(|(_, reason)| *reason == Reason::NotSetUp) {
        let found = scope.live().tenant.deployments.get(id);
        let provider = found.map_or("", |it| it.provider.name.as_str());
        let deployment = scope.live().name(id.as_bytes());
        tracing::warn!(request = %ask.request(), provider, deployment,
            "a deployment is left out: its provider's credential is not there");
    }
    let told = candidates.iter().map(|(id, reason)| (*id, reason.text()));
    Found { candidates: told.collect(), plan }
}

/// The random part of a request's id, which is ours and was drawn for it alone.
fn chance(request: &RequestId) -> u64 {
    request.as_bytes().last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// What is refused, why, and what to do about it.
fn denial(
    scope: &Scope,
    ask: &Ask,
    model: &Model,
    candidates: &[(DeploymentId, Reason)],
    facts: &Facts<'_>,
) -> Refusal {
    let data = |(_, reason): &(_, Reason)| match reason {
        Reason::Data(passage) => Some(passage.clone()),
        Reason::Admissible
        | Reason::AfterMasking
        | Reason::Unpriced
        | Reason::Unhealthy
        | Reason::NotSetUp => None,
    };
    let name = &model.name;
    if candidates.iter().any(|(_, reason)| *reason == Reason::NotSetUp) {
        return Refusal::NotSetUp { model: name.clone() };
    }
    let Some(passage) = candidates.iter().find_map(data) else {
        let what = format!("no deployment of `{name}` has a price that holds now");
        return Refusal::UnboundedCost { what };
    };
    let what = match passage {
        Passage::Denied(label) => {
            return deny(scope, &format!("the request holds `{label}`, which may go nowhere"), "");
        }
        Passage::LabelNotCleared(label) => {
            format!("the request holds `{label}`, and no deployment of `{name}` is cleared for it")
        }
        Passage::AboveClearance(level) => {
            format!("{level} data may not go to any deployment of `{name}`")
        }
        Passage::AsIs | Passage::Masked(_) => format!("no deployment of `{name}` may answer"),
    };
    let others = scope.live().tenant.models.values().filter(|other| {
        scope.grant().may_use(&other.name) && tier::route(other, facts).plan.is_some()
    });
    let others: Vec<&str> = others.map(|other| other.name.as_str()).take(3).collect();
    let hint = match others.as_slice() {
        [] if ask.flow().caller.is_some() => {
            "; remove the data, or declare a lower level if it is not in there".to_owned()
        }
        [] => "; remove the data from the request".to_owned(),
        others => format!("; models that may receive it: {}", others.join(", ")),
    };
    deny(scope, &what, &hint)
}

fn deny(scope: &Scope, what: &str, hint: &str) -> Refusal {
    let ask = match &scope.live().tenant.support {
        Some(support) => format!("; questions: {support}"),
        None => String::new(),
    };
    Refusal::PolicyDenied { reason: format!("{what}{hint}{ask}") }
}

fn blank(scope: &Scope, ask: &Ask, at: Timestamp) -> Decision {
    let (tenant, grant) = (&scope.live().tenant, scope.grant());
    Decision {
        org: tenant.org,
        request: ask.request(),
        at,
        project: grant.project,
        principal: grant.principal,
        key: grant.key,
        surface: ask.surface(),
        model: ask.model().chars().take(128).collect(),
        verdict: Verdict::Allowed,
        refusal: None,
        flow: ask.flow().clone(),
        candidates: Vec::new(),
        masked: Vec::new(),
        revision: tenant.revision,
    }
}
