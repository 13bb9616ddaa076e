//! Stage 5: whether it may be paid for. All limits and the worst cost are taken, or nothing is.

mod headers;
mod stamp;
mod worst;

use self::headers::headers;
pub(super) use self::{stamp::stamp, worst::Worst};

use super::{Promise, classify::Ask, resolve::Scope, route::Routed};
use crate::{
    app::App,
    bill::{Bill, Desk, Kept, Opened},
    journal::{Entry, Intent},
    purse::{Counted, Gauges, Hold, Patience, Seat, Want},
};
use http::HeaderMap;
use policies::{budget::Pot, refusal::Refusal, tier::Step, usage::Leg};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

const RETRY_MILLIS: i64 = 1_000;

/// A request whose worst cost has been set aside, with its intent committed.
pub struct Admitted {
    pub(super) bill: Bill,
    /// The place in the plan of the deployment that it was admitted for.
    pub(super) step: usize,
    pub(super) worst: Worst,
    pub(super) headers: HeaderMap,
}

/// What a take brought, for one step of the plan.
struct SetAside {
    step: usize,
    worst: Worst,
    seat: Seat,
    hold: Hold,
    gauges: Gauges,
}

pub async fn admit(
    app: &App,
    scope: &Scope,
    ask: &Arc<Ask>,
    routed: &Routed,
    promise: &OnceLock<Promise>,
) -> Result<Admitted, Refusal> {
    let unavailable = Refusal::Unavailable { retry_millis: RETRY_MILLIS };
    let place = app.journal.place().ok_or_else(|| unavailable.clone())?;
    let taken = match set_aside(app, scope, ask, routed).await {
        Ok(taken) => taken,
        Err(refusal) => {
            let (decision, place) = (Some(routed.refused(&refusal)), Some(place));
            let written = app.journal.write(Entry { decision, place, ..Entry::default() }).await;
            return Err(if written.is_ok() { refusal } else { unavailable });
        }
    };
    let SetAside { step: at, worst, seat, hold, gauges } = taken;
    let step = routed.plan().steps().nth(at).unwrap_or(routed.plan().first());
    let decision = routed.admitted(step);
    let headers = headers(ask, routed, &decision, &worst, gauges);
    if ask.stream() {
        // Set once: there is one admission in the life of a request.
        let _ = promise.set(Promise { headers: headers.clone() });
    }
    let stamp = Arc::new(stamp(&app.purse, scope, ask, routed, step, &hold, Leg::Primary, 1));
    let intent = Some(Intent { stamp: Arc::clone(&stamp) });
    let entry = Entry { decision: Some(decision), intent, ..Entry::default() };
    let kept = Kept { seats: vec![seat], place };
    let desk = Desk { journal: Arc::clone(&app.journal), counter: app.counter.clone() };
    let tokens_possible = worst.tokens_possible;
    let opened = Opened { stamp, rates: step.rates, tokens_possible, hold, kept };
    let bill = Bill::open(desk, Arc::clone(ask), opened);
    // If this is dropped or refused, nothing was sent: the bill gives everything back.
    app.journal.write(entry).await.map_err(|_unwritten| unavailable)?;
    Ok(Admitted { bill, step: at, worst, headers })
}

/// Takes for the first deployment of the plan whose hold fits. Only when none fits, and money may
/// come back, the cheapest of them waits for it.
async fn set_aside(
    app: &App,
    scope: &Scope,
    ask: &Ask,
    routed: &Routed,
) -> Result<SetAside, Refusal> {
    let (mut first, mut held): (Option<Refusal>, Option<(usize, Worst)>) = (None, None);
    for (at, step) in routed.plan().steps().enumerate() {
        let refusal = match Worst::of(step, ask, scope.grant()) {
            Ok(worst) => {
                let who = (scope, ask);
                match take(app, who, routed, (at, step), worst, Patience(Duration::ZERO)).await {
                    Ok(taken) => return Ok(taken),
                    Err(refusal) => {
                        let cheaper = held.is_none_or(|(_, other)| worst.amount < other.amount);
                        if may_come_back(&refusal) && cheaper {
                            held = Some((at, worst));
                        }
                        refusal
                    }
                }
            }
            Err(refusal) => refusal,
        };
        if !concerns_candidate(&refusal) {
            return Err(refusal);
        }
        first.get_or_insert(refusal);
    }
    let waiting = held.and_then(|(at, worst)| Some((at, routed.plan().steps().nth(at)?, worst)));
    match waiting {
        Some((at, step, worst)) => {
            take(app, (scope, ask), routed, (at, step), worst, app.patience).await
        }
        None => Err(first.unwrap_or(Refusal::Capacity { retry_millis: RETRY_MILLIS })),
    }
}

async fn take(
    app: &App,
    (scope, ask): (&Scope, &Ask),
    routed: &Routed,
    (at, step): (usize, &Step),
    worst: Worst,
    patience: Patience,
) -> Result<SetAside, Refusal> {
    let grant = scope.grant();
    let of_tier = routed.plan().tier.iter().flat_map(|tier| &tier.limits);
    let shared = grant.limits.iter().chain(of_tier).chain(&step.deployment.limits).map(shared);
    let own = ask.marks().end_user.iter().flat_map(|who| who.limits());
    let limits = shared.chain(own).collect();
    let want = want(app, scope, limits, worst);
    let (seat, hold, gauges) = app.purse.take(&scope.live().tenant.org, &want, patience).await?;
    Ok(SetAside { step: at, worst, seat, hold, gauges })
}

/// What a further attempt takes: its own money, and the limits of its deployment only.
pub(super) async fn take_again(
    app: &App,
    scope: &Scope,
    step: &Step,
    worst: Worst,
) -> Result<(Seat, Hold, Gauges), Refusal> {
    let limits = step.deployment.limits.iter().map(shared).collect();
    let want = want(app, scope, limits, worst);
    app.purse.take(&scope.live().tenant.org, &want, Patience(Duration::ZERO)).await
}

fn shared(rule: &Arc<policies::tenant::LimitRule>) -> Counted<'_> {
    Counted { rule, end_user: None }
}

fn want<'a>(app: &App, scope: &'a Scope, limits: Vec<Counted<'a>>, worst: Worst) -> Want<'a> {
    let now = app.purse.now();
    let pot = |rule: &policies::tenant::BudgetRule| Pot {
        budget: rule.id,
        span: scope.live().span(rule.period, now),
    };
    let budgets = scope.grant().budgets.iter().map(|rule| (rule, pot(rule))).collect();
    Want { limits, budgets, amount: worst.amount, tokens: worst.tokens_likely }
}

fn may_come_back(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::BudgetHeld { .. } | Refusal::BudgetUnsettled { .. })
}

/// True: another deployment of the plan may fit where this one did not.
fn concerns_candidate(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::BudgetExhausted { .. }
        | Refusal::BudgetHeld { .. }
        | Refusal::BudgetUnsettled { .. }
        | Refusal::UnboundedCost { .. } => true,
        Refusal::RateLimited { place, .. }
        | Refusal::TokensLimited { place, .. }
        | Refusal::ConcurrencyLimited { place } => place.level == "the deployment",
        Refusal::Unauthenticated
        | Refusal::AdminKey
        | Refusal::AmbiguousCredentials
        | Refusal::PermissionDenied { .. }
        | Refusal::ModelNotFound { .. }
        | Refusal::Malformed { .. }
        | Refusal::UnsupportedParameter { .. }
        | Refusal::BodyTooLarge { .. }
        | Refusal::PolicyDenied { .. }
        | Refusal::ApprovalRequired { .. }
        | Refusal::Capacity { .. }
        | Refusal::NotSetUp { .. }
        | Refusal::UpstreamFailed
        | Refusal::UpstreamTimeout
        | Refusal::UpstreamTruncated
        | Refusal::Unavailable { .. } => false,
    }
}
