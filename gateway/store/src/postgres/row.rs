//! Usage records as rows.

mod columns;

pub(super) use columns::{INSERT, bind};

use super::{number, sized, unreadable};
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
use serde_json::Value;
use sqlx::{Row, postgres::PgRow};

/// Columns for [`read`]: JSON as text, whatever the server's own form of it is.
pub(super) const READ: &str = "*, tags::text AS tags_text, chain::text AS chain_text,
    lines::text AS lines_text";

pub(super) fn read(row: &PgRow) -> Result<UsageRecord, Fault> {
    let part = number(row, "part")?;
    Ok(UsageRecord { stamp: read_stamp(row)?, part, ending: read_ending(row)? })
}

fn read_stamp(row: &PgRow) -> Result<Stamp, Fault> {
    let units: &str = row.try_get("unit_path")?;
    let units = units.split(',').filter(|unit| !unit.is_empty()).map(str::parse);
    let unit_path = units.collect::<Result<_, _>>().map_err(|why| unreadable("unit_path", &why))?;
    Ok(Stamp {
        org: OrgId::from_bytes(sized(row, "org")?),
        request: RequestId::from_bytes(sized(row, "request")?),
        attempt: number(row, "attempt")?,
        logical_request: RequestId::from_bytes(sized(row, "logical_request")?),
        leg: word(row, "leg", Leg::from_word)?,
        unit_path,
        project: ProjectId::from_bytes(sized(row, "project")?),
        cost_centre: row.try_get("cost_centre")?,
        tags: from_json(row, "tags_text")?,
        principal: principal(row.try_get("principal_kind")?, sized(row, "principal")?)?,
        acted_for: optional(row, "acted_for")?.map(UserId::from_bytes),
        key: KeyId::from_bytes(sized(row, "key")?),
        end_user_hash: row.try_get("end_user_hash")?,
        session_hash: row.try_get("session_hash")?,
        task_hash: row.try_get("task_hash")?,
        request_class: row.try_get("request_class")?,
        client_request_id: row.try_get("client_request_id")?,
        surface: word(row, "surface", Surface::from_word)?,
        stream: row.try_get("stream")?,
        model: row.try_get("model")?,
        tier: row.try_get("tier")?,
        deployment: DeploymentId::from_bytes(sized(row, "deployment")?),
        upstream_model: row.try_get("upstream_model")?,
        price: optional(row, "price")?.map(PriceId::from_bytes),
        revision: super::directory::revision(row.try_get("revision")?)?,
        boot: BootId::from_bytes(sized(row, "boot")?),
        chain: chain(row)?,
        hold: NanoUsd(row.try_get("hold")?),
        admitted_at: Timestamp(row.try_get("admitted_at")?),
        queue_millis: row.try_get("queue_millis")?,
    })
}

fn read_ending(row: &PgRow) -> Result<Ending, Fault> {
    Ok(Ending {
        outcome: word(row, "outcome", Outcome::from_word)?,
        source: word(row, "source", Source::from_word)?,
        tokens: tokens(row)?,
        cost: row.try_get::<Option<i64>, _>("cost")?.map(NanoUsd),
        lines: from_json(row, "lines_text")?,
        counted: NanoUsd(row.try_get("counted")?),
        overrun: NanoUsd(row.try_get("overrun")?),
        finish_reason: row.try_get("finish_reason")?,
        flaw: row.try_get("flaw")?,
        first_byte_millis: row.try_get("first_byte_millis")?,
        total_millis: row.try_get("total_millis")?,
        ended_at: Timestamp(row.try_get("ended_at")?),
    })
}

pub(super) fn tokens(row: &PgRow) -> Result<Tokens, Fault> {
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

fn principal(kind: &str, id: [u8; 16]) -> Result<Principal, Fault> {
    match kind {
        UserId::PREFIX => Ok(Principal::User(UserId::from_bytes(id))),
        ServiceAccountId::PREFIX => Ok(Principal::ServiceAccount(ServiceAccountId::from_bytes(id))),
        other => Err(unreadable("principal_kind", &other)),
    }
}

fn chain(row: &PgRow) -> Result<Chain, Fault> {
    let pots: Vec<(BudgetId, Timestamp, Timestamp)> = from_json(row, "chain_text")?;
    let pots = pots.into_iter();
    Ok(pots.map(|(budget, starts, ends)| Pot { budget, span: Span { starts, ends } }).collect())
}

/// JSON as its columns take it: without NUL, as [`super::text`].
pub(super) fn json<T: Serialize>(value: &T) -> Result<String, Fault> {
    let text = serde_json::to_string(value).map_err(|cause| unreadable("json", &cause))?;
    // Seldom, and then it may also be a backslash of its own before `u0000`.
    if !text.contains("\\u0000") {
        return Ok(text);
    }
    let mut value = serde_json::from_str(&text).map_err(|cause| unreadable("json", &cause))?;
    without_nul(&mut value);
    Ok(value.to_string())
}

fn without_nul(value: &mut Value) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(it) => *it = super::text(it).into_owned(),
        Value::Array(values) => values.iter_mut().for_each(without_nul),
        Value::Object(members) => {
            let renamed = std::mem::take(members).into_iter().map(|(name, mut value)| {
                without_nul(&mut value);
                (super::text(&name).into_owned(), value)
            });
            *members = renamed.collect();
        }
    }
}

pub(super) fn from_json<T>(row: &PgRow, column: &'static str) -> Result<T, Fault>
where
    T: DeserializeOwned,
{
    serde_json::from_str(row.try_get(column)?).map_err(|cause| unreadable(column, &cause))
}

fn optional(row: &PgRow, column: &'static str) -> Result<Option<[u8; 16]>, Fault> {
    let stored: Option<Vec<u8>> = row.try_get(column)?;
    match stored {
        None => Ok(None),
        Some(_) => sized(row, column).map(Some),
    }
}

fn word<T>(
    row: &PgRow,
    column: &'static str,
    from_word: fn(&str) -> Option<T>,
) -> Result<T, Fault> {
    let stored: &str = row.try_get(column)?;
    from_word(stored).ok_or_else(|| unreadable(column, &stored))
}

#[cfg(test)]
mod tests {
    use super::json;

    #[test]
    fn a_nul_is_shown_by_its_symbol_and_nothing_else_changes() {
        let odd = serde_json::json!({ "a\0": ["\0", "\\u0000", 1.5, null], "b": "ü" });

        let text = json(&odd).unwrap();

        let shown = serde_json::json!({ "a␀": ["␀", "\\u0000", 1.5, null], "b": "ü" });
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), shown);
    }
}
