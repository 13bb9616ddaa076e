//! Stage 6: the call itself, down the plan until one deployment begins to answer.

mod failure;
mod outgoing;

use self::{failure::Failure, outgoing::body};
use super::{
    admit::{self, Admitted, Worst},
    classify::Ask,
    lookback::Lookback,
    meter::Heard,
    resolve::Scope,
    route::Routed,
};
use crate::{
    app::App,
    bill::{Bill, Desk, Opened},
    journal::{Entry, Intent},
    upstream::{Departure, Sending},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use policies::{refusal::Refusal, tier::Step, usage::Leg};
use std::{sync::Arc, time::Duration};

/// Bytes of an error answer that are read.
const ERROR_BYTES_MAX: usize = 64 * 1024;
/// How long reading an error answer may take.
const ERROR_PATIENCE: Duration = Duration::from_secs(5);

/// An answer that has begun.
pub struct Exchange {
    pub(super) bill: Bill,
    pub(super) worst: Worst,
    pub(super) headers: HeaderMap,
    pub(super) content_type: Option<HeaderValue>,
    pub(super) begun: Begun,
}

pub(super) enum Begun {
    Answer(Incoming),
    /// A stream whose first frame has come.
    Stream(Box<Heard>),
    /// The provider finds fault with the caller's request: its words go to the caller.
    Declined {
        status: StatusCode,
        body: Bytes,
    },
}

pub async fn call(
    app: &App,
    scope: &Scope,
    ask: &Arc<Ask>,
    routed: &Routed,
    admitted: Admitted,
) -> Result<Exchange, Refusal> {
    let Admitted { mut bill, step: first, mut worst, headers } = admitted;
    let mut steps = routed.plan().steps().skip(first);
    let mut step = steps.next().unwrap_or(routed.plan().first());
    loop {
        let failure = match send(app, scope, ask, step, worst, &mut bill).await {
            Ok((content_type, begun)) => {
                app.health.succeeded(&step.deployment.id);
                return Ok(Exchange { bill, worst, headers, content_type, begun });
            }
            Err(failure) => failure,
        };
        bill.failed(&failure.end());
        if failure.is_of_deployment() {
            app.health.failed(&step.deployment.id);
        }
        let attempts = bill.stamp().attempt;
        tracing::warn!(request = %ask.request(), attempts, deployment = %step.deployment.id,
            %failure, "an attempt failed");
        let more = attempts < app.deadlines.attempts_max && !failure.is_last();
        let next = if more { steps.next() } else { None };
        let Some(next) = next else {
            return Err(give_up(bill, failure).await);
        };
        match further(app, scope, ask, routed, next, bill, &failure).await {
            Ok((opened, its_worst)) => (bill, step, worst) = (opened, next, its_worst),
            Err(()) => return Err(failure.refusal()),
        }
    }
}

/// The end of one attempt and the intent of the next, in one commit. No money for it: the caller
/// gets the failure of the attempt that failed.
async fn further(
    app: &App,
    scope: &Scope,
    ask: &Arc<Ask>,
    routed: &Routed,
    step: &Step,
    failed: Bill,
    failure: &Failure,
) -> Result<(Bill, Worst), ()> {
    let taken = match Worst::of(step, ask, scope.grant()) {
        Ok(worst) => admit::take_again(app, scope, step, worst).await.map(|it| (worst, it)),
        Err(refusal) => Err(refusal),
    };
    let Ok((worst, (seat, hold, _gauges))) = taken else {
        // The failure is told; the ending is on its way into the journal.
        let _ = failed.finish(failure.end()).await;
        return Err(());
    };
    let attempt = failed.stamp().attempt + 1;
    let stamp = admit::stamp(&app.purse, scope, ask, routed, step, &hold, Leg::Fallback, attempt);
    let stamp = Arc::new(stamp);
    let (closing, kept) = failed.fail_over(failure.end());
    let Some(mut kept) = kept else { return Err(()) };
    kept.seats.push(seat);
    let intent = Some(Intent { stamp: Arc::clone(&stamp) });
    let desk = Desk { journal: Arc::clone(&app.journal), counter: app.counter.clone() };
    let tokens_possible = worst.tokens_possible;
    let opened = Opened { stamp, rates: step.rates, tokens_possible, hold, kept };
    let bill = Bill::open(desk, Arc::clone(ask), opened);
    let written = app.journal.write(Entry { closing, intent, ..Entry::default() }).await;
    if written.is_ok() { Ok((bill, worst)) } else { Err(()) }
}

async fn give_up(bill: Bill, failure: Failure) -> Refusal {
    // Committed or not, the caller gets the failure; the journal keeps trying.
    let _ = bill.finish(failure.end()).await;
    failure.refusal()
}

async fn send(
    app: &App,
    scope: &Scope,
    ask: &Ask,
    step: &Step,
    worst: Worst,
    bill: &mut Bill,
) -> Result<(Option<HeaderValue>, Begun), Failure> {
    let target = scope.live().target(&step.deployment.id).ok_or(Failure::NotSetUp)?;
    let body = body(ask, step, worst).map_err(|_| Failure::NotSetUp)?;
    let uri = if ask.chat().is_some() { &target.chat } else { &target.embeddings };
    let attempt = format!("{}/{}", ask.request(), bill.stamp().attempt);
    let authorization = target.authorization.as_ref();
    let (stream, public_only) = (ask.stream(), target.public_only);
    let departure = Departure::default();
    let left = departure.clone();
    let sending = Sending { uri, authorization, attempt, stream, public_only, body, departure };
    bill.sent(left.clone());
    let mut lookback = Lookback::new(&app.snapshot, scope);
    let answer = app.upstream.send(sending);
    let response = if ask.stream() {
        tokio::select! {
            answer = answer => answer,
            () = lookback.revoked() => {
                return Err(if left.call_off() { Failure::CalledOff } else { Failure::Revoked });
            }
        }
    } else {
        answer.await
    };
    let response = response.map_err(Failure::NoAnswer)?;
    let content_type = response.headers().get(header::CONTENT_TYPE).cloned();
    let status = response.status();
    if status.is_success() && ask.stream() {
        let mut heard = Box::new(Heard::new(response.into_body(), &app.deadlines, lookback));
        heard.open(bill).await.map_err(Failure::from)?;
        return Ok((content_type, Begun::Stream(heard)));
    }
    if status.is_success() {
        return Ok((content_type, Begun::Answer(response.into_body())));
    }
    let failure = Failure::of_status(status, response.headers());
    if !failure.is_callers() {
        return Err(failure);
    }
    bill.failed(&failure.end());
    match tokio::time::timeout(ERROR_PATIENCE, read_error(response.into_body())).await {
        Ok(Some(body)) => Ok((content_type, Begun::Declined { status, body })),
        Ok(None) | Err(_) => Err(Failure::Rejected { status, retry_millis: None }),
    }
}

async fn read_error(body: Incoming) -> Option<Bytes> {
    let limited = http_body_util::Limited::new(body, ERROR_BYTES_MAX);
    limited.collect().await.ok().map(http_body_util::Collected::to_bytes)
}
