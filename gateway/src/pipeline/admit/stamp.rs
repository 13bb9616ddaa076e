//! What an attempt's usage record will say, fixed before it is sent.

use crate::{
    pipeline::{classify::Ask, resolve::Scope, route::Routed},
    purse::{Hold, Purse},
};
use policies::{
    tier::Step,
    usage::{Leg, Stamp},
};

#[expect(clippy::too_many_arguments, reason = "a stamp is the sum of all that is known")]
pub(in crate::pipeline) fn stamp(
    purse: &Purse,
    scope: &Scope,
    ask: &Ask,
    routed: &Routed,
    step: &Step,
    hold: &Hold,
    leg: Leg,
    attempt: u32,
) -> Stamp {
    let (tenant, grant, marks) = (&scope.live().tenant, scope.grant(), ask.marks());
    let queued = ask.arrived().elapsed().as_millis();
    Stamp {
        org: tenant.org,
        request: ask.request(),
        attempt,
        logical_request: ask.request(),
        leg,
        unit_path: grant.unit_path.clone(),
        project: grant.project,
        cost_centre: grant.cost_centre.clone(),
        tags: marks.tags.clone(),
        principal: grant.principal,
        acted_for: scope.acted_for(),
        key: grant.key,
        end_user_hash: marks.end_user_hash.clone(),
        session_hash: marks.session_hash.clone(),
        task_hash: marks.task_hash.clone(),
        request_class: marks.request_class.clone(),
        client_request_id: marks.client_request_id.clone(),
        surface: ask.surface(),
        stream: ask.stream(),
        model: ask.model().to_owned(),
        tier: routed.plan().tier.as_ref().map(|tier| tier.name.clone()),
        deployment: step.deployment.id,
        upstream_model: step.deployment.model.clone(),
        price: step.price,
        revision: tenant.revision,
        boot: hold.boot(),
        chain: hold.pots().to_vec(),
        hold: hold.amount(),
        admitted_at: purse.now(),
        queue_millis: i64::try_from(queued).unwrap_or(i64::MAX),
    }
}
