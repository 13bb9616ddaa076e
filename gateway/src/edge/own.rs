//! `GET /v1/penstock/requests/{id}`: what became of one of the caller's own requests.

use super::{EdgeBody, catalogue::scope, json, problem};
use crate::app::App;
use http::{HeaderMap, Response, StatusCode};
use policies::{
    ids::RequestId,
    refusal::Refusal,
    usage::{Decision, UsageRecord},
};
use serde::Serialize;
use std::{net::SocketAddr, time::Duration};

/// How long rows of the journal may take to be in the store.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct OwnRequest {
    id: RequestId,
    decision: Option<Decision>,
    attempts: Vec<UsageRecord>,
}

pub(super) async fn request(
    app: &App,
    headers: &HeaderMap,
    address: SocketAddr,
    values: &[&str],
) -> Response<EdgeBody> {
    match find(app, headers, address, values).await {
        Ok(Some(found)) => match serde_json::to_vec(&found) {
            Ok(body) => json(StatusCode::OK, body),
            Err(_) => problem::answer(&Refusal::Unavailable { retry_millis: 1_000 }),
        },
        Ok(None) => problem::no_route(),
        Err(refusal) => problem::answer(&refusal),
    }
}

/// A request of another key, project or org is as good as none.
async fn find(
    app: &App,
    headers: &HeaderMap,
    address: SocketAddr,
    values: &[&str],
) -> Result<Option<OwnRequest>, Refusal> {
    let scope = scope(app, headers, address)?;
    let Some(id) = values.first().and_then(|text| text.parse::<RequestId>().ok()) else {
        return Ok(None);
    };
    let unavailable = Refusal::Unavailable { retry_millis: 1_000 };
    if !app.shipper.flush(PATIENCE).await {
        return Err(unavailable);
    }
    let (org, grant) = (scope.live().tenant.org, scope.grant());
    let found = app.usage.request(&org, &grant.project, &id).await;
    let (mut attempts, mut decision) = found.map_err(|fault| {
        tracing::error!(%org, %fault, "a request cannot be looked up");
        unavailable
    })?;
    attempts.retain(|record| record.stamp.key == grant.key);
    decision = decision.filter(|decision| decision.key == grant.key);
    let known = decision.is_some() || !attempts.is_empty();
    Ok(known.then_some(OwnRequest { id, decision, attempts }))
}
