//! Decisions as rows.

use super::{
    bytes,
    row::{from_json, json, principal, principal_words, word},
    unreadable,
};
use crate::Fault;
use policies::{
    data::{Flow, Level},
    ids::{KeyId, OrgId, ProjectId, RequestId},
    time::Timestamp,
    usage::{Decision, Surface, Verdict},
};
use rusqlite::{Statement, params};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{Row, sqlite::SqliteRow};

/// One that is there already stays as it is.
pub(super) const INSERT: &str = "
    INSERT INTO decision (org, request, decided_at, project, principal_kind, principal, key,
        surface, model, verdict, refusal, floor, caller, labels, candidates, masked, revision)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";

/// Runs [`INSERT`].
pub(super) fn insert(insert: &mut Statement<'_>, it: &Decision) -> Result<(), Fault> {
    let revision = i64::try_from(it.revision.0).map_err(|cause| unreadable("revision", &cause))?;
    let (principal_kind, principal) = principal_words(&it.principal);
    insert.execute(params![
        it.org.as_bytes(),
        it.request.as_bytes(),
        it.at.0,
        it.project.as_bytes(),
        principal_kind,
        principal,
        it.key.as_bytes(),
        it.surface.word(),
        it.model,
        it.verdict.word(),
        it.refusal,
        it.flow.floor.word(),
        it.flow.caller.map(Level::word),
        list(&it.flow.labels, it.flow.labels.is_empty())?,
        list(&it.candidates, it.candidates.is_empty())?,
        list(&it.masked, it.masked.is_empty())?,
        revision,
    ])?;
    Ok(())
}

pub(super) fn read(row: &SqliteRow) -> Result<Decision, Fault> {
    let caller: Option<&str> = row.try_get("caller")?;
    let caller =
        caller.map(|text| Level::from_word(text).ok_or_else(|| unreadable("caller", &text)));
    Ok(Decision {
        org: OrgId::from_bytes(bytes(row, "org")?),
        request: RequestId::from_bytes(bytes(row, "request")?),
        at: Timestamp(row.try_get("decided_at")?),
        project: ProjectId::from_bytes(bytes(row, "project")?),
        principal: principal(row.try_get("principal_kind")?, bytes(row, "principal")?)?,
        key: KeyId::from_bytes(bytes(row, "key")?),
        surface: word(row, "surface", Surface::from_word)?,
        model: row.try_get("model")?,
        verdict: word(row, "verdict", Verdict::from_word)?,
        refusal: row.try_get("refusal")?,
        flow: Flow {
            floor: word(row, "floor", Level::from_word)?,
            caller: caller.transpose()?,
            labels: read_list(row, "labels")?,
        },
        candidates: read_list(row, "candidates")?,
        masked: read_list(row, "masked")?,
        revision: super::directory::revision(row.try_get("revision")?)?,
    })
}

/// None where there is nothing to list.
fn list<T: Serialize>(list: &T, is_empty: bool) -> Result<Option<String>, Fault> {
    if is_empty { Ok(None) } else { json(list).map(Some) }
}

fn read_list<T>(row: &SqliteRow, column: &'static str) -> Result<T, Fault>
where
    T: DeserializeOwned + Default,
{
    match row.try_get::<Option<&str>, _>(column)? {
        Some(_) => from_json(row, column),
        None => Ok(T::default()),
    }
}
