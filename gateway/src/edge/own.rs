//! `GET /v1/penstock/requests/{id}`: what became of one of the caller's own requests.

use super::{EdgeBody, json, problem};
use crate::{app::App, pipeline::resolve::Scope};
use http::{Response, StatusCode};
use policies::{
    ids::RequestId,
    refusal::Refusal,
    usage::{Decision, Outcome, Principal, UsageRecord, Verdict},
};
use serde::Serialize;
use std::time::Duration;

/// How long rows of the journal may take to be in the store.
const PATIENCE: Duration = Duration::from_secs(2);
const RETRY_MILLIS: i64 = 1_000;

#[derive(Serialize)]
struct OwnRequest {
    id: RequestId,
    decision: Option<Decision>,
    attempts: Vec<UsageRecord>,
}

pub(super) async fn request(app: &App, scope: &Scope, values: &[&str]) -> Response<EdgeBody> {
    match find(app, scope, values).await {
        Ok(Some(found)) => match serde_json::to_vec(&found) {
            Ok(body) => json(StatusCode::OK, body),
            Err(_) => problem::answer(&Refusal::Unavailable { retry_millis: RETRY_MILLIS }),
        },
        Ok(None) => problem::no_route(),
        Err(refusal) => problem::answer(&refusal),
    }
}

/// A request of another key, project or org is as good as none, and so is another person's where
/// a service acts for one.
async fn find(app: &App, scope: &Scope, values: &[&str]) -> Result<Option<OwnRequest>, Refusal> {
    let Some(id) = values.first().and_then(|text| text.parse::<RequestId>().ok()) else {
        return Ok(None);
    };
    let (mut attempts, mut decision) = look(app, scope, &id).await?;
    let last = attempts.iter().max_by_key(|record| (record.stamp.attempt, record.part));
    let verdict = decision.as_ref().map(|decision| decision.verdict);
    if !is_whole(verdict, last.map(|record| record.ending.outcome)) {
        if !app.shipper.flush(Some(&scope.live().tenant.org), PATIENCE).await {
            return Err(Refusal::Unavailable { retry_millis: RETRY_MILLIS });
        }
        (attempts, decision) = look(app, scope, &id).await?;
    }
    let key = scope.grant().key;
    let theirs = |principal| scope.acted_for().is_none_or(|id| principal == Principal::User(id));
    attempts.retain(|it| it.stamp.key == key && theirs(it.stamp.principal));
    decision = decision.filter(|it| it.key == key && theirs(it.principal));
    let known = decision.is_some() || !attempts.is_empty();
    Ok(known.then_some(OwnRequest { id, decision, attempts }))
}

async fn look(
    app: &App,
    scope: &Scope,
    id: &RequestId,
) -> Result<(Vec<UsageRecord>, Option<Decision>), Refusal> {
    let org = scope.live().tenant.org;
    let found = app.usage.request(&org, &scope.grant().project, id).await;
    found.map_err(|fault| {
        tracing::error!(%org, %fault, "a request cannot be looked up");
        Refusal::Unavailable { retry_millis: RETRY_MILLIS }
    })
}

/// Nothing more can be on its way into the store: it was refused, or its last attempt ended in a
/// way after which there is no further one.
fn is_whole(verdict: Option<Verdict>, last: Option<Outcome>) -> bool {
    match (verdict, last) {
        (None, _) | (Some(Verdict::Allowed | Verdict::Masked), None) => false,
        (Some(Verdict::Refused), _) => true,
        (Some(Verdict::Allowed | Verdict::Masked), Some(outcome)) => match outcome {
            Outcome::Finished | Outcome::HungUp | Outcome::Cut => true,
            Outcome::Truncated | Outcome::Indeterminate => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_waited_for_only_where_some_may_be_missing() {
        let allowed = Some(Verdict::Allowed);

        assert!(is_whole(Some(Verdict::Refused), None));
        assert!(is_whole(allowed, Some(Outcome::Finished)));
        for (verdict, last) in [
            (None, None),
            (None, Some(Outcome::Finished)),
            (allowed, None),
            (allowed, Some(Outcome::Indeterminate)),
            (Some(Verdict::Masked), Some(Outcome::Truncated)),
        ] {
            assert!(!is_whole(verdict, last), "{verdict:?} {last:?}");
        }
    }
}
