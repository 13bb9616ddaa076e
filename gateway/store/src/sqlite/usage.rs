//! [`UsageLog`] in SQLite.

use super::{Sqlite, decision, row, saturate::saturated_sum};
use crate::{By, Cursor, Fault, UsageLog, UsageSum};
use async_trait::async_trait;
use policies::{
    ids::{DeploymentId, KeyId, OrgId, ProjectId, RequestId},
    money::NanoUsd,
    time::Span,
    usage::{Decision, UsageRecord},
};
use sqlx::{AssertSqlSafe, Row, sqlite::SqliteRow};

/// Records of one page, at most.
const PAGE_RECORDS_MAX: u32 = 10_000;

#[async_trait]
impl UsageLog for Sqlite {
    async fn page(
        &self,
        org: &OrgId,
        span: Span,
        after: Cursor,
        limit: u32,
    ) -> Result<Vec<(Cursor, UsageRecord)>, Fault> {
        let rows = sqlx::query(
            "SELECT * FROM usage
             WHERE org = ?1 AND ?2 <= admitted_at AND admitted_at < ?3 AND ?4 < seq
             ORDER BY seq LIMIT ?5",
        )
        .bind(org.as_bytes().as_slice())
        .bind(span.starts.0)
        .bind(span.ends.0)
        .bind(after.0)
        .bind(limit.min(PAGE_RECORDS_MAX))
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(|row| Ok((Cursor(row.try_get("seq")?), row::read(row)?))).collect()
    }

    async fn sums(&self, org: &OrgId, span: Span, by: &[By]) -> Result<Vec<UsageSum>, Fault> {
        let columns: String = by.iter().map(|by| format!("{}, ", column(*by))).collect();
        let groups = columns.trim_end_matches(", ");
        let grouping = if groups.is_empty() { String::new() } else { format!("GROUP BY {groups}") };
        let sql = format!("SELECT {columns}{SUMS} {grouping}");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(org.as_bytes().as_slice())
            .bind(span.starts.0)
            .bind(span.ends.0)
            .fetch_all(&self.readers)
            .await?;
        let sums = rows.iter().map(|row| sum(row, by));
        let mut sums = sums.collect::<Result<Vec<_>, Fault>>()?;
        sums.retain(|sum| 0 < sum.records);
        sums.sort_by(|left, right| left.group.cmp(&right.group));
        Ok(sums)
    }

    async fn request(
        &self,
        org: &OrgId,
        project: &ProjectId,
        request: &RequestId,
    ) -> Result<(Vec<UsageRecord>, Option<Decision>), Fault> {
        // Two reads of what only grows: a row that comes in between is not missed by a repeat.
        let rows = sqlx::query(
            "SELECT * FROM usage WHERE org = ?1 AND request = ?2 AND project = ?3
             ORDER BY attempt, part",
        )
        .bind(org.as_bytes().as_slice())
        .bind(request.as_bytes().as_slice())
        .bind(project.as_bytes().as_slice())
        .fetch_all(&self.readers)
        .await?;
        let decided =
            sqlx::query("SELECT * FROM decision WHERE org = ?1 AND request = ?2 AND project = ?3")
                .bind(org.as_bytes().as_slice())
                .bind(request.as_bytes().as_slice())
                .bind(project.as_bytes().as_slice())
                .fetch_optional(&self.readers)
                .await?;
        let records = rows.iter().map(row::read).collect::<Result<_, _>>()?;
        Ok((records, decided.as_ref().map(decision::read).transpose()?))
    }
}

/// An unpriced record counts until a correction brings a price.
const SUMS: &str = concat!(
    "COUNT(DISTINCT request) AS requests, COUNT(*) AS records, ",
    saturated_sum!("input"),
    " AS input, ",
    saturated_sum!("cache_read"),
    " AS cache_read, ",
    saturated_sum!("cache_write"),
    " AS cache_write, ",
    saturated_sum!("output"),
    " AS output, ",
    saturated_sum!("reasoning"),
    " AS reasoning, ",
    saturated_sum!("audio_in"),
    " AS audio_in, ",
    saturated_sum!("audio_out"),
    " AS audio_out, ",
    saturated_sum!("image"),
    " AS image, ",
    saturated_sum!("cost"),
    " AS cost,
    COALESCE(SUM(cost IS NULL AND NOT EXISTS (
        SELECT 1 FROM usage AS later
        WHERE later.org = usage.org AND later.request = usage.request
            AND later.attempt = usage.attempt AND usage.part < later.part
            AND later.cost IS NOT NULL)), 0) AS unpriced,
    COALESCE(SUM(source = 'estimated'), 0) AS estimated
    FROM usage WHERE org = ?1 AND ?2 <= admitted_at AND admitted_at < ?3"
);

fn column(by: By) -> &'static str {
    match by {
        // Every unit has the same length as text: `unit_` and 32 digits.
        By::Unit => "substr(unit_path, -37)",
        By::Project => "project",
        By::Model => "model",
        By::Tier => "COALESCE(tier, '')",
        By::Deployment => "deployment",
        By::Principal => "principal_kind || '_' || lower(hex(principal))",
        By::Key => "key",
        By::CostCentre => "COALESCE(cost_centre, '')",
        By::Day => "strftime('%Y-%m-%d', admitted_at / 1000, 'unixepoch')",
    }
}

fn sum(row: &SqliteRow, by: &[By]) -> Result<UsageSum, Fault> {
    let group = by.iter().enumerate().map(|(index, by)| value(row, index, *by));
    Ok(UsageSum {
        group: group.collect::<Result<_, Fault>>()?,
        requests: row.try_get("requests")?,
        records: row.try_get("records")?,
        tokens: row::tokens(row)?,
        cost: NanoUsd(row.try_get("cost")?),
        unpriced: row.try_get("unpriced")?,
        estimated: row.try_get("estimated")?,
    })
}

fn value(row: &SqliteRow, index: usize, by: By) -> Result<String, Fault> {
    let id = || super::sized::<16>(row.try_get(index)?, "usage");
    Ok(match by {
        By::Project => ProjectId::from_bytes(id()?).to_string(),
        By::Deployment => DeploymentId::from_bytes(id()?).to_string(),
        By::Key => KeyId::from_bytes(id()?).to_string(),
        By::Unit | By::Model | By::Tier | By::Principal | By::CostCentre | By::Day => {
            row.try_get::<Option<String>, _>(index)?.unwrap_or_default()
        }
    })
}
