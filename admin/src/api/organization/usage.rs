//! `/v1/organization/usage/..` and costs: usage records in buckets of time.
//!
//! A page is made of at most [`RECORDS_MAX`] records, which are read one by one. One that would
//! take more has fewer buckets, half as many at each try, and `next_page` goes on behind them.

mod ask;
mod costs;
mod tally;

pub(super) use self::costs::costs;

use self::{
    ask::{Ask, Column},
    tally::Tally,
};
use crate::{
    context::{Context, json},
    failure::Failure,
};
use axum::{http::StatusCode, response::Response};
use policies::usage::{Surface, UsageRecord};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use store::Cursor;

/// Usage records that one page is made of, at most.
const RECORDS_MAX: usize = 100_000;
/// Records of one read of the store.
const PAGE_RECORDS: u32 = 5_000;

/// The values of the columns that were grouped by, in their order.
type Group = Vec<Option<String>>;

pub(super) async fn completions(context: Context) -> Result<Response, Failure> {
    let columns = [
        Column::Project,
        Column::User,
        Column::Key,
        Column::Model,
        Column::Batch,
        Column::Tier,
        Column::Source,
    ];
    usage(&context, Surface::Chat, &columns).await
}

pub(super) async fn embeddings(context: Context) -> Result<Response, Failure> {
    let columns = [Column::Project, Column::User, Column::Key, Column::Model];
    usage(&context, Surface::Embeddings, &columns).await
}

/// Sums by the start of their bucket and by group.
type Buckets<T> = BTreeMap<i64, BTreeMap<Group, T>>;

async fn usage(
    context: &Context,
    surface: Surface,
    columns: &[Column],
) -> Result<Response, Failure> {
    let mut ask = Ask::read(context, columns)?;
    let buckets = gather(context, &mut ask, |ask, record, buckets: &mut Buckets<Tally>| {
        if record.stamp.surface == surface {
            let group = ask.by.iter().map(|column| ask::value(record, *column)).collect();
            let bucket = buckets.entry(ask.bucket_of(record.stamp.admitted_at)).or_default();
            bucket.entry(group).or_default().add(record);
        }
    });
    let buckets = buckets.await?;
    let view = |group: &Group, tally: &Tally| tally.view(surface, columns, &ask.by, group);
    Ok(paged(&ask, &buckets, view))
}

/// Sums up the records that were asked for. The ask is cut to as many buckets as can be read.
async fn gather<T>(
    context: &Context,
    ask: &mut Ask,
    add: impl Fn(&Ask, &UsageRecord, &mut Buckets<T>),
) -> Result<Buckets<T>, Failure> {
    loop {
        match read(context, ask, &add).await? {
            Some(found) => return Ok(found),
            None if ask.halve() => {}
            None => {
                let message = format!(
                    "more than {RECORDS_MAX} usage records in one bucket; \
                     use a smaller `bucket_width`, or `penstock export usage`"
                );
                return Err(Failure::invalid("bucket_width", message));
            }
        }
    }
}

/// The sums of all that the ask covers; none if there is more than can be read.
async fn read<T>(
    context: &Context,
    ask: &Ask,
    add: &impl Fn(&Ask, &UsageRecord, &mut Buckets<T>),
) -> Result<Option<Buckets<T>>, Failure> {
    let (org, store) = (context.org()?, &context.services.store);
    let (mut after, mut count, mut found) = (Cursor::default(), 0, Buckets::new());
    loop {
        let page = store.page(&org, ask.span(), after, PAGE_RECORDS).await?;
        let Some((cursor, _)) = page.last() else { return Ok(Some(found)) };
        after = *cursor;
        count += page.len();
        if RECORDS_MAX < count {
            return Ok(None);
        }
        for (_, record) in page.iter().filter(|(_, record)| ask.wants(record)) {
            add(ask, record, &mut found);
        }
    }
}

/// Every bucket of the ask, those in which nothing happened too.
fn paged<T>(ask: &Ask, buckets: &Buckets<T>, view: impl Fn(&Group, &T) -> Value) -> Response {
    let bucket = |starts: i64| {
        let groups = buckets.get(&starts).into_iter().flatten();
        let results: Vec<Value> = groups.map(|(group, tally)| view(group, tally)).collect();
        json!({
            "object": "bucket",
            "start_time": starts,
            "end_time": starts.saturating_add(ask.width),
            "results": results,
        })
    };
    let next = ask.next();
    let body = json!({
        "object": "page",
        "data": ask.buckets().map(bucket).collect::<Vec<_>>(),
        "has_more": next.is_some(),
        "next_page": next,
    });
    json(StatusCode::OK, &body)
}
