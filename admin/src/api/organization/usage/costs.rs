//! Costs by day. Without `line_item` the store adds them up itself, however many records there are.

use super::{
    Buckets, Group,
    ask::{self, Ask, Column, list},
    gather, paged, tally,
};
use crate::{context::Context, failure::Failure};
use axum::response::Response;
use policies::{ids::ProjectId, money::NanoUsd, time::Timestamp, usage::UsageRecord};
use serde_json::{Value, json};
use store::By;

const COLUMNS: [Column; 5] =
    [Column::Project, Column::User, Column::LineItem, Column::Key, Column::Source];

pub(crate) async fn costs(context: Context) -> Result<Response, Failure> {
    let mut ask = Ask::read(&context, &COLUMNS)?;
    let items = list(&context, "line_items")?;
    let by_item = ask.by.contains(&Column::LineItem) || !items.is_empty();
    let buckets = match by_item {
        true => by_line(&context, &mut ask, &items).await?,
        false => by_record(&context, &ask).await?,
    };
    let view = |group: &Group, cost: &NanoUsd| {
        let mut fields = tally::named(&COLUMNS, &ask.by, group);
        fields.insert("object".to_owned(), json!("organization.costs.result"));
        fields.insert("amount".to_owned(), json!({ "value": usd(*cost), "currency": "usd" }));
        fields.insert("quantity".to_owned(), Value::Null);
        fields.insert("quantity_unit".to_owned(), Value::Null);
        Value::Object(fields)
    };
    Ok(paged(&ask, &buckets, view))
}

async fn by_record(context: &Context, ask: &Ask) -> Result<Buckets<NanoUsd>, Failure> {
    let columns = [By::Day, By::Project, By::Principal, By::Key];
    let sums = context.services.store.sums(&context.org()?, ask.span(), &columns).await?;
    let mut buckets: Buckets<NanoUsd> = Buckets::new();
    for sum in sums {
        let [day, project, user, key] = sum.group.as_slice() else { continue };
        let (Some(day), Ok(id)) = (Timestamp::parse(day), project.parse::<ProjectId>()) else {
            continue;
        };
        if !ask.wants_of(id, user, key) {
            continue;
        }
        let value = |column: &Column| match column {
            Column::Project => Some(project.clone()),
            Column::User => Some(user.clone()),
            Column::Key => Some(key.clone()),
            Column::Source => Some("unlabeled".to_owned()),
            Column::Model | Column::Batch | Column::Tier | Column::LineItem => None,
        };
        let group = ask.by.iter().map(value).collect();
        let cost = buckets.entry(day.seconds()).or_default().entry(group).or_default();
        *cost = cost.plus(sum.cost);
    }
    Ok(buckets)
}

/// A line item is called `MODEL, LINE`, as in `large, output`.
async fn by_line(
    context: &Context,
    ask: &mut Ask,
    items: &[String],
) -> Result<Buckets<NanoUsd>, Failure> {
    let add = |ask: &Ask, record: &UsageRecord, buckets: &mut Buckets<NanoUsd>| {
        let bucket = buckets.entry(ask.bucket_of(record.stamp.admitted_at)).or_default();
        for (line, cost) in &record.ending.lines {
            let item = format!("{}, {line}", record.stamp.model);
            if !items.is_empty() && !items.contains(&item) {
                continue;
            }
            let value = |column: &Column| match column {
                Column::LineItem => Some(item.clone()),
                Column::Project
                | Column::User
                | Column::Key
                | Column::Model
                | Column::Batch
                | Column::Tier
                | Column::Source => ask::value(record, *column),
            };
            let sum = bucket.entry(ask.by.iter().map(value).collect()).or_default();
            *sum = sum.plus(*cost);
        }
    };
    gather(context, ask, add).await
}

/// An amount as the number that the SDKs read. It is exact up to 15 digits; exports are exact.
fn usd(amount: NanoUsd) -> Value {
    serde_json::from_str(&amount.to_string()).unwrap_or_default()
}
