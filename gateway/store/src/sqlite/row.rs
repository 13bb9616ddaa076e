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
use rusqlite::{Statement, params};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{Row, sqlite::SqliteRow};
use std::fmt::Write;

/// A unit as text, with its comma: room to write it in one go.
const UNIT_BYTES: usize = 38;
/// A pot of a chain: its budget, start and end.
const POT_BYTES: usize = 32;

/// In the order in which [`insert`] binds them.
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

/// False if the row is there already.
pub(super) fn insert(insert: &mut Statement<'_>, record: &UsageRecord) -> Result<bool, Fault> {
    let (it, ending, tokens) = (&record.stamp, &record.ending, &record.ending.tokens);
    let revision = i64::try_from(it.revision.0).map_err(|cause| unreadable("revision", &cause))?;
    let (principal_kind, principal) = principal_words(&it.principal);
    let inserted = insert.execute(params![
        it.org.as_bytes(),
        it.request.as_bytes(),
        it.attempt,
        record.part,
        it.logical_request.as_bytes(),
        it.leg.word(),
        joined(&it.unit_path),
        it.project.as_bytes(),
        it.cost_centre,
        json(&it.tags)?,
        principal_kind,
        principal,
        it.acted_for.as_ref().map(UserId::as_bytes),
        it.key.as_bytes(),
        it.end_user_hash,
        it.session_hash,
        it.task_hash,
        it.request_class,
        it.client_request_id,
        it.surface.word(),
        it.stream,
        it.model,
        it.tier,
        it.deployment.as_bytes(),
        it.upstream_model,
        it.price.as_ref().map(PriceId::as_bytes),
        revision,
        it.boot.as_bytes(),
        chain_bytes(&it.chain),
        it.hold.0,
        it.admitted_at.0,
        it.queue_millis,
        ending.outcome.word(),
        ending.source.word(),
        tokens.input,
        tokens.cache_read,
        tokens.cache_write,
        tokens.output,
        tokens.reasoning,
        tokens.audio_in,
        tokens.audio_out,
        tokens.image,
        ending.cost.map(|cost| cost.0),
        json(&ending.lines)?,
        ending.counted.0,
        ending.overrun.0,
        ending.finish_reason,
        ending.flaw,
        ending.first_byte_millis,
        ending.total_millis,
        ending.ended_at.0,
    ])?;
    Ok(inserted == 1)
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

pub(super) fn principal_words(principal: &Principal) -> (&'static str, &[u8; 16]) {
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
    let mut text = String::with_capacity(units.len() * UNIT_BYTES);
    for unit in units {
        let comma = if text.is_empty() { "" } else { "," };
        // A string takes all that is written to it.
        let _ = write!(text, "{comma}{unit}");
    }
    text
}

fn chain_bytes(chain: &Chain) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(chain.len() * POT_BYTES);
    for Pot { budget, span } in chain {
        bytes.extend_from_slice(budget.as_bytes());
        bytes.extend_from_slice(&span.starts.0.to_be_bytes());
        bytes.extend_from_slice(&span.ends.0.to_be_bytes());
    }
    bytes
}

fn chain(row: &SqliteRow) -> Result<Chain, Fault> {
    let bytes: &[u8] = row.try_get("chain")?;
    let (pots, rest) = bytes.as_chunks::<POT_BYTES>();
    if !rest.is_empty() {
        return Err(unreadable("chain", &"not whole"));
    }
    pots.iter().map(pot_of).collect()
}

fn pot_of(bytes: &[u8; POT_BYTES]) -> Result<Pot, Fault> {
    let (budget, span) = bytes.split_at(16);
    let (starts, ends) = span.split_at(8);
    let moment = |bytes| sized(bytes, "chain").map(|bytes| Timestamp(i64::from_be_bytes(bytes)));
    let span = Span { starts: moment(starts)?, ends: moment(ends)? };
    Ok(Pot { budget: BudgetId::from_bytes(sized(budget, "chain")?), span })
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

pub(super) fn word<T>(
    row: &SqliteRow,
    column: &'static str,
    from_word: fn(&str) -> Option<T>,
) -> Result<T, Fault> {
    let stored: &str = row.try_get(column)?;
    from_word(stored).ok_or_else(|| unreadable(column, &stored))
}
