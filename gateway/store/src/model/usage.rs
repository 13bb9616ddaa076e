//! [`UsageLog`] over plain maps.

use super::Model;
use crate::{By, Cursor, Fault, UsageLog, UsageSum};
use async_trait::async_trait;
use policies::{
    ids::{OrgId, ProjectId, RequestId},
    money::NanoUsd,
    time::Span,
    usage::{Decision, Source, Tokens, UsageRecord},
};
use std::collections::{BTreeMap, BTreeSet};

#[async_trait]
impl UsageLog for Model {
    async fn page(
        &self,
        org: &OrgId,
        span: Span,
        after: Cursor,
        limit: u32,
    ) -> Result<Vec<(Cursor, UsageRecord)>, Fault> {
        Ok(self.read(|world| {
            let numbered = (1..).map(Cursor).zip(&world.usage);
            let wanted = numbered.filter(|(cursor, record)| {
                after < *cursor && record.stamp.org == *org && span.holds(record.stamp.admitted_at)
            });
            let copies = wanted.map(|(cursor, record)| (cursor, UsageRecord::clone(record)));
            copies.take(usize::try_from(limit).unwrap_or(usize::MAX)).collect()
        }))
    }

    async fn sums(&self, org: &OrgId, span: Span, by: &[By]) -> Result<Vec<UsageSum>, Fault> {
        Ok(self.read(|world| {
            let mut sums: BTreeMap<Vec<String>, (UsageSum, BTreeSet<RequestId>)> = BTreeMap::new();
            let wanted = world
                .usage
                .iter()
                .filter(|record| record.stamp.org == *org && span.holds(record.stamp.admitted_at));
            for record in wanted {
                let group: Vec<String> = by.iter().map(|by| value(record, *by)).collect();
                let (sum, requests) = sums.entry(group.clone()).or_default();
                requests.insert(record.stamp.request);
                sum.group = group;
                sum.requests = i64::try_from(requests.len()).unwrap_or(i64::MAX);
                sum.records += 1;
                sum.tokens = plus(sum.tokens, record.ending.tokens);
                sum.cost = sum.cost.plus(record.ending.cost.unwrap_or(NanoUsd::ZERO));
                let priced_later = world.usage.iter().any(|later| {
                    let name =
                        |it: &UsageRecord| (it.stamp.org, it.stamp.request, it.stamp.attempt);
                    let cost = later.ending.cost;
                    name(later) == name(record) && record.part < later.part && cost.is_some()
                });
                let unpriced = record.ending.cost.is_none() && !priced_later;
                sum.unpriced += i64::from(unpriced);
                sum.estimated += i64::from(record.ending.source == Source::Estimated);
            }
            sums.into_values().map(|(sum, _)| sum).collect()
        }))
    }

    async fn request(
        &self,
        org: &OrgId,
        project: &ProjectId,
        request: &RequestId,
    ) -> Result<(Vec<UsageRecord>, Option<Decision>), Fault> {
        Ok(self.read(|world| {
            let wanted = world.usage.iter().filter(|record| {
                let stamp = &record.stamp;
                stamp.org == *org && stamp.project == *project && stamp.request == *request
            });
            let mut records: Vec<_> = wanted.map(|record| UsageRecord::clone(record)).collect();
            records.sort_by_key(|record| (record.stamp.attempt, record.part));
            let decision = world.decisions.get(&(*org, *request));
            let decision = decision.filter(|decision| decision.project == *project);
            (records, decision.map(|decision| Decision::clone(decision)))
        }))
    }
}

fn value(record: &UsageRecord, by: By) -> String {
    let stamp = &record.stamp;
    match by {
        By::Unit => stamp.unit_path.last().map(ToString::to_string).unwrap_or_default(),
        By::Project => stamp.project.to_string(),
        By::Model => stamp.model.clone(),
        By::Tier => stamp.tier.clone().unwrap_or_default(),
        By::Deployment => stamp.deployment.to_string(),
        By::Principal => stamp.principal.to_string(),
        By::Key => stamp.key.to_string(),
        By::CostCentre => stamp.cost_centre.clone().unwrap_or_default(),
        By::Day => stamp.admitted_at.rfc3339().chars().take("2026-01-01".len()).collect(),
    }
}

fn plus(left: Tokens, right: Tokens) -> Tokens {
    Tokens {
        input: left.input.saturating_add(right.input),
        cache_read: left.cache_read.saturating_add(right.cache_read),
        cache_write: left.cache_write.saturating_add(right.cache_write),
        output: left.output.saturating_add(right.output),
        reasoning: left.reasoning.saturating_add(right.reasoning),
        audio_in: left.audio_in.saturating_add(right.audio_in),
        audio_out: left.audio_out.saturating_add(right.audio_out),
        image: left.image.saturating_add(right.image),
    }
}
