//! Many records in one statement: an array for each column.

use super::{super::text, json};
use crate::{Fault, postgres::unreadable};
use policies::{
    ids::{ServiceAccountId, UserId},
    usage::{Principal, UsageRecord},
};
use sqlx::{Encode, Postgres, Type, postgres::PgArguments, postgres::PgHasArrayType, query::Query};
use std::{borrow::Cow, sync::LazyLock};

const BYTES: &str = "bytea";
const INTEGER: &str = "bigint";
const TEXT: &str = "text";
const JSON: &str = "jsonb";
const BOOLEAN: &str = "boolean";

/// In the order in which [`bind`] binds them.
const COLUMNS: [(&str, &str); 51] = [
    ("org", BYTES),
    ("request", BYTES),
    ("attempt", INTEGER),
    ("part", INTEGER),
    ("logical_request", BYTES),
    ("leg", TEXT),
    ("unit_path", TEXT),
    ("project", BYTES),
    ("cost_centre", TEXT),
    ("tags", JSON),
    ("principal_kind", TEXT),
    ("principal", BYTES),
    ("acted_for", BYTES),
    ("key", BYTES),
    ("end_user_hash", TEXT),
    ("session_hash", TEXT),
    ("task_hash", TEXT),
    ("request_class", TEXT),
    ("client_request_id", TEXT),
    ("surface", TEXT),
    ("stream", BOOLEAN),
    ("model", TEXT),
    ("tier", TEXT),
    ("deployment", BYTES),
    ("upstream_model", TEXT),
    ("price", BYTES),
    ("revision", INTEGER),
    ("boot", BYTES),
    ("chain", JSON),
    ("hold", INTEGER),
    ("admitted_at", INTEGER),
    ("queue_millis", INTEGER),
    ("outcome", TEXT),
    ("source", TEXT),
    ("input", INTEGER),
    ("cache_read", INTEGER),
    ("cache_write", INTEGER),
    ("output", INTEGER),
    ("reasoning", INTEGER),
    ("audio_in", INTEGER),
    ("audio_out", INTEGER),
    ("image", INTEGER),
    ("cost", INTEGER),
    ("lines", JSON),
    ("counted", INTEGER),
    ("overrun", INTEGER),
    ("finish_reason", TEXT),
    ("flaw", TEXT),
    ("first_byte_millis", INTEGER),
    ("total_millis", INTEGER),
    ("ended_at", INTEGER),
];

/// Inserts what is not there yet, in order, and returns the name of each such row.
pub(in crate::postgres) static INSERT: LazyLock<String> = LazyLock::new(|| {
    let names = COLUMNS.map(|(name, _)| name).join(", ");
    let arrays = COLUMNS.iter().enumerate().map(|(index, (_, kind))| {
        // JSON travels as text.
        let kind = if *kind == JSON { TEXT } else { kind };
        format!("${}::{kind}[]", index + 1)
    });
    let arrays = arrays.collect::<Vec<_>>().join(", ");
    let values = COLUMNS.map(|(name, kind)| format!("it.{name}::{kind}")).join(", ");
    format!(
        "INSERT INTO usage ({names}) SELECT {values}
         FROM unnest({arrays}) WITH ORDINALITY AS it ({names}, place) ORDER BY it.place
         ON CONFLICT DO NOTHING RETURNING request, attempt, part"
    )
});

type Insert<'q> = Query<'q, Postgres, PgArguments>;

/// Records, to be bound column by column.
struct Columns<'q> {
    query: Insert<'q>,
    records: Vec<&'q UsageRecord>,
}

impl<'q> Columns<'q> {
    fn of<T>(self, value: impl Fn(&'q UsageRecord) -> T) -> Self
    where
        Vec<T>: Encode<'q, Postgres> + Type<Postgres>,
        T: PgHasArrayType,
    {
        let values: Vec<T> = self.records.iter().map(|record| value(record)).collect();
        Self { query: self.query.bind(values), records: self.records }
    }

    /// Like [`Columns::of`], of what may fail.
    fn some<T>(self, value: impl Fn(&'q UsageRecord) -> Result<T, Fault>) -> Result<Self, Fault>
    where
        Vec<T>: Encode<'q, Postgres> + Type<Postgres>,
        T: PgHasArrayType,
    {
        let values = self.records.iter().map(|record| value(record));
        let values = values.collect::<Result<Vec<T>, Fault>>()?;
        Ok(Self { query: self.query.bind(values), records: self.records })
    }
}

/// Binds the columns of all records to [`INSERT`].
pub(in crate::postgres) fn bind<'q>(
    query: Insert<'q>,
    records: Vec<&'q UsageRecord>,
) -> Result<Insert<'q>, Fault> {
    let columns = bind_usage(bind_stamp(Columns { query, records })?)?;
    Ok(columns.query)
}

fn bind_stamp(columns: Columns<'_>) -> Result<Columns<'_>, Fault> {
    let columns = columns
        .of(|it| *it.stamp.org.as_bytes())
        .of(|it| *it.stamp.request.as_bytes())
        .of(|it| i64::from(it.stamp.attempt))
        .of(|it| i64::from(it.part))
        .of(|it| *it.stamp.logical_request.as_bytes())
        .of(|it| it.stamp.leg.word())
        .of(units)
        .of(|it| *it.stamp.project.as_bytes())
        .of(|it| shown(it.stamp.cost_centre.as_ref()))
        .some(|it| json(&it.stamp.tags))?
        .of(|it| principal(it).0)
        .of(|it| principal(it).1)
        .of(|it| it.stamp.acted_for.map(|id| *id.as_bytes()))
        .of(|it| *it.stamp.key.as_bytes())
        .of(|it| shown(it.stamp.end_user_hash.as_ref()))
        .of(|it| shown(it.stamp.session_hash.as_ref()))
        .of(|it| shown(it.stamp.task_hash.as_ref()))
        .of(|it| shown(it.stamp.request_class.as_ref()))
        .of(|it| shown(it.stamp.client_request_id.as_ref()))
        .of(|it| it.stamp.surface.word())
        .of(|it| it.stamp.stream)
        .of(|it| text(&it.stamp.model))
        .of(|it| shown(it.stamp.tier.as_ref()))
        .of(|it| *it.stamp.deployment.as_bytes())
        .of(|it| text(&it.stamp.upstream_model))
        .of(|it| it.stamp.price.map(|id| *id.as_bytes()))
        .some(|it| {
            i64::try_from(it.stamp.revision.0).map_err(|cause| unreadable("revision", &cause))
        })?;
    Ok(columns
        .of(|it| *it.stamp.boot.as_bytes())
        .some(chain)?
        .of(|it| it.stamp.hold.0)
        .of(|it| it.stamp.admitted_at.0)
        .of(|it| it.stamp.queue_millis))
}

fn bind_usage(columns: Columns<'_>) -> Result<Columns<'_>, Fault> {
    Ok(columns
        .of(|it| it.ending.outcome.word())
        .of(|it| it.ending.source.word())
        .of(|it| it.ending.tokens.input)
        .of(|it| it.ending.tokens.cache_read)
        .of(|it| it.ending.tokens.cache_write)
        .of(|it| it.ending.tokens.output)
        .of(|it| it.ending.tokens.reasoning)
        .of(|it| it.ending.tokens.audio_in)
        .of(|it| it.ending.tokens.audio_out)
        .of(|it| it.ending.tokens.image)
        .of(|it| it.ending.cost.map(|cost| cost.0))
        .some(|it| json(&it.ending.lines))?
        .of(|it| it.ending.counted.0)
        .of(|it| it.ending.overrun.0)
        .of(|it| shown(it.ending.finish_reason.as_ref()))
        .of(|it| shown(it.ending.flaw.as_ref()))
        .of(|it| it.ending.first_byte_millis)
        .of(|it| it.ending.total_millis)
        .of(|it| it.ending.ended_at.0))
}

fn shown(value: Option<&String>) -> Option<Cow<'_, str>> {
    value.map(|value| text(value))
}

/// From the top down, each as long as any other: the lowest is the last 37 characters.
fn units(record: &UsageRecord) -> String {
    let units = record.stamp.unit_path.iter().map(ToString::to_string);
    units.collect::<Vec<_>>().join(",")
}

fn principal(record: &UsageRecord) -> (&'static str, [u8; 16]) {
    match record.stamp.principal {
        Principal::User(id) => (UserId::PREFIX, *id.as_bytes()),
        Principal::ServiceAccount(id) => (ServiceAccountId::PREFIX, *id.as_bytes()),
    }
}

fn chain(record: &UsageRecord) -> Result<String, Fault> {
    let pots = record.stamp.chain.iter();
    json(&pots.map(|pot| (pot.budget, pot.span.starts, pot.span.ends)).collect::<Vec<_>>())
}
