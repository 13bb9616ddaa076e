//! What budgets count without knowing it, and how it ends: by an act of somebody who knows.

use policies::{
    document::{Kind, Object},
    ids::{BootId, OrgId, RequestId},
    money::NanoUsd,
    time::Timestamp,
    usage::{Ending, Outcome, Source, Tokens, UsageRecord},
};
use serde_json::json;
use std::collections::BTreeMap;
use store::{
    Fault, Money, Released,
    audit::{Act, Target},
    clock,
};

/// Something that counts in full until somebody says what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// An attempt was sent, and nobody knows what it cost.
    Attempt {
        request: RequestId,
        attempt: u32,
        /// When the request was admitted.
        since: Timestamp,
        /// What is billed so far.
        billed: NanoUsd,
        /// What budgets count above that.
        held: NanoUsd,
        budgets: Vec<String>,
    },
    /// A gateway was lent money and is not heard any more.
    Gateway {
        boot: BootId,
        /// When it was heard last.
        since: Timestamp,
        /// Of each budget.
        unattributed: Vec<(String, NanoUsd)>,
    },
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    #[error("there is no attempt {attempt} of `{request}`")]
    NoAttempt { request: RequestId, attempt: u32 },
    #[error("the cost of this attempt is known: {0} US dollars")]
    Known(NanoUsd),
    #[error("somebody else resolved it at the same time")]
    Meanwhile,
    #[error("a cost is not below zero")]
    BelowZero,
    #[error("the gateway `{0}` has lost nothing of this org")]
    NothingLost(BootId),
    #[error("the gateway may still be sending until {}: wait for it, or start it again", .0.rfc3339())]
    TooEarly(Timestamp),
    #[error(transparent)]
    Store(#[from] Fault),
}

/// All that is unknown in the org, the oldest first.
pub async fn unknown<S>(store: &S, org: &OrgId, objects: &[Object]) -> Result<Vec<Unknown>, Fault>
where
    S: Money + ?Sized,
{
    let name = |budget: &policies::ids::BudgetId| {
        let found = objects
            .iter()
            .find(|it| it.id == *budget.as_bytes() && it.document.kind() == Kind::Budget);
        found.map_or_else(|| budget.to_string(), |it| it.document.name().to_owned())
    };
    let mut held: BTreeMap<(RequestId, u32), (NanoUsd, Vec<String>)> = BTreeMap::new();
    for state in store.pots(org, Timestamp(0)).await? {
        for (request, attempt, amount) in &state.indeterminate {
            let (most, budgets) = held.entry((*request, *attempt)).or_default();
            *most = (*most).max(*amount);
            budgets.push(name(&state.pot.budget));
        }
    }
    let mut all = Vec::with_capacity(held.len());
    for ((request, attempt), (held, budgets)) in held {
        let records = of_attempt(store.records_of(org, &request).await?, attempt);
        let Some(first) = records.first() else { continue };
        let (since, billed) = (first.stamp.admitted_at, sum(&records).cost);
        all.push(Unknown::Attempt { request, attempt, since, billed, held, budgets });
    }
    let mut lost: BTreeMap<BootId, (Timestamp, Vec<(String, NanoUsd)>)> = BTreeMap::new();
    for lent in store.lent(org, Timestamp(0)).await?.iter().filter(|lent| lent.lost) {
        let (since, of) = lost.entry(lent.boot).or_default();
        *since = lent.last_seen;
        of.push((name(&lent.pot.budget), lent.outstanding));
    }
    let gateways = lost.into_iter();
    all.extend(gateways.map(|(boot, (since, unattributed))| Unknown::Gateway {
        boot,
        since,
        unattributed,
    }));
    all.sort_by_key(|it| match it {
        Unknown::Attempt { since, .. } | Unknown::Gateway { since, .. } => *since,
    });
    Ok(all)
}

/// The attempt cost `actual`, whatever was billed and held: a correction record says the rest.
pub async fn resolve<S>(
    store: &S,
    org: &OrgId,
    (request, attempt): (RequestId, u32),
    actual: NanoUsd,
    mut act: Act,
) -> Result<UsageRecord, NotDone>
where
    S: Money + ?Sized,
{
    if actual < NanoUsd::ZERO {
        return Err(NotDone::BelowZero);
    }
    let records = of_attempt(store.records_of(org, &request).await?, attempt);
    let Some(first) = records.first() else {
        return Err(NotDone::NoAttempt { request, attempt });
    };
    let so_far = sum(&records);
    if records.iter().any(|record| record.ending.outcome != Outcome::Indeterminate) {
        return Err(NotDone::Known(so_far.cost));
    }
    let correction = correction(first, records.len(), so_far, actual);
    act.action = "attempt.resolved".to_owned();
    act.target = Some(Target {
        kind: "attempt".to_owned(),
        id: format!("{request}/{attempt}"),
        name: String::new(),
        project: Some(first.stamp.project.to_string()),
    });
    act.before = Some(json!({ "cost": so_far.cost, "counted": so_far.counted }));
    act.after = Some(json!({ "cost": actual }));
    match store.resolve_attempt(org, correction.clone(), act).await? {
        true => Ok(correction),
        false => Err(NotDone::Meanwhile),
    }
}

/// What a lost gateway was lent goes back, though nobody can prove that it was not spent. `quiet`
/// milliseconds after it was heard last, it surely sends nothing any more. What is freed, summed
/// over the budgets.
pub async fn release<S>(
    store: &S,
    org: &OrgId,
    boot: &BootId,
    quiet_millis: i64,
    mut act: Act,
) -> Result<NanoUsd, NotDone>
where
    S: Money + ?Sized,
{
    let lent = store.lent(org, Timestamp(0)).await?;
    let lost = lent.iter().filter(|lent| lent.lost && lent.boot == *boot);
    let lost: NanoUsd = lost.map(|lent| lent.outstanding).sum();
    act.action = "gateway.released".to_owned();
    act.target = Some(Target {
        kind: "gateway".to_owned(),
        id: boot.to_string(),
        name: String::new(),
        project: None,
    });
    act.before = Some(json!({ "unattributed": lost }));
    act.after = Some(json!({ "unattributed": NanoUsd::ZERO }));
    match store.release_boot(org, boot, quiet_millis, act).await? {
        Released::Done(freed) => Ok(freed),
        Released::TooEarly { until } => Err(NotDone::TooEarly(until)),
        Released::NothingLost => Err(NotDone::NothingLost(*boot)),
    }
}

fn of_attempt(records: Vec<UsageRecord>, attempt: u32) -> Vec<UsageRecord> {
    records.into_iter().filter(|record| record.stamp.attempt == attempt).collect()
}

/// What the parts of an attempt add up to.
#[derive(Clone, Copy, Default)]
struct SoFar {
    cost: NanoUsd,
    counted: NanoUsd,
    overrun: NanoUsd,
}

fn sum(records: &[UsageRecord]) -> SoFar {
    records.iter().fold(SoFar::default(), |sum, record| SoFar {
        cost: sum.cost.plus(record.ending.cost.unwrap_or_default()),
        counted: sum.counted.plus(record.ending.counted),
        overrun: sum.overrun.plus(record.ending.overrun),
    })
}

/// The record by which the sums over all parts become what `actual` says.
fn correction(first: &UsageRecord, parts: usize, so_far: SoFar, actual: NanoUsd) -> UsageRecord {
    let held = first.stamp.hold;
    let cost = actual.minus(so_far.cost);
    let charged = cost != NanoUsd::ZERO;
    let ending = Ending {
        outcome: Outcome::Finished,
        source: Source::Reported,
        tokens: Tokens::default(),
        cost: Some(cost),
        lines: charged.then(|| ("resolved".to_owned(), cost)).into_iter().collect(),
        counted: actual.min(held).minus(so_far.counted),
        overrun: actual.minus(held).at_least_zero().minus(so_far.overrun),
        finish_reason: None,
        flaw: None,
        first_byte_millis: None,
        total_millis: 0,
        ended_at: clock::now(),
    };
    let part = u32::try_from(parts).unwrap_or(u32::MAX);
    UsageRecord { stamp: first.stamp.clone(), part, ending }
}

#[cfg(test)]
mod tests;
