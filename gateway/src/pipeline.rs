//! The way of one request, from top to bottom.
//!
//! Each stage is one module. It takes what the stages above have proved and returns one new
//! proof; only that module can make that type, so a stage cannot be skipped or reordered.

pub mod admit;
pub mod authenticate;
pub mod call;
pub mod classify;
pub mod identity;
pub mod meter;
pub mod resolve;
pub mod route;
pub mod screen;
pub mod settle;

mod gathered;
mod lookback;
mod read_on;

use self::{
    admit::{Admitted, admit},
    authenticate::{Gate, authenticate},
    call::call,
    classify::{Ask, classify},
    meter::meter,
    read_on::read_on,
    resolve::{Purpose, Scope, resolve},
    route::{Routed, route},
    screen::screen,
    settle::{Reply, settle},
};
use crate::{app::App, sinks::lookout::Known};
use http::HeaderMap;
use hyper::body::Incoming;
use policies::{ids::RequestId, refusal::Refusal, usage::Surface};
use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Instant,
};

/// A request as it came off the wire: its head, and its body unread.
pub struct Arrival {
    pub request: RequestId,
    pub surface: Surface,
    pub purpose: Purpose,
    pub headers: HeaderMap,
    pub body: Incoming,
    pub body_bytes_max: usize,
    pub address: IpAddr,
    pub started: Instant,
    /// Filled at the admission of a stream: what it can promise if its caller must wait.
    pub promise: Arc<OnceLock<Promise>>,
}

/// What is known of a streamed answer before it begins.
#[derive(Clone, Debug)]
pub struct Promise {
    pub headers: HeaderMap,
}

/// The first two stages, which are all that some requests need.
pub async fn scope(
    app: &App,
    headers: &HeaderMap,
    address: IpAddr,
    purpose: Purpose,
) -> Result<Scope, Refusal> {
    let gate = Gate {
        snapshot: &app.snapshot,
        doorman: &app.doorman,
        identities: &app.identities,
        now: app.purse.now(),
    };
    let caller = authenticate(gate, headers, address).await;
    let caller = caller.inspect_err(|refusal| app.lookout.unknown(address, refusal))?;
    let scope = resolve(&caller, headers, purpose, app.purse.now()).inspect_err(|refusal| {
        app.lookout.refused(address, None, refusal, || Known::caller(&caller));
    })?;
    app.uses.note(scope.live().tenant.org, scope.grant().key, app.purse.now());
    Ok(scope)
}

pub async fn handle(app: &Arc<App>, arrival: Arrival) -> Result<Reply, Refusal> {
    let (address, request) = (arrival.address, Some(arrival.request));
    let scope = scope(app, &arrival.headers, address, arrival.purpose).await?;
    let answered = governed(app, scope.clone(), arrival).await;
    answered.inspect_err(|refusal| {
        app.lookout.refused(address, request, refusal, || Known::scope(&scope));
    })
}

/// What follows once it is known whose rules bind it.
async fn governed(app: &Arc<App>, scope: Scope, arrival: Arrival) -> Result<Reply, Refusal> {
    let promise = Arc::clone(&arrival.promise);
    let ask = classify(&app.detectors, &scope, arrival).await?;
    let routed = route(&app.health, &app.journal, &scope, &ask, app.purse.now()).await?;
    let admitted = admit(app, &scope, &ask, &routed, &promise).await?;
    let rest = answer(Arc::clone(app), scope, Arc::clone(&ask), routed, admitted);
    if ask.stream() { Box::pin(rest).await } else { read_on(app, rest).await }
}

/// What follows once it may be paid for. An answer that is not streamed goes this way to its end
/// even when its caller leaves, so that its bill is exact.
async fn answer(
    app: Arc<App>,
    scope: Scope,
    ask: Arc<Ask>,
    routed: Routed,
    admitted: Admitted,
) -> Result<Reply, Refusal> {
    let exchange = call(&app, &scope, &ask, &routed, admitted).await?;
    let metered = meter(exchange, &app.deadlines).await?;
    let screened = screen(&ask, &routed, metered);
    settle(screened).await
}
