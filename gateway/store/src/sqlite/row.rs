//! Usage records as rows.

use super::{bytes, sized, unreadable};
use crate::Fault;
use policies::{
    budget::{Chain, Pot},
    ids::{
        BootId, BudgetId, DeploymentId, KeyId, OrgId, PriceId, ProjectId, RequestId,
        ServiceAccountId, UserId,
    },
    money::NanoUsd,
    time::{Span, Timestamp},
    usage::{Ending, Leg, Outcome, Principal, Source, Stamp, Surface, Tokens, UsageRecord},
};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{
    Row, Sqlite as Engine,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

/// In the order in which [`bind`] binds them.
pub(super) const COLUMNS: [&str; 51] = [
    "org",
    "request",
    "attempt",
    "part",
    "logical_request",
    "leg",
    "unit_path",
    "project",
    "cost_centre",
    "tags",
    "principal_kind",
    "principal",
    "acted_for",
    "key",
    "end_user_hash",
    "session_hash",
    "task_hash",
    "request_class",
    "client_request_id",
    "surface",
    "stream",
    "model",
    "tier",
    "deployment",
    "upstream_model",
    "price",
    "revision",
    "boot",
    "chain",
    "hold",
    "admitted_at",
    "queue_millis",
    "outcome",
    "source",
    "input",
    "cache_read",
    "cache_write",
    "output",
    "reasoning",
    "audio_in",
    "audio_out",
    "image",
    "cost",
    "lines",
    "counted",
    "overrun",
    "finish_reason",
    "flaw",
    "first_byte_millis",
    "total_millis",
    "ended_at",
];

pub(super) type Binding<'q> = Query<'q, Engine, SqliteArguments>;

pub(super) fn bind<'q>(query: Binding<'q>, record: &'q UsageRecord) -> Result<Binding<'q>, Fault> {
    bind_ending(bind_stamp(query, &record.stamp, record.part)?, &record.ending)
}

fn bind_stamp<'q>(query: Binding<'q>, it: &'q Stamp, part: u32) -> Result<Binding<'q>, Fault> {
    let revision = i64::try_from(it.revision.0).map_err(|cause| unreadable("revision", &cause))?;
    let (principal_kind, principal) = principal_words(&it.principal);
    Ok(query
        .bind(it.org.as_bytes().as_slice())
        .bind(it.request.as_bytes().as_slice())
        .bind(i64::from(it.attempt))
        .bind(i64::from(part))
        .bind(it.logical_request.as_bytes().as_slice())
        .bind(it.leg.word())
        .bind(joined(&it.unit_path))
        .bind(it.project.as_bytes().as_slice())
        .bind(it.cost_centre.as_deref())
        .bind(json(&it.tags)?)
        .bind(principal_kind)
        .bind(principal.as_slice())
        .bind(it.acted_for.as_ref().map(|id| id.as_bytes().as_slice()))
        .bind(it.key.as_bytes().as_slice())
        .bind(it.end_user_hash.as_deref())
        .bind(it.session_hash.as_deref())
        .bind(it.task_hash.as_deref())
        .bind(it.request_class.as_deref())
        .bind(it.client_request_id.as_deref())
        .bind(it.surface.word())
        .bind(it.stream)
        .bind(it.model.as_str())
        .bind(it.tier.as_deref())
        .bind(it.deployment.as_bytes().as_slice())
        .bind(it.upstream_model.as_str())
        .bind(it.price.as_ref().map(|id| id.as_bytes().as_slice()))
        .bind(revision)
        .bind(it.boot.as_bytes().as_slice())
        .bind(chain_words(&it.chain)?)
        .bind(it.hold.0)
        .bind(it.admitted_at.0)
        .bind(it.queue_millis))
}

fn bind_ending<'q>(query: Binding<'q>, it: &'q Ending) -> Result<Binding<'q>, Fault> {
    let tokens = &it.tokens;
    Ok(query
        .bind(it.outcome.word())
        .bind(it.source.word())
        .bind(tokens.input)
        .bind(tokens.cache_read)
        .bind(tokens.cache_write)
        .bind(tokens.output)
        .bind(tokens.reasoning)
        .bind(tokens.audio_in)
        .bind(tokens.audio_out)
        .bind(tokens.image)
        .bind(it.cost.map(|cost| cost.0))
        .bind(json(&it.lines)?)
        .bind(it.counted.0)
        .bind(it.overrun.0)
        .bind(it.finish_reason.as_deref())
        .bind(it.flaw.as_deref())
        .bind(it.first_byte_millis)
        .bind(it.total_millis)
        .bind(it.ended_at.0))
}

pub(super) fn read(row: &SqliteRow) -> Result<UsageRecord, Fault> {
    let part = number(row, "part")?;
    Ok(UsageRecord { stamp: read_stamp(row)?, part, ending: read_ending(row)? })
}

fn read_stamp(row: &SqliteRow) -> Result<Stamp, Fault> {
    let units: &str = row.try_get("unit_path")?;
    let units = units.split(',').filter(|unit| !unit.is_empty()).map(str::parse);
    let unit_path = units.collect::<Result<_, _>>().map_err(|why| unreadable("unit_path", &why))?;
    Ok(Stamp {
        org: OrgId::from_bytes(bytes(row, "org")?),
        request: RequestId::from_bytes(bytes(row, "request")?),
        attempt: number(row, "attempt")?,
        logical_request: RequestId::from_bytes(bytes(row, "logical_request")?),
        leg: word(row, "leg", Leg::from_word)?,
        unit_path,
        project: ProjectId::from_bytes(bytes(row, "project")?),
        cost_centre: row.try_get("cost_centre")?,
        tags: from_json(row, "tags")?,
        principal: principal(row.try_get("principal_kind")?, bytes(row, "principal")?)?,
        acted_for: optional(row, "acted_for")?.map(UserId::from_bytes),
        key: KeyId::from_bytes(bytes(row, "key")?),
        end_user_hash: row.try_get("end_user_hash")?,
        session_hash: row.try_get("session_hash")?,
        task_hash: row.try_get("task_hash")?,
        request_class: row.try_get("request_class")?,
        client_request_id: row.try_get("client_request_id")?,
        surface: word(row, "surface", Surface::from_word)?,
        stream: row.try_get("stream")?,
        model: row.try_get("model")?,
        tier: row.try_get("tier")?,
        deployment: DeploymentId::from_bytes(bytes(row, "deployment")?),
        upstream_model: row.try_get("upstream_model")?,
        price: optional(row, "price")?.map(PriceId::from_bytes),
        revision: super::directory::revision(row.try_get("revision")?)?,
        boot: BootId::from_bytes(bytes(row, "boot")?),
        chain: chain(row)?,
        hold: NanoUsd(row.try_get("hold")?),
        admitted_at: Timestamp(row.try_get("admitted_at")?),
        queue_millis: row.try_get("queue_millis")?,
    })
}

fn read_ending(row: &SqliteRow) -> Result<Ending, Fault> {
    Ok(Ending {
        outcome: word(row, "outcome", Outcome::from_word)?,
        source: word(row, "source", Source::from_word)?,
        tokens: tokens(row)?,
        cost: row.try_get::<Option<i64>, _>("cost")?.map(NanoUsd),
        lines: from_json(row, "lines")?,
        counted: NanoUsd(row.try_get("counted")?),
        overrun: NanoUsd(row.try_get("overrun")?),
        finish_reason: row.try_get("finish_reason")?,
        flaw: row.try_get("flaw")?,
        first_byte_millis: row.try_get("first_byte_millis")?,
        total_millis: row.try_get("total_millis")?,
        ended_at: Timestamp(row.try_get("ended_at")?),
    })
}

pub(super) fn tokens(row: &SqliteRow) -> Result<Tokens, Fault> {
    Ok(Tokens {
        input: row.try_get("input")?,
        cache_read: row.try_get("cache_read")?,
        cache_write: row.try_get("cache_write")?,
        output: row.try_get("output")?,
        reasoning: row.try_get("reasoning")?,
        audio_in: row.try_get("audio_in")?,
        audio_out: row.try_get("audio_out")?,
        image: row.try_get("image")?,
    })
}

fn principal_words(principal: &Principal) -> (&'static str, &[u8; 16]) {
    match principal {
        Principal::User(id) => (UserId::PREFIX, id.as_bytes()),
        Principal::ServiceAccount(id) => (ServiceAccountId::PREFIX, id.as_bytes()),
    }
}

pub(super) fn principal(kind: &str, id: [u8; 16]) -> Result<Principal, Fault> {
    match kind {
        UserId::PREFIX => Ok(Principal::User(UserId::from_bytes(id))),
        ServiceAccountId::PREFIX => Ok(Principal::ServiceAccount(ServiceAccountId::from_bytes(id))),
        other => Err(unreadable("principal_kind", &other)),
    }
}

/// Units as text from the top down, each as long as any other: the lowest is the last 37 bytes.
fn joined(units: &[policies::ids::UnitId]) -> String {
    units.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn chain_words(chain: &Chain) -> Result<String, Fault> {
    let pots = chain.iter().map(|pot| (pot.budget, pot.span.starts, pot.span.ends));
    json(&pots.collect::<Vec<_>>())
}

fn chain(row: &SqliteRow) -> Result<Chain, Fault> {
    let pots: Vec<(BudgetId, Timestamp, Timestamp)> = from_json(row, "chain")?;
    let pots = pots.into_iter();
    Ok(pots.map(|(budget, starts, ends)| Pot { budget, span: Span { starts, ends } }).collect())
}

pub(super) fn json<T: Serialize>(value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|cause| unreadable("json", &cause))
}

pub(super) fn from_json<T>(row: &SqliteRow, column: &'static str) -> Result<T, Fault>
where
    T: DeserializeOwned,
{
    serde_json::from_str(row.try_get(column)?).map_err(|cause| unreadable(column, &cause))
}

pub(super) fn number(row: &SqliteRow, column: &'static str) -> Result<u32, Fault> {
    let stored: i64 = row.try_get(column)?;
    u32::try_from(stored).map_err(|cause| unreadable(column, &cause))
}

fn optional(row: &SqliteRow, column: &'static str) -> Result<Option<[u8; 16]>, Fault> {
    let stored: Option<&[u8]> = row.try_get(column)?;
    stored.map(|stored| sized(stored, column)).transpose()
}

fn word<T>(
    row: &SqliteRow,
    column: &'static str,
    from_word: fn(&str) -> Option<T>,
) -> Result<T, Fault> {
    let stored: &str = row.try_get(column)?;
    from_word(stored).ok_or_else(|| unreadable(column, &stored))
}
